// SPDX-License-Identifier: Apache-2.0
//
// The fixed places of a volume, damaged: each byte of them is noticed or of no matter, and each has a second copy (J4,
// J6).
#include <gmock/gmock.h>

#include "base/crc32c.h"
#include "testing/support/random.h"
#include "testing/support/sanitizers.h"
#include "testing/volume/volume_fixture.h"

namespace dmap::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

Superblock some_superblock() {
  return {.uuid = {1, 2, 3}, .frames = FrameCount{2000}, .journal_frames = FrameCount{256}, .hash_seed = 5};
}

RootSlot some_slot() {
  return {.generation = 7,
          .tree = {.pfn = Pfn{300}, .node_generation = 6, .generation = 7, .entries = 4, .height = 1},
          .maps_digest = 8,
          .journal = {.offset = 640, .sequence = 12, .chain = 13, .epoch = 14, .session = {.boot = {std::byte{9}}}},
          .inode_next = 3,
          .inodes = 2,
          .owned_frames = 5,
          .zones = {{Pfn{264}, FrameCount{64}}, {Pfn{500}, FrameCount{100}}}};
}

TEST(Format, ASuperblockComesBackAndEveryFlippedByteIsNoticed) {
  FrameBytes frame = encode(some_superblock());
  auto same = decode_superblock(frame, FrameCount{2000}, "x");
  ASSERT_TRUE(same);
  EXPECT_EQ(same->tag(), some_superblock().tag());
  EXPECT_EQ(same->journal_frames, FrameCount{256});
  for (std::byte& byte : frame) {
    byte ^= std::byte{0x10};
    ASSERT_FALSE(decode_superblock(frame, FrameCount{2000}, "x")) << &byte - frame.data();
    byte ^= std::byte{0x10};
  }
}

TEST(Format, ARootSlotComesBackAndEveryFlippedByteIsNoticed) {
  FrameBytes frame = encode(some_slot(), some_superblock().tag());
  auto same = decode_root_slot(frame, some_superblock());
  ASSERT_TRUE(same);
  EXPECT_EQ(same->journal.offset, 640U);
  EXPECT_EQ(same->journal.session, some_slot().journal.session);
  EXPECT_EQ(same->zones, some_slot().zones);
  for (std::byte& byte : frame) {
    byte ^= std::byte{0x10};
    ASSERT_FALSE(decode_root_slot(frame, some_superblock())) << &byte - frame.data();
    byte ^= std::byte{0x10};
  }
  Superblock other = some_superblock();
  other.uuid[0] ^= 1;
  EXPECT_FALSE(decode_root_slot(frame, other)) << "another volume's";
}

TEST(Format, NumbersThatCannotBeTrueAreRefusedUnderARightChecksum) {
  auto refused = [](auto&& change) {
    RootSlot slot = some_slot();
    change(slot);
    return !decode_root_slot(encode(slot, some_superblock().tag()), some_superblock());
  };
  EXPECT_TRUE(refused([](RootSlot& slot) { slot.journal.offset = 256 << kFrameShift; }));
  EXPECT_TRUE(refused([](RootSlot& slot) { slot.journal.offset = 7; }));
  EXPECT_TRUE(refused([](RootSlot& slot) { slot.zones.clear(); }));
  EXPECT_TRUE(refused([](RootSlot& slot) { slot.zones[0].first = Pfn{8}; }));
  EXPECT_TRUE(refused([](RootSlot& slot) { slot.zones[1].count = FrameCount{1501}; }));
  EXPECT_TRUE(refused([](RootSlot& slot) { slot.zones[1].count = FrameCount{UINT64_MAX}; }));
  EXPECT_TRUE(refused([](RootSlot& slot) { slot.owned_frames = 2001; }));
  EXPECT_TRUE(refused([](RootSlot& slot) { slot.inode_next = 1; }));
  auto code_of = [](auto&& change, uint64_t device_frames = 2000) {
    Superblock superblock = some_superblock();
    change(superblock);
    auto decoded = decode_superblock(encode(superblock), FrameCount{device_frames}, "x");
    return decoded ? std::string("fine") : std::string(name_of(decoded.error().code()));
  };
  EXPECT_EQ(code_of([](Superblock& block) { block.features_compatible = 1; }), "fine");
  EXPECT_EQ(code_of([](Superblock& block) { block.features_read_only = 1; }), "fine");
  EXPECT_EQ(code_of([](Superblock& block) { block.features_incompatible = 1; }), "foreign");
  EXPECT_EQ(code_of([](Superblock& block) { block.frames = FrameCount{1023}; }), "corrupt");
  EXPECT_EQ(code_of([](Superblock& block) { block.journal_frames = FrameCount{1999}; }), "corrupt");
  EXPECT_EQ(code_of([](Superblock&) {}, 1999), "corrupt");
}

