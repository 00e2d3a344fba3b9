// SPDX-License-Identifier: Apache-2.0
//
// mv, mkdir and ln: commands that only change names.
#include "commands.h"
#include "report.h"
#include "volume_path.h"
#include "volume_target.h"

namespace dmap::cli {
namespace {

int finish(OpenVolumes& volumes, Report& report, const std::string& volume) {
  if (auto closed = volumes.close(); !closed) report.failure(closed.error(), volume);
  return report.exit_code();
}

Result<InodeNumber> make_parents(Volume& volume, std::string_view path) {
  Ownership ownership = ownership_of_user(0777);
  InodeNumber directory = kRootInode;
  while (!path.empty()) {
    std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    if (name.empty()) continue;
    auto made = volume.make_directory(At(directory, name), ownership);
    if (!made && made.error().code() != Code::kExists) return made;
    directory = made ? *made : DMAP_TRY(volume.lookup(At(directory, name)));
  }
  return directory;
}

Result<void> make_directory(Volume& volume, const std::string& path, bool parents) {
  if (!parents) {
    DMAP_TRY(volume.make_directory(path, ownership_of_user(0777)));
    return {};
  }
  InodeNumber directory = DMAP_TRY(make_parents(volume, path));
  if (DMAP_TRY(volume.stat(directory)).type != FileType::kDirectory) {
    return fail(Code::kNotDirectory, "mkdir", path, "something that is no directory has that name");
  }
  return {};
}

Result<void> move_one(Volume& volume, const VolumePath& from, const VolumePath& to, const VolumePlace& place) {
  bool is_directory = DMAP_TRY(volume.stat(from.path, Follow::kNo)).type == FileType::kDirectory;
  if (!is_directory && !place.name.empty() && to.path.ends_with('/')) {
    return fail(Code::kNotDirectory, "mv", "", "the destination ends with / and is no directory");
  }
  std::string name = place.name.empty() ? std::string(from.name()) : place.name;
  InodeNumber directory = DMAP_TRY(volume.lookup(from.parent()));
  return volume.rename(At(directory, from.name()), At(place.directory, name));
}

}  // namespace

int run_mv(const CopyArguments& arguments) {
  Report report("mv");
  auto sources = parse_volume_paths(arguments.sources);
  if (!sources) return report.usage(sources.error().message());
  auto destination = parse_volume_path(arguments.destination);
  if (!destination) return report.usage(destination.error().message());
  for (const VolumePath& path : *sources) {
    if (path.volume != destination->volume && host_file(path.volume) != host_file(destination->volume)) {
      return report.usage("mv works within one volume; between two, use cp -r and rm -r");
    }
  }

  OpenVolumes volumes(Access::kReadWrite);
  auto volume = volumes.open(destination->volume);
  if (!volume) return report.failure(volume.error(), destination->volume), kExitFailed;
  auto place = find_place(**volume, destination->path);
  if (place && !place->name.empty() && sources->size() > 1) {
    place = fail(Code::kNotDirectory, "mv", "", "several sources go into a directory that exists");
  }
  if (!place) {
    report.failure(place.error(), destination->shown());
  } else {
    for (const VolumePath& path : *sources) {
      auto moved = move_one(**volume, path, *destination, *place);
      if (!moved) report.failure(moved.error(), path.shown());
    }
  }
  return finish(volumes, report, destination->volume);
}

int run_mkdir(const MkdirArguments& arguments) {
  Report report("mkdir");
  auto paths = parse_volume_paths(arguments.paths);
  if (!paths) return report.usage(paths.error().message());
  OpenVolumes volumes(Access::kReadWrite);
  for (const VolumePath& path : *paths) {
    auto volume = volumes.open(path.volume);
    if (!volume) {
      report.failure(volume.error(), path.volume);
      break;
    }
    auto made = make_directory(**volume, path.path, arguments.parents);
    if (made) continue;
    bool no_parent = made.error().code() == Code::kNotFound;
    report.failure(made.error(), path.shown(), no_parent ? "mkdir -p makes the directories above it too" : "");
  }
  return finish(volumes, report, paths->front().volume);
}

int run_ln(const LinkArguments& arguments) {
  Report report("ln");
  auto name = parse_volume_path(arguments.name);
  if (!name) return report.usage(name.error().message());
  VolumePath target{.volume = name->volume, .path = arguments.target};
  if (!arguments.symbolic) {
    auto parsed = parse_volume_path(arguments.target);
    if (!parsed) return report.usage(parsed.error().message());
    if (host_file(parsed->volume) != host_file(name->volume)) {
      return report.usage("a hard link stays within one volume");
    }
    target = *parsed;
  }

  OpenVolumes volumes(Access::kReadWrite);
  auto volume = volumes.open(name->volume);
  if (!volume) return report.failure(volume.error(), name->volume), kExitFailed;
  auto linked = [&]() -> Result<void> {
    VolumePlace place = DMAP_TRY(find_place(**volume, name->path));
    if (place.name.empty()) place.name = last_name(target.path);
    At at(place.directory, place.name);
    if (!arguments.symbolic) return (*volume)->link(target.path, at);
    DMAP_TRY((*volume)->make_symlink(
        target.path, at, {.permissions = 0777, .uid = ownership_of_user(0).uid, .gid = ownership_of_user(0).gid}));
    return {};
  }();
  if (!linked) report.failure(linked.error(), name->shown());
  return finish(volumes, report, name->volume);
}

}  // namespace dmap::cli
