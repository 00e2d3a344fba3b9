// SPDX-License-Identifier: Apache-2.0
//
// The open volume: names, inodes and files over the Store. Each family of operations has a .cc file of its own.
//
// Locks, outermost first: rename_, then inodes by ascending number (InodeLocks), then loading_, the caches' own and
// late_times_, then the Store's. No lock is held while waiting for a user's hold (pin, view).
#ifndef DMAP_VOLUME_CORE_H_
#define DMAP_VOLUME_CORE_H_

#include <array>
#include <atomic>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/guarded.h"
#include "dmap/frames.h"
#include "dmap/volume.h"
#include "frame/frame_table.h"
#include "frame/view_slots.h"
#include "volume/inode.h"
#include "volume/maintenance.h"
#include "volume/names.h"
#include "volume/store.h"

namespace dmap {

/// Where a path leads: the directory and name of its last component, and what is there, if anything.
struct Resolved {
  InodeNumber parent{};
  std::string name;  ///< empty if the path does not end in a directory entry ("", "/", "..")
  std::optional<Found> found;
  bool must_be_directory = false;  ///< the path ends in '/'
};

/// 1 to 255 bytes without '/' and NUL, and not "." or "..". Errors: invalid, name_too_long.
Result<void> check_name(std::string_view name);

/// A read section over file bytes is closed and opened again after so many, so that no copy holds up a grace period.
inline constexpr uint64_t kSectionBytes = 1 << 20;
/// Extents that one record removes; more go in steps.
inline constexpr size_t kExtentsAtOnce = 256;

/// A file offset's place within its frame.
constexpr uint64_t offset_in_frame(uint64_t offset) { return offset & (kFrameSize.value - 1); }

/// Where a segment ends, in bytes of the file; the last hole ends behind every offset.
inline uint64_t end_byte(const Segment& segment) {
  return segment.end() >= kFileFrames ? UINT64_MAX : segment.end() << kFrameShift;
}

/// What becomes of an object that loses a name: planned with the transaction, completed after the commit. One that dies
/// before that has had no effect.
struct NameLoss {
  NameLoss() = default;
  NameLoss(NameLoss&& other) noexcept
      : target(other.target), record(other.record), killed(std::exchange(other.killed, false)) {}
  NameLoss& operator=(NameLoss&&) = delete;
  ~NameLoss() {
    if (killed) target->refs.revive();
  }

  Inode* target = nullptr;
  InodeRecord record;
  bool killed = false;  ///< nobody else has it, or can get it: it goes with the name
};

class VolumeCore {
 public:
  static Result<std::unique_ptr<VolumeCore>> open(std::unique_ptr<Device> device, const OpenOptions& options,
                                                  const Host& host = {});
  /// The tree's first entries: the root directory.
  static std::vector<Store::Entry> first_entries();
  /// Closes if close() was not called.
  ~VolumeCore();
  Result<void> close();

  // paths.cc
  Result<Resolved> resolve(At at, Follow follow);
  Result<Found> find(At at, Follow follow);
  /// As find(), with the name that led there; `found` is set.
  Result<Resolved> find_name(At at, Follow follow);
  Result<Found> lookup(InodeNumber directory, std::string_view name);
  Result<InodeNumber> parent_of(InodeNumber directory);

  // inodes.cc
  Result<InodeRef> inode(InodeNumber number);
  Result<InodeRef> inode(At at, Follow follow);
  Stat stat(Inode& inode);
  Result<void> set_attributes(Inode& inode, const AttributeChanges& changes);
  void let_go(Inode& inode);

  // create.cc, unlink.cc, rename.cc
  static InodeRecord new_record(FileType type, const Ownership& ownership);
  Result<InodeRef> create(InodeNumber parent, std::string_view name, InodeRecord record, std::string_view target = {});
  Result<void> link(InodeNumber existing, InodeNumber parent, std::string_view name);
  Result<std::string> read_link(Inode& inode);
  enum class Removal : uint8_t { kFile, kDirectory };
  Result<void> unlink(At at, Removal removal);
  Result<void> rename(At from, At to, RenameMode mode);

  // directory.cc
  Result<std::vector<DirectoryEntry>> read_directory(InodeNumber directory, DirectoryCookie after, size_t entries_max);

  // xattr.cc
  Result<std::vector<std::byte>> get_xattr(Inode& inode, std::string_view name);
  Result<void> set_xattr(Inode& inode, std::string_view name, std::span<const std::byte> value, XattrMode mode);
  Result<void> remove_xattr(Inode& inode, std::string_view name);
  Result<std::vector<std::string>> list_xattrs(Inode& inode);

  // read.cc
  Result<Bytes> read(Inode& inode, std::span<std::byte> into, Offset offset);
  Result<View> view(Inode& inode, Offset offset, Bytes length);
  Result<Offset> seek(Inode& inode, Offset offset, SegmentKind wanted);
  Result<std::vector<File::Fragment>> fragments(Inode& inode, Offset offset, size_t extents_max);

