// SPDX-License-Identifier: Apache-2.0
#include "device/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include "base/text.h"
#include "device/memory_device.h"
#include "testing/device/faulty_device.h"

namespace dmap {
namespace {

using ::testing::HasSubstr;

constexpr FrameCount kFrames{1024};

std::unique_ptr<Device> make_memory(HugePages huge_pages = HugePages::kNo) {
  auto device = MemoryDevice::create("test", kFrames, huge_pages);
  EXPECT_TRUE(device.has_value()) << device.error().message();
  return std::move(*device);
}

std::vector<std::byte> random_bytes(size_t length, std::mt19937_64& random) {
  std::vector<std::byte> bytes(length);
  for (std::byte& byte : bytes) byte = std::byte(random() & 0xff);
  return bytes;
}

TEST(MemoryDevice, SaysWhatItIs) {
  auto device = make_memory();
  const Traits& traits = device->traits();
  EXPECT_EQ(traits.frames, kFrames);
  EXPECT_EQ(traits.cpu_mapped, kFrames);
  EXPECT_TRUE(traits.load_in_place);
  EXPECT_FALSE(traits.durable);
  EXPECT_EQ(traits.persistence, Persistence::kNone);
  EXPECT_EQ(device->name(), "test");
  EXPECT_THAT(traits.medium, HasSubstr("memfd, " + text_of(traits.page_size)));
  EXPECT_THAT(traits.promise, HasSubstr("nothing survives"));
}

TEST(MemoryDevice, StartsZeroedAtALargePageBoundary) {
  auto device = make_memory();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(device->data()) % (2U << 20), 0U);
  std::span all(device->data(), bytes_of(kFrames).value);
  EXPECT_TRUE(std::ranges::all_of(all, [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST(MemoryDevice, HasAddressesExactlyForItsFrames) {
  auto device = make_memory();
  Bytes size = bytes_of(kFrames);
  EXPECT_EQ(device->address(Bytes{0}), device->data());
  EXPECT_EQ(device->address(size - 1_B), device->data() + size.value - 1);
  EXPECT_EQ(device->address(size), nullptr);
}

TEST(MemoryDevice, TriesLargePagesAndGoesWithout) {
  auto device = make_memory(HugePages::kTry);
  EXPECT_EQ(device->traits().frames, kFrames);
  const std::vector<std::byte> ones(100, std::byte{1});
  device->store(bytes_of(kFrames) - 100_B, ones);
  EXPECT_EQ(*device->address(bytes_of(kFrames) - 1_B), std::byte{1});
}

TEST(MemoryDevice, RequiringLargePagesThatAreNotThereIsAnError) {
  auto device = MemoryDevice::create("test", frames_within(1_TiB), HugePages::kRequire);
  ASSERT_FALSE(device.has_value());
  EXPECT_EQ(device.error().code(), Code::kNoMemory);
  EXPECT_THAT(device.error().message(), HasSubstr("vm.nr_hugepages"));
}

TEST(MemoryDevice, MoreThanTheMachineHasIsAnErrorWithTheNumbers) {
  auto device = MemoryDevice::create("test", frames_within(100_TiB), HugePages::kNo);
  ASSERT_FALSE(device.has_value());
  EXPECT_EQ(device.error().code(), Code::kNoMemory);
  EXPECT_THAT(device.error().message(), HasSubstr("100 TiB of memory asked"));
}

TEST(MemoryDevice, ASparseOneMayBeLargerThanTheMachine) {
  auto device = MemoryDevice::create("test", frames_within(1_TiB), HugePages::kNo, Allocation::kSparse);
  ASSERT_TRUE(device.has_value()) << device.error().message();
  (*device)->store_word(1_TiB - 8_B, 7);
  EXPECT_EQ(*(*device)->address(1_TiB - 8_B), std::byte{7});
}

TEST(Device, EveryKindOfStoreMatchesAModel) {
  constexpr uint64_t kSeed = 7;
  std::mt19937_64 random(kSeed);
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  auto device = make_memory();
  const uint64_t size = bytes_of(kFrames).value;
  std::vector<std::byte> model(size);
  for (int step = 0; step < 2000; ++step) {
    uint64_t length = random() % (random() % 2 == 0 ? 100 : 10000);
    Bytes at{random() % (size - length)};
    auto bytes = random_bytes(length, random);
    switch (random() % 4) {
      case 0: device->store(at, bytes), device->flush(at, Bytes{length}); break;
      case 1: device->store_streaming(at, bytes); break;
      case 2: std::ranges::fill(bytes, std::byte{0}), device->zero_streaming(at, Bytes{length}); break;
      case 3: {
        Transfer write{at, bytes.data(), Bytes{length}, Direction::kWrite};
        ASSERT_TRUE(device->submit({&write, 1}).has_value());
      }
    }
    device->fence();
    std::ranges::copy(bytes, model.begin() + static_cast<ptrdiff_t>(at.value));
  }
  EXPECT_TRUE(std::ranges::equal(std::span(device->data(), size), model));
}

TEST(Device, SubmitMovesPiecesBothWays) {
  std::mt19937_64 random(3);
  auto device = make_memory();
  auto out = random_bytes(5000, random);
  std::vector<std::byte> in(1000);
  std::array writes{Transfer{100_B, out.data(), 3000_B, Direction::kWrite},
                    Transfer{1_MiB, out.data() + 3000, 2000_B, Direction::kWrite}};
  ASSERT_TRUE(device->submit(writes).has_value());
  std::array reads{Transfer{600_B, in.data(), 400_B, Direction::kRead},
                   Transfer{1_MiB + 100_B, in.data() + 400, 600_B, Direction::kRead}};
  ASSERT_TRUE(device->submit(reads).has_value());
  EXPECT_TRUE(std::equal(in.begin(), in.begin() + 400, out.begin() + 500));
  EXPECT_TRUE(std::equal(in.begin() + 400, in.end(), out.begin() + 3100));
}

TEST(Device, AWindowShowsTheSameBytes) {
  auto device = make_memory();
  void* reserved = ::mmap(nullptr, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* window = static_cast<std::byte*>(reserved);
  ASSERT_TRUE(device->map_at(window, 16_KiB, 8_KiB, DeviceAccess::kReadWrite).has_value());
  window[4097] = std::byte{9};
  EXPECT_EQ(*device->address(16_KiB + 4097_B), std::byte{9});
  device.reset();
  EXPECT_EQ(window[4097], std::byte{9}) << "a window outlives its device";
  ::munmap(reserved, 8192);
}

TEST(DeviceDeathTest, StoringOutsideIsADefect) {
  auto device = make_memory();
  const std::vector<std::byte> two(2);
  EXPECT_DEATH(device->store(bytes_of(kFrames) - 1_B, two), "CHECK");
  EXPECT_DEATH(device->store_streaming(Bytes{~uint64_t{0}}, two), "CHECK");
  EXPECT_DEATH(device->store_word(4_B, 1), "CHECK");
}

TEST(FaultyDevice, FailsTheCallItWasToldToAndAllAfterIt) {
  testing::FaultyDevice device(make_memory());
  EXPECT_TRUE(device.barrier().has_value());
  device.fail_barrier(2);
  device.fail_submit(1);
  EXPECT_TRUE(device.barrier().has_value());
  EXPECT_EQ(device.barrier().error().code(), Code::kIo);
  EXPECT_EQ(device.barrier().error().code(), Code::kIo);
  EXPECT_EQ(device.submit({}).error().code(), Code::kIo);
  device.store_word(8_B, 5);
  EXPECT_EQ(*device.address(8_B), std::byte{5});
}

}  // namespace
}  // namespace dmap
