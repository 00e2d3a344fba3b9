// SPDX-License-Identifier: Apache-2.0
//
// A tree over frames in memory that stand for a device: checkpoints are written into them, a crash forgets all else.
#ifndef DMAP_TESTING_TREE_TREE_FIXTURE_H_
#define DMAP_TESTING_TREE_TREE_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tree/cursor.h"
#include "tree/node_space.h"
#include "tree/tree.h"

namespace dmap {

inline constexpr uint64_t kVolumeTag = 0x6d61702d74657374;

using Model = std::map<Key, std::string>;

inline Value value_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string text_of(Value value) { return {reinterpret_cast<const char*>(value.data()), value.size()}; }

/// The frames of a device.
class Media {
 public:
  explicit Media(uint64_t frames) : frames_(frames) {}

  std::span<const std::byte> span(Extent extent) const {
    return {frames_[index_of(extent.first)].bytes.data(), dmap::bytes_of(extent.count).value};
  }
  FrameBytes& frame(Pfn pfn) { return frames_[index_of(pfn)].bytes; }
  void write(Pfn pfn, std::span<const std::byte> bytes) { std::memcpy(frame(pfn).data(), bytes.data(), bytes.size()); }

 private:
  struct alignas(4096) Frame {
    FrameBytes bytes{};
  };
  std::vector<Frame> frames_;
};

/// A NodeSpace that refuses after so many allocations.
class RefusingFrames final : public NodeFrames {
 public:
  explicit RefusingFrames(NodeSpace& space) : space_(space) {}

  NodePlace place(Pfn pfn) const override { return space_.place(pfn); }
  bool is_live(Pfn pfn) const override { return space_.is_live(pfn); }
  Result<Pfn> allocate() override {
    if (left == 0) return fail(Code::kNoSpace, "allocate", "metadata", "refused by the test");
    --left;
    return space_.allocate();
  }
  void free(Pfn pfn) override { space_.free(pfn); }

  uint64_t left = ~uint64_t{0};

 private:
  NodeSpace& space_;
};

/// A device of a few zones with a superblock, the space, and the tree.
class TreeOnMedia {
 public:
  explicit TreeOnMedia(std::vector<Extent> zones = {{Pfn{3}, FrameCount{3000}}, {Pfn{4000}, FrameCount{64}}})
      : zones_(std::move(zones)), media_(index_of(zones_.back().end())) {
    space_ = std::make_unique<NodeSpace>(kVolumeTag);
    for (Extent zone : zones_) EXPECT_TRUE(space_->add_zone(zone, media_.span(zone)));
    attach(Root{});
  }

  Tree& tree() { return *tree_; }
  NodeSpace& space() { return *space_; }
  RefusingFrames& frames() { return *frames_; }
  Media& media() { return media_; }
  const Root& stored_root() const { return stored_root_; }

  Frozen begin_checkpoint() {
    ++generation_;
    maps_ = space_->freeze(generation_);
    digest_ = space_->maps_digest();
    return tree_->freeze(generation_);
  }
  void write(Frozen& frozen) {
    frozen.sort_by_pfn();
    for (size_t i = 0; i < frozen.size(); ++i) media_.write(frozen.image(i).pfn, frozen.image(i).bytes);
    for (const auto& map : maps_) media_.write(map.pfn, map.bytes);
  }
  void end_checkpoint(Frozen frozen) {
    stored_root_ = frozen.root();
    stored_digest_ = digest_;
    space_->complete();
    while (!tree_->thaw(frozen, 7)) {
    }
  }
  void abandon_checkpoint(Frozen frozen) {
    space_->fail();
    tree_->put_back(std::move(frozen));
  }
  void checkpoint() {
    Frozen frozen = begin_checkpoint();
    write(frozen);
    end_checkpoint(std::move(frozen));
  }

  /// Forgets everything that is not on the media and opens that.
  void reopen() {
    tree_.reset();
    space_ = std::make_unique<NodeSpace>(kVolumeTag);
    generation_ = stored_root_.generation;
    for (Extent zone : zones_) {
      auto opened = stored_root_.generation == 0 ? space_->add_zone(zone, media_.span(zone))
                                                 : space_->open_zone(zone, media_.span(zone), stored_root_.generation);
      ASSERT_TRUE(opened) << opened.error().message();
    }
    if (stored_root_.generation > 0) {
      ASSERT_EQ(space_->maps_digest(), stored_digest_);
    }
    attach(stored_root_);
  }

  /// The tree holds what the model does, its invariants hold, and no frame is lost.
  void expect_equal(const Model& model) {
    auto proved = tree_->check_invariants();
    ASSERT_TRUE(proved) << proved.error().message();
    proved = space_->check_invariants();
    ASSERT_TRUE(proved) << proved.error().message();
    auto expected = model.begin();
    bool equal = true;
    Tree::Census census = tree_->check({}, [&](Key key, Value value) {
      equal = equal && expected != model.end() && expected->first == key && expected->second == text_of(value);
      if (expected != model.end()) ++expected;
    });
    ASSERT_TRUE(equal);
    ASSERT_EQ(census.entries, model.size());
    ASSERT_EQ(tree_->entries(), model.size());
    ASSERT_EQ(census.nodes, space_->counts().live);
  }

 private:
  void attach(const Root& root) {
    frames_ = std::make_unique<RefusingFrames>(*space_);
    auto tree = Tree::open(*frames_, kVolumeTag, root);
    ASSERT_TRUE(tree) << tree.error().message();
    tree_.emplace(std::move(*tree));
  }

  std::vector<Extent> zones_;
  Media media_;
  std::unique_ptr<NodeSpace> space_;
  std::unique_ptr<RefusingFrames> frames_;
  std::optional<Tree> tree_;
  std::vector<NodeSpace::MapImage> maps_;
  uint64_t generation_ = 0;
  uint64_t digest_ = 0;
  Root stored_root_;
  uint64_t stored_digest_ = 0;
};

/// Keys and values of a seed; few enough keys that puts replace and erases find.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t keys = 4000) : engine_(seed), keys_(keys) {}

  uint64_t below(uint64_t bound) { return engine_() % bound; }
  Key key() {
    uint64_t n = below(keys_);
    return make_key(n / 100, static_cast<uint8_t>(n % 100 / 40), n % 40 * 4096);
  }
  std::string text() {
    uint64_t kind = below(20);
    uint64_t length = kind == 0 ? kValueMax : kind == 1 ? 0 : kind < 5 ? below(kValueMax) : below(120);
    return std::string(length, static_cast<char>('a' + below(26)));
  }

 private:
  std::mt19937_64 engine_;
  uint64_t keys_;
};

}  // namespace dmap

#endif  // DMAP_TESTING_TREE_TREE_FIXTURE_H_
