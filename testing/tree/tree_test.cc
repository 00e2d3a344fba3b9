// SPDX-License-Identifier: Apache-2.0
#include "testing/tree/tree_fixture.h"

namespace dmap {
namespace {

void put(TreeOnMedia& disk, Model& model, Key key, const std::string& text) {
  auto result = disk.tree().put(key, value_of(text));
  ASSERT_TRUE(result) << result.error().message();
  model[key] = text;
}

void erase(TreeOnMedia& disk, Model& model, Key key) {
  auto result = disk.tree().erase(key);
  ASSERT_TRUE(result) << result.error().message();
  ASSERT_EQ(*result, model.erase(key) == 1);
}

void expect_found(TreeOnMedia& disk, const Model& model, Key key) {
  auto found = disk.tree().find(key);
  ASSERT_TRUE(found) << found.error().message();
  auto expected = model.find(key);
  ASSERT_EQ(found->has_value(), expected != model.end());
  if (found->has_value()) {
    ASSERT_EQ(text_of(**found), expected->second);
  }
}

void expect_neighbours(TreeOnMedia& disk, const Model& model, Key key) {
  Cursor cursor(disk.tree());
  auto expected = model.lower_bound(key);
  ASSERT_EQ(cursor.seek_ge(key).value(), expected != model.end());
  for (int steps = 0; steps < 5 && expected != model.end(); ++steps) {
    ASSERT_EQ(cursor.key(), expected->first);
    ASSERT_EQ(text_of(cursor.value()), expected->second);
    ASSERT_EQ(cursor.next().value(), ++expected != model.end());
  }
  expected = model.upper_bound(key);
  ASSERT_EQ(cursor.seek_le(key).value(), expected != model.begin());
  for (int steps = 0; steps < 5 && expected != model.begin(); ++steps) {
    ASSERT_EQ(cursor.key(), std::prev(expected)->first);
    ASSERT_EQ(cursor.prev().value(), --expected != model.begin());
  }
}

void change(TreeOnMedia& disk, Model& model, Random& random, int changes, uint64_t puts_in_ten) {
  for (int i = 0; i < changes; ++i) {
    Key key = random.key();
    random.below(10) < puts_in_ten ? put(disk, model, key, random.text()) : erase(disk, model, key);
  }
}

TEST(Tree, AnEmptyTreeFindsNothing) {
  TreeOnMedia disk;
  EXPECT_FALSE(disk.tree().find(kKeyMin).value().has_value());
  EXPECT_FALSE(disk.tree().erase(kKeyMin).value());
  EXPECT_FALSE(Cursor(disk.tree()).seek_ge(kKeyMin).value());
  EXPECT_FALSE(Cursor(disk.tree()).seek_le(kKeyMax).value());
  disk.checkpoint();
  disk.reopen();
  disk.expect_equal({});
}

TEST(Tree, KeysOrderByObjectThenKindThenOffset) {
  EXPECT_LT(make_key(1, 255, 9), make_key(2, 0, 0));
  EXPECT_LT(make_key(1, 1, uint64_t{1} << 55), make_key(1, 2, 0));
  EXPECT_EQ(key_before(make_key(2, 0, 0)), (Key{1, ~uint64_t{0}}));
  EXPECT_EQ(to_string(make_key(7, 3, 4096)), "7/3/4096");
}

TEST(Tree, TheLowestAndHighestKeysAndTheShortestAndLongestValuesFit) {
  TreeOnMedia disk;
  Model model;
  put(disk, model, kKeyMin, "");
  put(disk, model, kKeyMax, std::string(kValueMax, 'z'));
  for (uint64_t i = 1; i < 400; ++i) put(disk, model, make_key(i, 0, 0), i % 2 == 0 ? "" : std::string(kValueMax, 'y'));
  disk.expect_equal(model);
  EXPECT_EQ(disk.tree().put(make_key(5, 0, 0), value_of(std::string(kValueMax + 1, 'x'))).error().code(),
            Code::kTooBig);
  disk.expect_equal(model);
}

TEST(Tree, DoesWhatAMapDoesOverCheckpointsReopensAndCrashes) {
  for (uint64_t seed : {1, 2, 3, 4}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TreeOnMedia disk;
    Random random(seed);
    Model model;
    Model stored;
    for (int round = 0; round < 60; ++round) {
      uint64_t puts_in_ten = round % 20 < 12 ? 8 : 2;  // grow, then shrink
      change(disk, model, random, 200, puts_in_ten);
      Frozen frozen = disk.begin_checkpoint();
      Model frozen_model = model;
      change(disk, model, random, 100, puts_in_ten);
      disk.write(frozen);
      change(disk, model, random, 50, puts_in_ten);
      switch (random.below(4)) {
        case 0:  // cut after everything but the superblock was written
          disk.reopen();
          model = stored;
          break;
        case 1:  // cut right after the superblock
          disk.end_checkpoint(std::move(frozen));
          disk.reopen();
          model = stored = frozen_model;
          break;
        case 2:  // the device refused
          disk.abandon_checkpoint(std::move(frozen));
          break;
        default: disk.end_checkpoint(std::move(frozen)); stored = frozen_model;
      }
      disk.expect_equal(model);
      for (int i = 0; i < 30; ++i) {
        expect_found(disk, model, random.key());
        expect_neighbours(disk, model, random.key());
      }
      if (HasFatalFailure()) return;
    }
    disk.checkpoint();
    disk.reopen();
    disk.expect_equal(model);
  }
}

TEST(Tree, TakesBackEveryFrameWhenAllIsErased) {
  TreeOnMedia disk;
  Model model;
  Random random(5, 20000);
  for (int i = 0; i < 12000; ++i) put(disk, model, random.key(), std::string(random.below(300), 'v'));
  disk.checkpoint();
  EXPECT_GE(disk.tree().height(), 3U);
  while (!model.empty()) {
    Key key = random.key();
    auto at = model.lower_bound(key);
    erase(disk, model, at == model.end() ? model.begin()->first : at->first);
  }
  disk.expect_equal(model);
  EXPECT_EQ(disk.tree().height(), 0U);
  EXPECT_EQ(disk.space().counts().live, 0U);
  disk.checkpoint();
  EXPECT_EQ(disk.space().counts().available, disk.space().counts().usable);
  EXPECT_EQ(disk.tree().dirty_nodes() + disk.tree().frozen_nodes(), 0U);
}

TEST(Tree, ErasesARangeInSteps) {
  TreeOnMedia disk;
  Model model;
  for (uint64_t i = 0; i < 2000; ++i) put(disk, model, make_key(1, 0, i), "0123456789");
  EXPECT_EQ(disk.tree().erase_some(make_key(1, 0, 500), make_key(1, 0, 1499), 300).value(), 300U);
  EXPECT_EQ(disk.tree().erase_some(make_key(1, 0, 500), make_key(1, 0, 1499), 3000).value(), 700U);
  EXPECT_EQ(disk.tree().erase_some(make_key(1, 0, 500), make_key(1, 0, 1499), 3000).value(), 0U);
  model.erase(model.find(make_key(1, 0, 500)), model.find(make_key(1, 0, 1500)));
  disk.expect_equal(model);
}

TEST(Tree, AscendingKeysLeaveFullNodes) {
  TreeOnMedia disk;
  Model model;
  constexpr uint64_t kEntries = 10000;
  for (uint64_t i = 0; i < kEntries; ++i) put(disk, model, make_key(1, 0, i), std::string(100, 'v'));
  uint64_t leaves_at_best = kEntries / (kNodeBody / (kEntryOverhead + 100)) + 1;
  EXPECT_LE(disk.space().counts().live, leaves_at_best + leaves_at_best / 100 + 2);
  disk.expect_equal(model);
}

TEST(Tree, NodesStayAThirdFullWhileEntriesGo) {
  TreeOnMedia disk;
  Model model;
  Random random(6, 40000);
  for (uint64_t i = 0; i < 20000; ++i) put(disk, model, make_key(i, 0, 0), std::string(60, 'v'));
  for (uint64_t i = 0; i < 20000; ++i) {
    if (random.below(10) > 0) erase(disk, model, make_key(i, 0, 0));
  }
  uint64_t bytes = model.size() * (kEntryOverhead + 60);
  EXPECT_LE(disk.space().counts().live, bytes * 3 / kNodeBody * 11 / 10);
  disk.expect_equal(model);
}

TEST(Tree, AChangeTakesNoMoreFramesThanItSays) {
  TreeOnMedia disk;
  Model model;
  Random random(7);
  for (int i = 0; i < 4000; ++i) {
    if (i % 10 == 0) disk.checkpoint();
    disk.frames().left = disk.tree().node_frames_max_per_change();
    random.below(10) < (i < 2000 ? 8 : 2) ? put(disk, model, random.key(), random.text())
                                          : erase(disk, model, random.key());
    if (HasFatalFailure()) return;
  }
}

TEST(Tree, AChangeWithoutAFrameChangesNothing) {
  TreeOnMedia disk;
  Model model;
  Random random(8);
  disk.checkpoint();
  uint64_t refused = 0;
  for (int i = 0; i < 1500; ++i) {
    Key key = random.key();
    std::string text = random.text();
    bool puts = random.below(10) < (i < 900 ? 8 : 2);
    auto attempt = [&]() -> Result<void> {
      if (puts) return disk.tree().put(key, value_of(text));
      DMAP_TRY(disk.tree().erase(key));
      return {};
    };
    size_t dirty = disk.tree().dirty_nodes();
    auto counts = disk.space().counts();
    for (uint64_t frames = 0;; ++frames) {
      disk.frames().left = frames;
      auto result = attempt();
      if (result) break;
      ++refused;
      ASSERT_EQ(result.error().code(), Code::kNoSpace);
      ASSERT_EQ(disk.tree().dirty_nodes(), dirty);
      ASSERT_EQ(disk.space().counts().live, counts.live);
      ASSERT_EQ(disk.space().counts().available, counts.available);
      if (i % 20 == 0) disk.expect_equal(model);
    }
    disk.frames().left = ~uint64_t{0};
    puts ? void(model[key] = text) : void(model.erase(key));
    if (i % 3 == 0) disk.checkpoint();
    if (i % 20 == 0) disk.expect_equal(model);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(refused, 1000U);
}

TEST(Tree, AFullZoneRefusesPutsUntilACheckpointFreesWhatWasErased) {
  TreeOnMedia disk({{Pfn{0}, FrameCount{64}}});
  Model model;
  uint64_t next = 0;
  for (;; ++next) {
    auto result = disk.tree().put(make_key(next, 0, 0), value_of(std::string(500, 'v')));
    if (!result) {
      EXPECT_EQ(result.error().code(), Code::kNoSpace);
      break;
    }
    model[make_key(next, 0, 0)] = std::string(500, 'v');
  }
  disk.expect_equal(model);
  for (uint64_t i = 0; i < next; ++i) erase(disk, model, make_key(i, 0, 0));  // all dirty: needs no frame
  disk.expect_equal(model);
  put(disk, model, kKeyMin, "again");
  disk.checkpoint();
  disk.expect_equal(model);
}

TEST(Tree, AFrozenTreeIsWrittenAsItWasThoughItIsChangedMeanwhile) {
  TreeOnMedia disk;
  Model model;
  Random random(9);
  change(disk, model, random, 2000, 9);
  Model before = model;
  Frozen frozen = disk.begin_checkpoint();
  EXPECT_EQ(disk.tree().dirty_nodes(), 0U);
  EXPECT_EQ(disk.tree().frozen_nodes(), frozen.size());
  change(disk, model, random, 2000, 5);
  disk.expect_equal(model);
  disk.write(frozen);
  disk.end_checkpoint(std::move(frozen));
  EXPECT_EQ(disk.tree().frozen_nodes(), 0U);
  disk.expect_equal(model);
  disk.reopen();
  disk.expect_equal(before);
}

TEST(Tree, RamIsGivenBackByTheCheckpoint) {
  TreeOnMedia disk;
  Model model;
  for (uint64_t i = 0; i < 20000; ++i) put(disk, model, make_key(i, 0, 0), std::string(200, 'v'));
  size_t full = disk.tree().ram_bytes();
  EXPECT_GT(full, size_t{4} << 20);
  disk.checkpoint();
  EXPECT_LE(disk.tree().ram_bytes(), size_t{2} << 20);
  disk.expect_equal(model);
}

}  // namespace
}  // namespace dmap
