// SPDX-License-Identifier: Apache-2.0
//
// Exposing and dropping, alone and under a second thread's lookups, beside the page-table form; with the interrupts
// between processors that each costs, from /proc/interrupts (of the whole machine: other programs' are in it).
#include <thread>

#include "bench/frame/measure.h"

namespace dmap::bench {
namespace {

constexpr FrameCount kFrames = frames_within(64_GiB);
enum class Company { kAlone, kReader };

/// A thread that looks frames of the first 64 MiB up for as long as this lives: those that the benchmark changes.
class Reader {
 public:
  template <typename Find>
  Reader(Company company, Find find) {
    if (company == Company::kAlone) return;
    thread_ = std::thread([this, find] {
      Spread spread(frames_within(64_MiB).value);
      while (!stop_.load(std::memory_order_relaxed)) {
        RcuReadSection reading;
        for (int i = 0; i < 64; ++i) keep(find(spread.next()));
      }
    });
  }
  ~Reader() {
    stop_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

template <typename Body>
void measure(const char* what, const char* form, Company company, uint64_t operations, Body body) {
  body();  // the first round finds everything absent
  Interrupts before = interrupts();
  double ns = median_ns(operations, body);
  Interrupts after = interrupts();
  double all = static_cast<double>(operations) * kRepetitions;
  auto per_operation = [&](uint64_t from, uint64_t to) { return static_cast<double>(to - from) / all; };
  std::printf("| %-38s | %-12s | %-6s | %9.1f | %8.5f | %8.5f | %8.5f |\n", what, form,
              company == Company::kAlone ? "alone" : "reader", ns, per_operation(before.tlb, after.tlb),
              per_operation(before.calls, after.calls), per_operation(before.reschedules, after.reschedules));
  std::fflush(stdout);
}

void frame_table(Company company) {
  auto table = make_table(kFrames);
  Reader reader(company, [&](uint64_t index) { return table->pfn_to_page(make_pfn(kDevice, index)); });
  auto touch = [&](uint64_t first, uint64_t count) {
    auto hold = table->expose(extent(first, count), Owner::kFileStore);
    CHECK(hold.has_value());
  };
  auto standing = table->expose(extent(kFrames.value - 1, 1), Owner::kFileStore).value();
  measure("one more hold on an exposed frame", "frame table", company, 1 << 20, [&] {
    for (int i = 0; i < 1 << 20; ++i) touch(kFrames.value - 1, 1);
  });
  measure("one frame, again and again", "frame table", company, 1 << 20, [&] {
    for (int i = 0; i < 1 << 20; ++i) touch(77, 1);
  });
  measure("one 2 MiB run, again and again", "frame table", company, 1 << 20, [&] {
    for (int i = 0; i < 1 << 20; ++i) touch(512, 512);
  });
  measure("frames, one by one, through 1 GiB", "frame table", company, 1 << 18, [&] {
    for (uint64_t index = 0; index < 1 << 18; ++index) touch(index, 1);
  });
  measure("lone frames, one in each 2 MiB of 8 GiB", "frame table", company, 1 << 12, [&] {
    for (uint64_t index = 0; index < 1 << 21; index += 512) touch(index, 1);
  });
  measure("2 MiB runs through 8 GiB", "frame table", company, 1 << 12, [&] {
    for (uint64_t index = 0; index < 1 << 21; index += 512) touch(index, 512);
  });
  measure("64 MiB at once by frames (per frame)", "frame table", company, 1 << 14, [&] {
    auto hold = table->expose(extent(0, 1 << 14), Owner::kFileStore, Grain::kFrame);
    CHECK(hold.has_value());
  });
  measure("8 GiB at once by runs (per run)", "frame table", company, 1 << 12, [&] { touch(0, 1 << 21); });
}

void page_tables(Company company) {
  PageTableForm form(kFrames);
  Reader reader(company, [&](uint64_t index) { return form.find(index); });
  measure("one frame, again and again, kept", "page tables", company, 1 << 20, [&] {
    for (int i = 0; i < 1 << 20; ++i) form.expose(77), form.drop(77);
  });
  measure("one frame, again and again, given back", "page tables", company, 1 << 13, [&] {
    for (int i = 0; i < 1 << 13; ++i) form.expose(77), form.drop(77), form.give_page_back(77);
  });
  measure("frames, one by one, through 64 MiB", "page tables", company, 1 << 14, [&] {
    for (uint64_t index = 0; index < 1 << 14; ++index) {
      form.expose(index);
      form.drop(index);
      if (index % PageTableForm::kPerPage == PageTableForm::kPerPage - 1) form.give_page_back(index);
    }
  });
  measure("lone frames, one in each 2 MiB of 8 GiB", "page tables", company, 1 << 12, [&] {
    for (uint64_t index = 0; index < 1 << 21; index += 512)
      form.expose(index), form.drop(index), form.give_page_back(index);
  });
}

}  // namespace
}  // namespace dmap::bench

int main() {
  using namespace dmap::bench;
  std::printf("Expose and drop: medians of %d, interrupts for each operation.\n", kRepetitions);
  std::printf(
      "| expose + drop                          | form         | beside | ns        | TLB      | CAL      | RES      "
      "|\n");
  std::printf("|---|---|---|---|---|---|---|\n");
  for (Company company : {Company::kAlone, Company::kReader}) {
    frame_table(company);
    page_tables(company);
  }
}
