// SPDX-License-Identifier: Apache-2.0
//
// Pins. The range is resolved and counted under the inode's lock, under which every truncate of this file runs too, so
// that neither can miss the other (X3): a truncate that comes first has changed the extents that we resolve, one that
// comes later finds our counts when the freed frames are looked at.
#include "volume/core.h"

namespace dmap {

struct Pin::State {
  std::vector<Exposure> holds;
  std::vector<Piece> pieces;
  Bytes size;
};

Pin::Pin() = default;
Pin::Pin(std::unique_ptr<State> state) : state_(std::move(state)) {}
Pin::Pin(Pin&&) noexcept = default;
Pin& Pin::operator=(Pin&&) noexcept = default;
Pin::~Pin() = default;

std::span<const Piece> Pin::pieces() const {
  return state_ ? std::span<const Piece>(state_->pieces) : std::span<const Piece>();
}

Bytes Pin::size() const { return state_ ? state_->size : Bytes{}; }

Result<Pin> VolumeCore::pin(Inode& inode, Offset offset, Bytes length) {
  auto range = [&] {
    return "[" + std::to_string(offset.value) + ", " + std::to_string(offset.value + length.value) + ")";
  };
  if (length == Bytes{0}) return fail(Code::kInvalid, "pin", range(), "the length is zero");
  MutexLock lock(inode.mutex);
  DMAP_TRY(load_extents(inode));
  if (offset.value >= inode.record.size || length.value > inode.record.size - offset.value) {
    return fail(Code::kOutOfRange, "pin", range(), "the file has " + std::to_string(inode.record.size) + " bytes");
  }
  // A device must find frames, and nothing in them that other files left.
  if (inode.tiny.load(std::memory_order_relaxed) != nullptr) {
    DMAP_TRY(writable());  // its bytes are in the tree, and only a change puts them into a frame
    DMAP_TRY(move_to_frames(inode));
  }
  DMAP_TRY(make_written(inode, offset.value >> kFrameShift, frames_covering(length + Bytes{offset.value}).value));

  auto state = std::make_unique<Pin::State>();
  state->size = length;
  uint64_t at = offset.value;
  const uint64_t end = offset.value + length.value;
  while (at < end) {
    Segment segment;
    {
      RcuReadSection section;
      segment = inode.extents.find(at >> kFrameShift);
    }
    if (segment.is_hole()) {
      return fail(Code::kInvalid, "pin", range(),
                  "there is a hole at " + std::to_string(at) + "; File::allocate() fills it");
    }
    uint64_t here = std::min(end, end_byte(segment)) - at;
    Mapping part = segment.mapping().clipped(at >> kFrameShift, frames_covering(Bytes{at + here}).value);
    state->holds.push_back(DMAP_TRY(table_->expose({part.pfn, FrameCount{part.frames}}, Owner::kFileStore)));
    Bytes place = place_of(part.pfn) + Bytes{at & (kFrameSize.value - 1)};
    state->pieces.push_back({.device = device_of(part.pfn),
                             .offset = place,
                             .length = Bytes{here},
                             .address = const_cast<std::byte*>(store_->device().address(place))});
    at += here;
  }
  return Pin(std::move(state));
}

}  // namespace dmap
