// SPDX-License-Identifier: Apache-2.0
#include "host_fd.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <limits>

namespace dmap::cli {

std::unexpected<Error> fail_errno(std::string_view operation, std::string_view detail) {
  return std::unexpected<Error>(Error::from_errno(errno, operation, "", detail));
}

FileType type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return FileType::kDirectory;
    case S_IFLNK: return FileType::kSymlink;
    case S_IFCHR: return FileType::kCharDevice;
    case S_IFBLK: return FileType::kBlockDevice;
    case S_IFIFO: return FileType::kFifo;
    case S_IFSOCK: return FileType::kSocket;
    default: return FileType::kRegular;
  }
}

mode_t mode_of(FileType type) {
  switch (type) {
    case FileType::kDirectory: return S_IFDIR;
    case FileType::kSymlink: return S_IFLNK;
    case FileType::kCharDevice: return S_IFCHR;
    case FileType::kBlockDevice: return S_IFBLK;
    case FileType::kFifo: return S_IFIFO;
    case FileType::kSocket: return S_IFSOCK;
    case FileType::kRegular: break;
  }
  return S_IFREG;
}

Time time_of(const timespec& time) {
  int64_t nanoseconds = 0;
  if (__builtin_mul_overflow(time.tv_sec, int64_t{1'000'000'000}, &nanoseconds) ||
      __builtin_add_overflow(nanoseconds, time.tv_nsec, &nanoseconds)) {
    return {time.tv_sec < 0 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max()};
  }
  return {nanoseconds};
}

timespec timespec_of(Time time) {
  constexpr int64_t kSecond = 1'000'000'000;
  int64_t seconds = time.nanoseconds / kSecond;
  int64_t rest = time.nanoseconds % kSecond;
  if (rest < 0) rest += kSecond, --seconds;
  return {.tv_sec = seconds, .tv_nsec = rest};
}

Identity identity_of(const struct stat& status) { return {.device = status.st_dev, .inode = status.st_ino}; }

std::string proc_path(const Fd& directory, std::string_view name) {
  return fmt::format("/proc/self/fd/{}/{}", directory.get(), name);
}

Result<Fd> open_parent(const Fd& directory, Identity expected) {
  Fd parent(openat(directory.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Going up needs the right to pass through, not the right to list.
  if (!parent) parent = Fd(openat(directory.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat status{};
  if (!parent || fstat(parent.get(), &status) != 0) return fail_errno("leave");
  if (identity_of(status) != expected) return fail(Code::kIo, "leave", "", "the directory was moved during the copy");
  return parent;
}

}  // namespace dmap::cli
