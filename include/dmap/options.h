// SPDX-License-Identifier: Apache-2.0
//
// What can be chosen when a volume is formatted or opened, and when a file is. Every limit has a name and a default.
#ifndef DMAP_OPTIONS_H_
#define DMAP_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "dmap/types.h"

namespace dmap {

enum class Access : uint8_t { kReadOnly, kReadWrite };

/// When an operation that returned is safe from a power cut (rule J1 of docs/ARCHITECTURE.md).
/// kStrict: at POSIX's points (fsync, sync), and at once where the medium takes line flushes.
/// kRelaxed: only a background barrier and the end of the session; metadata stays consistent all the same.
enum class Durability : uint8_t { kStrict, kRelaxed };

struct FormatOptions {
  Bytes size{};     ///< of the volume; 0: as large as the device or file is
  Bytes journal{};  ///< 0: 1/64 of the volume, within [1 MiB, 64 MiB]
  Allocation allocation = Allocation::kReal;
  Overwrite overwrite = Overwrite::kNo;  ///< kNo: refuse (exists) where a volume or other content is found
  Progress progress{};                   ///< in bytes
};

struct OpenOptions {
  Access access = Access::kReadWrite;
  Durability durability = Durability::kStrict;
  Bytes descriptor_memory = 64_MiB;  ///< page descriptors (pins): reaching it is no_descriptors
  Bytes dirty_nodes = 64_MiB;        ///< changed tree nodes in RAM: reaching it forces a checkpoint
  Bytes inode_cache = 64_MiB;        ///< inodes, at 512 bytes each (extent maps beside that); open ones may exceed it
  Bytes name_cache = 32_MiB;         ///< directory entries
  uint32_t views_max = 1024;         ///< views held at one time: reaching it is too_many_views
};

/// The number of a file, directory or other object in its volume; never reused.
enum class InodeNumber : uint64_t {};
inline constexpr InodeNumber kRootInode{1};

enum class FileType : uint8_t { kRegular, kDirectory, kSymlink, kCharDevice, kBlockDevice, kFifo, kSocket };

/// Nanoseconds since 1970-01-01 00:00 UTC; 1678 to 2262.
struct Time {
  int64_t nanoseconds = 0;
  friend constexpr auto operator<=>(Time, Time) = default;
};

struct Stat {
  InodeNumber inode{};
  FileType type = FileType::kRegular;
  uint32_t permissions = 0;  ///< the low 12 bits of st_mode
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t links = 0;
  Bytes size{};
  Bytes allocated{};  ///< what its frames take; 0 for a file that lives in the tree
  uint64_t extents = 0;
  uint64_t device = 0;  ///< st_rdev of a character or block device
  Time accessed{}, modified{}, changed{}, born{};
};

/// What to change of an object's attributes; what is empty stays.
struct AttributeChanges {
  std::optional<uint32_t> permissions;
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  std::optional<Time> accessed;
  std::optional<Time> modified;
};

/// Who a new object belongs to, and its permission bits. No umask is applied.
struct Ownership {
  uint32_t permissions = 0644;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

enum class Create : uint8_t { kNever, kIfMissing, kExclusive };
enum class Truncate : uint8_t { kNo, kYes };
enum class Follow : uint8_t { kNo, kYes };

struct FileOptions {
  Access access = Access::kReadOnly;
  Create create = Create::kNever;
  Truncate truncate = Truncate::kNo;
  Follow follow = Follow::kYes;  ///< of a symbolic link at the path's end
  Ownership ownership{};         ///< of a file that is created
  Bytes expected_size{};         ///< announced size of a new file, so that it can be laid out in 2 MiB runs; 0: unknown
};

enum class RenameMode : uint8_t { kReplace, kNoReplace, kExchange };
enum class XattrMode : uint8_t { kAny, kCreate, kReplace };
enum class KeepSize : uint8_t { kNo, kYes };

/// A place in a directory's listing; stays good while entries come and go. kDirectoryStart begins.
enum class DirectoryCookie : uint64_t {};
inline constexpr DirectoryCookie kDirectoryStart{0};

struct DirectoryEntry {
  std::string name;
  InodeNumber inode{};
  FileType type = FileType::kRegular;
  DirectoryCookie cookie{};  ///< hand this to go on behind the entry
};

/// Room and numbers of a volume. Frames of every state add up to `total`.
struct Usage {
  Bytes total{};
  Bytes free{};         ///< can be given to files now
  Bytes owned{};        ///< by files
  Bytes metadata{};     ///< superblocks, journal, metadata zones
  Bytes quarantined{};  ///< freed, but still pinned, viewed, or within a grace period
  Bytes reserved{};     ///< by operations under way
  uint64_t inodes = 0;
};

}  // namespace dmap

#endif  // DMAP_OPTIONS_H_
