// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_DEVICE_FILE_DEVICE_H_
#define DMAP_DEVICE_FILE_DEVICE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "device/file_space.h"
#include "device/mapped_device.h"

namespace dmap {

struct CreateOptions {
  Allocation allocation = Allocation::kReal;
  Overwrite overwrite = Overwrite::kNo;
  Progress progress = {};  // may be empty
};

/// A file, or device DAX, mapped as a whole. What it promises depends on what it lies on: tmpfs is memory, a file on
/// fs-DAX and device DAX are persistent memory, any other file is the kernel's page cache and asks for barrier().
///
/// One FileDevice for writing, or any number for reading, exist for a file at a time: on the machine, and within this
/// process. A process that dies gives up its own. The file must keep its length while it is open: a load beyond a
/// shortened file's end is a SIGBUS.
class FileDevice final : public MappedDevice {
 public:
  /// Makes a file (mode 0600) of `size` rounded down to whole frames, all zero, opens it for writing and, on media that
  /// sync, makes its name durable. With Allocation::kReal its blocks are its own from then on.
  /// Overwrite::kYes replaces the contents of a file that nobody has open; its old bytes are gone even after an error
  /// later than the check for room. Device nodes are not created: open them.
  /// Errors: exists, busy, not_found (the directory), no_space and no_memory (tmpfs) with what was asked and what is
  /// free, file_too_big, invalid (less than a frame), not_supported, io (also when `progress` said no). After an error
  /// there is no new file. Blocks for as long as the file system takes.
  static Result<std::unique_ptr<FileDevice>> create(const std::string& path, Bytes size,
                                                    const CreateOptions& options = {});

  /// Opens a file or device DAX; a length that is no multiple of the frame (of the device's grain) is rounded down.
  /// Errors: not_found, access, busy, is_a_directory, invalid (less than a frame), not_supported, no_memory.
  static Result<std::unique_ptr<FileDevice>> open(const std::string& path, DeviceAccess access);

  Result<void> barrier() override;

 private:
  using MappedDevice::MappedDevice;
  static Result<std::unique_ptr<FileDevice>> from_open_file(OwnedFd file, const std::string& path, DeviceAccess access,
                                                            std::string_view operation);

  std::atomic<bool> barrier_failed_ = false;
};

}  // namespace dmap

#endif  // DMAP_DEVICE_FILE_DEVICE_H_
