// SPDX-License-Identifier: Apache-2.0
//
// Syncs on media that take a barrier: those that ask while one runs share the next.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <thread>
#include <vector>

#include "device/file_device.h"
#include "testing/crash/crash_device.h"
#include "testing/support/temporary.h"
#include "volume/core.h"

namespace dmap::testing {
namespace {

/// A medium whose barriers are slow and counted.
class SlowMedium final : public PassingDevice {
 public:
  SlowMedium(std::unique_ptr<Device> inner, std::atomic<int>& barriers)
      : PassingDevice(std::move(inner)), barriers_(barriers) {}
  Result<void> barrier() override {
    ++barriers_;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return PassingDevice::barrier();
  }

 private:
  std::atomic<int>& barriers_;
};

TEST(GroupCommit, SyncsThatAskWhileABarrierRunsShareTheNext) {
  constexpr int kThreads = 8;
  TemporaryPath path(kDiskFolder);
  auto file = FileDevice::create(path.path(), 16_MiB);
  ASSERT_TRUE(file) << file.error().message();
  if ((*file)->traits().persistence != Persistence::kSync) GTEST_SKIP() << "the folder is on memory";
  ASSERT_TRUE(Store::format(**file, {.journal = 1_MiB}, VolumeCore::first_entries()));
  std::atomic<int> barriers = 0;
  auto core =
      VolumeCore::open(std::make_unique<SlowMedium>(std::move(*file), barriers), {}, {.background = Background::kOff});
  ASSERT_TRUE(core) << core.error().message();

  barriers = 0;
  std::latch start(kThreads);
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      auto record = VolumeCore::new_record(FileType::kRegular, {});
      EXPECT_TRUE((*core)->create(kRootInode, "f" + std::to_string(thread), record));
      start.arrive_and_wait();
      auto synced = (*core)->sync();
      EXPECT_TRUE(synced) << synced.error().message();
      EXPECT_FALSE((*core)->store().wants_barrier());  // all files were made before the first sync
    });
  }
  threads.clear();
  // One by one they would take two each: for the data, and for the marker.
  EXPECT_LT(barriers, 2 * kThreads);
  EXPECT_GT(barriers, 0);
}

}  // namespace
}  // namespace dmap::testing
