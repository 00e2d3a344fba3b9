// SPDX-License-Identifier: Apache-2.0
//
// New objects and new names.
#include <algorithm>

#include "volume/core.h"

namespace dmap {
namespace {

constexpr uint32_t kLinksMax = 1U << 30;

}  // namespace

Result<void> check_name(std::string_view name) {
  if (name.size() > Volume::kNameMax)
    return fail(Code::kNameTooLong, "name", name.substr(0, 64), "names have up to 255 bytes");
  if (!is_name(name)) return fail(Code::kInvalid, "name", name, "it cannot be a directory entry");
  return {};
}

InodeRecord VolumeCore::new_record(FileType type, const Ownership& ownership) {
  Time time = now();
  return {.type = type,
          .permissions = ownership.permissions & 07777,
          .uid = ownership.uid,
          .gid = ownership.gid,
          .links = type == FileType::kDirectory ? 2U : 1U,
          .accessed = time,
          .modified = time,
          .changed = time,
          .born = time};
}

Result<InodeRef> VolumeCore::create(InodeNumber parent_number, std::string_view name, InodeRecord record,
                                    std::string_view target) {
  InodeRef parent = DMAP_TRY(inode(parent_number));
  DMAP_TRY(check_name(name));
  MutexLock lock(parent->mutex);
  DMAP_TRY(may_add(*parent, name));
  InodeNumber number = store_->new_inode_number();
  Transaction txn;
  txn.add_inodes(1);
  DMAP_TRY(record_names({{parent.get(), name, Found{number, record.type}}}, txn));
  for (size_t at = 0; at < target.size(); at += kPartSize) {
    txn.put(key_of(number, Kind::kSymlink, at / kPartSize), std::as_bytes(std::span(target.substr(at, kPartSize))));
  }
  InodeRecord parent_record = current(*parent);
  if (record.type == FileType::kDirectory) {
    record.parent = parent_number;
    ++parent_record.links;
    parent_record.modified = parent_record.changed = record.born;
    txn.put(key_of(parent_number, Kind::kInode), encode(parent_record));
  }
  // Whoever finds the number before it is in the cache waits for it to get there.
  std::optional<MutexLock> making(std::in_place, loading(number));
  txn.put(key_of(number, Kind::kInode), encode(record));
  DMAP_TRY(store_->commit(txn, {}, Purpose::kChange, [] {}));
  InodeRef made = cache_inode(number, record);
  making.reset();
  if (record.type == FileType::kDirectory) {
    show_record(*parent, parent_record);
  } else {
    touch(*parent, record.born);
  }
  remember_name(parent_number, name, {number, record.type});
  return made;
}

Result<void> VolumeCore::may_add(Inode& parent, std::string_view name) {
  if (!parent.is_directory()) return fail(Code::kNotDirectory, "create", name);
  if (parent.record.links == 0) return fail(Code::kNotFound, "create", name, "the directory was removed");
  auto there = lookup_locked(parent, name);
  if (there) return fail(Code::kExists, "create", name);
  if (there.error().code() != Code::kNotFound) return std::unexpected(std::move(there).error());
  return {};
}

Result<void> VolumeCore::link(InodeNumber existing, InodeNumber parent_number, std::string_view name) {
  InodeRef parent = DMAP_TRY(inode(parent_number));
  DMAP_TRY(check_name(name));
  InodeRef target = DMAP_TRY(inode(existing));
  if (target->is_directory()) return fail(Code::kIsDirectory, "link", name, "directories have one name");
  InodeLocks locks({parent.get(), target.get()});
  parent->mutex.assert_held();
  target->mutex.assert_held();
  DMAP_TRY(may_add(*parent, name));
  if (target->record.links == 0) return fail(Code::kNotFound, "link", name, "the file was removed");
  if (target->record.links >= kLinksMax) return fail(Code::kTooManyLinks, "link", name);
  Transaction txn;
  DMAP_TRY(record_names({{parent.get(), name, Found{existing, target->type}}}, txn));
  InodeRecord record = current(*target);
  ++record.links;
  record.changed = now();
  DMAP_TRY(commit_inode(*target, record, txn));
  touch(*parent, record.changed);
  remember_name(parent_number, name, {existing, target->type});
  return {};
}

Result<std::string> VolumeCore::read_link(Inode& inode) {
  if (inode.type != FileType::kSymlink) return fail(Code::kInvalid, "read_link", "inode", "it is no symbolic link");
  // The target never changes, so the size needs no lock.
  uint64_t size = inode.size.load(std::memory_order_relaxed);
  return store_->read([&](const Tree& tree) -> Result<std::string> {
    std::string target;
    if (size > Volume::kPathMax) return fail(Code::kCorrupt, "read_link", "inode", "its target is too long");
    while (target.size() < size) {
      auto part = DMAP_TRY(tree.find(key_of(inode.number, Kind::kSymlink, target.size() / kPartSize)));
      bool whole = part && part->size() == std::min<uint64_t>(kPartSize, size - target.size());
      if (!whole) return fail(Code::kCorrupt, "read_link", "inode", "a part of its target is missing");
      target.append(reinterpret_cast<const char*>(part->data()), part->size());
    }
    return target;
  });
}

}  // namespace dmap
