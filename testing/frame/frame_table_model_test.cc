// SPDX-License-Identifier: Apache-2.0
//
// Random exposes, drops, hand-overs and retirements beside a model that is a plain map from frame to hold count.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <set>

#include "testing/frame/table_fixture.h"

namespace dmap::testing {
namespace {

/// What the table should say. Knows nothing of blocks or pools; of runs only which sections are large now.
class Model {
 public:
  [[nodiscard]] uint64_t holds(uint64_t frame) const {
    auto run = runs_.find(frame / 512);
    if (run != runs_.end()) return run->second.holds;
    auto found = frames_.find(frame);
    return found != frames_.end() ? found->second.holds : 0;
  }
  [[nodiscard]] Owner owner(uint64_t frame) const {
    auto run = runs_.find(frame / 512);
    return run != runs_.end() ? run->second.owner : frames_.at(frame).owner;
  }
  [[nodiscard]] bool large(uint64_t frame) const { return runs_.contains(frame / 512); }

  [[nodiscard]] std::optional<Code> refusal(uint64_t first, uint64_t count, Owner owner, Grain grain) const {
    for (uint64_t frame = first; frame < first + count; ++frame) {
      if (holds(frame) > 0 && this->owner(frame) != owner) return Code::kOtherOwner;
      if (large(frame) && grain == Grain::kFrame) return Code::kBusy;
    }
    return std::nullopt;
  }
  void expose(uint64_t first, uint64_t count, Owner owner, Grain grain) {
    each_section(first, count, [&](uint64_t section, uint64_t from, uint64_t to) {
      bool idle = !runs_.contains(section) && !any_frame(section);
      if (runs_.contains(section) || (idle && to - from == 512 && grain == Grain::kLargest)) {
        ++runs_[section].holds;
        runs_[section].owner = owner;
        return;
      }
      for (uint64_t frame = from; frame < to; ++frame) ++frames_[frame].holds, frames_[frame].owner = owner;
    });
  }
  /// Returns the frames whose release is told.
  std::set<uint64_t> drop(uint64_t first, uint64_t count) {
    std::set<uint64_t> told;
    each_section(first, count, [&](uint64_t section, uint64_t from, uint64_t to) {
      if (auto run = runs_.find(section); run != runs_.end()) {
        if (--run->second.holds > 0) return;
        for (uint64_t frame = section * 512; run->second.freed && frame < section * 512 + 512; ++frame) {
          told.insert(frame);
        }
        runs_.erase(run);
        return;
      }
      for (uint64_t frame = from; frame < to; ++frame) {
        auto page = frames_.find(frame);
        if (--page->second.holds > 0) continue;
        if (page->second.freed) told.insert(frame);
        frames_.erase(page);
      }
    });
    return told;
  }
  bool hand_over(uint64_t first, uint64_t count, Owner to) {
    for (uint64_t frame = first; frame < first + count; ++frame) {
      if (holds(frame) != 1) return false;
    }
    for (uint64_t frame = first; frame < first + count; ++frame) {
      (large(frame) ? runs_[frame / 512] : frames_[frame]).owner = to;
    }
    return true;
  }
  /// Returns the frames without a hold, and marks the others.
  std::set<uint64_t> retire(uint64_t first, uint64_t count) {
    std::set<uint64_t> unheld;
    for (uint64_t frame = first; frame < first + count; ++frame) {
      if (holds(frame) == 0) {
        unheld.insert(frame);
      } else {
        (large(frame) ? runs_[frame / 512] : frames_[frame]).freed = true;
      }
    }
    return unheld;
  }

 private:
  struct Descriptor {
    uint64_t holds = 0;
    Owner owner = Owner::kNone;
    bool freed = false;
  };
  template <typename F>
  static void each_section(uint64_t first, uint64_t count, F visit) {
    for (uint64_t frame = first, end = first + count; frame < end;) {
      uint64_t stop = std::min(end, (frame / 512 + 1) * 512);
      visit(frame / 512, frame, stop);
      frame = stop;
    }
  }
  [[nodiscard]] bool any_frame(uint64_t section) const {
    auto found = frames_.lower_bound(section * 512);
    return found != frames_.end() && found->first < section * 512 + 512;
  }

  std::map<uint64_t, Descriptor> runs_;
  std::map<uint64_t, Descriptor> frames_;
};

/// A few sections on both sides of a region's end, where most things can go wrong.
constexpr uint64_t kFirst = kRegionFrames - 3 * 512;
constexpr uint64_t kSpan = 6 * 512;

class Walk {
 public:
  Walk(uint64_t seed, Bytes budget) : random_(seed), table_(make_table(options(budget))) {}