  // write.cc, shape.cc
  Result<void> write(Inode& inode, std::span<const std::byte> from, Offset offset);
  Result<Offset> append(Inode& inode, std::span<const std::byte> from);
  Result<void> truncate(Inode& inode, Bytes size);
  Result<void> allocate(Inode& inode, Offset offset, Bytes length, KeepSize keep_size);
  Result<void> punch(Inode& inode, Offset offset, Bytes length);

  // pin.cc
  Result<Pin> pin(Inode& inode, Offset offset, Bytes length);

  // core.cc
  Result<void> sync();
  Result<void> checkpoint();
  [[nodiscard]] Usage usage() { return store_->usage(); }
  [[nodiscard]] FrameInfo frame_info() const;
  [[nodiscard]] Store& store() { return *store_; }
  [[nodiscard]] Frames& frames() { return *frames_; }
  [[nodiscard]] FrameTable& table() { return *table_; }
  Result<void> writable() const;

  Result<File> make_file(InodeRef inode, const FileOptions& options);
  void close_file(Inode* inode);

 private:
  class Holds;
  struct XattrPlace;
  enum class Filled : uint8_t { kNot, kWritten };

  explicit VolumeCore(const OpenOptions& options);
  bool round();
  void give_back_idle_descriptors();

  // paths.cc
  Result<Resolved> resolve_quietly(At at, Follow follow);
  Result<Found> lookup_locked(Inode& parent, std::string_view name) REQUIRES(parent.mutex);
  void remember_name(InodeNumber directory, std::string_view name, Found found);
  void forget_name(InodeNumber directory, std::string_view name);
  [[nodiscard]] Key dentry_key(InodeNumber directory, std::string_view name) const;

  // inodes.cc
  static Time now();
  Result<InodeRef> load_inode(InodeNumber number);
  /// Under the lock of loading_ for this number: nobody else puts it into the cache.
  InodeRef cache_inode(InodeNumber number, const InodeRecord& record);
  Mutex& loading(InodeNumber number) { return loading_[static_cast<uint64_t>(number) % loading_.size()]; }
  Result<void> ensure_loaded(Inode& inode);
  Result<void> load_extents(Inode& inode) REQUIRES(inode.mutex);
  static std::unique_ptr<InlineData> make_tiny(std::span<const std::byte> bytes);
  void note_access(Inode& inode);
  void note_open(Inode& inode);
  void set_accessed(Inode& inode, Time time);
  void touch(Inode& inode, Time time);
  void mark_times(Inode& inode);
  /// Puts late times into the tree. Goes on after a failure, and returns the first.
  Result<void> write_back_times();
  Result<void> write_back_times(InodeNumber number);
  /// The record with the newest times.
  static InodeRecord current(Inode& inode) REQUIRES(inode.mutex);
  static void show_record(Inode& inode, const InodeRecord& record) REQUIRES(inode.mutex);
  /// Commits `txn` with the inode's new record; `show` as for Store::commit().
  Result<void> commit_inode(
      Inode& inode, const InodeRecord& record, Transaction& txn, Purpose purpose = Purpose::kChange,
      std::span<Reservation> reservations = {}, FunctionRef<void()> show = [] {}) REQUIRES(inode.mutex);

  // read.cc
  /// Reads what one section covers, 0 at the end; nothing if the file changed its shape under a read of zeros.
  std::optional<uint64_t> read_section(Inode& inode, std::span<std::byte> into, uint64_t at);

  // directory.cc
  struct NameChange {
    Inode* directory;
    std::string_view name;
    std::optional<Found> found;  ///< empty: the name goes
  };
  /// Puts the changes of directory entries into `txn`. The directories' locks are held.
  Result<void> record_names(std::initializer_list<NameChange> changes, Transaction& txn);
  Result<bool> is_empty(Inode& directory);

  // create.cc, unlink.cc, rename.cc
  Result<void> may_add(Inode& parent, std::string_view name) REQUIRES(parent.mutex);
  /// Puts into `txn` the erasure of all keys of an object and the release of its frames; false, and nothing put, if
  /// they are too many for one record.
  Result<bool> record_removal(InodeNumber number, size_t extents_max, Transaction& txn);
  Result<NameLoss> plan_name_loss(Inode& target, Time time, Transaction& txn) REQUIRES(target.mutex);
  /// After the commit; the target's lock is still held.
  void complete_name_loss(NameLoss&& loss, InodeRef& ref);
  Result<bool> unlink_found(const Resolved& resolved, InodeRef& parent, InodeRef& target);
  Result<bool> is_inside(InodeNumber directory, InodeNumber ancestor);
  Result<void> may_rename(const Resolved& source, const Resolved& target, RenameMode mode);
  Result<bool> rename_found(const Resolved& source, const Resolved& target, RenameMode mode);
  Result<bool> is_still(Inode& directory, const Resolved& resolved) REQUIRES(directory.mutex);

