// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_DEVICE_MAPPED_DEVICE_H_
#define DMAP_DEVICE_MAPPED_DEVICE_H_

#include <span>
#include <string>

#include "device/device.h"
#include "device/mapping.h"
#include "device/owned_fd.h"
#include "device/persist.h"

namespace dmap {

/// A device all of whose frames have an address: what memory and files share.
class MappedDevice : public Device {
 public:
  void store(Bytes at, std::span<const std::byte> from) final;
  void store_word(Bytes at, uint64_t word) final;
  void store_streaming(Bytes at, std::span<const std::byte> from) final;
  void zero_streaming(Bytes at, Bytes length) final;
  void flush(Bytes at, Bytes length) final;
  void fence() final { writer_.fence(); }
  Result<void> barrier() override;
  Result<void> submit(std::span<const Transfer> transfers) final;
  Result<void> map_at(std::byte* where, Bytes at, Bytes length, DeviceAccess access) final;

 protected:
  /// `mapping` is of `file`, and traits.frames of it are the device.
  MappedDevice(std::string name, Traits traits, OwnedFd file, HostMapping mapping, DeviceAccess access);

  [[nodiscard]] int file() const { return file_.get(); }

 private:
  /// The byte at `at`, where `length` bytes may be stored.
  std::byte* target(Bytes at, uint64_t length);
  void check_inside(Bytes at, Bytes length) const;

  const OwnedFd file_;
  const HostMapping mapping_;
  const LineWriter writer_;
  const DeviceAccess access_;
  const Bytes size_;
  const Bytes storable_;  // [0, storable_) takes stores: nothing when read-only
};

}  // namespace dmap

#endif  // DMAP_DEVICE_MAPPED_DEVICE_H_
