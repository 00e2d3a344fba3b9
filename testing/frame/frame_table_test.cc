// SPDX-License-Identifier: Apache-2.0
#include "frame/frame_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/frame/table_fixture.h"

namespace dmap::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Word, CountingNeverReachesTheFlags) {
  Word full = Word{}.with(Word::kLarge).with_owner(Owner::kRamCache).plus(Word::kCountMax);
  EXPECT_EQ(full.count(), Word::kCountMax);
  EXPECT_FALSE(full.can_count(1));
  EXPECT_EQ(full.owner(), Owner::kRamCache);
  EXPECT_FALSE(full.has(Word::kFreed));
  EXPECT_EQ(full.minus(Word::kCountMax), Word{}.with(Word::kLarge).with_owner(Owner::kRamCache));
}

TEST(Word, TheVersionWrapsAndLeavesTheRestAlone) {
  Word word = Word{}.with_owner(static_cast<Owner>(0xff)).plus(7);
  Word last{word.bits | ~uint64_t{0} << Word::kVersionShift};
  EXPECT_EQ(last.next_version(), word);
}

TEST(FrameTable, AnUntouchedFrameHasNoPage) {
  auto table = make_table();
  EXPECT_FALSE(look_up(*table, pfn(0)).exposed);
  EXPECT_FALSE(look_up(*table, pfn(kFrames.value - 1)).exposed);
}

TEST(FrameTable, FramesOutsideEveryDeviceHaveNoPage) {
  auto table = make_table();
  EXPECT_FALSE(look_up(*table, pfn(kFrames.value)).exposed);
  EXPECT_FALSE(look_up(*table, pfn(kPfnIndexMask)).exposed);
  EXPECT_FALSE(look_up(*table, make_pfn(DeviceNumber{0xffff}, 0)).exposed);
}

TEST(FrameTable, ExposingAFrameGivesItAPageUntilTheHoldIsDropped) {
  auto table = make_table();
  auto hold = table->expose(extent(1000, 1), Owner::kFileStore).value();
  Seen seen = look_up(*table, pfn(1000));
  EXPECT_TRUE(seen.exposed);
  EXPECT_FALSE(seen.large);
  EXPECT_EQ(seen.first, pfn(1000));
  EXPECT_EQ(seen.owner, Owner::kFileStore);
  EXPECT_FALSE(look_up(*table, pfn(999)).exposed);
  EXPECT_FALSE(look_up(*table, pfn(1001)).exposed);
  EXPECT_TRUE(is_sound(*table));
  hold.drop();
  EXPECT_FALSE(look_up(*table, pfn(1000)).exposed);
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, AWholeAlignedRunTakesOneLargePageAndNoBlock) {
  auto table = make_table();
  auto hold = table->expose(extent(512, 512), Owner::kFileStore).value();
  for (uint64_t index : {512, 700, 1023}) {
    Seen seen = look_up(*table, pfn(index));
    EXPECT_TRUE(seen.large);
    EXPECT_EQ(seen.first, pfn(512));
  }
  EXPECT_FALSE(look_up(*table, pfn(511)).exposed);
  EXPECT_FALSE(look_up(*table, pfn(1024)).exposed);
  EXPECT_EQ(table->statistics().blocks, 0U);
  EXPECT_EQ(table->statistics().large_pages, 1U);
  EXPECT_EQ(table->statistics().exposed_frames, 512U);
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, AnUnalignedExtentTakesLargePagesForItsWholeRunsOnly) {
  auto table = make_table();
  auto hold = table->expose(extent(500, 1100), Owner::kFileStore).value();  // 12 + 2 * 512 + 64
  EXPECT_FALSE(look_up(*table, pfn(500)).large);
  EXPECT_TRUE(look_up(*table, pfn(512)).large);
  EXPECT_TRUE(look_up(*table, pfn(1535)).large);
  EXPECT_FALSE(look_up(*table, pfn(1536)).large);
  EXPECT_EQ(table->statistics().large_pages, 2U);
  EXPECT_EQ(table->statistics().blocks, 2U);
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, AHoldOnAPartOfALargeRunCountsOnTheWholeRun) {
  auto table = make_table();
  auto whole = table->expose(extent(0, 512), Owner::kFileStore).value();
  auto part = table->expose(extent(100, 3), Owner::kFileStore).value();
  EXPECT_EQ(look_up(*table, pfn(400)).holds, 2U);
  whole.drop();
  EXPECT_TRUE(look_up(*table, pfn(400)).exposed);
  part.drop();
  EXPECT_FALSE(look_up(*table, pfn(400)).exposed);
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, ExposingARunWhereFramesAreExposedFillsInTheOthers) {
  auto table = make_table();
  auto frame = table->expose(extent(7, 1), Owner::kFileStore).value();
  auto whole = table->expose(extent(0, 512), Owner::kFileStore).value();
  EXPECT_FALSE(look_up(*table, pfn(0)).large);
  EXPECT_EQ(look_up(*table, pfn(7)).holds, 2U);
  EXPECT_EQ(look_up(*table, pfn(511)).holds, 1U);
  EXPECT_TRUE(is_sound(*table));
  frame.drop();
  EXPECT_EQ(look_up(*table, pfn(7)).holds, 1U);
  whole.drop();
  EXPECT_FALSE(table->anything_exposed(extent(0, 512)));
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, OverlappingHoldsOfOneOwnerCountEach) {
  auto table = make_table();
  auto first = table->expose(extent(10, 10), Owner::kFileStore).value();
  auto second = table->expose(extent(15, 10), Owner::kFileStore).value();
  EXPECT_EQ(look_up(*table, pfn(12)).holds, 1U);
  EXPECT_EQ(look_up(*table, pfn(17)).holds, 2U);
  EXPECT_EQ(look_up(*table, pfn(22)).holds, 1U);
  EXPECT_EQ(table->statistics().holds, 20U);
  EXPECT_EQ(table->statistics().exposed_frames, 15U);
}

