// SPDX-License-Identifier: Apache-2.0
#include "frame/descriptor_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "base/sanitizers.h"
#include "testing/frame/table_fixture.h"

namespace dmap::testing {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<DescriptorPool> make_pool(DescriptorPool::Options options) {
  return DescriptorPool::create(std::move(options)).value();
}

TEST(DescriptorPool, TheZeroBlockIsAllCleared) {
  auto pool = make_pool({});
  for (const Page& page : pool->at(0).pages) EXPECT_EQ(page.word.load(), Word{});
}

TEST(DescriptorPool, ABlockComesIdleAndKnowsItsFrames) {
  auto pool = make_pool({});
  Block* block = pool->take(pfn(64)).value();
  EXPECT_EQ(&pool->at(pool->offset_of(*block)), block);
  EXPECT_NE(pool->offset_of(*block), 0U);
  block->pages[3].word.store(Word{}.plus(1));
  pool->give(*block);
  Block* again = pool->take(pfn(128)).value();
  EXPECT_EQ(again, block);
  EXPECT_EQ(again->pages[3].word.load(), Word{});
  EXPECT_EQ(again->pages[3].pfn, pfn(131));
  pool->give(*again);
}

TEST(DescriptorPool, ItGrowsByGrantsUpToTheBudgetAndShrinksAgain) {
  auto pool = make_pool({.budget = 256_KiB, .grant = 64_KiB});
  std::vector<Block*> blocks;
  for (;;) {
    auto block = pool->take(pfn(0));
    if (!block) {
      EXPECT_EQ(block.error().code(), Code::kNoDescriptors);
      break;
    }
    blocks.push_back(*block);
  }
  EXPECT_EQ(blocks.size(), 4 * (65536 / sizeof(Block)));
  EXPECT_EQ(pool->usage().granted, 256_KiB);
  EXPECT_EQ(pool->charge(4_KiB).error().code(), Code::kNoDescriptors);
  for (Block* block : blocks) pool->give(*block);
  EXPECT_EQ(pool->usage().granted, 64_KiB);
  EXPECT_EQ(pool->usage().blocks, 0U);
  EXPECT_TRUE(pool->charge(192_KiB).has_value());
  pool->refund(192_KiB);
}

TEST(DescriptorPool, OddSizesAreRefused) {
  EXPECT_EQ(DescriptorPool::create({.grant = 5000_B}).error().code(), Code::kInvalid);
  EXPECT_EQ(DescriptorPool::create({.grant = 0_B}).error().code(), Code::kInvalid);
  EXPECT_EQ(DescriptorPool::create({.budget = 1_PiB}).error().code(), Code::kInvalid);
}

TEST(DescriptorPool, NoRoomInTheSystemIsAnErrorAndNotAKill) {
  namespace fs = std::filesystem;
  fs::path root = fs::temp_directory_path() / ("dmap-pool-" + std::to_string(getpid()));
  fs::create_directories(root / "proc");
  std::ofstream(root / "proc/meminfo") << "MemAvailable: 512 kB\n";
  auto table = FrameTable::create({.pool = {.room = MemoryRoom(root)}}).value();
  ASSERT_TRUE(table->add_device(kDevice, kFrames).has_value());
  auto refused = table->expose(extent(0, 1), Owner::kFileStore);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kNoMemory);
  EXPECT_THAT(refused.error().message(), HasSubstr("480 KiB may be filled"));
  EXPECT_TRUE(is_sound(*table));
  fs::remove_all(root);
}

// The sanitizers reserve terabytes of addresses themselves, which leaves no sense in limits on those.
#if !defined(DMAP_TSAN) && !defined(DMAP_ASAN)
class UnderALimit : public ::testing::Test {
 protected:
  // A fresh process for each: limits cannot be raised again, and a fork would lack liburcu's worker thread.
  UnderALimit() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

/// Lets this process have `more` than it has now, by what /proc/self/status calls it.
bool limit_to(__rlimit_resource which, const std::string& counted_as, Bytes more) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word != counted_as || !(status >> kib)) continue;
    rlimit limit{(kib << 10) + more.value, RLIM_INFINITY};
    return setrlimit(which, &limit) == 0;
  }
  return false;
}

bool reserving_fails_as_a_value() {
  auto table = FrameTable::create({}).value();
  if (!limit_to(RLIMIT_AS, "VmSize:", 1_GiB)) return false;
  auto refused = table->add_device(kDevice, frames_within(1_PiB));
  return !refused && refused.error().code() == Code::kNoMemory && table->add_device(kDevice, kFrames).has_value();
}

bool populating_fails_as_a_value_and_leaves_nothing() {
  auto table = FrameTable::create({.pool = {.budget = 1_GiB}}).value();
  FrameCount frames = frames_within(8_GiB);  // 65 MiB of descriptors
  if (!table->add_device(kDevice, frames) || !limit_to(RLIMIT_DATA, "VmData:", 16_MiB)) return false;
  auto refused = table->expose({pfn(0), frames}, Owner::kFileStore, Grain::kFrame);
  bool nothing = !table->anything_exposed({pfn(0), frames}) && table->check_invariants().has_value();
  return !refused && refused.error().code() == Code::kNoMemory && nothing;
}

TEST_F(UnderALimit, OnAddressesADeviceThatDoesNotFitIsAnError) {
  EXPECT_EXIT(_exit(reserving_fails_as_a_value() ? 0 : 1), ::testing::ExitedWithCode(0), "");
}

TEST_F(UnderALimit, OnDataAnExposeIsRefusedInItsMiddleAndLeavesNothing) {
  EXPECT_EXIT(_exit(populating_fails_as_a_value_and_leaves_nothing() ? 0 : 1), ::testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace dmap::testing
