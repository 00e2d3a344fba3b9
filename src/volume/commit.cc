// SPDX-License-Identifier: Apache-2.0
//
// Store: making a transaction's changes, and making room for them.
#include <algorithm>

#include "base/check.h"
#include "volume/store.h"

namespace dmap {
namespace {

/// A checkpoint is asked for in the background when half of a budget is used, and forced when all of it is.
bool is_pressing(uint64_t used, uint64_t budget) { return used >= budget / 2; }

}  // namespace

RecordState Store::record_state() const {
  return device_->traits().persistence == Persistence::kSync ? RecordState::kPending : RecordState::kDurable;
}

Result<void> Store::usable() const {
  if (failure_) return std::unexpected(*failure_);
  if (options_.access == Access::kReadOnly)
    return fail(Code::kReadOnly, "change", device_->name(), "the volume is open for reading");
  return {};
}

uint64_t Store::node_frames_for(const Transaction& transaction) const {
  // Each area has its path. A long run of neighbours (extents, parts of an attribute) has leaves besides, which are
  // paid for by what they hold: at worst a third full, written or emptied.
  return transaction.key_areas() * (tree_->node_frames_max_per_change() + 2) + 2 * transaction.size() / 1024;
}

uint64_t Store::node_frames_reserve() const { return nodes_->counts().usable / 8; }

Store::Shortage Store::shortage(const Transaction& transaction, Purpose purpose) const {
  if (!journal_->has_room(transaction.size())) return Shortage::kJournal;
  uint64_t budget = std::max<uint64_t>(frames_within(options_.dirty_nodes).value, 64);
  if (tree_->dirty_nodes() + tree_->frozen_nodes() >= 2 * budget) return Shortage::kDirtyNodes;
  if (tree_->dirty_nodes() >= budget) return Shortage::kDirtyNodes;
  // A checkpoint itself changes keys, one for each group whose owned frames changed; several share a leaf.
  uint64_t for_checkpoint = groups_changed_ + 2 * tree_->node_frames_max_per_change();
  uint64_t need = node_frames_for(transaction) + for_checkpoint;
  if (purpose != Purpose::kDelete) need += node_frames_reserve();
  return nodes_->counts().available < need ? Shortage::kNodeFrames : Shortage::kNone;
}

Result<void> Store::make_room(Shortage shortage, int attempt, const Transaction& transaction) {
  if (transaction.size() > kRecordPayloadMax) {
    return fail(Code::kTooBig, "change", device_->name(), "the change does not fit in one journal record");
  }
  if (shortage == Shortage::kNodeFrames) {
    // First the frames that a checkpoint would free, then a new zone, then the truth.
    if (attempt > 0 && DMAP_TRY(add_zone())) return {};
    if (attempt > 1) return fail(Code::kNoSpace, "change", device_->name(), "no room for metadata");
  }
  if (attempt > 64) return fail(Code::kNoSpace, "change", device_->name(), "a checkpoint made no room");
  return checkpoint();
}

Result<void> Store::commit(Transaction& transaction, std::span<Reservation> reservations, Purpose purpose,
                           FunctionRef<void()> show) {
  for (int attempt = 0;; ++attempt) {
    Shortage missing = Shortage::kNone;
    {
      WriterLock lock(tree_lock_);
      DMAP_TRY(usable());
      missing = shortage(transaction, purpose);
      if (missing == Shortage::kNone) {
        Counters counters = counters_;
        counters.inode_next = inode_next_.load(std::memory_order_relaxed);
        counters.inodes += static_cast<uint64_t>(transaction.inodes_more());
        auto payload = transaction.seal(counters);
        if (auto applied = apply_keys(payload); !applied) {
          // Part of the change is in the tree in RAM: nothing of it may reach the device.
          failure_ = Error(Code::kReadOnly, "change", device_->name(),
                           "the volume is read-only since an operation failed half-way: " + applied.error().message());
          return applied;
        }
        counters_ = counters;
        for (Reservation& reservation : reservations) space_->commit(std::move(reservation));
        journal_->append(payload);
        changed_through_ = journal_->head().sequence;
        show();
        apply_releases(payload, record_state());
        note_groups(transaction);
        note_pressure();
        return {};
      }
    }
    DMAP_TRY(make_room(missing, attempt, transaction));
  }
}

Result<void> Store::apply_keys(std::span<const std::byte> payload) {
  auto reader = DMAP_TRY(TransactionReader::open(payload));
  while (!reader.at_end()) {
    Change change = DMAP_TRY(reader.next());
    if (auto* put = std::get_if<PutKey>(&change)) {
      DMAP_TRY(tree_->put(put->key, put->value));
    } else if (auto* erase = std::get_if<EraseKey>(&change)) {
      DMAP_TRY(tree_->erase(erase->key));
    } else if (auto* zone = std::get_if<AddZone>(&change)) {
      DMAP_TRY(adopt_zone(zone->extent));
    }
  }
  return {};
}

void Store::apply_releases(std::span<const std::byte> payload, RecordState record) {
  auto reader = TransactionReader::open(payload);
  CHECK(reader.has_value());
  while (!reader->at_end()) {
    auto change = reader->next();
    CHECK(change.has_value());
    if (auto* release = std::get_if<ReleaseFrames>(&*change)) {
      space_->release(release->extent, record);
    }
  }
}

void Store::note_groups(const Transaction& transaction) {
  uint64_t groups = superblock_.frames.value / kGroupFrames + 1;
  groups_changed_ =
      std::min(groups, groups_changed_ + 2 * transaction.frame_changes() + transaction.frames_changed() / kGroupFrames);
}

void Store::note_pressure() {
  uint64_t budget = frames_within(options_.dirty_nodes).value;
  bool pressing = is_pressing(journal_->used().value, journal_->size().value) ||
                  is_pressing(tree_->dirty_nodes(), budget) ||
                  (nodes_->counts().available < node_frames_reserve() * 3 / 2 && tree_->dirty_nodes() > budget / 64);
  wants_checkpoint_.store(pressing, std::memory_order_relaxed);  // relaxed: a hint for the background
}

Result<void> Store::adopt_zone(Extent zone) {
  if (zones_.size() == kZonesMax) return fail(Code::kCorrupt, "replay", device_->name(), "too many metadata zones");
  auto begin = place_of(zone.first).value;
  std::span<const std::byte> bytes(device_->data() + begin, bytes_of(zone.count).value);
  DMAP_TRY(nodes_->add_zone(zone, bytes));
  zones_.push_back(zone);
  return {};
}

Result<bool> Store::add_zone() {
  MutexLock one(zone_mutex_);
  {
    ReaderLock lock(tree_lock_);
    if (zones_.size() == kZonesMax) return false;
  }
  FrameCount want{std::clamp<uint64_t>(superblock_.frames.value / 64, 64, 32256)};
  auto run = space_->reserve_run(want, FrameCount{64});
  if (!run) {
    if (run.error().code() == Code::kNoSpace) return false;
    return std::unexpected(std::move(run).error());
  }
  Transaction transaction;
  transaction.add_zone(run->pieces()[0]);
  WriterLock lock(tree_lock_);
  DMAP_TRY(usable());
  if (!journal_->has_room(transaction.size())) return false;
  Counters counters = counters_;
  counters.inode_next = inode_next_.load(std::memory_order_relaxed);
  auto payload = transaction.seal(counters);
  DMAP_TRY(apply_keys(payload));
  space_->commit(std::move(*run), SpaceUse::kMetadata);
  journal_->append(payload);
  changed_through_ = journal_->head().sequence;
  return true;
}

InodeNumber Store::new_inode_number() {
  return InodeNumber{inode_next_.fetch_add(1, std::memory_order_relaxed)};  // relaxed: numbers need only be distinct
}

}  // namespace dmap
