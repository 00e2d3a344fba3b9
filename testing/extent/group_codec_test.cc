// SPDX-License-Identifier: Apache-2.0
#include "extent/group_codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace dmap {
namespace {

std::vector<std::byte> bytes_of(const EncodedGroup& encoded) {
  return {encoded.bytes().begin(), encoded.bytes().end()};
}

/// `runs` runs of one frame, with one frame between.
GroupBits comb(uint32_t runs) {
  GroupBits bits{};
  for (uint32_t run = 0; run < runs; ++run) bits[run * 2 / 64] |= uint64_t{1} << (run * 2 % 64);
  return bits;
}

GroupBits random_bits(std::mt19937_64& random) {
  GroupBits bits{};
  const uint64_t length_max = uint64_t{1} << (1 + random() % 12);
  for (uint64_t at = 0; at < kGroupFrames;) {
    const uint64_t end = std::min<uint64_t>(kGroupFrames, at + 1 + random() % length_max);
    const bool owned = random() % 2 == 0;
    for (; at < end; ++at) bits[at / 64] |= uint64_t{owned} << (at % 64);
  }
  return bits;
}

TEST(GroupCodec, AFreeGroupHasNoValue) { EXPECT_FALSE(encode_group(GroupBits{}).has_value()); }

TEST(GroupCodec, AFullGroupIsOneByte) {
  GroupBits full;
  full.fill(~uint64_t{0});
  auto encoded = encode_group(full);
  ASSERT_TRUE(encoded.has_value());
  EXPECT_EQ(encoded->bytes().size(), 1U);
  EXPECT_EQ(decode_group(encoded->bytes(), kGroupFrames).value(), full);
}

TEST(GroupCodec, RunsGiveWayToABitmapWhereThatIsSmaller) {
  EXPECT_EQ(encode_group(comb(1))->bytes().size(), 5U);
  EXPECT_EQ(encode_group(comb(255))->bytes().size(), 1021U);
  EXPECT_EQ(encode_group(comb(256))->bytes().size(), 1025U);
  EXPECT_EQ(encode_group(comb(4096))->bytes().size(), 1025U);
}

TEST(GroupCodec, EverySetOfFramesComesBack) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 2000; ++round) {
    const GroupBits bits = random_bits(random);
    auto encoded = encode_group(bits);
    if (!encoded) {
      EXPECT_EQ(bits, GroupBits{});
      continue;
    }
    auto decoded = decode_group(encoded->bytes(), kGroupFrames);
    ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
    EXPECT_EQ(*decoded, bits);
    EXPECT_EQ(bytes_of(EncodedGroup::copy_of(encoded->bytes()).value()), bytes_of(*encoded));
  }
}

/// Damaged bytes are corrupt, or are the one form of another set of frames.
void expect_sound(std::span<const std::byte> bytes) {
  auto decoded = decode_group(bytes, kGroupFrames);
  if (!decoded) {
    EXPECT_EQ(decoded.error().code(), Code::kCorrupt);
    return;
  }
  auto again = encode_group(*decoded);
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(std::ranges::equal(again->bytes(), bytes));
}

TEST(GroupCodec, EveryDamagedByteIsCorruptOrAnotherMap) {
  std::mt19937_64 random(7);
  GroupBits full;
  full.fill(~uint64_t{0});
  for (const GroupBits& bits : {full, comb(1), comb(40), comb(255), comb(256), random_bits(random)}) {
    auto bytes = bytes_of(*encode_group(bits));
    for (size_t at = 0; at < bytes.size(); ++at) {
      const std::byte kept = bytes[at];
      for (int value = 0; value < 256; value += at < 9 ? 1 : 17) {
        bytes[at] = std::byte(value);
        expect_sound(bytes);
      }
      bytes[at] = kept;
    }
  }
}

TEST(GroupCodec, EveryShortenedValueIsCorruptOrAnotherMap) {
  for (uint32_t runs : {1U, 40U, 255U, 256U}) {
    auto bytes = bytes_of(*encode_group(comb(runs)));
    for (size_t size = 0; size < bytes.size(); ++size) expect_sound(std::span(bytes).first(size));
  }
}

TEST(GroupCodec, RandomBytesNeverCrash) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bytes(random() % 64);
    for (std::byte& byte : bytes) byte = std::byte(random() % (round % 2 == 0 ? 256 : 8));
    expect_sound(bytes);
  }
}

TEST(GroupCodec, FramesBehindTheDevicesEndAreCorrupt) {
  auto encoded = encode_group(comb(10));  // the last owned frame is 18
  EXPECT_TRUE(decode_group(encoded->bytes(), 19).has_value());
  EXPECT_FALSE(decode_group(encoded->bytes(), 18).has_value());
  EXPECT_FALSE(decode_group(std::array{std::byte{1}}, kGroupFrames - 1).has_value());
}

TEST(GroupCodec, AValueTooLongToBeOneIsRefused) {
  std::vector<std::byte> bytes(kEncodedGroupBytesMax + 1);
  EXPECT_FALSE(EncodedGroup::copy_of(bytes).has_value());
  EXPECT_FALSE(EncodedGroup::copy_of({}).has_value());
}

}  // namespace
}  // namespace dmap
