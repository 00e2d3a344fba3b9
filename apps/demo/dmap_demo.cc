// SPDX-License-Identifier: Apache-2.0
//
// Shows on a volume filled by `dmap put TREE... VOLUME:/` what dmap is about: files read in place, page descriptors
// only for what is pinned, and an unlink that does not wait while the pinned frames stay whole.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "contents.h"
#include "dmap/volume.h"
#include "facts.h"

namespace dmap::demo {
namespace {

/// What happens in the background is waited for so long, and looked at so often.
constexpr double kSecondsMax = 2;
constexpr std::chrono::milliseconds kPeriod{1};

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

constexpr const char* kCopy = "/.dmap-demo-copy";
constexpr const char* kOther = "/.dmap-demo-other";

/// VOLUME:/include/stdio.h was /usr/include/stdio.h if the tree /usr/include was put into the root.
class Originals {
 public:
  explicit Originals(const std::vector<std::string>& trees) {
    for (std::string tree : trees) {
      while (tree.size() > 1 && tree.ends_with('/')) tree.pop_back();
      roots_[tree.substr(tree.rfind('/') + 1)] = tree;
    }
  }

  /// Empty: no tree has it.
  [[nodiscard]] std::string path_of(const std::string& path) const {
    size_t end = std::min(path.find('/', 1), path.size());
    auto root = roots_.find(path.substr(1, end - 1));
    return root == roots_.end() ? "" : root->second + path.substr(end);
  }

 private:
  std::map<std::string, std::string> roots_;
};

/// Reads everything in place, and compares it with the originals.
Result<void> compare(Volume& volume, const Originals& originals, std::vector<FileRow>& files, Facts& facts) {
  constexpr uint64_t kShownMax = 10;
  Bytes bytes;
  double in_place_seconds = 0;
  uint64_t differences = 0;
  Stopwatch all;
  for (FileRow& file : files) {
    Stopwatch in_place;
    file.hash = DMAP_TRY(hash_in_place(volume, file.inode));
    in_place_seconds += in_place.seconds();
    bytes += file.size;
    std::string original = originals.path_of(file.path);
    auto expected = hash_on_host(original);
    if (expected && *expected == file.hash) continue;
    if (++differences > kShownMax) continue;
    facts.fact("differs", file.path + (expected ? "" : " (no original: " + expected.error().message() + ")"));
  }
  double all_seconds = all.seconds();
  facts.fact("files", fmt::format("{} regular files, {}", files.size(), show(bytes)));
  facts.fact("read and hash in place",
             fmt::format("{} ({:.2f} s, XXH3-128)", rate(bytes, in_place_seconds), in_place_seconds));
  facts.fact("with the host's side", fmt::format("{} ({:.2f} s)", rate(bytes, all_seconds), all_seconds));
  facts.claim("equal to the originals", differences == 0, fmt::format("{} differences", differences));
  return {};
}

void show_memory(Facts& facts) {
  constexpr std::pair<const char*, const char*> kRows[] = {{"RssAnon:", "RAM, anonymous"},
                                                           {"RssFile:", "mapped file pages"},
                                                           {"RssShmem:", "mapped shared pages"},
                                                           {"VmPTE:", "page tables"}};
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    for (const auto& [name, shown] : kRows) {
      if (!line.starts_with(name)) continue;
      facts.fact(shown, show(Bytes{std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10) * 1024}));
    }
  }
}

std::string show_frames(const FrameInfo& info) {
  return fmt::format("{} for {} frames ({} large descriptors); {} granted, budget {}", show(info.descriptor_memory),
                     info.exposed_frames, info.large_descriptors, show(info.descriptor_granted),
                     show(info.descriptor_budget));
}

