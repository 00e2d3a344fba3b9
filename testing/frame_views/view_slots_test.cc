// SPDX-License-Identifier: Apache-2.0
#include "frame/view_slots.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/rcu.h"

namespace dmap {
namespace {

Extent extent(uint64_t first, uint64_t count) { return {Pfn{first}, FrameCount{count}}; }

TEST(ViewSlots, AViewCoversItsFramesUntilItEnds) {
  ViewSlots slots;
  {
    ViewSlot slot = slots.take(extent(10, 5)).value();
    EXPECT_TRUE(slots.overlaps(extent(14, 1)));
    EXPECT_TRUE(slots.overlaps(extent(0, 11)));
    EXPECT_FALSE(slots.overlaps(extent(15, 1)));
    EXPECT_FALSE(slots.overlaps(extent(0, 10)));
    EXPECT_EQ(slots.views(), 1U);
  }
  EXPECT_FALSE(slots.overlaps(extent(10, 5)));
  EXPECT_EQ(slots.views(), 0U);
}

TEST(ViewSlots, TheBudgetIsAnErrorThatNamesIt) {
  ViewSlots slots(100);
  ASSERT_EQ(slots.views_max(), 128U);
  std::vector<ViewSlot> held;
  for (uint32_t n = 0; n < 128; ++n) held.push_back(slots.take(extent(n, 1)).value());
  auto refused = slots.take(extent(500, 1));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kTooManyViews);
  EXPECT_NE(refused.error().message().find("128"), std::string::npos);
  for (uint32_t n = 0; n < 128; ++n) EXPECT_TRUE(slots.overlaps(extent(n, 1)));
  held.pop_back();
  EXPECT_TRUE(slots.take(extent(500, 1)).has_value());
}

TEST(ViewSlots, MovingAViewMovesItsEnd) {
  ViewSlots slots;
  ViewSlot first = slots.take(extent(1, 1)).value();
  ViewSlot second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): a moved-from slot is empty by contract
  EXPECT_TRUE(slots.overlaps(extent(1, 1)));
  second = ViewSlot();
  EXPECT_FALSE(slots.overlaps(extent(1, 1)));
}

TEST(ViewSlots, TheEndOfAViewIsReportedOnlyToWhoWaitsForIt) {
  ViewSlots slots;
  ViewSlot waited = slots.take(extent(1, 1)).value();
  ViewSlot other = slots.take(extent(2, 1)).value();
  slots.for_each([](Extent viewed) { return viewed == extent(1, 1); });
  other = ViewSlot();
  EXPECT_FALSE(slots.look_again());
  waited = ViewSlot();
  EXPECT_TRUE(slots.look_again());
  EXPECT_FALSE(slots.look_again());
}

TEST(ViewSlots, AViewThatEndsUnderTheLookIsReported) {
  ViewSlots slots;
  ViewSlot view = slots.take(extent(1, 1)).value();
  slots.for_each([&](Extent) {
    view = ViewSlot();  // just before the one who looks decides to wait for it
    return true;
  });
  EXPECT_TRUE(slots.look_again());
}

// The protocol of the header against real threads: a map of one entry, frames with stamps. A frame that leaves the map
// is stamped anew only after a grace period and a look at the views. Taking the look away makes this test fail.
TEST(ViewSlots, AFrameIsNeverReusedUnderAView) {
  constexpr uint64_t kFrames = 4;
  ViewSlots slots;
  std::atomic<uint64_t> map = 0;               // the frame that the "file" has now
  std::atomic<uint64_t> stamps[kFrames] = {};  // what a frame holds
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> looks = 0;

  auto viewer = [&] {
    while (!stop.load(std::memory_order_relaxed)) {
      ViewSlot slot;
      uint64_t frame = 0;
      {
        RcuReadSection section;
        frame = map.load(std::memory_order_acquire);
        slot = slots.take(extent(frame, 1)).value();
      }
      const uint64_t stamp = stamps[frame].load(std::memory_order_relaxed);
      for (int look = 0; look < 200; ++look) ASSERT_EQ(stamps[frame].load(std::memory_order_relaxed), stamp);
      looks.fetch_add(1, std::memory_order_relaxed);
    }
  };
  std::thread first(viewer);
  std::thread second(viewer);
  uint64_t waits = 0;
  for (uint64_t round = 1; (round < 200 || looks.load() < 1000) && !testing::Test::HasFailure(); ++round) {
    const uint64_t old = map.exchange(round % kFrames, std::memory_order_acq_rel);
    rcu_synchronize();
    while (slots.overlaps(extent(old, 1))) {
      ++waits;
      std::this_thread::yield();
    }
    stamps[old].store(round, std::memory_order_relaxed);  // reuse
  }
  stop = true;
  first.join();
  second.join();
  EXPECT_EQ(slots.views(), 0U);
  RecordProperty("waits", static_cast<int>(waits));
}

TEST(ViewSlots, NoEndOfAWaitedForViewIsMissed) {
  ViewSlots slots(64);
  std::atomic<int> turn = 0;  // odd: a view is there
  std::thread viewer([&] {
    for (int round = 0; round < 2000; ++round) {
      ViewSlot slot = slots.take(extent(7, 1)).value();
      turn.store(2 * round + 1, std::memory_order_release);
      slot = ViewSlot();
      while (turn.load(std::memory_order_acquire) != 2 * round + 2) std::this_thread::yield();
    }
  });
  for (int round = 0; round < 2000; ++round) {
    while (turn.load(std::memory_order_acquire) != 2 * round + 1) std::this_thread::yield();
    if (slots.overlaps(extent(7, 1))) {
      bool waits = false;
      slots.for_each([&](Extent) { return waits = true; });
      while (waits && !slots.look_again()) std::this_thread::yield();  // hangs if the end is missed
    }
    turn.store(2 * round + 2, std::memory_order_release);
  }
  viewer.join();
}

}  // namespace
}  // namespace dmap
