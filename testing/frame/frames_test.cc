// SPDX-License-Identifier: Apache-2.0
//
// A foreign layer, here a pretended GPU driver, on the public door.
#include "dmap/frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "frame/frame_table.h"

namespace dmap {
namespace {

/// Keeps buffers in video memory and lets peers find their pages while it does.
class GpuDriver {
 public:
  static Result<GpuDriver> load(Frames& frames, FrameCount vram) {
    return GpuDriver(DMAP_TRY(frames.attach(vram, "gpu0")));
  }
  Result<Exposure> share_buffer(uint64_t first, FrameCount count) { return vram_.expose(first, count); }
  Result<void> unload() { return vram_.detach(); }
  Frames::Range& vram() { return vram_; }

 private:
  explicit GpuDriver(Frames::Range vram) : vram_(std::move(vram)) {}
  Frames::Range vram_;
};

class ForeignLayer : public ::testing::Test {
 protected:
  std::unique_ptr<FrameTable> table_ = FrameTable::create({}).value();
  Frames frames_{*table_};
};

TEST_F(ForeignLayer, ExposesItsOwnFramesLooksThemUpAndDropsThem) {
  auto gpu = GpuDriver::load(frames_, frames_within(24_GiB)).value();
  EXPECT_FALSE(frames_.page(gpu.vram().pfn(77)).has_value());
  auto buffer = gpu.share_buffer(0, FrameCount{513}).value();
  auto large = frames_.page(gpu.vram().pfn(77));
  ASSERT_TRUE(large.has_value());
  EXPECT_EQ(large->first, gpu.vram().pfn(0));
  EXPECT_EQ(large->frames, FrameCount{512});
  EXPECT_EQ(large->owner, gpu.vram().owner());
  EXPECT_EQ(frames_.page(gpu.vram().pfn(512))->frames, FrameCount{1});
  buffer.drop();
  EXPECT_FALSE(frames_.page(gpu.vram().pfn(77)).has_value());
  EXPECT_TRUE(gpu.unload().has_value());
}

TEST_F(ForeignLayer, CannotLeaveWhileSomethingIsExposedAndSaysWhat) {
  auto gpu = GpuDriver::load(frames_, FrameCount{1000}).value();
  auto buffer = gpu.share_buffer(10, FrameCount{1}).value();
  auto busy = gpu.unload();
  ASSERT_FALSE(busy.has_value());
  EXPECT_EQ(busy.error().code(), Code::kBusy);
  EXPECT_THAT(busy.error().message(), ::testing::HasSubstr("something is exposed in frames 65535:[0, 512)"));
  buffer.drop();
  EXPECT_TRUE(gpu.unload().has_value());
}

TEST_F(ForeignLayer, IsKeptInsideItsRange) {
  auto gpu = GpuDriver::load(frames_, FrameCount{1000}).value();
  EXPECT_EQ(gpu.share_buffer(999, FrameCount{2}).error().code(), Code::kInvalid);
  EXPECT_EQ(gpu.share_buffer(1000, FrameCount{1}).error().code(), Code::kInvalid);
  EXPECT_EQ(gpu.share_buffer(0, FrameCount{0}).error().code(), Code::kInvalid);
  EXPECT_EQ(gpu.share_buffer(5, FrameCount{~uint64_t{0}}).error().code(), Code::kInvalid);
}

TEST_F(ForeignLayer, AnotherLayersFramesAreRefusedByItsLabel) {
  auto gpu = GpuDriver::load(frames_, FrameCount{1000}).value();
  auto buffer = gpu.share_buffer(10, FrameCount{1}).value();
  auto refused = table_->expose({gpu.vram().pfn(10), FrameCount{1}}, Owner::kFileStore);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kOtherOwner);
  EXPECT_THAT(refused.error().message(), ::testing::HasSubstr("belongs to gpu0"));
}

TEST_F(ForeignLayer, DeviceNumbersAreNeverGivenOutAgain) {
  auto first = frames_.attach(FrameCount{10}, "gpu0").value();
  DeviceNumber number = device_of(first.pfn(0));
  ASSERT_TRUE(first.detach().has_value());
  auto second = frames_.attach(FrameCount{10}, "gpu0").value();
  EXPECT_NE(device_of(second.pfn(0)), number);
}

}  // namespace
}  // namespace dmap
