// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/bits.h"
#include "base/crc32c.h"
#include "base/guarded.h"
#include "base/rcu.h"
#include "base/text.h"
#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {
namespace {

std::span<const std::byte> bytes_of(const char* text) {
  return {reinterpret_cast<const std::byte*>(text), std::strlen(text)};
}

TEST(Crc32c, MatchesThePublishedCheckValue) { EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283U); }

TEST(Crc32c, ChainsOverPieces) { EXPECT_EQ(crc32c(bytes_of("6789"), crc32c(bytes_of("12345"))), 0xe3069283U); }

TEST(Types, APfnKeepsItsDeviceAndIndexApart) {
  Pfn pfn = make_pfn(DeviceNumber{7}, kPfnIndexMask);
  EXPECT_EQ(device_of(pfn), DeviceNumber{7});
  EXPECT_EQ(index_of(pfn), kPfnIndexMask);
}

TEST(Types, FramesCoveringRoundsUpWithoutOverflow) {
  EXPECT_EQ(frames_covering(Bytes{0}), FrameCount{0});
  EXPECT_EQ(frames_covering(Bytes{1}), FrameCount{1});
  EXPECT_EQ(frames_covering(Bytes{4096}), FrameCount{1});
  EXPECT_EQ(frames_covering(Bytes{~uint64_t{0}}), FrameCount{uint64_t{1} << 52});
}

TEST(Bits, MaskCoversExactlyItsRange) {
  EXPECT_EQ(mask_of(0, 64), ~uint64_t{0});
  EXPECT_EQ(mask_of(64, 64), 0U);
  EXPECT_EQ(mask_of(1, 3), 0b110U);
}

Result<int> halve(int number) {
  if (number % 2 != 0) return fail(Code::kInvalid, "halve", std::to_string(number), "it is odd");
  return number / 2;
}
Result<int> quarter(int number) { return DMAP_TRY(halve(DMAP_TRY(halve(number)))); }

TEST(Result, TryTakesTheValueOrReturnsTheError) {
  EXPECT_EQ(quarter(8).value(), 2);
  auto odd = quarter(6);
  ASSERT_FALSE(odd.has_value());
  EXPECT_EQ(odd.error().message(), "halve 3: invalid (it is odd)");
  EXPECT_EQ(odd.error().posix(), EINVAL);
}

TEST(Result, AnErrnoKeepsItsNumberAndItsWords) {
  Error error = Error::from_errno(ENOSPC, "mkfs", "/dev/shm/x");
  EXPECT_EQ(error.posix(), ENOSPC);
  EXPECT_EQ(error.message(), "mkfs /dev/shm/x: no_space (No space left on device)");
}

struct Version : RcuHead {
  explicit Version(int n) : number(n) { ++alive; }
  ~Version() { number = -1, --alive; }
  int number;
  static inline std::atomic<int> alive = 0;
};

TEST(Rcu, AReaderNeverSeesARetiredVersion) {
  std::atomic<Version*> current = new Version(0);
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      RcuReadSection section;
      ASSERT_GE(current.load(std::memory_order_acquire)->number, 0);
    }
  });
  for (int n = 1; n <= 2000; ++n) rcu_delete(current.exchange(new Version(n), std::memory_order_acq_rel));
  rcu_synchronize();
  stop = true;
  reader.join();
  rcu_delete(current.load());
  rcu_barrier_all();
  EXPECT_EQ(Version::alive, 0);
}

TEST(Guarded, DataIsReachedUnderItsLockOnly) {
  Guarded<int> counter(0);
  auto add = [&] {
    for (int i = 0; i < 10000; ++i) counter.with([](int& value) { ++value; });
  };
  std::thread other(add);
  add();
  other.join();
  EXPECT_EQ(counter.with([](int& value) { return value; }), 20000);
}

TEST(Text, SizesReadAsPeopleWriteThem) {
  EXPECT_EQ(text_of(0_B), "0 bytes");
  EXPECT_EQ(text_of(1023_B), "1023 bytes");
  EXPECT_EQ(text_of(4_KiB), "4 KiB");
  EXPECT_EQ(text_of(1536_MiB), "1.5 GiB");
  EXPECT_EQ(text_of(Bytes{~uint64_t{0}}), "15.9 EiB");
}

}  // namespace
}  // namespace dmap
