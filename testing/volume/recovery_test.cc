// SPDX-License-Identifier: Apache-2.0
//
// Opening: what is refused, what it costs, and that nothing of one volume shows in another.
#include <gmock/gmock.h>

#include "testing/volume/volume_fixture.h"

namespace dmap::testing {
namespace {

using ::testing::SizeIs;

TEST(Open, WhatIsNoVolumeIsRefusedByName) {
  Trace trace;
  auto code_of = [&](Image image) {
    auto opened = VolumeCore::open(std::make_unique<CrashDevice>(std::move(image), Persistence::kNone, trace), {});
    return opened ? std::string("fine") : std::string(name_of(opened.error().code()));
  };
  EXPECT_EQ(code_of(Image(FrameCount{2000})), "foreign");
  EXPECT_EQ(code_of(Image(FrameCount{1})), "foreign");
  Image text(FrameCount{1024});
  std::memset(text.data(), 'x', bytes_of(text.frames()).value);
  EXPECT_EQ(code_of(std::move(text)), "foreign");
  Media media(FrameCount{1100});
  Image cut(FrameCount{1099});
  std::memcpy(cut.data(), media.frame(0), bytes_of(cut.frames()).value);
  EXPECT_EQ(code_of(std::move(cut)), "corrupt");
}

TEST(Open, FormatKnowsItsLimits) {
  auto fits = [](uint64_t frames, Bytes journal) {
    return Store::check_geometry({.journal = journal}, FrameCount{frames}, "x").has_value();
  };
  EXPECT_TRUE(fits(1024, {}));
  EXPECT_FALSE(fits(1023, {}));
  EXPECT_TRUE(fits(1024, 2_MiB));
  EXPECT_FALSE(fits(1024, 2_MiB + kFrameSize));
  EXPECT_FALSE(fits(1024, 1_MiB - kFrameSize));
  EXPECT_TRUE(fits(1 << 20, 2_GiB));
}

TEST(Open, TheSmallestVolumeWithTheLargestJournalWorks) {
  Media media(FrameCount{1024}, 2_MiB);
  auto core = media.open();
  ASSERT_TRUE(perform(**core, {.kind = Kind::kCreate, .path = "/a"}));
  ASSERT_TRUE(perform(**core, {.kind = Kind::kWrite, .path = "/a", .bytes = std::string(100000, 'x')}));
  media.take(**core);
  core = media.open();
  EXPECT_EQ(read_world(**core)->at("/a").content, std::string(100000, 'x'));
  EXPECT_THAT(findings(**core), SizeIs(0));
}

TEST(Open, TwoVolumesInOneProcessShareNothing) {
  Media media[2];
  auto first = media[0].open();
  auto second = media[1].open();
  ASSERT_TRUE(perform(**first, {.kind = Kind::kCreate, .path = "/only in the first"}));
  ASSERT_TRUE(perform(**second, {.kind = Kind::kCreate, .path = "/only in the second"}));
  EXPECT_TRUE(read_world(**first)->names.contains("/only in the first"));
  EXPECT_FALSE(read_world(**second)->names.contains("/only in the first"));
  EXPECT_NE((*first)->store().superblock().uuid, (*second)->store().superblock().uuid);
}

TEST(Open, AnotherVolumesJournalIsNotReplayed) {
  Media media[2];
  auto core = media[0].open();
  ASSERT_TRUE(perform(**core, {.kind = Kind::kCreate, .path = "/a"}));
  media[0].take(**core);
  std::memcpy(media[1].frame(kJournalFrame), media[0].frame(kJournalFrame), 1 << 20);
  core = media[1].open();
  ASSERT_TRUE(core);
  EXPECT_EQ((*core)->store().open_info().records_replayed, 0U);
}

TEST(Open, AFullJournalIsReplayedWholeAndCostsWhatItHolds) {
  Media media;
  auto core = media.open();
  ASSERT_TRUE(perform(**core, {.kind = Kind::kCreate, .path = "/a"}));
  uint64_t records = 1;
  for (; (*core)->store().open_info().journal_used < 1_MiB - 8_KiB; ++records) {
    ASSERT_TRUE(
        perform(**core, {.kind = Kind::kXattr, .path = "/a", .other = "user.x", .bytes = std::string(400, 'x')}));
  }
  ASSERT_EQ((*core)->store().open_info().checkpoints, 0U);
  media.take(**core);
  core = media.open();
  ASSERT_TRUE(core);
  EXPECT_EQ((*core)->store().open_info().records_replayed, records);
  ASSERT_TRUE((*core)->close());
  media.take(**core);
  core = media.open();
  EXPECT_EQ((*core)->store().open_info().records_replayed, 0U);
}

TEST(Open, SessionsThatDieAtOnceNeverFillTheJournal) {
  Media media;
  auto core = media.open();
  ASSERT_TRUE(perform(**core, {.kind = Kind::kCreate, .path = "/a"}));
  for (uint64_t size : {4000, 1}) {
    auto has_room = [&] { return (*core)->store().open_info().journal_used + Bytes{size + size / 16 + 2600} < 1_MiB; };
    while (has_room()) {
      ASSERT_TRUE(
          perform(**core, {.kind = Kind::kXattr, .path = "/a", .other = "user.x", .bytes = std::string(size, 'x')}));
    }
  }
  ASSERT_EQ((*core)->store().open_info().checkpoints, 0U);
  media.take(**core);
  for (int i = 0; i < 60; ++i) {
    core = media.open();
    ASSERT_TRUE(core) << core.error().message();
    media.take(**core);
  }
  EXPECT_EQ(read_world(**core)->at("/a").xattrs.at("user.x"), "x");
}

}  // namespace
}  // namespace dmap::testing
