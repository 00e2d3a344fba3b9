// SPDX-License-Identifier: Apache-2.0
#include "tree/node_space.h"

#include <set>

#include "testing/tree/tree_fixture.h"

namespace dmap {
namespace {

constexpr Extent kZone{Pfn{10}, FrameCount{200}};
constexpr Extent kSmallZone{Pfn{300}, FrameCount{64}};

TEST(ZoneMap, ReadsBackWhatWasWritten) {
  ZoneMap map{.zone = kZone, .generation = 7, .used = {}};
  map.used[0] = 0b1011;
  map.used[3] = uint64_t{1} << 7;  // frame 199, the last
  FrameBytes frame;
  encode_zone_map(map, kVolumeTag, frame);
  auto read = decode_zone_map(frame, kVolumeTag, kZone);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->generation, 7U);
  EXPECT_EQ(read->used, map.used);
  EXPECT_EQ(decode_zone_map(frame, kVolumeTag + 1, kZone).error().code(), Code::kCorrupt);
  EXPECT_EQ(decode_zone_map(frame, kVolumeTag, {Pfn{10}, FrameCount{199}}).error().code(), Code::kCorrupt);
}

TEST(ZoneMap, AnyDamagedByteIsNoticed) {
  ZoneMap map{.zone = kZone, .generation = 7, .used = {3}};
  FrameBytes frame;
  encode_zone_map(map, kVolumeTag, frame);
  for (std::byte& byte : frame) {
    byte ^= std::byte{0x10};
    EXPECT_FALSE(decode_zone_map(frame, kVolumeTag, kZone));
    byte ^= std::byte{0x10};
  }
}

TEST(NodeSpace, RefusesWhatIsNoZoneOrOverlapsOne) {
  Media media(50000);
  NodeSpace space(kVolumeTag);
  auto add = [&](uint64_t first, uint64_t count) {
    Extent zone{Pfn{first}, FrameCount{count}};
    return space.add_zone(zone, media.span(zone)).has_value();
  };
  EXPECT_FALSE(add(0, 63));
  EXPECT_FALSE(add(0, 32257));
  EXPECT_TRUE(add(100, 100));
  EXPECT_FALSE(add(199, 64));
  EXPECT_FALSE(add(37, 64));
  EXPECT_TRUE(add(36, 64));
  EXPECT_TRUE(add(200, 32256));
  EXPECT_EQ(space.counts().available, 98U + 62 + 32254);
  EXPECT_EQ(space.place(Pfn{35}).word, nullptr);
  EXPECT_NE(space.place(Pfn{36}).word, nullptr);
  EXPECT_EQ(space.place(Pfn{200 + 32256}).word, nullptr);
  EXPECT_FALSE(space.is_live(Pfn{36}));
}

TEST(NodeSpace, NeverHandsOutAFrameThatACheckpointNeeds) {
  for (uint64_t seed : {1, 2, 3}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Media media(400);
    NodeSpace space(kVolumeTag);
    ASSERT_TRUE(space.add_zone(kZone, media.span(kZone)));
    ASSERT_TRUE(space.add_zone(kSmallZone, media.span(kSmallZone)));
    std::set<Pfn> live;
    std::set<Pfn> frozen;
    std::set<Pfn> complete;
    bool under_way = false;
    uint64_t generation = 0;
    uint64_t complete_generation = 0;
    for (int i = 0; i < 20000; ++i) {
      uint64_t what = random.below(100);
      if (what < 55) {
        auto pfn = space.allocate();
        std::set<Pfn> busy = live;
        busy.insert(frozen.begin(), frozen.end());
        busy.insert(complete.begin(), complete.end());
        ASSERT_EQ(pfn.has_value(), busy.size() < space.counts().usable);
        if (pfn) {
          ASSERT_TRUE(!busy.contains(*pfn) && live.insert(*pfn).second);
        }
      } else if (what < 98 && !live.empty()) {
        auto victim = std::next(live.begin(), static_cast<long>(random.below(live.size())));
        space.free(*victim);
        live.erase(victim);
      } else if (what == 98 && !under_way) {
        for (const auto& map : space.freeze(++generation)) media.write(map.pfn, map.bytes);
        frozen = live;
        under_way = true;
      } else if (under_way) {
        if (random.below(3) > 0) {
          space.complete();
          complete = frozen;
          complete_generation = generation;
        } else {
          space.fail();
          frozen = complete;
        }
        under_way = false;
      }
      if (what == 98 && complete_generation > 0) {  // with the maps of a checkpoint under way already written
        NodeSpace opened(kVolumeTag);
        for (Extent zone : {kZone, kSmallZone}) {
          ASSERT_TRUE(opened.open_zone(zone, media.span(zone), complete_generation));
        }
        ASSERT_EQ(opened.counts().live, complete.size());
        for (Pfn pfn : complete) ASSERT_TRUE(opened.is_live(pfn));
      }
      auto proved = space.check_invariants();
      ASSERT_TRUE(proved) << proved.error().message();
    }
  }
}

/// A zone with two checkpoints behind it: one frame used in the first, two in the second.
struct TwoCheckpoints {
  TwoCheckpoints() {
    EXPECT_TRUE(space.add_zone(kZone, media.span(kZone)));
    for (uint64_t generation : {1, 2}) {
      EXPECT_TRUE(space.allocate());
      write(generation);
      digest[generation] = space.maps_digest();
      space.complete();
    }
  }
  void write(uint64_t generation) {
    auto maps = space.freeze(generation);
    EXPECT_EQ(maps.size(), 1U);
    for (const auto& map : maps) media.write(map.pfn, map.bytes);
  }

