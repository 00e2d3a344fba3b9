// SPDX-License-Identifier: Apache-2.0
#include "frame/sparse_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <string>

#include "base/check.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace dmap {

SparseMemory::~SparseMemory() {
  if (data_ != nullptr) CHECK(munmap(data_, size_.value) == 0);
}

Result<SparseMemory> SparseMemory::create(Bytes size, Access access) {
  int protection = access == Access::kNone ? PROT_NONE : PROT_READ | PROT_WRITE;
  void* data = mmap(nullptr, size.value, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return std::unexpected(Error::from_errno(errno, "reserve", std::to_string(size.value) + " bytes of addresses",
                                             "see RLIMIT_AS, RLIMIT_DATA and vm.overcommit_memory"));
  }
  // Advice only: a kernel without huge pages refuses it, and does what we want anyhow.
  (void)madvise(data, size.value, MADV_NOHUGEPAGE);
  SparseMemory memory;
  memory.data_ = static_cast<std::byte*>(data);
  memory.size_ = size;
  return memory;
}

Result<void> SparseMemory::populate(Bytes from, Bytes length) {
  while (madvise(data_ + from.value, length.value, MADV_POPULATE_WRITE) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    return std::unexpected(Error::from_errno(errno, "populate", std::to_string(length.value) + " bytes"));
  }
  return {};
}

void SparseMemory::release(Bytes from, Bytes length) {
  CHECK(madvise(data_ + from.value, length.value, MADV_DONTNEED) == 0);
}

Result<void> SparseMemory::allow(Bytes from, Bytes length, int protection) {
  if (mprotect(data_ + from.value, length.value, protection) == 0) return {};
  return std::unexpected(Error::from_errno(errno, "protect", std::to_string(length.value) + " bytes",
                                           "see RLIMIT_DATA and vm.overcommit_memory"));
}

}  // namespace dmap
