// SPDX-License-Identifier: Apache-2.0
//
// The numbers of dmap, each with a type of its own: bytes, frames, page frame numbers, extents.
#ifndef DMAP_TYPES_H_
#define DMAP_TYPES_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace dmap {

/// A number of bytes: a length, a size, or a place on one device.
struct Bytes {
  uint64_t value = 0;

  constexpr Bytes() = default;
  constexpr explicit Bytes(uint64_t bytes) : value(bytes) {}

  friend constexpr auto operator<=>(Bytes, Bytes) = default;
  friend constexpr Bytes operator+(Bytes a, Bytes b) { return Bytes{a.value + b.value}; }
  friend constexpr Bytes operator-(Bytes a, Bytes b) { return Bytes{a.value - b.value}; }
  friend constexpr Bytes operator*(Bytes a, uint64_t n) { return Bytes{a.value * n}; }
  constexpr Bytes& operator+=(Bytes b) { return value += b.value, *this; }
  constexpr Bytes& operator-=(Bytes b) { return value -= b.value, *this; }
};

/// A place in a file, in bytes from its start. Plain integers convert, so `file.view(0, 4_KiB)` reads as it should.
struct Offset {
  uint64_t value = 0;

  constexpr Offset() = default;
  constexpr Offset(uint64_t bytes) : value(bytes) {}     // NOLINT(google-explicit-constructor)
  constexpr Offset(Bytes bytes) : value(bytes.value) {}  // NOLINT(google-explicit-constructor)

  friend constexpr auto operator<=>(Offset, Offset) = default;
  friend constexpr Offset operator+(Offset a, Bytes b) { return Offset{a.value + b.value}; }
  friend constexpr Bytes operator-(Offset a, Offset b) { return Bytes{a.value - b.value}; }
};

inline namespace literals {
constexpr Bytes operator""_B(unsigned long long n) { return Bytes{n}; }
constexpr Bytes operator""_KiB(unsigned long long n) { return Bytes{n << 10}; }
constexpr Bytes operator""_MiB(unsigned long long n) { return Bytes{n << 20}; }
constexpr Bytes operator""_GiB(unsigned long long n) { return Bytes{n << 30}; }
constexpr Bytes operator""_TiB(unsigned long long n) { return Bytes{n << 40}; }
constexpr Bytes operator""_PiB(unsigned long long n) { return Bytes{n << 50}; }
}  // namespace literals

inline constexpr unsigned kFrameShift = 12;
/// The size of a page frame.
inline constexpr Bytes kFrameSize{uint64_t{1} << kFrameShift};
/// Frames in a large frame: an aligned run of 2 MiB.
inline constexpr uint64_t kLargeFrames = 512;

/// A number of page frames (4 KiB each).
struct FrameCount {
  uint64_t value = 0;

  constexpr FrameCount() = default;
  constexpr explicit FrameCount(uint64_t frames) : value(frames) {}

  friend constexpr auto operator<=>(FrameCount, FrameCount) = default;
  friend constexpr FrameCount operator+(FrameCount a, FrameCount b) { return FrameCount{a.value + b.value}; }
  friend constexpr FrameCount operator-(FrameCount a, FrameCount b) { return FrameCount{a.value - b.value}; }
  constexpr FrameCount& operator+=(FrameCount b) { return value += b.value, *this; }
  constexpr FrameCount& operator-=(FrameCount b) { return value -= b.value, *this; }
};

/// The one place that turns frames into bytes, and back.
constexpr Bytes bytes_of(FrameCount frames) { return Bytes{frames.value << kFrameShift}; }
constexpr FrameCount frames_within(Bytes bytes) { return FrameCount{bytes.value >> kFrameShift}; }
constexpr FrameCount frames_covering(Bytes bytes) {
  return FrameCount{(bytes.value >> kFrameShift) + ((bytes.value & (kFrameSize.value - 1)) != 0 ? 1 : 0)};
}

/// The number of a device in its volume: never reused, so a pfn never changes its meaning.
enum class DeviceNumber : uint16_t {};

/// A page frame of a volume: the device's number in the top 16 bits, the frame's index within that device below
/// (48 bits, so one device holds up to 1 EiB).
enum class Pfn : uint64_t {};

inline constexpr unsigned kPfnIndexBits = 48;
inline constexpr uint64_t kPfnIndexMask = (uint64_t{1} << kPfnIndexBits) - 1;

constexpr Pfn make_pfn(DeviceNumber device, uint64_t index) {
  return Pfn{(static_cast<uint64_t>(device) << kPfnIndexBits) | (index & kPfnIndexMask)};
}
constexpr DeviceNumber device_of(Pfn pfn) {
  return DeviceNumber{static_cast<uint16_t>(static_cast<uint64_t>(pfn) >> kPfnIndexBits)};
}
/// The frame's index within its device.
constexpr uint64_t index_of(Pfn pfn) { return static_cast<uint64_t>(pfn) & kPfnIndexMask; }
/// The frame's first byte, counted from the start of its device.
constexpr Bytes place_of(Pfn pfn) { return Bytes{index_of(pfn) << kFrameShift}; }
constexpr Pfn operator+(Pfn pfn, FrameCount frames) { return Pfn{static_cast<uint64_t>(pfn) + frames.value}; }

/// A run of frames [first, first + count) on one device; count > 0 wherever an extent is handed over.
struct Extent {
  Pfn first{};
  FrameCount count;

  friend constexpr bool operator==(Extent, Extent) = default;
  constexpr Pfn end() const { return first + count; }
  constexpr bool contains(Pfn pfn) const { return pfn >= first && pfn < end(); }
};

/// Whether the blocks behind a new file are allocated for real. kSparse is for trials with large volumes: a host disk
/// that fills up later shows as a SIGBUS or an I/O error in the middle of use.
enum class Allocation : uint8_t { kReal, kSparse };

/// Whether content that is there already may be replaced.
enum class Overwrite : uint8_t { kNo, kYes };

/// Told how far a long operation is (in its own unit); answers false to stop it.
using Progress = std::function<bool(uint64_t done, uint64_t total)>;

}  // namespace dmap

#endif  // DMAP_TYPES_H_
