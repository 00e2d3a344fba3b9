// SPDX-License-Identifier: Apache-2.0
#include "device/medium.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "device/persist.h"

namespace dmap {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A made-up /sys with one character device, 252:7, laid out as the kernel does.
class DaxTest : public ::testing::Test {
 protected:
  DaxTest() : sysfs_(::testing::TempDir() + "dmap_sysfs_" + std::to_string(::getpid())) {}
  ~DaxTest() override { fs::remove_all(sysfs_); }

  /// `where` below /sys/devices; `bus` is its subsystem.
  void add_device(const std::string& where, const std::string& bus = "bus/dax") {
    device_ = sysfs_ + "/devices/" + where;
    fs::create_directories(device_);
    fs::create_directories(sysfs_ + "/" + bus);
    fs::create_directories(sysfs_ + "/dev/char");
    fs::create_directory_symlink(device_, sysfs_ + "/dev/char/252:7");
    fs::create_directory_symlink(sysfs_ + "/" + bus, device_ + "/subsystem");
  }
  void set(const std::string& attribute, const std::string& value) {
    fs::create_directories(fs::path(device_ + "/" + attribute).parent_path());
    std::ofstream(device_ + "/" + attribute) << value << "\n";
  }
  Result<Medium> identify() const { return identify_device_dax(makedev(252, 7), sysfs_, "open", "/dev/dax0.0"); }

  const std::string sysfs_;
  std::string device_;
};

TEST_F(DaxTest, PersistentMemoryIsFlushedByLines) {
  add_device("LNXSYSTM:00/ndbus0/region0/dax0.0/dax0.0");
  set("size", "8589934592");
  set("align", "1073741824");
  set("numa_node", "1");
  auto medium = identify();
  ASSERT_TRUE(medium.has_value()) << medium.error().message();
  EXPECT_EQ(medium->size, 8_GiB);
  if (best_line_write_back() == LineWriteBack::kNone) GTEST_SKIP() << "no line write-back on this CPU";
  auto traits = traits_of(*medium, frames_within(medium->size), true, 1_GiB, "/dev/dax0.0");
  ASSERT_TRUE(traits.has_value());
  EXPECT_EQ(traits->medium, "device DAX");
  EXPECT_EQ(traits->persistence, Persistence::kLineFlush);
  EXPECT_TRUE(traits->durable);
  EXPECT_EQ(traits->map_grain, 1_GiB);
  EXPECT_EQ(traits->numa_node, 1);
  EXPECT_EQ(traits->dma_target, DmaTarget::kLong);
}

TEST_F(DaxTest, MemorySetAsideByFirmwareIsVolatile) {
  add_device("platform/hmem.0/dax0.0");
  set("size", "2097152");
  set("align", "2097152");
  auto medium = identify();
  ASSERT_TRUE(medium.has_value()) << medium.error().message();
  auto traits = traits_of(*medium, FrameCount{512}, false, 2_MiB, "/dev/dax0.0");
  ASSERT_TRUE(traits.has_value());
  EXPECT_FALSE(traits->durable);
  EXPECT_EQ(traits->persistence, Persistence::kNone);
  EXPECT_EQ(traits->numa_node, -1);
}

TEST_F(DaxTest, OlderKernelsKeepTheAlignmentOneLevelDown) {
  add_device("ndbus0/region0/dax0.0/dax/dax0.0", "class/dax");
  set("size", "2097152");
  set("device/align", "4096");
  auto medium = identify();
  ASSERT_TRUE(medium.has_value()) << medium.error().message();
  EXPECT_EQ(medium->grain, 4_KiB);
}

TEST_F(DaxTest, ACharacterDeviceOfAnotherBusIsRefused) {
  add_device("virtual/mem/null", "class/mem");
  set("size", "2097152");
  auto medium = identify();
  ASSERT_FALSE(medium.has_value());
  EXPECT_EQ(medium.error().code(), Code::kNotSupported);
  EXPECT_THAT(medium.error().message(), HasSubstr("/dev/dax0.0"));
}

TEST(Medium, AFileThatTakesMapSyncIsPersistentMemory) {
  if (best_line_write_back() == LineWriteBack::kNone) GTEST_SKIP() << "no line write-back on this CPU";
  Medium medium{.kind = Medium::Kind::kStoredFile, .file_system = "ext4", .size = 1_MiB};
  auto traits = traits_of(medium, FrameCount{256}, true, 4_KiB, "volume");
  ASSERT_TRUE(traits.has_value());
  EXPECT_EQ(traits->medium, "file on ext4, fs-DAX (MAP_SYNC)");
  EXPECT_EQ(traits->persistence, Persistence::kLineFlush);
  EXPECT_TRUE(traits->durable);
  EXPECT_EQ(traits->dma_target, DmaTarget::kShort);
  EXPECT_EQ(traits_of(medium, FrameCount{256}, false, 4_KiB, "volume")->persistence, Persistence::kSync);
}

}  // namespace
}  // namespace dmap
