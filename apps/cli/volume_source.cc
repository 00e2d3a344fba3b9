// SPDX-License-Identifier: Apache-2.0
#include "volume_source.h"

#include <algorithm>
#include <utility>

#include "volume_path.h"

namespace dmap::cli {
namespace {

/// What one view takes; and what is read through the buffer where a view does not pay.
constexpr uint64_t kViewSize = (4_MiB).value;
constexpr uint64_t kBufferSize = (256_KiB).value;
constexpr uint64_t kSmallFile = (32_KiB).value;

At here(InodeNumber directory, const std::string& name) { return name == "." ? At(directory) : At(directory, name); }

}  // namespace

Result<Pieces> InPlaceReader::read(const File& file, uint64_t offset, uint64_t end) {
  end = std::min(end, file.size().value);
  drop();
  if (offset >= end) return Pieces{};
  if (end - offset > kSmallFile) {
    auto view = file.view(offset, Bytes{std::min(end - offset, kViewSize)});
    if (view) {
      view_.emplace(std::move(*view));
      return view_->pieces();
    }
    if (view.error().code() != Code::kTooManyViews) return std::unexpected(std::move(view).error());
  }
  if (buffer_.empty()) buffer_.resize(kBufferSize);
  Bytes count = DMAP_TRY(file.read_at(std::span(buffer_).first(std::min(end - offset, kBufferSize)), offset));
  if (count.value == 0) return Pieces{};
  piece_ = std::span(buffer_).first(count.value);
  return Pieces{&piece_, 1};
}

Result<Object> VolumeSource::look(const Name& name) {
  reader_.drop();
  file_.reset();
  Stat stat = DMAP_TRY(volume_.stat(here(directories_.back(), name.text), Follow::kNo));
  current_ = stat.inode;
  if (stat.type == FileType::kRegular) file_ = DMAP_TRY(volume_.open_file(current_));
  bool lives_in_the_tree = stat.size <= File::kInlineMax;
  bool may_have_holes = !lives_in_the_tree && stat.allocated < stat.size;
  return Object{.identity = {.device = 0, .inode = static_cast<uint64_t>(stat.inode)},
                .type = stat.type,
                .permissions = stat.permissions,
                .uid = stat.uid,
                .gid = stat.gid,
                .links = stat.links,
                .size = stat.size,
                .holes = may_have_holes ? Holes::kPossible : Holes::kNone,
                .device = stat.device,
                .accessed = stat.accessed,
                .modified = stat.modified};
}

Result<std::string> VolumeSource::link_target() { return volume_.read_link(current_); }

Result<Pieces> VolumeSource::read(uint64_t offset, uint64_t end) { return reader_.read(*file_, offset, end); }

Result<std::optional<DataRange>> VolumeSource::next_data(uint64_t offset) {
  auto begin = file_->seek_data(offset);
  if (!begin && begin.error().code() == Code::kOutOfRange) return std::optional<DataRange>{};
  if (!begin) return std::unexpected(std::move(begin).error());
  Offset end = DMAP_TRY(file_->seek_hole(*begin));
  return DataRange{.begin = begin->value, .end = end.value};
}

Result<std::vector<Xattr>> VolumeSource::xattrs() {
  std::vector<Xattr> found;
  for (std::string& name : DMAP_TRY(volume_.list_xattrs(current_, Follow::kNo))) {
    auto value = DMAP_TRY(volume_.get_xattr(current_, name, Follow::kNo));
    found.push_back({.name = std::move(name), .value = std::move(value)});
  }
  return found;
}

Result<std::vector<Name>> VolumeSource::enter() {
  auto entries = DMAP_TRY(list_directory(volume_, current_));
  std::vector<Name> names;
  names.reserve(entries.size());
  for (DirectoryEntry& entry : entries) names.push_back({.text = std::move(entry.name), .type = entry.type});
  directories_.push_back(current_);
  return names;
}

Result<void> VolumeSource::leave() {
  directories_.pop_back();
  return {};
}

Totals measure_volume(const Volume& volume, At at) {
  Totals totals;
  std::vector<InodeNumber> directories;
  auto count = [&](At object) {
    auto stat = volume.stat(object, Follow::kNo);
    if (!stat) return;
    if (stat->type == FileType::kDirectory) return directories.push_back(stat->inode);
    ++totals.files;
    if (stat->type == FileType::kRegular) totals.bytes += stat->size;
  };
  count(at);
  while (!directories.empty()) {
    InodeNumber directory = directories.back();
    directories.pop_back();
    auto entries = list_directory(volume, directory);
    if (!entries) return {};
    for (const DirectoryEntry& entry : *entries) count(At(directory, entry.name));
  }
  return totals;
}

}  // namespace dmap::cli
