// SPDX-License-Identifier: Apache-2.0
#include "device/persist.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

namespace dmap {
namespace {

constexpr std::byte kGuard{0xa5};
constexpr size_t kGuardBytes = 2 * kCacheLine;

/// Every way this CPU can write: each medium's question with each instruction there is.
std::vector<LineWriter> all_writers() {
  std::vector<LineWriter> writers{{Persistence::kNone, best_line_write_back()},
                                  {Persistence::kSync, best_line_write_back()}};
  for (auto instruction : {LineWriteBack::kClwb, LineWriteBack::kClflushopt, LineWriteBack::kClflush}) {
    if (instruction >= best_line_write_back()) writers.emplace_back(Persistence::kLineFlush, instruction);
  }
  return writers;
}

/// A line-aligned place for a run with guards on both sides.
class Arena {
 public:
  explicit Arena(size_t length) : bytes_(length + 2 * kGuardBytes + 2 * kCacheLine) {}

  void reset() { std::ranges::fill(bytes_, kGuard); }
  std::byte* at(size_t misalignment) {
    auto place = reinterpret_cast<uintptr_t>(bytes_.data() + kGuardBytes);
    return bytes_.data() + kGuardBytes + (kCacheLine - place % kCacheLine) % kCacheLine + misalignment;
  }
  /// Whether [run, run + expected) is as expected and every byte elsewhere is untouched.
  bool holds_only(const std::byte* run, std::span<const std::byte> expected) const {
    auto untouched = [](std::byte byte) { return byte == kGuard; };
    const std::byte* first = bytes_.data();
    return std::all_of(first, run, untouched) && std::ranges::equal(std::span(run, expected.size()), expected) &&
           std::all_of(run + expected.size(), first + bytes_.size(), untouched);
  }

 private:
  std::vector<std::byte> bytes_;
};

std::vector<std::byte> random_bytes(size_t length, std::mt19937_64& random) {
  std::vector<std::byte> bytes(length);
  for (std::byte& byte : bytes) byte = std::byte(random() & 0xff);
  return bytes;
}

class PersistTest : public ::testing::TestWithParam<size_t> {
 protected:
  LineWriter writer_ = all_writers()[GetParam()];
  std::mt19937_64 random_{20240229};
};
INSTANTIATE_TEST_SUITE_P(EveryWriter, PersistTest, ::testing::Range<size_t>(0, all_writers().size()));

TEST_P(PersistTest, CopyingIsExactForAllSmallLengthsAndAlignments) {
  constexpr size_t kLengthMax = 4 * kCacheLine + 3;
  Arena arena(kLengthMax);
  auto source = random_bytes(kLengthMax + kCacheLine, random_);
  for (size_t length = 0; length <= kLengthMax; ++length) {
    for (size_t misalignment = 0; misalignment < kCacheLine; ++misalignment) {
      arena.reset();
      std::span<const std::byte> from(source.data() + random_() % kCacheLine, length);
      writer_.copy(arena.at(misalignment), from);
      writer_.fence();
      ASSERT_TRUE(arena.holds_only(arena.at(misalignment), from)) << length << " bytes at +" << misalignment;
    }
  }
}

TEST_P(PersistTest, ZeroingIsExactForAllSmallLengthsAndAlignments) {
  constexpr size_t kLengthMax = 4 * kCacheLine + 3;
  Arena arena(kLengthMax);
  const std::vector<std::byte> zeros(kLengthMax);
  for (size_t length = 0; length <= kLengthMax; ++length) {
    for (size_t misalignment = 0; misalignment < kCacheLine; ++misalignment) {
      arena.reset();
      writer_.zero(arena.at(misalignment), length);
      writer_.fence();
      ASSERT_TRUE(arena.holds_only(arena.at(misalignment), std::span(zeros).first(length)))
          << length << " bytes at +" << misalignment;
    }
  }
}

TEST_P(PersistTest, LengthsAroundTheStreamingThresholdAreExactToo) {
  constexpr size_t kLengthMax = kStreamingMin + 2 * kCacheLine;
  Arena arena(kLengthMax);
  auto source = random_bytes(kLengthMax, random_);
  const std::vector<std::byte> zeros(kLengthMax);
  for (size_t length = kStreamingMin - 2; length <= kLengthMax; ++length) {
    for (size_t misalignment : {0, 1, 8, 63}) {
      arena.reset();
      writer_.copy(arena.at(misalignment), std::span(source).first(length));
      ASSERT_TRUE(arena.holds_only(arena.at(misalignment), std::span(source).first(length)));
      writer_.zero(arena.at(misalignment), length);
      ASSERT_TRUE(arena.holds_only(arena.at(misalignment), std::span(zeros).first(length)));
    }
  }
}

TEST_P(PersistTest, FlushingChangesNoByte) {
  Arena arena(kStreamingMin);
  auto source = random_bytes(kStreamingMin, random_);
  for (size_t misalignment = 0; misalignment < kCacheLine; ++misalignment) {
    arena.reset();
    std::ranges::copy(source, arena.at(misalignment));
    writer_.flush(arena.at(misalignment), source.size());
    writer_.fence();
    ASSERT_TRUE(arena.holds_only(arena.at(misalignment), source));
  }
}

}  // namespace
}  // namespace dmap
