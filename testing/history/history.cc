// SPDX-License-Identifier: Apache-2.0
#include "testing/history/history.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <thread>
#include <unordered_map>
#include <utility>

#include "testing/support/random.h"
#include "testing/support/stamp.h"

namespace dmap::testing {
namespace {

/// The time, when everything that this thread stored before is where others see it: a store may wait in its CPU's
/// buffer for longer than a clock takes to be read, and only the clock ties the threads of a history together.
int64_t now() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

void run_thread(Registers& registers, const HistoryOptions& options, uint32_t writer, std::vector<Event>& events) {
  Random random(options.seed * 64 + writer);
  for (uint64_t call = 1; call <= options.calls; ++call) {
    auto file = static_cast<uint32_t>(random.below(options.files));
    uint32_t count = random.chance(70) ? 1 : static_cast<uint32_t>(random.between(1, options.words_max));
    uint64_t places = random.chance(80) ? options.hot_places : options.places - options.words_max;
    auto place = static_cast<uint32_t>(random.below(places));
    bool write = random.chance(40);
    std::vector<uint64_t> words(count);
    if (write) words = stamped(writer, file, place, static_cast<uint32_t>(call), count);
    int64_t invoked = now();
    write ? registers.write(file, place, words) : registers.read(file, place, words);
    int64_t responded = now();
    Event::Kind kind = write ? Event::Kind::kWrite : Event::Kind::kRead;
    for (uint32_t i = 0; i < count; ++i) events.push_back({kind, file, place + i, words[i], invoked, responded});
  }
}

/// One register's events, judged.
class Register {
 public:
  Register(uint32_t file, uint32_t place) : file_(file), place_(place) {
    writes_[0] = {.invoked = INT64_MIN, .responded = INT64_MIN, .effective = INT64_MIN};
  }

  void add(const Event& event) {
    if (event.kind == Event::Kind::kRead) return reads_.push_back(&event);
    writes_[event.word] = {.invoked = event.invoked, .responded = event.responded, .effective = event.responded};
  }

  void judge(std::vector<std::string>& wrong) {
    for (const Event* read : reads_) {
      auto write = writes_.find(read->word);
      if (write != writes_.end()) write->second.effective = std::min(write->second.effective, read->responded);
    }
    // By the moment from which it certainly was there: the latest beginning of all writes up to then.
    std::vector<std::pair<int64_t, int64_t>> begun;
    for (const auto& [word, write] : writes_) begun.emplace_back(write.effective, write.invoked);
    std::sort(begun.begin(), begun.end());
    int64_t latest = INT64_MIN;
    for (auto& [effective, invoked] : begun) invoked = latest = std::max(latest, invoked);
    for (const Event* read : reads_) {
      if (std::string why = judge(*read, begun); !why.empty()) {
        wrong.push_back("file " + std::to_string(file_) + " place " + std::to_string(place_) + " read as " +
                        describe(read->word) + ": " + why);
      }
    }
  }

 private:
  struct Write {
    int64_t invoked;
    int64_t responded;
    int64_t effective;  ///< from here on it certainly was there: it had returned, or somebody had read it
  };

  [[nodiscard]] std::string judge(const Event& read, const std::vector<std::pair<int64_t, int64_t>>& begun) const {
    switch (kind_of(read.word, file_, place_)) {
      case WordKind::kOtherFile: return "another file's word";
      case WordKind::kOtherPlace: return "another place's word";
      case WordKind::kGarbage: return "garbage";
      case WordKind::kOwn:
      case WordKind::kZero: break;
    }
    auto write = writes_.find(read.word);
    if (write == writes_.end()) return "nobody wrote it";
    if (write->second.invoked > read.responded) return "it had not been written yet";
    auto after = std::lower_bound(begun.begin(), begun.end(), std::pair(read.invoked, INT64_MIN));
    if (after == begun.begin()) return "";
    return std::prev(after)->second > write->second.responded ? "it had been overwritten before" : "";
  }

  uint32_t file_;
  uint32_t place_;
  std::unordered_map<uint64_t, Write> writes_;
  std::vector<const Event*> reads_;
};

}  // namespace

std::vector<Event> record(Registers& registers, const HistoryOptions& options) {
  std::vector<std::vector<Event>> parts(options.threads);
  std::vector<std::thread> threads;
  for (uint32_t thread = 0; thread < options.threads; ++thread) {
    threads.emplace_back([&, thread] { run_thread(registers, options, thread + 1, parts[thread]); });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<Event> history;
  for (const auto& part : parts) history.insert(history.end(), part.begin(), part.end());
  return history;
}

std::vector<std::string> violations(const std::vector<Event>& history) {
  std::map<std::pair<uint32_t, uint32_t>, Register> registers;
  for (const Event& event : history) {
    registers.try_emplace({event.file, event.place}, event.file, event.place).first->second.add(event);
  }
  std::vector<std::string> wrong;
  for (auto& entry : registers) entry.second.judge(wrong);
  return wrong;
}

}  // namespace dmap::testing
