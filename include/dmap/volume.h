// SPDX-License-Identifier: Apache-2.0
//
// A volume: files on frames. Start here.
//
//   auto volume = DMAP_TRY(dmap::Volume::open("/mnt/pmem/weights.dmap"));
//   auto file   = DMAP_TRY(volume.open_file("/models/a.safetensors"));
//   auto header = DMAP_TRY(file.view(0, 4_KiB));     // spans in place: no copy, no lock, no descriptor
#ifndef DMAP_VOLUME_H_
#define DMAP_VOLUME_H_

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dmap/file.h"
#include "dmap/options.h"
#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

class Frames;

/// What a path starts from: a directory's inode and a path below it, as in POSIX's openat() family. An absolute or a
/// relative path both start at `directory`, which is the root unless said otherwise; an empty path is that object
/// itself. Does not own the path: use it in the call only.
struct At {
  InodeNumber directory = kRootInode;
  std::string_view path;

  At(InodeNumber start, std::string_view below = {}) : directory(start), path(below) {}  // NOLINT
  template <std::convertible_to<std::string_view> Path>
  At(const Path& below) : path(below) {}  // NOLINT(google-explicit-constructor)
};

/// What was found about the medium below a volume, for people and for programs.
struct MediumInfo {
  std::string name;     ///< path or label of the device
  std::string medium;   ///< "file on ext4", "file on tmpfs", "device DAX", ...
  std::string promise;  ///< what survives a killed process, a power cut, a reboot, and from which point on
  bool durable = false;
  Bytes page_size;  ///< of the mapping
};

/// Numbers of the frame table (descriptors) of an open volume.
struct FrameInfo {
  uint64_t exposed_frames = 0;  ///< frames that have a descriptor now
  uint64_t large_descriptors = 0;
  Bytes descriptor_memory;   ///< in use now
  Bytes descriptor_granted;  ///< populated for descriptors, in use or idle
  Bytes descriptor_budget;
};

/// How the last open went.
struct OpenInfo {
  uint64_t records_replayed = 0;  ///< 0 after a clean close
  uint64_t checkpoints = 0;       ///< completed since this open
  Bytes journal_size;
  Bytes journal_used;
};

/// An open volume. Move-only; any thread may call anything at any time. One process may have it open for writing, or
/// any number for reading. Files, views and pins must not outlive it. Every path call can fail with: not_found,
/// not_a_directory, symlink_loop, name_too_long, io, corrupt; every change with: read_only, no_space. A change that
/// fails has changed nothing.
class Volume {
 public:
  /// Names are 1 to 255 bytes without '/' and NUL; paths up to 4095 bytes.
  static constexpr size_t kNameMax = 255;
  static constexpr size_t kPathMax = 4095;

  /// Makes an empty volume at `path`: a file (made if missing), or a device DAX node. Allocates all of its blocks
  /// unless told otherwise. Errors: exists, no_space, invalid (too small), busy (open somewhere), io, access.
  [[nodiscard]] static Result<void> format(const std::string& path, const FormatOptions& options);

  /// Opens the volume at `path` and replays its journal. Errors: not_found, foreign, corrupt, busy (names the holder),
  /// io.
  [[nodiscard]] static Result<Volume> open(const std::string& path, const OpenOptions& options = {});

  /// A new volume in RAM that vanishes with this object. For tests, caches and trials.
  [[nodiscard]] static Result<Volume> in_memory(Bytes size, const OpenOptions& options = {});

  Volume(Volume&&) noexcept;
  Volume& operator=(Volume&&) noexcept;
  /// Closes as close() does, without a way to say what failed.
  ~Volume();

  /// Writes a checkpoint and gives the device up, whatever the result. Nothing opened through this volume may be alive
  /// (CHECK), and nothing but destruction and assignment may follow.
  [[nodiscard]] Result<void> close();

