// SPDX-License-Identifier: Apache-2.0
#include "extent/group.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"

namespace dmap {

namespace {

/// Calls visit(word, mask) for the words that `run` touches, with the run's bits in each.
template <typename Visit>
void for_each_word(FrameRun run, Visit&& visit) {
  for (uint32_t at = run.first; at < run.end(); at = (at / 64 + 1) * 64) {
    visit(at / 64, mask_of(at % 64, std::min(64U, run.end() - at / 64 * 64)));
  }
}

}  // namespace

Group::Group(Pfn first, uint32_t frames, const GroupBits& owned) : first_(first), frames_(frames) {
  CHECK(index_of(first) % kGroupFrames == 0 && frames > 0 && frames <= kGroupFrames);
  counts_[static_cast<size_t>(FrameState::kFree)] = kGroupFrames;
  free_in_large_.fill(kLargeFree);
  longest_bound_.fill(kLargeFree);
  auto bit = [&](uint32_t frame) { return (owned[frame / 64] >> (frame % 64) & 1) != 0; };
  for (uint32_t at = 0; at < frames;) {
    uint32_t end = at + 1;
    while (end < frames && bit(end) == bit(at)) ++end;
    if (bit(at)) change({at, end - at}, FrameState::kFree, FrameState::kOwned);
    at = end;
  }
  if (frames < kGroupFrames) change({frames, kGroupFrames - frames}, FrameState::kFree, FrameState::kBeyond);
}

uint64_t Group::word(FrameState state, uint32_t index) const {
  uint64_t in = ~uint64_t{0};
  for (unsigned plane = 0; plane < kPlanes; ++plane) {
    const bool set = (static_cast<unsigned>(state) >> plane & 1) != 0;
    in &= set ? words_[index].plane[plane] : ~words_[index].plane[plane];
  }
  return in;
}

FrameState Group::state(uint32_t frame) const {
  unsigned state = 0;
  for (unsigned plane = 0; plane < kPlanes; ++plane) {
    state |= static_cast<unsigned>(words_[frame / 64].plane[plane] >> (frame % 64) & 1) << plane;
  }
  return FrameState{static_cast<uint8_t>(state)};
}

uint32_t Group::next_in(FrameState state, uint32_t from, uint32_t end) const {
  for (uint32_t at = from; at < end; at = (at / 64 + 1) * 64) {
    const uint64_t found = word(state, at / 64) & ~uint64_t{0} << (at % 64);
    if (found != 0) return std::min(end, at / 64 * 64 + static_cast<uint32_t>(std::countr_zero(found)));
  }
  return end;
}

uint32_t Group::next_not_in(FrameState state, uint32_t from, uint32_t end) const {
  for (uint32_t at = from; at < end; at = (at / 64 + 1) * 64) {
    const uint64_t found = ~word(state, at / 64) & ~uint64_t{0} << (at % 64);
    if (found != 0) return std::min(end, at / 64 * 64 + static_cast<uint32_t>(std::countr_zero(found)));
  }
  return end;
}

GroupBits Group::owned() const {
  GroupBits bits;
  for (uint32_t index = 0; index < bits.size(); ++index) bits[index] = word(FrameState::kOwned, index);
  return bits;
}

void Group::change(FrameRun run, FrameState from, FrameState to) {
  CHECK(run.count > 0 && run.end() <= kGroupFrames && from != to);
  for_each_word(run, [&](uint32_t index, uint64_t mask) {
    CHECK((word(from, index) & mask) == mask);
    for (unsigned plane = 0; plane < kPlanes; ++plane) {
      uint64_t& bits = words_[index].plane[plane];
      bits = (static_cast<unsigned>(to) >> plane & 1) != 0 ? bits | mask : bits & ~mask;
    }
  });
  counts_[static_cast<size_t>(from)] = static_cast<uint16_t>(count(from) - run.count);
  counts_[static_cast<size_t>(to)] = static_cast<uint16_t>(count(to) + run.count);
  if (from == FrameState::kFree || to == FrameState::kFree) count_free(run, from, to);
}

void Group::count_free(FrameRun run, FrameState from, FrameState to) {
  for (uint32_t at = run.first; at < run.end();) {
    const uint32_t large = at / kLargeFrames;
    const uint32_t end = std::min<uint32_t>(run.end(), (large + 1) * kLargeFrames);
    if (from == FrameState::kFree) {
      free_in_large_[large] = static_cast<uint16_t>(free_in_large_[large] - (end - at));  // the bound still holds
    } else {
      CHECK(to == FrameState::kFree);
      free_in_large_[large] = static_cast<uint16_t>(free_in_large_[large] + (end - at));
      longest_bound_[large] = static_cast<uint16_t>(longest_run_in(large));
    }
    at = end;
  }
}

uint32_t Group::longest_run_in(uint32_t large) const {
  if (free_in_large_[large] == kLargeFree) return kLargeFree;
  uint32_t longest = 0;
  for_each_run(FrameState::kFree, {large * kLargeFree, kLargeFree},
               [&](FrameRun run) { longest = std::max(longest, run.count); });
  return longest;
}

uint32_t Group::free_larges() const {
  uint32_t larges = 0;
  for (uint32_t large = 0; large < kLarges; ++large) {
    if (free_in_large_[large] == kLargeFree) larges |= 1U << large;
  }
  return larges;
}

uint32_t Group::fragment_bound() const {
  uint32_t bound = 0;
  for (uint32_t large = 0; large < kLarges; ++large) {
    if (partly_used(large)) bound = std::max<uint32_t>(bound, std::min(longest_bound_[large], free_in_large_[large]));
  }
  return bound;
}

std::optional<FrameRun> Group::find_fragment(uint32_t least, uint32_t most) {
  CHECK(least > 0 && least <= most);
  for (uint32_t large = 0; large < kLarges; ++large) {
    if (!partly_used(large) || longest_bound_[large] < least || free_in_large_[large] < least) continue;
    const uint32_t end = (large + 1) * kLargeFree;
    uint32_t longest = 0;
    for (uint32_t first = next_in(FrameState::kFree, large * kLargeFree, end); first < end;) {
      const uint32_t behind = next_not_in(FrameState::kFree, first, end);
      if (behind - first >= least) return FrameRun{first, std::min(behind - first, most)};
      longest = std::max(longest, behind - first);
      first = next_in(FrameState::kFree, behind, end);
    }
    longest_bound_[large] = static_cast<uint16_t>(longest);
  }
  return std::nullopt;
}

bool Group::check_invariants() const {
  std::array<uint32_t, 16> seen{};
  std::array<uint32_t, kLarges> free{};
  for (uint32_t frame = 0; frame < kGroupFrames; ++frame) {
    const FrameState state = this->state(frame);
    ++seen[static_cast<size_t>(state)];
    free[frame / kLargeFrames] += state == FrameState::kFree ? 1 : 0;
    if ((state == FrameState::kBeyond) != (frame >= frames_)) return false;
  }
  for (size_t state = 0; state < seen.size(); ++state) {
    if (seen[state] != (state < kFrameStates ? counts_[state] : 0)) return false;
  }
  for (uint32_t large = 0; large < kLarges; ++large) {
    if (free[large] != free_in_large_[large]) return false;
    if (free[large] != 0 && longest_run_in(large) > longest_bound_[large]) return false;
  }
  return true;
}

}  // namespace dmap
