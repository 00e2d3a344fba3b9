// SPDX-License-Identifier: Apache-2.0
//
// Reading in place: no lock, no descriptor.
//
// A reader loads `size`, then `tiny`, then the extent map. A writer that grows a file shows the map first, then takes
// `tiny` away, then stores `size`: so whoever sees the new size sees what lies below it. A writer that shrinks a file
// stores `size` first; a reader in between may find a hole where its older size promised bytes: whoever read zeros
// looks whether the file kept its shape, and reads again if not. Frames that leave the map keep their bytes until the
// reader's section closes, because they are not reused before a grace period has passed (X2).
#include <algorithm>
#include <cstring>

#include "base/shared_bytes.h"
#include "dmap/file.h"
#include "volume/core.h"

namespace dmap {
namespace {

/// So often a read is tried beside changes of the file's shape before it takes the lock that keeps them out.
constexpr int kAttempts = 8;

/// The part of [offset, offset + length) that lies in `segment`, in bytes: length from `offset` on.
uint64_t length_within(const Segment& segment, uint64_t offset, uint64_t length) {
  return std::min(length, end_byte(segment) - offset);
}

/// Where byte `offset` of the file is, if `segment` maps it.
Bytes place_within(const Segment& segment, uint64_t offset) {
  return place_of(segment.pfn) + Bytes{offset - (segment.first << kFrameShift)};
}

/// Whether all of a copy were bytes that are stored, or some of it zeros that are not.
enum class Copied : uint8_t { kBytes, kZerosToo };

Copied copy_tiny(const InlineData& tiny, std::span<std::byte> into, uint64_t offset) {
  auto from = tiny.span().subspan(std::min<uint64_t>(offset, tiny.size));
  uint64_t there = std::min(into.size(), from.size());
  std::memcpy(into.data(), from.data(), there);
  std::memset(into.data() + there, 0, into.size() - there);
  return there == into.size() ? Copied::kBytes : Copied::kZerosToo;
}

Copied copy_frames(const Device& device, const ExtentVersion& version, std::span<std::byte> into, uint64_t offset) {
  Copied copied = Copied::kBytes;
  while (!into.empty()) {
    Segment segment = version.find(offset >> kFrameShift);
    uint64_t length = length_within(segment, offset, into.size());
    if (segment.reads_zero()) {
      std::memset(into.data(), 0, length);
      copied = Copied::kZerosToo;
    } else {
      load_shared(into.data(), device.address(place_within(segment, offset)), length);
    }
    into = into.subspan(length);
    offset += length;
  }
  return copied;
}

}  // namespace

std::optional<uint64_t> VolumeCore::read_section(Inode& inode, std::span<std::byte> into, uint64_t at) {
  RcuReadSection section;
  // acquire: what lies below the size; pairs with the release in Inode's writers
  const uint64_t size = inode.size.load(std::memory_order_acquire);
  if (at >= size) return 0;
  auto part = into.first(std::min({into.size(), size - at, kSectionBytes}));
  // acquire: its bytes; pairs with the release in show_tiny()
  const InlineData* tiny = inode.tiny.load(std::memory_order_acquire);
  const ExtentVersion version = inode.extents.version();
  Copied copied = tiny != nullptr ? copy_tiny(*tiny, part, at) : copy_frames(store_->device(), version, part, at);
  if (copied == Copied::kBytes) return part.size();
  // Zeros: of a hole if the file kept its shape, else perhaps of bytes that a truncate took away after `size` was
  // loaded.
  bool same = inode.size.load(std::memory_order_acquire) == size &&
              inode.tiny.load(std::memory_order_acquire) == tiny && inode.extents.version() == version;
  return same ? std::optional(part.size()) : std::nullopt;
}

Result<Bytes> VolumeCore::read(Inode& inode, std::span<std::byte> into, Offset offset) {
  DMAP_TRY(ensure_loaded(inode));
  uint64_t done = 0;
  while (done < into.size() && offset.value + done >= offset.value) {
    std::optional<uint64_t> got;
    for (int attempt = 0; attempt < kAttempts && !got; ++attempt) {
      got = read_section(inode, into.subspan(done), offset.value + done);
    }
    if (!got) {
      // Its shape changes all the time: not while we hold the lock.
      MutexLock lock(inode.mutex);
      got = read_section(inode, into.subspan(done), offset.value + done);
    }
    if (got.value_or(0) == 0) break;
    done += *got;
  }
  note_access(inode);
  return Bytes{done};
}

Result<Offset> VolumeCore::seek(Inode& inode, Offset offset, SegmentKind wanted) {
  DMAP_TRY(ensure_loaded(inode));
  RcuReadSection section;
  uint64_t size = inode.size.load(std::memory_order_acquire);  // acquire: as in read()
  if (offset.value >= size)
    return fail(Code::kOutOfRange, "seek", "offset " + std::to_string(offset.value), "it is behind the end");
  bool for_data = wanted == SegmentKind::kWritten;
  if (inode.tiny.load(std::memory_order_acquire) != nullptr) {  // acquire: as in read()
    return for_data ? offset : Offset{size};
  }
  ExtentVersion version = inode.extents.version();
  uint64_t frame = offset.value >> kFrameShift;
  uint64_t there = for_data ? version.next_data(frame) : version.next_hole(frame);
  uint64_t at = there >= kFileFrames ? size : std::max(offset.value, there << kFrameShift);
  if (at >= size && for_data)
    return fail(Code::kOutOfRange, "seek", "offset " + std::to_string(offset.value), "no data follows");
  return Offset{std::min(at, size)};
}

Result<std::vector<File::Fragment>> VolumeCore::fragments(Inode& inode, Offset offset, size_t extents_max) {
  DMAP_TRY(ensure_loaded(inode));
  std::vector<File::Fragment> fragments;
  RcuReadSection section;
  uint64_t first = offset.value >> kFrameShift;
  inode.extents.version().for_each(first, kFileFrames - first, [&](const Mapping& mapping) {
    if (fragments.size() == extents_max) return Visit::kStop;
    fragments.push_back({.offset = mapping.file_frame << kFrameShift,
                         .extent = {mapping.pfn, FrameCount{mapping.frames}},
                         .written = mapping.written});
    return Visit::kMore;
  });
  return fragments;
}

struct View::State {
  std::vector<std::span<const std::byte>> pieces;
  std::vector<ViewSlot> slots;
  std::unique_ptr<InlineData> copy;  // of a tiny file
  Bytes size;
};

View::View() = default;
View::View(std::unique_ptr<State> state) : state_(std::move(state)) {}
View::View(View&&) noexcept = default;
View& View::operator=(View&&) noexcept = default;
View::~View() = default;

std::span<const std::span<const std::byte>> View::pieces() const {
  return state_ ? std::span<const std::span<const std::byte>>(state_->pieces)
                : std::span<const std::span<const std::byte>>();
}

Bytes View::size() const { return state_ ? state_->size : Bytes{}; }

Result<View> VolumeCore::view(Inode& inode, Offset offset, Bytes length) {
  DMAP_TRY(ensure_loaded(inode));
  auto state = std::make_unique<View::State>();
  // Slots are published inside the section in which the extents were resolved: see frame/view_slots.h.
  RcuReadSection section;
  uint64_t size = inode.size.load(std::memory_order_acquire);  // acquire: as in read()
  uint64_t at = std::min(offset.value, size);
  uint64_t left = std::min(length.value, size - at);
  if (const InlineData* tiny = inode.tiny.load(std::memory_order_acquire)) {  // acquire: as in read()
    left = std::min<uint64_t>(left, tiny->size > at ? tiny->size - at : 0);   // it may have shrunk since
    state->copy = std::make_unique<InlineData>();
    state->copy->size = static_cast<uint32_t>(left);
    copy_tiny(*tiny, std::span(state->copy->bytes).first(left), at);
    if (left > 0) state->pieces.push_back(state->copy->span());
    state->size = Bytes{left};
    left = 0;
  }
  state->size += Bytes{left};
  ExtentVersion version = inode.extents.version();
  while (left > 0) {
    Segment segment = version.find(at >> kFrameShift);
    uint64_t here = length_within(segment, at, left);
    if (state->pieces.size() == views_.views_max()) {
      return fail(Code::kTooManyViews, "view", "range", "it is in more pieces than OpenOptions::views_max");
    }
    if (segment.reads_zero()) {
      here = std::min<uint64_t>(here, zeros_.size());
      state->pieces.push_back(zeros_.first(here));
    } else {
      Bytes place = place_within(segment, at);
      Pfn first = make_pfn(kHomeDevice, frames_within(place).value);
      FrameCount frames = frames_covering(Bytes{(at & (kFrameSize.value - 1)) + here});
      state->slots.push_back(DMAP_TRY(views_.take({first, frames})));
      state->pieces.emplace_back(store_->device().address(place), here);
    }
    at += here;
    left -= here;
  }
  note_access(inode);
  return View(std::move(state));
}

}  // namespace dmap
