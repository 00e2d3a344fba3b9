// SPDX-License-Identifier: Apache-2.0
//
// Writing. A plain overwrite of bytes that are there takes no lock and no record: it stores into the frames. Everything
// else runs under the inode's lock: new frames get their bytes first, then one record makes them reachable (J3), then
// readers are shown.
#include <algorithm>

#include "base/bits.h"
#include "base/check.h"
#include "volume/core.h"

namespace dmap {
namespace {

/// Bytes that one record covers: even in pieces of one frame, its extents fit into a record.
constexpr uint64_t kChunkBytes = 16 << 20;
/// A write or an announced size from here on is laid out in whole large frames.
constexpr uint64_t kLargeBytes = kLargeFrames << kFrameShift;

/// Where the record that begins at `at` ends: at a frame's edge, so that no frame is in two of them.
constexpr uint64_t chunk_end(uint64_t at, uint64_t end) {
  return std::min(end, round_down(at, kFrameSize.value) + kChunkBytes);
}

/// Whether every byte of [offset, offset + length) is in a frame and was written.
bool is_written(const ExtentVersion& version, uint64_t offset, uint64_t length) {
  const uint64_t end = offset + length;
  while (offset < end) {
    Segment segment = version.find(offset >> kFrameShift);
    if (segment.reads_zero()) return false;
    offset = end_byte(segment);
  }
  return true;
}

}  // namespace

Result<void> VolumeCore::write(Inode& inode, std::span<const std::byte> from, Offset offset) {
  if (offset > Offset{File::kSizeMax} || from.size() > File::kSizeMax.value - offset.value) {
    return fail(Code::kFileTooBig, "write", "offset " + std::to_string(offset.value), "files end below 8 EiB");
  }
  if (from.empty()) return {};
  DMAP_TRY(ensure_loaded(inode));
  if (overwrite(inode, from, offset.value)) return {};
  MutexLock lock(inode.mutex);
  return write_locked(inode, from, offset.value);
}

Result<Offset> VolumeCore::append(Inode& inode, std::span<const std::byte> from) {
  MutexLock lock(inode.mutex);
  uint64_t at = inode.record.size;
  if (from.size() > File::kSizeMax.value - at)
    return fail(Code::kFileTooBig, "append", "file", "files end below 8 EiB");
  if (!from.empty()) DMAP_TRY(write_locked(inode, from, at));
  return Offset{at};
}

bool VolumeCore::overwrite(Inode& inode, std::span<const std::byte> from, uint64_t offset) {
  if (store_->access() == Access::kReadOnly) return false;
  {
    // All of the range or nothing of it: what is not mapped may turn out to have no room.
    RcuReadSection section;
    // acquire: as in read()
    if (offset + from.size() > inode.size.load(std::memory_order_acquire)) return false;
    if (inode.tiny.load(std::memory_order_acquire) != nullptr) return false;  // acquire: as in read()
    if (!is_written(inode.extents.version(), offset, from.size())) return false;
    if (from.size() <= kSectionBytes) return store_mapped(inode, from, offset);
  }
  for (size_t done = 0; done < from.size(); done += kSectionBytes) {
    RcuReadSection section;
    if (!store_mapped(inode, from.subspan(done, std::min<uint64_t>(from.size() - done, kSectionBytes)), offset + done))
      return false;
  }
  return true;
}

bool VolumeCore::store_mapped(Inode& inode, std::span<const std::byte> from, uint64_t offset) {
  ExtentVersion version = inode.extents.version();
  while (!from.empty()) {
    Segment segment = version.find(offset >> kFrameShift);
    if (segment.reads_zero()) return false;  // a truncate or punch came between
    uint64_t length = std::min<uint64_t>(from.size(), end_byte(segment) - offset);
    store(from.first(length), segment.pfn + FrameCount{(offset >> kFrameShift) - segment.first},
          offset_in_frame(offset));
    from = from.subspan(length);
    offset += length;
  }
  // Before the section closes: the frames may be others' after it.
  store_->device().fence();
  touch(inode, now());
  return true;
}

void VolumeCore::store(std::span<const std::byte> from, Pfn pfn, uint64_t within) {
  store_->device().store_streaming(place_of(pfn) + Bytes{within}, from);
}

Result<void> VolumeCore::write_locked(Inode& inode, std::span<const std::byte> from, uint64_t offset) {
  DMAP_TRY(writable());
  DMAP_TRY(load_extents(inode));
  uint64_t end = offset + from.size();
  // A dead tail goes first: it may be in the way, or be the very room that is missing.
  DMAP_TRY(drain_dead(inode));
  bool fits = inode.record.extents == 0 && std::max(end, inode.record.size) <= File::kInlineMax.value;
  if (fits) return write_tiny(inode, from, offset);
  DMAP_TRY(move_to_frames(inode));

  // All the room first, so that a full volume refuses the write before anything of it has happened.
  std::vector<Reservation> room;
  for (uint64_t at = offset; at < end; at = chunk_end(at, end)) {
    uint64_t end_frame = frames_covering(Bytes{chunk_end(at, end)}).value;
    room.push_back(DMAP_TRY(reserve_holes(inode, at >> kFrameShift, end_frame, from.size())));
  }
  const uint64_t old_size = inode.record.size;
  for (Reservation& reservation : room) {
    auto chunk = from.first(chunk_end(offset, end) - offset);
    if (auto written = write_frames(inode, chunk, offset, reservation); !written) {
      // No room for metadata half-way: nothing stays behind the old end.
      if (inode.record.size > old_size) static_cast<void>(shrink(inode, old_size));
      return written;
    }
    from = from.subspan(chunk.size());
    offset += chunk.size();
  }
  return {};
}

Result<void> VolumeCore::write_tiny(Inode& inode, std::span<const std::byte> from, uint64_t offset) {
  auto bytes = std::make_unique<InlineData>();
  uint64_t old_size = inode.record.size;
  bytes->size = static_cast<uint32_t>(std::max(old_size, offset + from.size()));
  bytes->bytes = {};
  if (const InlineData* old = inode.tiny.load(std::memory_order_relaxed))
    std::ranges::copy(old->span(), bytes->bytes.begin());
  std::ranges::copy(from, bytes->bytes.begin() + static_cast<ptrdiff_t>(offset));
  return replace_tiny(inode, std::move(bytes), Purpose::kChange);
}

Result<void> VolumeCore::replace_tiny(Inode& inode, std::unique_ptr<InlineData> bytes, Purpose purpose) {
  Transaction txn;
  InodeRecord record = current(inode);
  record.modified = record.changed = now();
  record.size = bytes->size;
  record.is_inline = bytes->size > 0;
  Key key = key_of(inode.number, Kind::kInline);
  if (record.is_inline) {
    txn.put(key, bytes->span());
  } else if (inode.record.is_inline) {
    txn.erase(key);
  }
  if (!record.is_inline) bytes.reset();
  return commit_inode(inode, record, txn, purpose, {}, [&] {
    bool grows = record.size >= inode.size.load(std::memory_order_relaxed);
    if (!grows) inode.size.store(record.size, std::memory_order_release);  // pairs with the acquire in read()
    inode.show_tiny(std::move(bytes));
    inode.size.store(record.size, std::memory_order_release);  // likewise
  });
}

Result<void> VolumeCore::move_to_frames(Inode& inode) {
  const InlineData* tiny = inode.tiny.load(std::memory_order_relaxed);
  if (tiny == nullptr) return {};
  Reservation reservation = DMAP_TRY(reserve(inode, FrameCount{1}, {}));
  Pfn pfn = reservation.pieces()[0].first;
  store(tiny->span(), pfn, 0);
  store_->device().zero_streaming(place_of(pfn) + Bytes{tiny->size}, kFrameSize - Bytes{tiny->size});
  store_->device().fence();
  Transaction txn;
  Mapping mapping{.file_frame = 0, .pfn = pfn, .frames = 1, .birth = 0, .written = true};
  ExtentMap::Edit edit = inode.extents.edit();
  edit.insert(mapping);
  txn.claim({pfn, FrameCount{1}});
  txn.erase(key_of(inode.number, Kind::kInline));
  txn.put(key_of(inode.number, Kind::kExtent, 0), encode(mapping));
  InodeRecord record = current(inode);
  record.is_inline = false;
  record.frames = record.extents = 1;
  return commit_inode(inode, record, txn, Purpose::kChange, std::span(&reservation, 1), [&] {
    edit.publish();
    inode.show_tiny(nullptr);
  });
}

Result<Reservation> VolumeCore::reserve_holes(Inode& inode, uint64_t first, uint64_t end, uint64_t announced_bytes) {
  uint64_t missing = 0;
  ExtentVersion version = inode.extents.version();
  for (uint64_t frame = first; frame < end;) {
    Segment segment = version.find(frame);
    uint64_t stop = std::min(end, segment.end());
    if (segment.is_hole()) missing += stop - frame;
    frame = stop;
  }
  if (missing == 0) return Reservation();
  SpaceHint hint;
  if (first > 0) {
    Segment before = version.find(first - 1);
    if (!before.is_hole()) hint.near = before.pfn + FrameCount{before.frames};
  }
  uint64_t announced = std::max(announced_bytes, inode.expected_size.load(std::memory_order_relaxed));
  if (announced >= kLargeBytes) hint.size = SpaceHint::Size::kLarge;
  return reserve(inode, FrameCount{missing}, hint);
}

Result<void> VolumeCore::write_frames(Inode& inode, std::span<const std::byte> from, uint64_t offset,
                                      Reservation& reservation) {
  const uint64_t end = offset + from.size();
  const uint64_t first_frame = offset >> kFrameShift;
  const uint64_t end_frame = frames_covering(Bytes{end}).value;
  const uint64_t old_size = inode.record.size;
  ExtentVersion before = inode.extents.version();
  ExtentMap::Edit edit = inode.extents.edit();

  map_holes(edit, before, first_frame, end_frame, reservation, Filled::kWritten);
  for (uint64_t frame = first_frame; frame < end_frame;) {
    Segment segment = before.find(frame);
    uint64_t stop = std::min(end_frame, segment.end());
    if (segment.kind == SegmentKind::kUnwritten) {
      Mapping part = segment.mapping().clipped(frame, stop);
      part.written = true;
      edit.replace(part, [](const Mapping&) {});
    }
    frame = stop;
  }
  ExtentVersion after = edit.version();

  // What no record reaches yet: the edges of fresh frames, the tail behind the old end, and the bytes for both.
  auto is_fresh = [&](uint64_t frame) { return before.find(frame).reads_zero(); };
  if (is_fresh(first_frame)) zero_in_frame(after, first_frame, 0, offset_in_frame(offset));
  if (offset_in_frame(end) != 0 && is_fresh(end_frame - 1)) {
    zero_in_frame(after, end_frame - 1, offset_in_frame(end), kFrameSize.value);
  }
  if (offset > old_size) zero_old_tail(inode, offset);
  std::vector<std::pair<uint64_t, uint64_t>> reachable;  // ranges of bytes that readers can see already
  for (uint64_t at = offset; at < end;) {
    Segment was = before.find(at >> kFrameShift);
    Segment is = after.find(at >> kFrameShift);
    uint64_t stop = std::min({end, end_byte(was), end_byte(is)});
    if (!was.reads_zero() && at < old_size) {
      stop = std::min(stop, old_size);
      reachable.emplace_back(at, stop);
    } else {
      store(from.subspan(at - offset, stop - at), is.pfn + FrameCount{(at >> kFrameShift) - is.first},
            offset_in_frame(at));
    }
    at = stop;
  }
  store_->device().fence();

  Transaction txn;
  for (const Extent& piece : reservation.pieces()) txn.claim(piece);
  InodeRecord record = current(inode);
  record.extents += static_cast<uint64_t>(record_extents(inode, before, after, first_frame, end_frame, txn));
  record.frames += reservation.frames().value;
  record.size = std::max(old_size, end);
  record.modified = record.changed = now();
  auto reservations = reservation.frames() > FrameCount{0} ? std::span(&reservation, 1) : std::span<Reservation>();
  DMAP_TRY(commit_inode(inode, record, txn, Purpose::kChange, reservations, [&] {
    edit.publish();
    inode.size.store(record.size, std::memory_order_release);  // after the map; pairs with the acquire in read()
  }));
  // What was reachable before is a plain overwrite, and comes last: a write that is refused has not touched it.
  for (auto [at, stop] : reachable) CHECK(overwrite(inode, from.subspan(at - offset, stop - at), at));
  return {};
}

}  // namespace dmap
