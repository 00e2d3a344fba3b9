// SPDX-License-Identifier: Apache-2.0
//
// Names that go, and with the last of them the object.
//
// An object that nobody has open goes in the same record as its name, if that is a bounded change. Otherwise the record
// leaves an orphan key behind, and the object is reaped (reap.cc) when its last user lets go, or at the next open.
#include "base/check.h"
#include "volume/core.h"

namespace dmap {
namespace {

/// Keys of other kinds (parts of attributes above all) that such a record erases.
constexpr size_t kOtherKeysMax = 2048;

}  // namespace

Result<bool> VolumeCore::record_removal(InodeNumber number, size_t extents_max, Transaction& txn) {
  std::vector<Extent> freed;
  std::vector<Key> keys;
  bool whole = DMAP_TRY(store_->read([&](const Tree& tree) -> Result<bool> {
    Cursor cursor(tree);
    DMAP_TRY(cursor.seek_ge(first_key(number, Kind::kInode)));
    while (cursor.is_on_entry() && cursor.key().object == static_cast<uint64_t>(number)) {
      if (keys.size() == extents_max + kOtherKeysMax) return false;
      if (record_kind(cursor.key()) == Kind::kExtent) {
        if (freed.size() == extents_max) return false;
        Mapping mapping = DMAP_TRY(decode_extent(cursor.value(), offset_of(cursor.key()), store_->superblock().data()));
        freed.push_back({mapping.pfn, FrameCount{mapping.frames}});
      }
      keys.push_back(cursor.key());
      DMAP_TRY(cursor.next());
    }
    return true;
  }));
  if (!whole) return false;
  for (const Key& key : keys) txn.erase(key);
  for (const Extent& extent : freed) {
    DMAP_TRY(store_->space().prepare_release(extent));
    txn.release(extent);
  }
  txn.add_inodes(-1);
  return true;
}

Result<NameLoss> VolumeCore::plan_name_loss(Inode& target, Time time, Transaction& txn) {
  NameLoss loss;
  loss.target = &target;
  loss.record = current(target);
  loss.record.changed = time;
  if (loss.record.links == 0) return fail(Code::kCorrupt, "remove", "inode", "it has a name and counts none");
  loss.record.links = target.is_directory() ? 0 : loss.record.links - 1;
  if (loss.record.links == 0 && target.refs.try_kill_last()) {
    loss.killed = true;
    if (DMAP_TRY(record_removal(target.number, kExtentsAtOnce, txn))) {
      bool queued = target.record.dead_from != kNothingDead;
      if (queued) txn.erase(key_of(kVolumeObject, Kind::kOrphan, static_cast<uint64_t>(target.number)));
      return loss;
    }
    target.refs.revive();
    loss.killed = false;
  }
  if (loss.record.links == 0) {
    txn.put(key_of(kVolumeObject, Kind::kOrphan, static_cast<uint64_t>(target.number)), {});
  }
  txn.put(key_of(target.number, Kind::kInode), encode(loss.record));
  return loss;
}

void VolumeCore::complete_name_loss(NameLoss&& loss, InodeRef& ref) {
  Inode& target = *loss.target;
  target.mutex.assert_held();
  if (loss.killed) {
    // Dead to everybody: out of the cache with it. Its memory stays until the sections that see it are over.
    loss.killed = false;
    CHECK(ref.release() == &target);
    target.record.links = 0;
    RcuReadSection section;
    inodes_.erase_dead(&target);
    return;
  }
  show_record(target, loss.record);
  if (loss.record.links == 0) target.nameless.store(true, std::memory_order_relaxed);
}

Result<void> VolumeCore::unlink(At at, Removal removal) {
  for (;;) {
    Resolved resolved = DMAP_TRY(resolve(at, Follow::kNo));
    if (resolved.name.empty()) return fail(Code::kInvalid, "remove", at.path, "it is not a name in a directory");
    if (!resolved.found) return fail(Code::kNotFound, "remove", at.path);
    InodeRef parent = DMAP_TRY(inode(resolved.parent));
    auto got = inode(resolved.found->inode);
    if (!got && got.error().code() == Code::kNotFound) continue;  // gone in the meantime: look again
    InodeRef target = DMAP_TRY(std::move(got));
    bool is_directory = target->is_directory();
    if (removal == Removal::kFile && is_directory) return fail(Code::kIsDirectory, "remove", at.path);
    if ((removal == Removal::kDirectory || resolved.must_be_directory) && !is_directory) {
      return fail(Code::kNotDirectory, "remove", at.path);
    }
    auto removed = unlink_found(resolved, parent, target);
    if (!removed) return std::unexpected(std::move(removed).error().within("remove", at.path));
    if (*removed) return {};
  }
}

Result<bool> VolumeCore::unlink_found(const Resolved& resolved, InodeRef& parent, InodeRef& target) {
  std::optional<InodeLocks> locks(std::in_place, std::initializer_list<Inode*>{parent.get(), target.get()});
  parent->mutex.assert_held();
  target->mutex.assert_held();
  auto still = lookup_locked(*parent, resolved.name);
  if (!still && still.error().code() != Code::kNotFound) return std::unexpected(std::move(still).error());
  if (!still || still->inode != target->number) return false;
  if (target->is_directory() && !DMAP_TRY(is_empty(*target))) return fail(Code::kNotEmpty);

  Time time = now();
  Transaction txn;
  DMAP_TRY(record_names({{parent.get(), resolved.name, std::nullopt}}, txn));
  InodeRecord parent_record = current(*parent);
  if (target->is_directory()) {
    --parent_record.links;
    parent_record.modified = parent_record.changed = time;
    txn.put(key_of(parent->number, Kind::kInode), encode(parent_record));
  }
  NameLoss loss = DMAP_TRY(plan_name_loss(*target, time, txn));
  forget_name(parent->number, resolved.name);
  DMAP_TRY(store_->commit(txn, {}, Purpose::kDelete, [] {}));
  if (target->is_directory()) {
    show_record(*parent, parent_record);
  } else {
    touch(*parent, time);
  }
  RcuReadSection section;  // keeps a dead object's lock until it is open
  complete_name_loss(std::move(loss), target);
  locks.reset();
  return true;
}

void VolumeCore::forget_name(InodeNumber directory, std::string_view name) { names_.erase(NameKey{directory, name}); }

}  // namespace dmap
