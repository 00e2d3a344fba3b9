// SPDX-License-Identifier: Apache-2.0
#include "extent/group_set.h"

#include <bit>

#include "base/check.h"

namespace dmap {

Result<GroupSet> GroupSet::create(uint64_t size, Born born) {
  CHECK(size > 0);
  std::array<uint64_t, kLevelsMax> begin{};
  std::array<uint64_t, kLevelsMax> bits{};
  unsigned levels = 0;
  uint64_t words = 0;
  for (uint64_t level_bits = size;; level_bits = (level_bits + 63) / 64) {
    CHECK(levels < kLevelsMax);
    begin[levels] = words;
    bits[levels] = level_bits;
    words += (level_bits + 63) / 64;
    ++levels;
    if (level_bits <= 64) break;
  }
  GroupSet set(born, DMAP_TRY(SparseArray<uint64_t>::create(words)));
  set.levels_ = levels;
  set.begin_ = begin;
  set.bits_ = bits;
  return set;
}

void GroupSet::add(uint64_t group) {
  for (unsigned level = 0; level < levels_; ++level, group /= 64) {
    const uint64_t old = word(level, group / 64);
    set_word(level, group / 64, old | uint64_t{1} << (group % 64));
    if (old != 0) return;  // the levels above know already
  }
}

void GroupSet::remove(uint64_t group) {
  for (unsigned level = 0; level < levels_; ++level, group /= 64) {
    const uint64_t left = word(level, group / 64) & ~(uint64_t{1} << (group % 64));
    set_word(level, group / 64, left);
    if (left != 0) return;
  }
}

std::optional<uint64_t> GroupSet::next(uint64_t from) const {
  for (unsigned level = 0; level < levels_ && from < bits_[level]; ++level) {
    uint64_t found = word(level, from / 64) & ~uint64_t{0} << (from % 64);
    if (found != 0) {
      uint64_t index = from / 64 * 64 + static_cast<uint64_t>(std::countr_zero(found));
      for (;; --level) {
        // A set that was born full has bits behind its end; whoever meets one has met no member before it.
        if (index >= bits_[level]) return std::nullopt;
        if (level == 0) return index;
        index = index * 64 + static_cast<uint64_t>(std::countr_zero(word(level - 1, index)));
      }
    }
    from = from / 64 + 1;
  }
  return std::nullopt;
}

std::optional<uint64_t> GroupSet::next_cyclic(uint64_t from) const {
  auto found = next(from);
  return found || from == 0 ? found : next(0);
}

void GroupSet::populate(uint64_t group) {
  for (unsigned level = 0; level < levels_; ++level, group /= 64) {
    volatile uint64_t& touched = words_[begin_[level] + group / 64];
    touched = touched;  // volatile: the store is the point, though it changes nothing
  }
}

}  // namespace dmap
