// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_EXTENT_GROUP_SET_H_
#define DMAP_EXTENT_GROUP_SET_H_

#include <array>
#include <cstdint>
#include <optional>

#include "dmap/result.h"
#include "extent/sparse_array.h"

namespace dmap {

/// A set of group numbers in [0, size) that finds its next member in a handful of steps, however large it is.
///
/// Bitmaps in levels: a bit of level 0 is a group, a bit of level n+1 says that a word of level n is not empty.
/// Words are stored exclusive-or the state at birth, so that untouched memory means "as born", full or empty.
/// Not thread safe.
class GroupSet {
 public:
  enum class Born : uint8_t { kEmpty, kFull };

  /// Errors: no_memory.
  [[nodiscard]] static Result<GroupSet> create(uint64_t size, Born born);

  [[nodiscard]] bool contains(uint64_t group) const { return (word(0, group / 64) >> (group % 64) & 1) != 0; }
  void add(uint64_t group);
  void remove(uint64_t group);

  /// The first member at or after `from`.
  [[nodiscard]] std::optional<uint64_t> next(uint64_t from) const;
  /// The same, going on at 0 after the end.
  [[nodiscard]] std::optional<uint64_t> next_cyclic(uint64_t from) const;

  /// Writes the words that add() and remove() of this group write, so that those never need memory afterwards.
  void populate(uint64_t group);

 private:
  static constexpr unsigned kLevelsMax = 7;  // 64^7 groups of 32 MiB: more than a device can have

  GroupSet(Born born, SparseArray<uint64_t> words)
      : flip_(born == Born::kFull ? ~uint64_t{0} : 0), words_(std::move(words)) {}

  [[nodiscard]] uint64_t word(unsigned level, uint64_t index) const { return words_[begin_[level] + index] ^ flip_; }
  void set_word(unsigned level, uint64_t index, uint64_t value) { words_[begin_[level] + index] = value ^ flip_; }

  uint64_t flip_;
  unsigned levels_ = 0;
  std::array<uint64_t, kLevelsMax> begin_{};  // where a level's words begin
  std::array<uint64_t, kLevelsMax> bits_{};   // how many bits a level has
  SparseArray<uint64_t> words_;
};

}  // namespace dmap

#endif  // DMAP_EXTENT_GROUP_SET_H_
