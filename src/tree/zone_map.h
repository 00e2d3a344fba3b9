// SPDX-License-Identifier: Apache-2.0
//
// The map of a metadata zone: one frame that says which frames of the zone the tree of one checkpoint uses.
// Little-endian; offsets are in bytes from the frame's start.
//
//      0  u32  crc         CRC-32C of bytes [4, 4096)
//      4  u32  magic       "DMZM"
//      8  u64  volume      the volume's tag
//     16  u64  first       the zone's first pfn
//     24  u64  count       its frames, 64..32256
//     32  u64  generation  of the checkpoint that wrote this map
//     40  24 bytes of zeros
//     64  4032 bytes       bit i % 8 of byte i / 8: frame first + i is used; bits from count on are 0
//
// A zone's first two frames are the two places of its map (their own bits are set), written alternately: a checkpoint
// that is cut leaves the map of the one before. The map of checkpoint g is the valid one with the highest generation
// that is not above g.
#ifndef DMAP_TREE_ZONE_MAP_H_
#define DMAP_TREE_ZONE_MAP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

inline constexpr uint64_t kZoneFramesMin = 64;
inline constexpr uint64_t kZoneFramesMax = 32256;
inline constexpr uint64_t kZoneMapFrames = 2;
inline constexpr size_t kZoneWords = kZoneFramesMax / 64;

/// A bit per frame of a zone.
using ZoneBits = std::array<uint64_t, kZoneWords>;
/// A frame's bytes on their way to a device.
using FrameBytes = std::array<std::byte, kFrameSize.value>;

struct ZoneMap {
  Extent zone;
  uint64_t generation = 0;
  ZoneBits used{};
};

/// Zones are of 64 to 32256 frames and end on their device.
bool is_zone(Extent extent);

void encode_zone_map(const ZoneMap& map, uint64_t volume, std::span<std::byte, kFrameSize.value> frame);

/// Errors: kCorrupt, whatever is wrong; the detail says what. Reads within the frame only.
Result<ZoneMap> decode_zone_map(std::span<const std::byte, kFrameSize.value> frame, uint64_t volume, Extent zone);

}  // namespace dmap

#endif  // DMAP_TREE_ZONE_MAP_H_
