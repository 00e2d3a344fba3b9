// SPDX-License-Identifier: Apache-2.0
//
// put, get and cp: the three ways between the host and volumes.
#include <sys/stat.h>

#include <filesystem>

#include "commands.h"
#include "host_source.h"
#include "host_target.h"
#include "progress.h"
#include "report.h"
#include "tree_copy.h"
#include "volume_path.h"
#include "volume_source.h"
#include "volume_target.h"

namespace dmap::cli {
namespace {

Identity identity_of_file(const std::string& path) {
  HostFile file = host_file(path);
  return {.device = file.device, .inode = file.inode};
}

/// The name that an object gets inside a directory; `.` where the source has none of its own: its contents go there.
std::string name_inside(std::string_view source_path) {
  std::string name(last_name(source_path));
  return name.empty() || name == ".." ? "." : name;
}

/// A name that does not exist and ends with a slash can only become a directory.
bool asks_for_directory(const VolumePlace& place, const std::string& path) {
  return !place.name.empty() && path.ends_with('/');
}

void close_volumes(OpenVolumes& volumes, Report& report, const std::string& shown) {
  if (auto closed = volumes.close(); !closed) report.failure(closed.error(), shown);
}

/// Where the tree at `at` comes from: a source that stands there, and what to look at.
struct VolumeOrigin {
  InodeNumber directory{};
  std::string name;
};
Result<VolumeOrigin> find_origin(const Volume& volume, const VolumePath& path) {
  if (last_name(path.path).empty()) return VolumeOrigin{.directory = kRootInode, .name = "."};
  // A slash behind it, `.` and `..` mean a directory itself, whatever its name is.
  std::string name(path.name());
  if (path.path.ends_with('/') || name == "." || name == "..") {
    return VolumeOrigin{.directory = DMAP_TRY(volume.lookup(path.path)), .name = "."};
  }
  return VolumeOrigin{.directory = DMAP_TRY(volume.lookup(path.parent())), .name = name};
}

Result<void> put_one(const std::string& source_path, const VolumePath& destination, const VolumePlace& place,
                     TreeCopy& copy, bool& stopped) {
  auto source = DMAP_TRY(HostSource::open(source_path, identity_of_file(destination.volume)));
  struct stat status{};
  if (asks_for_directory(place, destination.path) && lstat(source_path.c_str(), &status) == 0 &&
      !S_ISDIR(status.st_mode)) {
    return fail(Code::kNotDirectory, "put", "", "the destination ends with / and is no directory");
  }
  stopped =
      !copy.copy(*source, source->name(), place.name.empty() ? name_inside(source_path) : place.name, source_path);
  return {};
}

}  // namespace

int run_put(const CopyArguments& arguments) {
  ProgressLine line("put");
  Report report("put", &line);
  auto destination = parse_volume_path(arguments.destination);
  if (!destination) return report.usage(destination.error().message());
  if (line.on()) line.expect(measure_host(arguments.sources));

  OpenVolumes volumes(Access::kReadWrite);
  auto volume = volumes.open(destination->volume);
  if (!volume) return report.failure(volume.error(), destination->volume), kExitFailed;
  auto place = find_place(**volume, destination->path);
  if (place && !place->name.empty() && arguments.sources.size() > 1) {
    place = fail(Code::kNotDirectory, "put", "", "several sources go into a directory that exists; see dmap mkdir -p");
  }
  if (!place) {
    report.failure(place.error(), destination->shown());
  } else {
    VolumeTarget target(**volume, place->directory);
    TreeCopy copy(target, report, line);
    bool stopped = false;
    for (const std::string& source : arguments.sources) {
      if (auto put = put_one(source, *destination, *place, copy, stopped); !put) report.failure(put.error(), source);
      if (stopped) break;
    }
  }
  close_volumes(volumes, report, destination->volume);
  return report.exit_code();
}

int run_get(const CopyArguments& arguments) {
  ProgressLine line("get");
  Report report("get", &line);
  auto sources = parse_volume_paths(arguments.sources);
  if (!sources) return report.usage(sources.error().message());

  std::error_code ignored;
  std::string directory = arguments.destination;
  std::string name;
  if (!std::filesystem::is_directory(directory, ignored)) {
    if (sources->size() > 1) {
      report.failure(Error(Code::kNotDirectory, "get", "", "several sources go into a directory that exists"),
                     arguments.destination);
      return report.exit_code();
    }
    name = last_name(directory);
    while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
    directory.resize(directory.size() - name.size());
    if (directory.empty()) directory = ".";
  }

  auto target = HostTarget::open(directory, identity_of_file(sources->front().volume));
  if (!target) return report.failure(target.error(), directory), kExitFailed;
  TreeCopy copy(**target, report, line);
  OpenVolumes volumes(Access::kReadOnly);
  auto get_one = [&](const VolumePath& path) -> Result<bool> {
    Volume* volume = DMAP_TRY(volumes.open(path.volume));
    auto origin = DMAP_TRY(find_origin(*volume, path));
    if (line.on()) line.expect(measure_volume(*volume, path.path));
    if (!name.empty() && arguments.destination.ends_with('/') &&
        DMAP_TRY(volume->stat(path.path, Follow::kNo)).type != FileType::kDirectory) {
      return fail(Code::kNotDirectory, "get", "", "the destination ends with / and is no directory");
    }
    VolumeSource source(*volume, origin.directory);
    return copy.copy(source, origin.name, name.empty() ? name_inside(path.path) : name, path.shown());
  };
  for (const VolumePath& path : *sources) {
    auto got = get_one(path);
    if (!got) report.failure(got.error(), path.shown());
    if (got && !*got) break;
  }
  if ((*target)->lost_xattrs() != 0) {
    report.note(std::to_string((*target)->lost_xattrs()) + " extended attributes were left out: the host refuses them");
  }
  close_volumes(volumes, report, sources->front().volume);
  return report.exit_code();
}

namespace {

/// Whether `directory` is `ancestor` or lies below it.
Result<bool> lies_within(const Volume& volume, InodeNumber directory, InodeNumber ancestor) {
  while (directory != ancestor) {
    if (directory == kRootInode) return false;
    directory = DMAP_TRY(volume.parent(directory));
  }
  return true;
}

Result<void> check_copy(Volume& from, const VolumePath& path, Volume& to, const VolumePath& destination,
                        const VolumePlace& place, bool recursive) {
  Stat source = DMAP_TRY(from.stat(path.path, Follow::kNo));
  bool is_directory = source.type == FileType::kDirectory;
  if (is_directory && !recursive) return fail(Code::kIsDirectory, "cp", "", "use cp -r");
  if (!is_directory && asks_for_directory(place, destination.path)) {
    return fail(Code::kNotDirectory, "cp", "", "the destination ends with / and is no directory");
  }
  if (&from != &to) return {};
  if (is_directory && DMAP_TRY(lies_within(to, place.directory, source.inode))) {
    return fail(Code::kInvalid, "cp", "", "a directory cannot be copied into itself");
  }
  std::string name = place.name.empty() ? name_inside(path.path) : place.name;
  auto there = to.lookup(At(place.directory, name), Follow::kNo);
  if (there && *there == source.inode) return fail(Code::kInvalid, "cp", "", "source and destination are the same");
  return {};
}

}  // namespace

int run_cp(const CopyArguments& arguments) {
  ProgressLine line("cp");
  Report report("cp", &line);
  auto sources = parse_volume_paths(arguments.sources);
  if (!sources) return report.usage(sources.error().message());
  auto destination = parse_volume_path(arguments.destination);
  if (!destination) return report.usage(destination.error().message());

  OpenVolumes volumes(Access::kReadOnly);
  auto to = volumes.open(destination->volume, Access::kReadWrite);
  if (!to) return report.failure(to.error(), destination->volume), kExitFailed;
  auto place = find_place(**to, destination->path);
  if (place && !place->name.empty() && sources->size() > 1) {
    place = fail(Code::kNotDirectory, "cp", "", "several sources go into a directory that exists");
  }
  if (!place) {
    report.failure(place.error(), destination->shown());
  } else {
    for (const VolumePath& path : *sources) {
      // Inode numbers of two volumes may be the same: each source has a target, which knows its links, of its own.
      VolumeTarget target(**to, place->directory);
      TreeCopy copy(target, report, line);
      auto copied = [&]() -> Result<bool> {
        Volume* from = DMAP_TRY(volumes.open(path.volume));
        DMAP_TRY(check_copy(*from, path, **to, *destination, *place, arguments.recursive));
        auto origin = DMAP_TRY(find_origin(*from, path));
        if (line.on()) line.expect(measure_volume(*from, path.path));
        VolumeSource source(*from, origin.directory);
        return copy.copy(source, origin.name, place->name.empty() ? name_inside(path.path) : place->name, path.shown());
      }();
      if (!copied) report.failure(copied.error(), path.shown());
      if (copied && !*copied) break;
    }
  }
  close_volumes(volumes, report, destination->volume);
  return report.exit_code();
}

}  // namespace dmap::cli