  void step() {
    switch (below(10)) {
      case 0:
      case 1:
      case 2:
      case 3: expose(); break;
      case 4:
      case 5:
      case 6: drop(); break;
      case 7: retire(); break;
      case 8: hand_over(); break;
      default: look_around(); break;
    }
  }
  void finish() {
    while (!holds_.empty()) drop();
    table_->trim();
    ASSERT_TRUE(is_sound(*table_));
    EXPECT_EQ(table_->statistics().in_use, Bytes{0});
  }
  uint64_t refused_for_memory = 0;

 private:
  FrameTable::Options options(Bytes budget) {
    auto options = small_grants(budget);
    options.idle_sections_max = 2;
    options.on_release = [this](Extent run) { collect(run, told_); };
    return options;
  }
  uint64_t below(uint64_t bound) { return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random_); }
  static void collect(Extent run, std::set<uint64_t>& frames) {
    for (uint64_t i = 0; i < run.count.value; ++i) EXPECT_TRUE(frames.insert(index_of(run.first) + i).second);
  }
  std::pair<uint64_t, uint64_t> any_range() {
    if (below(3) == 0) {  // whole runs
      uint64_t section = below(6);
      return {kFirst + section * 512, 512 * (1 + below(6 - section))};
    }
    uint64_t first = below(kSpan);
    return {kFirst + first, 1 + below(std::min<uint64_t>(kSpan - first, below(2) == 0 ? 4 : 700))};
  }

  void expose() {
    auto [first, count] = any_range();
    Owner owner = below(8) == 0 ? Owner::kRamCache : Owner::kFileStore;
    Grain grain = below(4) == 0 ? Grain::kFrame : Grain::kLargest;
    auto expected = model_.refusal(first, count, owner, grain);
    auto hold = table_->expose(extent(first, count), owner, grain);
    if (hold) {
      ASSERT_EQ(expected, std::nullopt);
      model_.expose(first, count, owner, grain);
      holds_.push_back(std::move(*hold));
    } else if (hold.error().code() == Code::kNoDescriptors) {
      ++refused_for_memory;
    } else {
      ASSERT_EQ(expected, hold.error().code()) << hold.error().message();
    }
    ASSERT_TRUE(told_.empty());  // a refused expose never was the only hold
  }
  void drop() {
    if (holds_.empty()) return;
    std::swap(holds_[below(holds_.size())], holds_.back());
    Extent extent = holds_.back().extent();
    holds_.pop_back();
    auto expected = model_.drop(index_of(extent.first), extent.count.value);
    ASSERT_EQ(std::exchange(told_, {}), expected);
  }
  void retire() {
    auto [first, count] = any_range();
    std::set<uint64_t> unheld;
    table_->retire(extent(first, count), [&](Extent run) { collect(run, unheld); });
    ASSERT_EQ(unheld, model_.retire(first, count));
  }
  void hand_over() {
    if (holds_.empty()) return;
    Exposure& hold = holds_[below(holds_.size())];
    Owner to = below(2) == 0 ? Owner::kFileStore : Owner::kRamCache;
    bool done = table_->hand_over(hold, to).has_value();
    ASSERT_EQ(done, model_.hand_over(index_of(hold.extent().first), hold.extent().count.value, to));
  }
  void look_around() {
    for (uint64_t frame = kFirst - 1; frame <= kFirst + kSpan; ++frame) {
      Seen seen = look_up(*table_, pfn(frame));
      ASSERT_EQ(seen.holds, model_.holds(frame)) << frame;
      if (!seen.exposed) continue;
      ASSERT_EQ(seen.large, model_.large(frame));
      ASSERT_EQ(seen.owner, model_.owner(frame));
      ASSERT_EQ(seen.first, pfn(seen.large ? frame / 512 * 512 : frame));
    }
    auto [first, count] = any_range();
    bool any = false;
    for (uint64_t frame = first; frame < first + count; ++frame) any = any || model_.holds(frame) > 0;
    ASSERT_EQ(table_->anything_exposed(extent(first, count)), any);
    if (below(8) != 0) return;  // proving waits for a grace period
    ASSERT_TRUE(is_sound(*table_));
  }

  std::mt19937_64 random_;
  std::set<uint64_t> told_;
  std::unique_ptr<FrameTable> table_;
  Model model_;
  std::vector<Exposure> holds_;
};

TEST(FrameTableModel, AgreesOverRandomHistories) {
  uint64_t refused = 0;
  for (uint64_t seed = 1; seed <= 9; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Walk walk(seed, seed % 3 == 0 ? 64_KiB : 1_MiB);
    for (int i = 0; i < 1000 && !::testing::Test::HasFatalFailure(); ++i) walk.step();
    walk.finish();
    if (::testing::Test::HasFatalFailure()) return;
    refused += walk.refused_for_memory;
  }
  EXPECT_GT(refused, 0U);  // or the tight budgets tested nothing
}

}  // namespace
}  // namespace dmap::testing
