// SPDX-License-Identifier: Apache-2.0
//
// Store: checkpoints and barriers. (Rules J3 to J5.)
#include "base/check.h"
#include "volume/store.h"

namespace dmap {

/// A checkpoint on its way: what was cut out under the lock, to be written without it.
struct Store::Cut {
  RootSlot slot;
  Frozen frozen;
  std::vector<NodeSpace::MapImage> maps;
  std::vector<uint64_t> groups;  ///< whose values went into the tree
  JournalPosition journal;
};

namespace {

/// Nodes that one hold of the tree's lock gives back after a checkpoint.
constexpr size_t kThawBatch = 512;

}  // namespace

Result<void> Store::checkpoint() {
  MutexLock one(checkpoint_mutex_);
  MutexLock syncing(sync_mutex_);
  std::optional<Cut> cut;
  std::optional<SpaceMap::Barrier> barrier;
  {
    WriterLock lock(tree_lock_);
    DMAP_TRY(usable());
    // Nothing new since the last one: nothing to write.
    if (journal_->head().sequence == slot_.journal.sequence && tree_->dirty_nodes() == 0) return {};
    cut = DMAP_TRY(this->cut());
    // What was freed up to the cut becomes durable with it; on other media it is so already.
    if (record_state() == RecordState::kPending) barrier.emplace(space_->begin_barrier());
  }
  if (auto written = write_out(*cut); !written) {
    give_up(*cut);
    return written;
  }
  if (barrier) std::move(*barrier).durable();
  finish(*cut);
  return {};
}

Result<void> Store::make_room_ahead() {
  bool scarce = false;
  {
    ReaderLock lock(tree_lock_);
    DMAP_TRY(usable());
    scarce = nodes_->counts().available < nodes_->counts().usable / 3;
  }
  if (scarce) DMAP_TRY(add_zone());
  return {};
}

Result<Store::Cut> Store::cut() {
  Cut cut;
  auto stored =
      space_->store_dirty_groups([&](uint64_t group, const std::optional<EncodedGroup>& value) -> Result<void> {
        tree_lock_.assert_held();
        Key key = key_of(kVolumeObject, Kind::kSpace, group);
        cut.groups.push_back(group);
        if (value) return tree_->put(key, value->bytes());
        DMAP_TRY(tree_->erase(key));
        return {};
      });
  if (!stored) {
    for (uint64_t group : cut.groups) space_->mark_dirty(group);
    return std::unexpected(std::move(stored).error());
  }
  groups_changed_ = 0;
  uint64_t generation = slot_.generation + 1;
  cut.frozen = tree_->freeze(generation);
  cut.maps = nodes_->freeze(generation);
  cut.journal = journal_->head();
  cut.slot = {.generation = generation,
              .tree = cut.frozen.root(),
              .maps_digest = nodes_->maps_digest(),
              .journal = cut.journal,
              .inode_next = inode_next_.load(std::memory_order_relaxed),
              .inodes = counters_.inodes,
              .owned_frames = space_->counts().owned.value,
              .zones = zones_};
  return cut;
}

Result<void> Store::write_out(Cut& cut) {
  cut.frozen.sort_by_pfn();
  for (size_t i = 0; i < cut.frozen.size(); ++i) {
    Frozen::Image image = cut.frozen.image(i);
    device_->store_streaming(place_of(image.pfn), image.bytes);
  }
  for (const auto& map : cut.maps) device_->store_streaming(place_of(map.pfn), map.bytes);
  device_->fence();
  DMAP_TRY(device_->barrier());
  // One slot after the other, each durable before the next is touched; only when both name this checkpoint may
  // anything go that the one before needed (J4).
  for (uint64_t frame : kRootSlotFrames) DMAP_TRY(write_slot(frame, cut.slot));
  return {};
}

Result<void> Store::write_slot(uint64_t frame, const RootSlot& slot) {
  FrameBytes bytes = encode(slot, superblock_.tag());
  device_->store_streaming(place_of(make_pfn(kHomeDevice, frame)), bytes);
  device_->fence();
  return device_->barrier();
}

void Store::finish(Cut& cut) {
  {
    WriterLock lock(tree_lock_);
    nodes_->complete();
    journal_->release(cut.journal);
    synced_through_ = std::max(synced_through_, cut.journal.sequence);
    wants_checkpoint_.store(false, std::memory_order_relaxed);
  }
  slot_ = std::move(cut.slot);
  checkpoints_.fetch_add(1, std::memory_order_relaxed);
  for (bool done = false; !done;) {
    WriterLock lock(tree_lock_);
    done = tree_->thaw(cut.frozen, kThawBatch);
  }
}

void Store::give_up(Cut& cut) {
  // A slot may or may not name this checkpoint now, so neither what it needs nor what the last one needs may ever be
  // overwritten: the volume takes no more changes. What was acknowledged is in the journal.
  WriterLock lock(tree_lock_);
  failure_ = Error(Code::kReadOnly, "change", device_->name(),
                   "the volume is read-only since a checkpoint could not be written");
  tree_->put_back(std::move(cut.frozen));
}

bool Store::wants_barrier() const {
  if (record_state() == RecordState::kDurable) return false;
  ReaderLock lock(tree_lock_);
  return !failure_ && synced_through_ < changed_through_;
}

Result<void> Store::sync() {
  if (options_.access == Access::kReadOnly) return {};
  switch (device_->traits().persistence) {
    case Persistence::kNone: return {};
    case Persistence::kLineFlush: device_->fence(); return {};
    case Persistence::kSync: break;
  }
  // A journal without room for the marker is emptied by a checkpoint, which makes everything durable too.
  return DMAP_TRY(barrier_for_records()) == Marked::kYes ? Result<void>() : checkpoint();
}

Result<Store::Marked> Store::barrier_for_records() {
  // Group commit: whoever asks while a barrier runs waits for it, and then one barrier serves all who asked meanwhile.
  uint64_t request = sync_requests_.fetch_add(1, std::memory_order_acq_rel) + 1;
  MutexLock one(sync_mutex_);
  if (syncs_served_ >= request) return Marked::kYes;  // by a barrier that began after we asked
  // acquire: what those who asked did before; pairs with the release in their fetch_add()
  const uint64_t serves = sync_requests_.load(std::memory_order_acquire);
  uint64_t through = 0;
  std::optional<SpaceMap::Barrier> barrier;
  {
    WriterLock lock(tree_lock_);
    if (failure_) return std::unexpected(*failure_);
    through = changed_through_;
    barrier.emplace(space_->begin_barrier());
  }
  // First everything that the records speak of, then the word that they count.
  DMAP_TRY(device_->barrier());
  bool marked = false;
  {
    WriterLock lock(tree_lock_);
    if (synced_through_ < through) {
      if (!journal_->has_room(sizeof through)) return Marked::kNoRoom;
      journal_->append_marker(through);
      marked = true;
    }
  }
  if (marked) DMAP_TRY(device_->barrier());
  {
    WriterLock lock(tree_lock_);
    synced_through_ = std::max(synced_through_, through);
  }
  std::move(*barrier).durable();
  syncs_served_ = serves;
  return Marked::kYes;
}

Result<void> Store::settle_quarantine() {
  if (options_.access == Access::kReadOnly) return {};
  if (wants_barrier()) DMAP_TRY(sync());
  space_->mature();
  return {};
}

}  // namespace dmap
