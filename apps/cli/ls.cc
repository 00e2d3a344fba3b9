// SPDX-License-Identifier: Apache-2.0
//
// ls: what a directory holds.
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <ranges>

#include "commands.h"
#include "report.h"
#include "text.h"
#include "volume_path.h"

namespace dmap::cli {
namespace {

/// An entry as it is listed.
struct Row {
  std::string name;
  Stat stat;
  std::string link_target;
};

class Listing {
 public:
  Listing(const Volume& volume, std::string volume_path, const ListArguments& arguments, Report& report)
      : volume_(volume), volume_path_(std::move(volume_path)), arguments_(arguments), report_(report) {}

  /// A directory with its entries (and with -R all below it); anything else as the one entry that it is.
  void show(const std::string& path, bool with_heading) {
    // Like ls: a symbolic link on the command line is followed, unless its own attributes are asked for.
    bool follows = !arguments_.is_long || path.ends_with('/');
    auto stat = volume_.stat(path, follows ? Follow::kYes : Follow::kNo);
    if (!stat && follows) stat = volume_.stat(path, Follow::kNo);
    if (!stat) return report_.failure(stat.error(), shown(path));
    if (stat->type != FileType::kDirectory) {
      std::vector<Row> rows;
      add(rows, path, stat->inode, *stat);
      return print(rows);
    }
    show_directory(path, stat->inode, with_heading || arguments_.recursive);
  }

 private:
  struct Directory {
    std::string path;
    InodeNumber inode;
  };

  [[nodiscard]] std::string shown(const std::string& path) const { return volume_path_ + ":" + path; }

  void show_directory(std::string path, InodeNumber inode, bool with_heading) {
    std::vector<Directory> waiting{{std::move(path), inode}};
    for (bool is_first = true; !waiting.empty(); is_first = false) {
      Directory directory = std::move(waiting.back());
      waiting.pop_back();
      if (with_heading) fmt::print("{}{}:\n", is_first ? "" : "\n", for_terminal(shown(directory.path)));
      std::vector<Row> rows = read(directory);
      if (arguments_.is_long) print_total(rows);
      print(rows);
      if (!arguments_.recursive) return;
      // The last one waiting is the next one shown.
      std::string prefix = directory.path.ends_with('/') ? directory.path : directory.path + "/";
      for (Row& row : rows | std::views::reverse) {
        bool is_self = row.name == "." || row.name == "..";
        if (row.stat.type == FileType::kDirectory && !is_self) waiting.push_back({prefix + row.name, row.stat.inode});
      }
    }
  }

  std::vector<Row> read(const Directory& directory) {
    auto entries = list_directory(volume_, directory.inode);
    if (!entries) return report_.failure(entries.error(), shown(directory.path)), std::vector<Row>{};
    std::ranges::sort(*entries, {}, &DirectoryEntry::name);
    std::vector<Row> rows;
    if (arguments_.all) {
      add(rows, ".", directory.inode);
      if (auto parent = volume_.parent(directory.inode)) add(rows, "..", *parent);
    }
    for (const DirectoryEntry& entry : *entries) {
      if (arguments_.all || !entry.name.starts_with('.')) add(rows, entry.name, entry.inode, {}, entry.type);
    }
    return rows;
  }

  /// Asks for attributes only where they are shown.
  void add(std::vector<Row>& rows, const std::string& name, InodeNumber inode, std::optional<Stat> known = {},
           FileType type = FileType::kDirectory) {
    Row row{.name = name, .stat = known.value_or(Stat{}), .link_target = {}};
    if (!known) {
      row.stat.inode = inode;
      row.stat.type = type;
    }
    if (arguments_.is_long) {
      auto stat = known ? Result<Stat>(*known) : volume_.stat(inode, Follow::kNo);
      if (!stat) return report_.failure(stat.error(), name);
      row.stat = *stat;
      if (row.stat.type == FileType::kSymlink) row.link_target = volume_.read_link(inode).value_or("?");
    }
    rows.push_back(std::move(row));
  }

  [[nodiscard]] std::string for_terminal(const std::string& name) const { return is_terminal_ ? quoted(name) : name; }

  static void print_total(const std::vector<Row>& rows) {
    Bytes total;
    for (const Row& row : rows) total += row.stat.allocated;
    fmt::print("total {}\n", (total.value + 1023) / 1024);
  }

  static std::string size_of(const Stat& stat) {
    bool is_device = stat.type == FileType::kCharDevice || stat.type == FileType::kBlockDevice;
    return is_device ? fmt::format("{}, {}", gnu_dev_major(stat.device), gnu_dev_minor(stat.device))
                     : std::to_string(stat.size.value);
  }

  void print(const std::vector<Row>& rows) const {
    if (!arguments_.is_long) {
      for (const Row& row : rows) fmt::print("{}\n", for_terminal(row.name));
      return;
    }
    auto cells = [](const Row& row) -> std::array<std::string, 4> {
      return {std::to_string(row.stat.links), user_name(row.stat.uid), group_name(row.stat.gid), size_of(row.stat)};
    };
    std::array<size_t, 4> widths{};
    for (const Row& row : rows) {
      auto texts = cells(row);
      for (size_t i = 0; i < texts.size(); ++i) widths[i] = std::max(widths[i], texts[i].size());
    }
    for (const Row& row : rows) {
      auto [links, user, group, size] = cells(row);
      bool is_link = row.stat.type == FileType::kSymlink;
      fmt::print("{} {:>{}} {:<{}} {:<{}} {:>{}} {} {}{}{}\n", mode_string(row.stat.type, row.stat.permissions), links,
                 widths[0], user, widths[1], group, widths[2], size, widths[3], short_time(row.stat.modified),
                 for_terminal(row.name), is_link ? " -> " : "", is_link ? for_terminal(row.link_target) : "");
    }
  }

  const Volume& volume_;
  std::string volume_path_;
  const ListArguments& arguments_;
  Report& report_;
  bool is_terminal_ = isatty(STDOUT_FILENO) == 1;
};

}  // namespace

int run_ls(const ListArguments& arguments) {
  Report report("ls");
  auto paths = parse_volume_paths(arguments.paths);
  if (!paths) return report.usage(paths.error().message());
  OpenVolumes volumes(Access::kReadOnly);
  for (size_t i = 0; i < paths->size(); ++i) {
    const VolumePath& path = (*paths)[i];
    auto volume = volumes.open(path.volume);
    if (!volume) {
      report.failure(volume.error(), path.volume);
      continue;
    }
    if (i != 0) fmt::print("\n");
    Listing(**volume, path.volume, arguments, report).show(path.path, paths->size() > 1);
  }
  if (auto closed = volumes.close(); !closed) report.failure(closed.error(), paths->front().volume);
  return report.exit_code();
}

}  // namespace dmap::cli
