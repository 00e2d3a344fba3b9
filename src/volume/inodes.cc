// SPDX-License-Identifier: Apache-2.0
//
// Inodes: finding, loading and changing them.
#include <ctime>
#include <thread>

#include "base/check.h"
#include "volume/core.h"

namespace dmap {
namespace {

constexpr int64_t kDay_ns = int64_t{24} * 3600 * 1'000'000'000;

void raise(std::atomic<int64_t>& time, Time to) {
  int64_t now = time.load(std::memory_order_relaxed);
  while (now < to.nanoseconds && !time.compare_exchange_weak(now, to.nanoseconds, std::memory_order_relaxed)) {
  }
}

}  // namespace

Time VolumeCore::now() {
  timespec time{};
  // The coarse clock, as kernels take for file times: a tick of a few milliseconds, at the cost of a load.
  clock_gettime(CLOCK_REALTIME_COARSE, &time);
  return {int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec};
}

Result<InodeRef> VolumeCore::inode(InodeNumber number) {
  for (;;) {
    {
      RcuReadSection section;
      Inode* found = inodes_.find(number);
      if (found == nullptr) break;
      if (found->refs.try_ref()) return InodeRef(found);
    }
    // It is being evicted or deleted, and gone from the cache in a moment.
    std::this_thread::yield();
  }
  return load_inode(number);
}

Result<InodeRef> VolumeCore::load_inode(InodeNumber number) {
  // One thread at a time, so that what is put into the cache is what the tree says at that moment: an inode changes
  // only while it is in the cache.
  MutexLock lock(loading(number));
  for (;;) {
    {
      RcuReadSection section;
      Inode* found = inodes_.find(number);
      if (found == nullptr) break;
      if (found->refs.try_ref()) return InodeRef(found);
    }
    std::this_thread::yield();
  }
  InodeRecord record = DMAP_TRY(store_->read([&](const Tree& tree) -> Result<InodeRecord> {
    auto value = DMAP_TRY(tree.find(key_of(number, Kind::kInode)));
    if (!value) return fail(Code::kNotFound, "find", "inode " + std::to_string(static_cast<uint64_t>(number)));
    return decode_inode(*value, number);
  }));
  return cache_inode(number, record);
}

InodeRef VolumeCore::cache_inode(InodeNumber number, const InodeRecord& record) {
  auto made = std::make_unique<Inode>(*this, number, record);
  made->nameless.store(record.links == 0, std::memory_order_relaxed);
  bool has_bytes = record.type == FileType::kRegular && (record.is_inline || record.extents > 0);
  made->loaded.store(!has_bytes, std::memory_order_relaxed);
  Inode* mine = made.get();
  RcuReadSection section;
  Inode* cached = inodes_.insert(std::move(made));
  CHECK(cached == mine);
  return InodeRef(cached);
}

Result<InodeRef> VolumeCore::inode(At at, Follow follow) {
  if (at.path.empty()) return inode(at.directory);
  for (;;) {
    Resolved resolved = DMAP_TRY(find_name(at, follow));
    auto found = inode(resolved.found->inode);
    bool replaced = !found && found.error().code() == Code::kNotFound && !resolved.name.empty();
    if (!replaced) return found;
    // The name led to an object that another took the place of since: it leads to that one now, or to nothing.
  }
}

void VolumeCore::let_go(Inode& inode) {
  // Inside a section: once the count is zero the object may go. The name is asked for after that: who took it away may
  // have let go between, and left the reaping to us. relaxed: unref() has acquired what the others did
  RcuReadSection section;
  if (inode.refs.unref() && inode.nameless.load(std::memory_order_relaxed)) maintenance_->reap_later(inode.number);
}

Result<void> VolumeCore::ensure_loaded(Inode& inode) {
  // acquire: the map and the bytes; pairs with the release in load_extents()
  if (inode.loaded.load(std::memory_order_acquire)) return {};
  MutexLock lock(inode.mutex);
  return load_extents(inode);
}

Result<void> VolumeCore::load_extents(Inode& inode) {
  if (inode.loaded.load(std::memory_order_acquire)) return {};  // acquire: as in ensure_loaded()
  if (inode.record.is_inline) {
    DMAP_TRY(store_->read([&](const Tree& tree) -> Result<void> {
      inode.mutex.assert_held();
      auto value = DMAP_TRY(tree.find(key_of(inode.number, Kind::kInline)));
      if (!value || value->size() != inode.record.size || value->size() > File::kInlineMax.value) {
        return fail(Code::kCorrupt, "read", "tiny file", "its bytes are missing or have another size");
      }
      inode.show_tiny(make_tiny(*value));
      return {};
    }));
  } else {
    ExtentMap::Builder builder;
    uint64_t count = 0;
    DMAP_TRY(store_->read([&](const Tree& tree) -> Result<void> {
      inode.mutex.assert_held();
      Cursor cursor(tree);
      DMAP_TRY(cursor.seek_ge(first_key(inode.number, Kind::kExtent)));
      while (cursor.is_on_entry() && cursor.key() <= last_key(inode.number, Kind::kExtent)) {
        uint64_t frame = offset_of(cursor.key());
        if (frame >= inode.record.dead_from) break;
        DMAP_TRY(builder.add(DMAP_TRY(decode_extent(cursor.value(), frame, store_->superblock().data()))));
        ++count;
        DMAP_TRY(cursor.next());
      }
      return {};
    }));
    if (count != inode.record.extents) {
      return fail(Code::kCorrupt, "read", "inode " + std::to_string(static_cast<uint64_t>(inode.number)),
                  "it has " + std::to_string(count) + " extents and says " + std::to_string(inode.record.extents));
    }
    inode.extents.load(std::move(builder));
  }
  inode.loaded.store(true, std::memory_order_release);  // pairs with the acquire in ensure_loaded()
  return {};
}

std::unique_ptr<InlineData> VolumeCore::make_tiny(std::span<const std::byte> bytes) {
  auto tiny = std::make_unique<InlineData>();
  tiny->size = static_cast<uint32_t>(bytes.size());
  std::ranges::copy(bytes, tiny->bytes.begin());
  return tiny;
}

void VolumeCore::note_access(Inode& inode) {
  // relatime: only if it was changed since it was last read, or a day has passed (asked when it is opened).
  int64_t accessed = inode.accessed_ns.load(std::memory_order_relaxed);
  if (accessed > inode.modified_ns.load(std::memory_order_relaxed)) [[likely]]
    return;
  set_accessed(inode, now());
}

void VolumeCore::note_open(Inode& inode) {
  Time time = now();
  if (time.nanoseconds - inode.accessed_ns.load(std::memory_order_relaxed) > kDay_ns) set_accessed(inode, time);
}

void VolumeCore::set_accessed(Inode& inode, Time time) {
  if (store_->access() == Access::kReadOnly) return;
  inode.accessed_ns.store(std::max(time.nanoseconds, inode.modified_ns.load(std::memory_order_relaxed) + 1),
                          std::memory_order_relaxed);
  mark_times(inode);
}

void VolumeCore::touch(Inode& inode, Time time) {
  inode.modified_ns.store(time.nanoseconds, std::memory_order_relaxed);
  inode.changed_ns.store(time.nanoseconds, std::memory_order_relaxed);
  mark_times(inode);
}

void VolumeCore::mark_times(Inode& inode) {
  // An inode with late times stays in the cache (Inode::try_evict), so its number is enough to find it again.
  if (inode.times_dirty.load(std::memory_order_relaxed) || inode.times_dirty.exchange(true, std::memory_order_relaxed))
    return;
  late_times_.with([&](std::vector<InodeNumber>& list) { list.push_back(inode.number); });
}

InodeRecord VolumeCore::current(Inode& inode) {
  InodeRecord record = inode.record;
  record.accessed = {inode.accessed_ns.load(std::memory_order_relaxed)};
  record.modified = {inode.modified_ns.load(std::memory_order_relaxed)};
  record.changed = {inode.changed_ns.load(std::memory_order_relaxed)};
  return record;
}

void VolumeCore::show_record(Inode& inode, const InodeRecord& record) {
  inode.record = record;
  // A lock-free overwrite or read may have set newer ones since current(); only set_attributes sets them back.
  raise(inode.accessed_ns, record.accessed);
  raise(inode.modified_ns, record.modified);
  raise(inode.changed_ns, record.changed);
}

Result<void> VolumeCore::commit_inode(Inode& inode, const InodeRecord& record, Transaction& txn, Purpose purpose,
                                      std::span<Reservation> reservations, FunctionRef<void()> show) {
  txn.put(key_of(inode.number, Kind::kInode), encode(record));
  return store_->commit(txn, reservations, purpose, [&] {
    inode.mutex.assert_held();
    show();
    show_record(inode, record);
  });
}

Result<void> VolumeCore::write_back_times() {
  auto list = late_times_.with([](std::vector<InodeNumber>& late) { return std::exchange(late, {}); });
  Result<void> first_failure;
  for (InodeNumber number : list) {
    auto written = write_back_times(number);
    if (written) continue;
    late_times_.with([&](std::vector<InodeNumber>& late) { late.push_back(number); });
    if (first_failure) first_failure = std::move(written);
  }
  return first_failure;
}

Result<void> VolumeCore::write_back_times(InodeNumber number) {
  auto found = inode(number);
  if (!found && found.error().code() == Code::kNotFound) return {};  // removed since
  InodeRef inode = DMAP_TRY(std::move(found));
  MutexLock lock(inode->mutex);
  if (!inode->times_dirty.load(std::memory_order_relaxed)) return {};
  inode->times_dirty.store(false, std::memory_order_relaxed);
  if (inode->record.links == 0) return {};
  Transaction txn;
  auto written = commit_inode(*inode, current(*inode), txn, Purpose::kDelete);
  if (!written) inode->times_dirty.store(true, std::memory_order_relaxed);
  return written;
}

Stat VolumeCore::stat(Inode& inode) {
  MutexLock lock(inode.mutex);
  InodeRecord record = current(inode);
  return {.inode = inode.number,
          .type = record.type,
          .permissions = record.permissions,
          .uid = record.uid,
          .gid = record.gid,
          .links = record.links,
          .size = Bytes{record.size},
          .allocated = bytes_of(FrameCount{record.frames}),
          .extents = record.extents,
          .device = record.device,
          .accessed = record.accessed,
          .modified = record.modified,
          .changed = record.changed,
          .born = record.born};
}

Result<void> VolumeCore::set_attributes(Inode& inode, const AttributeChanges& changes) {
  if (changes.permissions && *changes.permissions > 07777) return fail(Code::kInvalid, "change", "permissions");
  MutexLock lock(inode.mutex);
  InodeRecord record = current(inode);
  record.permissions = changes.permissions.value_or(record.permissions);
  record.uid = changes.uid.value_or(record.uid);
  record.gid = changes.gid.value_or(record.gid);
  record.accessed = changes.accessed.value_or(record.accessed);
  record.modified = changes.modified.value_or(record.modified);
  record.changed = now();
  Transaction txn;
  return commit_inode(inode, record, txn, Purpose::kChange, {}, [&] {
    inode.accessed_ns.store(record.accessed.nanoseconds, std::memory_order_relaxed);
    inode.modified_ns.store(record.modified.nanoseconds, std::memory_order_relaxed);
  });
}

}  // namespace dmap
