// SPDX-License-Identifier: Apache-2.0
//
// Lookups against everything that changes the table, on several threads, for ThreadSanitizer and without it.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <random>
#include <thread>

#include "testing/frame/table_fixture.h"

namespace dmap::testing {
namespace {

constexpr uint64_t kSections = 4;
constexpr uint64_t kSpan = kSections * 512;
constexpr int kRounds = 4000;

/// Runs each body on a thread of its own, `kRounds` times with a seeded source of numbers, and a reader beside them for
/// as long as they last.
class Race {
 public:
  using Body = std::function<void(std::mt19937_64&)>;

  explicit Race(FrameTable& table) : table_(table) {}

  void run(std::vector<Body> bodies) {
    std::thread reader([&] { read_until_stopped(); });
    std::vector<std::thread> threads;
    for (size_t i = 0; i < bodies.size(); ++i) {
      threads.emplace_back([body = bodies[i], i] {
        std::mt19937_64 random(i + 1);
        for (int round = 0; round < kRounds; ++round) body(random);
      });
    }
    for (std::thread& thread : threads) thread.join();
    stop_.store(true, std::memory_order_relaxed);
    reader.join();
  }

 private:
  /// A page that a lookup returns is the frame's, to the end of the read section.
  void read_until_stopped() {
    std::mt19937_64 random(99);
    while (!stop_.load(std::memory_order_relaxed)) {
      RcuReadSection reading;
      uint64_t index = random() % kSpan;
      const Page* page = table_.pfn_to_page(pfn(index));
      if (page == nullptr) continue;
      for (int look = 0; look < 3; ++look) {
        Pfn first = page->pfn;
        ASSERT_TRUE(first == pfn(index) || first == pfn(index / 512 * 512)) << index << " got " << index_of(first);
      }
    }
  }

  FrameTable& table_;
  std::atomic<bool> stop_ = false;
};

std::pair<uint64_t, uint64_t> any_range(std::mt19937_64& random) {
  if (random() % 3 == 0) return {random() % kSections * 512, 512};
  uint64_t first = random() % kSpan;
  return {first, 1 + random() % std::min<uint64_t>(kSpan - first, 100)};
}

TEST(FrameTableRace, APageIsNeverAnotherFramesWhileRunsFormSplitAndGo) {
  auto table = make_table({.pool = {.grant = 64_KiB}, .idle_sections_max = 1});
  auto work = [&](std::mt19937_64& random) {
    auto [first, count] = any_range(random);
    Owner owner = random() % 4 == 0 ? Owner::kRamCache : Owner::kFileStore;
    auto hold = table->expose(extent(first, count), owner, random() % 4 == 0 ? Grain::kFrame : Grain::kLargest);
    if (!hold) return;
    RcuReadSection reading;
    for (uint64_t index : {first, first + count - 1}) {  // ours: there for sure, and ours
      const Page* page = table->pfn_to_page(pfn(index));
      ASSERT_NE(page, nullptr);
      ASSERT_EQ(page->word.load().owner(), owner);
    }
  };
  Race(*table).run({work, work, work});
  EXPECT_TRUE(is_sound(*table));
  EXPECT_EQ(table->statistics().holds, 0U);
}

TEST(FrameTableRace, ATightBudgetRefusesSomeAndBreaksNothing) {
  auto table = make_table(small_grants(32_KiB));
  std::atomic<uint64_t> refused = 0;
  auto work = [&](std::mt19937_64& random) {
    if (random() % 32 != 0) return;  // each shortage waits for a grace period
    auto [first, count] = any_range(random);
    auto one = table->expose(extent(first, count), Owner::kFileStore, Grain::kFrame);
    auto two = table->expose(extent(random() % kSpan, 1), Owner::kFileStore);
    for (auto* hold : {&one, &two}) {
      if (!*hold && hold->error().code() == Code::kNoDescriptors) ++refused;
    }
  };
  Race(*table).run({work, work});
  EXPECT_GT(refused, 0U);
  EXPECT_TRUE(is_sound(*table));
  EXPECT_EQ(table->statistics().holds, 0U);
}

TEST(FrameTableRace, RegionsComeAndGoUnderLookupsAndExposes) {
  auto table = make_table({.pool = {.grant = 64_KiB}, .idle_sections_max = 0});
  auto work = [&](std::mt19937_64& random) {
    uint64_t index = random() % 2 * kRegionFrames + random() % kSpan;
    auto hold = table->expose(extent(index, 1), Owner::kFileStore);
    ASSERT_TRUE(hold.has_value()) << hold.error().message();
    ASSERT_TRUE(look_up(*table, pfn(index)).exposed);
  };
  auto trim = [&](std::mt19937_64& random) {
    if (random() % 64 == 0) table->trim();
  };
  Race(*table).run({work, work, trim});
  table->trim();
  EXPECT_TRUE(is_sound(*table));
  EXPECT_EQ(table->statistics().in_use, Bytes{0});
}

TEST(FrameTableRace, ARetiredFrameIsReportedExactlyOnce) {
  // One thread holds and drops, the other frees: each frame freed is either unheld at once or told by the last drop.
  std::atomic<uint64_t> told = 0;
  auto table = make_table({.on_release = [&](Extent run) { told += run.count.value; }});
  for (uint64_t size : {uint64_t{1}, uint64_t{3}, uint64_t{512}}) {
    told = 0;
    uint64_t unheld = 0;
    std::atomic<int> round = 0;
    std::atomic<int> dropped = 0;
    std::thread holder([&] {
      for (int i = 1; i <= kRounds; ++i) {
        auto one = table->expose(extent(0, size), Owner::kFileStore).value();
        auto two = table->expose(extent(0, size), Owner::kFileStore).value();
        round = i;
        one.drop();
        two.drop();
        dropped = i;
        while (round.load() == i && i < kRounds) std::this_thread::yield();
      }
    });
    for (int i = 1; i <= kRounds; ++i) {
      while (round.load() != i) std::this_thread::yield();
      table->retire(extent(0, size), [&](Extent part) { unheld += part.count.value; });
      while (dropped.load() != i) std::this_thread::yield();
      ASSERT_EQ(told + unheld, size * static_cast<uint64_t>(i));
      round = -i;
    }
    holder.join();
  }
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTableRace, AHandOverLosesNoHoldAndNeverShowsTwoOwnersAtOnce) {
  auto table = make_table();
  auto swap_owner = [&](std::mt19937_64& random) {
    auto hold = table->expose(extent(500, 600), Owner::kRamCache);
    if (!hold) return;
    bool moved = table->hand_over(*hold, Owner::kFileStore).has_value();
    RcuReadSection reading;
    for (uint64_t index = 500 + random() % 600; index < 1100; index += 97) {
      ASSERT_EQ(table->pfn_to_page(pfn(index))->word.load().owner(), moved ? Owner::kFileStore : Owner::kRamCache);
    }
  };
  auto disturb = [&](std::mt19937_64& random) {
    auto hold =
        table->expose(extent(500 + random() % 600, 1), random() % 2 == 0 ? Owner::kRamCache : Owner::kFileStore);
  };
  Race(*table).run({swap_owner, disturb});
  EXPECT_TRUE(is_sound(*table));
  EXPECT_EQ(table->statistics().holds, 0U);
}

}  // namespace
}  // namespace dmap::testing
