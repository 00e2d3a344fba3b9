// SPDX-License-Identifier: Apache-2.0
//
// Store: making a volume, opening one, replaying its journal.
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/check.h"
#include "volume/store.h"

namespace dmap {
namespace {

int64_t now_ns() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

template <typename T>
void fill_randomly(T& object) {
  CHECK(getrandom(&object, sizeof object, 0) == static_cast<ssize_t>(sizeof object));
}

uint64_t zone_frames_for(uint64_t volume_frames) { return std::clamp<uint64_t>(volume_frames / 64, 128, 32256); }

uint64_t journal_frames_for(const FormatOptions& options, uint64_t volume_frames) {
  constexpr uint64_t kLeast = frames_within(1_MiB).value;
  constexpr uint64_t kMost = frames_within(64_MiB).value;
  if (options.journal != Bytes{0}) return frames_within(options.journal).value;
  return std::clamp(volume_frames / 64, kLeast, kMost);
}

std::span<const std::byte> frame_at(const Device& device, uint64_t index) {
  return {device.data() + (index << kFrameShift), kFrameSize.value};
}

JournalRegion journal_region(const Superblock& superblock) {
  return {.at = bytes_of(FrameCount{kJournalFrame}),
          .size = bytes_of(superblock.journal_frames),
          .volume_seed = static_cast<uint32_t>(superblock.tag() ^ superblock.tag() >> 32)};
}

void put_frame(Device& device, uint64_t index, std::span<const std::byte> bytes) {
  device.store_streaming(place_of(make_pfn(kHomeDevice, index)), bytes);
}

}  // namespace

SessionMark boot_of_machine() {
  SessionMark mark{};
  int file = ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (file < 0) return mark;
  char text[36] = {};
  ssize_t got = ::read(file, text, sizeof text);
  ::close(file);
  // Which 16 of its characters tell boots apart does not matter: the random digits in front do.
  if (got == sizeof text) std::memcpy(mark.boot, text, sizeof mark.boot);
  return mark;
}

Result<void> Store::check_geometry(const FormatOptions& options, FrameCount volume, const std::string& name) {
  uint64_t frames = volume.value;
  uint64_t journal_frames = journal_frames_for(options, frames);
  if (volume < kVolumeFramesMin) {
    return fail(Code::kInvalid, "format", name,
                "a volume needs at least " + std::to_string(bytes_of(kVolumeFramesMin).value >> 20) + " MiB");
  }
  bool fits = journal_frames >= frames_within(1_MiB).value && journal_frames <= frames / 2 &&
              kJournalFrame + journal_frames + 2 * zone_frames_for(frames) <= frames;
  if (!fits) {
    return fail(Code::kInvalid, "format", name, "the journal must take at least 1 MiB and at most half of the volume");
  }
  return {};
}

bool Store::holds_volume(const Device& device) {
  if (device.traits().frames < kVolumeFramesMin) return false;
  auto superblock = decode_superblock(frame_at(device, kSuperblockFrame), device.traits().frames, device.name());
  return superblock.has_value() || superblock.error().code() != Code::kForeign;
}

Result<void> Store::format(Device& device, const FormatOptions& options, std::span<const Entry> entries) {
  uint64_t frames = device.traits().frames.value;
  if (options.size != Bytes{0}) frames = std::min(frames, frames_within(options.size).value);
  DMAP_TRY(check_geometry(options, FrameCount{frames}, device.name()));
  uint64_t journal_frames = journal_frames_for(options, frames);
  uint64_t zone_first = kJournalFrame + journal_frames;
  uint64_t zone_frames = zone_frames_for(frames);
  Superblock superblock;
  superblock.frames = FrameCount{frames};
  superblock.journal_frames = FrameCount{journal_frames};
  superblock.created_ns = now_ns();
  fill_randomly(superblock.uuid);
  fill_randomly(superblock.hash_seed);

  // An old volume's superblock goes first, the new one's comes last: a cut in between leaves no volume.
  device.zero_streaming(Bytes{0}, bytes_of(FrameCount{kJournalFrame}));
  device.fence();
  DMAP_TRY(device.barrier());

  Extent zone{make_pfn(kHomeDevice, zone_first), FrameCount{zone_frames}};
  NodeSpace nodes(superblock.tag());
  DMAP_TRY(nodes.add_zone(zone, {device.data() + (zone_first << kFrameShift), bytes_of(zone.count).value}));
  Tree tree = DMAP_TRY(Tree::open(nodes, superblock.tag(), Root{}));
  for (const Entry& entry : entries) DMAP_TRY(tree.put(entry.key, entry.value));
  Frozen frozen = tree.freeze(1);
  for (const auto& map : nodes.freeze(1)) device.store_streaming(place_of(map.pfn), map.bytes);
  for (size_t i = 0; i < frozen.size(); ++i) {
    device.store_streaming(place_of(frozen.image(i).pfn), frozen.image(i).bytes);
  }
  RootSlot slot{.generation = 1,
                .tree = frozen.root(),
                .maps_digest = nodes.maps_digest(),
                .journal = {},
                .inode_next = static_cast<uint64_t>(kRootInode) + 1,
                .inodes = 1,
                .owned_frames = 0,
                .zones = {zone}};
  for (uint64_t frame : kRootSlotFrames) put_frame(device, frame, encode(slot, superblock.tag()));
  device.fence();
  DMAP_TRY(device.barrier());
  for (uint64_t frame : {kSuperblockCopyFrame, kSuperblockFrame}) put_frame(device, frame, encode(superblock));
  device.fence();
  return device.barrier();
}

Store::Store(std::unique_ptr<Device> device, const OpenOptions& options, const Host& host)
    : options_(options), host_(host), device_(std::move(device)) {}

Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(std::unique_ptr<Device> device, const OpenOptions& options,
                                           HoldChecker& holds, ViewSlots& views, const Host& host) {
  std::unique_ptr<Store> store(new Store(std::move(device), options, host));
  DMAP_TRY(store->load_root());
  DMAP_TRY(store->recover(holds, views));
  if (options.access == Access::kReadWrite) DMAP_TRY(store->begin_session());
  return store;
}

Result<void> Store::load_root() {
  const std::string& name = device_->name();
  if (device_->traits().frames < kVolumeFramesMin)
    return fail(Code::kForeign, "open", name, "it is too small to be a dmap volume");
  auto superblock = decode_superblock(frame_at(*device_, kSuperblockFrame), device_->traits().frames, name);
  auto copy = decode_superblock(frame_at(*device_, kSuperblockCopyFrame), device_->traits().frames, name);
  if (!superblock && !copy) return std::unexpected(std::move(superblock).error());
  if (!copy) problems_.push_back("the superblock's copy in frame 3: " + copy.error().message());
  if (!superblock) {
    problems_.push_back("the superblock in frame 0: " + superblock.error().message());
    superblock = std::move(copy);
  }
  superblock_ = *superblock;
  if (superblock_.features_read_only != 0 && options_.access == Access::kReadWrite) {
    return fail(Code::kReadOnly, "open", name,
                "the volume uses features that this program can only read; open it read-only");
  }
  std::optional<RootSlot> newest;
  uint64_t newest_frame = 0;
  std::vector<StaleSlot> stale;
  for (uint64_t frame : kRootSlotFrames) {
    auto slot = decode_root_slot(frame_at(*device_, frame), superblock_);
    if (!slot) {
      stale.push_back({frame, "the root slot in frame " + std::to_string(frame) + ": " + slot.error().message()});
    } else if (!newest || slot->generation > newest->generation) {
      if (newest) stale.push_back({newest_frame, {}});
      newest = std::move(*slot);
      newest_frame = frame;
    } else if (slot->generation < newest->generation) {
      stale.push_back({frame, {}});
    }
  }
  if (!newest) return fail(Code::kCorrupt, "open", name, stale.back().problem);
  MutexLock lock(checkpoint_mutex_);
  slot_ = std::move(*newest);
  stale_slots_ = std::move(stale);
  return {};
}

Result<void> Store::recover(HoldChecker& holds, ViewSlots& views) {
  MutexLock one(checkpoint_mutex_);
  {
    WriterLock lock(tree_lock_);
    nodes_ = std::make_unique<NodeSpace>(superblock_.tag());
    for (const Extent& zone : slot_.zones) {
      std::span<const std::byte> bytes(device_->data() + place_of(zone.first).value, bytes_of(zone.count).value);
      DMAP_TRY(nodes_->open_zone(zone, bytes, slot_.generation));
    }
    if (nodes_->maps_digest() != slot_.maps_digest) {
      return fail(Code::kCorrupt, "open", device_->name(),
                  "a metadata zone's map is not the one of the last checkpoint");
    }
    tree_ = std::make_unique<Tree>(DMAP_TRY(Tree::open(*nodes_, superblock_.tag(), slot_.tree)));
    zones_ = slot_.zones;
    counters_ = {.inode_next = slot_.inode_next, .inodes = slot_.inodes};
  }
  FrameCount kept{zone_frames_for(superblock_.frames.value) / 2};
  space_ = DMAP_TRY(SpaceMap::create(kHomeDevice, superblock_.frames, FrameCount{slot_.owned_frames}, *this, holds,
                                     views, {.kept_for_metadata = kept}));
  Extent fixed{make_pfn(kHomeDevice, 0), FrameCount{kJournalFrame + superblock_.journal_frames.value}};
  DMAP_TRY(space_->reserve_fixed(fixed, FixedUse::kMetadata));
  for (const Extent& zone : slot_.zones) DMAP_TRY(space_->reserve_fixed(zone, FixedUse::kMetadata));

  JournalRegion region = journal_region(superblock_);
  ReplayEnd end = DMAP_TRY(replay(*device_, region, slot_.journal, host_.boot,
                                  [this](std::span<const std::byte> payload) { return replay_record(payload); }));
  records_replayed_ = end.operations;
  // Nobody reads yet: what the replay freed is free.
  space_->mature();

  WriterLock lock(tree_lock_);
  inode_next_.store(counters_.inode_next, std::memory_order_relaxed);  // relaxed: no other thread yet
  changed_through_ = synced_through_ = end.position.sequence;
  journal_ = std::make_unique<Journal>(*device_, region, slot_.journal, end.position);
  // A journal of this boot may hold what no power cut would have left; the next barrier has to cover it.
  if (record_state() == RecordState::kPending && end.operations > 0) synced_through_ = 0;
  return {};
}

Result<void> Store::begin_session() {
  DMAP_TRY(mend_slots());
  auto is_full = [&] {
    ReaderLock lock(tree_lock_);
    return !journal_->has_room(sizeof(SessionMark));
  };
  // Sessions that died soon after they began have used up the journal's reserve for them.
  if (is_full()) DMAP_TRY(checkpoint());
  WriterLock lock(tree_lock_);
  journal_->begin_session(host_.boot, static_cast<uint64_t>(now_ns()));
  note_pressure();
  return {};
}

Result<void> Store::mend_slots() {
  // A checkpoint was cut between its two slots, or one has rotten. What only the older one needs is free to be
  // overwritten from here on, so it must not be fallen back to (J4); and what names the newer one must be durable
  // first.
  MutexLock one(checkpoint_mutex_);
  if (stale_slots_.empty()) return {};
  DMAP_TRY(device_->barrier());
  for (const StaleSlot& stale : stale_slots_) DMAP_TRY(write_slot(stale.frame, slot_));
  stale_slots_.clear();
  return {};
}

Result<void> Store::replay_record(std::span<const std::byte> payload) {
  auto reader = DMAP_TRY(TransactionReader::open(payload));
  Counters counters = reader.counters();
  if (counters.inode_next > kInodesEnd)
    return fail(Code::kCorrupt, "replay", "journal record", "its counts cannot be true");
  Extent volume{make_pfn(kHomeDevice, 0), superblock_.frames};
  auto inside = [&](const Extent& extent) {
    return volume.contains(extent.first) && extent.count <= volume.count && extent.end() <= volume.end();
  };
  while (!reader.at_end()) {
    Change change = DMAP_TRY(reader.next());
    if (auto* put = std::get_if<PutKey>(&change)) {
      WriterLock lock(tree_lock_);
      DMAP_TRY(tree_->put(put->key, put->value));
    } else if (auto* erase = std::get_if<EraseKey>(&change)) {
      WriterLock lock(tree_lock_);
      DMAP_TRY(tree_->erase(erase->key));
    } else if (auto* claim = std::get_if<ClaimFrames>(&change)) {
      DMAP_TRY(space_->claim(claim->extent));
    } else if (auto* release = std::get_if<ReleaseFrames>(&change)) {
      DMAP_TRY(space_->prepare_release(release->extent));
      space_->release(release->extent, record_state());
    } else if (auto* zone = std::get_if<AddZone>(&change)) {
      if (!inside(zone->extent))
        return fail(Code::kCorrupt, "replay", "journal record", "a metadata zone lies outside of the volume");
      DMAP_TRY(space_->reserve_fixed(zone->extent, FixedUse::kMetadata));
      WriterLock lock(tree_lock_);
      DMAP_TRY(adopt_zone(zone->extent));
    }
  }
  WriterLock lock(tree_lock_);
  counters_ = counters;
  groups_changed_ = superblock_.frames.value / kGroupFrames + 1;
  return {};
}

Result<std::optional<EncodedGroup>> Store::load(uint64_t group) {
  return read([&](const Tree& tree) -> Result<std::optional<EncodedGroup>> {
    auto value = DMAP_TRY(tree.find(key_of(kVolumeObject, Kind::kSpace, group)));
    if (!value) return std::optional<EncodedGroup>();
    return std::optional(DMAP_TRY(EncodedGroup::copy_of(*value)));
  });
}

std::vector<std::string> Store::problems() const {
  std::vector<std::string> all = problems_;
  MutexLock one(checkpoint_mutex_);
  for (const StaleSlot& stale : stale_slots_) {
    if (!stale.problem.empty()) all.push_back(stale.problem);
  }
  return all;
}

Usage Store::usage() const {
  SpaceCounts counts = space_->counts();
  ReaderLock lock(tree_lock_);
  return {.total = bytes_of(counts.total),
          .free = bytes_of(counts.free),
          .owned = bytes_of(counts.owned),
          .metadata = bytes_of(counts.metadata + counts.bad),
          .quarantined = bytes_of(counts.quarantined),
          .reserved = bytes_of(counts.reserved),
          .inodes = counters_.inodes};
}

OpenInfo Store::open_info() const {
  ReaderLock lock(tree_lock_);
  return {.records_replayed = records_replayed_,
          .checkpoints = checkpoints_.load(std::memory_order_relaxed),
          .journal_size = journal_->size(),
          .journal_used = journal_->used()};
}

uint64_t Store::live_nodes() const {
  ReaderLock lock(tree_lock_);
  return nodes_->counts().live;
}

}  // namespace dmap
