// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_TESTING_VOLUME_VOLUME_FIXTURE_H_
#define DMAP_TESTING_VOLUME_VOLUME_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "testing/crash/crash_device.h"
#include "testing/crash/world.h"
#include "volume/check.h"

namespace dmap::testing {

/// The bytes of a volume, to be copied, damaged and opened.
class Media {
 public:
  explicit Media(FrameCount frames = FrameCount{1024}, Bytes journal = 1_MiB) : image_(frames) {
    Trace trace;
    CrashDevice device(image_, Persistence::kLineFlush, trace);
    EXPECT_TRUE(Store::format(device, {.journal = journal}, VolumeCore::first_entries()));
    take(device);
  }

  Result<std::unique_ptr<VolumeCore>> open(Access access = Access::kReadWrite,
                                           Background background = Background::kOff) {
    trace_.clear();
    OpenOptions options{.access = access, .descriptor_memory = 1_MiB, .views_max = 16};
    return VolumeCore::open(std::make_unique<CrashDevice>(image_, Persistence::kLineFlush, trace_), options,
                            {.background = background});
  }

  /// As a process that is killed leaves it.
  void take(const Device& device) { std::memcpy(image_.data(), device.data(), bytes_of(image_.frames()).value); }
  void take(VolumeCore& core) { take(core.store().device()); }

  std::byte* frame(uint64_t index) { return image_.data() + (index << kFrameShift); }
  Image& image() { return image_; }

 private:
  Image image_;
  Trace trace_;
};

/// What check says; nothing: all is well.
inline std::vector<std::string> findings(VolumeCore& core) {
  std::vector<std::string> found;
  check_core(core, {.on_finding = [&](const Finding& finding) { found.push_back(finding.path + " " + finding.what); }});
  return found;
}

using Kind = Operation::Kind;

}  // namespace dmap::testing

#endif  // DMAP_TESTING_VOLUME_VOLUME_FIXTURE_H_
