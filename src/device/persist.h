// SPDX-License-Identifier: Apache-2.0
//
// The flush layer: how bytes reach mapped memory, and how they get from the CPU's caches to the medium.
// On x86-64 with non-temporal stores and the best line write-back that the CPU has; elsewhere with plain copies.
#ifndef DMAP_DEVICE_PERSIST_H_
#define DMAP_DEVICE_PERSIST_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "device/traits.h"

namespace dmap {

inline constexpr size_t kCacheLine = 64;

/// On media that need no line write-back, shorter runs are copied with ordinary stores. Measured on an EPYC with
/// AVX-512, at random places of tmpfs, each copy fenced: 64 B cost 17 ns against 104, 512 B 50 against 120, 1 KiB about
/// the same, 64 KiB 2.4 us against 1.8; and what bypasses the cache evicts nothing from it.
inline constexpr size_t kStreamingMin = 2048;

/// The instruction that writes a cache line back, best first.
enum class LineWriteBack : uint8_t { kClwb, kClflushopt, kClflush, kNone };

/// What this CPU has (CPUID leaf 7 and 1). kNone: line-flush media cannot be made durable from here.
LineWriteBack best_line_write_back();

/// Puts bytes into mapped memory of one kind. A value without state to share: any thread, any time.
/// Aligned 8-byte words stay whole, as base/shared_bytes.h has it. Under the sanitizers, which do not see into
/// streaming stores, it copies as that does, so that overflows and races are found.
class LineWriter {
 public:
  /// `write_back` is what the CPU can do, `persistence` what the medium asks.
  LineWriter(Persistence persistence, LineWriteBack write_back);

  /// Starts writing back every line that touches [at, at + length). Nothing unless the medium asks for it.
  void flush(const std::byte* at, size_t length) const {
    if (write_back_ != LineWriteBack::kNone) write_back_lines(at, length);
  }

  /// Copies or zeroes; after fence() the bytes are on their way to the medium as by flush(). Any alignment, any length.
  /// The ranges must not overlap. On media that need no write-back, a run long enough to be streamed is fenced at once:
  /// so fence() has nothing to wait for there, and a short store costs what memcpy costs.
  void copy(std::byte* to, std::span<const std::byte> from) const;
  void zero(std::byte* to, size_t length) const;

  /// Orders this thread's stores and write-backs before its later stores, for the CPUs and for the medium.
  void fence() const {
    if (write_back_ != LineWriteBack::kNone) store_fence();
    // release: streaming stores were fenced where they were made, the others x86 keeps in order, the compiler too by
    // this; pairs with the acquire load of whoever reads the word that publishes these bytes
    std::atomic_thread_fence(std::memory_order_release);
  }

 private:
  void write_back_lines(const std::byte* at, size_t length) const;
  static void store_fence();

  using CopyLines = void (*)(std::byte* to, const std::byte* from, size_t length);
  using ZeroLines = void (*)(std::byte* to, size_t length);

  LineWriteBack write_back_;  // kNone unless the medium asks
  size_t streaming_min_;      // shorter runs are stored the ordinary way
  CopyLines copy_lines_;      // `to` and `length` are multiples of a line
  ZeroLines zero_lines_;
};

}  // namespace dmap

#endif  // DMAP_DEVICE_PERSIST_H_
