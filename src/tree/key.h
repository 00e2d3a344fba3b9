// SPDX-License-Identifier: Apache-2.0
//
// What the tree is ordered by: (object, kind, offset), packed into two words so that one 128-bit comparison decides.
#ifndef DMAP_TREE_KEY_H_
#define DMAP_TREE_KEY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/check.h"

namespace dmap {

/// A key: an object, and a place within it (kind << 56 | offset). Ordered by object, then by place.
struct Key {
  uint64_t object = 0;
  uint64_t place = 0;

  /// The key as one number of the same order.
  constexpr unsigned __int128 number() const { return static_cast<unsigned __int128>(object) << 64 | place; }
  friend constexpr bool operator==(Key, Key) = default;
  friend constexpr auto operator<=>(Key a, Key b) { return a.number() <=> b.number(); }
};
static_assert(sizeof(Key) == 16);

inline constexpr unsigned kKindShift = 56;
inline constexpr Key kKeyMin{};
inline constexpr Key kKeyMax{~uint64_t{0}, ~uint64_t{0}};

/// The key of `offset` (below 2^56) among the things of one kind that `object` has.
constexpr Key make_key(uint64_t object, uint8_t kind, uint64_t offset) {
  CHECK(offset >> kKindShift == 0);
  return {object, uint64_t{kind} << kKindShift | offset};
}
constexpr uint8_t kind_of(Key key) { return static_cast<uint8_t>(key.place >> kKindShift); }
constexpr uint64_t offset_of(Key key) { return key.place & ((uint64_t{1} << kKindShift) - 1); }

/// The next lower key; `key` is not kKeyMin.
constexpr Key key_before(Key key) { return {key.object - (key.place == 0 ? 1 : 0), key.place - 1}; }

/// `object/kind/offset`, for messages.
inline std::string to_string(Key key) {
  return std::to_string(key.object) + "/" + std::to_string(kind_of(key)) + "/" + std::to_string(offset_of(key));
}

/// The keys a node may hold: [first, last], both included, so that every key has a place.
struct KeyRange {
  Key first = kKeyMin;
  Key last = kKeyMax;

  constexpr bool contains(Key key) const { return first <= key && key <= last; }
};

/// What a key maps to: 0 to kValueMax bytes that mean nothing to the tree.
using Value = std::span<const std::byte>;
inline constexpr size_t kValueMax = 1200;

}  // namespace dmap

#endif  // DMAP_TREE_KEY_H_
