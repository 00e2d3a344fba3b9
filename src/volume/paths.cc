// SPDX-License-Identifier: Apache-2.0
//
// From paths to inodes.
#include "volume/core.h"

namespace dmap {
namespace {

/// Symbolic links followed in one path, as in Linux.
constexpr int kLinksMax = 40;

std::string quoted(const At& at) {
  if (at.directory == kRootInode && !at.path.empty()) return std::string(at.path);
  return "inode " + std::to_string(static_cast<uint64_t>(at.directory)) + (at.path.empty() ? "" : "/") +
         std::string(at.path);
}

/// Takes the first component off `path`; empty at the end.
std::string_view next_component(std::string_view& path) {
  size_t start = path.find_first_not_of('/');
  if (start == std::string_view::npos) return path = {};
  size_t end = std::min(path.find('/', start), path.size());
  std::string_view component = path.substr(start, end - start);
  path.remove_prefix(end);
  return component;
}

bool only_slashes(std::string_view path) { return path.find_first_not_of('/') == std::string_view::npos; }

}  // namespace

Result<Found> VolumeCore::lookup(InodeNumber directory, std::string_view name) {
  if (name.size() > Volume::kNameMax) {
    DMAP_TRY(inode(directory));
    return fail(Code::kNameTooLong, "find", name.substr(0, 64), "names have up to 255 bytes");
  }
  {
    RcuReadSection section;
    if (const NameEntry* entry = names_.find({directory, name})) return entry->found;
  }
  // The directory's lock keeps unlink and rename out until the answer is in the cache: no stale answer can get there.
  InodeRef parent = DMAP_TRY(inode(directory));
  if (!parent->is_directory()) return fail(Code::kNotDirectory, "find", name);
  MutexLock lock(parent->mutex);
  return lookup_locked(*parent, name);
}

Result<Found> VolumeCore::lookup_locked(Inode& parent, std::string_view name) {
  {
    RcuReadSection section;
    if (const NameEntry* entry = names_.find({parent.number, name})) return entry->found;
  }
  Key key = dentry_key(parent.number, name);
  Found found = DMAP_TRY(store_->read([&](const Tree& tree) -> Result<Found> {
    auto value = DMAP_TRY(tree.find(key));
    if (value) {
      for (const Dentry& dentry : DMAP_TRY(decode_dentries(*value))) {
        if (dentry.name == name) return Found{dentry.inode, dentry.type};
      }
    }
    return std::unexpected<Error>(std::in_place, Code::kNotFound);
  }));
  remember_name(parent.number, name, found);
  return found;
}

void VolumeCore::remember_name(InodeNumber directory, std::string_view name, Found found) {
  RcuReadSection section;
  names_.insert(std::make_unique<NameEntry>(NameKey{directory, name}, found));
}

Key VolumeCore::dentry_key(InodeNumber directory, std::string_view name) const {
  return key_of(directory, Kind::kDentry, hash_of(name, store_->superblock().hash_seed));
}

Result<InodeNumber> VolumeCore::parent_of(InodeNumber directory) {
  InodeRef self = DMAP_TRY(inode(directory));
  if (!self->is_directory()) return fail(Code::kNotDirectory, "find", "..");
  MutexLock lock(self->mutex);
  return self->record.parent;
}

Result<Resolved> VolumeCore::resolve(At at, Follow follow) {
  auto result = resolve_quietly(at, follow);
  if (result) return result;
  return std::unexpected(std::move(result).error().within("find", quoted(at)));
}

Result<Resolved> VolumeCore::resolve_quietly(At at, Follow follow) {
  if (at.path.size() > Volume::kPathMax) {
    DMAP_TRY(inode(at.directory));
    return fail(Code::kNameTooLong, "find", "", "paths have up to 4095 bytes");
  }
  if (at.path.find('\0') != std::string_view::npos)
    return fail(Code::kInvalid, "find", "", "the path has a NUL byte in it");
  std::string expanded;  // the path as symbolic links rewrote it
  std::string_view rest = at.path;
  int links = 0;
  Resolved here{.parent = at.directory,
                .name = {},
                .found = Found{at.directory, FileType::kDirectory},
                .must_be_directory = false};
  if (only_slashes(rest)) {
    InodeRef start = DMAP_TRY(inode(at.directory));
    here.found = Found{at.directory, start->type};
    here.must_be_directory = !rest.empty();
    return here;
  }
  while (!only_slashes(rest)) {
    InodeNumber directory = here.found->inode;
    if (here.found->type != FileType::kDirectory) return fail(Code::kNotDirectory);
    std::string_view component = next_component(rest);
    bool last = only_slashes(rest);
    if (component == ".") {
      here.name.clear();
      continue;
    }
    if (component == "..") {
      here.found = Found{DMAP_TRY(parent_of(directory)), FileType::kDirectory};
      here.name.clear();
      continue;
    }
    auto found = lookup(directory, component);
    if (!found && (found.error().code() != Code::kNotFound || !last)) return std::unexpected(std::move(found).error());
    here.parent = directory;
    here.name = component;
    here.must_be_directory = last && !rest.empty();
    if (!found) {
      here.found.reset();
      return here;
    }
    here.found = *found;
    bool follow_this = found->type == FileType::kSymlink && (!last || follow == Follow::kYes || here.must_be_directory);
    if (!follow_this) continue;
    if (++links > kLinksMax) return fail(Code::kSymlinkLoop);
    InodeRef link = DMAP_TRY(inode(found->inode));
    std::string target = DMAP_TRY(read_link(*link));
    bool absolute = target.starts_with('/');
    expanded = target + std::string(rest);
    rest = expanded;
    here.found = Found{absolute ? kRootInode : directory, FileType::kDirectory};
    here.name.clear();
  }
  return here;
}

Result<Found> VolumeCore::find(At at, Follow follow) { return *DMAP_TRY(find_name(at, follow)).found; }

Result<Resolved> VolumeCore::find_name(At at, Follow follow) {
  Resolved resolved = DMAP_TRY(resolve(at, follow));
  if (!resolved.found) return fail(Code::kNotFound, "find", quoted(at));
  if (resolved.must_be_directory && resolved.found->type != FileType::kDirectory) {
    return fail(Code::kNotDirectory, "find", quoted(at));
  }
  return resolved;
}

}  // namespace dmap