TEST(DamagedVolume, AVolumeOfAnotherVersionIsForeign) {
  Media media;
  for (uint64_t frame : {kSuperblockFrame, kSuperblockCopyFrame}) {
    std::byte* bytes = media.frame(frame);
    bytes[12] = std::byte{2};  // the version
    std::memset(bytes + 8, 0, 4);
    uint32_t sum = crc32c(std::span(bytes, kFrameSize.value));
    std::memcpy(bytes + 8, &sum, sizeof sum);
  }
  auto opened = media.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::kForeign);
  EXPECT_THAT(opened.error().message(), HasSubstr("version 2"));
}

TEST(DamagedVolume, TheSuperblocksCopyIsUsedAndCheckSaysSo) {
  for (uint64_t frame : {kSuperblockFrame, kSuperblockCopyFrame}) {
    Media media;
    media.frame(frame)[100] ^= std::byte{1};
    auto core = media.open(Access::kReadOnly);
    ASSERT_TRUE(core) << core.error().message();
    EXPECT_THAT(findings(**core), SizeIs(1));
  }
  Media media;
  media.frame(kSuperblockFrame)[100] ^= std::byte{1};
  media.frame(kSuperblockCopyFrame)[100] ^= std::byte{1};
  EXPECT_FALSE(media.open());
}

TEST(DamagedVolume, OneRottenRootSlotIsReportedAndMendedByOpening) {
  for (uint64_t frame : kRootSlotFrames) {
    Media media;
    media.frame(frame)[200] ^= std::byte{1};
    {
      auto core = media.open(Access::kReadOnly);
      ASSERT_TRUE(core) << core.error().message();
      EXPECT_THAT(findings(**core), SizeIs(1));
    }
    auto core = media.open();
    ASSERT_TRUE(core) << core.error().message();
    EXPECT_THAT(findings(**core), SizeIs(0));
    media.take(**core);
    EXPECT_EQ(std::memcmp(media.frame(1), media.frame(2), kFrameSize.value), 0);
  }
  Media media;
  for (uint64_t frame : kRootSlotFrames) media.frame(frame)[200] ^= std::byte{1};
  auto opened = media.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::kCorrupt);
  EXPECT_THAT(opened.error().message(), HasSubstr("root slot"));
}

TEST(DamagedVolume, AnOlderSlotIsNeverFallenBackToOnceTheVolumeWentOn) {
  Media media;
  std::vector<std::byte> old(media.frame(2), media.frame(2) + kFrameSize.value);
  auto core = media.open();
  ASSERT_TRUE((*core)->checkpoint());
  ASSERT_TRUE(perform(**core, {.kind = Kind::kCreate, .path = "/a"}));
  ASSERT_TRUE((*core)->checkpoint());
  media.take(**core);
  // A cut between the two slots; the next open mends the second, and the first rots later.
  std::memcpy(media.frame(2), old.data(), old.size());
  core = media.open();
  media.take(**core);
  media.frame(1)[200] ^= std::byte{1};
  core = media.open();
  ASSERT_TRUE(core) << core.error().message();
  EXPECT_TRUE((*core)->find(At("/a"), Follow::kNo));
}

TEST(DamagedVolume, AnyByteOfAnyMetadataIsAnErrorAFindingOrOfNoMatter) {
  Media media;
  {
    auto core = media.open();
    Random random(3);
    World world;
    for (int i = 0; i < 150; ++i) {
      Operation operation = choose(world, random);
      ASSERT_TRUE(perform(**core, operation)) << operation.text();
      world = after(std::move(world), operation);
      if (i == 100) {
        ASSERT_TRUE((*core)->checkpoint());
      }
    }
    media.take(**core);
  }
  uint64_t seed = from_environment("DMAP_SEED", 1);
  Random random(seed);
  for (uint64_t round = 0; round < scaled(60); ++round) {
    uint64_t frame = random.chance(30) ? random.below(16) : kJournalFrame + 256 + random.below(64);
    std::byte& byte = media.frame(frame)[random.below(kFrameSize.value)];
    std::byte was = byte;
    byte = static_cast<std::byte>(random.next());
    auto core = media.open(Access::kReadOnly);
    if (core) {
      findings(**core);
      static_cast<void>(read_world(**core));
    }
    byte = was;
  }
  auto core = media.open();
  ASSERT_TRUE(core);
  EXPECT_THAT(findings(**core), SizeIs(0)) << "seed " << seed;
}

}  // namespace
}  // namespace dmap::testing
