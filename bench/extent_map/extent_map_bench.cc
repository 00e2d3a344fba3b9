// SPDX-License-Identifier: Apache-2.0
//
// An extent map beside what a program would take instead: std::map and a sorted vector, neither of which may be read
// while it changes.
#include "extent/extent_map.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "base/check.h"

namespace dmap {
namespace {

/// 16 frames of file each, scattered over the device: no two are one mapping.
constexpr uint64_t kFrames = 16;
Mapping scattered(uint64_t i) { return {kFrames * i, make_pfn(DeviceNumber{1}, 40 * i), kFrames, 1, true}; }

void load(ExtentMap& map, uint64_t count) {
  ExtentMap::Builder builder;
  for (uint64_t i = 0; i < count; ++i) CHECK(builder.add(scattered(i)).has_value());
  map.load(std::move(builder));
}

/// Random frames of the file, drawn before the clock runs.
std::vector<uint64_t> random_frames(uint64_t extents) {
  std::mt19937_64 random(1);
  std::vector<uint64_t> frames(1 << 16);
  for (uint64_t& frame : frames) frame = random() % (extents * kFrames);
  return frames;
}

template <typename Find>
void time_finds(benchmark::State& state, Find&& find) {
  const auto frames = random_frames(state.range(0));
  size_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(find(frames[next++ % frames.size()]));
}

void extent_map_find(benchmark::State& state) {
  ExtentMap map;
  load(map, state.range(0));
  time_finds(state, [&](uint64_t frame) {
    RcuReadSection section;
    Segment segment = map.find(frame);
    return segment.pfn + FrameCount{frame - segment.first};
  });
  state.counters["bytes_per_extent"] = static_cast<double>(map.bytes().value) / static_cast<double>(map.count());
}

void std_map_find(benchmark::State& state) {
  std::map<uint64_t, Mapping> map;
  for (int64_t i = 0; i < state.range(0); ++i) map.emplace_hint(map.end(), kFrames * i, scattered(i));
  time_finds(state, [&](uint64_t frame) {
    const Mapping& mapping = std::prev(map.upper_bound(frame))->second;
    return mapping.pfn + FrameCount{frame - mapping.file_frame};
  });
}

void sorted_vector_find(benchmark::State& state) {
  std::vector<Mapping> vector;
  for (int64_t i = 0; i < state.range(0); ++i) vector.push_back(scattered(i));
  time_finds(state, [&](uint64_t frame) {
    const Mapping& mapping = *std::prev(std::ranges::upper_bound(vector, frame, {}, &Mapping::file_frame));
    return mapping.pfn + FrameCount{frame - mapping.file_frame};
  });
}

BENCHMARK(extent_map_find)->Arg(1)->Arg(3)->Arg(1000)->Arg(1'000'000);
BENCHMARK(std_map_find)->Arg(1)->Arg(3)->Arg(1000)->Arg(1'000'000);
BENCHMARK(sorted_vector_find)->Arg(1)->Arg(3)->Arg(1000)->Arg(1'000'000);

/// One edit per append, published each time, as one write() that extends a file does.
void extent_map_append(benchmark::State& state) {
  ExtentMap map;
  load(map, state.range(0));
  uint64_t next = state.range(0), nodes = 0;
  for (auto _ : state) {
    auto edit = map.edit();
    edit.insert(scattered(next++));
    nodes += edit.nodes_allocated();
    edit.publish();
  }
  state.counters["nodes_per_edit"] = benchmark::Counter(static_cast<double>(nodes), benchmark::Counter::kAvgIterations);
  rcu_barrier_all();
}

/// The frames of a random extent move elsewhere, as an atomic write does.
void extent_map_replace(benchmark::State& state) {
  ExtentMap map;
  load(map, state.range(0));
  std::mt19937_64 random(1);
  uint32_t birth = 1;
  for (auto _ : state) {
    Mapping mapping = scattered(random() % state.range(0));
    mapping.birth = ++birth;
    auto edit = map.edit();
    edit.replace(mapping, [](const Mapping&) {});
    edit.publish();
  }
  rcu_barrier_all();
}

void std_map_append(benchmark::State& state) {
  std::map<uint64_t, Mapping> map;
  for (int64_t i = 0; i < state.range(0); ++i) map.emplace_hint(map.end(), kFrames * i, scattered(i));
  uint64_t next = state.range(0);
  for (auto _ : state) {
    map.emplace(kFrames * next, scattered(next));
    ++next;
  }
}

/// A sorted vector that is published whole has to be copied whole.
void sorted_vector_copy_append(benchmark::State& state) {
  auto vector = std::make_unique<std::vector<Mapping>>();
  for (int64_t i = 0; i < state.range(0); ++i) vector->push_back(scattered(i));
  for (auto _ : state) {
    auto copy = std::make_unique<std::vector<Mapping>>(vector->size() + 1);
    std::ranges::copy(*vector, copy->begin());
    copy->back() = scattered(vector->size());
    vector = std::move(copy);
  }
}

BENCHMARK(extent_map_append)->Arg(1)->Arg(1'000'000);
BENCHMARK(extent_map_replace)->Arg(1)->Arg(1'000'000);
BENCHMARK(std_map_append)->Arg(1'000'000);
BENCHMARK(sorted_vector_copy_append)->Arg(1'000'000);

void extent_map_build(benchmark::State& state) {
  for (auto _ : state) {
    ExtentMap map;
    load(map, state.range(0));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(extent_map_build)->Arg(1'000'000);

}  // namespace
}  // namespace dmap

BENCHMARK_MAIN();
