// SPDX-License-Identifier: Apache-2.0
//
// A file, directory or other object in RAM: what its key in the tree says, its extent map, its lock.
#ifndef DMAP_VOLUME_INODE_H_
#define DMAP_VOLUME_INODE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>

#include "base/guarded.h"
#include "base/rcu.h"
#include "base/rcu_cache.h"
#include "dmap/file.h"
#include "extent/extent_map.h"
#include "volume/records.h"

namespace dmap {

class VolumeCore;

/// The bytes of a tiny file. Never changes once published.
struct InlineData : RcuHead {
  uint32_t size = 0;
  std::array<std::byte, File::kInlineMax.value> bytes;

  [[nodiscard]] std::span<const std::byte> span() const { return {bytes.data(), size}; }
};

/// Changes are made under `mutex`, committed, and only then shown here. Readers of a file's bytes take no lock: they
/// load `size`, then `tiny`, then the extent map, in that order (see read.cc for why).
class Inode : public RcuHead, public RcuCacheLink<Inode> {
 public:
  /// With one reference counted, for its maker.
  Inode(VolumeCore& owner, InodeNumber inode_number, const InodeRecord& found);
  ~Inode();

  VolumeCore& core;
  const InodeNumber number;
  const FileType type;
  RefCount refs;

  Mutex mutex;
  /// As committed; the times may be older than the ones below.
  InodeRecord record GUARDED_BY(mutex);

  /// record.size, for readers. Stored with release after what it makes reachable.
  std::atomic<uint64_t> size;
  /// The bytes of a tiny file, or null.
  std::atomic<InlineData*> tiny = nullptr;
  /// Whether `extents` and `tiny` hold what the tree says. Stored with release after them; pairs with the acquire in
  /// VolumeCore::ensure_loaded().
  std::atomic<bool> loaded = false;
  ExtentMap extents;

  /// Times that readers and in-place writers set without the lock; they reach the tree lazily. Relaxed: order nothing.
  std::atomic<int64_t> accessed_ns;
  std::atomic<int64_t> modified_ns;
  std::atomic<int64_t> changed_ns;
  std::atomic<bool> times_dirty = false;
  /// What the file's maker announced, for its layout; 0: nothing. Relaxed: a hint.
  std::atomic<uint64_t> expected_size = 0;
  /// No name is left; the last user lets it be reaped. Relaxed: set under the mutex by one who holds a reference.
  std::atomic<bool> nameless = false;

  /// Publishes new bytes for a tiny file (null for none) and retires the old ones.
  void show_tiny(std::unique_ptr<InlineData> bytes);

  [[nodiscard]] bool is_directory() const { return type == FileType::kDirectory; }
  /// The cache asks: nobody holds it, and nothing in it is newer than the tree.
  [[nodiscard]] bool try_evict();
};

struct InodeTraits {
  using Key = InodeNumber;
  static uint64_t hash(InodeNumber number) { return static_cast<uint64_t>(number) * 0x9e3779b97f4a7c15U >> 20; }
  static InodeNumber key(const Inode& inode) { return inode.number; }
  static bool matches(const Inode& inode, InodeNumber number) { return inode.number == number; }
};
using InodeCache = RcuCache<Inode, InodeTraits>;

/// A counted reference to an Inode that the cache keeps. Letting go never blocks: what has to be reaped is queued.
class InodeRef {
 public:
  InodeRef() = default;
  /// Takes over one reference that was counted.
  explicit InodeRef(Inode* inode) : inode_(inode) {}
  InodeRef(InodeRef&& other) noexcept : inode_(other.release()) {}
  InodeRef& operator=(InodeRef&& other) noexcept {
    std::swap(inode_, other.inode_);
    return *this;
  }
  ~InodeRef() {
    if (inode_ != nullptr) let_go(*inode_);
  }

  [[nodiscard]] Inode* get() const { return inode_; }
  Inode* operator->() const { return inode_; }
  Inode& operator*() const { return *inode_; }
  explicit operator bool() const { return inode_ != nullptr; }
  Inode* release() { return std::exchange(inode_, nullptr); }

 private:
  static void let_go(Inode& inode);
  Inode* inode_ = nullptr;
};

/// Holds the locks of several inodes, taken in ascending order of their numbers; null and repeated ones are left out.
class InodeLocks {
 public:
  InodeLocks(std::initializer_list<Inode*> inodes);
  ~InodeLocks();
  InodeLocks(const InodeLocks&) = delete;
  InodeLocks& operator=(const InodeLocks&) = delete;

 private:
  std::array<Inode*, 4> inodes_{};
};

}  // namespace dmap

#endif  // DMAP_VOLUME_INODE_H_
