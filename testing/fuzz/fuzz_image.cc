// SPDX-License-Identifier: Apache-2.0
//
// A small volume with some of its bytes changed (input: place, value, place, value ...), opened read-only and walked by
// check and by a reader of everything. Checksums of nodes are made right again, so that what is behind them is reached.
#include <cstring>
#include <memory>

#include "base/check.h"
#include "testing/crash/crash_device.h"
#include "testing/crash/world.h"
#include "tree/node_check.h"
#include "volume/check.h"

using namespace dmap;
using namespace dmap::testing;

namespace {

constexpr FrameCount kFrames{1024};
constexpr uint64_t kZoneFirst = kJournalFrame + 256;
constexpr uint64_t kZoneFrames = 16;  // where the first nodes are

Image make_volume() {
  Trace trace;
  auto device = std::make_unique<CrashDevice>(Image(kFrames), Persistence::kNone, trace);
  CHECK(Store::format(*device, {.journal = 1_MiB}, VolumeCore::first_entries()));
  auto core = VolumeCore::open(std::move(device), {.descriptor_memory = 1_MiB}, {.background = Background::kOff});
  CHECK(core);
  World world;
  Random random(1);
  for (int i = 0; i < 60; ++i) {
    Operation operation = choose(world, random);
    CHECK(perform(**core, operation));
    world = after(std::move(world), operation);
    if (i == 40) CHECK((*core)->checkpoint());
  }
  Image image(kFrames);
  std::memcpy(image.data(), (*core)->store().device().data(), bytes_of(kFrames).value);
  return image;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Image volume = make_volume();
  Image image = volume;
  for (size_t i = 0; i + 3 <= size && i < 300; i += 3) {
    uint64_t place = (data[i] | uint64_t{data[i + 1]} << 8) % bytes_of(FrameCount{kZoneFrames}).value;
    std::byte* frame = image.data() + ((kZoneFirst + (place >> kFrameShift)) << kFrameShift);
    frame[place % kFrameSize.value] = std::byte{data[i + 2]};
    auto* node = reinterpret_cast<Node*>(frame);
    if (place >> kFrameShift >= 2) node->header.crc = node_crc(*node);
  }
  Trace trace;
  auto device = std::make_unique<CrashDevice>(std::move(image), Persistence::kNone, trace);
  auto core = VolumeCore::open(std::move(device), {.access = Access::kReadOnly, .descriptor_memory = 1_MiB});
  if (!core) return 0;
  check_core(**core);
  static_cast<void>(read_world(**core));
  return 0;
}