  // xattr.cc
  Result<XattrPlace> find_xattr(const Inode& inode, std::string_view name);

  // write.cc
  /// Stores over bytes that are there, without the lock; false if some of them are not in frames yet.
  bool overwrite(Inode& inode, std::span<const std::byte> from, uint64_t offset);
  bool store_mapped(Inode& inode, std::span<const std::byte> from, uint64_t offset);
  void store(std::span<const std::byte> from, Pfn pfn, uint64_t within);
  Result<void> write_locked(Inode& inode, std::span<const std::byte> from, uint64_t offset) REQUIRES(inode.mutex);
  Result<void> write_tiny(Inode& inode, std::span<const std::byte> from, uint64_t offset) REQUIRES(inode.mutex);
  Result<void> replace_tiny(Inode& inode, std::unique_ptr<InlineData> bytes, Purpose purpose) REQUIRES(inode.mutex);
  Result<void> move_to_frames(Inode& inode) REQUIRES(inode.mutex);
  Result<Reservation> reserve_holes(Inode& inode, uint64_t first, uint64_t end, uint64_t announced_bytes)
      REQUIRES(inode.mutex);
  Result<void> write_frames(Inode& inode, std::span<const std::byte> from, uint64_t offset, Reservation& reservation)
      REQUIRES(inode.mutex);

  // shape.cc
  /// For a change of `inode`, whose lock is held.
  Result<Reservation> reserve(const Inode& inode, FrameCount frames, const SpaceHint& hint);
  /// Puts into `txn` what tells the tree of the change from `before` to `after` within file frames [first, end);
  /// returns how many extents that adds.
  static int64_t record_extents(Inode& inode, const ExtentVersion& before, const ExtentVersion& after, uint64_t first,
                                uint64_t end, Transaction& txn);
  static void map_holes(ExtentMap::Edit& edit, const ExtentVersion& before, uint64_t first, uint64_t end,
                        const Reservation& reservation, Filled filled);
  void zero_in_frame(const ExtentVersion& version, uint64_t frame, uint64_t from, uint64_t to);
  void zero_old_tail(Inode& inode, uint64_t up_to) REQUIRES(inode.mutex);
  void zero_edges(Inode& inode, uint64_t start, uint64_t end) REQUIRES(inode.mutex);
  Result<void> shrink(Inode& inode, uint64_t size) REQUIRES(inode.mutex);
  Result<void> grow(Inode& inode, uint64_t size) REQUIRES(inode.mutex);
  Result<void> allocate_step(Inode& inode, uint64_t first, uint64_t end, Reservation& reservation)
      REQUIRES(inode.mutex);
  Result<uint64_t> punch_step(Inode& inode, uint64_t first, uint64_t end) REQUIRES(inode.mutex);
  /// Turns what is allocated but unwritten in frames [first, end) of the file into written zeros.
  Result<void> make_written(Inode& inode, uint64_t first, uint64_t end) REQUIRES(inode.mutex);

  // reap.cc
  /// Puts into `txn` the erasure of an object's keys from `first` on, and the release of their frames, as far as one
  /// record takes them; true if there are more.
  Result<bool> record_dead_keys(Key first, Transaction& txn);
  Result<void> drain_dead(Inode& inode) REQUIRES(inode.mutex);
  Result<void> reap_inode(InodeRef ref);
  Result<void> reap(InodeNumber number);
  /// Reaps what is queued, but for `own`, whose lock the caller holds.
  void reap_dead(const Inode* own = nullptr);
  Result<void> adopt_orphans();

  const OpenOptions options_;
  std::unique_ptr<FrameTable> table_;
  std::unique_ptr<Holds> holds_;
  ViewSlots views_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Frames> frames_;
  std::span<const std::byte> zeros_;  ///< what holes look like in a view: a mapping of the kernel's zero page
  InodeCache inodes_;
  NameCache names_;
  Mutex rename_;
  Mutex reaping_;                  ///< never waited for with a lock that reaping waits for: it only tries inodes' locks
  std::array<Mutex, 64> loading_;  ///< by inode number: one thread at a time reads an inode from the tree
  Guarded<std::vector<InodeNumber>> late_times_;  ///< inodes whose times are newer than the tree's
  std::unique_ptr<Maintenance> maintenance_;
  std::atomic<uint64_t> open_files_ = 0;
  std::atomic<int64_t> last_barrier_ns_ = 0;  ///< the maintenance thread's alone
  bool closed_ = false;
};

}  // namespace dmap

#endif  // DMAP_VOLUME_CORE_H_
