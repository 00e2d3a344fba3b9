// SPDX-License-Identifier: Apache-2.0
#include "extent/group_codec.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "base/bits.h"
#include "base/check.h"

namespace dmap {

namespace {

static_assert(std::endian::native == std::endian::little, "stored numbers are little-endian");

enum class Form : uint8_t { kFull = 1, kRuns = 2, kBitmap = 3 };

constexpr size_t kRunBytes = 4;
constexpr uint32_t kRunsMax = (kEncodedGroupBytesMax - 1) / kRunBytes - 1;  // one more is no smaller than the bitmap
static_assert(kRunsMax == 255);

std::unexpected<Error> corrupt(std::string_view what) { return fail(Code::kCorrupt, "decode", "free space", what); }

template <typename T>
T load(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

uint32_t runs_in(const GroupBits& bits) {
  uint32_t runs = 0;
  uint64_t last = 0;  // the bit before this word
  for (uint64_t word : bits) {
    runs += static_cast<uint32_t>(std::popcount(word & ~(word << 1 | last)));
    last = word >> 63;
  }
  return runs;
}

/// The first bit in [from, 8192) that is `value`, or 8192.
uint32_t find_bit(const GroupBits& bits, bool value, uint32_t from) {
  for (uint32_t at = from; at < kGroupFrames; at = (at / 64 + 1) * 64) {
    uint64_t found = (value ? bits[at / 64] : ~bits[at / 64]) & ~uint64_t{0} << (at % 64);
    if (found != 0) return at / 64 * 64 + static_cast<uint32_t>(std::countr_zero(found));
  }
  return kGroupFrames;
}

void set_bits(GroupBits& bits, uint32_t first, uint32_t end) {
  for (uint32_t at = first; at < end; at = (at / 64 + 1) * 64) {
    bits[at / 64] |= mask_of(at % 64, std::min(64U, end - at / 64 * 64));
  }
}

Result<GroupBits> decode_runs(std::span<const std::byte> runs) {
  if (runs.empty() || runs.size() % kRunBytes != 0 || runs.size() / kRunBytes > kRunsMax) {
    return corrupt("a run list of an impossible length");
  }
  GroupBits bits{};
  uint32_t behind_last = 0;
  for (size_t at = 0; at < runs.size(); at += kRunBytes) {
    const uint32_t first = load<uint16_t>(runs, at);
    const uint32_t count = load<uint16_t>(runs, at + 2);
    const bool touches_last = at > 0 && first <= behind_last;
    if (count == 0 || first + count > kGroupFrames || touches_last) return corrupt("a run out of order or bounds");
    behind_last = first + count;
    set_bits(bits, first, behind_last);
  }
  if (load<uint16_t>(runs, 2) == kGroupFrames) return corrupt("a full group in the form of a run");
  return bits;
}

Result<GroupBits> decode_bitmap(std::span<const std::byte> bytes) {
  GroupBits bits;
  if (bytes.size() != sizeof(bits)) return corrupt("a bitmap of the wrong size");
  std::memcpy(bits.data(), bytes.data(), sizeof(bits));
  if (runs_in(bits) <= kRunsMax) return corrupt("a bitmap of few runs");
  return bits;
}

Result<GroupBits> decode_form(std::span<const std::byte> bytes) {
  if (bytes.empty()) return corrupt("an empty value");
  switch (Form{static_cast<uint8_t>(bytes[0])}) {
    case Form::kFull: {
      if (bytes.size() != 1) return corrupt("bytes behind a full group");
      GroupBits bits;
      bits.fill(~uint64_t{0});
      return bits;
    }
    case Form::kRuns: return decode_runs(bytes.subspan(1));
    case Form::kBitmap: return decode_bitmap(bytes.subspan(1));
  }
  return corrupt("an unknown form");
}

}  // namespace

Result<EncodedGroup> EncodedGroup::copy_of(std::span<const std::byte> bytes) {
  if (bytes.empty() || bytes.size() > kEncodedGroupBytesMax) return corrupt("a value of an impossible size");
  EncodedGroup copy;
  std::memcpy(copy.bytes_.data(), bytes.data(), bytes.size());
  copy.size_ = bytes.size();
  return copy;
}

void EncodedGroup::append(uint64_t value, size_t width) {
  CHECK(size_ + width <= bytes_.size());
  std::memcpy(bytes_.data() + size_, &value, width);
  size_ += width;
}

std::optional<EncodedGroup> encode_group(const GroupBits& owned) {
  const uint32_t runs = runs_in(owned);
  if (runs == 0) return std::nullopt;
  EncodedGroup encoded;
  if (runs == 1 && find_bit(owned, false, 0) == kGroupFrames) {
    encoded.append(static_cast<uint8_t>(Form::kFull), 1);
  } else if (runs <= kRunsMax) {
    encoded.append(static_cast<uint8_t>(Form::kRuns), 1);
    for (uint32_t first = find_bit(owned, true, 0); first < kGroupFrames;) {
      const uint32_t end = find_bit(owned, false, first);
      encoded.append(first, 2);
      encoded.append(end - first, 2);
      first = find_bit(owned, true, end);
    }
  } else {
    encoded.append(static_cast<uint8_t>(Form::kBitmap), 1);
    for (uint64_t word : owned) encoded.append(word, 8);
  }
  return encoded;
}

Result<GroupBits> decode_group(std::span<const std::byte> bytes, uint32_t frames) {
  CHECK(frames > 0 && frames <= kGroupFrames);
  GroupBits bits = DMAP_TRY(decode_form(bytes));
  if (find_bit(bits, true, frames) != kGroupFrames) return corrupt("frames behind the end of the device");
  return bits;
}

}  // namespace dmap
