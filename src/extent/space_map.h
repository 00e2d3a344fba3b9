// SPDX-License-Identifier: Apache-2.0
//
// The free space of one device, and the quarantine that freed frames pass before anybody gets them again.
//
// The life of a frame is drawn in extent/group.h. Who moves it along:
//
//   reserve()          free -> reserved                               any thread
//   commit()           reserved -> owned (or metadata)                under the volume's commit lock, with the record
//   prepare_release()  loads what release() touches; may fail         before the record is written
//   release()          owned -> quarantine; cannot fail or allocate   under the commit lock, with the record
//   begin_barrier()    on sync media: the records up to here ...
//   Barrier::durable() ... are durable now
//   mature()           after a grace period: free, or held            a background thread, and reserve() in need
//   on_holds_gone()    held -> free                                   whoever drops the last hold
//
// Invariants (docs/ARCHITECTURE.md, X1 to X5), proved for the loaded groups by check_invariants():
//   X1 a frame is exactly one of FrameState
//   X2 a frame leaves quarantine only after a grace period, with no hold (HoldChecker) and no view (ViewSlots)
//   X3 release() waits for nobody
//   X4 a frame becomes free only after the record that freed it is durable
//   X5 reserve() leaves Limits::kept_for_metadata frames to reserve_run()
//
// Groups are loaded from the tree when first touched; a group that nobody touches costs no memory.
#ifndef DMAP_EXTENT_SPACE_MAP_H_
#define DMAP_EXTENT_SPACE_MAP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "dmap/result.h"
#include "dmap/types.h"
#include "extent/group_codec.h"
#include "extent/hold_checker.h"
#include "extent/reservation.h"
#include "extent/space_book.h"
#include "frame/view_slots.h"

namespace dmap {

/// Where the stored groups are: the metadata tree. Thread safe; may block for a read; called without any lock of ours.
class GroupSource {
 public:
  virtual ~GroupSource() = default;
  /// The value that the last checkpoint stored for `group`; nothing if the group is wholly free.
  virtual Result<std::optional<EncodedGroup>> load(uint64_t group) = 0;
};

/// How a file would like its frames.
struct SpaceHint {
  enum class Size : uint8_t { kUnknown, kLarge };

  std::optional<Pfn> near{};   // best right here: behind the file's last extent
  Size size = Size::kUnknown;  // kLarge: wholly free large frames first, even for a small request
  FrameCount piece_min{1};     // no shorter pieces, but for one at `near` and the last; rounded up to 2^n, at most 512
};

/// What a committed reservation is for. Only data is part of the stored groups: metadata is known by other means.
enum class SpaceUse : uint8_t { kData, kMetadata };

/// Frames that are neither free nor anybody's data, known when a volume is formatted or opened.
enum class FixedUse : uint8_t { kMetadata, kBad };

/// Whether the record that frees an extent is durable already (line-flush media, replay) or waits for a barrier.
enum class RecordState : uint8_t { kDurable, kPending };

/// All functions may be called from any thread, and none from inside an RcuReadSection unless it says so. They block
/// for a short lock, and for loading groups where they say so.
class SpaceMap {
 public:
  struct Limits {
    FrameCount kept_for_metadata;  // free frames that reserve() does not touch
  };

  /// `owned` is the sum of owned frames at the checkpoint that `source` shows. The references must outlive the map.
  /// Errors: corrupt if `owned` cannot be; no_memory. Does not load any group.
  [[nodiscard]] static Result<std::unique_ptr<SpaceMap>> create(DeviceNumber device, FrameCount frames,
                                                                FrameCount owned, GroupSource& source,
                                                                HoldChecker& holds, ViewSlots& views, Limits limits);

  /// Promises `want` > 0 frames, all or nothing, in few pieces. Loads groups. Waits for a grace period if quarantined
  /// frames are needed, so the caller must not hold what a read section waits for.
  /// Errors: no_space, with what is free and what is in quarantine; corrupt or io from loading.
  [[nodiscard]] Result<Reservation> reserve(FrameCount want, SpaceHint hint);

  /// Promises one piece of [least, want] frames, as long as a bounded search finds. For metadata zones: may use the
  /// frames kept for metadata. Loads groups. Errors as reserve().
  [[nodiscard]] Result<Reservation> reserve_run(FrameCount want, FrameCount least);

  /// The frames are owned from now on. Under the commit lock, so that owned frames match the journal's order.
  void commit(Reservation reservation, SpaceUse use = SpaceUse::kData);

