// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_DEVICE_MAPPING_H_
#define DMAP_DEVICE_MAPPING_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "device/device.h"
#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

/// The whole of a file mapped once, shared, at an address that lets the kernel use 2 MiB pages; unmapped with its
/// holder. A child of fork() does not get it (a half-copied cache helps nobody, and fork stays cheap), and a core dump
/// leaves it out.
class HostMapping {
 public:
  /// Maps the first `length` bytes of `fd`, a multiple of `grain`, at a multiple of `grain` and of 2 MiB.
  /// With MAP_SYNC where the file takes it. Needs nothing of the file to be in memory and reads none of it.
  /// Errors, about `name`: no_memory (address space, RLIMIT_AS), and what mmap says.
  static Result<HostMapping> create(int fd, Bytes length, Bytes grain, DeviceAccess access, std::string_view name);

  HostMapping(HostMapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), length_(other.length_), synchronous_(other.synchronous_) {}
  HostMapping& operator=(HostMapping&&) = delete;
  ~HostMapping();

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] Bytes length() const { return length_; }
  /// The file took MAP_SYNC: it is persistent memory, and written-back lines are durable without a system call.
  [[nodiscard]] bool synchronous() const { return synchronous_; }
  /// The page size at the start of the mapping, which it loads for this, asked of /proc/self/smaps; 4 KiB when in
  /// doubt. (The kernel does not show 2 MiB pages of fs-DAX there: those count as 4 KiB.)
  [[nodiscard]] Bytes page_size() const;

 private:
  HostMapping(std::byte* data, Bytes length, bool synchronous)
      : data_(data), length_(length), synchronous_(synchronous) {}

  std::byte* data_;
  Bytes length_;
  bool synchronous_;
};

/// Maps [at, at + length) of `fd` over whatever is at `where`, with the advice that a HostMapping gets.
Result<void> map_over(int fd, std::byte* where, Bytes at, Bytes length, DeviceAccess access, bool synchronous,
                      std::string_view name);

}  // namespace dmap

#endif  // DMAP_DEVICE_MAPPING_H_
