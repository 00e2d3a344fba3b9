// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_EXTENT_SPARSE_ARRAY_H_
#define DMAP_EXTENT_SPARSE_ARRAY_H_

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "dmap/result.h"

namespace dmap {

/// An array of zeros in address space; only the 4 KiB pages that are written take memory. The zero must mean "as
/// nobody touched it", so an array for a petabyte costs nothing until it is used.
/// Not thread safe: its owner's lock covers it.
template <typename T>
class SparseArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  /// Errors: no_memory, when the address space is used up.
  [[nodiscard]] static Result<SparseArray> create(uint64_t count) {
    void* base =
        ::mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return std::unexpected(Error::from_errno(errno, "reserve", "address space"));
    return SparseArray(static_cast<T*>(base), count);
  }

  SparseArray(SparseArray&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  SparseArray& operator=(SparseArray&& other) = delete;
  ~SparseArray() {
    if (base_ != nullptr) ::munmap(static_cast<void*>(base_), count_ * sizeof(T));
  }

  T& operator[](uint64_t index) { return base_[index]; }
  const T& operator[](uint64_t index) const { return base_[index]; }

 private:
  SparseArray(T* base, uint64_t count) : base_(base), count_(count) {}

  T* base_;
  uint64_t count_;
};

}  // namespace dmap

#endif  // DMAP_EXTENT_SPARSE_ARRAY_H_
