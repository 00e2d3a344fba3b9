// SPDX-License-Identifier: Apache-2.0
#include "device/file_lock.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>

namespace dmap {
namespace {

/// Who has locked the file, as far as this process may know (holders in other PID namespaces are not shown to it).
std::string holders_of(int fd) {
  constexpr int kNamedMax = 4;
  struct stat status{};
  if (::fstat(fd, &status) != 0) return "";
  std::ifstream locks("/proc/locks");  // "1: FLOCK  ADVISORY  WRITE 7735 fe:00:10952953 0 EOF"
  std::string words;
  int named = 0;
  for (std::string line; std::getline(locks, line);) {
    char type = 0;
    int pid = 0;
    unsigned device_major = 0;
    unsigned device_minor = 0;
    uint64_t inode = 0;
    if (std::sscanf(line.c_str(), "%*s FLOCK %*s %c%*s %d %x:%x:%" SCNu64, &type, &pid, &device_major, &device_minor,
                    &inode) != 5) {
      continue;
    }
    if (inode != status.st_ino || makedev(device_major, device_minor) != status.st_dev) continue;
    if (++named > kNamedMax) return words + " and others";
    words += words.empty() ? "" : ", ";
    words += pid == ::getpid() ? std::string("this process") : "process " + std::to_string(pid);
    words += type == 'W' ? " (writing)" : " (reading)";
  }
  return words;
}

}  // namespace

Result<void> lock_file(int fd, DeviceAccess access, std::string_view operation, std::string_view path) {
  if (::flock(fd, (access == DeviceAccess::kReadOnly ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return std::unexpected(Error::from_errno(errno, operation, path, "while locking it"));
  std::string holders = holders_of(fd);
  return fail(Code::kBusy, operation, path, "in use by " + (holders.empty() ? "another process" : holders));
}

}  // namespace dmap
