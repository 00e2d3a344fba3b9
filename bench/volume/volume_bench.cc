// SPDX-License-Identifier: Apache-2.0
//
// Files of a volume beside the raw operation on the same bytes and beside tmpfs by system calls, in one run.
// The volume lies in a file on /dev/shm. Run: build/release/volume_bench --benchmark_repetitions=5
#include "dmap/volume.h"

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace dmap {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kFileBytes = uint64_t{1} << 30;
const std::string kVolume = "/dev/shm/dmap-bench.dmap";
const std::string kFolder = "/dev/shm/dmap-bench-files";

template <typename T>
T must(Result<T> result) {
  if (!result) {
    std::cerr << result.error().message() << "\n";
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// A volume with one large file, and the same file on tmpfs. Made once, removed at exit.
struct World {
  World() {
    fs::create_directories(kFolder);
    must(Volume::format(kVolume, {.size = 3_GiB, .overwrite = Overwrite::kYes}));
    volume.emplace(must(Volume::open(kVolume)));
    touch_all();
    must(volume->make_directory("/d"));
    large.emplace(must(volume->open_file(
        "/large", {.access = Access::kReadWrite, .create = Create::kIfMissing, .expected_size = Bytes{kFileBytes}})));
    std::vector<std::byte> block(1 << 20, std::byte{7});
    host = ::open((kFolder + "/large").c_str(), O_RDWR | O_CREAT, 0600);
    for (uint64_t at = 0; at < kFileBytes; at += block.size()) {
      must(large->write_at(block, at));
      if (::pwrite(host, block.data(), block.size(), static_cast<off_t>(at)) < 0) std::exit(1);
    }
    auto view = must(large->view(0, Bytes{kFileBytes}));
    raw = view.pieces()[0].data();  // where it lies, for the raw operation; contiguous in a fresh volume
    if (view.pieces()[0].size() < kFileBytes) std::cerr << "the large file has " << view.pieces().size() << " pieces\n";
    raw_bytes = view.pieces()[0].size();
  }
  ~World() {
    large.reset();
    volume.reset();
    ::close(host);
    fs::remove_all(kFolder);
    fs::remove(kVolume);
  }

  /// The first touch of a tmpfs page costs more than anything that is measured here, and happens once in its life.
  void touch_all() {
    std::vector<std::byte> block(1 << 20);
    auto file = must(volume->open_file("/all", {.access = Access::kReadWrite, .create = Create::kIfMissing}));
    for (uint64_t at = 0; file.write_at(block, at); at += block.size()) {
    }
    must(volume->unlink("/all"));
  }

  std::optional<Volume> volume;
  std::optional<File> large;
  const std::byte* raw = nullptr;
  uint64_t raw_bytes = 0;
  int host = -1;
};

World* world = nullptr;

std::vector<uint64_t> random_places(uint64_t bytes, uint64_t step) {
  std::mt19937_64 random(1);
  std::vector<uint64_t> places(1 << 16);
  for (uint64_t& place : places) place = random() % (bytes / step) * step;
  return places;
}

void read_raw(benchmark::State& state) {
  auto size = static_cast<uint64_t>(state.range(0));
  auto places = random_places(world->raw_bytes, size);
  std::vector<std::byte> into(size);
  size_t i = 0;
  for (auto _ : state) {
    std::memcpy(into.data(), world->raw + places[i++ % places.size()], size);
    benchmark::DoNotOptimize(into.data());
  }
}

void read_dmap(benchmark::State& state) {
  auto size = static_cast<uint64_t>(state.range(0));
  auto places = random_places(kFileBytes, size);
  std::vector<std::byte> into(size);
  size_t i = 0;
  for (auto _ : state) must(world->large->read_at(into, places[i++ % places.size()]));
}

void read_tmpfs(benchmark::State& state) {
  auto size = static_cast<uint64_t>(state.range(0));
  auto places = random_places(kFileBytes, size);
  std::vector<std::byte> into(size);
  size_t i = 0;
  for (auto _ : state) {
    if (::pread(world->host, into.data(), size, static_cast<off_t>(places[i++ % places.size()])) < 0) std::exit(1);
  }
}

void view_dmap(benchmark::State& state) {
  auto places = random_places(kFileBytes, 4096);
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(must(world->large->view(places[i++ % places.size()], 4_KiB)));
}

void overwrite_raw(benchmark::State& state) {
  auto size = static_cast<uint64_t>(state.range(0));
  auto places = random_places(world->raw_bytes, size);
  std::vector<std::byte> from(size, std::byte{9});
  auto* to = const_cast<std::byte*>(world->raw);
  size_t i = 0;
  for (auto _ : state) {
    std::memcpy(to + places[i++ % places.size()], from.data(), size);
    benchmark::ClobberMemory();
  }
}

void overwrite_dmap(benchmark::State& state) {
  auto size = static_cast<uint64_t>(state.range(0));
  auto places = random_places(kFileBytes, size);
  std::vector<std::byte> from(size, std::byte{9});
  size_t i = 0;
  for (auto _ : state) must(world->large->write_at(from, places[i++ % places.size()]));
}

void overwrite_tmpfs(benchmark::State& state) {
  auto size = static_cast<uint64_t>(state.range(0));
  auto places = random_places(kFileBytes, size);
  std::vector<std::byte> from(size, std::byte{9});
  size_t i = 0;
  for (auto _ : state) {
    if (::pwrite(world->host, from.data(), size, static_cast<off_t>(places[i++ % places.size()])) < 0) std::exit(1);
  }
}

void append_dmap(benchmark::State& state) {
  std::vector<std::byte> from(4096, std::byte{9});
  auto file = must(world->volume->open_file("/grows", {.access = Access::kReadWrite, .create = Create::kIfMissing}));
  for (auto _ : state) {
    must(file.append(from));
    if (file.size() >= 1_GiB) must(file.truncate(Bytes{0}));
  }
  must(world->volume->unlink("/grows"));
}

void append_tmpfs(benchmark::State& state) {
  std::vector<std::byte> from(4096, std::byte{9});
  std::string path = kFolder + "/grows";
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND, 0600);
  uint64_t size = 0;
  for (auto _ : state) {
    if (::write(file, from.data(), from.size()) < 0) std::exit(1);
    if ((size += from.size()) >= kFileBytes && ::ftruncate(file, static_cast<off_t>(size = 0)) != 0) std::exit(1);
  }
  ::close(file);
  ::unlink(path.c_str());
}

void create_unlink_dmap(benchmark::State& state) {
  for (auto _ : state) {
    must(world->volume->open_file("/d/new", {.access = Access::kReadWrite, .create = Create::kExclusive}));
    must(world->volume->unlink("/d/new"));
  }
}

void create_unlink_tmpfs(benchmark::State& state) {
  std::string path = kFolder + "/new";
  for (auto _ : state) {
    ::close(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
    ::unlink(path.c_str());
  }
}

void create_dmap(benchmark::State& state) {
  uint64_t made = 0;
  InodeNumber folder = must(world->volume->make_directory("/many"));
  for (auto _ : state) {
    must(world->volume->open_file({folder, "f" + std::to_string(made++)},
                                  {.access = Access::kReadWrite, .create = Create::kExclusive}));
  }
  for (uint64_t i = 0; i < made; ++i) must(world->volume->unlink({folder, "f" + std::to_string(i)}));
  must(world->volume->remove_directory("/many"));
}

void create_tmpfs(benchmark::State& state) {
  uint64_t made = 0;
  fs::create_directories(kFolder + "/many");
  for (auto _ : state) {
    ::close(::open((kFolder + "/many/f" + std::to_string(made++)).c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
  }
  fs::remove_all(kFolder + "/many");
}

void open_dmap(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(must(world->volume->open_file("/large")));
}

void open_tmpfs(benchmark::State& state) {
  std::string path = kFolder + "/large";
  for (auto _ : state) ::close(::open(path.c_str(), O_RDONLY));
}

void stat_dmap(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(must(world->volume->stat("/large")));
}

void stat_tmpfs(benchmark::State& state) {
  std::string path = kFolder + "/large";
  struct stat status{};
  for (auto _ : state) benchmark::DoNotOptimize(::stat(path.c_str(), &status));
}

/// Pin and unpin, alone or with a second thread that reads the same file all the while.
void pin_dmap(benchmark::State& state) {
  auto size = static_cast<uint64_t>(state.range(0));
  std::atomic<bool> stop = false;
  std::thread reader;
  if (state.range(1) != 0) {
    reader = std::thread([&] {
      std::vector<std::byte> into(4096);
      for (uint64_t at = 0; !stop.load(std::memory_order_relaxed); at = (at + 4096) % size)
        must(world->large->read_at(into, at));
    });
  }
  for (auto _ : state) benchmark::DoNotOptimize(must(world->large->pin(0, Bytes{size})));
  stop = true;
  if (reader.joinable()) reader.join();
}

BENCHMARK(read_raw)->Arg(64)->Arg(4096)->Arg(1 << 20);
BENCHMARK(read_dmap)->Arg(64)->Arg(4096)->Arg(1 << 20);
BENCHMARK(read_tmpfs)->Arg(64)->Arg(4096)->Arg(1 << 20);
BENCHMARK(view_dmap);
BENCHMARK(overwrite_raw)->Arg(64)->Arg(4096)->Arg(1 << 20);
BENCHMARK(overwrite_dmap)->Arg(64)->Arg(4096)->Arg(1 << 20);
BENCHMARK(overwrite_tmpfs)->Arg(64)->Arg(4096)->Arg(1 << 20);
BENCHMARK(append_dmap);
BENCHMARK(append_tmpfs);
BENCHMARK(create_dmap)->Iterations(100000);
BENCHMARK(create_tmpfs)->Iterations(100000);
BENCHMARK(create_unlink_dmap);
BENCHMARK(create_unlink_tmpfs);
BENCHMARK(open_dmap);
BENCHMARK(open_tmpfs);
BENCHMARK(stat_dmap);
BENCHMARK(stat_tmpfs);
BENCHMARK(pin_dmap)
    ->Args({4096, 0})
    ->Args({4096, 1})
    ->Args({2 << 20, 0})
    ->Args({2 << 20, 1})
    ->Args({1 << 30, 0})
    ->Args({1 << 30, 1})
    ->UseRealTime();

}  // namespace
}  // namespace dmap

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  dmap::World world;
  dmap::world = &world;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
