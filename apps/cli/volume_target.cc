// SPDX-License-Identifier: Apache-2.0
#include "volume_target.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "sizes.h"
#include "volume_path.h"

namespace dmap::cli {
namespace {

/// No user's name, and none that two commands give at the same time.
std::string temporary_name() { return fmt::format(".dmap-copy-{}", getpid()); }

Ownership ownership_of(const Object& object) {
  return {.permissions = object.permissions, .uid = object.uid, .gid = object.gid};
}

}  // namespace

Result<bool> VolumeTarget::link_known(const Object& object, const std::string& name) {
  auto known = linked_.find(object.identity);
  if (known == linked_.end()) return false;
  auto linked = volume_.link(known->second, here(name));
  if (linked) return true;
  if (linked.error().code() != Code::kExists) return std::unexpected(std::move(linked).error());
  DMAP_TRY(check_replaceable(name));
  if (DMAP_TRY(volume_.lookup(here(name), Follow::kNo)) == known->second) return true;
  std::string temporary = temporary_name();
  DMAP_TRY(volume_.link(known->second, here(temporary)));
  DMAP_TRY(volume_.rename(here(temporary), here(name)));
  return true;
}

Result<void> VolumeTarget::create(const std::string& name, const Object& object, std::string_view link_target) {
  name_ = name;
  auto made = make(name, object, link_target);
  if (made || made.error().code() != Code::kExists) return made;
  DMAP_TRY(check_replaceable(name));
  return make(temporary_name(), object, link_target);
}

Result<void> VolumeTarget::make(const std::string& name, const Object& object, std::string_view link_target) {
  switch (object.type) {
    case FileType::kRegular: {
      bool is_dense = object.holes == Holes::kNone;
      file_ = DMAP_TRY(volume_.open_file(here(name), {.access = Access::kReadWrite,
                                                      .create = Create::kExclusive,
                                                      .follow = Follow::kNo,
                                                      .ownership = ownership_of(object),
                                                      .expected_size = is_dense ? object.size : Bytes{}}));
      current_ = file_->inode();
      break;
    }
    case FileType::kSymlink:
      current_ = DMAP_TRY(volume_.make_symlink(link_target, here(name), ownership_of(object)));
      break;
    default: current_ = DMAP_TRY(volume_.make_node(here(name), object.type, object.device, ownership_of(object)));
  }
  name_now_ = name;
  return {};
}

Result<void> VolumeTarget::check_replaceable(const std::string& name) const {
  Stat there = DMAP_TRY(volume_.stat(here(name), Follow::kNo));
  if (there.type == FileType::kDirectory) {
    return fail(Code::kIsDirectory, "create", "", "a directory of that name is in the way");
  }
  return {};
}

Result<void> VolumeTarget::write(std::span<const std::byte> bytes, uint64_t offset) {
  return file_->write_at(bytes, offset);
}

Result<void> VolumeTarget::set_size(Bytes size) { return file_->truncate(size); }

Result<void> VolumeTarget::finish(const Object& object, const std::vector<Xattr>& xattrs) {
  file_.reset();
  DMAP_TRY(set_xattrs(current_, xattrs));
  AttributeChanges times;
  times.accessed = object.accessed;
  times.modified = object.modified;
  DMAP_TRY(volume_.set_attributes(current_, times, Follow::kNo));
  if (name_now_ != name_) DMAP_TRY(volume_.rename(here(name_now_), here(name_)));
  name_now_.clear();
  if (object.links > 1) linked_[object.identity] = current_;
  return {};
}

void VolumeTarget::abandon() {
  file_.reset();
  // The failure that led here is the one that is told; a full volume still deletes.
  if (!name_now_.empty()) static_cast<void>(volume_.unlink(here(name_now_)));
  name_now_.clear();
}

Result<void> VolumeTarget::enter(const std::string& name, const Object& object) {
  if (name == ".") {
    directories_.push_back(directories_.back());
    return {};
  }
  auto made = volume_.make_directory(here(name), ownership_of(object));
  if (made) {
    directories_.push_back(*made);
    return {};
  }
  if (made.error().code() != Code::kExists) return std::unexpected(std::move(made).error());
  Stat there = DMAP_TRY(volume_.stat(here(name), Follow::kNo));
  if (there.type != FileType::kDirectory) {
    return fail(Code::kNotDirectory, "enter", "", "something that is no directory has that name and is in the way");
  }
  directories_.push_back(there.inode);
  return {};
}

Result<void> VolumeTarget::finish_directory(const Object& object, const std::vector<Xattr>& xattrs) {
  InodeNumber directory = directories_.back();
  DMAP_TRY(set_xattrs(directory, xattrs));
  return volume_.set_attributes(directory, {.permissions = object.permissions,
                                            .uid = object.uid,
                                            .gid = object.gid,
                                            .accessed = object.accessed,
                                            .modified = object.modified});
}

Result<void> VolumeTarget::leave() {
  directories_.pop_back();
  return {};
}

Result<void> VolumeTarget::set_xattrs(InodeNumber inode, const std::vector<Xattr>& xattrs) {
  for (const Xattr& xattr : xattrs) {
    DMAP_TRY(volume_.set_xattr(inode, xattr.name, xattr.value, XattrMode::kAny, Follow::kNo));
  }
  return {};
}

std::string VolumeTarget::advice(const Error& error) const {
  if (error.code() != Code::kNoSpace) return {};
  Usage usage = volume_.usage();
  return fmt::format(
      "the volume has {} free of {}; stopped here, what was copied before is complete; make room with "
      "dmap rm, or make a larger volume",
      show_size(usage.free), show_size(usage.total));
}

Result<VolumePlace> find_place(const Volume& volume, const std::string& path) {
  auto there = volume.stat(path);
  if (there && there->type == FileType::kDirectory) return VolumePlace{.directory = there->inode, .name = {}};
  if (!there && there.error().code() != Code::kNotFound) return std::unexpected(std::move(there).error());
  VolumePath place{.volume = {}, .path = path};
  return VolumePlace{.directory = DMAP_TRY(volume.lookup(place.parent())), .name = std::string(place.name())};
}

}  // namespace dmap::cli
