// SPDX-License-Identifier: Apache-2.0
//
// The public face of the volume: each call finds its inode and hands over to the core.
#include "dmap/volume.h"

#include <sys/stat.h>

#include "base/check.h"
#include "device/file_device.h"
#include "device/memory_device.h"
#include "volume/core.h"

namespace dmap {
namespace {

/// The device to format: a new file, an old one made anew, or a device node as it is.
Result<std::unique_ptr<Device>> device_to_format(const std::string& path, const FormatOptions& options) {
  struct stat status{};
  bool there = ::stat(path.c_str(), &status) == 0;
  if (there && S_ISCHR(status.st_mode)) {
    auto device = DMAP_TRY(FileDevice::open(path, DeviceAccess::kReadWrite));
    if (options.overwrite == Overwrite::kNo && Store::holds_volume(*device)) {
      return fail(Code::kExists, "format", path, "there is a volume on it; overwriting it has to be asked for");
    }
    return device;
  }
  Bytes size = options.size;
  if (size == Bytes{0} && there && S_ISREG(status.st_mode)) size = Bytes{static_cast<uint64_t>(status.st_size)};
  if (size == Bytes{0}) return fail(Code::kInvalid, "format", path, "a new file needs a size");
  DMAP_TRY(Store::check_geometry(options, frames_within(size), path));
  return DMAP_TRY(FileDevice::create(
      path, size, {.allocation = options.allocation, .overwrite = options.overwrite, .progress = options.progress}));
}

}  // namespace

Volume::Volume(std::unique_ptr<VolumeCore> core) : core_(std::move(core)) {}
Volume::Volume(Volume&&) noexcept = default;
Volume& Volume::operator=(Volume&&) noexcept = default;
Volume::~Volume() = default;

Result<void> Volume::format(const std::string& path, const FormatOptions& options) {
  auto device = DMAP_TRY(device_to_format(path, options));
  return Store::format(*device, options, VolumeCore::first_entries());
}

Result<Volume> Volume::in_memory(Bytes size, const OpenOptions& options) {
  auto device = DMAP_TRY(MemoryDevice::create("memory", frames_within(size), HugePages::kTry));
  DMAP_TRY(Store::format(*device, {}, VolumeCore::first_entries()));
  return Volume(DMAP_TRY(VolumeCore::open(std::move(device), options)));
}

Result<Volume> Volume::open(const std::string& path, const OpenOptions& options) {
  auto access = options.access == Access::kReadOnly ? DeviceAccess::kReadOnly : DeviceAccess::kReadWrite;
  auto device = DMAP_TRY(FileDevice::open(path, access));
  return Volume(DMAP_TRY(VolumeCore::open(std::move(device), options)));
}

Result<void> Volume::close() {
  if (core_ == nullptr) return {};
  auto closed = core_->close();
  core_.reset();
  return closed;
}

Result<File> Volume::open_file(At at, const FileOptions& options) {
  for (;;) {
    // As O_EXCL: a symbolic link at the end is something that exists, wherever it leads.
    Follow follow = options.create == Create::kExclusive ? Follow::kNo : options.follow;
    Resolved resolved = DMAP_TRY(core_->resolve(at, follow));
    if (resolved.found) {
      if (options.create == Create::kExclusive) return fail(Code::kExists, "create", at.path);
      if (resolved.must_be_directory && resolved.found->type != FileType::kDirectory) {
        return fail(Code::kNotDirectory, "open", at.path);
      }
      auto inode = core_->inode(resolved.found->inode);
      if (!inode && inode.error().code() == Code::kNotFound && !resolved.name.empty()) continue;  // gone since: again
      if (!inode) return std::unexpected(std::move(inode).error().within("open", at.path));
      auto file = core_->make_file(std::move(*inode), options);
      if (!file) return std::unexpected(std::move(file).error().within("open", at.path));
      return file;
    }
    if (options.create == Create::kNever) return fail(Code::kNotFound, "open", at.path);
    if (resolved.must_be_directory) return fail(Code::kIsDirectory, "create", at.path);
    DMAP_TRY(core_->writable());
    auto record = VolumeCore::new_record(FileType::kRegular, options.ownership);
    auto made = core_->create(resolved.parent, resolved.name, record);
    if (!made && made.error().code() == Code::kExists && options.create == Create::kIfMissing) continue;
    if (!made) return std::unexpected(std::move(made).error().within("create", at.path));
    return core_->make_file(std::move(*made), options);
  }
}

Result<InodeNumber> Volume::lookup(At at, Follow follow) const { return DMAP_TRY(core_->find(at, follow)).inode; }

Result<Stat> Volume::stat(At at, Follow follow) const { return core_->stat(*DMAP_TRY(core_->inode(at, follow))); }

Result<void> Volume::set_attributes(At at, const AttributeChanges& changes, Follow follow) {
  DMAP_TRY(core_->writable());
  return core_->set_attributes(*DMAP_TRY(core_->inode(at, follow)), changes);
}

namespace {

Result<InodeNumber> make(VolumeCore& core, At at, const InodeRecord& record, std::string_view target = {}) {
  DMAP_TRY(core.writable());
  Resolved resolved = DMAP_TRY(core.resolve(at, Follow::kNo));
  if (resolved.found) return fail(Code::kExists, "create", at.path);
  if (resolved.must_be_directory && record.type != FileType::kDirectory)
    return fail(Code::kNotFound, "create", at.path);
  auto made = core.create(resolved.parent, resolved.name, record, target);
  if (!made) return std::unexpected(std::move(made).error().within("create", at.path));
  return (*made)->number;
}

}  // namespace

Result<InodeNumber> Volume::make_directory(At at, Ownership ownership) {
  return make(*core_, at, VolumeCore::new_record(FileType::kDirectory, ownership));
}

Result<InodeNumber> Volume::make_symlink(std::string_view target, At at, Ownership ownership) {
  if (target.empty() || target.find('\0') != std::string_view::npos)
    return fail(Code::kInvalid, "symlink", at.path, "the target is empty or has a NUL byte");
  if (target.size() > kPathMax) return fail(Code::kNameTooLong, "symlink", at.path, "targets have up to 4095 bytes");
  InodeRecord record = VolumeCore::new_record(FileType::kSymlink, ownership);
  record.size = target.size();
  return make(*core_, at, record, target);
}

Result<InodeNumber> Volume::make_node(At at, FileType type, uint64_t device, Ownership ownership) {
  if (type == FileType::kRegular || type == FileType::kDirectory || type == FileType::kSymlink) {
    return fail(Code::kInvalid, "make_node", at.path, "only device, fifo and socket nodes are made so");
  }
  InodeRecord record = VolumeCore::new_record(type, ownership);
  record.device = device;
  return make(*core_, at, record);
}

Result<void> Volume::unlink(At at) {
  DMAP_TRY(core_->writable());
  return core_->unlink(at, VolumeCore::Removal::kFile);
}

Result<void> Volume::remove_directory(At at) {
  DMAP_TRY(core_->writable());
  return core_->unlink(at, VolumeCore::Removal::kDirectory);
}

Result<void> Volume::link(At existing, At name, Follow follow) {
  DMAP_TRY(core_->writable());
  Found found = DMAP_TRY(core_->find(existing, follow));
  Resolved resolved = DMAP_TRY(core_->resolve(name, Follow::kNo));
  if (resolved.found) return fail(Code::kExists, "link", name.path);
  if (resolved.must_be_directory) return fail(Code::kNotFound, "link", name.path);
  auto linked = core_->link(found.inode, resolved.parent, resolved.name);
  if (!linked) return std::unexpected(std::move(linked).error().within("link", name.path));
  return {};
}

Result<void> Volume::rename(At from, At to, RenameMode mode) {
  DMAP_TRY(core_->writable());
  return core_->rename(from, to, mode);
}

Result<std::string> Volume::read_link(At at) const {
  return core_->read_link(*DMAP_TRY(core_->inode(at, Follow::kNo)));
}

Result<std::vector<DirectoryEntry>> Volume::read_directory(At at, DirectoryCookie after, size_t entries_max) const {
  return core_->read_directory(DMAP_TRY(core_->find(at, Follow::kYes)).inode, after, entries_max);
}

Result<InodeNumber> Volume::parent(InodeNumber directory) const { return core_->parent_of(directory); }

Result<std::vector<std::byte>> Volume::get_xattr(At at, std::string_view name, Follow follow) const {
  return core_->get_xattr(*DMAP_TRY(core_->inode(at, follow)), name);
}

Result<void> Volume::set_xattr(At at, std::string_view name, std::span<const std::byte> value, XattrMode mode,
                               Follow follow) {
  DMAP_TRY(core_->writable());
  return core_->set_xattr(*DMAP_TRY(core_->inode(at, follow)), name, value, mode);
}

Result<void> Volume::remove_xattr(At at, std::string_view name, Follow follow) {
  DMAP_TRY(core_->writable());
  return core_->remove_xattr(*DMAP_TRY(core_->inode(at, follow)), name);
}

Result<std::vector<std::string>> Volume::list_xattrs(At at, Follow follow) const {
  return core_->list_xattrs(*DMAP_TRY(core_->inode(at, follow)));
}

Result<void> Volume::sync() { return core_->sync(); }
Result<void> Volume::checkpoint() { return core_->checkpoint(); }

Usage Volume::usage() const { return core_->usage(); }

MediumInfo Volume::medium() const {
  const Device& device = core_->store().device();
  const Traits& traits = device.traits();
  return {.name = device.name(),
          .medium = traits.medium,
          .promise = traits.promise,
          .durable = traits.durable,
          .page_size = traits.page_size};
}

FrameInfo Volume::frame_info() const { return core_->frame_info(); }
OpenInfo Volume::open_info() const { return core_->store().open_info(); }
std::string Volume::uuid() const { return to_string(core_->store().superblock().uuid); }
Access Volume::access() const { return core_->store().access(); }
Frames& Volume::frames() { return core_->frames(); }

}  // namespace dmap
