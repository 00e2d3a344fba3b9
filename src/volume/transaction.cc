// SPDX-License-Identifier: Apache-2.0
#include "volume/transaction.h"

#include <cstring>

#include "base/check.h"

namespace dmap {
namespace {

// A word: tag (1 byte), size of the value (2 bytes, kPut only), then the key or the extent (16 bytes), then the value.
constexpr uint8_t kPut = 1;
constexpr uint8_t kErase = 2;
constexpr uint8_t kClaim = 3;
constexpr uint8_t kRelease = 4;
constexpr uint8_t kZone = 5;

static_assert(sizeof(Key) == 16 && sizeof(Extent) == 16 && sizeof(Counters) == 16);

template <typename T>
std::span<const std::byte> bytes_of_object(const T& object) {
  return std::as_bytes(std::span(&object, 1));
}

std::unexpected<Error> bad_words() {
  return fail(Code::kCorrupt, "replay", "journal record", "its words make no sense");
}

}  // namespace

Transaction::Transaction() {
  bytes_.reserve(512);
  bytes_.resize(sizeof(Counters));
}

void Transaction::word(uint8_t tag, std::span<const std::byte> fixed, std::span<const std::byte> value) {
  bytes_.push_back(std::byte{tag});
  if (tag == kPut) {
    CHECK(value.size() <= kValueMax);
    auto size = static_cast<uint16_t>(value.size());
    auto words = bytes_of_object(size);
    bytes_.insert(bytes_.end(), words.begin(), words.end());
  }
  bytes_.insert(bytes_.end(), fixed.begin(), fixed.end());
  bytes_.insert(bytes_.end(), value.begin(), value.end());
}

void Transaction::put(const Key& key, std::span<const std::byte> value) {
  word(kPut, bytes_of_object(key), value);
  note_area(key);
}

void Transaction::erase(const Key& key) {
  word(kErase, bytes_of_object(key));
  note_area(key);
}

void Transaction::note_area(const Key& key) {
  // Neighbours of one object and kind: parts, extents, in ascending order. Hashes as offsets lie far apart.
  constexpr uint64_t kNear = uint64_t{1} << 40;
  bool near = key_changes_ > 0 && key.object == last_key_.object && kind_of(key) == kind_of(last_key_) &&
              offset_of(key) - offset_of(last_key_) < kNear;
  if (!near) ++key_areas_;
  ++key_changes_;
  last_key_ = key;
}

void Transaction::frames(uint8_t tag, Extent extent) {
  CHECK(extent.count > FrameCount{0});
  word(tag, bytes_of_object(extent));
  ++frame_changes_;
  frames_changed_ += extent.count.value;
}

void Transaction::claim(Extent extent) { frames(kClaim, extent); }

void Transaction::release(Extent extent) { frames(kRelease, extent); }

void Transaction::add_zone(Extent extent) { frames(kZone, extent); }

std::span<const std::byte> Transaction::seal(const Counters& counters) {
  std::memcpy(bytes_.data(), &counters, sizeof counters);
  return bytes_;
}

Result<TransactionReader> TransactionReader::open(std::span<const std::byte> payload) {
  if (payload.size() < sizeof(Counters)) return bad_words();
  Counters counters;
  std::memcpy(&counters, payload.data(), sizeof counters);
  return TransactionReader(counters, payload.subspan(sizeof counters));
}

Result<Change> TransactionReader::next() {
  auto tag = static_cast<uint8_t>(rest_[0]);
  size_t head = tag == kPut ? 3 : 1;
  if (rest_.size() < head + 16) return bad_words();
  uint16_t size = 0;
  if (tag == kPut) std::memcpy(&size, rest_.data() + 1, sizeof size);
  if (size > kValueMax || rest_.size() < head + 16 + size) return bad_words();
  const std::byte* fixed = rest_.data() + head;
  std::span<const std::byte> value = rest_.subspan(head + 16, size);
  rest_ = rest_.subspan(head + 16 + size);

  Key key;
  Extent extent;
  std::memcpy(&key, fixed, sizeof key);
  std::memcpy(&extent, fixed, sizeof extent);
  bool frames = tag == kClaim || tag == kRelease || tag == kZone;
  if (frames && (extent.count == FrameCount{0} || extent.count.value > kPfnIndexMask)) return bad_words();
  switch (tag) {
    case kPut: return PutKey{key, value};
    case kErase: return EraseKey{key};
    case kClaim: return ClaimFrames{extent};
    case kRelease: return ReleaseFrames{extent};
    case kZone: return AddZone{extent};
    default: return bad_words();
  }
}

}  // namespace dmap
