// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_DEVICE_FILE_LOCK_H_
#define DMAP_DEVICE_FILE_LOCK_H_

#include <string_view>

#include "device/device.h"
#include "dmap/result.h"

namespace dmap {

/// Takes the open file `fd` for one writer or for any number of readers, on the machine, within this process too.
/// The lock goes with the last descriptor of this open file: when it is closed or the process dies, however it dies.
/// (flock(2): unlike POSIX locks it is not lost by closing another descriptor of the file, unlike open-file-description
/// locks /proc/locks tells who holds it. A child of fork() shares the descriptor and so the lock until it executes
/// another program or ends.) Never blocks. Error busy: the detail names the holders' process ids.
Result<void> lock_file(int fd, DeviceAccess access, std::string_view operation, std::string_view path);

}  // namespace dmap

#endif  // DMAP_DEVICE_FILE_LOCK_H_