/// Pins the largest files, up to 1 GiB, and shows what descriptors cost.
Result<void> show_descriptors(Volume& volume, std::vector<FileRow> files, Facts& facts) {
  constexpr double kLinuxPerGib = 16;  // 64 bytes for each 4 KiB, in MiB
  std::ranges::sort(files, std::greater{}, &FileRow::size);
  FrameInfo before = volume.frame_info();
  std::vector<Pin> pins;
  Bytes pinned;
  for (const FileRow& row : files) {
    if (pinned == 1_GiB || row.size <= File::kInlineMax) break;
    File file = DMAP_TRY(volume.open_file(row.inode));
    auto pin = file.pin(0, std::min(row.size, 1_GiB - pinned));
    if (!pin && pin.error().code() == Code::kNoDescriptors) break;
    if (!pin) continue;  // it has holes
    pinned += pin->size();
    pins.push_back(std::move(*pin));
  }
  FrameInfo during = volume.frame_info();
  size_t count = pins.size();
  pins.clear();
  // Idle descriptors are kept for the next pin, and given back in a quiet moment.
  Stopwatch watch;
  FrameInfo after = volume.frame_info();
  while (after.descriptor_memory > Bytes{0} && watch.seconds() < kSecondsMax) {
    std::this_thread::sleep_for(kPeriod);
    after = volume.frame_info();
  }

  facts.fact("pinned", fmt::format("{} in {} files", show(pinned), count));
  facts.fact("descriptors before", show_frames(before));
  facts.fact("descriptors while pinned", show_frames(during));
  facts.fact("descriptors after", show_frames(after) + fmt::format(", {:.1f} s after the last pin", watch.seconds()));
  double gib = static_cast<double>(pinned.value) / static_cast<double>((1_GiB).value);
  double used = static_cast<double>(during.descriptor_memory.value - before.descriptor_memory.value);
  if (gib > 0) {
    facts.fact("cost per pinned GiB", fmt::format("{} (a struct page per 4 KiB: {} MiB, pinned or not)",
                                                  show(Bytes{static_cast<uint64_t>(used / gib)}), kLinuxPerGib));
  }
  facts.claim("nothing pinned, no frames", after.exposed_frames == before.exposed_frames,
              fmt::format("{} frames have a descriptor", after.exposed_frames));
  return {};
}

/// Copies up to `size` bytes of a file, in place on both sides but for the one copy.
Result<File> copy_file(Volume& volume, InodeNumber from, const char* to, Bytes size) {
  File source = DMAP_TRY(volume.open_file(from));
  File copy = DMAP_TRY(volume.open_file(to, {.access = Access::kReadWrite,
                                             .create = Create::kIfMissing,
                                             .truncate = Truncate::kYes,
                                             .ownership = {.permissions = 0600},
                                             .expected_size = size}));
  for (Offset offset; offset < Offset(size);) {
    View view = DMAP_TRY(source.view(offset, std::min(4_MiB, Offset(size) - offset)));
    for (std::span<const std::byte> piece : view.pieces()) {
      DMAP_TRY(copy.write_at(piece, offset));
      offset = offset + Bytes{piece.size()};
    }
  }
  return copy;
}

/// Writes other bytes all over the free space that it gets, at most `size`.
Result<void> write_other_bytes(Volume& volume, Bytes size) {
  std::vector<std::byte> others((1_MiB).value, std::byte{0xa5});
  File file = DMAP_TRY(
      volume.open_file(kOther, {.access = Access::kReadWrite, .create = Create::kIfMissing, .expected_size = size}));
  for (Offset offset; offset < Offset(size); offset = offset + Bytes{others.size()}) {
    auto written = file.write_at(others, offset);
    if (!written && written.error().code() == Code::kNoSpace) break;
    if (!written) return written;
  }
  return volume.unlink(kOther);
}

std::string show_usage(const Volume& volume) {
  Usage usage = volume.usage();
  return fmt::format("{} free, {} in files, {} quarantined", show(usage.free), show(usage.owned),
                     show(usage.quarantined));
}

