// SPDX-License-Identifier: Apache-2.0
#include "extent/space_book.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "base/check.h"

namespace dmap {

Result<SpaceBook> SpaceBook::create(DeviceNumber device, FrameCount frames, FrameCount owned) {
  CHECK(frames.value > 0 && frames.value <= kPfnIndexMask + 1);
  if (owned > frames) {
    return fail(Code::kCorrupt, "open free space", "device " + std::to_string(static_cast<unsigned>(device)),
                std::to_string(owned.value) + " frames owned of " + std::to_string(frames.value));
  }
  const uint64_t groups = (frames.value + kGroupFrames - 1) / kGroupFrames;
  Index index{.large = DMAP_TRY(GroupSet::create(groups, GroupSet::Born::kFull)),
              .whole = DMAP_TRY(GroupSet::create(groups, GroupSet::Born::kFull)),
              .fragments = {}};
  for (unsigned order = 0; order < kOrders; ++order) {
    index.fragments.push_back(DMAP_TRY(GroupSet::create(groups, GroupSet::Born::kEmpty)));
  }
  return SpaceBook(device, frames, owned, DMAP_TRY(SparseArray<Group*>::create(groups)), std::move(index));
}

SpaceBook::SpaceBook(DeviceNumber device, FrameCount frames, FrameCount owned, SparseArray<Group*> table, Index index)
    : device_(device),
      frames_(frames.value),
      groups_((frames.value + kGroupFrames - 1) / kGroupFrames),
      table_(std::move(table)),
      index_(std::move(index)),
      unloaded_frames_(frames.value),
      unloaded_owned_(owned.value) {}

uint32_t SpaceBook::frames_of(uint64_t group) const {
  return static_cast<uint32_t>(std::min<uint64_t>(kGroupFrames, frames_ - group * kGroupFrames));
}

bool SpaceBook::contains(Extent extent) const {
  return device_of(extent.first) == device_ && extent.count > FrameCount{0} && index_of(extent.first) < frames_ &&
         extent.count.value <= frames_ - index_of(extent.first);
}

Result<void> SpaceBook::install(std::unique_ptr<Group> group) {
  const uint64_t number = group->number();
  if (table_[number] != nullptr) return {};
  const uint64_t owned = group->count(FrameState::kOwned);
  const uint64_t frames_left = unloaded_frames_ - group->frames();
  if (owned > unloaded_owned_ || unloaded_owned_ - owned > frames_left) {
    return fail(Code::kCorrupt, "load free space", "group " + std::to_string(number),
                std::to_string(owned) + " frames owned here, " + std::to_string(unloaded_owned_) + " in all " +
                    std::to_string(unloaded_frames_) + " frames not loaded yet");
  }
  unloaded_frames_ = frames_left;
  unloaded_owned_ -= owned;
  for (size_t state = 0; state < kFrameStates; ++state) sums_[state] += group->count(FrameState{uint8_t(state)});
  table_[number] = group.get();
  index_.large.populate(number);
  index_.whole.populate(number);
  for (GroupSet& fragments : index_.fragments) fragments.populate(number);
  reindex(*group);
  loaded_.push_back(std::move(group));
  return {};
}

void SpaceBook::change(Extent extent, FrameState from, FrameState to) {
  for_each_part(extent, [&](Group* group, FrameRun run) {
    CHECK(group != nullptr);
    change(*group, run, from, to);
  });
}

void SpaceBook::change(Group& group, FrameRun run, FrameState from, FrameState to) {
  group.change(run, from, to);
  sums_[static_cast<size_t>(from)] -= run.count;
  sums_[static_cast<size_t>(to)] += run.count;
  if (from == FrameState::kFree || to == FrameState::kFree) reindex(group);
  if (from == FrameState::kOwned || to == FrameState::kOwned) dirty.push(group);
  if (to == FrameState::kFreed || to == FrameState::kSealed || to == FrameState::kDurable) limbo.push(group);
  if (to == FrameState::kRipe) ripe.push(group);
}

void SpaceBook::reindex(Group& group) {
  const uint64_t number = group.number();
  const uint32_t larges = group.free_larges();
  larges != 0 ? index_.large.add(number) : index_.large.remove(number);
  larges == (1U << Group::kLarges) - 1 ? index_.whole.add(number) : index_.whole.remove(number);

  const int order =
      static_cast<int>(std::min<unsigned>(std::bit_width(group.fragment_bound()), kOrders)) - 1;  // -1: no fragment
  while (group.indexed_order < order) index_.fragments[static_cast<size_t>(++group.indexed_order)].add(number);
  while (group.indexed_order > order) index_.fragments[static_cast<size_t>(group.indexed_order--)].remove(number);
}

FrameCount SpaceBook::free() const { return in(FrameState::kFree) + FrameCount{unloaded_frames_ - unloaded_owned_}; }

SpaceCounts SpaceBook::counts() const {
  SpaceCounts counts{.total = FrameCount{frames_},
                     .free = free(),
                     .reserved = in(FrameState::kReserved),
                     .owned = in(FrameState::kOwned) + FrameCount{unloaded_owned_},
                     .metadata = in(FrameState::kMetadata),
                     .bad = in(FrameState::kBad),
                     .quarantined = {},
                     .held = in(FrameState::kHeld)};
  counts.quarantined = in(FrameState::kFreed) + in(FrameState::kSealed) + in(FrameState::kDurable) +
                       in(FrameState::kRipe) + in(FrameState::kHeld);
  return counts;
}

bool SpaceBook::check_invariants() const {
  std::array<uint64_t, kFrameStates> sums{};
  uint64_t frames = 0;
  for (const auto& group : loaded_) {
    const uint64_t number = group->number();
    if (!group->check_invariants() || table_[number] != group.get()) return false;  // B1
    frames += group->frames();
    for (size_t state = 0; state < kFrameStates; ++state) sums[state] += group->count(FrameState{uint8_t(state)});

    const uint32_t larges = group->free_larges();
    if (index_.large.contains(number) != (larges != 0)) return false;  // B3
    if (index_.whole.contains(number) != (larges == (1U << Group::kLarges) - 1)) return false;
    for (unsigned order = 0; order < kOrders; ++order) {
      if (index_.fragments[order].contains(number) != (group->fragment_bound() >> order != 0)) return false;
    }
    const bool in_limbo =
        group->count(FrameState::kFreed) + group->count(FrameState::kSealed) + group->count(FrameState::kDurable) > 0;
    if (in_limbo && !group->limbo_link.linked) return false;  // B4
    if (group->count(FrameState::kRipe) > 0 && !group->ripe_link.linked) return false;
  }
  if (sums != sums_ || unloaded_frames_ != frames_ - frames || unloaded_owned_ > unloaded_frames_) return false;  // B2
  const SpaceCounts all = counts();
  return all.free + all.reserved + all.owned + all.metadata + all.bad + all.quarantined == all.total;
}

}  // namespace dmap
