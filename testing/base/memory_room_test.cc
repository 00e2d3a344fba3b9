// SPDX-License-Identifier: Apache-2.0
#include "base/memory_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace dmap {
namespace {

namespace fs = std::filesystem;

/// A tree of /proc and /sys as this test wants the kernel to be.
class MemoryRoomTest : public ::testing::Test {
 protected:
  MemoryRoomTest() { fs::create_directories(root_); }
  ~MemoryRoomTest() override { fs::remove_all(root_); }

  void write(const fs::path& path, std::string_view text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  MemoryRoom::Left left() { return MemoryRoom(root_).left(); }

  fs::path root_ = fs::temp_directory_path() / ("dmap-memory-room-" + std::to_string(getpid()));
};

TEST_F(MemoryRoomTest, TheSystemsFreeMemoryIsTheFirstLimit) {
  write("proc/meminfo", "MemTotal:  9000 kB\nMemFree: 1 kB\nMemAvailable:   2048 kB\n");
  EXPECT_EQ(left().available, 2_MiB);
  EXPECT_EQ(left().limited_by, "MemAvailable");
}

TEST_F(MemoryRoomTest, AnyGroupAboveUsMayBeTheNarrowest) {
  write("proc/meminfo", "MemAvailable: 1048576 kB\n");
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/b/memory.max", "max\n");
  write("sys/fs/cgroup/a/b/memory.current", "1048576\n");
  write("sys/fs/cgroup/a/memory.max", "10485760\n");
  write("sys/fs/cgroup/a/memory.current", "8388608\n");
  EXPECT_EQ(left().available, 2_MiB);
  EXPECT_EQ(left().limited_by, "the memory control group /a");
  write("sys/fs/cgroup/a/b/memory.high", "2097152\n");
  EXPECT_EQ(left().available, 1_MiB);
  EXPECT_EQ(left().limited_by, "the memory control group /a/b");
}

TEST_F(MemoryRoomTest, FileCacheThatCanBeDroppedIsRoom) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "10485760\n");
  write("sys/fs/cgroup/memory.current", "10485760\n");
  write("sys/fs/cgroup/memory.stat", "anon 5\nfile 99999999\ninactive_file 4193304\nactive_file 1000\n");
  EXPECT_EQ(left().available, 4_MiB);
}

TEST_F(MemoryRoomTest, TheFirstVersionOfControlGroupsCountsToo) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/job/1\n0::/\n");
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "4194304\n");
  write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "5242880\n");  // over its limit already
  EXPECT_EQ(left().available, Bytes{0});
}

TEST_F(MemoryRoomTest, ASystemThatSaysNothingRefusesNothing) {
  EXPECT_TRUE(MemoryRoom(root_).ask(128_TiB, "create", "x").has_value());
}

TEST_F(MemoryRoomTest, ASixteenthIsLeftToOthersAndARefusalSaysSo) {
  write("proc/meminfo", "MemAvailable: 1600 kB\n");
  EXPECT_TRUE(MemoryRoom(root_).ask(1500_KiB, "create", "x").has_value());
  auto refused = MemoryRoom(root_).ask(1500_KiB + 1_B, "create", "x");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message(),
            "create x: no_memory (1.4 MiB of memory asked, 1.4 MiB may be filled as MemAvailable has it, where a "
            "sixteenth is left to others)");
}

}  // namespace
}  // namespace dmap
