// SPDX-License-Identifier: Apache-2.0
//
// Numbers that look random and come again with their seed; and where a test takes its seed and its length from.
#ifndef DMAP_TESTING_SUPPORT_RANDOM_H_
#define DMAP_TESTING_SUPPORT_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>

namespace dmap::testing {

/// After Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (splitmix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// In [0, bound); bound > 0.
  uint64_t below(uint64_t bound) { return next() % bound; }
  /// In [first, last].
  uint64_t between(uint64_t first, uint64_t last) { return first + below(last - first + 1); }
  bool chance(unsigned percent) { return below(100) < percent; }
  template <typename Range>
  auto& pick(Range& range) {
    return *std::next(std::begin(range), static_cast<std::ptrdiff_t>(below(std::size(range))));
  }
  std::string bytes(size_t size) {
    std::string text(size, '\0');
    for (size_t at = 0; at < size; at += 8) {
      uint64_t word = next();
      for (size_t i = at; i < size && i < at + 8; ++i) text[i] = static_cast<char>(word >> (8 * (i - at)));
    }
    return text;
  }

 private:
  uint64_t state_;
};

/// The number in environment variable `name`, or `fallback`. DMAP_SEED and DMAP_OPS are what the tests look at.
inline uint64_t from_environment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 0);
}

}  // namespace dmap::testing

#endif  // DMAP_TESTING_SUPPORT_RANDOM_H_
