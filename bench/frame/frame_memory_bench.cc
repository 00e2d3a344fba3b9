// SPDX-License-Identifier: Apache-2.0
//
// What descriptors cost in memory: resident pages plus page tables, as the kernel counts them.
#include <functional>

#include "bench/frame/measure.h"

namespace dmap::bench {
namespace {

uint64_t base_kib = 0;

void row(const char* what, const char* form) {
  auto kib = static_cast<double>(footprint_kib() - std::min(base_kib, footprint_kib()));
  std::printf("| %-44s | %-11s | %12.0f |\n", what, form, kib);
  std::fflush(stdout);
}

void frame_table() {
  constexpr FrameCount kFrames = frames_within(1_PiB);
  base_kib = footprint_kib();
  auto table = make_table(kFrames);
  row("1 PiB, nothing exposed", "frame table");
  Spread spread(kFrames.value);
  for (int i = 0; i < 10'000'000; ++i) {
    RcuReadSection reading;
    keep(table->pfn_to_page(make_pfn(kDevice, spread.next())));
  }
  row("1 PiB, after 10 million random lookups", "frame table");
  {
    auto hold = table->expose(extent(0, 1 << 18), Owner::kFileStore).value();
    row("... and 1 GiB exposed by 2 MiB", "frame table");
  }
  {
    auto hold = table->expose(extent(0, 1 << 18), Owner::kFileStore, Grain::kFrame).value();
    row("... and 1 GiB exposed by 4 KiB", "frame table");
  }
  {
    std::vector<Exposure> holds;
    for (int i = 0; i < 1024; ++i) {
      holds.push_back(table->expose(extent(spread.next(), 1), Owner::kFileStore).value());
    }
    row("... and 1024 lone frames, anywhere in 1 PiB", "frame table");
  }
  row("... all dropped (idle cache)", "frame table");
  table->trim();
  row("... and trimmed", "frame table");
  std::printf("of which the pool keeps %llu KiB\n",
              static_cast<unsigned long long>(table->statistics().granted.value >> 10));
}

void page_tables() {
  base_kib = footprint_kib();
  PageTableForm form(frames_within(1_PiB));
  row("1 PiB, nothing exposed", "page tables");
  Spread spread(frames_within(1_PiB).value);
  for (int i = 0; i < 100'000; ++i) keep(form.find(spread.next()));
  row("1 PiB, after 0.1 million random lookups", "page tables");
  for (uint64_t i = 0; i < 1 << 18; ++i) form.expose(i);
  row("... and 1 GiB exposed by 4 KiB", "page tables");
}

void page_tables_of_a_tebibyte() {
  base_kib = footprint_kib();
  PageTableForm form(frames_within(1_TiB));
  Spread spread(frames_within(1_TiB).value);
  for (int i = 0; i < 10'000'000; ++i) keep(form.find(spread.next()));
  row("1 TiB, after 10 million random lookups", "page tables");
}

}  // namespace
}  // namespace dmap::bench

int main() {
  using namespace dmap::bench;
  std::printf(
      "VmRSS + VmPTE beyond what the program had before, KiB. (Eager 64-byte descriptors: 16 GiB for each TiB.)\n");
  std::printf("| state                                        | form        | KiB          |\n|---|---|---|\n");
  frame_table();
  page_tables();
  page_tables_of_a_tebibyte();
}
