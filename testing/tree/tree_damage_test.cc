// SPDX-License-Identifier: Apache-2.0
//
// Bytes on the device that cannot be true (J6): errors that say what and where, or no effect; never a crash or a hang.
#include <gmock/gmock.h>

#include "testing/tree/tree_fixture.h"

namespace dmap {
namespace {

/// A root over thirty leaves, all clean.
struct SmallTree {
  SmallTree() {
    for (uint64_t i = 0; i < 90; ++i) add(make_key(i, 1, i), std::string(1000 + i, static_cast<char>('a' + i % 26)));
    disk.checkpoint();
    disk.reopen();
  }
  void add(Key key, const std::string& text) {
    EXPECT_TRUE(disk.tree().put(key, value_of(text)));
    model[key] = text;
  }
  Node& node(Pfn pfn) { return *reinterpret_cast<Node*>(disk.media().frame(pfn).data()); }
  Node& root() { return node(disk.stored_root().pfn); }
  Pfn leaf(size_t index) { return root().child_words()[index].pfn; }
  void seal(Pfn pfn) { node(pfn).header.crc = node_crc(node(pfn)); }

  TreeOnMedia disk{{{Pfn{0}, FrameCount{100}}}};
  Model model;
};

bool change(Tree& tree, Key key, Random& random) {
  if (random.below(2) == 0) return tree.put(key, value_of(random.text())).has_value();
  return tree.erase(key).value_or(false);
}

/// Reads everything. What is found is true, or an error of the right kind.
void expect_truth_or_errors(TreeOnMedia& disk, const Model& model) {
  auto may_fail = [](const auto& result) {
    if (!result) {
      ASSERT_EQ(result.error().code(), Code::kCorrupt) << result.error().message();
    }
  };
  for (const auto& [key, text] : model) {
    auto found = disk.tree().find(key);
    may_fail(found);
    if (found) {
      ASSERT_TRUE(found->has_value() && text_of(**found) == text);
    }
  }
  Cursor cursor(disk.tree());
  auto at = cursor.seek_ge(kKeyMin);
  for (auto expected = model.begin(); at && *at; at = cursor.next(), ++expected) {
    ASSERT_TRUE(expected != model.end() && cursor.key() == expected->first);
  }
  may_fail(at);
  for (at = cursor.seek_le(kKeyMax); at && *at; at = cursor.prev()) {
  }
  may_fail(at);
}

TEST(DamagedTree, AnySingleDamagedByteIsAnErrorThatCheckFinds) {
  SmallTree small;
  std::vector<Pfn> pfns = {small.disk.stored_root().pfn, small.leaf(0), small.leaf(7)};
  for (Pfn pfn : pfns) {
    for (size_t i = 0; i < kNodeSize; ++i) {
      std::byte& byte = small.disk.media().frame(pfn)[i];
      byte ^= std::byte{0x41};
      small.disk.reopen();
      uint64_t findings = 0;
      small.disk.tree().check([&](const Error& error) { findings += error.code() == Code::kCorrupt ? 1 : 0; });
      ASSERT_GE(findings, 1U);
      if (i % 32 == 0 || i < 64) expect_truth_or_errors(small.disk, small.model);
      if (testing::Test::HasFatalFailure()) return;
      byte ^= std::byte{0x41};
    }
  }
}

TEST(DamagedTree, WrongBytesUnderARightChecksumNeverCrash) {
  for (uint64_t seed : {1, 2}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    for (int i = 0; i < 2000; ++i) {
      static SmallTree small;
      Pfn pfn = random.below(2) == 0 ? small.disk.stored_root().pfn : small.leaf(random.below(small.root().children()));
      FrameBytes saved = small.disk.media().frame(pfn);
      for (uint64_t changes = 1 + random.below(3); changes > 0; --changes) {
        uint64_t place = random.below(2) == 0 ? random.below(180) : random.below(kNodeSize);
        small.disk.media().frame(pfn)[place] = static_cast<std::byte>(random.below(256));
      }
      small.seal(pfn);
      small.disk.reopen();
      // Values and keys may be wrong now and nobody can tell: only that all calls end within their frames matters.
      small.disk.tree().check({}, [](Key, Value value) { ASSERT_LE(value.size(), kValueMax); });
      Cursor cursor(small.disk.tree());
      for (auto at = cursor.seek_ge(kKeyMin); at && *at; at = cursor.next()) {
      }
      for (auto at = cursor.seek_le(kKeyMax); at && *at; at = cursor.prev()) {
      }
      for (int changes = 0; changes < 40; ++changes) {
        Key key = make_key(random.below(90), 1, random.below(90));
        (void)change(small.disk.tree(), key, random);
      }
      (void)small.disk.tree().erase_some(kKeyMin, kKeyMax, 200);
      small.disk.media().frame(pfn) = saved;
    }
  }
}

TEST(DamagedTree, BytesThatChangeAfterTheyWereVerifiedNeverCrash) {
  Random random(3);
  for (int i = 0; i < 600; ++i) {
    static SmallTree small;
    small.disk.reopen();
    small.disk.expect_equal(small.model);  // all nodes are met and verified
    expect_truth_or_errors(small.disk, small.model);
    Pfn pfn = random.below(2) == 0 ? small.disk.stored_root().pfn : small.leaf(random.below(small.root().children()));
    FrameBytes saved = small.disk.media().frame(pfn);
    if (random.below(4) == 0) {
      small.disk.media().frame(pfn).fill(std::byte{0});  // a poison page
    } else {
      small.disk.media().frame(pfn)[random.below(80)] = static_cast<std::byte>(random.below(256));
      small.disk.media().frame(pfn)[random.below(kNodeSize)] = static_cast<std::byte>(random.below(256));
    }
    Cursor cursor(small.disk.tree());
    for (auto at = cursor.seek_ge(kKeyMin); at && *at; at = cursor.next()) {
    }
    for (auto at = cursor.seek_le(kKeyMax); at && *at; at = cursor.prev()) {
    }
    for (uint64_t n = 0; n < 90; ++n) (void)small.disk.tree().find(make_key(n, 1, n));
    for (int changes = 0; changes < 40; ++changes) {
      Key key = make_key(random.below(90), 1, random.below(90));
      (void)change(small.disk.tree(), key, random);
    }
    small.disk.media().frame(pfn) = saved;
  }
}

TEST(DamagedTree, AStaleNodeAtItsPlaceIsCaught) {
  SmallTree small;
  Pfn pfn = small.leaf(0);
  --small.node(pfn).header.generation;
  small.seal(pfn);
  small.disk.reopen();
  auto found = small.disk.tree().find(make_key(0, 1, 0));
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message(), testing::HasSubstr("of another generation than its parent says"));
  EXPECT_THAT(found.error().message(), testing::HasSubstr(to_string(pfn)));
  EXPECT_TRUE(small.disk.tree().find(make_key(89, 1, 89)));
}

TEST(DamagedTree, TwoParentsOfOneNodeAreCaughtBeforeItIsFreedTwice) {
  SmallTree small;
  small.root().child_words()[1] = small.root().child_words()[0];
  small.seal(small.disk.stored_root().pfn);
  small.disk.reopen();
  Key first = make_key(0, 1, 0);
  ASSERT_TRUE(small.disk.tree().find(first));
  Key second = small.root().keys()[1];
  EXPECT_TRUE(small.disk.tree().put(first, {}));
  EXPECT_EQ(small.disk.tree().put(second, {}).error().code(), Code::kCorrupt);
  for (uint64_t n = 0; n < 90; ++n) (void)small.disk.tree().erase(make_key(n, 1, n));
  EXPECT_TRUE(small.disk.space().check_invariants());
}

TEST(DamagedTree, ARootThatContradictsItselfIsRefused) {
  Media media(100);
  NodeSpace space(kVolumeTag);
  for (Root root : {Root{.height = kHeightMax + 1}, Root{.entries = 1},
                    Root{.node_generation = 2, .generation = 1, .height = 1}, Root{.generation = ~uint64_t{0}}}) {
    EXPECT_EQ(Tree::open(space, kVolumeTag, root).error().code(), Code::kCorrupt);
  }
  auto tree = Tree::open(space, kVolumeTag, Root{.pfn = Pfn{77}, .node_generation = 1, .generation = 1, .height = 1});
  ASSERT_TRUE(tree);
  EXPECT_THAT(tree->find(kKeyMin).error().message(), testing::HasSubstr("it lies in no metadata zone"));
}

TEST(DamagedTree, CheckGoesOnBesideWhatItFinds) {
  SmallTree small;
  for (size_t leaf : {0, 3, 9}) small.disk.media().frame(small.leaf(leaf))[2000] ^= std::byte{1};
  small.disk.reopen();
  std::vector<std::string> findings;
  uint64_t entries = 0;
  auto census = small.disk.tree().check([&](const Error& error) { findings.push_back(error.message()); },
                                        [&](Key, Value) { ++entries; });
  EXPECT_THAT(findings, testing::SizeIs(3));
  EXPECT_THAT(findings, testing::Each(testing::HasSubstr("its checksum is wrong")));
  EXPECT_EQ(census.nodes, small.disk.space().counts().live - 3);
  EXPECT_GT(entries, 60U);
}

}  // namespace
}  // namespace dmap
