// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_DEVICE_MEMORY_DEVICE_H_
#define DMAP_DEVICE_MEMORY_DEVICE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "device/file_space.h"
#include "device/mapped_device.h"

namespace dmap {

/// Whether memory comes from the kernel's pool of 2 MiB pages (vm.nr_hugepages).
enum class HugePages : uint8_t {
  kNo,
  kTry,      // else 4 KiB pages, which the kernel may join as shmem_enabled allows
  kRequire,  // else no_memory
};

/// RAM as a device (a memfd): zeroed, private to this process and its life, Persistence::kNone.
class MemoryDevice final : public MappedDevice {
 public:
  /// Takes the memory at once, unless sparse, after checking that there is room for it (see base/memory_room.h).
  /// `frames` > 0. Errors: no_memory, file_too_big (RLIMIT_FSIZE). Blocks for as long as zeroing takes.
  static Result<std::unique_ptr<MemoryDevice>> create(std::string label, FrameCount frames, HugePages huge_pages,
                                                      Allocation allocation = Allocation::kReal);

 private:
  using MappedDevice::MappedDevice;
};

}  // namespace dmap

#endif  // DMAP_DEVICE_MEMORY_DEVICE_H_
