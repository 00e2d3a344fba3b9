// SPDX-License-Identifier: Apache-2.0
//
// Small arithmetic that several layers need: rounding, and bitmaps of 64-bit words.
#ifndef DMAP_BASE_BITS_H_
#define DMAP_BASE_BITS_H_

#include <bit>
#include <cstdint>

namespace dmap {

/// `value` rounded down or up to a multiple of `unit`, a power of two.
constexpr uint64_t round_down(uint64_t value, uint64_t unit) { return value & ~(unit - 1); }
constexpr uint64_t round_up(uint64_t value, uint64_t unit) { return round_down(value + unit - 1, unit); }

/// The 64-bit word with bits [first, last) set; 0 <= first <= last <= 64.
constexpr uint64_t mask_of(unsigned first, unsigned last) {
  uint64_t below_last = last == 64 ? ~uint64_t{0} : (uint64_t{1} << last) - 1;
  return first == 64 ? 0 : below_last & (~uint64_t{0} << first);
}

}  // namespace dmap

#endif  // DMAP_BASE_BITS_H_
