// SPDX-License-Identifier: Apache-2.0
//
// mkfs and check: a volume's beginning, and its proof.
#include <fmt/format.h>

#include "commands.h"
#include "dmap/check.h"
#include "dmap/volume.h"
#include "progress.h"
#include "report.h"
#include "sizes.h"
#include "text.h"
#include "volume_path.h"

namespace dmap::cli {
namespace {

Result<Bytes> size_or_zero(const std::string& text) { return text.empty() ? Bytes{} : parse_size(text); }

std::string advice_on_mkfs(Code code) {
  switch (code) {
    case Code::kExists: return "--force formats it anew, and what is there is lost";
    case Code::kNoSpace: return "a smaller --size, or --sparse for a trial";
    default: return {};
  }
}

}  // namespace

int run_mkfs(const MkfsArguments& arguments) {
  ProgressLine line("mkfs");
  Report report("mkfs", &line);
  auto size = size_or_zero(arguments.size);
  if (!size) return report.usage("--" + size.error().message());
  auto journal = size_or_zero(arguments.journal);
  if (!journal) return report.usage("--journal: " + journal.error().message());
  if (size->value == 0 && host_file(arguments.volume) == HostFile{}) {
    return report.usage(fmt::format("{} is not there yet, so its size is needed: --size 64G", arguments.volume));
  }

  auto made =
      Volume::format(arguments.volume, {.size = *size,
                                        .journal = *journal,
                                        .allocation = arguments.sparse ? Allocation::kSparse : Allocation::kReal,
                                        .overwrite = arguments.force ? Overwrite::kYes : Overwrite::kNo,
                                        .progress = line.callback(ProgressLine::Unit::kBytes)});
  line.clear();
  if (!made) {
    report.failure(made.error(), arguments.volume, advice_on_mkfs(made.error().code()));
    return report.exit_code();
  }
  auto volume = Volume::open(arguments.volume, {.access = Access::kReadOnly});
  if (!volume) return report.failure(volume.error(), arguments.volume), kExitFailed;
  Usage usage = volume->usage();
  fmt::print("{}: a volume of {}, {} free, journal {}, uuid {}\n", quoted(arguments.volume), show_size(usage.total),
             show_size(usage.free), show_size(volume->open_info().journal_size), volume->uuid());
  MediumInfo medium = volume->medium();
  fmt::print("{}, {} pages: {}\n", medium.medium, show_size(medium.page_size), medium.promise);
  return report.exit_code();
}

int run_check(const PathArguments& arguments) {
  constexpr int kExitClean = 0;
  constexpr int kExitFindings = 1;
  constexpr int kExitCouldNotLook = 2;
  ProgressLine line("check");
  Report report("check", &line);
  const std::string& path = arguments.paths.front();

  CheckOptions options;
  options.progress = line.callback(ProgressLine::Unit::kEntries);
  options.on_finding = [&](const Finding& finding) {
    line.clear();
    fmt::print("pfn {}:{} (byte {:#x}){}{}: {}\n", static_cast<unsigned>(device_of(finding.pfn)), index_of(finding.pfn),
               place_of(finding.pfn).value, finding.path.empty() ? "" : " ", quoted(finding.path),
               escaped(finding.what));
  };
  auto checked = check_volume(path, options);
  line.clear();
  if (!checked) return report.failure(checked.error(), path), kExitCouldNotLook;

  fmt::print(
      "{}: {} findings; {} inodes, {} directories, {} extents, {} tree nodes, {} journal records replayed; "
      "{} in files of {}\n",
      quoted(path), checked->findings == 0 ? "no" : std::to_string(checked->findings), checked->inodes,
      checked->directories, checked->extents, checked->tree_nodes, checked->records_replayed,
      show_size(checked->usage.owned), show_size(checked->usage.total));
  return checked->findings == 0 ? kExitClean : kExitFindings;
}

}  // namespace dmap::cli
