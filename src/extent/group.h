// SPDX-License-Identifier: Apache-2.0
//
// A group: 8192 frames of one device, and what each of them is.
//
// A frame's state is one four-bit number, kept in four bit-planes; so it is exactly one thing (X1) by construction.
//
//        reserve          commit, claim               release
//   kFree ----> kReserved ----> kOwned ---------------------------> kFreed --begin_barrier--> kSealed
//     ^  <-----    |                \   (its record is durable)                                  | the barrier is done
//     |    cancel  +-> kMetadata     +-----------------------------------------> kDurable <------+
//     |                                                                             |  ^
//     |                                                              a grace period |  | under a view: next time
//     |                                        no hold                              v  |
//     +------------------------------------------------------------------------- kRipe
//     |                                        the last hold is dropped             | a descriptor holds it
//     +------------------------------------------------------------- kHeld <--------+
//
// kFreed to kHeld are the quarantine. kMetadata and kBad come from kFree when a volume is formatted or opened.
#ifndef DMAP_EXTENT_GROUP_H_
#define DMAP_EXTENT_GROUP_H_

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/check.h"
#include "dmap/types.h"
#include "extent/group_codec.h"

namespace dmap {

enum class FrameState : uint8_t {
  kFree,      // zero, so that a new group is free
  kReserved,  // promised to an operation under way
  kOwned,     // a committed record gave it to somebody
  kMetadata,  // superblocks, the journal, metadata zones
  kBad,       // not to be used
  kFreed,     // quarantine: the freeing record is not known to be durable
  kSealed,    // quarantine: the barrier under way makes the record durable
  kDurable,   // quarantine: the record is durable, readers may still look
  kRipe,      // quarantine: mature() is at it
  kHeld,      // quarantine: a descriptor's hold keeps it
  kBeyond,    // behind the device's end
};
inline constexpr size_t kFrameStates = 11;

/// Frames [first, first + count) of a group.
struct FrameRun {
  uint32_t first = 0;
  uint32_t count = 0;

  friend constexpr bool operator==(FrameRun, FrameRun) = default;
  [[nodiscard]] constexpr uint32_t end() const { return first + count; }
};

class Group;

/// A group's place in a GroupList.
struct GroupLink {
  Group* next = nullptr;
  bool linked = false;
};

/// Not thread safe: the lock of its SpaceBook covers it. Does not allocate.
class Group {
 public:
  static constexpr uint32_t kLarges = kGroupFrames / kLargeFrames;
  /// kLargeFree: a free run as long as a whole large frame. Runs are counted within one large frame each.
  static constexpr uint32_t kLargeFree = kLargeFrames;

  /// Group `number` of the device that `first` lies on; only its first `frames` frames exist; `owned` are kOwned.
  Group(Pfn first, uint32_t frames, const GroupBits& owned);
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  [[nodiscard]] uint64_t number() const { return index_of(first_) / kGroupFrames; }
  [[nodiscard]] uint32_t frames() const { return frames_; }
  [[nodiscard]] Extent extent_of(FrameRun run) const { return {first_ + FrameCount{run.first}, FrameCount{run.count}}; }

  [[nodiscard]] FrameState state(uint32_t frame) const;
  [[nodiscard]] uint32_t count(FrameState state) const { return counts_[static_cast<size_t>(state)]; }
  /// The first frame in [from, end) that is, or is not, in `state`; `end` if there is none.
  [[nodiscard]] uint32_t next_in(FrameState state, uint32_t from, uint32_t end) const;
  [[nodiscard]] uint32_t next_not_in(FrameState state, uint32_t from, uint32_t end) const;
  /// Calls visit(run) for the runs of `state` within `where`; visit may change the states of its run.
  template <typename Visit>
  void for_each_run(FrameState state, FrameRun where, Visit&& visit) const;
  [[nodiscard]] GroupBits owned() const;

  /// The one place where states change. Every frame of `run` must be in `from`.
  void change(FrameRun run, FrameState from, FrameState to);

  /// The large frames that are wholly free, one bit each.
  [[nodiscard]] uint32_t free_larges() const;
  /// At least the longest free run that lies in a partly used large frame; 0 if there is none.
  [[nodiscard]] uint32_t fragment_bound() const;
  /// A free run of at least `least` frames in a partly used large frame, cut to `most`. What it learns in vain lowers
  /// fragment_bound() below `least`.
  [[nodiscard]] std::optional<FrameRun> find_fragment(uint32_t least, uint32_t most);

  /// Proves counts and bounds against the planes.
  [[nodiscard]] bool check_invariants() const;

  GroupLink dirty_link;    // owned frames differ from the stored value
  GroupLink limbo_link;    // has frames in kFreed, kSealed or kDurable
  GroupLink ripe_link;     // has frames in kRipe
  int indexed_order = -1;  // what the index of the SpaceBook says of fragment_bound(); see there

 private:
  static constexpr unsigned kPlanes = 4;
  struct Planes {
    std::array<uint64_t, kPlanes> plane{};
  };

  [[nodiscard]] uint64_t word(FrameState state, uint32_t index) const;
  [[nodiscard]] uint32_t longest_run_in(uint32_t large) const;
  [[nodiscard]] bool partly_used(uint32_t large) const {
    return free_in_large_[large] != 0 && free_in_large_[large] != kLargeFree;
  }
  void count_free(FrameRun run, FrameState from, FrameState to);

  Pfn first_;
  uint32_t frames_;
  std::array<uint16_t, kFrameStates> counts_{};
  std::array<uint16_t, kLarges> free_in_large_{};
  std::array<uint16_t, kLarges> longest_bound_{};  // per large frame: at least its longest free run
  std::array<Planes, kGroupFrames / 64> words_{};
};

/// A first-in, first-out list of groups that needs no memory of its own. A group is in it at most once.
template <GroupLink Group::* kLink>
class GroupList {
 public:
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  [[nodiscard]] Group* first() const { return first_; }
  [[nodiscard]] static Group* after(const Group& group) { return (group.*kLink).next; }

  void push(Group& group) {
    GroupLink& link = group.*kLink;
    if (link.linked) return;
    link = {.next = nullptr, .linked = true};
    (first_ == nullptr ? first_ : (last_->*kLink).next) = &group;
    last_ = &group;
  }

  Group* pop() {
    Group* group = first_;
    if (group == nullptr) return nullptr;
    first_ = std::exchange(group->*kLink, GroupLink{}).next;
    return group;
  }

 private:
  Group* first_ = nullptr;
  Group* last_ = nullptr;
};

template <typename Visit>
void Group::for_each_run(FrameState state, FrameRun where, Visit&& visit) const {
  for (uint32_t first = next_in(state, where.first, where.end()); first < where.end();) {
    const uint32_t end = next_not_in(state, first, where.end());
    visit(FrameRun{first, end - first});
    first = next_in(state, end, where.end());
  }
}

}  // namespace dmap

#endif  // DMAP_EXTENT_GROUP_H_
