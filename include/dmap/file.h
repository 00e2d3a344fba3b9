// SPDX-License-Identifier: Apache-2.0
//
// An open file: read, write, look at it in place, pin it for a device.
#ifndef DMAP_FILE_H_
#define DMAP_FILE_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dmap/options.h"
#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

class VolumeCore;
class Inode;

/// A short, zero-copy look at a file's bytes: spans straight into the frames, in file order. While it lives its frames
/// keep their bytes for it: truncate and unlink do not wait, they put the frames in quarantine. Writes into the same
/// range of the file show through. A hole reads as zeros; a tiny file (see File::kInlineMax) is a private copy.
/// Move-only. Must not outlive its Volume. Counts against OpenOptions::views_max, one per span of frames.
class View {
 public:
  View();
  View(View&&) noexcept;
  View& operator=(View&&) noexcept;
  ~View();

  [[nodiscard]] std::span<const std::span<const std::byte>> pieces() const;
  [[nodiscard]] Bytes size() const;

 private:
  friend class VolumeCore;
  struct State;
  explicit View(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A part of a pinned range: `length` bytes from byte `offset` of the device, and their address if the CPU maps it.
struct Piece {
  DeviceNumber device{};
  Bytes offset;
  Bytes length;
  std::byte* address = nullptr;
};

/// A long hold on a range of a file, so that a device may access its frames: each of them has a page descriptor, and
/// none of them is given to another file before the Pin is gone, whatever happens to this one.
/// After pin_user_pages(FOLL_LONGTERM), which Linux refuses on fs-DAX. Move-only. Must not outlive its Volume.
class Pin {
 public:
  Pin();
  Pin(Pin&&) noexcept;
  Pin& operator=(Pin&&) noexcept;
  ~Pin();

  /// The range in file order. Holes have no frames: pinning a hole is an error, see File::pin().
  [[nodiscard]] std::span<const Piece> pieces() const;
  [[nodiscard]] Bytes size() const;

 private:
  friend class VolumeCore;
  struct State;
  explicit Pin(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// An open regular file. Move-only; closing is destruction. Must not outlive its Volume.
/// Any thread may call anything at any time. Reads and writes of one range at the same moment are not ordered with each
/// other (as with memory), but sizes, extents and appends are. Aligned 8-byte words of a file stay whole even then,
/// where the buffer read into is aligned as the offset is. Durability: rule J1. Where the medium takes line flushes,
/// what returned is safe from a power cut; on sync media (ordinary files) sync() is the point; on tmpfs and memory
/// nothing outlives the machine, a killed process loses nothing.
class File {
 public:
  /// Files up to this size live in the metadata tree and take no frame.
  static constexpr Bytes kInlineMax{512};
  /// Offsets and sizes stay below this.
  static constexpr Bytes kSizeMax{(uint64_t{1} << 63) - 1};

  File(File&&) noexcept;
  File& operator=(File&&) noexcept;
  ~File();

  [[nodiscard]] InodeNumber inode() const;
  /// The size now. Never blocks.
  [[nodiscard]] Bytes size() const;
  [[nodiscard]] Result<Stat> stat() const;

  /// Copies up to `into.size()` bytes at `offset`; returns how many (short only at the end of the file). Takes no lock
  /// and no descriptor. Access times follow relatime. Errors: io, corrupt.
  [[nodiscard]] Result<Bytes> read_at(std::span<std::byte> into, Offset offset) const;

  /// Writes all of `from` at `offset`, extending the file if needed. Errors: access, read_only, no_space (nothing was
  /// extended), file_too_big, io. A plain overwrite may tear at 8-byte words in a power cut, nothing else can;
  /// a write of more than 16 MiB is several records, so that a cut may leave a prefix of it.
  [[nodiscard]] Result<void> write_at(std::span<const std::byte> from, Offset offset);

  /// Writes all of `from` at the end, in one step with respect to other appends; returns where it went.
  [[nodiscard]] Result<Offset> append(std::span<const std::byte> from);

  /// Sets the size. Shrinking returns at once, whoever still holds the frames; growing leaves a hole.
  [[nodiscard]] Result<void> truncate(Bytes size);

  /// Gives [offset, offset + length) frames now, so that writing there cannot fail for want of space. Reads as zeros.
  [[nodiscard]] Result<void> allocate(Offset offset, Bytes length, KeepSize keep_size = KeepSize::kNo);

  /// Makes [offset, offset + length) a hole: reads as zeros, whole frames go back. The size stays.
  [[nodiscard]] Result<void> punch(Offset offset, Bytes length);

  /// The first byte at or behind `offset` that is data, or in a hole (the end of the file counts as one).
  /// Errors: out_of_range at or behind the end, or no data there.
  [[nodiscard]] Result<Offset> seek_data(Offset offset) const;
  [[nodiscard]] Result<Offset> seek_hole(Offset offset) const;

  /// A zero-copy look at [offset, offset + length), cut at the end of the file. Errors: too_many_views, io, corrupt.
  /// Blocks only where metadata has to be read. Cheap enough to take for one read.
  [[nodiscard]] Result<View> view(Offset offset, Bytes length) const;

  /// Pins [offset, offset + length), which must lie within the file and have no holes (allocate() fills them).
  /// A pin for writing needs a file open for writing. Errors: invalid, out_of_range, no_descriptors, access, io.
  /// Blocks only to expose descriptors. Truncate and unlink never wait for a pin.
  [[nodiscard]] Result<Pin> pin(Offset offset, Bytes length, Access access = Access::kReadOnly) const;

  /// Where the file lies: its extents in file order, at most `extents_max` from `offset` on.
  struct Fragment {
    Offset offset;
    Extent extent;
    bool written;  ///< false: allocated, reads as zeros
  };
  [[nodiscard]] Result<std::vector<Fragment>> extents(Offset offset, size_t extents_max) const;

  /// Everything this file's calls did before is safe from a power cut on return (as far as the medium can).
  [[nodiscard]] Result<void> sync();

 private:
  friend class VolumeCore;
  File(VolumeCore* core, Inode* inode, Access access);
  VolumeCore* core_ = nullptr;
  Inode* inode_ = nullptr;
  Access access_ = Access::kReadOnly;
};

}  // namespace dmap

#endif  // DMAP_FILE_H_
