// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/frame/table_fixture.h"

namespace dmap {
void PrintTo(const Extent& extent, std::ostream* out) {
  *out << "[" << index_of(extent.first) << " +" << extent.count.value << "]";
}
}  // namespace dmap

namespace dmap::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Retire : public ::testing::Test {
 protected:
  std::vector<Extent> retire(Extent freed) {
    std::vector<Extent> unheld;
    table_->retire(freed, [&](Extent part) { unheld.push_back(part); });
    return unheld;
  }

  std::vector<Extent> released_;
  std::unique_ptr<FrameTable> table_ = make_table({.on_release = [this](Extent run) { released_.push_back(run); }});
};

TEST_F(Retire, WhatNobodyEverExposedComesBackAsOneExtent) {
  EXPECT_THAT(retire({pfn(5), FrameCount{kFrames.value - 10}}), ElementsAre(extent(5, kFrames.value - 10)));
}

TEST_F(Retire, HeldFramesAreLeftOutAndToldWhenTheLastHoldIsDropped) {
  auto one = table_->expose(extent(100, 70), Owner::kFileStore).value();
  auto two = table_->expose(extent(130, 100), Owner::kFileStore).value();
  EXPECT_THAT(retire(extent(0, 2000)), ElementsAre(extent(0, 100), extent(230, 1770)));
  one.drop();
  EXPECT_THAT(released_, ElementsAre(extent(100, 30)));
  two.drop();
  EXPECT_THAT(released_, ElementsAre(extent(100, 30), extent(130, 100)));
  EXPECT_TRUE(is_sound(*table_));
}

TEST_F(Retire, DropsBeforeItAreNotTold) {
  table_->expose(extent(100, 10), Owner::kFileStore).value().drop();
  EXPECT_THAT(retire(extent(100, 10)), ElementsAre(extent(100, 10)));
  EXPECT_THAT(released_, IsEmpty());
}

TEST_F(Retire, AnyHoldOnALargeRunKeepsAllThatWasFreedOfIt) {
  auto whole = table_->expose(extent(0, 1024), Owner::kFileStore).value();
  EXPECT_THAT(retire(extent(500, 6)), IsEmpty());
  EXPECT_THAT(retire(extent(10, 20)), IsEmpty());
  auto neighbour = table_->expose(extent(300, 1), Owner::kFileStore).value();  // live, in the same run
  whole.drop();
  EXPECT_THAT(released_, IsEmpty());
  neighbour.drop();
  EXPECT_THAT(released_, ElementsAre(extent(0, 512)));  // once for the run; the second run was not touched
  EXPECT_TRUE(is_sound(*table_));
}

TEST_F(Retire, TheMarkDoesNotReachTheFramesNextLife) {
  for (uint64_t count : {uint64_t{1}, uint64_t{512}}) {
    released_.clear();
    auto hold = table_->expose(extent(1024, count), Owner::kFileStore).value();
    EXPECT_THAT(retire(extent(1024, count)), IsEmpty());
    hold.drop();
    EXPECT_THAT(released_, ElementsAre(extent(1024, count)));
    table_->expose(extent(1024, count), Owner::kFileStore).value().drop();
    EXPECT_EQ(released_.size(), 1U);
  }
}

TEST_F(Retire, AFailedExposeThatWasTheLastHoldTellsToo) {
  auto ram = table_->expose(extent(20, 1), Owner::kRamCache).value();
  auto held = table_->expose(extent(10, 1), Owner::kFileStore).value();
  EXPECT_THAT(retire(extent(10, 1)), IsEmpty());
  EXPECT_FALSE(table_->expose(extent(10, 11), Owner::kFileStore).has_value());  // refused at 20, rolled back
  EXPECT_THAT(released_, IsEmpty());
  held.drop();
  EXPECT_THAT(released_, ElementsAre(extent(10, 1)));
}

TEST_F(Retire, AnExtentOverManyRegionsIsReportedInOrder) {
  auto a = table_->expose(extent(kRegionFrames - 1, 2), Owner::kFileStore).value();
  auto b = table_->expose(extent(3 * kRegionFrames, 512), Owner::kFileStore).value();
  EXPECT_THAT(retire({pfn(0), kFrames}),
              ElementsAre(extent(0, kRegionFrames - 1), extent(kRegionFrames + 1, 2 * kRegionFrames - 1),
                          extent(3 * kRegionFrames + 512, kRegionFrames - 512)));
}

}  // namespace
}  // namespace dmap::testing
