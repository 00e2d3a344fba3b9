// SPDX-License-Identifier: Apache-2.0
#include "device/file_space.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string>
#include <vector>

#include "base/text.h"

namespace dmap {
namespace {

/// Writes zeros over [at, end); 0 or an errno.
int write_zeros(int fd, Bytes at, Bytes end) {
  const std::vector<std::byte> zeros(size_t{1} << 20);
  while (at < end) {
    ssize_t written =
        ::pwrite(fd, zeros.data(), std::min<uint64_t>(zeros.size(), (end - at).value), static_cast<off_t>(at.value));
    if (written < 0 && errno != EINTR) return errno;
    if (written == 0) return EIO;
    if (written > 0) at += Bytes{static_cast<uint64_t>(written)};
  }
  return 0;
}

/// Allocates [at, end); 0 or an errno.
int take_step(int fd, Bytes at, Bytes end) {
  int result = 0;
  do {
    result = ::fallocate(fd, 0, static_cast<off_t>(at.value), static_cast<off_t>((end - at).value));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return 0;
  return errno == EOPNOTSUPP || errno == ENOSYS ? write_zeros(fd, at, end) : errno;
}

}  // namespace

Result<void> check_file_size_limit(Bytes size, std::string_view operation, std::string_view object) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || size.value <= limit.rlim_cur) {
    return {};
  }
  return fail(Code::kFileTooBig, operation, object,
              text_of(size) + " asked, this process may write files of " + text_of(Bytes{limit.rlim_cur}) +
                  " (RLIMIT_FSIZE, ulimit -f)");
}

Bytes free_space(int fd) {
  struct statvfs file_system{};
  if (::fstatvfs(fd, &file_system) != 0 || file_system.f_blocks == 0) {
    return Bytes{std::numeric_limits<uint64_t>::max()};
  }
  uint64_t blocks = ::geteuid() == 0 ? file_system.f_bfree : file_system.f_bavail;
  return Bytes{file_system.f_frsize} * blocks;
}

Result<void> take_space(int fd, Bytes size, const Progress& progress, std::string_view operation,
                        std::string_view object) {
  for (Bytes done; done < size;) {
    Bytes next = std::min(done + kSpaceStep, size);
    if (int number = take_step(fd, done, next); number != 0) {
      std::string detail = text_of(size) + " asked";
      if (number == ENOSPC) {
        detail += ", no room after " + text_of(done) + ", " + text_of(free_space(fd)) + " free now";
      }
      return std::unexpected(Error::from_errno(number, operation, object, detail));
    }
    done = next;
    if (!progress(done.value, size.value)) {
      return std::unexpected(Error::from_errno(ECANCELED, operation, object, "after " + text_of(done)));
    }
  }
  return {};
}

}  // namespace dmap
