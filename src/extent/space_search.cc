// SPDX-License-Identifier: Apache-2.0
//
// Where the next piece comes from: few pieces, and wholly free large frames kept for those who can use them.
//
//   right at the goal              a file goes on where it ended; also joins pieces of one request
//   whole groups, large frames     if at least a large frame is wanted, or the file is announced as large
//   a fragment that fits           small pieces share large frames that are partly used already
//   the head of a large frame      if no fragment fits: the rest becomes a fragment for others
//   the longest fragments          a full, old volume: several pieces instead of one
//
// Each step finds its group by GroupSet, so full groups cost nothing however many there are.
#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "base/check.h"
#include "extent/space_book.h"

namespace dmap {

namespace {

unsigned floor_log2(uint64_t value) { return static_cast<unsigned>(std::bit_width(value)) - 1; }
unsigned ceil_log2(uint64_t value) { return static_cast<unsigned>(std::bit_width(value - 1)); }

bool wants_large(const SpaceRequest& request) { return request.large || request.frames >= kLargeFrames; }

/// The longest run of ones in `larges`, cut to `most` frames: large frames side by side.
FrameRun longest_larges(uint32_t larges, uint64_t most) {
  uint32_t first = 0;
  uint32_t count = 0;
  for (uint32_t rest = larges; rest != 0;) {
    const auto at = static_cast<uint32_t>(std::countr_zero(rest));
    const auto ones = static_cast<uint32_t>(std::countr_one(rest >> at));
    if (ones > count) first = at, count = ones;
    rest &= ~(((1U << ones) - 1) << at);
  }
  const uint64_t frames = std::min<uint64_t>(count * kLargeFrames, most);
  return {static_cast<uint32_t>(first * kLargeFrames), static_cast<uint32_t>(frames)};
}

}  // namespace

Taken SpaceBook::take(const SpaceRequest& request) {
  CHECK(request.frames > 0 && std::has_single_bit(request.piece_min) && request.piece_min <= kLargeFrames);
  if (auto taken = take_at_goal(request)) return *taken;
  if (wants_large(request)) {
    if (auto taken = take_large(request)) return *taken;
  }
  if (const unsigned order = ceil_log2(request.frames); order < kOrders) {
    if (auto taken = take_fragment(request.frames, request.frames, order)) return *taken;
  }
  if (auto taken = break_large(request)) return *taken;

  const unsigned longest = std::min(floor_log2(request.frames), kOrders - 1);
  const unsigned shortest = floor_log2(std::min(request.frames, request.piece_min));
  for (int order = static_cast<int>(longest); order >= static_cast<int>(shortest); --order) {
    const auto at = static_cast<unsigned>(order);
    if (auto taken = take_fragment(uint64_t{1} << at, request.frames, at)) return *taken;
  }
  return Nothing{};
}

std::optional<Taken> SpaceBook::take_at_goal(const SpaceRequest& request) {
  if (!request.goal || !contains({*request.goal, FrameCount{1}})) return std::nullopt;
  const uint64_t number = index_of(*request.goal) / kGroupFrames;
  Group* group = table_[number];
  if (group == nullptr) return Taken{Unloaded{number}};
  const auto first = static_cast<uint32_t>(index_of(*request.goal) % kGroupFrames);
  const auto end = static_cast<uint32_t>(std::min<uint64_t>(kGroupFrames, first + request.frames));
  uint32_t behind = group->next_not_in(FrameState::kFree, first, end);
  if (wants_large(request) && behind - first < request.frames) {
    // What follows should begin with a large frame again, so that file and device keep in step for 2 MiB pages.
    const auto boundary = static_cast<uint32_t>(round_down(behind, kLargeFrames));
    if (boundary > first || first % kLargeFrames == 0) behind = boundary;
  }
  if (behind <= first) return std::nullopt;
  return Taken{reserve(*group, {first, behind - first})};
}

std::optional<Taken> SpaceBook::take_large(const SpaceRequest& request) {
  std::optional<uint64_t> number;
  if (request.frames >= kGroupFrames) number = index_.whole.next_cyclic(large_cursor_);
  if (!number) number = index_.large.next_cyclic(large_cursor_);
  if (!number) return std::nullopt;
  large_cursor_ = *number;
  Group* group = table_[*number];
  if (group == nullptr) return Taken{Unloaded{*number}};
  // The odd frames at the end of a request go behind its last large frame, by way of the goal.
  const uint64_t most = request.frames < kLargeFrames ? request.frames : request.frames / kLargeFrames * kLargeFrames;
  return Taken{reserve(*group, longest_larges(group->free_larges(), most))};
}

std::optional<Taken> SpaceBook::take_fragment(uint64_t least, uint64_t most, unsigned order) {
  while (auto number = index_.fragments[order].next_cyclic(small_cursor_)) {
    Group* group = table_[*number];
    const auto run = group->find_fragment(static_cast<uint32_t>(least), static_cast<uint32_t>(most));
    if (run) {
      small_cursor_ = *number;
      return Taken{reserve(*group, *run)};
    }
    reindex(*group);  // the bound was too high; the search in vain has lowered it below `least`
    CHECK(!index_.fragments[order].contains(*number));
  }
  return std::nullopt;
}

std::optional<Taken> SpaceBook::break_large(const SpaceRequest& request) {
  const auto number = index_.large.next_cyclic(small_cursor_);
  if (!number) return std::nullopt;
  small_cursor_ = *number;
  Group* group = table_[*number];
  if (group == nullptr) return Taken{Unloaded{*number}};
  const auto large = static_cast<uint32_t>(std::countr_zero(group->free_larges()));
  return Taken{reserve(*group, {static_cast<uint32_t>(large * kLargeFrames),
                                static_cast<uint32_t>(std::min(request.frames, kLargeFrames))})};
}

Extent SpaceBook::reserve(Group& group, FrameRun run) {
  change(group, run, FrameState::kFree, FrameState::kReserved);
  return group.extent_of(run);
}

void SpaceBook::skip_ahead() {
  const uint64_t stride = groups_ / 8 * 5 + 1;  // about the golden ratio: visits far apart, then in between
  small_cursor_ = (small_cursor_ + stride) % groups_;
  large_cursor_ = small_cursor_;
}

std::optional<uint64_t> SpaceBook::next_with_space(uint64_t from) const {
  const auto large = index_.large.next(from);
  const auto fragment = index_.fragments[0].next(from);
  return large && fragment ? std::min(*large, *fragment) : (large ? large : fragment);
}

}  // namespace dmap
