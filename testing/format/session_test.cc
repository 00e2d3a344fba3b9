// SPDX-License-Identifier: Apache-2.0
//
// Rule J1 for killed processes, behind a checkpoint: a copy of the file at some moment is what a process killed then
// leaves in the kernel's page cache.
#include <gtest/gtest.h>

#include <filesystem>

#include "dmap/volume.h"
#include "testing/support/temporary.h"

namespace dmap::testing {
namespace {

class KilledNow : public ::testing::TestWithParam<const char*> {};

TEST_P(KilledNow, WhatReturnedBehindACheckpointOutlivesTheProcessWithoutASync) {
  TemporaryPath path(GetParam());
  TemporaryPath copy(GetParam());
  ASSERT_TRUE(Volume::format(path.path(), {.size = 16_MiB, .allocation = Allocation::kSparse, .progress = {}}));
  auto volume = Volume::open(path.path());
  ASSERT_TRUE(volume);
  ASSERT_TRUE(volume->make_directory("/before"));
  ASSERT_TRUE(volume->checkpoint());
  ASSERT_TRUE(volume->make_directory("/behind"));
  std::filesystem::copy_file(path.path(), copy.path());

  auto reopened = Volume::open(copy.path());
  ASSERT_TRUE(reopened) << reopened.error().message();
  EXPECT_TRUE(reopened->stat("/before"));
  EXPECT_TRUE(reopened->stat("/behind"));
}

INSTANTIATE_TEST_SUITE_P(Media, KilledNow, ::testing::Values(kMemoryFolder, kDiskFolder));

}  // namespace
}  // namespace dmap::testing
