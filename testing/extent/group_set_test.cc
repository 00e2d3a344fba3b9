// SPDX-License-Identifier: Apache-2.0
#include "extent/group_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace dmap {
namespace {

class GroupSetBorn : public testing::TestWithParam<GroupSet::Born> {};

TEST_P(GroupSetBorn, AnswersAsAPlainSetDoes) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (uint64_t size : {1U, 2U, 63U, 64U, 65U, 4096U, 4097U, 5000U}) {
    GroupSet set = GroupSet::create(size, GetParam()).value();
    std::set<uint64_t> model;
    if (GetParam() == GroupSet::Born::kFull) {
      for (uint64_t group = 0; group < size; ++group) model.insert(group);
    }
    for (int step = 0; step < 20000; ++step) {
      const uint64_t group = random() % size;
      if (step % 4000 < 2000) {  // now mostly emptying, now mostly filling
        set.remove(group), model.erase(group);
      } else {
        set.add(group), model.insert(group);
      }
      set.populate(random() % size);
      const uint64_t from = random() % size;
      auto expected = model.lower_bound(from);
      ASSERT_EQ(set.next(from), expected == model.end() ? std::nullopt : std::optional(*expected));
      if (expected == model.end()) expected = model.begin();
      ASSERT_EQ(set.next_cyclic(from), expected == model.end() ? std::nullopt : std::optional(*expected));
      ASSERT_EQ(set.contains(group), model.contains(group));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Both, GroupSetBorn, testing::Values(GroupSet::Born::kEmpty, GroupSet::Born::kFull));

TEST(GroupSet, FindsTheOnlyGroupOfAPetabyteInAFewSteps) {
  const uint64_t groups = uint64_t{1} << 25;
  GroupSet set = GroupSet::create(groups, GroupSet::Born::kEmpty).value();
  EXPECT_EQ(set.next(0), std::nullopt);
  set.add(groups - 1);
  EXPECT_EQ(set.next(0), groups - 1);
  EXPECT_EQ(set.next_cyclic(groups - 1), groups - 1);
}

}  // namespace
}  // namespace dmap
