// SPDX-License-Identifier: Apache-2.0
//
// Changes of a file's shape: truncate, allocate, punch, and what writes share with them.
#include <algorithm>

#include "base/check.h"
#include "volume/core.h"

namespace dmap {
namespace {

/// Frames that one record allocates: even one by one, their extents fit.
constexpr uint64_t kFramesAtOnce = 4096;

/// The mappings of `version` that touch or adjoin file frames [first, end), whole.
std::vector<Mapping> mappings_around(const ExtentVersion& version, uint64_t first, uint64_t end) {
  std::vector<Mapping> found;
  uint64_t frame = first > 0 ? first - 1 : 0;
  while (frame <= end && frame < kFileFrames) {
    Segment segment = version.find(frame);
    if (!segment.is_hole()) found.push_back(segment.mapping());
    frame = segment.end();
  }
  return found;
}

}  // namespace

Result<Reservation> VolumeCore::reserve(const Inode& inode, FrameCount frames, const SpaceHint& hint) {
  for (int attempt = 0;; ++attempt) {
    auto reserved = store_->space().reserve(frames, hint);
    if (reserved || reserved.error().code() != Code::kNoSpace || attempt == 2) return reserved;
    // What is dead but not reaped, and what only waits for a barrier, would do.
    reap_dead(&inode);
    DMAP_TRY(store_->settle_quarantine());
  }
}

int64_t VolumeCore::record_extents(Inode& inode, const ExtentVersion& before, const ExtentVersion& after,
                                   uint64_t first, uint64_t end, Transaction& txn) {
  // The tree holds exactly the map's mappings, so the keys to change are those in which the two versions differ.
  std::vector<Mapping> old_ones = mappings_around(before, first, end);
  std::vector<Mapping> new_ones = mappings_around(after, first, end);
  auto old_one = old_ones.begin();
  for (const Mapping& mapping : new_ones) {
    while (old_one != old_ones.end() && old_one->file_frame < mapping.file_frame) {
      txn.erase(key_of(inode.number, Kind::kExtent, (old_one++)->file_frame));
    }
    bool same_key = old_one != old_ones.end() && old_one->file_frame == mapping.file_frame;
    if (!same_key || *old_one != mapping)
      txn.put(key_of(inode.number, Kind::kExtent, mapping.file_frame), encode(mapping));
    if (same_key) ++old_one;
  }
  while (old_one != old_ones.end()) txn.erase(key_of(inode.number, Kind::kExtent, (old_one++)->file_frame));
  return static_cast<int64_t>(new_ones.size()) - static_cast<int64_t>(old_ones.size());
}

void VolumeCore::map_holes(ExtentMap::Edit& edit, const ExtentVersion& before, uint64_t first, uint64_t end,
                           const Reservation& reservation, Filled filled) {
  auto piece = reservation.pieces().begin();
  uint64_t used = 0;  // frames of *piece
  for (uint64_t frame = first; frame < end;) {
    Segment segment = before.find(frame);
    uint64_t stop = std::min(end, segment.end());
    while (segment.is_hole() && frame < stop) {
      CHECK(piece != reservation.pieces().end());
      uint64_t count = std::min(stop - frame, piece->count.value - used);
      edit.insert({.file_frame = frame,
                   .pfn = piece->first + FrameCount{used},
                   .frames = count,
                   .birth = 0,
                   .written = filled == Filled::kWritten});
      frame += count;
      used += count;
      if (used == piece->count.value) ++piece, used = 0;
    }
    frame = stop;
  }
  CHECK(piece == reservation.pieces().end());  // a frame that is claimed and not mapped would be lost
}

void VolumeCore::zero_in_frame(const ExtentVersion& version, uint64_t frame, uint64_t from, uint64_t to) {
  if (from >= to) return;
  Segment segment = version.find(frame);
  Pfn pfn = segment.pfn + FrameCount{frame - segment.first};
  store_->device().zero_streaming(place_of(pfn) + Bytes{from}, Bytes{to - from});
}

void VolumeCore::zero_old_tail(Inode& inode, uint64_t up_to) {
  uint64_t size = inode.record.size;
  uint64_t frame = size >> kFrameShift;
  if (offset_in_frame(size) == 0 || up_to <= size) return;
  ExtentVersion version = inode.extents.version();
  if (version.find(frame).reads_zero()) return;
  uint64_t to = std::min(up_to, (frame + 1) << kFrameShift) - (frame << kFrameShift);
  zero_in_frame(version, frame, offset_in_frame(size), to);
}

Result<void> VolumeCore::truncate(Inode& inode, Bytes size) {
  if (size > File::kSizeMax)
    return fail(Code::kFileTooBig, "truncate", std::to_string(size.value), "files end below 8 EiB");
  MutexLock lock(inode.mutex);
  DMAP_TRY(writable());
  DMAP_TRY(load_extents(inode));
  return size.value < inode.record.size ? shrink(inode, size.value) : grow(inode, size.value);
}

Result<void> VolumeCore::grow(Inode& inode, uint64_t size) {
  bool is_tiny = inode.record.extents == 0 && inode.record.dead_from == kNothingDead;
  if (is_tiny && size <= File::kInlineMax.value) {
    auto bytes = std::make_unique<InlineData>();
    bytes->size = static_cast<uint32_t>(size);
    bytes->bytes = {};
    if (const InlineData* old = inode.tiny.load(std::memory_order_relaxed))
      std::ranges::copy(old->span(), bytes->bytes.begin());
    return replace_tiny(inode, std::move(bytes), Purpose::kChange);
  }
  DMAP_TRY(move_to_frames(inode));
  if (frames_covering(Bytes{size}).value > inode.record.dead_from) DMAP_TRY(drain_dead(inode));
  // The old tail becomes visible: zero, durably, before the record that shows it (J3).
  zero_old_tail(inode, size);
  store_->device().fence();
  Transaction txn;
  InodeRecord record = current(inode);
  record.size = size;
  record.modified = record.changed = now();
  return commit_inode(inode, record, txn, Purpose::kChange, {}, [&] {
    inode.size.store(size, std::memory_order_release);  // pairs with the acquire in read()
  });
}

Result<void> VolumeCore::shrink(Inode& inode, uint64_t size) {
  if (const InlineData* old = inode.tiny.load(std::memory_order_relaxed)) {
    return replace_tiny(inode, make_tiny(old->span().first(size)), Purpose::kDelete);
  }
  const uint64_t first_dead = frames_covering(Bytes{size}).value;
  ExtentVersion before = inode.extents.version();
  std::vector<Extent> freed;
  uint64_t frames = 0;
  uint64_t extents = 0;
  before.for_each(first_dead, kFileFrames - first_dead, [&](const Mapping& mapping) {
    if (freed.size() <= kExtentsAtOnce) freed.push_back({mapping.pfn, FrameCount{mapping.frames}});
    frames += mapping.frames;
    ++extents;
  });
  Transaction txn;
  InodeRecord record = current(inode);
  record.size = size;
  record.frames -= frames;
  record.modified = record.changed = now();
  Segment crossing = before.find(first_dead);
  bool crosses = !crossing.is_hole() && crossing.first < first_dead;

  ExtentMap::Edit edit = inode.extents.edit();
  edit.erase(first_dead, kFileFrames - first_dead, [](const Mapping&) {});
  bool at_once = freed.size() <= kExtentsAtOnce && inode.record.dead_from == kNothingDead;
  if (at_once) {
    record.extents +=
        static_cast<uint64_t>(record_extents(inode, before, edit.version(), first_dead, kFileFrames - 1, txn));
  } else {
    // One record cuts the tail off; its extents are freed bit by bit (X5). The extent that crosses the cut is cut now.
    freed.resize(crosses ? 1 : 0);
    record.extents -= extents - (crosses ? 1 : 0);
    record.dead_from = std::min(record.dead_from, first_dead);
    if (crosses) {
      Mapping kept = crossing.mapping().clipped(crossing.first, first_dead);
      txn.put(key_of(inode.number, Kind::kExtent, kept.file_frame), encode(kept));
    }
    txn.put(key_of(kVolumeObject, Kind::kOrphan, static_cast<uint64_t>(inode.number)), {});
  }
  for (const Extent& extent : freed) {
    DMAP_TRY(store_->space().prepare_release(extent));
    txn.release(extent);
  }
  DMAP_TRY(commit_inode(inode, record, txn, Purpose::kDelete, {}, [&] {
    inode.size.store(size, std::memory_order_release);  // before the map; pairs with the acquire in read()
    edit.publish();
  }));
  if (!at_once) maintenance_->reap_later(inode.number);
  return {};
}

Result<void> VolumeCore::allocate(Inode& inode, Offset offset, Bytes length, KeepSize keep_size) {
  if (length == Bytes{0}) return fail(Code::kInvalid, "allocate", "range", "the length is zero");
  if (offset > Offset{File::kSizeMax} || length > File::kSizeMax - Bytes{offset.value}) {
    return fail(Code::kFileTooBig, "allocate", "range", "files end below 8 EiB");
  }
  const uint64_t end_byte = (offset + length).value;
  const uint64_t first = offset.value >> kFrameShift;
  const uint64_t end = frames_covering(Bytes{end_byte}).value;
  MutexLock lock(inode.mutex);
  DMAP_TRY(writable());
  DMAP_TRY(load_extents(inode));
  DMAP_TRY(drain_dead(inode));
  DMAP_TRY(move_to_frames(inode));
  std::vector<Reservation> room;
  for (uint64_t at = first; at < end; at = std::min(end, at + kFramesAtOnce)) {
    room.push_back(DMAP_TRY(reserve_holes(inode, at, std::min(end, at + kFramesAtOnce), length.value)));
  }
  uint64_t at = first;
  for (Reservation& reservation : room) {
    uint64_t stop = std::min(end, at + kFramesAtOnce);
    if (reservation.frames() > FrameCount{0}) DMAP_TRY(allocate_step(inode, at, stop, reservation));
    at = stop;
  }
  if (keep_size == KeepSize::kNo && end_byte > inode.record.size) return grow(inode, end_byte);
  return {};
}

Result<void> VolumeCore::allocate_step(Inode& inode, uint64_t first, uint64_t end, Reservation& reservation) {
  ExtentVersion before = inode.extents.version();
  ExtentMap::Edit edit = inode.extents.edit();
  map_holes(edit, before, first, end, reservation, Filled::kNot);
  Transaction txn;
  for (const Extent& piece : reservation.pieces()) txn.claim(piece);
  InodeRecord record = current(inode);
  record.extents += static_cast<uint64_t>(record_extents(inode, before, edit.version(), first, end, txn));
  record.frames += reservation.frames().value;
  record.changed = now();
  return commit_inode(inode, record, txn, Purpose::kChange, std::span(&reservation, 1), [&] { edit.publish(); });
}

Result<void> VolumeCore::punch(Inode& inode, Offset offset, Bytes length) {
  if (length == Bytes{0}) return fail(Code::kInvalid, "punch", "range", "the length is zero");
  if (offset > Offset{File::kSizeMax} || length > File::kSizeMax - Bytes{offset.value}) {
    return fail(Code::kFileTooBig, "punch", "range", "files end below 8 EiB");
  }
  MutexLock lock(inode.mutex);
  DMAP_TRY(writable());
  DMAP_TRY(load_extents(inode));
  const uint64_t start = offset.value;
  const uint64_t end = (offset + length).value;
  if (const InlineData* old = inode.tiny.load(std::memory_order_relaxed)) {
    auto bytes = make_tiny(old->span());
    uint64_t from = std::min<uint64_t>(start, bytes->size);
    std::fill(bytes->bytes.begin() + static_cast<ptrdiff_t>(from),
              bytes->bytes.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(end, bytes->size)), std::byte{0});
    return replace_tiny(inode, std::move(bytes), Purpose::kDelete);
  }
  // Frames wholly inside go, the edges are zeroed.
  uint64_t first = frames_covering(Bytes{start}).value;
  uint64_t last = std::min(end >> kFrameShift, inode.record.dead_from);
  while (first < last) first = DMAP_TRY(punch_step(inode, first, last));
  zero_edges(inode, start, std::min(end, inode.record.size));
  touch(inode, now());
  return {};
}

