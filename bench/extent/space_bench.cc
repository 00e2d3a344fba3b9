// SPDX-License-Identifier: Apache-2.0
//
// What allocating costs on a fresh volume and on one that is old and 90 % full; and what a view costs.
#include <benchmark/benchmark.h>

#include <chrono>
#include <mutex>
#include <random>

#include "base/rcu.h"
#include "extent/space_map.h"

namespace dmap {
namespace {

class NothingStored : public GroupSource {
 public:
  Result<std::optional<EncodedGroup>> load(uint64_t /*group*/) override { return std::nullopt; }
};

class NothingHeld : public HoldChecker {
 public:
  void retire(Extent freed, std::vector<Extent>& unheld) override { unheld.push_back(freed); }
};

constexpr uint64_t kFrames = (64_GiB).value >> kFrameShift;

struct Volume {
  Volume() {
    map = SpaceMap::create(DeviceNumber{0}, FrameCount{kFrames}, FrameCount{0}, tree, holds, views, {}).value();
  }

  using File = std::vector<Extent>;
  File write(uint64_t frames) {
    auto reservation = map->reserve(FrameCount{frames}, {}).value();
    File file(reservation.pieces().begin(), reservation.pieces().end());
    map->commit(std::move(reservation));
    return file;
  }
  void remove(const File& file) {
    for (Extent piece : file) map->release(piece, RecordState::kDurable);
  }

  /// 90 % full, after ten times its size was written in files of random sizes: half of them up to 64 KiB, some to 64
  /// MiB.
  void age() {
    std::mt19937_64 random(1);
    std::vector<File> files;
    uint64_t owned = 0;
    for (uint64_t written = 0; written < 10 * kFrames;) {
      const uint64_t size = 1 + random() % (uint64_t{1} << (random() % 2 == 0 ? 4 : 4 + random() % 11));
      while (owned + size > kFrames / 10 * 9) {
        std::swap(files[random() % files.size()], files.back());
        for (Extent piece : files.back()) owned -= piece.count.value;
        remove(files.back());
        files.pop_back();
        if (map->counts().quarantined.value > kFrames / 100) map->mature();
      }
      files.push_back(write(size));
      owned += size;
      written += size;
    }
    map->mature();
  }

  NothingStored tree;
  NothingHeld holds;
  ViewSlots views;
  std::unique_ptr<SpaceMap> map;
};

enum class Age : uint8_t { kFresh, kOld };

Volume& volume_of(Age age) {
  static Volume fresh;
  static Volume old;
  if (age == Age::kFresh) return fresh;
  static std::once_flag aged;
  std::call_once(aged, [] { old.age(); });
  return old;
}

/// Reserves and commits files of `frames`, about 2 % of the volume at a time, then removes them outside of the clock,
/// so that the volume's age stays what it was.
void BM_ReserveCommit(benchmark::State& state, Age age) {
  Volume& volume = volume_of(age);
  const auto frames = static_cast<uint64_t>(state.range(0));
  const uint64_t batch = std::max<uint64_t>(1, std::min<uint64_t>(10000, kFrames / 50 / frames));
  std::vector<Reservation> reservations(batch);
  uint64_t pieces = 0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::vector<Extent>> files;
    for (Reservation& reservation : reservations) reservation = volume.map->reserve(FrameCount{frames}, {}).value();
    std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    for (const Reservation& reservation : reservations) {
      files.emplace_back(reservation.pieces().begin(), reservation.pieces().end());
      pieces += files.back().size();
    }
    const auto again = std::chrono::steady_clock::now();
    for (Reservation& reservation : reservations) volume.map->commit(std::move(reservation));
    taken += std::chrono::steady_clock::now() - again;
    state.SetIterationTime(taken.count());
    for (const auto& file : files) volume.remove(file);
    volume.map->mature();
  }
  const auto allocations = static_cast<double>(batch) * static_cast<double>(state.iterations());
  state.counters["pieces"] = static_cast<double>(pieces) / allocations;
  state.counters["each"] = benchmark::Counter(allocations, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(BM_ReserveCommit, fresh, Age::kFresh)->Arg(1)->Arg(16)->Arg(262144)->UseManualTime();
BENCHMARK_CAPTURE(BM_ReserveCommit, old, Age::kOld)->Arg(1)->Arg(16)->Arg(262144)->UseManualTime();

void BM_View(benchmark::State& state) {
  static ViewSlots views;
  const Extent extent{Pfn{static_cast<uint64_t>(state.thread_index()) * 100}, FrameCount{1}};
  for (auto _ : state) {
    RcuReadSection section;
    auto view = views.take(extent);
    benchmark::DoNotOptimize(view);
  }
}

BENCHMARK(BM_View)->Threads(1)->Threads(2);

}  // namespace
}  // namespace dmap

BENCHMARK_MAIN();