  // Files. `Follow` is about a symbolic link at the end of the path.
  [[nodiscard]] Result<File> open_file(At at, const FileOptions& options = {});
  [[nodiscard]] Result<InodeNumber> lookup(At at, Follow follow = Follow::kYes) const;
  [[nodiscard]] Result<Stat> stat(At at, Follow follow = Follow::kYes) const;
  [[nodiscard]] Result<void> set_attributes(At at, const AttributeChanges& changes, Follow follow = Follow::kYes);

  // Names.
  [[nodiscard]] Result<InodeNumber> make_directory(At at, Ownership ownership = {.permissions = 0755});
  [[nodiscard]] Result<InodeNumber> make_symlink(std::string_view target, At at,
                                                 Ownership ownership = {.permissions = 0777});
  /// A device, fifo or socket node: kept, never acted on. `device` is its st_rdev.
  [[nodiscard]] Result<InodeNumber> make_node(At at, FileType type, uint64_t device, Ownership ownership = {});
  /// Removes a name; the object goes with its last name and last open File. Errors: is_a_directory.
  [[nodiscard]] Result<void> unlink(At at);
  /// Errors: not_empty, not_a_directory, invalid (the root).
  [[nodiscard]] Result<void> remove_directory(At at);
  /// A second name. Errors: exists, is_a_directory, too_many_links.
  [[nodiscard]] Result<void> link(At existing, At name, Follow follow = Follow::kNo);
  /// In one step, for crashes too. Errors: exists (kNoReplace), not_empty, is_a_directory, not_a_directory, invalid (a
  /// directory into itself).
  [[nodiscard]] Result<void> rename(At from, At to, RenameMode mode = RenameMode::kReplace);
  [[nodiscard]] Result<std::string> read_link(At at) const;

  /// Up to `entries_max` entries behind `after`, without "." and ".."; fewer than that many means the end. Entries that
  /// are there throughout a listing are seen exactly once.
  [[nodiscard]] Result<std::vector<DirectoryEntry>> read_directory(At at, DirectoryCookie after = kDirectoryStart,
                                                                   size_t entries_max = 1024) const;
  /// The directory that a directory lies in; the root is its own.
  [[nodiscard]] Result<InodeNumber> parent(InodeNumber directory) const;

  // Extended attributes: names of 1 to 255 bytes, values up to 64 KiB. Errors: no_data, exists, too_big.
  [[nodiscard]] Result<std::vector<std::byte>> get_xattr(At at, std::string_view name,
                                                         Follow follow = Follow::kYes) const;
  [[nodiscard]] Result<void> set_xattr(At at, std::string_view name, std::span<const std::byte> value,
                                       XattrMode mode = XattrMode::kAny, Follow follow = Follow::kYes);
  [[nodiscard]] Result<void> remove_xattr(At at, std::string_view name, Follow follow = Follow::kYes);
  [[nodiscard]] Result<std::vector<std::string>> list_xattrs(At at, Follow follow = Follow::kYes) const;

  /// Everything done before is safe from a power cut on return, as far as the medium can.
  [[nodiscard]] Result<void> sync();
  /// Writes the tree's changes to the device and empties the journal. Happens by itself; for tests and tools.
  [[nodiscard]] Result<void> checkpoint();

  [[nodiscard]] Usage usage() const;
  [[nodiscard]] MediumInfo medium() const;
  [[nodiscard]] FrameInfo frame_info() const;
  [[nodiscard]] OpenInfo open_info() const;
  /// The volume's number and label on the medium, as 32 hexadecimal digits.
  [[nodiscard]] std::string uuid() const;
  [[nodiscard]] Access access() const;

  /// The frame table, for layers that bring frames of their own (see dmap/frames.h).
  [[nodiscard]] Frames& frames();

 private:
  explicit Volume(std::unique_ptr<VolumeCore> core);
  std::unique_ptr<VolumeCore> core_;
};

}  // namespace dmap

#endif  // DMAP_VOLUME_H_
