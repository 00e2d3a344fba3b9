// SPDX-License-Identifier: Apache-2.0
//
// The stored form of a group's owned frames: a small value of the metadata tree, keyed by the group's number.
//
//   no value      no frame is owned
//   01            all 8192 frames are owned
//   02 (u16 first, u16 count) x n     the runs of owned frames in ascending order, none touching the next; n in [1,
//   255] 03 (u64) x 128                    one bit per frame; only if there are more than 255 runs
//
// Numbers are little-endian. Each set of frames has exactly one form, and decode accepts only that one.
#ifndef DMAP_EXTENT_GROUP_CODEC_H_
#define DMAP_EXTENT_GROUP_CODEC_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dmap/result.h"

namespace dmap {

/// Frames of a group: 32 MiB.
inline constexpr uint32_t kGroupFrames = 8192;
inline constexpr size_t kEncodedGroupBytesMax = 1 + kGroupFrames / 8;

/// One bit per frame of a group, frame 0 in the lowest bit of word 0.
using GroupBits = std::array<uint64_t, kGroupFrames / 64>;

/// The bytes of one stored value, at most kEncodedGroupBytesMax.
class EncodedGroup {
 public:
  /// Errors: corrupt, when there are none or too many.
  [[nodiscard]] static Result<EncodedGroup> copy_of(std::span<const std::byte> bytes);

  [[nodiscard]] std::span<const std::byte> bytes() const { return {bytes_.data(), size_}; }

 private:
  friend std::optional<EncodedGroup> encode_group(const GroupBits& owned);
  void append(uint64_t value, size_t width);

  std::array<std::byte, kEncodedGroupBytesMax> bytes_;
  size_t size_ = 0;
};

/// Nothing if no frame is owned.
[[nodiscard]] std::optional<EncodedGroup> encode_group(const GroupBits& owned);

/// The owned frames of a group that has `frames` frames, [1, 8192]. Errors: corrupt, for anything that encode_group
/// does not write and for frames that the group does not have.
[[nodiscard]] Result<GroupBits> decode_group(std::span<const std::byte> bytes, uint32_t frames);

}  // namespace dmap

#endif  // DMAP_EXTENT_GROUP_CODEC_H_
