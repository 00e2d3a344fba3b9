// SPDX-License-Identifier: Apache-2.0
#include "extent/extent_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <random>
#include <vector>

namespace dmap {
namespace {

Mapping mapped(uint64_t file_frame, uint64_t index, uint64_t frames, uint32_t birth = 1, bool written = true) {
  return {file_frame, make_pfn(DeviceNumber{1}, index), frames, birth, written};
}

/// What no mapping continues: every second frame of the file.
Mapping scattered(uint64_t i) { return mapped(2 * i, 1000 + 3 * i, 1); }

void insert(ExtentMap& map, const Mapping& mapping) {
  auto edit = map.edit();
  edit.insert(mapping);
  edit.publish();
}

std::vector<Mapping> erase(ExtentMap& map, uint64_t first, uint64_t count) {
  std::vector<Mapping> removed;
  auto edit = map.edit();
  edit.erase(first, count, [&](const Mapping& mapping) { removed.push_back(mapping); });
  edit.publish();
  return removed;
}

std::vector<Mapping> all_of(const ExtentVersion& version, uint64_t first = 0, uint64_t count = kFileFrames) {
  std::vector<Mapping> all;
  version.for_each(first, count, [&](const Mapping& mapping) { all.push_back(mapping); });
  return all;
}

void load_scattered(ExtentMap& map, uint64_t count) {
  ExtentMap::Builder builder;
  for (uint64_t i = 0; i < count; ++i) ASSERT_TRUE(builder.add(scattered(i)).has_value());
  map.load(std::move(builder));
}

TEST(ExtentMap, AnEmptyMapIsOneHole) {
  ExtentMap map;
  EXPECT_EQ(map.find(77), (Segment{.first = 0, .frames = kFileFrames}));
  EXPECT_EQ(map.version().next_data(0), kFileFrames);
  EXPECT_EQ(map.version().next_hole(5), 5U);
  EXPECT_EQ(map.bytes(), Bytes{0});
  map.check_invariants();
}

TEST(ExtentMap, FindReturnsTheWholeMappingOrTheWholeHole) {
  ExtentMap map;
  insert(map, mapped(10, 100, 5));
  insert(map, mapped(20, 200, 5, 1, false));
  EXPECT_EQ(map.find(0), (Segment{.first = 0, .frames = 10}));
  EXPECT_EQ(map.find(9), (Segment{.first = 0, .frames = 10}));
  for (uint64_t frame : {10, 12, 14}) EXPECT_EQ(map.find(frame).mapping(), mapped(10, 100, 5));
  EXPECT_EQ(map.find(17), (Segment{.first = 15, .frames = 5}));
  EXPECT_EQ(map.find(24).kind, SegmentKind::kUnwritten);
  EXPECT_TRUE(map.find(24).reads_zero());
  EXPECT_EQ(map.find(25), (Segment{.first = 25, .frames = kFileFrames - 25}));
  EXPECT_EQ(map.find(kFileFrames - 1), (Segment{.first = 25, .frames = kFileFrames - 25}));
}

TEST(ExtentMap, TheLastFrameOfTheLargestFileCanBeMapped) {
  ExtentMap map;
  insert(map, mapped(kFileFrames - 1, 7, 1));
  EXPECT_EQ(map.find(kFileFrames - 1).mapping(), mapped(kFileFrames - 1, 7, 1));
  EXPECT_EQ(map.find(0), (Segment{.first = 0, .frames = kFileFrames - 1}));
  EXPECT_EQ(map.version().next_hole(kFileFrames - 1), kFileFrames);
  EXPECT_EQ(erase(map, kFileFrames - 1, ~uint64_t{0}).size(), 1U);
  EXPECT_EQ(map.count(), 0U);
}

TEST(ExtentMap, NeighboursThatContinueEachOtherBecomeOneMapping) {
  ExtentMap map;
  insert(map, mapped(0, 100, 4));
  insert(map, mapped(8, 108, 4));
  EXPECT_EQ(map.count(), 2U);
  insert(map, mapped(4, 104, 4));  // fills the gap in file and device
  EXPECT_EQ(all_of(map.version()), std::vector{mapped(0, 100, 12)});
  insert(map, mapped(12, 112, 1));
  insert(map, mapped(20, 120, 1));
  insert(map, mapped(19, 119, 1));  // continues backwards: the key of the mapping changes
  EXPECT_EQ(all_of(map.version()), (std::vector{mapped(0, 100, 13), mapped(19, 119, 2)}));
  map.check_invariants();
}

TEST(ExtentMap, OtherBirthOtherStateOtherPlaceOrOtherDeviceKeepMappingsApart) {
  const Mapping last_of_device{4, make_pfn(DeviceNumber{1}, kPfnIndexMask), 1, 1, true};
  const Mapping first_of_next{5, make_pfn(DeviceNumber{2}, 0), 1, 1, true};
  ASSERT_EQ(last_of_device.pfn + FrameCount{1}, first_of_next.pfn);
  const std::pair<Mapping, Mapping> pairs[] = {
      {mapped(0, 100, 4, 1), mapped(4, 104, 4, 2)},
      {mapped(0, 100, 4, 1, false), mapped(4, 104, 4, 1, true)},
      {mapped(0, 100, 4), mapped(4, 105, 4)},
      {mapped(0, 100, 4), mapped(5, 104, 4)},
      {last_of_device, first_of_next},
  };
  for (const auto& [left, right] : pairs) {
    ExtentMap forward, backward, built;
    insert(forward, left), insert(forward, right);
    insert(backward, right), insert(backward, left);
    ExtentMap::Builder builder;
    ASSERT_TRUE(builder.add(left) && builder.add(right));
    built.load(std::move(builder));
    for (ExtentMap* map : {&forward, &backward, &built}) {
      EXPECT_EQ(all_of(map->version()), (std::vector{left, right}));
      map->check_invariants();
    }
  }
}

TEST(ExtentMap, ErasingTrimsAndSplitsAndHandsOverTheExactPieces) {
  ExtentMap map;
  insert(map, mapped(10, 100, 10));
  insert(map, mapped(30, 300, 10));
  EXPECT_EQ(erase(map, 13, 4), std::vector{mapped(13, 103, 4)});
  EXPECT_EQ(all_of(map.version()), (std::vector{mapped(10, 100, 3), mapped(17, 107, 3), mapped(30, 300, 10)}));
  EXPECT_EQ(erase(map, 18, 15), (std::vector{mapped(18, 108, 2), mapped(30, 300, 3)}));
  EXPECT_EQ(all_of(map.version()), (std::vector{mapped(10, 100, 3), mapped(17, 107, 1), mapped(33, 303, 7)}));
  EXPECT_TRUE(erase(map, 18, 15).empty());
  EXPECT_TRUE(erase(map, 10, 0).empty());
  map.check_invariants();
  EXPECT_EQ(erase(map, 0, kFileFrames).size(), 3U);
  EXPECT_EQ(map.bytes(), Bytes{0});
  map.check_invariants();
}

TEST(ExtentMap, WritingIntoAnUnwrittenMappingSplitsItAndWritingAllOfItMergesAgain) {
  ExtentMap map;
  insert(map, mapped(0, 100, 9, 1, false));
  auto write = [&](uint64_t first, uint64_t frames) {
    auto edit = map.edit();
    edit.replace(mapped(first, 100 + first, frames), [](const Mapping&) {});
    edit.publish();
    map.check_invariants();
  };
  write(3, 3);
  EXPECT_EQ(all_of(map.version()),
            (std::vector{mapped(0, 100, 3, 1, false), mapped(3, 103, 3), mapped(6, 106, 3, 1, false)}));
  EXPECT_EQ(map.version().next_data(0), 3U);
  EXPECT_EQ(map.version().next_hole(3), 6U);
  write(0, 3);
  write(6, 3);
  EXPECT_EQ(all_of(map.version()), std::vector{mapped(0, 100, 9)});
}

TEST(ExtentMap, AnEditIsSeenWholeOrNotAtAll) {
  ExtentMap map;
  load_scattered(map, 500);
  const auto before = all_of(map.version());
  const Bytes bytes = map.bytes();
  {
    auto edit = map.edit();
    for (uint64_t i = 0; i < 500; i += 3) edit.erase(2 * i, 1, [](const Mapping&) {});
    edit.erase(600, 300, [](const Mapping&) {});
    edit.insert(mapped(1, 5, 1));
    EXPECT_NE(all_of(edit.version()), before);
    EXPECT_EQ(all_of(map.version()), before);
  }  // dies unpublished
  EXPECT_EQ(all_of(map.version()), before);
  EXPECT_EQ(map.bytes(), bytes);
  map.check_invariants();
  EXPECT_EQ(erase(map, 0, kFileFrames), before);  // what the dead edit had replaced can be replaced again
  map.check_invariants();
}

TEST(ExtentMap, ASmallFileTakesALittleMemory) {
  ExtentMap map;
  EXPECT_LE(sizeof(ExtentMap), 32U);
  for (uint64_t i = 0; i < 3; ++i) {
    insert(map, scattered(i));
    EXPECT_EQ(map.bytes(), Bytes{40 + 32 * (i + 1)});
  }
  auto edit = map.edit();  // room that an edit took in passing is given back
  for (uint64_t i = 3; i < 30; ++i) edit.insert(scattered(i));
  edit.erase(2, 100, [](const Mapping&) {});
  edit.publish();
  EXPECT_EQ(map.bytes(), Bytes{40 + 32});
}

TEST(ExtentMap, AMillionExtentsCostAPathPerEdit) {
  constexpr uint64_t kCount = 1'000'000;
  ExtentMap map;
  load_scattered(map, kCount);
  map.check_invariants();
  EXPECT_EQ(map.count(), kCount);
  EXPECT_EQ(map.depth(), 4U);
  EXPECT_LT(map.bytes().value, kCount * 35);  // full nodes

  std::mt19937_64 random(7);
  for (int i = 0; i < 1000; ++i) {
    Mapping changed = scattered(random() % kCount);
    changed.birth = 2;
    auto edit = map.edit();
    edit.replace(changed, [](const Mapping&) {});
    EXPECT_LE(edit.nodes_allocated(), 3U * map.depth());  // an erase's path, an insert's, and a split on it
    edit.publish();
  }
  for (uint64_t i = 0; i < 3000; ++i) {
    auto append = map.edit();
    append.insert(scattered(kCount + i));
    EXPECT_LE(append.nodes_allocated(), map.depth());
    append.publish();
  }
  for (int i = 0; i < 1000; ++i) {
    uint64_t frame = 2 * (random() % kCount);
    auto edit = map.edit();
    edit.erase(frame, 1, [](const Mapping&) {});
    EXPECT_LE(edit.nodes_allocated(), map.depth());
    edit.publish();
  }
  map.check_invariants();

  uint64_t removed = 0;
  const uint64_t count = map.count();
  auto truncate = map.edit();
  truncate.erase(1001, kFileFrames, [&](const Mapping&) { ++removed; });
  EXPECT_LE(truncate.nodes_allocated(), 2U * map.depth());  // the cut path, and a neighbour joined on each level
  truncate.publish();
  map.check_invariants();
  EXPECT_EQ(map.count(), count - removed);
  EXPECT_LE(map.count(), 501U);
  map.clear();
  EXPECT_EQ(map.depth(), 0U);
  rcu_barrier_all();
}

TEST(ExtentMap, AnEraseFromNodeToNodeJoinsWhatBecomesSmall) {
  constexpr uint64_t kCount = 4 * 64 * 32;  // four full nodes above the leaves
  for (uint64_t left : {1, 31, 32, 33, 40, 63, 64, 65, 2040, 2047, 2048, 2049}) {
    for (uint64_t right : {1, 2, 31, 32, 33, 34, 47, 48, 49, 2047, 2048, 2049}) {
      ExtentMap map;
      load_scattered(map, kCount);
      EXPECT_EQ(erase(map, 2 * left, 2 * (kCount - left - right)).size(), kCount - left - right);
      map.check_invariants();  // E5 above all
      EXPECT_EQ(map.count(), left + right);
      EXPECT_EQ(map.find(2 * left - 2).mapping(), scattered(left - 1));
      EXPECT_EQ(map.find(2 * (kCount - right)).mapping(), scattered(kCount - right));
    }
  }
}

TEST(ExtentMap, AFileThatGrowsHasFullNodes) {
  ExtentMap grown, built;
  for (uint64_t i = 0; i < 5000; ++i) insert(grown, scattered(i));
  load_scattered(built, 5000);
  EXPECT_EQ(all_of(grown.version()), all_of(built.version()));
  EXPECT_LE(grown.bytes().value, built.bytes().value * 21 / 20);
  grown.check_invariants();
}

TEST(ExtentMap, BuildingRefusesWhatCannotBeTrueAndStaysUsable) {
  ExtentMap::Builder builder;
  ASSERT_TRUE(builder.add(mapped(10, 100, 5)).has_value());
  for (const Mapping& wrong : {mapped(14, 200, 1), mapped(0, 1, 1), mapped(20, 1, 0), mapped(kFileFrames, 1, 1),
                               mapped(kFileFrames - 1, 1, 2), mapped(20, 1, ~uint64_t{0})}) {
    auto result = builder.add(wrong);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code(), Code::kCorrupt);
  }
  ASSERT_TRUE(builder.add(mapped(15, 105, 5)).has_value());
  ExtentMap map;
  map.load(std::move(builder));
  EXPECT_EQ(all_of(map.version()), std::vector{mapped(10, 100, 10)});
}

TEST(ExtentMap, BuildingIsRightAroundEveryFullNode) {
  for (uint64_t count : {0, 1, 31, 32, 33, 64, 32 * 64 - 1, 32 * 64, 32 * 64 + 1, 32 * 64 * 2 + 1}) {
    ExtentMap map;
    load_scattered(map, count);
    map.check_invariants();
    EXPECT_EQ(map.count(), count);
    for (uint64_t i = 0; i < count; ++i) ASSERT_EQ(map.find(2 * i).mapping(), scattered(i));
    insert(map, scattered(count));  // what was built can be edited
    map.check_invariants();
  }
  ExtentMap::Builder thrown_away;
  for (uint64_t i = 0; i < 3000; ++i) ASSERT_TRUE(thrown_away.add(scattered(i)).has_value());
}

TEST(ExtentMap, AVisitorCanStop) {
  ExtentMap map;
  load_scattered(map, 100);
  int seen = 0;
  map.version().for_each(0, kFileFrames, [&](const Mapping&) { return ++seen == 40 ? Visit::kStop : Visit::kMore; });
  EXPECT_EQ(seen, 40);
}

TEST(ExtentMapDeathTest, AnInsertOverAMappingOrASecondEditIsOurBug) {
  ExtentMap map;
  insert(map, mapped(10, 100, 5));
  EXPECT_DEATH(insert(map, mapped(8, 50, 3)), "is_hole");
  EXPECT_DEATH(insert(map, mapped(14, 50, 1)), "is_hole");
  EXPECT_DEATH(
      {
        auto one = map.edit();
        auto two = map.edit();
      },
      "editing_");
}

/// The reference: every mapped frame by itself. Mappings are runs of frames that nothing tells apart.
class Model {
 public:
  void insert(const Mapping& mapping) {
    for (uint64_t frame = mapping.file_frame; frame < mapping.end(); ++frame) {
      frames_[frame] = mapping.clipped(frame, frame + 1);
    }
  }
  std::vector<Mapping> erase(uint64_t first, uint64_t count) {
    auto removed = runs(first, count);
    frames_.erase(frames_.lower_bound(first), frames_.lower_bound(first + count));
    return removed;
  }
  std::vector<Mapping> runs(uint64_t first, uint64_t count) const {
    std::vector<Mapping> runs;
    for (auto it = frames_.lower_bound(first); it != frames_.end() && it->first < first + count; ++it) {
      if (runs.empty() || !follows(runs.back(), it->second)) {
        runs.push_back(it->second);
      } else {
        ++runs.back().frames;
      }
    }
    return runs;
  }
  Segment find(uint64_t frame) const {
    auto after = frames_.lower_bound(frame);
    if (after == frames_.end() || after->first != frame) {
      uint64_t first = after == frames_.begin() ? 0 : std::prev(after)->first + 1;
      return {.first = first, .frames = (after == frames_.end() ? kFileFrames : after->first) - first};
    }
    auto first = after, last = after;
    while (first != frames_.begin() && follows(std::prev(first)->second, first->second)) --first;
    while (std::next(last) != frames_.end() && follows(last->second, std::next(last)->second)) ++last;
    const Mapping& start = first->second;
    return {start.file_frame, last->first + 1 - first->first, start.pfn, start.birth,
            start.written ? SegmentKind::kWritten : SegmentKind::kUnwritten};
  }
  uint64_t next_data(uint64_t frame) const {
    auto it = frames_.lower_bound(frame);
    while (it != frames_.end() && !it->second.written) ++it;
    return it == frames_.end() ? kFileFrames : it->first;
  }
  uint64_t next_hole(uint64_t frame) const {
    for (auto it = frames_.find(frame); it != frames_.end() && it->second.written; it = frames_.find(frame)) ++frame;
    return frame;
  }