  Media media{400};
  NodeSpace space{kVolumeTag};
  std::map<uint64_t, uint64_t> digest;
};

TEST(NodeSpace, OpensTheNewestMapThatIsNotNewerThanTheCheckpoint) {
  TwoCheckpoints disk;
  for (uint64_t generation : {1, 2, 9}) {
    NodeSpace opened(kVolumeTag);
    ASSERT_TRUE(opened.open_zone(kZone, disk.media.span(kZone), generation));
    EXPECT_EQ(opened.counts().live, std::min<uint64_t>(generation, 2));
    EXPECT_EQ(opened.maps_digest(), disk.digest[std::min<uint64_t>(generation, 2)]);
  }
  NodeSpace opened(kVolumeTag);
  EXPECT_EQ(opened.open_zone(kZone, disk.media.span(kZone), 0).error().code(), Code::kCorrupt);
}

TEST(NodeSpace, ATornMapLeavesTheOneBefore) {
  TwoCheckpoints disk;
  ASSERT_TRUE(disk.space.allocate());
  auto maps = disk.space.freeze(3);
  disk.media.write(maps[0].pfn, std::span(maps[0].bytes).first(100));
  NodeSpace opened(kVolumeTag);
  ASSERT_TRUE(opened.open_zone(kZone, disk.media.span(kZone), 2));
  EXPECT_EQ(opened.counts().live, 2U);
  EXPECT_EQ(opened.maps_digest(), disk.digest[2]);
}

TEST(NodeSpace, TheDigestTellsThatTheNewestMapIsLost) {
  TwoCheckpoints disk;
  disk.media.frame(Pfn{11})[77] ^= std::byte{1};
  NodeSpace opened(kVolumeTag);
  ASSERT_TRUE(opened.open_zone(kZone, disk.media.span(kZone), 2));
  EXPECT_NE(opened.maps_digest(), disk.digest[2]);
  disk.media.frame(Pfn{10})[77] ^= std::byte{1};
  EXPECT_EQ(NodeSpace(kVolumeTag).open_zone(kZone, disk.media.span(kZone), 2).error().code(), Code::kCorrupt);
}

TEST(NodeSpace, AMapOfACheckpointThatNeverCompletedIsWrittenOver) {
  TwoCheckpoints disk;
  ASSERT_TRUE(disk.space.allocate());
  disk.write(3);  // and cut
  NodeSpace opened(kVolumeTag);
  ASSERT_TRUE(opened.open_zone(kZone, disk.media.span(kZone), 2));
  auto maps = opened.freeze(3);  // of another third checkpoint, in which nothing changed
  ASSERT_EQ(maps.size(), 1U);
  disk.media.write(maps[0].pfn, maps[0].bytes);
  NodeSpace again(kVolumeTag);
  ASSERT_TRUE(again.open_zone(kZone, disk.media.span(kZone), 3));
  EXPECT_EQ(again.counts().live, 2U);

  ASSERT_TRUE(disk.space.check_invariants());
  disk.space.fail();  // the same without a cut
  EXPECT_EQ(disk.space.freeze(4).size(), 1U);
}

TEST(NodeSpace, AnUnchangedZoneIsNotWrittenAgain) {
  TwoCheckpoints disk;
  EXPECT_TRUE(disk.space.freeze(3).empty());
  disk.space.complete();
  Pfn passing = disk.space.allocate().value();
  disk.space.free(passing);
  EXPECT_TRUE(disk.space.freeze(4).empty());
}

TEST(NodeSpace, AFrameBornAndFreedBetweenFreezesIsReusableAtOnce) {
  TwoCheckpoints disk;
  auto before = disk.space.counts();
  Pfn young = disk.space.allocate().value();
  disk.space.free(young);
  EXPECT_EQ(disk.space.counts().available, before.available);
  Pfn old = disk.space.allocate().value();
  (void)disk.space.freeze(3);
  disk.space.free(old);
  EXPECT_EQ(disk.space.counts().available, before.available - 1);
  disk.space.complete();
  (void)disk.space.freeze(4);
  EXPECT_EQ(disk.space.counts().available, before.available - 1);
  disk.space.complete();
  EXPECT_EQ(disk.space.counts().available, before.available);
}

}  // namespace
}  // namespace dmap
