// SPDX-License-Identifier: Apache-2.0
#include "extent/space_map.h"

#include <gtest/gtest.h>

#include "testing/extent/fakes.h"

namespace dmap {
namespace {

constexpr uint64_t kGroup = kGroupFrames;

TEST(SpaceMap, AReservationThatDiesGivesEverythingBack) {
  Space space(2 * kGroup);
  {
    Reservation reservation = space.map->reserve(FrameCount{100}, {}).value();
    EXPECT_EQ(reservation.frames(), FrameCount{100});
    EXPECT_EQ(space.map->counts().reserved, FrameCount{100});
  }
  EXPECT_EQ(space.map->counts().free, FrameCount{2 * kGroup});
  EXPECT_TRUE(space.map->check_invariants());
}

TEST(SpaceMap, OpeningAPetabyteLoadsNothingAndAllocatesAtOnce) {
  Space space(uint64_t{1} << 38);  // 1 PiB
  EXPECT_EQ(space.tree.loads(), 0U);
  EXPECT_EQ(space.allocate(1).size(), 1U);
  EXPECT_EQ(space.tree.loads(), 1U);
  EXPECT_EQ(space.map->counts().free.value, (uint64_t{1} << 38) - 1);
}

TEST(SpaceMap, ALargeFileGetsWholeLargeFramesInOnePiece) {
  Space space(64 * kGroup);
  space.allocate(3);
  auto pieces = space.allocate(40 * kGroup + 77);
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_EQ(index_of(pieces[0].first) % kLargeFrames, 0U);
}

TEST(SpaceMap, AnAnnouncedLargeFileBeginsAtALargeFrame) {
  Space space(4 * kGroup);
  space.allocate(5);
  auto pieces = space.allocate(16, {.size = SpaceHint::Size::kLarge});
  EXPECT_EQ(index_of(pieces[0].first) % kLargeFrames, 0U);
}

TEST(SpaceMap, AFileGoesOnWhereItEnded) {
  Space space(4 * kGroup);
  auto first = space.allocate(10);
  auto other = space.allocate(1);
  space.release(other[0]);
  space.map->mature();
  for (uint64_t want : {1U, 20U, 700U, 9000U}) {
    auto more = space.allocate(want, {.near = first.back().end()});
    ASSERT_EQ(more.size(), 1U);
    EXPECT_EQ(more[0].first, first.back().end());
    first = more;
  }
}

TEST(SpaceMap, SmallFilesShareLargeFramesAndLeaveWholeOnesAlone) {
  Space space(4 * kGroup);
  std::vector<Extent> files;
  for (int n = 0; n < 1000; ++n) files.push_back(space.allocate(3)[0]);
  // Every second one goes: its place is used again before a large frame is broken.
  for (size_t n = 0; n < files.size(); n += 2) space.release(files[n]);
  space.map->mature();
  for (int n = 0; n < 500; ++n) {
    auto pieces = space.allocate(3);
    ASSERT_EQ(pieces.size(), 1U);
    EXPECT_LT(index_of(pieces[0].first), 6 * kLargeFrames);
  }
  auto large = space.allocate(4 * kGroup - 6 * kLargeFrames);
  EXPECT_LE(large.size(), 2U);
  for (Extent piece : large) EXPECT_EQ(index_of(piece.first) % kLargeFrames, 0U);
}

TEST(SpaceMap, AFullVolumeIsFilledToTheLastFrameInPieces) {
  Space space(kGroup + 100);
  std::vector<Extent> singles;
  for (uint64_t n = 0; n < kGroup + 100; ++n) singles.push_back(space.allocate(1)[0]);
  EXPECT_EQ(space.map->counts().free, FrameCount{0});
  for (size_t n = 0; n < singles.size(); n += 2) space.release(singles[n]);
  auto pieces = space.allocate((kGroup + 100) / 2);  // matures by itself
  EXPECT_EQ(pieces.size(), (kGroup + 100) / 2);
  EXPECT_EQ(space.map->counts().owned, FrameCount{kGroup + 100});
  EXPECT_TRUE(space.map->check_invariants());
}

TEST(SpaceMap, NoSpaceSaysWhatIsFreeAndWhatIsHeld) {
  Space space(kGroup);
  auto pieces = space.allocate(kGroup - 10);
  space.holds.hold(extent(0, 20));
  space.release(extent(0, 20));
  auto refused = space.map->reserve(FrameCount{11}, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kNoSpace);
  EXPECT_NE(refused.error().message().find("10 free"), std::string::npos) << refused.error().message();
  EXPECT_NE(refused.error().message().find("20 freed but in quarantine, 20 of them held"), std::string::npos);
  EXPECT_EQ(space.map->counts().free, FrameCount{10});  // all or nothing
  space.holds.drop(extent(0, 20));
  EXPECT_TRUE(space.map->reserve(FrameCount{30}, {}).has_value());
}

TEST(SpaceMap, PiecesShorterThanAskedForAreRefused) {
  Space space(kGroup);
  auto all = space.allocate(kGroup);
  for (uint64_t n = 0; n < kGroup; n += 8) space.release(extent(n, 4));
  space.map->mature();
  EXPECT_FALSE(space.map->reserve(FrameCount{64}, {.piece_min = FrameCount{8}}).has_value());
  auto reservation = space.map->reserve(FrameCount{62}, {.piece_min = FrameCount{4}});
  ASSERT_TRUE(reservation.has_value());
  EXPECT_EQ(reservation->pieces().size(), 16U);  // 15 of 4 and one of 2
  EXPECT_EQ(space.map->counts().reserved, FrameCount{62});
}

TEST(SpaceMap, AFreedFrameWaitsForTheBarrierThatMakesItsRecordDurable) {
  Space space(kGroup);
  space.allocate(30);
  space.release(extent(0, 10), RecordState::kPending);
  EXPECT_EQ(space.map->mature(), FrameCount{0});
  auto barrier = space.map->begin_barrier();
  space.release(extent(10, 10), RecordState::kPending);  // too late for this barrier
  EXPECT_EQ(space.map->mature(), FrameCount{0});
  std::move(barrier).durable();
  EXPECT_EQ(space.map->mature(), FrameCount{10});
  EXPECT_EQ(space.state(0), FrameState::kFree);
  EXPECT_EQ(space.state(10), FrameState::kFreed);
  EXPECT_TRUE(space.map->check_invariants());
}

TEST(SpaceMap, AFailedBarrierLeavesItsFramesToTheNext) {
  Space space(kGroup);
  space.allocate(30);
  space.release(extent(0, 10), RecordState::kPending);
  {
    auto failed = space.map->begin_barrier();
  }
  EXPECT_EQ(space.map->mature(), FrameCount{0});
  space.release(extent(10, 10), RecordState::kPending);
  auto barrier = space.map->begin_barrier();
  std::move(barrier).durable();
  EXPECT_EQ(space.map->mature(), FrameCount{20});
}

TEST(SpaceMap, AHeldFrameIsFreedByTheLastDrop) {
  Space space(kGroup);
  space.allocate(600);
  space.holds.hold(extent(0, 512));  // one descriptor for a large frame
  space.holds.hold(extent(0, 512));
  space.release(extent(100, 50));
  EXPECT_EQ(space.map->mature(), FrameCount{0});
  EXPECT_EQ(space.map->counts().held, FrameCount{50});
  space.release(extent(200, 10));
  space.holds.drop(extent(0, 512));
  EXPECT_EQ(space.map->counts().held, FrameCount{50});
  space.holds.drop(extent(0, 512));
  EXPECT_EQ(space.state(100), FrameState::kFree);
  EXPECT_EQ(space.state(200), FrameState::kDurable) << "its own grace period is still to come";
  EXPECT_EQ(space.map->mature(), FrameCount{10});
  EXPECT_EQ(space.state(0), FrameState::kOwned);
  EXPECT_TRUE(space.map->check_invariants());
}

TEST(SpaceMap, AViewedFrameWaitsAndTheEndOfTheViewIsReported) {
  Space space(kGroup);
  space.allocate(30);
  ViewSlot view = space.views.take(extent(5, 2)).value();
  space.release(extent(0, 30));
  EXPECT_EQ(space.map->mature(), FrameCount{28});
  EXPECT_EQ(space.map->mature(), FrameCount{0});
  EXPECT_EQ(space.state(6), FrameState::kDurable);
  view = ViewSlot();
  EXPECT_TRUE(space.views.look_again());
  EXPECT_EQ(space.map->mature(), FrameCount{2});
}

TEST(SpaceMap, OneRunForMetadataIsAsLongAsItCanBe) {
  Space space(4 * kGroup);
  ASSERT_TRUE(space.map->reserve_fixed(extent(kGroup - 100, 1), FixedUse::kMetadata).has_value());
  ASSERT_TRUE(space.map->reserve_fixed(extent(3 * kGroup + 7, 1), FixedUse::kMetadata).has_value());
  auto wanted = space.map->reserve_run(FrameCount{2 * kGroup}, FrameCount{1}).value();
  ASSERT_EQ(wanted.pieces().size(), 1U);
  EXPECT_EQ(wanted.pieces()[0], extent(kGroup - 99, 2 * kGroup));
  auto best = space.map->reserve_run(FrameCount{2 * kGroup}, FrameCount{1000}).value();
  EXPECT_EQ(best.pieces()[0], extent(3 * kGroup + 8, kGroup - 8)) << "the longest of what is left";
  auto none = space.map->reserve_run(FrameCount{kGroup}, FrameCount{kGroup});
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code(), Code::kNoSpace);
  space.map->commit(std::move(best), SpaceUse::kMetadata);
  EXPECT_EQ(space.map->counts().metadata, FrameCount{2 + kGroup - 8});
  EXPECT_TRUE(space.map->check_invariants());
}

TEST(SpaceMap, DataNeverTakesWhatIsKeptForMetadata) {
  Space space(kGroup, /*kept=*/1000);
  EXPECT_FALSE(space.map->reserve(FrameCount{kGroup - 999}, {}).has_value());
  space.allocate(kGroup - 1000);
  EXPECT_FALSE(space.map->reserve(FrameCount{1}, {}).has_value());
  EXPECT_TRUE(space.map->reserve_run(FrameCount{1000}, FrameCount{1}).has_value());
}

TEST(SpaceMap, FixedFramesAreNobodysData) {
  Space space(kGroup);
  ASSERT_TRUE(space.map->reserve_fixed(extent(0, 16), FixedUse::kMetadata).has_value());
  ASSERT_TRUE(space.map->reserve_fixed(extent(0, 16), FixedUse::kMetadata).has_value());
  ASSERT_TRUE(space.map->reserve_fixed(extent(20, 1), FixedUse::kBad).has_value());
  EXPECT_EQ(space.map->claim(extent(10, 10)).error().code(), Code::kCorrupt);
  EXPECT_EQ(space.map->prepare_release(extent(0, 1)).error().code(), Code::kCorrupt);
  EXPECT_EQ(space.state(16), FrameState::kFree) << "a refused claim changes nothing";
  space.allocate(kGroup - 17);
  EXPECT_EQ(space.state(20), FrameState::kBad);
  EXPECT_EQ(space.map->counts().bad, FrameCount{1});
}

TEST(SpaceMap, ReplayMayClaimTwiceAndAfterARelease) {
  Space space(2 * kGroup);
  ASSERT_TRUE(space.map->claim(extent(kGroup - 5, 10)).has_value());
  ASSERT_TRUE(space.map->claim(extent(kGroup - 5, 10)).has_value());
  space.release(extent(kGroup - 5, 10), RecordState::kDurable);
  ASSERT_TRUE(space.map->claim(extent(kGroup, 2)).has_value());
  EXPECT_EQ(space.map->counts().owned, FrameCount{2});
  EXPECT_EQ(space.map->mature(), FrameCount{8});
  EXPECT_TRUE(space.map->check_invariants());
}

TEST(SpaceMap, ExtentsOutsideTheDeviceAreCorrupt) {
  Space space(kGroup + 10);
  for (Extent wrong : {extent(kGroup + 10, 1), extent(kGroup, 11), extent(kGroup, kPfnIndexMask),
                       Extent{make_pfn(DeviceNumber{4}, 0), FrameCount{1}}}) {
    EXPECT_EQ(space.map->claim(wrong).error().code(), Code::kCorrupt);
    EXPECT_EQ(space.map->prepare_release(wrong).error().code(), Code::kCorrupt);
  }
}

TEST(SpaceMap, AGroupThatCannotBeLoadedFailsTheCallAndChangesNothing) {
  Space space(3 * kGroup);
  space.tree.set_failing(1, true);
  auto refused = space.map->reserve(FrameCount{2 * kGroup}, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kIo);
  EXPECT_EQ(space.map->counts().free, FrameCount{3 * kGroup});
  space.tree.set_failing(1, false);
  EXPECT_TRUE(space.map->reserve(FrameCount{2 * kGroup}, {}).has_value());
}

TEST(SpaceMap, StoredGroupsThatDisagreeWithTheSumAreCorrupt) {
  Space space(2 * kGroup);
  space.allocate(100);
  ASSERT_TRUE(space.store().has_value());
  space.open(99);  // fewer than group 0 has
  EXPECT_EQ(space.map->reserve(FrameCount{1}, {}).error().code(), Code::kCorrupt);
  space.open(kGroup + 101);  // more than fit into the rest
  EXPECT_EQ(space.map->reserve(FrameCount{1}, {}).error().code(), Code::kCorrupt);
  FakeTree tree;
  EXPECT_EQ(
      SpaceMap::create(kDevice, FrameCount{10}, FrameCount{11}, tree, space.holds, space.views, {}).error().code(),
      Code::kCorrupt);
}

TEST(SpaceMap, ADamagedStoredGroupIsAnErrorThatNamesIt) {
  Space space(2 * kGroup);
  const std::byte damaged[] = {std::byte{9}, std::byte{9}};
  ASSERT_TRUE(space.tree.store(1, EncodedGroup::copy_of(damaged).value()).has_value());
  auto claimed = space.map->claim(extent(kGroup, 1));
  ASSERT_FALSE(claimed.has_value());
  EXPECT_EQ(claimed.error().message(), "load free space device 3 group 1: corrupt (an unknown form)");
}

TEST(SpaceMap, AFailedCheckpointStoresTheSameGroupsAgain) {
  Space space(3 * kGroup);
  ASSERT_TRUE(space.map->claim(extent(0, 3 * kGroup)).has_value());
  space.tree.set_failing(1, true);
  EXPECT_EQ(space.store().error().code(), Code::kIo);
  space.tree.set_failing(1, false);
  space.map->mark_dirty(0);  // its value is lost with the checkpoint
  std::vector<uint64_t> stored;
  ASSERT_TRUE(space.map
                  ->store_dirty_groups([&](uint64_t group, const auto& value) -> Result<void> {
                    stored.push_back(group);
                    return space.tree.store(group, value);
                  })
                  .has_value());
  std::ranges::sort(stored);
  EXPECT_EQ(stored, (std::vector<uint64_t>{0, 1, 2}));
  space.open(3 * kGroup);
  EXPECT_EQ(space.map->reserve(FrameCount{1}, {}).error().code(), Code::kNoSpace);
  EXPECT_EQ(space.state(3 * kGroup - 1), FrameState::kOwned);
}

TEST(SpaceMap, FramesThatWereGivenBackAreFreeAfterTheNextCheckpoint) {
  Space space(2 * kGroup);
  space.allocate(100);
  ASSERT_TRUE(space.store().has_value());
  space.release(extent(20, 80), RecordState::kPending);  // in quarantine now, but nobody's in the stored groups
  ASSERT_TRUE(space.store().has_value());
  space.open(20);
  EXPECT_EQ(space.state(19), FrameState::kOwned);
  EXPECT_EQ(space.state(20), FrameState::kFree);
  EXPECT_EQ(space.map->counts().free, FrameCount{2 * kGroup - 20});
}

TEST(SpaceMap, AfterOpeningAFullRegionIsLeftBehindQuickly) {
  constexpr uint64_t kGroups = 10000;
  Space space(kGroups * kGroup);
  ASSERT_TRUE(space.map->claim(extent(0, kGroups / 2 * kGroup)).has_value());
  ASSERT_TRUE(space.store().has_value());
  const uint64_t loads = space.tree.loads();
  space.open(kGroups / 2 * kGroup);
  space.allocate(1);
  EXPECT_LT(space.tree.loads() - loads, 100U);
}

}  // namespace
}  // namespace dmap
