// SPDX-License-Identifier: Apache-2.0
//
// Device: memory or storage that holds frames. Loads from the mapped part go straight to its memory; every store goes
// through the device, so that a test device can record, reorder and cut them.
#ifndef DMAP_DEVICE_DEVICE_H_
#define DMAP_DEVICE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "device/traits.h"
#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

/// What an open device or a window of it may be used for.
enum class DeviceAccess : uint8_t { kReadOnly, kReadWrite };

enum class Direction : uint8_t {
  kRead,   // from the device into memory
  kWrite,  // from memory to the device
};

/// One piece of a submit(): `length` bytes between the device at `at` and `memory`.
struct Transfer {
  Bytes at;
  std::byte* memory = nullptr;
  Bytes length;
  Direction direction = Direction::kRead;
};

/// Any thread may call anything at any time. Stores by two threads to the same bytes leave each aligned 8-byte word as
/// one of them wrote it (base/shared_bytes.h); who wants more takes a lock.
/// A range outside the device, or a store to a device opened read-only or to a part without an address, is a defect of
/// the caller and a CHECK. What the world does wrong, only barrier(), submit() and map_at() can report
/// (a medium that fails under a load or store raises SIGBUS).
class Device {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  [[nodiscard]] const Traits& traits() const { return traits_; }
  /// The path, or the label that the maker gave.
  [[nodiscard]] const std::string& name() const { return name_; }

  /// The first byte, or null if nothing is mapped. Stays valid and in place for the device's life.
  [[nodiscard]] const std::byte* data() const { return data_; }
  /// The byte at `at`, or null where the CPU has no address for it.
  [[nodiscard]] const std::byte* address(Bytes at) const {
    return at < bytes_of(traits_.cpu_mapped) ? data_ + at.value : nullptr;
  }

  // Stores to the mapped part. None of them is ordered or durable by itself: on kLineFlush media, store() and
  // store_word() take flush() then fence(), and the streaming ones take fence(); on kSync media all take barrier().

  /// Ordinary cached stores. An aligned 8-byte word that is wholly covered is not torn.
  virtual void store(Bytes at, std::span<const std::byte> from) = 0;
  /// One atomic store of eight bytes at a multiple of eight, released: whoever acquires the word sees what this
  /// thread stored before it, streaming stores included if fence() came between.
  virtual void store_word(Bytes at, uint64_t word) = 0;
  /// Bulk stores that need no flush() and bypass the cache where that is faster.
  virtual void store_streaming(Bytes at, std::span<const std::byte> from) = 0;
  virtual void zero_streaming(Bytes at, Bytes length) = 0;
  /// Starts writing back the cache lines that touch the range. Does nothing on media other than kLineFlush.
  virtual void flush(Bytes at, Bytes length) = 0;
  /// This thread's stores and flushes before it come before its stores after it, for the CPUs and for the medium.
  virtual void fence() = 0;

  /// On return everything stored before the call, by threads that fenced before it, is as durable as the medium gets.
  /// kSync: one system call that blocks for the medium. kLineFlush and kNone: a fence.
  /// Errors: what the medium says. A failed barrier stays failed, because the kernel may have dropped what it could
  /// not write: every later one fails too.
  [[nodiscard]] virtual Result<void> barrier() = 0;

  /// Moves all pieces, in no particular order, and returns when the last is done; written pieces are then ordered as
  /// by fence(). The only way to the part without an address; works on the mapped part too.
  /// Errors: read_only, io; after an error any of the pieces may have been moved, wholly or in part.
  [[nodiscard]] virtual Result<void> submit(std::span<const Transfer> transfers) = 0;

  /// Puts a second view of [at, at + length) at `where`, in place of whatever was mapped there (MAP_FIXED). All three
  /// are multiples of map_grain. The caller unmaps it; it may outlive the device. A child of fork() does not get it.
  /// Errors: not_supported without a mapped part, read_only, no_memory (too many mappings).
  [[nodiscard]] virtual Result<void> map_at(std::byte* where, Bytes at, Bytes length, DeviceAccess access);

 protected:
  Device(std::string name, Traits traits, const std::byte* data)
      : name_(std::move(name)), traits_(std::move(traits)), data_(data) {}

 private:
  const std::string name_;
  const Traits traits_;
  const std::byte* const data_;
};

}  // namespace dmap

#endif  // DMAP_DEVICE_DEVICE_H_
