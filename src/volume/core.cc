// SPDX-License-Identifier: Apache-2.0
//
// Opening and closing, the background rounds, the files that are open.
#include "volume/core.h"

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>

#include "base/check.h"

namespace dmap {
namespace {

/// The gentle background barrier on media that need one: what is older than this is safe from a power cut.
constexpr std::chrono::seconds kBarrierEvery{5};
constexpr size_t kZeroBytes = 2 << 20;
/// What a cached entry takes, more or less: budgets are in bytes, caches count entries.
constexpr uint64_t kBytesPerInode = 512;
constexpr uint64_t kBytesPerName = 128;

int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::span<const std::byte> map_zeros() {
  void* zeros = mmap(nullptr, kZeroBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return zeros == MAP_FAILED ? std::span<const std::byte>()
                             : std::span(static_cast<const std::byte*>(zeros), kZeroBytes);
}

Result<std::unique_ptr<FrameTable>> make_table(const OpenOptions& options, std::function<void(Extent)> on_release) {
  FrameTable::Options table;
  table.pool.budget = options.descriptor_memory;
  table.on_release = std::move(on_release);
  return FrameTable::create(std::move(table));
}

}  // namespace

/// The frame table as the space map asks it.
class VolumeCore::Holds final : public HoldChecker {
 public:
  explicit Holds(FrameTable& table) : table_(table) {}
  void retire(Extent freed, std::vector<Extent>& unheld) override {
    table_.retire(freed, [&](Extent extent) { unheld.push_back(extent); });
  }