TEST(FrameTable, AFrameOfAnotherOwnerIsRefusedByNameAndNothingChanges) {
  auto table = make_table();
  auto ram = table->expose(extent(600, 1), Owner::kRamCache).value();
  auto refused = table->expose(extent(0, 1024), Owner::kFileStore);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kOtherOwner);
  EXPECT_THAT(refused.error().message(), HasSubstr("frame 3:600 belongs to the RAM cache"));
  EXPECT_EQ(table->statistics().exposed_frames, 1U);
  EXPECT_EQ(table->statistics().holds, 1U);
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, APartOfAHeldRunIsRefusedToAnotherOwner) {
  auto table = make_table();
  auto whole = table->expose(extent(0, 512), Owner::kFileStore).value();
  auto refused = table->expose(extent(3, 1), Owner::kRamCache);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kOtherOwner);
  EXPECT_THAT(refused.error().message(), HasSubstr("belongs to the file store"));
}

TEST(FrameTable, AnIdleRunSplitsForAnotherOwnerOrAFinerGrain) {
  auto table = make_table();
  table->expose(extent(0, 512), Owner::kFileStore).value().drop();
  auto frame = table->expose(extent(5, 1), Owner::kRamCache).value();
  EXPECT_FALSE(look_up(*table, pfn(5)).large);
  EXPECT_FALSE(look_up(*table, pfn(6)).exposed);
  frame.drop();
  auto fine = table->expose(extent(0, 512), Owner::kFileStore, Grain::kFrame).value();
  EXPECT_FALSE(look_up(*table, pfn(5)).large);
  EXPECT_EQ(table->statistics().exposed_frames, 512U);
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, FramesBecomeARunAgainOnceAllAreIdle) {
  auto table = make_table();
  table->expose(extent(0, 512), Owner::kFileStore, Grain::kFrame).value().drop();
  auto whole = table->expose(extent(0, 512), Owner::kFileStore).value();
  EXPECT_TRUE(look_up(*table, pfn(9)).large);
  rcu_barrier_all();
  EXPECT_EQ(table->statistics().blocks, 0U);
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, AFrameGrainExposeOfAHeldRunIsBusy) {
  auto table = make_table();
  auto whole = table->expose(extent(0, 512), Owner::kFileStore).value();
  auto refused = table->expose(extent(0, 1), Owner::kFileStore, Grain::kFrame);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kBusy);
  EXPECT_EQ(look_up(*table, pfn(0)).holds, 1U);
}