  /// Replay: `extent` is owned. Owned already is fine, and so is released by an earlier record. Loads groups.
  /// Errors: corrupt if it lies outside of the device or belongs to somebody else; io.
  [[nodiscard]] Result<void> claim(Extent extent);

  /// Format and open: `extent` is not free but nobody's data. Loads groups. Errors as claim(); what is so already is
  /// fine.
  [[nodiscard]] Result<void> reserve_fixed(Extent extent, FixedUse use);

  /// Makes sure that release() of `extent` can do its work. Loads groups.
  /// Errors: corrupt, if not all of it is owned data; io.
  [[nodiscard]] Result<void> prepare_release(Extent extent);

  /// Gives back an owned extent after prepare_release(). Under the commit lock. Never fails, allocates or waits for
  /// holds; may be called inside an RcuReadSection.
  void release(Extent extent, RecordState record);

  /// A barrier of the media under way. Dying without durable() means that it failed: its frames wait for the next.
  class [[nodiscard]] Barrier {
   public:
    Barrier(Barrier&& other) noexcept : map_(std::exchange(other.map_, nullptr)) {}
    Barrier& operator=(Barrier&&) = delete;
    ~Barrier();

    /// Every record written before begin_barrier() is durable. Does not block for a grace period.
    void durable() &&;

   private:
    friend class SpaceMap;
    explicit Barrier(SpaceMap& map) : map_(&map) {}
    SpaceMap* map_;
  };

  /// Call before the media's barrier is issued. One at a time.
  [[nodiscard]] Barrier begin_barrier();

  /// Waits for a grace period, then frees what is durable and neither held nor viewed. Returns how many frames that
  /// were. Cheap if there is nothing to do.
  FrameCount mature();

  /// The descriptor for `run` lost its last hold: what it kept in quarantine is free. See HoldChecker::retire() for
  /// when to call it. Never fails or allocates; meant to be called inside an RcuReadSection.
  void on_holds_gone(Extent run);

  /// Calls store(group, value) for each group whose owned frames have changed since it was last stored; no value means
  /// wholly free. Under the commit lock, which keeps the owned frames as they are. On an error the group that failed
  /// and the rest stay to be stored. Errors: those of `store`.
  using StoreGroup = std::function<Result<void>(uint64_t group, const std::optional<EncodedGroup>& value)>;
  [[nodiscard]] Result<void> store_dirty_groups(const StoreGroup& store);

  /// What store_dirty_groups() stored is lost (its checkpoint failed): store `group` again next time.
  void mark_dirty(uint64_t group);

  [[nodiscard]] SpaceCounts counts() const;
  /// Loads the group. Errors: corrupt if there is no such frame; io.
  [[nodiscard]] Result<FrameState> state_of(Pfn pfn);
  /// Proves X1 and the inner invariants for the loaded groups. Takes time proportional to them, under the lock.
  [[nodiscard]] bool check_invariants() const;

 private:
  friend class Reservation;

  struct Quarantine {
    std::vector<Extent> unheld;  // only to keep its memory from one mature() to the next
  };

  SpaceMap(SpaceBook book, GroupSource& source, HoldChecker& holds, ViewSlots& views, Limits limits);

  // Loading, without the lock; see space_map.cc.
  enum class Space : uint8_t { kSome, kNone };
  Result<Space> load(uint64_t number);
  Result<void> load_all(Extent extent, std::string_view operation);

  // Allocation.
  Result<Reservation> try_reserve(FrameCount want, const SpaceHint& hint);
  Result<Reservation> try_reserve_run(FrameCount want, FrameCount least);
  Result<Extent> find_run(FrameCount want, FrameCount least);
  void cancel(const Reservation& reservation);
  Error no_space(FrameCount want, std::string_view what) const;
  /// Whether mature() might free something now.
  bool may_mature() const;
  Result<void> take_over(Extent extent, std::span<const FrameState> from, FrameState to, std::string_view operation);

  // Quarantine; see space_quarantine.cc.
  void finish_barrier(FrameState to);
  FrameCount settle(SpaceBook& book, Group& group, Quarantine& work);

  const DeviceNumber device_;
  const uint64_t groups_;
  GroupSource& source_;
  HoldChecker& holds_;
  ViewSlots& views_;
  const Limits limits_;
  Guarded<Quarantine> maturing_;  // held for a whole mature(); taken before book_
  Guarded<SpaceBook> book_;
  Guarded<bool> barrier_open_{false};
};

}  // namespace dmap

#endif  // DMAP_EXTENT_SPACE_MAP_H_
