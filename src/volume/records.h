// SPDX-License-Identifier: Apache-2.0
//
// What the tree's values say: inodes, extents, directory entries, extended attributes. Encoded and decoded here only;
// decoding is total and yields valid values or `corrupt`. docs/format.md describes the bytes.
#ifndef DMAP_VOLUME_RECORDS_H_
#define DMAP_VOLUME_RECORDS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dmap/options.h"
#include "dmap/result.h"
#include "dmap/types.h"
#include "extent/extent_map.h"
#include "tree/key.h"

namespace dmap {

/// The kinds of keys. An object's keys lie together, its inode first.
enum class Kind : uint8_t {
  kInode = 1,    ///< offset 0: InodeRecord
  kInline = 2,   ///< offset 0: the bytes of a tiny file
  kSymlink = 3,  ///< offset i: part i of the target
  kDentry = 4,   ///< offset: hash of the name; the entries whose names share it
  kXattr = 5,    ///< offset: hash of the name, then part
  kExtent = 6,   ///< offset: frame within the file; where a run of the file's frames is
  kSpace = 16,   ///< of object 0; offset: group; which frames of the group are owned
  kOrphan = 17,  ///< of object 0; offset: inode number; it has frames or keys that nobody can reach any more
};

/// Inode numbers stay below, so that each can be an offset in a key.
inline constexpr uint64_t kInodesEnd = uint64_t{1} << 56;
/// The object that the volume's own keys belong to.
inline constexpr InodeNumber kVolumeObject{0};

Key key_of(InodeNumber object, Kind kind, uint64_t offset = 0);
inline Kind record_kind(Key key) { return static_cast<Kind>(kind_of(key)); }
/// The keys of one kind of an object: [first, last].
inline Key first_key(InodeNumber object, Kind kind) { return key_of(object, kind, 0); }
inline Key last_key(InodeNumber object, Kind kind) { return key_of(object, kind, (uint64_t{1} << 56) - 1); }

/// All frames that file offsets can reach are below; `dead_from` has this value when nothing is dead.
inline constexpr uint64_t kNothingDead = kFileFrames;

struct InodeRecord {
  FileType type = FileType::kRegular;
  uint32_t permissions = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t links = 0;
  bool has_xattrs = false;
  bool is_inline = false;
  uint64_t size = 0;
  uint64_t frames = 0;   ///< that its extents have
  uint64_t extents = 0;  ///< how many keys of kind kExtent are alive
  Time accessed, modified, changed, born;
  uint64_t device = 0;                ///< st_rdev
  InodeNumber parent{};               ///< of a directory
  uint64_t dead_from = kNothingDead;  ///< extents from this frame of the file on are freed bit by bit (rule X5)
};

inline constexpr size_t kInodeSize = 96;
inline constexpr size_t kExtentSize = 16;
using InodeBytes = std::array<std::byte, kInodeSize>;
using ExtentBytes = std::array<std::byte, kExtentSize>;

InodeBytes encode(const InodeRecord& inode);
Result<InodeRecord> decode_inode(std::span<const std::byte> value, InodeNumber number);

/// The value of the key at `mapping.file_frame`.
ExtentBytes encode(const Mapping& mapping);
/// `data` is where files' frames can be, on the home device.
Result<Mapping> decode_extent(std::span<const std::byte> value, uint64_t file_frame, Extent data);

/// A directory entry among those whose names share a hash; `slot` tells them apart and never changes.
struct Dentry {
  InodeNumber inode{};
  FileType type = FileType::kRegular;
  uint8_t slot = 0;
  std::string_view name;  ///< into the bytes it was decoded from
};
inline constexpr uint8_t kDentrySlots = 127;

std::vector<std::byte> encode(std::span<const Dentry> chain);
Result<std::vector<Dentry>> decode_dentries(std::span<const std::byte> value);

/// 1 to 255 bytes without '/' and NUL, and not "." or "..".
bool is_name(std::string_view name);

/// 56 bits of a seeded hash of a name.
uint64_t hash_of(std::string_view name, uint64_t seed);

/// A cookie names the place right behind an entry.
DirectoryCookie cookie_behind(uint64_t hash, uint8_t slot);
struct DirectoryPlace {
  uint64_t hash;
  uint8_t slot;  ///< the first slot to look at
};
DirectoryPlace place_of(DirectoryCookie cookie);

/// Long values are cut into parts of this size.
inline constexpr size_t kPartSize = 1024;
/// An attribute's parts lie at offset (hash with its low 8 bits clear) + part; the first begins with this and the name.
struct XattrHead {
  uint32_t value_size;
  uint32_t name_size;
};
inline constexpr size_t kXattrValueMax = 64 << 10;
inline constexpr unsigned kXattrParts = 256;

}  // namespace dmap

#endif  // DMAP_VOLUME_RECORDS_H_