 private:
  static bool follows(const Mapping& run, const Mapping& frame) {
    return run.end() == frame.file_frame && run.pfn + FrameCount{run.frames} == frame.pfn && run.birth == frame.birth &&
           run.written == frame.written;
  }
  std::map<uint64_t, Mapping> frames_;
};

void compare_reads(const ExtentVersion& version, const Model& model, uint64_t frame, uint64_t count) {
  ASSERT_EQ(version.find(frame), model.find(frame));
  ASSERT_EQ(version.next_data(frame), model.next_data(frame));
  ASSERT_EQ(version.next_hole(frame), model.next_hole(frame));
  ASSERT_EQ(all_of(version, frame, count), model.runs(frame, count));
}

class ExtentMapAgainstModel : public testing::TestWithParam<uint64_t> {};

TEST_P(ExtentMapAgainstModel, RandomEditsAgree) {
  std::mt19937_64 random(GetParam());
  RecordProperty("seed", std::to_string(GetParam()));
  auto below = [&](uint64_t limit) { return random() % limit; };
  ExtentMap map;
  Model model;
  // The file grows and shrinks in turn, so that nodes split and join; narrow ones merge, wide ones go deep.
  const bool deep = GetParam() % 3 > 0;
  const uint64_t file_frames = deep ? 8'000 << (2 * (GetParam() % 3)) : 600;
  if (deep) {
    load_scattered(map, 3'000);
    for (uint64_t i = 0; i < 3'000; ++i) model.insert(scattered(i));
  }
  unsigned depth_max = 0;
  for (int round = 0; round < 400; ++round) {
    const bool shrinks = round / 20 % 2 == 1;
    Model tried = model;
    auto edit = map.edit();
    for (uint64_t change = 1 + below(40); change > 0; --change) {
      const uint64_t first = below(file_frames);
      const uint64_t frames = shrinks ? 1 + below(file_frames / (below(2) == 0 ? 40 : 300)) : 1 + below(4);
      std::vector<Mapping> removed;
      auto collect = [&](const Mapping& mapping) { removed.push_back(mapping); };
      if (below(100) < (shrinks ? 70U : 10U)) {
        edit.erase(first, frames, collect);
      } else {
        // pfn follows file_frame often enough that neighbours merge
        Mapping mapping =
            mapped(first, (below(2) == 0 ? 0 : 1 << 20) + first, 1 + below(4), 1 + below(8) / 7, below(8) > 0);
        edit.replace(mapping, collect);
        ASSERT_EQ(removed, tried.erase(first, mapping.frames)) << "seed " << GetParam();
        tried.insert(mapping);
        continue;
      }
      ASSERT_EQ(removed, tried.erase(first, frames)) << "seed " << GetParam();
    }
    const uint64_t frame = below(file_frames);
    ASSERT_NO_FATAL_FAILURE(compare_reads(edit.version(), tried, frame, below(200))) << "seed " << GetParam();
    if (below(8) > 0) {
      edit.publish();
      model = std::move(tried);
    }
    ASSERT_NO_FATAL_FAILURE(compare_reads(map.version(), model, frame, below(200))) << "seed " << GetParam();
    map.check_invariants();
    depth_max = std::max(depth_max, map.depth());
  }
  EXPECT_EQ(all_of(map.version()), model.runs(0, file_frames + 10));
  EXPECT_GE(depth_max, deep ? 3U : 2U) << "the edits should reach inner nodes";
  rcu_barrier_all();
}

INSTANTIATE_TEST_SUITE_P(Seeds, ExtentMapAgainstModel, testing::Range<uint64_t>(0, 12));

}  // namespace
}  // namespace dmap
