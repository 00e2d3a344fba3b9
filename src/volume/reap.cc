// SPDX-License-Identifier: Apache-2.0
//
// What nobody can reach any more: objects without a name or user, and tails that a truncate cut off. Their extents are
// freed in steps, each a record of its own, so that no operation and no replay is unbounded (X5). An orphan key leads to
// them after a restart.
#include "volume/core.h"

namespace dmap {
namespace {

constexpr size_t kExtentsAtOnce = 256;

}  // namespace

Result<bool> VolumeCore::record_dead_extents(InodeNumber number, uint64_t from_frame, Transaction& txn) {
  std::vector<Extent> freed;
  bool more = DMAP_TRY(store_->read([&](const Tree& tree) -> Result<bool> {
    Cursor cursor(tree);
    DMAP_TRY(cursor.seek_ge(key_of(number, Kind::kExtent, from_frame)));
    while (cursor.is_on_entry() && cursor.key() <= last_key(number, Kind::kExtent)) {
      if (freed.size() == kExtentsAtOnce) return true;
      Mapping mapping = DMAP_TRY(decode_extent(cursor.value(), offset_of(cursor.key()), store_->superblock().frames.value));
      freed.push_back({mapping.pfn, FrameCount{mapping.frames}});
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

Result<void> VolumeCore::record_some_keys(InodeNumber number, Transaction& txn) {
  std::vector<Extent> freed;
  DMAP_TRY(store_->read([&](const Tree& tree) -> Result<void> {
    Cursor cursor(tree);
    DMAP_TRY(cursor.seek_ge(key_of(number, Kind::kInode, 1)));
    for (size_t keys = 0; keys < kExtentsAtOnce && cursor.is_on_entry(); ++keys) {
      if (cursor.key().object != static_cast<uint64_t>(number)) break;
      if (record_kind(cursor.key()) == Kind::kExtent) {
        Mapping mapping = DMAP_TRY(decode_extent(cursor.value(), offset_of(cursor.key()), store_->superblock().frames.value));
        freed.push_back({mapping.pfn, FrameCount{mapping.frames}});
      }
      txn.erase(cursor.key());
      DMAP_TRY(cursor.next());
    }
    return {};
  }));
  for (const Extent& extent : freed) {
    DMAP_TRY(store_->space().prepare_release(extent));
    txn.release(extent);
  }
  return {};
}

Result<void> VolumeCore::drain_dead(Inode& inode) {
  Key orphan = key_of(kVolumeObject, Kind::kOrphan, static_cast<uint64_t>(inode.number));
  while (inode.record.dead_from != kNothingDead) {
    Transaction txn;
    bool more = DMAP_TRY(record_dead_extents(inode.number, inode.record.dead_from, txn));
    InodeRecord record = current(inode);
    if (!more) {
      record.dead_from = kNothingDead;
      if (record.links > 0) txn.erase(orphan);  // else the object itself is to follow
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
    for (;;) {
      Transaction txn;
      bool last = DMAP_TRY(record_removal(inode.number, kExtentsAtOnce, txn));
      if (!last) {
        txn = Transaction();
        DMAP_TRY(record_some_keys(inode.number, txn));
      } else {
        txn.erase(orphan);
      }
      DMAP_TRY(store_->commit(txn, {}, Purpose::kDelete, [] {}));
      if (last) return {};
    }
  }();
  RcuReadSection section;
  if (reaped) {
    inodes_.erase_dead(&inode);
  } else {
    inode.refs.revive();
    InodeRef put_back(&inode);
  }
  return reaped;
}

Result<void> VolumeCore::reap(InodeNumber number) {
  auto found = inode(number);
  if (!found) return found.error().code() == Code::kNotFound ? Result<void>() : std::unexpected(std::move(found).error());
  InodeRef ref = std::move(*found);
  if (ref->nameless.load(std::memory_order_relaxed)) {
    // Whoever else has it queues it again when he lets go.
    return ref->refs.try_kill_last() ? reap_inode(std::move(ref)) : Result<void>();
  }
  // A writer that is out of space and calls us may hold another inode's lock: never wait for one here.
  if (!ref->mutex.try_lock()) {
    maintenance_->reap_later(number);
    return {};
  }
  auto drained = drain_dead(*ref);
  ref->mutex.unlock();
  return drained;
}

void VolumeCore::reap_dead() {
  for (InodeNumber number : maintenance_->take_dead()) {
    // An error here (the device, a corrupt node) has made the volume read-only or will meet the next open again.
    if (!reap(number)) return;
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