TEST(FrameTable, MoreHoldsThanCanBeCountedAreAnError) {
  auto table = make_table();
  for (uint64_t count : {uint64_t{1}, uint64_t{512}}) {
    auto hold = table->expose(extent(0, count), Owner::kFileStore).value();
    std::atomic<Word>* word = nullptr;
    {
      RcuReadSection reading;
      word = &table->pfn_to_page(pfn(0))->word;  // the hold keeps it
    }
    Word before = word->load();
    word->store(before.plus(Word::kCountMax - 1));
    auto refused = table->expose(extent(0, 1), Owner::kFileStore);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), Code::kBusy);
    EXPECT_THAT(refused.error().message(), HasSubstr("as many holds as can be counted"));
    word->store(before);
  }
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, ExtentsThatNoDeviceHasAreInvalid) {
  auto table = make_table();
  for (Extent wrong : {extent(0, 0), extent(kFrames.value, 1), extent(kFrames.value - 1, 2), extent(1, ~uint64_t{0}),
                       Extent{make_pfn(DeviceNumber{9}, 0), FrameCount{1}}}) {
    auto refused = table->expose(wrong, Owner::kFileStore);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), Code::kInvalid);
  }
}

TEST(FrameTable, AHandOverNeedsToBeTheOnlyHold) {
  auto table = make_table();
  auto mine = table->expose(extent(0, 600), Owner::kRamCache).value();  // a run and 88 frames
  auto other = table->expose(extent(599, 1), Owner::kRamCache).value();
  auto refused = table->hand_over(mine, Owner::kFileStore);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kBusy);
  EXPECT_THAT(refused.error().message(), HasSubstr("frame 3:599"));
  EXPECT_EQ(look_up(*table, pfn(0)).owner, Owner::kRamCache);
  EXPECT_EQ(look_up(*table, pfn(550)).owner, Owner::kRamCache);
  EXPECT_TRUE(is_sound(*table));

  other.drop();
  ASSERT_TRUE(table->hand_over(mine, Owner::kFileStore).has_value());
  EXPECT_EQ(mine.owner(), Owner::kFileStore);
  EXPECT_EQ(look_up(*table, pfn(0)).owner, Owner::kFileStore);
  EXPECT_EQ(look_up(*table, pfn(599)).owner, Owner::kFileStore);
  EXPECT_TRUE(table->expose(extent(0, 600), Owner::kFileStore).has_value());
  EXPECT_FALSE(table->expose(extent(550, 1), Owner::kRamCache).has_value());
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, AnExhaustedBudgetIsAnErrorThatNamesItAndChangesNothing) {
  auto table = make_table(small_grants(12_KiB));  // a region and two blocks
  auto held = table->expose(extent(0, 128), Owner::kFileStore).value();
  auto refused = table->expose(extent(100, 200), Owner::kFileStore);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message(),
            "expose frames 3:[100, 300): no_descriptors (budget 12 KiB, 12 KiB in use; see "
            "OpenOptions::descriptor_memory)");
  EXPECT_EQ(look_up(*table, pfn(110)).holds, 1U);
  EXPECT_FALSE(look_up(*table, pfn(130)).exposed);
  EXPECT_TRUE(is_sound(*table));
  EXPECT_TRUE(table->expose(extent(100, 28), Owner::kFileStore).has_value());
}

TEST(FrameTable, EveryAllocationOfAnExposeMayFailAndLeaveNothingBehind) {
  Extent wide = extent(kRegionFrames - 700, 1400);  // two regions, large runs between frames
  uint64_t failures = 0;
  for (Bytes budget;; budget += 4_KiB) {
    auto table = make_table(small_grants(budget));
    auto held = table->expose(wide, Owner::kFileStore);
    EXPECT_TRUE(is_sound(*table));
    if (held) break;
    ++failures;
    EXPECT_EQ(held.error().code(), Code::kNoDescriptors);
    EXPECT_FALSE(table->anything_exposed({pfn(0), kFrames}));
    EXPECT_EQ(table->statistics().holds, 0U);
  }
  EXPECT_EQ(failures, 2U + 6U);  // 188 frames below the first whole run, 188 above the last: 3 blocks each
}

TEST(FrameTable, IdleDescriptorsMakeWayWhenTheBudgetIsShort) {
  auto table = make_table(small_grants(12_KiB));
  for (uint64_t index = 0; index < 3 * kRegionFrames; index += 1777) {
    auto hold = table->expose(extent(index, 1), Owner::kFileStore);
    ASSERT_TRUE(hold.has_value()) << hold.error().message();
  }
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, InsideAReadSectionItFailsRatherThanWait) {
  auto table = make_table(small_grants(8_KiB));
  table->expose(extent(0, 1), Owner::kFileStore).value().drop();
  {
    RcuReadSection reading;
    EXPECT_TRUE(table->expose(extent(1, 1), Owner::kFileStore).has_value());  // the idle block serves
    auto refused = table->expose(extent(64, 1), Owner::kFileStore);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), Code::kNoDescriptors);
  }
  EXPECT_TRUE(table->expose(extent(64, 1), Owner::kFileStore).has_value());
}

