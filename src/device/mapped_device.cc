// SPDX-License-Identifier: Apache-2.0
#include "device/mapped_device.h"

#include <utility>

#include "base/check.h"
#include "base/shared_bytes.h"

namespace dmap {

MappedDevice::MappedDevice(std::string name, Traits traits, OwnedFd file, HostMapping mapping, DeviceAccess access)
    : Device(std::move(name), std::move(traits), mapping.data()),
      file_(std::move(file)),
      mapping_(std::move(mapping)),
      writer_(this->traits().persistence, best_line_write_back()),
      access_(access),
      size_(bytes_of(this->traits().frames)),
      storable_(access == DeviceAccess::kReadWrite ? size_ : Bytes{0}) {
  CHECK(size_ <= mapping_.length());
}

std::byte* MappedDevice::target(Bytes at, uint64_t length) {
  CHECK(length <= storable_.value && at.value <= storable_.value - length);  // else: outside, or opened read-only
  return mapping_.data() + at.value;
}

void MappedDevice::check_inside(Bytes at, Bytes length) const { CHECK(length <= size_ && at <= size_ - length); }

void MappedDevice::store(Bytes at, std::span<const std::byte> from) {
  std::byte* to = target(at, from.size());
  store_shared(to, from.data(), from.size());
}

void MappedDevice::store_word(Bytes at, uint64_t word) {
  CHECK(at.value % sizeof(word) == 0);
  auto* to = reinterpret_cast<uint64_t*>(target(at, sizeof(word)));
  // release: publishes what the word stands for; pairs with the acquire load of whoever reads it in place
  __atomic_store_n(to, word, __ATOMIC_RELEASE);
}

void MappedDevice::store_streaming(Bytes at, std::span<const std::byte> from) {
  writer_.copy(target(at, from.size()), from);
}

void MappedDevice::zero_streaming(Bytes at, Bytes length) { writer_.zero(target(at, length.value), length.value); }

void MappedDevice::flush(Bytes at, Bytes length) { writer_.flush(target(at, length.value), length.value); }

Result<void> MappedDevice::barrier() {
  fence();
  return {};
}

Result<void> MappedDevice::submit(std::span<const Transfer> transfers) {
  for (const Transfer& transfer : transfers) {
    check_inside(transfer.at, transfer.length);
    if (transfer.direction == Direction::kRead) {
      load_shared(transfer.memory, data() + transfer.at.value, transfer.length.value);
    } else if (access_ == DeviceAccess::kReadOnly) {
      return fail(Code::kReadOnly, "write", name(), "the device was opened read-only");
    } else {
      store_streaming(transfer.at, {transfer.memory, transfer.length.value});
    }
  }
  fence();
  return {};
}

Result<void> MappedDevice::map_at(std::byte* where, Bytes at, Bytes length, DeviceAccess access) {
  uint64_t grain = traits().map_grain.value;
  check_inside(at, length);
  CHECK(length > Bytes{0} && at.value % grain == 0 && length.value % grain == 0);
  CHECK(reinterpret_cast<uintptr_t>(where) % grain == 0);
  if (access == DeviceAccess::kReadWrite && access_ == DeviceAccess::kReadOnly) {
    return fail(Code::kReadOnly, "map", name(), "the device was opened read-only");
  }
  return map_over(file(), where, at, length, access, mapping_.synchronous(), name());
}

}  // namespace dmap
