// SPDX-License-Identifier: Apache-2.0
#include "host_source.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "volume_path.h"

namespace dmap::cli {
namespace {

/// Stays within a core's own cache, so that the bytes are still there when they are written.
constexpr size_t kBufferSize = size_t{1} << 20;

std::optional<FileType> type_of_entry(unsigned char type) {
  if (type == DT_UNKNOWN) return std::nullopt;
  return type_of(DTTOIF(type));
}

Object object_of(const struct stat& status) {
  constexpr uint64_t kBlock = 512;
  bool may_have_holes = static_cast<uint64_t>(status.st_blocks) * kBlock < static_cast<uint64_t>(status.st_size);
  return {.identity = identity_of(status),
          .type = type_of(status.st_mode),
          .permissions = status.st_mode & 07777U,
          .uid = status.st_uid,
          .gid = status.st_gid,
          .links = static_cast<uint32_t>(status.st_nlink),
          .size = Bytes{static_cast<uint64_t>(status.st_size)},
          .holes = may_have_holes ? Holes::kPossible : Holes::kNone,
          .device = status.st_rdev,
          .accessed = time_of(status.st_atim),
          .modified = time_of(status.st_mtim)};
}

/// The names of a list as the kernel gives it, each with a NUL behind it.
std::vector<std::string> split_names(std::string_view list) {
  std::vector<std::string> names;
  while (!list.empty()) {
    names.emplace_back(list.data());
    list.remove_prefix(std::min(list.size(), names.back().size() + 1));
  }
  return names;
}

}  // namespace

HostSource::HostSource(Fd directory, std::string name, Identity skipped)
    : directory_(std::move(directory)), name_(std::move(name)), skipped_(skipped), buffer_(kBufferSize) {}

Result<std::unique_ptr<HostSource>> HostSource::open(const std::string& path, Identity skipped) {
  std::string name(last_name(path));
  std::string parent = path;
  if (name.empty() || name == "." || name == ".." || path.ends_with('/')) {
    name = ".";
  } else {
    parent.resize(path.size() - name.size());
    if (parent.empty()) parent = ".";
  }
  // Only a name in it is needed, so the right to list it is not.
  Fd directory(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno("open");
  return std::unique_ptr<HostSource>(new HostSource(std::move(directory), std::move(name), skipped));
}

Result<Object> HostSource::look(const Name& name) {
  current_ = name.text;
  file_.reset();
  struct stat status{};
  // A regular file is opened at once. Anything else is looked at first: opening a device may do things.
  if (name.type != FileType::kRegular) {
    if (fstatat(directory_.get(), current_.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("look at");
  }
  bool is_regular = name.type == FileType::kRegular || S_ISREG(status.st_mode);
  if (is_regular || S_ISDIR(status.st_mode)) {
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (is_regular ? 0 : O_DIRECTORY);
    file_ = Fd(openat(directory_.get(), current_.c_str(), flags));
    if (!file_) return fail_errno("open");
    if (fstat(file_.get(), &status) != 0) return fail_errno("look at");
  }
  object_ = object_of(status);
  if (object_.identity == skipped_) return fail(Code::kInvalid, "read", "", "this is the volume itself; left out");
  return object_;
}

Result<std::string> HostSource::link_target() {
  std::string target(4096, '\0');
  ssize_t length = readlinkat(directory_.get(), current_.c_str(), target.data(), target.size());
  if (length < 0) return fail_errno("read link");
  target.resize(static_cast<size_t>(length));
  return target;
}

Result<Pieces> HostSource::read(uint64_t offset, uint64_t end) {
  // Files of /proc and the like have no size and are read to their end; any other as far as it reached when looked at.
  if (object_.size.value != 0) end = std::min(end, object_.size.value);
  if (offset >= end) return Pieces{};
  Bytes count = DMAP_TRY(fill_buffer(offset, end));
  if (count.value == 0) return Pieces{};
  piece_ = std::span(buffer_).first(count.value);
  return Pieces{&piece_, 1};
}

Result<Bytes> HostSource::fill_buffer(uint64_t offset, uint64_t end) {
  size_t wanted = std::min<uint64_t>(buffer_.size(), end - offset);
  size_t count = 0;
  while (count < wanted) {
    ssize_t got = pread(file_.get(), buffer_.data() + count, wanted - count, static_cast<off_t>(offset + count));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read");
    if (got == 0) break;
    count += static_cast<size_t>(got);
  }
  return Bytes{count};
}

Result<std::optional<DataRange>> HostSource::next_data(uint64_t offset) {
  off_t begin = lseek(file_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (begin < 0 && errno == ENXIO) return std::optional<DataRange>{};
  if (begin < 0) return fail_errno("seek");
  off_t end = lseek(file_.get(), begin, SEEK_HOLE);
  if (end < 0) return fail_errno("seek");
  return DataRange{.begin = static_cast<uint64_t>(begin), .end = static_cast<uint64_t>(end)};
}

Result<std::vector<Xattr>> HostSource::xattrs() {
  std::vector<Xattr> found;
  if (without_xattrs_.contains(object_.identity.device)) return found;
  std::string path = file_ ? std::string{} : proc_path(directory_, current_);
  auto list = [&](char* into, size_t size) {
    return file_ ? flistxattr(file_.get(), into, size) : llistxattr(path.c_str(), into, size);
  };
  auto get = [&](const std::string& name, void* into, size_t size) {
    return file_ ? fgetxattr(file_.get(), name.c_str(), into, size) : lgetxattr(path.c_str(), name.c_str(), into, size);
  };

  // The file's bytes are written by now: the buffer is free.
  static_assert(kBufferSize >= XATTR_LIST_MAX + XATTR_SIZE_MAX);
  auto* names = reinterpret_cast<char*>(buffer_.data());
  ssize_t length = list(names, XATTR_LIST_MAX);
  if (length < 0 && errno == EOPNOTSUPP) {
    without_xattrs_.insert(object_.identity.device);
    return found;
  }
  if (length < 0) return fail_errno("list extended attributes");

  for (const std::string& name : split_names({names, static_cast<size_t>(length)})) {
    std::byte* value = buffer_.data() + XATTR_LIST_MAX;
    ssize_t size = get(name, value, XATTR_SIZE_MAX);
    if (size < 0 && errno == ENODATA) continue;  // gone meanwhile, or not for us
    if (size < 0) return fail_errno("read extended attribute", name);
    found.push_back({.name = name, .value = {value, value + size}});
  }
  return found;
}

Result<std::vector<Name>> HostSource::enter() {
  struct stat above{};
  if (fstat(directory_.get(), &above) != 0) return fail_errno("enter");
  // The stream closes its descriptor, and ours is where we stand from now on.
  Fd listed(fcntl(file_.get(), F_DUPFD_CLOEXEC, 0));
  if (!listed) return fail_errno("enter");
  DIR* stream = fdopendir(listed.get());
  if (stream == nullptr) return fail_errno("list");
  listed.release();
  std::vector<Name> names;
  errno = 0;
  while (const dirent* entry = readdir(stream)) {
    std::string_view text = entry->d_name;
    if (text != "." && text != "..") names.push_back({std::string(text), type_of_entry(entry->d_type)});
    errno = 0;
  }
  int error = errno;
  closedir(stream);
  errno = error;
  if (error != 0) return fail_errno("list");
  parents_.push_back(identity_of(above));
  directory_ = std::move(file_);
  return names;
}

Result<void> HostSource::leave() {
  directory_ = DMAP_TRY(open_parent(directory_, parents_.back()));
  parents_.pop_back();
  return {};
}

Totals measure_host(const std::vector<std::string>& paths) {
  namespace fs = std::filesystem;
  Totals totals;
  auto count = [&](const fs::path& path) {
    struct stat status{};
    if (lstat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) return;
    ++totals.files;
    if (S_ISREG(status.st_mode)) totals.bytes += Bytes{static_cast<uint64_t>(status.st_size)};
  };
  for (const std::string& path : paths) {
    count(path);
    std::error_code error;
    if (!fs::is_directory(fs::symlink_status(path, error))) continue;
    fs::recursive_directory_iterator entries(path, fs::directory_options::skip_permission_denied, error);
    for (; !error && entries != fs::recursive_directory_iterator{}; entries.increment(error)) count(entries->path());
    if (error) return {};
  }
  return totals;
}

}  // namespace dmap::cli