TEST(FrameTable, MemoryFollowsWhatIsExposedNow) {
  auto table = make_table({.pool = {.grant = 64_KiB}, .idle_sections_max = 4});
  {
    std::vector<Exposure> holds;
    for (uint64_t index = 0; index < kFrames.value; index += 512) {
      holds.push_back(table->expose(extent(index, 1), Owner::kFileStore).value());
    }
    EXPECT_EQ(table->statistics().blocks, kFrames.value / 512);
  }
  rcu_barrier_all();
  rcu_barrier_all();
  EXPECT_LE(table->statistics().blocks, 4U);
  EXPECT_LE(table->statistics().granted, 64_KiB * 2 + 4_KiB * 4);
  EXPECT_TRUE(is_sound(*table));
  table->trim();
  EXPECT_EQ(table->statistics().blocks, 0U);
  EXPECT_LE(table->statistics().granted, 64_KiB);  // one grant is kept
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, TrimGivesBackMoreRegionsThanOneBatchCloses) {
  auto table = FrameTable::create({}).value();
  ASSERT_TRUE(table->add_device(kDevice, FrameCount{1500 * kRegionFrames}).has_value());
  {
    std::vector<Exposure> holds;
    for (uint64_t region = 0; region < 1500; ++region) {
      holds.push_back(table->expose(extent(region * kRegionFrames, 512), Owner::kFileStore).value());
    }
    EXPECT_EQ(table->statistics().in_use, 4_KiB * 1500);
  }
  table->trim();
  EXPECT_EQ(table->statistics().in_use, Bytes{0});
  EXPECT_TRUE(is_sound(*table));
}

TEST(FrameTable, ItTellsWhatIsExposedInARange) {
  auto table = make_table();
  auto frame = table->expose(extent(100, 1), Owner::kFileStore).value();
  auto run = table->expose(extent(kRegionFrames * 3, 512), Owner::kFileStore).value();
  EXPECT_TRUE(table->anything_exposed({pfn(0), kFrames}));
  EXPECT_TRUE(table->anything_exposed(extent(100, 1)));
  EXPECT_FALSE(table->anything_exposed(extent(0, 100)));
  EXPECT_FALSE(table->anything_exposed(extent(101, kRegionFrames)));
  EXPECT_TRUE(table->anything_exposed(extent(kRegionFrames * 3 + 5, 1)));
  std::vector<Extent> seen;
  table->for_each_exposed_section(extent(50, kRegionFrames * 3 - 50 + 10), [&](Extent part) { seen.push_back(part); });
  EXPECT_THAT(seen, ElementsAre(extent(50, 462), extent(kRegionFrames * 3, 10)));
}

TEST(FrameTable, ADeviceIsRemovedOnlyWhenNothingOfItIsExposedAndItsNumberIsNeverUsedAgain) {
  auto table = make_table();
  auto hold = table->expose(extent(1234, 1), Owner::kFileStore).value();
  auto busy = table->remove_device(kDevice);
  ASSERT_FALSE(busy.has_value());
  EXPECT_EQ(busy.error().code(), Code::kBusy);
  hold.drop();
  ASSERT_TRUE(table->remove_device(kDevice).has_value());
  EXPECT_FALSE(look_up(*table, pfn(1234)).exposed);
  EXPECT_TRUE(is_sound(*table));
  EXPECT_EQ(table->statistics().in_use, Bytes{0});
  EXPECT_EQ(table->add_device(kDevice, kFrames).error().code(), Code::kExists);
  EXPECT_EQ(table->expose(extent(0, 1), Owner::kFileStore).error().code(), Code::kInvalid);
  EXPECT_EQ(table->remove_device(kDevice).error().code(), Code::kNotFound);
}

TEST(FrameTable, TwoTablesInOneProcessKnowNothingOfEachOther) {
  auto one = make_table();
  auto two = make_table();
  auto hold = one->expose(extent(1, 1), Owner::kFileStore).value();
  EXPECT_TRUE(look_up(*one, pfn(1)).exposed);
  EXPECT_FALSE(look_up(*two, pfn(1)).exposed);
}

}  // namespace
}  // namespace dmap::testing
