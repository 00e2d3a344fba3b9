// SPDX-License-Identifier: Apache-2.0
//
// What a store through a device costs beside the bare memcpy, at random places of a 1 GiB file on tmpfs.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "device/file_device.h"
#include "device/persist.h"

namespace dmap {
namespace {

constexpr Bytes kSize = 1_GiB;

/// The file, every page of it present; removed at the end.
class Target {
 public:
  Target() {
    auto device = FileDevice::create(path_, kSize, {.overwrite = Overwrite::kYes});
    if (!device) {
      std::fprintf(stderr, "%s\n", device.error().message().c_str());
      std::exit(1);
    }
    device_ = std::move(*device);
    for (uint64_t at = 0; at < kSize.value; at += kFrameSize.value) device_->store_word(Bytes{at}, 1);
  }
  ~Target() { ::unlink(path_.c_str()); }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  Device& device() { return *device_; }
  std::byte* bytes() { return const_cast<std::byte*>(device_->data()); }

 private:
  const std::string path_ = "/dev/shm/dmap_device_bench_" + std::to_string(::getpid());
  std::unique_ptr<Device> device_;
};

/// Calls `store(at, bytes)` at random multiples of the length, for each length.
template <typename Store>
void measure(benchmark::State& state, Store store) {
  const std::vector<std::byte> source(static_cast<size_t>(state.range(0)), std::byte{7});
  const uint64_t places = kSize.value / source.size();
  uint64_t random = 88172645463325252;  // xorshift64
  for (auto _ : state) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    store(Bytes{random % places * source.size()}, std::span(source));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

template <typename Store>
void add(const char* name, Store store) {
  benchmark::RegisterBenchmark(name, [store](benchmark::State& state) { measure(state, store); })
      ->Arg(64)
      ->Arg(256)
      ->Arg(4 << 10)
      ->Arg(64 << 10)
      ->Arg(1 << 20);
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  Target target;
  Device& device = target.device();
  std::byte* bytes = target.bytes();
  // Line-flush media are timed on the same memory: the instructions are those that persistent memory gets.
  const LineWriter line_flush(Persistence::kLineFlush, best_line_write_back());
  add("memcpy", [=](Bytes at, std::span<const std::byte> from) {
    std::memcpy(bytes + at.value, from.data(), from.size());
    benchmark::ClobberMemory();
  });
  add("store_streaming+fence", [&](Bytes at, std::span<const std::byte> from) {
    device.store_streaming(at, from);
    device.fence();
  });
  add("line_flush:copy+fence", [&](Bytes at, std::span<const std::byte> from) {
    line_flush.copy(bytes + at.value, from);
    line_flush.fence();
  });
  add("line_flush:memcpy+flush+fence", [&](Bytes at, std::span<const std::byte> from) {
    std::memcpy(bytes + at.value, from.data(), from.size());
    line_flush.flush(bytes + at.value, from.size());
    line_flush.fence();
  });
  add("zero_streaming+fence", [&](Bytes at, std::span<const std::byte> from) {
    device.zero_streaming(at, Bytes{from.size()});
    device.fence();
  });
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace dmap

int main(int argc, char** argv) { return dmap::run(argc, argv); }
