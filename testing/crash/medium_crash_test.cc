// SPDX-License-Identifier: Apache-2.0
//
// The simulated medium itself: what it keeps, what it may lose, and in which pieces.
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "testing/crash/crash_device.h"

namespace dmap::testing {
namespace {

constexpr FrameCount kFrames{4};

struct Recorder {
  explicit Recorder(Persistence kind) : persistence(kind), device(Image(kFrames), kind, trace) {}

  void word(uint64_t at, uint64_t value) { device.store_streaming(Bytes{at}, std::as_bytes(std::span(&value, 1))); }
  [[nodiscard]] Medium medium() const {
    Medium medium(Image(kFrames), persistence);
    for (const Event& event : trace) medium.apply(event);
    return medium;
  }

  Persistence persistence;
  Trace trace;
  CrashDevice device;
};

uint64_t word_in(const Image& image, uint64_t at) {
  uint64_t value = 0;
  std::memcpy(&value, image.data() + at, sizeof value);
  return value;
}

/// All values that the word at `at` has after many cuts.
std::set<uint64_t> after_cuts(const Medium& medium, uint64_t at) {
  std::set<uint64_t> found;
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    for (Loss loss : kLosses) found.insert(word_in(medium.power_cut(loss, random), at));
  }
  return found;
}

using Values = std::set<uint64_t>;

TEST(LineFlushMedium, AStreamedStoreIsSafeAfterAFenceAndNotBefore) {
  Recorder recorder(Persistence::kLineFlush);
  recorder.word(0, 1);
  EXPECT_EQ(after_cuts(recorder.medium(), 0), (Values{0, 1}));
  recorder.device.fence();
  EXPECT_EQ(after_cuts(recorder.medium(), 0), Values{1});
}

TEST(LineFlushMedium, ACachedStoreNeedsAFlushBeforeTheFence) {
  Recorder recorder(Persistence::kLineFlush);
  recorder.device.store_word(Bytes{64}, 1);
  recorder.device.fence();
  EXPECT_EQ(after_cuts(recorder.medium(), 64), (Values{0, 1}));
  recorder.device.flush(Bytes{64}, Bytes{8});
  EXPECT_EQ(after_cuts(recorder.medium(), 64), (Values{0, 1}));
  recorder.device.fence();
  EXPECT_EQ(after_cuts(recorder.medium(), 64), Values{1});
}

TEST(LineFlushMedium, TheStoresOfALineComeInOrderAndThoseOfTwoInAny) {
  Recorder recorder(Persistence::kLineFlush);
  recorder.word(0, 1);
  recorder.word(64, 2);
  recorder.word(0, 3);
  Random random(5);
  std::set<std::pair<uint64_t, uint64_t>> found;
  for (int i = 0; i < 200; ++i) {
    Image left = recorder.medium().power_cut(Loss::kUnits, random);
    found.emplace(word_in(left, 0), word_in(left, 64));
  }
  EXPECT_EQ(found, (std::set<std::pair<uint64_t, uint64_t>>{{0, 0}, {0, 2}, {1, 0}, {1, 2}, {3, 0}, {3, 2}}));
}

TEST(LineFlushMedium, AStoreTearsBetweenWordsOnly) {
  Recorder recorder(Persistence::kLineFlush);
  uint64_t words[2] = {0x1111111111111111, 0x2222222222222222};
  recorder.device.store_streaming(Bytes{128}, std::as_bytes(std::span(words)));
  EXPECT_EQ(after_cuts(recorder.medium(), 128), (Values{0, words[0]}));
  Random random(7);
  bool torn = false;
  for (int i = 0; i < 100; ++i) {
    Image left = recorder.medium().power_cut(Loss::kAtoms, random);
    torn |= word_in(left, 128) != 0 && word_in(left, 136) == 0;
  }
  EXPECT_TRUE(torn);
}

TEST(SyncMedium, NothingIsSafeBeforeTheBarrierAndPagesComeInAnyOrder) {
  Recorder recorder(Persistence::kSync);
  recorder.word(0, 1);
  recorder.device.fence();
  recorder.word(4096, 2);
  recorder.device.fence();
  Random random(5);
  std::set<std::pair<uint64_t, uint64_t>> found;
  for (int i = 0; i < 200; ++i) {
    Image left = recorder.medium().power_cut(Loss::kUnits, random);
    found.emplace(word_in(left, 0), word_in(left, 4096));
  }
  EXPECT_EQ(found.size(), 4U);
  ASSERT_TRUE(recorder.device.barrier());
  EXPECT_EQ(after_cuts(recorder.medium(), 0), Values{1});
  EXPECT_EQ(after_cuts(recorder.medium(), 4096), Values{2});
}

TEST(Medium, AKilledProcessLosesNothing) {
  for (Persistence kind : {Persistence::kLineFlush, Persistence::kSync}) {
    Recorder recorder(kind);
    recorder.word(8, 5);
    recorder.device.store_word(Bytes{5000 / 8 * 8}, 6);
    Medium medium = recorder.medium();
    medium.kill();
    EXPECT_EQ(word_in(medium.seen(), 8), 5U);
    EXPECT_EQ(word_in(medium.seen(), 5000 / 8 * 8), 6U);
    EXPECT_EQ(after_cuts(medium, 8).size(), kind == Persistence::kSync ? 2U : 1U);
  }
}

}  // namespace
}  // namespace dmap::testing
