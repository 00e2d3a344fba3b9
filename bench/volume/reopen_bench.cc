// SPDX-License-Identifier: Apache-2.0
//
// What opening costs: a volume with many files, closed cleanly, and one whose process died with a journal as full as it
// gets. And what a directory of a million entries costs. Run: build/release/reopen_bench [files]
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

#include "dmap/check.h"
#include "dmap/volume.h"

namespace dmap {
namespace {

const std::string kVolume = "/dev/shm/dmap-reopen.dmap";

template <typename T>
T must(Result<T> result) {
  if (!result) {
    std::cerr << result.error().message() << "\n";
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

class Watch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void make_files(Volume& volume, InodeNumber folder, uint64_t first, uint64_t count, const char* what) {
  std::byte bytes[100] = {};
  Watch watch;
  for (uint64_t i = first; i < first + count; ++i) {
    auto file = must(volume.open_file({folder, "file-" + std::to_string(i)},
                                      {.access = Access::kReadWrite, .create = Create::kExclusive}));
    must(file.write_at(bytes, 0));
  }
  std::cout << what << ": " << count << " files of 100 bytes, " << watch.seconds() / static_cast<double>(count) * 1e6
            << " us each; " << volume.open_info().checkpoints << " checkpoints\n";
}

/// Opens and dies, as kill -9 would leave it, when the journal is nearly full.
void die_with_a_full_journal(uint64_t files) {
  if (pid_t child = fork(); child != 0) {
    waitpid(child, nullptr, 0);
    return;
  }
  auto volume = must(Volume::open(kVolume));
  InodeNumber folder = must(volume.make_directory("/later"));
  uint64_t made = 0;
  auto nearly_full = [&] {
    OpenInfo info = volume.open_info();
    return info.journal_used.value > info.journal_size.value * 49 / 100;
  };
  while (!nearly_full()) {
    must(volume.open_file({folder, "late-" + std::to_string(files + made++)},
                          {.access = Access::kReadWrite, .create = Create::kExclusive}));
  }
  std::cout << "died with " << (volume.open_info().journal_used.value >> 20) << " MiB of journal in use, " << made
            << " files more\n";
  std::cout.flush();
  _exit(0);
}

void open_it(const char* what) {
  Watch watch;
  auto volume = must(Volume::open(kVolume));
  double opened = watch.seconds();
  std::cout << what << ": " << opened * 1e3 << " ms, " << volume.open_info().records_replayed << " records replayed, "
            << volume.usage().inodes << " inodes\n";
}

void list_all(Volume& volume, InodeNumber folder) {
  Watch watch;
  uint64_t seen = 0;
  DirectoryCookie after = kDirectoryStart;
  for (;;) {
    auto page = must(volume.read_directory(folder, after));
    seen += page.size();
    if (page.empty()) break;
    after = page.back().cookie;
  }
  std::cout << "list: " << seen << " entries, " << watch.seconds() / static_cast<double>(seen) * 1e9 << " ns each\n";
}

int run(uint64_t files) {
  must(Volume::format(kVolume, {.size = 8_GiB, .overwrite = Overwrite::kYes}));
  {
    auto volume = must(Volume::open(kVolume));
    InodeNumber folder = must(volume.make_directory("/one"));
    make_files(volume, folder, 0, files / 10, "first tenth");
    make_files(volume, folder, files / 10, files - files / 10, "the rest");
    list_all(volume, folder);
    Watch watch;
    must(volume.close());
    std::cout << "close: " << watch.seconds() * 1e3 << " ms\n";
  }
  open_it("open after a clean close");
  die_with_a_full_journal(files);
  open_it("open after a crash");
  Watch watch;
  CheckReport report = must(check_volume(kVolume));
  std::cout << "check: " << watch.seconds() << " s, " << report.findings << " findings\n";
  std::filesystem::remove(kVolume);
  return report.findings == 0 ? 0 : 1;
}

}  // namespace
}  // namespace dmap

int main(int argc, char** argv) { return dmap::run(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000); }
