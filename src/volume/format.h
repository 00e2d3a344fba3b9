// SPDX-License-Identifier: Apache-2.0
//
// What lies at fixed places of a volume's home device, byte for byte: the superblock and the two root slots.
// docs/format.md describes them; encode and decode are the only code that knows.
//
//   frame 0      superblock: identity and geometry; written by format, then only when membership changes
//   frame 1, 2   root slots: the newest complete checkpoint, in two copies (rule J4)
//   frame 3      a second copy of the superblock
//   frame 8 ...  journal, then the first metadata zone, then data
#ifndef DMAP_VOLUME_FORMAT_H_
#define DMAP_VOLUME_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dmap/result.h"
#include "dmap/types.h"
#include "journal/record.h"
#include "tree/node_space.h"
#include "tree/tree.h"

namespace dmap {

using Uuid = std::array<uint8_t, 16>;

inline constexpr uint32_t kFormatVersion = 1;
inline constexpr uint64_t kSuperblockFrame = 0;
inline constexpr uint64_t kRootSlotFrames[2] = {1, 2};
inline constexpr uint64_t kSuperblockCopyFrame = 3;
inline constexpr uint64_t kJournalFrame = 8;
inline constexpr DeviceNumber kHomeDevice{0};
/// The smallest volume that format makes.
inline constexpr FrameCount kVolumeFramesMin{1024};

/// Identity and geometry: what does not change while the volume lives.
struct Superblock {
  Uuid uuid{};
  FrameCount frames;  ///< of the home device that the volume uses
  FrameCount journal_frames;
  uint64_t hash_seed = 0;  ///< of directory entries' hashes
  int64_t created_ns = 0;
  uint64_t features_compatible = 0;    ///< unknown ones: no matter
  uint64_t features_read_only = 0;     ///< unknown ones: may be read, not written
  uint64_t features_incompatible = 0;  ///< unknown ones: not to be opened

  /// Where files' frames and metadata zones can be: what follows the journal.
  [[nodiscard]] Extent data() const {
    uint64_t first = kJournalFrame + journal_frames.value;
    return {make_pfn(kHomeDevice, first), FrameCount{frames.value - first}};
  }

  /// Stored in every node, zone map and root slot, and the seed of the journal's checksums, so that a frame of another
  /// volume is never taken for ours.
  [[nodiscard]] uint64_t tag() const;
};

/// The newest complete checkpoint.
struct RootSlot {
  uint64_t generation = 0;
  Root tree;
  uint64_t maps_digest = 0;  ///< NodeSpace::maps_digest() of the metadata zones
  JournalPosition journal;
  uint64_t inode_next = 2;    ///< inode numbers below are taken or were
  uint64_t inodes = 0;        ///< that exist
  uint64_t owned_frames = 0;  ///< by files
  std::vector<Extent> zones;  ///< of metadata
};

/// Zones that a root slot has room for.
inline constexpr size_t kZonesMax = 240;

FrameBytes encode(const Superblock& superblock);
FrameBytes encode(const RootSlot& slot, uint64_t tag);

/// Errors: foreign (not dmap's, another version, unknown features), corrupt. `device_frames` bounds the geometry.
Result<Superblock> decode_superblock(std::span<const std::byte> frame, FrameCount device_frames,
                                     const std::string& name);
Result<RootSlot> decode_root_slot(std::span<const std::byte> frame, const Superblock& superblock);

std::string to_string(const Uuid& uuid);

}  // namespace dmap

#endif  // DMAP_VOLUME_FORMAT_H_
