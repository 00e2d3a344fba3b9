// SPDX-License-Identifier: Apache-2.0
//
// rm: names, and whole trees without recursion.
#include <utility>

#include "commands.h"
#include "report.h"
#include "volume_path.h"

namespace dmap::cli {
namespace {

/// Removes what is in `directory`, however deep it is. What cannot be removed is reported, and stays with all above it.
class TreeRemoval {
 public:
  TreeRemoval(Volume& volume, Report& report) : volume_(volume), report_(report) {}

  /// The directory `name` of `parent`; `shown` names it in messages.
  void remove(InodeNumber parent, std::string name, std::string shown) {
    path_ = std::move(shown);
    if (!enter(parent, std::move(name))) return;
    while (!levels_.empty()) {
      if (levels_.back().entries.empty()) {
        leave();
      } else {
        remove_next();
      }
    }
  }

 private:
  struct Level {
    InodeNumber parent;
    std::string name;  ///< in the parent
    InodeNumber inode;
    std::vector<DirectoryEntry> entries;
    size_t path_size;  ///< of path_ in the parent
  };

  bool enter(InodeNumber parent, std::string name) {
    auto opened = [&]() -> Result<Level> {
      InodeNumber inode = DMAP_TRY(volume_.lookup(At(parent, name), Follow::kNo));
      return Level{.parent = parent,
                   .name = std::move(name),
                   .inode = inode,
                   .entries = DMAP_TRY(list_directory(volume_, inode)),
                   .path_size = 0};
    }();
    if (!opened) return report_.failure(opened.error(), path_), false;
    levels_.push_back(std::move(*opened));
    return true;
  }

  void remove_next() {
    DirectoryEntry entry = std::move(levels_.back().entries.back());
    levels_.back().entries.pop_back();
    size_t path_size = path_.size();
    path_.append("/").append(entry.name);
    InodeNumber directory = levels_.back().inode;
    if (entry.type == FileType::kDirectory && enter(directory, entry.name)) {
      levels_.back().path_size = path_size;
      return;
    }
    if (entry.type != FileType::kDirectory) {
      auto removed = volume_.unlink(At(directory, entry.name));
      if (!removed) report_.failure(removed.error(), path_);
    }
    path_.resize(path_size);
  }

  void leave() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    auto removed = volume_.remove_directory(At(level.parent, level.name));
    if (!removed) report_.failure(removed.error(), path_);
    path_.resize(level.path_size);
  }

  Volume& volume_;
  Report& report_;
  std::vector<Level> levels_;
  std::string path_;
};

void remove_path(Volume& volume, const VolumePath& path, const RemoveArguments& arguments, Report& report) {
  std::string name(path.name());
  if (name == "." || name == "..") {
    return report.failure(Error(Code::kInvalid, "rm", "", "neither the root nor . or .. can be removed"), path.shown());
  }
  auto parent = volume.lookup(path.parent());
  auto stat = parent ? volume.stat(At(*parent, name), Follow::kNo) : std::unexpected(parent.error());
  if (!stat) {
    if (arguments.force && stat.error().code() == Code::kNotFound) return;
    return report.failure(stat.error(), path.shown());
  }
  if (stat->type == FileType::kDirectory) {
    if (!arguments.recursive) {
      return report.failure(Error(Code::kIsDirectory, "rm", "", "use rm -r"), path.shown());
    }
    return TreeRemoval(volume, report).remove(*parent, name, path.shown());
  }
  auto removed = volume.unlink(At(*parent, name));
  if (!removed) report.failure(removed.error(), path.shown());
}

}  // namespace

int run_rm(const RemoveArguments& arguments) {
  Report report("rm");
  auto paths = parse_volume_paths(arguments.paths);
  if (!paths) return report.usage(paths.error().message());
  OpenVolumes volumes(Access::kReadWrite);
  for (const VolumePath& path : *paths) {
    auto volume = volumes.open(path.volume);
    if (!volume) {
      report.failure(volume.error(), path.volume);
      break;
    }
    remove_path(**volume, path, arguments, report);
  }
  if (auto closed = volumes.close(); !closed) report.failure(closed.error(), paths->front().volume);
  return report.exit_code();
}

}  // namespace dmap::cli
