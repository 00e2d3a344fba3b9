// SPDX-License-Identifier: Apache-2.0
//
// Address space that reads as zeros and costs memory only where it was written.
#ifndef DMAP_FRAME_SPARSE_MEMORY_H_
#define DMAP_FRAME_SPARSE_MEMORY_H_

#include <cstddef>
#include <utility>

#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

/// A private anonymous mapping without huge pages and without a claim on swap or commit. Move-only.
class SparseMemory {
 public:
  enum class Access { kNone, kReadWrite };

  SparseMemory() = default;
  SparseMemory(SparseMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, Bytes{})) {}
  SparseMemory& operator=(SparseMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~SparseMemory();

  /// Reserves `size` bytes. Errors: kNoMemory (address space, RLIMIT_AS, RLIMIT_DATA, strict overcommit).
  static Result<SparseMemory> create(Bytes size, Access access);

  /// Makes [from, from + length) really there, as ordinary memory, whole pages. The caller asked for room before.
  /// Errors: kNoMemory.
  [[nodiscard]] Result<void> populate(Bytes from, Bytes length);
  /// Gives the memory of [from, from + length) back, whole pages; it reads as zeros again.
  void release(Bytes from, Bytes length);
  /// Changes what may be done there, whole pages. Errors: kNoMemory (RLIMIT_DATA, strict overcommit).
  [[nodiscard]] Result<void> allow(Bytes from, Bytes length, int protection);

  [[nodiscard]] std::byte* data() const { return data_; }
  template <typename T>
  [[nodiscard]] T* as() const {
    return reinterpret_cast<T*>(data_);  // zeros are a valid T wherever this is used
  }

 private:
  std::byte* data_ = nullptr;
  Bytes size_;
};

}  // namespace dmap

#endif  // DMAP_FRAME_SPARSE_MEMORY_H_
