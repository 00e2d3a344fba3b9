// SPDX-License-Identifier: Apache-2.0
//
// What nobody can reach any more: objects without a name or user, and tails that a truncate cut off. Their extents are
// freed in steps, each a record of its own, so that no operation and no replay is unbounded (X5). An orphan key leads
// to them after a restart.
#include "volume/core.h"

namespace dmap {
namespace {

constexpr size_t kKeysAtOnce = 256;

}  // namespace

Result<bool> VolumeCore::record_dead_keys(Key first, Transaction& txn) {
  std::vector<Extent> freed;
  bool more = DMAP_TRY(store_->read([&](const Tree& tree) -> Result<bool> {
    Cursor cursor(tree);
    DMAP_TRY(cursor.seek_ge(first));
    for (size_t keys = 0; cursor.is_on_entry() && cursor.key().object == first.object; ++keys) {
      if (keys == kKeysAtOnce) return true;
      if (record_kind(cursor.key()) == Kind::kExtent) {
        Mapping mapping = DMAP_TRY(decode_extent(cursor.value(), offset_of(cursor.key()), store_->superblock().data()));
        freed.push_back({mapping.pfn, FrameCount{mapping.frames}});
      }
      txn.erase(cursor.key());
      DMAP_TRY(cursor.next());
    }
    return false;
  }));
  for (const Extent& extent : freed) {
    DMAP_TRY(store_->space().prepare_release(extent));
    txn.release(extent);
  }
  return more;
}

Result<void> VolumeCore::drain_dead(Inode& inode) {
  Key orphan = key_of(kVolumeObject, Kind::kOrphan, static_cast<uint64_t>(inode.number));
  while (inode.record.dead_from != kNothingDead) {
    Transaction txn;
    bool more = DMAP_TRY(record_dead_keys(key_of(inode.number, Kind::kExtent, inode.record.dead_from), txn));
    InodeRecord record = current(inode);
    if (!more) {
      record.dead_from = kNothingDead;
      if (record.links > 0) txn.erase(orphan);  // else it still has to vanish itself
    }
    DMAP_TRY(commit_inode(inode, record, txn, Purpose::kDelete));
  }
  return {};
}

Result<void> VolumeCore::reap_inode(InodeRef ref) {
  // Nobody else has it or can get it: no name leads to it, and its number is refused from here on.
  Inode& inode = *ref.release();
  auto reaped = [&]() -> Result<void> {
    Key orphan = key_of(kVolumeObject, Kind::kOrphan, static_cast<uint64_t>(inode.number));
    // Everything but the inode's own key first, so that the orphan key leads to it until it is gone.
    for (bool more = true; more;) {
      Transaction txn;
      more = DMAP_TRY(record_dead_keys(first_key(inode.number, Kind::kInline), txn));
      if (!more) {
        txn.erase(key_of(inode.number, Kind::kInode));
        txn.erase(orphan);
        txn.add_inodes(-1);
      }
      DMAP_TRY(store_->commit(txn, {}, Purpose::kDelete, [] {}));
    }
    return {};
  }();
  RcuReadSection section;
  if (reaped) {
    inodes_.erase_dead(&inode);
  } else {
    inode.refs.revive();
    inode.refs.unref();  // not by InodeRef, which would queue it: our caller does
  }
  return reaped;
}

Result<void> VolumeCore::reap(InodeNumber number) {
  auto found = inode(number);
  if (!found && found.error().code() == Code::kNotFound) {
    // Nothing is left of it but the orphan key, or not even that.
    Transaction txn;
    txn.erase(key_of(kVolumeObject, Kind::kOrphan, static_cast<uint64_t>(number)));
    return store_->commit(txn, {}, Purpose::kDelete, [] {});
  }
  if (!found) return std::unexpected(std::move(found).error());
  InodeRef ref = std::move(*found);
  if (ref->nameless.load(std::memory_order_relaxed)) {
    // Whoever else has it queues it again when he lets go.
    return ref->refs.try_kill_last() ? reap_inode(std::move(ref)) : Result<void>();
  }
  // A writer that is out of space and calls us may hold another inode's lock: never wait for one here.
  if (!ref->mutex.try_lock()) {
    return fail(Code::kBusy);
  }
  auto drained = drain_dead(*ref);
  ref->mutex.unlock();
  return drained;
}

void VolumeCore::reap_dead(const Inode* own) {
  // One at a time, so that whoever closed the last file without a name finds it gone when this returns.
  MutexLock one(reaping_);
  // What cannot go now (its lock is taken, no room for the record, a volume that turned read-only) is tried again in
  // the next round, and after the next open.
  for (InodeNumber number : maintenance_->take_dead()) {
    bool skip = own != nullptr && own->number == number;
    if (skip || !reap(number)) maintenance_->reap_in_next_round(number);
  }
}

Result<void> VolumeCore::adopt_orphans() {
  std::vector<InodeNumber> orphans;
  DMAP_TRY(store_->read([&](const Tree& tree) -> Result<void> {
    Cursor cursor(tree);
    DMAP_TRY(cursor.seek_ge(first_key(kVolumeObject, Kind::kOrphan)));
    while (cursor.is_on_entry() && cursor.key() <= last_key(kVolumeObject, Kind::kOrphan)) {
      orphans.emplace_back(InodeNumber{offset_of(cursor.key())});
      DMAP_TRY(cursor.next());
    }
    return {};
  }));
  for (InodeNumber number : orphans) maintenance_->reap_later(number);
  return {};
}

}  // namespace dmap