Result<uint64_t> VolumeCore::punch_step(Inode& inode, uint64_t first, uint64_t end) {
  ExtentVersion before = inode.extents.version();
  std::vector<Extent> freed;
  uint64_t stop = end;
  uint64_t frames = 0;
  before.for_each(first, end - first, [&](const Mapping& mapping) {
    if (freed.size() == kExtentsAtOnce) {
      stop = mapping.file_frame;
      return Visit::kStop;
    }
    freed.push_back({mapping.pfn, FrameCount{mapping.frames}});
    frames += mapping.frames;
    return Visit::kMore;
  });
  if (freed.empty()) return end;
  ExtentMap::Edit edit = inode.extents.edit();
  edit.erase(first, stop - first, [](const Mapping&) {});
  Transaction txn;
  InodeRecord record = current(inode);
  record.extents += static_cast<uint64_t>(record_extents(inode, before, edit.version(), first, stop, txn));
  record.frames -= frames;
  record.modified = record.changed = now();
  for (const Extent& extent : freed) {
    DMAP_TRY(store_->space().prepare_release(extent));
    txn.release(extent);
  }
  DMAP_TRY(commit_inode(inode, record, txn, Purpose::kDelete, {}, [&] { edit.publish(); }));
  return stop;
}

void VolumeCore::zero_edges(Inode& inode, uint64_t start, uint64_t end) {
  if (start >= end) return;
  ExtentVersion version = inode.extents.version();
  for (uint64_t frame : {start >> kFrameShift, (end - 1) >> kFrameShift}) {
    uint64_t from = std::max(start, frame << kFrameShift);
    uint64_t to = std::min(end, (frame + 1) << kFrameShift);
    if (version.find(frame).reads_zero()) continue;
    zero_in_frame(version, frame, from - (frame << kFrameShift), to - (frame << kFrameShift));
  }
  store_->device().fence();
}