 private:
  FrameTable& table_;
};

VolumeCore::VolumeCore(const OpenOptions& options)
    : options_(options),
      views_(options.views_max),
      zeros_(map_zeros()),
      inodes_(std::max<uint64_t>(options.inode_cache.value / kBytesPerInode, 64)),
      names_(std::max<uint64_t>(options.name_cache.value / kBytesPerName, 64)),
      maintenance_(std::make_unique<Maintenance>()) {}

std::vector<Store::Entry> VolumeCore::first_entries() {
  InodeRecord root = new_record(FileType::kDirectory, {.permissions = 0755, .uid = geteuid(), .gid = getegid()});
  root.parent = kRootInode;
  InodeBytes bytes = encode(root);
  return {{.key = key_of(kRootInode, Kind::kInode), .value = {bytes.begin(), bytes.end()}}};
}

Result<std::unique_ptr<VolumeCore>> VolumeCore::open(std::unique_ptr<Device> device, const OpenOptions& options,
                                                     const Host& host) {
  std::unique_ptr<VolumeCore> core(new VolumeCore(options));
  if (core->zeros_.empty()) return fail(Code::kNoMemory, "open", device->name());
  VolumeCore* self = core.get();
  core->table_ = DMAP_TRY(make_table(options, [self](Extent run) { self->store_->space().on_holds_gone(run); }));
  DMAP_TRY(core->table_->add_device(kHomeDevice, device->traits().frames_max));
  core->frames_ = std::make_unique<Frames>(*core->table_);
  core->holds_ = std::make_unique<Holds>(*core->table_);
  core->store_ = DMAP_TRY(Store::open(std::move(device), options, *core->holds_, core->views_, host));
  InodeRef root = DMAP_TRY(core->inode(kRootInode));
  if (!root->is_directory())
    return fail(Code::kCorrupt, "open", core->store_->device().name(), "the root is no directory");
  if (options.access == Access::kReadWrite) {
    DMAP_TRY(core->adopt_orphans());
    if (host.background == Background::kOn) core->maintenance_->start([self] { return self->round(); });
  }
  return core;
}

VolumeCore::~VolumeCore() {
  static_cast<void>(close());
  munmap(const_cast<std::byte*>(zeros_.data()), zeros_.size());
}

Result<void> VolumeCore::close() {
  if (std::exchange(closed_, true)) return {};
  CHECK(open_files_.load(std::memory_order_relaxed) == 0);
  maintenance_->stop();
  Result<void> closed;
  if (store_ != nullptr && store_->access() == Access::kReadWrite) {
    closed = write_back_times();
    reap_dead();
    if (closed) closed = store_->checkpoint();
  }
  // What RCU still has to give back points into this volume.
  rcu_barrier_all();
  return closed;
}

bool VolumeCore::round() {
  bool busy = false;
  if (store_->wants_checkpoint()) {
    busy = true;
    // A failure shows in every change from here on.
    if (store_->checkpoint()) static_cast<void>(store_->make_room_ahead());
  }
  reap_dead();
  busy |= store_->space().mature() > FrameCount{0};
  int64_t now_ns = steady_ns();
  if (now_ns - last_barrier_ns_.load(std::memory_order_relaxed) > std::chrono::nanoseconds(kBarrierEvery).count()) {
    static_cast<void>(write_back_times());
    if (store_->wants_barrier()) static_cast<void>(store_->sync());
    last_barrier_ns_.store(now_ns, std::memory_order_relaxed);
  }
  SpaceCounts counts = store_->space().counts();
  busy |= counts.quarantined > counts.held;  // what a pin holds is given back by its holder
  if (!busy) give_back_idle_descriptors();
  return busy;
}

void VolumeCore::give_back_idle_descriptors() {
  // They are kept for the next pin; when nothing is pinned in a quiet moment, nobody seems to wait for them (F2).
  FrameTable::Statistics now = table_->statistics();
  if (now.exposed_frames == 0 && now.in_use > Bytes{0}) table_->trim();
}

Result<void> VolumeCore::writable() const {
  if (store_->access() == Access::kReadWrite) return {};
  return fail(Code::kReadOnly, "change", store_->device().name(), "the volume is open for reading");
}

Result<void> VolumeCore::sync() {
  if (store_->access() == Access::kReadOnly) return {};
  auto times = write_back_times();
  if (options_.durability == Durability::kRelaxed) return times;  // the background barrier will do
  DMAP_TRY(store_->sync());
  return times;
}

Result<void> VolumeCore::checkpoint() {
  DMAP_TRY(writable());
  DMAP_TRY(write_back_times());
  return store_->checkpoint();
}

FrameInfo VolumeCore::frame_info() const {
  FrameTable::Statistics now = table_->statistics();
  return {.exposed_frames = now.exposed_frames,
          .large_descriptors = now.large_pages,
          .descriptor_memory = now.in_use,
          .descriptor_granted = now.granted,
          .descriptor_budget = now.budget};
}

Result<File> VolumeCore::make_file(InodeRef inode, const FileOptions& options) {
  if (inode->is_directory()) return fail(Code::kIsDirectory, "open", "inode");
  if (inode->type == FileType::kSymlink) return fail(Code::kSymlinkLoop, "open", "inode", "it is a symbolic link");
  if (inode->type != FileType::kRegular)
    return fail(Code::kNotSupported, "open", "inode", "it is a device, fifo or socket");
  if (options.access == Access::kReadWrite) DMAP_TRY(writable());
  if (options.expected_size > Bytes{0})
    inode->expected_size.store(options.expected_size.value, std::memory_order_relaxed);
  if (options.truncate == Truncate::kYes) {
    if (options.access == Access::kReadOnly)
      return fail(Code::kAccess, "open", "inode", "truncating needs a file open for writing");
    DMAP_TRY(truncate(*inode, Bytes{0}));
  }
  note_open(*inode);
  open_files_.fetch_add(1, std::memory_order_relaxed);
  return File(this, inode.release(), options.access);
}

void VolumeCore::close_file(Inode* inode) {
  bool nameless = inode->nameless.load(std::memory_order_relaxed);
  {
    InodeRef closing(inode);
  }
  // The last user of a file without a name sees it go; letting go has queued it.
  if (nameless) reap_dead();
  open_files_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace dmap
