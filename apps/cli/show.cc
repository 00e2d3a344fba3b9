// SPDX-License-Identifier: Apache-2.0
//
// cat, stat, df and du: what is in a volume, and how much.
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <set>

#include "commands.h"
#include "host_fd.h"
#include "report.h"
#include "sizes.h"
#include "text.h"
#include "volume_path.h"
#include "volume_source.h"

namespace dmap::cli {
namespace {

int finish(OpenVolumes& volumes, Report& report, const std::string& volume) {
  if (auto closed = volumes.close(); !closed) report.failure(closed.error(), volume);
  return report.exit_code();
}

Result<void> write_out(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t count = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("write", "to standard output");
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

Result<void> cat(Volume& volume, const std::string& path) {
  File file = DMAP_TRY(volume.open_file(path));
  InPlaceReader reader;
  uint64_t offset = 0;
  for (;;) {
    Pieces pieces = DMAP_TRY(reader.read(file, offset, UINT64_MAX));
    if (pieces.empty()) return {};
    for (std::span<const std::byte> piece : pieces) {
      DMAP_TRY(write_out(piece));
      offset += piece.size();
    }
  }
}

void fact(std::string_view name, std::string_view value) { fmt::print("  {:<12} {}\n", name, value); }

void show_volume(const Volume& volume, const std::string& path) {
  MediumInfo medium = volume.medium();
  OpenInfo open = volume.open_info();
  Usage usage = volume.usage();
  fmt::print("{}\n", quoted(path));
  fact("uuid", volume.uuid());
  fact("medium", medium.name == path ? medium.medium : fmt::format("{} ({})", medium.medium, medium.name));
  fact("durable", medium.durable ? "yes" : "no");
  fact("promise", medium.promise);
  fact("page size", show_size(medium.page_size));
  fact("journal", fmt::format("{} of {} used; {} records replayed by this open", show_size(open.journal_used),
                              show_size(open.journal_size), open.records_replayed));
  fact("size", show_size(usage.total));
  fact("free", show_size(usage.free));
  fact("files", fmt::format("{} in {} inodes", show_size(usage.owned), usage.inodes));
  fact("metadata", show_size(usage.metadata));
  fact("quarantined", show_size(usage.quarantined));
  fact("reserved", show_size(usage.reserved));
}

Result<void> show_object(const Volume& volume, const VolumePath& path) {
  Stat stat = DMAP_TRY(volume.stat(path.path, Follow::kNo));
  fmt::print("{}", quoted(path.shown()));
  if (stat.type == FileType::kSymlink) fmt::print(" -> {}", quoted(DMAP_TRY(volume.read_link(stat.inode))));
  fmt::print("\n");
  fact("type", name_of(stat.type));
  fact("size", fmt::format("{} bytes ({})", stat.size.value, show_size(stat.size)));
  fact("allocated", fmt::format("{} bytes in {} extents", stat.allocated.value, stat.extents));
  fact("inode", fmt::format("{}", static_cast<uint64_t>(stat.inode)));
  fact("links", std::to_string(stat.links));
  fact("mode", fmt::format("{:04o} {}", stat.permissions, mode_string(stat.type, stat.permissions)));
  fact("owner", fmt::format("{} ({}) {} ({})", stat.uid, user_name(stat.uid), stat.gid, group_name(stat.gid)));
  if (stat.type == FileType::kCharDevice || stat.type == FileType::kBlockDevice) {
    fact("device", fmt::format("{}, {}", gnu_dev_major(stat.device), gnu_dev_minor(stat.device)));
  }
  fact("accessed", full_time(stat.accessed));
  fact("modified", full_time(stat.modified));
  fact("changed", full_time(stat.changed));
  fact("born", full_time(stat.born));
  for (const std::string& name : DMAP_TRY(volume.list_xattrs(stat.inode, Follow::kNo))) {
    auto value = DMAP_TRY(volume.get_xattr(stat.inode, name, Follow::kNo));
    fact("xattr", fmt::format("{} ({} bytes)", quoted(name), value.size()));
  }
  return {};
}

/// VOLUME where that is a file that is there, or where there is nothing to split.
bool means_volume(const std::string& text) {
  std::string_view path = text;
  return path.find(":/") == std::string_view::npos || host_file(text) != HostFile{};
}

/// Adds up what a tree takes: each object once, however many names it has.
class DiskUsage {
 public:
  DiskUsage(const Volume& volume, const UsageArguments& arguments, Report& report)
      : volume_(volume), arguments_(arguments), report_(report) {}

  void show(const VolumePath& path) {
    auto stat = volume_.stat(path.path, Follow::kNo);
    if (!stat) return report_.failure(stat.error(), path.shown());
    std::string text = path.shown();
    if (stat->type != FileType::kDirectory) return print(stat->allocated, text);
    enter(stat->inode, std::move(text), stat->allocated);
    while (!levels_.empty()) {
      if (levels_.back().entries.empty()) {
        leave();
      } else {
        add_next();
      }
    }
  }

 private:
  struct Level {
    std::string path;
    Bytes allocated;
    std::vector<DirectoryEntry> entries;
  };

  void enter(InodeNumber directory, std::string path, Bytes allocated) {
    auto entries = list_directory(volume_, directory);
    if (!entries) report_.failure(entries.error(), path);
    levels_.push_back({std::move(path), allocated, entries ? std::move(*entries) : std::vector<DirectoryEntry>{}});
  }

  void add_next() {
    Level& level = levels_.back();
    DirectoryEntry entry = std::move(level.entries.back());
    level.entries.pop_back();
    std::string path = level.path + (level.path.ends_with('/') ? "" : "/") + entry.name;
    auto stat = volume_.stat(entry.inode, Follow::kNo);
    if (!stat) return report_.failure(stat.error(), path);
    if (stat->type == FileType::kDirectory) return enter(entry.inode, std::move(path), stat->allocated);
    if (stat->links > 1 && !seen_.insert(entry.inode).second) return;
    level.allocated += stat->allocated;
  }

  void leave() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    if (levels_.empty() || !arguments_.summarize) print(level.allocated, level.path);
    if (!levels_.empty()) levels_.back().allocated += level.allocated;
  }

  void print(Bytes size, const std::string& path) const {
    fmt::print("{}\t{}\n", arguments_.bytes ? std::to_string(size.value) : show_size(size), quoted(path));
  }

  const Volume& volume_;
  const UsageArguments& arguments_;
  Report& report_;
  std::vector<Level> levels_;
  std::set<InodeNumber> seen_;
};

}  // namespace

int run_cat(const PathArguments& arguments) {
  Report report("cat");
  auto paths = parse_volume_paths(arguments.paths);
  if (!paths) return report.usage(paths.error().message());
  OpenVolumes volumes(Access::kReadOnly);
  for (const VolumePath& path : *paths) {
    auto shown = [&]() -> Result<void> { return cat(*DMAP_TRY(volumes.open(path.volume)), path.path); }();
    if (!shown) report.failure(shown.error(), path.shown());
  }
  return finish(volumes, report, paths->front().volume);
}

int run_stat(const PathArguments& arguments) {
  Report report("stat");
  OpenVolumes volumes(Access::kReadOnly);
  for (const std::string& text : arguments.paths) {
    auto shown = [&]() -> Result<void> {
      if (means_volume(text)) {
        show_volume(*DMAP_TRY(volumes.open(text)), text);
        return {};
      }
      VolumePath path = DMAP_TRY(parse_volume_path(text));
      return show_object(*DMAP_TRY(volumes.open(path.volume)), path);
    }();
    if (!shown) report.failure(shown.error(), text);
  }
  return finish(volumes, report, arguments.paths.front());
}

int run_df(const UsageArguments& arguments) {
  Report report("df");
  OpenVolumes volumes(Access::kReadOnly);
  auto shown = [&](Bytes size) { return arguments.bytes ? std::to_string(size.value) : show_size(size); };
  constexpr auto kRow = "{:>12} {:>12} {:>12} {:>5} {:>12} {:>12} {:>9}  {}\n";
  fmt::print(kRow, "size", "files", "free", "use%", "metadata", "quarantined", "inodes", "volume");
  for (const std::string& path : arguments.paths) {
    auto volume = volumes.open(path);
    if (!volume) {
      report.failure(volume.error(), path);
      continue;
    }
    Usage usage = (*volume)->usage();
    uint64_t total = std::max<uint64_t>(usage.total.value, 1);
    auto percent = std::lround(100.0 * static_cast<double>(total - usage.free.value) / static_cast<double>(total));
    fmt::print(kRow, shown(usage.total), shown(usage.owned), shown(usage.free), fmt::format("{}%", percent),
               shown(usage.metadata), shown(usage.quarantined), usage.inodes, quoted(path));
  }
  return finish(volumes, report, arguments.paths.front());
}

int run_du(const UsageArguments& arguments) {
  Report report("du");
  auto paths = parse_volume_paths(arguments.paths);
  if (!paths) return report.usage(paths.error().message());
  OpenVolumes volumes(Access::kReadOnly);
  for (const VolumePath& path : *paths) {
    auto volume = volumes.open(path.volume);
    if (!volume) {
      report.failure(volume.error(), path.volume);
      continue;
    }
    DiskUsage(**volume, arguments, report).show(path);
  }
  return finish(volumes, report, paths->front().volume);
}

}  // namespace dmap::cli
