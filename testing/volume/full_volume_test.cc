// SPDX-License-Identifier: Apache-2.0
//
// A full volume: what cannot be done is an error that changes nothing, what must be done works (X5).
#include <gmock/gmock.h>

#include "testing/volume/volume_fixture.h"

namespace dmap::testing {
namespace {

using ::testing::SizeIs;

TEST(FullVolume, EverythingCanBeDeletedAndTheSpaceIsWholeAgain) {
  Media media(FrameCount{2048});
  auto core = media.open();
  Usage empty = (*core)->usage();
  std::vector<std::string> paths;
  // Data first, then names, until nothing more goes in.
  Code why{};
  for (uint64_t i = 0;; ++i) {
    std::string path = "/f" + std::to_string(i);
    auto made = perform(**core, {.kind = Kind::kCreate, .path = path});
    if (!made) {
      why = made.error().code();
      break;
    }
    paths.push_back(path);
    auto written = perform(
        **core,
        {.kind = Kind::kWrite, .path = path, .offset = i % 3 * 5000, .bytes = std::string(i % 7 * 3000 + 100, 'x')});
    if (!written) {
      ASSERT_EQ(written.error().code(), Code::kNoSpace) << written.error().message();
    }
  }
  ASSERT_EQ(why, Code::kNoSpace);
  ASSERT_GT(paths.size(), 500U);
  EXPECT_THAT(findings(**core), SizeIs(0));
  media.take(**core);
  core = media.open();
  ASSERT_TRUE(core) << core.error().message();
  for (const std::string& path : paths) {
    auto gone = perform(**core, {.kind = Kind::kUnlink, .path = path});
    ASSERT_TRUE(gone) << path << ": " << gone.error().message();
  }
  ASSERT_TRUE((*core)->store().settle_quarantine());
  EXPECT_THAT(findings(**core), SizeIs(0));
  Usage now = (*core)->usage();
  EXPECT_EQ(now.owned, Bytes{0});
  EXPECT_EQ(now.inodes, 1U);
  EXPECT_EQ(now.free + now.metadata, empty.free + empty.metadata);
  EXPECT_TRUE(perform(**core, {.kind = Kind::kCreate, .path = "/again"}));
}

TEST(FullVolume, AnObjectWithMoreKeysThanARecordHoldsCanBeDeleted) {
  Media media(FrameCount{2048});
  auto core = media.open();
  ASSERT_TRUE(perform(**core, {.kind = Kind::kCreate, .path = "/a"}));
  for (int i = 0; i < 16; ++i) {
    ASSERT_TRUE(perform(
        **core,
        {.kind = Kind::kXattr, .path = "/a", .other = "user.x" + std::to_string(i), .bytes = std::string(60000, 'x')}));
  }
  ASSERT_TRUE(perform(**core, {.kind = Kind::kUnlink, .path = "/a"}));
  EXPECT_THAT(findings(**core), SizeIs(0));
  ASSERT_TRUE((*core)->close());
  EXPECT_THAT(findings(**core), SizeIs(0));
  EXPECT_EQ((*core)->usage().inodes, 1U);
}

/// "/a" of 600 frames, each an extent of its own.
void shatter(VolumeCore& core) {
  ASSERT_TRUE(perform(core, {.kind = Kind::kCreate, .path = "/a"}));
  for (uint64_t i = 0; i < 600; ++i) {
    ASSERT_TRUE(perform(
        core, {.kind = Kind::kWrite, .path = "/a", .offset = 2 * i << kFrameShift, .bytes = std::string(4096, 'x')}));
  }
}

TEST(FullVolume, UnlinkingAFileInPiecesLosesNoFrame) {
  Media media(FrameCount{2048});
  auto core = media.open();
  shatter(**core);
  ASSERT_TRUE(perform(**core, {.kind = Kind::kUnlink, .path = "/a"}));
  EXPECT_THAT(findings(**core), SizeIs(0));
  ASSERT_TRUE((*core)->close());
  EXPECT_THAT(findings(**core), SizeIs(0));
  EXPECT_EQ((*core)->usage().owned, Bytes{0});
}

TEST(FullVolume, UnlinkingAFileWhoseTailIsStillBeingFreedLeavesNoOrphan) {
  Media media(FrameCount{2048});
  auto core = media.open();
  shatter(**core);
  for (uint64_t size : {300 << 12, 1 << 12}) {
    ASSERT_TRUE(perform(**core, {.kind = Kind::kTruncate, .path = "/a", .offset = size}));
  }
  ASSERT_TRUE(perform(**core, {.kind = Kind::kUnlink, .path = "/a"}));
  EXPECT_THAT(findings(**core), SizeIs(0));
  ASSERT_TRUE((*core)->close());
  EXPECT_THAT(findings(**core), SizeIs(0));
  EXPECT_EQ((*core)->usage().owned, Bytes{0});
}

TEST(FullVolume, ANamelessFileWhoseTailIsFreedVanishesAfterACut) {
  Media media(FrameCount{2048});
  auto core = media.open();
  shatter(**core);
  {
    InodeRef open = (*core)->inode(At("/a"), Follow::kNo).value();
    ASSERT_TRUE((*core)->truncate(*open, Bytes{4096}));
    ASSERT_TRUE(perform(**core, {.kind = Kind::kUnlink, .path = "/a"}));
    ASSERT_TRUE((*core)->truncate(*open, Bytes{1 << 20}));  // over the dead tail, which is freed first
    media.take(**core);
  }
  core = media.open();
  ASSERT_TRUE(core) << core.error().message();
  EXPECT_THAT(findings(**core), SizeIs(0));
  ASSERT_TRUE((*core)->close());
  EXPECT_EQ((*core)->usage().owned, Bytes{0});
  EXPECT_EQ((*core)->usage().inodes, 1U);
}

}  // namespace
}  // namespace dmap::testing
