// SPDX-License-Identifier: Apache-2.0
#include "host_target.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/xattr.h>

#include <cerrno>

namespace dmap::cli {
namespace {

std::string temporary_name() { return fmt::format(".dmap-copy-{}", getpid()); }

Result<void> checked(int outcome, std::string_view operation) {
  if (outcome != 0) return fail_errno(operation);
  return {};
}

}  // namespace

HostTarget::HostTarget(Fd root, Fd directory, Identity kept)
    : root_(std::move(root)), directory_(std::move(directory)), kept_(kept), may_chown_(geteuid() == 0) {}

Result<std::unique_ptr<HostTarget>> HostTarget::open(const std::string& path, Identity kept) {
  Fd root(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail_errno("open", "the directory to copy into");
  Fd directory(fcntl(root.get(), F_DUPFD_CLOEXEC, 0));
  if (!directory) return fail_errno("open");
  return std::unique_ptr<HostTarget>(new HostTarget(std::move(root), std::move(directory), kept));
}

std::string HostTarget::path_to(const std::string& name) const { return path_.empty() ? name : path_ + "/" + name; }

Result<bool> HostTarget::link_known(const Object& object, const std::string& name) {
  auto known = linked_.find(object.identity);
  if (known == linked_.end()) return false;
  auto link_to = [&](const std::string& to) {
    return linkat(root_.get(), known->second.c_str(), directory_.get(), to.c_str(), 0);
  };
  if (link_to(name) == 0) return true;
  if (errno != EEXIST) return fail_errno("link");
  DMAP_TRY(check_replaceable(name, object.type));
  std::string temporary = temporary_name();
  if (link_to(temporary) != 0) return fail_errno("link");
  DMAP_TRY(checked(renameat(directory_.get(), temporary.c_str(), directory_.get(), name.c_str()), "rename"));
  // Renaming one name of an object to another of its names does nothing, and leaves the first.
  static_cast<void>(unlinkat(directory_.get(), temporary.c_str(), 0));
  return true;
}

Result<void> HostTarget::create(const std::string& name, const Object& object, std::string_view link_target) {
  name_ = name;
  auto made = make(name, object, link_target);
  if (made || made.error().code() != Code::kExists) return made;
  DMAP_TRY(check_replaceable(name, object.type));
  return make(temporary_name(), object, link_target);
}

Result<void> HostTarget::make(const std::string& name, const Object& object, std::string_view link_target) {
  constexpr mode_t kOwnerOnly = 0600;  // until it is complete
  switch (object.type) {
    case FileType::kRegular:
      file_ = Fd(openat(directory_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerOnly));
      if (!file_) return fail_errno("create");
      break;
    case FileType::kSymlink:
      DMAP_TRY(checked(symlinkat(std::string(link_target).c_str(), directory_.get(), name.c_str()), "create"));
      break;
    default:
      DMAP_TRY(
          checked(mknodat(directory_.get(), name.c_str(), mode_of(object.type) | kOwnerOnly, object.device), "create"));
  }
  name_now_ = name;
  return {};
}

/// What a copy may take the place of: files, links, and nodes of the same kind. Never a directory or the volume itself;
/// never another kind of node, which nobody means when he names /dev/stdout.
Result<void> HostTarget::check_replaceable(const std::string& name, FileType type) const {
  struct stat status{};
  if (fstatat(directory_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("create");
  FileType there = type_of(status.st_mode);
  if (there == FileType::kDirectory) {
    return fail(Code::kIsDirectory, "create", "", "a directory of that name is in the way");
  }
  if (identity_of(status) == kept_) return fail(Code::kExists, "create", "", "that is the volume itself");
  if (there != FileType::kRegular && there != FileType::kSymlink && there != type) {
    return fail(Code::kExists, "create", "", "a device, fifo or socket is in the way; dmap cat writes into one");
  }
  return {};
}

Result<void> HostTarget::write(std::span<const std::byte> bytes, uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t count = pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("write");
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return {};
}

Result<void> HostTarget::set_size(Bytes size) {
  return checked(ftruncate(file_.get(), static_cast<off_t>(size.value)), "set the size");
}

Result<void> HostTarget::finish(const Object& object, const std::vector<Xattr>& xattrs) {
  DMAP_TRY(set_attributes(file_, name_now_, object, xattrs));
  Fd file = std::move(file_);
  // A quota or a remote file system may only now tell that the bytes did not arrive.
  if (file) DMAP_TRY(checked(::close(file.release()), "close"));
  if (name_now_ != name_) {
    DMAP_TRY(checked(renameat(directory_.get(), name_now_.c_str(), directory_.get(), name_.c_str()), "rename"));
  }
  name_now_.clear();
  if (object.links > 1) linked_[object.identity] = path_to(name_);
  return {};
}

/// In this order: chown takes the set-uid bits away, and some attributes need the right to write.
Result<void> HostTarget::set_attributes(const Fd& object, const std::string& name, const Object& attributes,
                                        const std::vector<Xattr>& xattrs) {
  bool is_link = attributes.type == FileType::kSymlink;
  if (may_chown_) {
    int outcome = object
                      ? fchown(object.get(), attributes.uid, attributes.gid)
                      : fchownat(directory_.get(), name.c_str(), attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW);
    DMAP_TRY(checked(outcome, "set the owner"));
  }
  std::string path = object || xattrs.empty() ? std::string{} : proc_path(directory_, name);
  for (const Xattr& xattr : xattrs) {
    const char* key = xattr.name.c_str();
    int outcome = object ? fsetxattr(object.get(), key, xattr.value.data(), xattr.value.size(), 0)
                         : lsetxattr(path.c_str(), key, xattr.value.data(), xattr.value.size(), 0);
    if (outcome != 0 && errno != EOPNOTSUPP && errno != EPERM) return fail_errno("set extended attribute", xattr.name);
    if (outcome != 0) ++lost_xattrs_;
  }
  if (!is_link) {
    int outcome = object ? fchmod(object.get(), attributes.permissions)
                         : fchmodat(directory_.get(), name.c_str(), attributes.permissions, 0);
    DMAP_TRY(checked(outcome, "set the permissions"));
  }
  timespec times[2] = {timespec_of(attributes.accessed), timespec_of(attributes.modified)};
  int outcome =
      object ? futimens(object.get(), times) : utimensat(directory_.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW);
  return checked(outcome, "set the times");
}

void HostTarget::abandon() {
  file_.reset();
  if (!name_now_.empty()) static_cast<void>(unlinkat(directory_.get(), name_now_.c_str(), 0));
  name_now_.clear();
}

Result<void> HostTarget::enter(const std::string& name, const Object& /*object*/) {
  constexpr mode_t kOwnerOnly = 0700;  // until it is complete
  struct stat above{};
  if (fstat(directory_.get(), &above) != 0) return fail_errno("enter");
  bool is_same = name == ".";
  if (!is_same && mkdirat(directory_.get(), name.c_str(), kOwnerOnly) != 0 && errno != EEXIST) {
    return fail_errno("create");
  }
  Fd entered(openat(directory_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!entered && (errno == ENOTDIR || errno == ELOOP)) {
    return fail(Code::kNotDirectory, "enter", "", "something that is no directory has that name and is in the way");
  }
  if (!entered) return fail_errno("enter");
  levels_.push_back({.parent = identity_of(above), .path_size = path_.size(), .is_same = is_same});
  if (!is_same) path_ = path_to(name);
  directory_ = std::move(entered);
  return {};
}

Result<void> HostTarget::finish_directory(const Object& object, const std::vector<Xattr>& xattrs) {
  return set_attributes(directory_, ".", object, xattrs);
}

Result<void> HostTarget::leave() {
  Level level = levels_.back();
  if (!level.is_same) directory_ = DMAP_TRY(open_parent(directory_, level.parent));
  path_.resize(level.path_size);
  levels_.pop_back();
  return {};
}

std::string HostTarget::advice(const Error& error) const {
  if (error.code() == Code::kNoSpace) return "the host's file system is full; stopped here";
  if (error.code() == Code::kPermission || error.code() == Code::kAccess) return "other users' things need root";
  return {};
}

}  // namespace dmap::cli
