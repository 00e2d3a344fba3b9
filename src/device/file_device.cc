// SPDX-License-Identifier: Apache-2.0
#include "device/file_device.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/bits.h"
#include "base/memory_room.h"
#include "base/text.h"
#include "device/file_lock.h"
#include "device/medium.h"

namespace dmap {
namespace {

constexpr auto kCreate = "create";

std::unexpected<Error> fail_errno(std::string_view operation, const std::string& path, std::string_view detail = {}) {
  return std::unexpected(Error::from_errno(errno, operation, path, detail));
}

/// Removes the file by this name unless told to keep it.
class Removal {
 public:
  Removal() = default;
  Removal(const Removal&) = delete;
  Removal& operator=(const Removal&) = delete;
  ~Removal() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  void arm(const std::string& path) { path_ = path; }
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

/// A new file, or, with Overwrite::kYes, an old one as it is. `removal` is armed if it is new.
Result<OwnedFd> new_or_old_file(const std::string& path, Overwrite overwrite, Removal& removal) {
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NONBLOCK;
  OwnedFd file(::open(path.c_str(), kFlags | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR));
  if (file) {
    removal.arm(path);
    return file;
  }
  if (errno != EEXIST) return fail_errno(kCreate, path);
  if (overwrite == Overwrite::kNo) return fail_errno(kCreate, path, "see CreateOptions::overwrite");
  file = OwnedFd(::open(path.c_str(), kFlags));
  if (!file) return fail_errno(kCreate, path);
  return file;
}

/// Whether `size` can be had at all, before anything is changed. What the old contents take counts as free.
Result<void> check_room(int fd, const Medium& medium, Bytes size, const std::string& path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail_errno(kCreate, path);
  Bytes old{static_cast<uint64_t>(status.st_blocks) * 512};  // st_blocks counts 512 bytes, whatever st_blksize is
  if (old >= size) return {};
  Bytes more = size - old;
  if (Bytes free = free_space(fd); more > free) {
    return fail(Code::kNoSpace, kCreate, path, text_of(more) + " asked, " + text_of(free) + " free");
  }
  // hugetlbfs gives from a pool that was set aside before; all other memory must still be there.
  if (medium.kind == Medium::Kind::kMemoryFile && medium.grain == kFrameSize) {
    return MemoryRoom().ask(more, kCreate, path);
  }
  return {};
}

/// Empties the file and gives it `size` bytes.
Result<void> fill(int fd, Bytes size, const CreateOptions& options, const std::string& path) {
  if (::ftruncate(fd, 0) != 0) return fail_errno(kCreate, path);
  if (::ftruncate(fd, static_cast<off_t>(size.value)) != 0) return fail_errno(kCreate, path);
  if (options.allocation == Allocation::kSparse) return {};
  auto go_on = [&](uint64_t done, uint64_t total) { return !options.progress || options.progress(done, total); };
  return take_space(fd, size, go_on, kCreate, path);
}

/// Makes the file's length and its name durable.
Result<void> sync_with_directory(int fd, const std::string& path) {
  if (::fsync(fd) != 0) return fail_errno(kCreate, path);
  size_t slash = path.find_last_of('/');
  std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  OwnedFd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return fail_errno(kCreate, path, "while syncing its directory");
  return {};
}

/// What fits into `size`, at least a frame; grains are larger than frames on huge pages and device DAX.
Result<Bytes> whole_grains(Bytes size, const Medium& medium, std::string_view operation, const std::string& path) {
  Bytes whole{round_down(size.value, medium.grain.value)};
  if (whole > Bytes{0}) return whole;
  return fail(Code::kInvalid, operation, path,
              text_of(size) + " are too few: a device here has " + text_of(medium.grain) + " at least");
}

}  // namespace

Result<std::unique_ptr<FileDevice>> FileDevice::create(const std::string& path, Bytes size,
                                                       const CreateOptions& options) {
  Removal removal;
  OwnedFd file = DMAP_TRY(new_or_old_file(path, options.overwrite, removal));
  Medium medium = DMAP_TRY(identify(file.get(), kCreate, path));
  if (medium.kind == Medium::Kind::kDeviceDax) {
    return fail(Code::kExists, kCreate, path, "a device node is opened, not created");
  }
  DMAP_TRY(lock_file(file.get(), DeviceAccess::kReadWrite, kCreate, path));
  size = DMAP_TRY(whole_grains(size, medium, kCreate, path));
  DMAP_TRY(check_file_size_limit(size, kCreate, path));
  if (options.allocation == Allocation::kReal) DMAP_TRY(check_room(file.get(), medium, size, path));
  removal.arm(path);
  DMAP_TRY(fill(file.get(), size, options, path));
  if (medium.kind == Medium::Kind::kStoredFile) DMAP_TRY(sync_with_directory(file.get(), path));
  auto device = DMAP_TRY(from_open_file(std::move(file), path, DeviceAccess::kReadWrite, kCreate));
  removal.keep();
  return device;
}

Result<std::unique_ptr<FileDevice>> FileDevice::open(const std::string& path, DeviceAccess access) {
  constexpr auto kOperation = "open";
  int flags = (access == DeviceAccess::kReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;  // no wait for a pipe
  OwnedFd file(::open(path.c_str(), flags));
  if (!file) return fail_errno(kOperation, path);
  DMAP_TRY(identify(file.get(), kOperation, path));  // a wrong kind of file is named as such and not locked
  DMAP_TRY(lock_file(file.get(), access, kOperation, path));
  return from_open_file(std::move(file), path, access, kOperation);
}

Result<std::unique_ptr<FileDevice>> FileDevice::from_open_file(OwnedFd file, const std::string& path,
                                                               DeviceAccess access, std::string_view operation) {
  Medium medium = DMAP_TRY(identify(file.get(), operation, path));  // under the lock: the size stays
  Bytes size = DMAP_TRY(whole_grains(medium.size, medium, operation, path));
  HostMapping mapping = DMAP_TRY(HostMapping::create(file.get(), size, medium.grain, access, path));
  Traits traits = DMAP_TRY(traits_of(medium, frames_within(size), mapping.synchronous(), mapping.page_size(), path));
  return std::unique_ptr<FileDevice>(
      new FileDevice(path, std::move(traits), std::move(file), std::move(mapping), access));
}

Result<void> FileDevice::barrier() {
  fence();
  if (traits().persistence != Persistence::kSync) return {};
  // relaxed: a flag alone; a barrier that runs beside the failing one reports what the kernel tells it
  if (barrier_failed_.load(std::memory_order_relaxed)) {
    return fail(Code::kIo, "sync", name(), "an earlier sync failed, and what it was to write may be lost");
  }
  if (::fdatasync(file()) != 0) {
    int number = errno;
    barrier_failed_.store(true, std::memory_order_relaxed);
    return std::unexpected(Error::from_errno(number, "sync", name()));
  }
  return {};
}

}  // namespace dmap
