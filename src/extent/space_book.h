// SPDX-License-Identifier: Apache-2.0
//
// The book of one device's frames: its loaded groups, the sums over all groups, and an index that finds space.
#ifndef DMAP_EXTENT_SPACE_BOOK_H_
#define DMAP_EXTENT_SPACE_BOOK_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "dmap/result.h"
#include "dmap/types.h"
#include "extent/group.h"
#include "extent/group_set.h"
#include "extent/sparse_array.h"

namespace dmap {

/// How many frames are what. The members after `total` add up to it; `held` is a part of `quarantined`.
struct SpaceCounts {
  FrameCount total;
  FrameCount free;
  FrameCount reserved;
  FrameCount owned;
  FrameCount metadata;
  FrameCount bad;
  FrameCount quarantined;
  FrameCount held;
};

/// One step of an allocation: what it still needs and where it would like it.
struct SpaceRequest {
  uint64_t frames = 0;        // still wanted, > 0
  std::optional<Pfn> goal{};  // best right here
  bool large = false;         // wholly free large frames first
  uint64_t piece_min = 1;     // a power of two up to 512
};

/// The group that a step must know before it can go on.
struct Unloaded {
  uint64_t group;
};
/// Nothing fits.
struct Nothing {};
using Taken = std::variant<Extent, Unloaded, Nothing>;

/// Not thread safe: SpaceMap's lock covers it. Only install() allocates.
///
/// Invariants, proved by check_invariants():
///   B1 a group's counts and bounds agree with its frames (Group::check_invariants)
///   B2 the sums agree with the loaded groups, and what is not loaded fits what is left
///   B3 a loaded group with a wholly free large frame is in `large`, one with nothing else in `whole`; in fragments[k]
///      exactly if its fragment_bound() is 2^k or more. A group that is not loaded may be anything, so it is in the
///      first two and not in the third.
///   B4 a group with frames in kFreed, kSealed or kDurable is in `limbo`, one with frames in kRipe in `ripe`
class SpaceBook {
 public:
  /// Errors: corrupt if `owned` is more than `frames`; no_memory.
  [[nodiscard]] static Result<SpaceBook> create(DeviceNumber device, FrameCount frames, FrameCount owned);

  [[nodiscard]] DeviceNumber device() const { return device_; }
  [[nodiscard]] uint64_t groups() const { return groups_; }
  [[nodiscard]] uint32_t frames_of(uint64_t group) const;
  [[nodiscard]] bool contains(Extent extent) const;

  /// Null if the group is not loaded.
  [[nodiscard]] Group* group(uint64_t number) const { return table_[number]; }
  /// Enters a group as the tree has it; a second copy of one that is there already is dropped.
  /// Errors: corrupt, if it disagrees with the sum of owned frames that create() was given.
  [[nodiscard]] Result<void> install(std::unique_ptr<Group> group);

  /// All frames of `extent`, in loaded groups, go from one state to another.
  void change(Extent extent, FrameState from, FrameState to);
  void change(Group& group, FrameRun run, FrameState from, FrameState to);
  /// Calls visit(group, run) for each group that `extent` touches, null for one that is not loaded.
  template <typename Visit>
  void for_each_part(Extent extent, Visit&& visit) const;

  /// Takes (free -> reserved) the best single piece for the request; see space_search.cc.
  [[nodiscard]] Taken take(const SpaceRequest& request);
  /// Moves the search to another part of the device, after much of this one turned out to be full.
  void skip_ahead();
  /// The first group at or after `from` that may have free frames, not loaded or loaded.
  [[nodiscard]] std::optional<uint64_t> next_with_space(uint64_t from) const;

  [[nodiscard]] SpaceCounts counts() const;
  [[nodiscard]] FrameCount free() const;
  [[nodiscard]] FrameCount in(FrameState state) const { return FrameCount{sums_[static_cast<size_t>(state)]}; }
  [[nodiscard]] bool check_invariants() const;

  GroupList<&Group::dirty_link> dirty;
  GroupList<&Group::limbo_link> limbo;
  GroupList<&Group::ripe_link> ripe;

 private:
  /// Runs of 2^0 to 2^8 frames; a longer one needs a wholly free large frame.
  static constexpr unsigned kOrders = 9;

  struct Index {
    GroupSet large;                   // may have a wholly free large frame
    GroupSet whole;                   // may be wholly free
    std::vector<GroupSet> fragments;  // by order k: has, in a partly used large frame, perhaps a run of 2^k frames
  };

  SpaceBook(DeviceNumber device, FrameCount frames, FrameCount owned, SparseArray<Group*> table, Index index);

  void reindex(Group& group);
  Extent reserve(Group& group, FrameRun run);
  std::optional<Taken> take_at_goal(const SpaceRequest& request);
  std::optional<Taken> take_large(const SpaceRequest& request);
  std::optional<Taken> take_fragment(uint64_t least, uint64_t most, unsigned order);
  std::optional<Taken> break_large(const SpaceRequest& request);

  DeviceNumber device_;
  uint64_t frames_;
  uint64_t groups_;
  SparseArray<Group*> table_;
  std::vector<std::unique_ptr<Group>> loaded_;
  Index index_;
  std::array<uint64_t, kFrameStates> sums_{};  // over the loaded groups
  uint64_t unloaded_frames_;
  uint64_t unloaded_owned_;
  uint64_t small_cursor_ = 0;  // the group where the last small piece was found
  uint64_t large_cursor_ = 0;  // and the last large one
};

template <typename Visit>
void SpaceBook::for_each_part(Extent extent, Visit&& visit) const {
  const uint64_t end = index_of(extent.first) + extent.count.value;
  for (uint64_t at = index_of(extent.first); at < end;) {
    const uint64_t behind = std::min(end, (at / kGroupFrames + 1) * kGroupFrames);
    visit(table_[at / kGroupFrames],
          FrameRun{static_cast<uint32_t>(at % kGroupFrames), static_cast<uint32_t>(behind - at)});
    at = behind;
  }
}

}  // namespace dmap

#endif  // DMAP_EXTENT_SPACE_BOOK_H_
