// SPDX-License-Identifier: Apache-2.0
#include "volume_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include <iterator>

namespace dmap::cli {
namespace {

constexpr std::string_view kSplit = ":/";

bool may_be_volume(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

std::string_view without_slashes_behind(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

}  // namespace

std::string_view last_name(std::string_view path) {
  path = without_slashes_behind(path);
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

std::string_view VolumePath::name() const {
  std::string_view name = last_name(path);
  return name.empty() ? "." : name;
}

std::string_view VolumePath::parent() const {
  std::string_view whole = without_slashes_behind(path);
  size_t slash = whole.rfind('/');
  return slash == 0 ? "/" : without_slashes_behind(whole.substr(0, slash));
}

Result<VolumePath> parse_volume_path(std::string_view text) {
  size_t split = std::string_view::npos;
  for (size_t at = text.find(kSplit); at != std::string_view::npos; at = text.find(kSplit, at + 1)) {
    split = at;
    if (may_be_volume(std::string(text.substr(0, at)))) break;
  }
  if (split == std::string_view::npos || split == 0) {
    return fail(Code::kInvalid, "path", text, "a place in a volume is written VOLUME:/path, VOLUME:/ being its root");
  }
  return VolumePath{.volume = std::string(text.substr(0, split)), .path = std::string(text.substr(split + 1))};
}

Result<std::vector<VolumePath>> parse_volume_paths(const std::vector<std::string>& texts) {
  std::vector<VolumePath> paths;
  for (const std::string& text : texts) paths.push_back(DMAP_TRY(parse_volume_path(text)));
  return paths;
}

HostFile host_file(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {.device = status.st_dev, .inode = status.st_ino};
}

Result<Volume*> OpenVolumes::open(const std::string& path, Access access) {
  HostFile file = host_file(path);
  for (const Entry& entry : entries_) {
    if (entry.file == file && file != HostFile{}) return entry.volume.get();
  }
  auto volume = std::make_unique<Volume>(DMAP_TRY(Volume::open(path, {.access = access})));
  entries_.push_back({.file = file, .volume = std::move(volume)});
  return entries_.back().volume.get();
}

Result<void> OpenVolumes::close() {
  Result<void> outcome;
  for (Entry& entry : entries_) {
    if (auto closed = entry.volume->close(); !closed && outcome) outcome = std::move(closed);
  }
  entries_.clear();
  return outcome;
}

Result<std::vector<DirectoryEntry>> list_directory(const Volume& volume, InodeNumber directory) {
  constexpr size_t kBatch = 1024;
  std::vector<DirectoryEntry> entries;
  DirectoryCookie after = kDirectoryStart;
  for (;;) {
    auto batch = DMAP_TRY(volume.read_directory(directory, after, kBatch));
    if (!batch.empty()) after = batch.back().cookie;
    bool is_last = batch.size() < kBatch;
    entries.insert(entries.end(), std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
    if (is_last) return entries;
  }
}

Ownership ownership_of_user(uint32_t permissions) {
  mode_t mask = umask(0);
  umask(mask);
  return {.permissions = permissions & ~mask, .uid = geteuid(), .gid = getegid()};
}

}  // namespace dmap::cli