/// Removes a file under a pin: the pinned bytes stay, and their frames come back when the pin is gone.
Result<void> show_unlink_while_pinned(Volume& volume, const std::vector<FileRow>& files, Facts& facts) {
  auto largest = std::ranges::max_element(files, {}, &FileRow::size);
  if (largest == files.end() || largest->size <= File::kInlineMax) return {};
  Bytes size = std::min({largest->size, 256_MiB, Bytes{volume.usage().free.value / 4}});

  Pin pin = DMAP_TRY(DMAP_TRY(copy_file(volume, largest->inode, kCopy, size)).pin(0, size));
  Hash hash = DMAP_TRY(hash_of_pin(pin));
  Bytes quarantined_before = volume.usage().quarantined;
  facts.fact("a copy, pinned", show(size));
  facts.fact("before unlink", show_usage(volume));
  Stopwatch unlink;
  DMAP_TRY(volume.unlink(kCopy));
  facts.fact("unlink returned after", fmt::format("{:.0f} us", unlink.seconds() * 1e6));
  facts.fact("unlinked, still pinned", show_usage(volume));
  DMAP_TRY(write_other_bytes(volume, size));
  bool is_gone = !volume.lookup(kCopy);
  bool is_intact = DMAP_TRY(hash_of_pin(pin)) == hash;
  facts.claim("pinned bytes are intact", is_gone && is_intact,
              fmt::format("the name is {}, {} of other bytes were written meanwhile", is_gone ? "gone" : "still there",
                          show(size)));
  facts.claim("frames are held back", volume.usage().quarantined >= size,
              show(volume.usage().quarantined) + " quarantined");

  {
    Pin dropped = std::move(pin);
  }
  Stopwatch drain;
  while (volume.usage().quarantined > quarantined_before && drain.seconds() < kSecondsMax) {
    std::this_thread::sleep_for(kPeriod);
  }
  double seconds = drain.seconds();
  facts.fact("pin dropped", show_usage(volume));
  facts.claim("quarantine is empty again", volume.usage().quarantined <= quarantined_before,
              fmt::format("after {:.0f} ms", seconds * 1e3));
  return {};
}

/// Hashes every n-th file again, as the volume is after its reopening.
Result<void> compare_sample(Volume& volume, const std::vector<FileRow>& files, Facts& facts) {
  constexpr size_t kSample = 1000;
  size_t step = std::max<size_t>(1, files.size() / kSample);
  uint64_t count = 0;
  uint64_t differences = 0;
  for (size_t i = 0; i < files.size(); i += step, ++count) {
    InodeNumber inode = DMAP_TRY(volume.lookup(files[i].path));
    if (DMAP_TRY(hash_in_place(volume, inode)) != files[i].hash) ++differences;
  }
  facts.claim("the same after reopening", differences == 0,
              fmt::format("{} differences in {} files of {}", differences, count, files.size()));
  return {};
}

Result<void> demonstrate(const std::string& path, const std::vector<std::string>& trees, Facts& facts) {
  Stopwatch open;
  Volume volume = DMAP_TRY(Volume::open(path));
  double open_seconds = open.seconds();
  facts.heading("Volume");
  MediumInfo medium = volume.medium();
  facts.fact("medium", fmt::format("{}, {} pages", medium.medium, show(medium.page_size)));
  facts.fact("open",
             fmt::format("{:.2f} ms, {} records replayed", open_seconds * 1e3, volume.open_info().records_replayed));

  facts.heading("Files, read in place");
  auto files = DMAP_TRY(list_files(volume));
  DMAP_TRY(compare(volume, Originals(trees), files, facts));
  facts.heading("Memory of this process, all of it read");
  show_memory(facts);
  facts.heading("Page descriptors");
  DMAP_TRY(show_descriptors(volume, files, facts));
  facts.heading("A file removed while it is pinned");
  DMAP_TRY(show_unlink_while_pinned(volume, files, facts));

  facts.heading("Closed and opened again, read-only");
  DMAP_TRY(volume.close());
  Stopwatch reopen;
  Volume again = DMAP_TRY(Volume::open(path, {.access = Access::kReadOnly}));
  facts.fact("open",
             fmt::format("{:.2f} ms, {} records replayed", reopen.seconds() * 1e3, again.open_info().records_replayed));
  return compare_sample(again, files, facts);
}

}  // namespace
}  // namespace dmap::demo

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  std::string json;
  if (arguments.size() > 2 && arguments[0] == "--json") {
    json = arguments[1];
    arguments.erase(arguments.begin(), arguments.begin() + 2);
  }
  if (arguments.size() < 2 || arguments[0].starts_with("-")) {
    fmt::print(stderr,
               "usage: dmap-demo [--json FILE] VOLUME HOST_TREE...\n"
               "VOLUME was filled by: dmap put HOST_TREE... VOLUME:/\n");
    return 2;
  }
  std::string volume = arguments.front();
  arguments.erase(arguments.begin());

  dmap::demo::Facts facts;
  auto shown = dmap::demo::demonstrate(volume, arguments, facts);
  if (!shown) fmt::print(stderr, "dmap-demo: {}\n", shown.error().message());
  bool written = json.empty() || facts.write_json(json);
  if (!written) fmt::print(stderr, "dmap-demo: {} could not be written\n", json);
  return shown && written && !facts.failed() ? 0 : 1;
}
