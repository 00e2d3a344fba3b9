// SPDX-License-Identifier: Apache-2.0
//
// Threads against one SpaceMap. A stamp per frame says who has it: a frame in two hands, or reused under a look, shows.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "testing/extent/fakes.h"

namespace dmap {
namespace {

constexpr uint64_t kFrames = 2 * kGroupFrames + 500;

class SpaceThreads : public testing::Test {
 protected:
  SpaceThreads() : space_(kFrames), stamps_(kFrames) {}

  std::atomic<uint64_t>& stamp(Pfn pfn, uint64_t n = 0) { return stamps_[index_of(pfn) + n]; }

  Space space_;
  std::vector<std::atomic<uint64_t>> stamps_;
  Mutex commit_lock_;
};

TEST_F(SpaceThreads, NoFrameIsInTwoHands) {
  std::atomic<bool> stop = false;
  auto user = [&](uint64_t id) {
    std::mt19937_64 random(id);
    std::vector<Extent> mine;
    for (int step = 0; step < 1000; ++step) {
      auto reservation = space_.map->reserve(FrameCount{1 + random() % 200}, {});
      if (reservation) {
        for (Extent piece : reservation->pieces()) {
          for (uint64_t n = 0; n < piece.count.value; ++n) {
            ASSERT_EQ(stamp(piece.first, n).exchange(id, std::memory_order_relaxed), 0U);
          }
        }
        if (random() % 8 == 0) {  // given back
          for (Extent piece : reservation->pieces()) {
            for (uint64_t n = 0; n < piece.count.value; ++n) stamp(piece.first, n).store(0, std::memory_order_relaxed);
          }
        } else {
          mine.insert(mine.end(), reservation->pieces().begin(), reservation->pieces().end());
          MutexLock lock(commit_lock_);
          space_.map->commit(*std::move(reservation));
        }
      } else {
        ASSERT_EQ(reservation.error().code(), Code::kNoSpace);
      }
      while (mine.size() > 15 || (!reservation && !mine.empty())) {
        std::swap(mine[random() % mine.size()], mine.back());
        const Extent gone = mine.back();
        mine.pop_back();
        const bool held = random() % 4 == 0;
        if (held) space_.holds.hold(gone);
        for (uint64_t n = 0; n < gone.count.value; ++n) {
          ASSERT_EQ(stamp(gone.first, n).exchange(held ? id : 0, std::memory_order_relaxed), id);
        }
        ASSERT_TRUE(space_.map->prepare_release(gone).has_value());
        {
          MutexLock lock(commit_lock_);
          space_.map->release(gone, random() % 2 == 0 ? RecordState::kDurable : RecordState::kPending);
        }
        if (held) {  // the frames are ours until the hold goes, released or not
          std::this_thread::yield();
          for (uint64_t n = 0; n < gone.count.value; ++n) {
            ASSERT_EQ(stamp(gone.first, n).exchange(0, std::memory_order_relaxed), id);
          }
          space_.holds.drop(gone);
        }
      }
    }
  };
  std::thread keeper([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      auto barrier = space_.map->begin_barrier();
      std::this_thread::yield();
      std::move(barrier).durable();
      space_.map->mature();
      ASSERT_TRUE(space_.map->check_invariants());
    }
  });
  std::vector<std::thread> users;
  for (uint64_t id = 1; id <= 3; ++id) users.emplace_back(user, id);
  for (std::thread& thread : users) thread.join();
  stop = true;
  keeper.join();
  auto barrier = space_.map->begin_barrier();
  std::move(barrier).durable();
  space_.map->mature();
  const SpaceCounts counts = space_.map->counts();
  EXPECT_EQ(counts.quarantined, FrameCount{0});
  EXPECT_EQ(counts.reserved, FrameCount{0});
  EXPECT_TRUE(space_.map->check_invariants());
}

// One "file" of one frame moves about as atomic writes move it; viewers look at where it was. A stamp that changes
// under a look means that the frame was handed out too early.
TEST_F(SpaceThreads, AViewedFrameIsNotHandedOutAgain) {
  const Pfn none{~uint64_t{0}};
  // All but two frames are taken, so that every freed frame is soon used again.
  space_.allocate(kFrames - 2);
  std::atomic<Pfn> map = none;
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> looks = 0;
  auto viewer = [&] {
    while (!stop.load(std::memory_order_relaxed)) {
      ViewSlot view;
      Pfn pfn = none;
      {
        RcuReadSection section;
        pfn = map.load(std::memory_order_acquire);
        if (pfn == none) continue;
        view = space_.views.take({pfn, FrameCount{1}}).value();
      }
      const uint64_t seen = stamp(pfn).load(std::memory_order_relaxed);
      for (int n = 0; n < 100; ++n) {
        ASSERT_EQ(stamp(pfn).load(std::memory_order_relaxed), seen);
        std::this_thread::yield();
      }
      looks.fetch_add(1, std::memory_order_relaxed);
    }
  };
  std::thread first(viewer);
  std::thread second(viewer);
  uint64_t moves = 0;
  for (uint64_t round = 1; (moves < 40 || looks.load() < 100) && !HasFailure(); ++round) {
    auto reservation = space_.map->reserve(FrameCount{1}, {});
    if (!reservation) {  // everything is viewed
      ASSERT_EQ(reservation.error().code(), Code::kNoSpace);
      std::this_thread::yield();
      continue;
    }
    const Pfn fresh = reservation->pieces()[0].first;
    stamp(fresh).store(round, std::memory_order_relaxed);
    space_.map->commit(*std::move(reservation));
    const Pfn old = map.exchange(fresh, std::memory_order_acq_rel);
    ++moves;
    if (old != none) space_.release({old, FrameCount{1}});
  }
  stop = true;
  first.join();
  second.join();
  EXPECT_TRUE(space_.map->check_invariants());
}

TEST_F(SpaceThreads, AFrameIsNotReusedWhileAReaderThatFoundItIsInItsSection) {
  space_.allocate(kFrames);
  const Pfn seen = frame(77);
  std::atomic<bool> inside = false;
  std::atomic<bool> released = false;
  std::thread reader([&] {
    RcuReadSection section;  // it has resolved an offset to `seen`
    inside = true;
    while (!released) std::this_thread::yield();
    for (int look = 0; look < 5000; ++look) {
      ASSERT_EQ(stamp(seen).load(), 0U);
      std::this_thread::yield();
    }
  });
  while (!inside) std::this_thread::yield();
  space_.release({seen, FrameCount{1}});
  released = true;
  auto reservation = space_.map->reserve(FrameCount{1}, {});  // finds it in quarantine
  ASSERT_TRUE(reservation.has_value());
  EXPECT_EQ(reservation->pieces()[0].first, seen);
  stamp(seen) = 1;  // reuse
  reader.join();
}

}  // namespace
}  // namespace dmap
