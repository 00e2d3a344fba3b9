// SPDX-License-Identifier: Apache-2.0
#include "testing/crash/crash_device.h"

#include <cstring>

#include "base/check.h"

namespace dmap::testing {
namespace {

Traits traits_of(FrameCount frames, Persistence persistence) {
  Traits traits;
  traits.frames = traits.frames_max = traits.cpu_mapped = frames;
  traits.load_in_place = true;
  traits.durable = persistence != Persistence::kNone;
  traits.persistence = persistence;
  traits.medium = "simulated";
  return traits;
}

}  // namespace

CrashDevice::CrashDevice(Image image, Persistence persistence, Trace& trace)
    : CrashDevice(std::make_unique<Image>(std::move(image)), persistence, trace) {}

CrashDevice::CrashDevice(std::unique_ptr<Image> image, Persistence persistence, Trace& trace)
    : Device("simulated", traits_of(image->frames(), persistence), image->data()),
      image_(std::move(image)),
      trace_(trace) {}

void CrashDevice::record(Event::Kind kind, Bytes at, std::span<const std::byte> from) {
  CHECK(at.value + from.size() <= bytes_of(traits().frames).value);
  if (from.empty()) return;
  std::memcpy(image_->data() + at.value, from.data(), from.size());
  trace_.push_back({.kind = kind, .at = at.value, .bytes = {from.begin(), from.end()}});
}

void CrashDevice::zero_streaming(Bytes at, Bytes length) { store_streaming(at, std::vector<std::byte>(length.value)); }

void CrashDevice::flush(Bytes at, Bytes length) {
  trace_.push_back({.kind = Event::Kind::kFlush, .at = at.value, .length = length.value});
}

Result<void> CrashDevice::barrier() {
  trace_.push_back({.kind = Event::Kind::kBarrier});
  return {};
}

Result<void> CrashDevice::submit(std::span<const Transfer> transfers) {
  for (const Transfer& transfer : transfers) {
    if (transfer.direction == Direction::kRead) {
      std::memcpy(transfer.memory, data() + transfer.at.value, transfer.length.value);
    } else {
      store_streaming(transfer.at, {transfer.memory, transfer.length.value});
    }
  }
  fence();
  return {};
}

}  // namespace dmap::testing
