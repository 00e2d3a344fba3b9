// SPDX-License-Identifier: Apache-2.0
#include "device/mapping.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>

#include "base/bits.h"
#include "base/check.h"

namespace dmap {
namespace {

constexpr Bytes kLargePage = bytes_of(FrameCount{kLargeFrames});

/// Address space of which nothing can be loaded yet.
Result<std::byte*> reserve(Bytes length, std::string_view name) {
  void* start = ::mmap(nullptr, length.value, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return std::unexpected(Error::from_errno(errno, "map", name));
  return static_cast<std::byte*>(start);
}

void unmap(std::byte* start, const std::byte* end) {
  if (start != end) CHECK(::munmap(start, static_cast<size_t>(end - start)) == 0);
}

/// What follows a smaps line's `key`, in bytes; 0 if this is another line.
Bytes smaps_value(const std::string& line, std::string_view key) {
  uint64_t kib = 0;
  bool found = line.starts_with(key) && std::sscanf(line.c_str() + key.size(), "%" SCNu64, &kib) == 1;
  return Bytes{found ? kib << 10 : 0};
}

}  // namespace

Result<void> map_over(int fd, std::byte* where, Bytes at, Bytes length, DeviceAccess access, bool synchronous,
                      std::string_view name) {
  int protection = access == DeviceAccess::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  int sharing = synchronous ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
  void* mapped = ::mmap(where, length.value, protection, sharing | MAP_FIXED, fd, static_cast<off_t>(at.value));
  if (mapped == MAP_FAILED) return std::unexpected(Error::from_errno(errno, "map", name));
  // Advice: a kernel or a file system that refuses it leaves a mapping that works.
  ::madvise(where, length.value, MADV_HUGEPAGE);
  ::madvise(where, length.value, MADV_DONTFORK);
  ::madvise(where, length.value, MADV_DONTDUMP);
  return {};
}

Result<HostMapping> HostMapping::create(int fd, Bytes length, Bytes grain, DeviceAccess access, std::string_view name) {
  CHECK(length > Bytes{0} && length.value % grain.value == 0);
  Bytes alignment = std::max(grain, kLargePage);
  std::byte* reserved = DMAP_TRY(reserve(length + alignment, name));
  std::byte* reserved_end = reserved + (length + alignment).value;
  auto place = reinterpret_cast<uintptr_t>(reserved);
  std::byte* data = reserved + (round_up(place, alignment.value) - place);

  bool synchronous = map_over(fd, data, Bytes{0}, length, access, true, name).has_value();
  if (!synchronous) {
    if (auto plain = map_over(fd, data, Bytes{0}, length, access, false, name); !plain) {
      unmap(reserved, reserved_end);
      return std::unexpected(std::move(plain).error());
    }
  }
  unmap(reserved, data);
  unmap(data + length.value, reserved_end);
  return HostMapping(data, length, synchronous);
}

HostMapping::~HostMapping() {
  if (data_ != nullptr) unmap(data_, data_ + length_.value);
}

Bytes HostMapping::page_size() const {
  ::madvise(data_, kFrameSize.value, MADV_POPULATE_READ);  // a load that reports failure instead of raising SIGBUS
  auto place = reinterpret_cast<uintptr_t>(data_);
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  for (bool ours = false; std::getline(smaps, line);) {
    uintptr_t first = 0;
    uintptr_t end = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &first, &end) == 2) {
      if (ours) break;
      ours = first <= place && place < end;
    }
    if (!ours) continue;
    if (Bytes kernel_page = smaps_value(line, "KernelPageSize:"); kernel_page > kFrameSize) return kernel_page;
    if (smaps_value(line, "ShmemPmdMapped:") > Bytes{0} || smaps_value(line, "FilePmdMapped:") > Bytes{0}) {
      return kLargePage;
    }
  }
  return kFrameSize;
}

}  // namespace dmap