Result<void> VolumeCore::make_written(Inode& inode, uint64_t first, uint64_t end) {
  ExtentVersion before = inode.extents.version();
  std::vector<Mapping> unwritten;
  before.for_each(first, end - first, [&](const Mapping& mapping) {
    if (!mapping.written) unwritten.push_back(mapping);
  });
  for (size_t at = 0; at < unwritten.size(); at += kExtentsAtOnce) {
    DMAP_TRY(writable());
    auto step = std::span(unwritten).subspan(at, std::min(kExtentsAtOnce, unwritten.size() - at));
    ExtentVersion was = inode.extents.version();
    ExtentMap::Edit edit = inode.extents.edit();
    for (Mapping mapping : step) {
      store_->device().zero_streaming(place_of(mapping.pfn), bytes_of(FrameCount{mapping.frames}));
      mapping.written = true;
      edit.replace(mapping, [](const Mapping&) {});
    }
    store_->device().fence();
    Transaction txn;
    InodeRecord record = current(inode);
    record.extents += static_cast<uint64_t>(
        record_extents(inode, was, edit.version(), step.front().file_frame, step.back().end(), txn));
    DMAP_TRY(commit_inode(inode, record, txn, Purpose::kChange, {}, [&] { edit.publish(); }));
  }
  return {};
}

}  // namespace dmap
