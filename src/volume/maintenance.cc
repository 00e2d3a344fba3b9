// SPDX-License-Identifier: Apache-2.0
#include "volume/maintenance.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace dmap {
namespace {

constexpr std::chrono::milliseconds kBusyPause{20};
constexpr std::chrono::milliseconds kIdlePause{500};

}  // namespace

void Maintenance::start(Round round) {
  thread_ = std::thread([this, round = std::move(round)] { run(round); });
}

void Maintenance::stop() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  woken_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Maintenance::reap_later(InodeNumber number) {
  {
    MutexLock lock(mutex_);
    dead_.push_back(number);
    wake_ = true;
  }
  woken_.notify_one();
}

void Maintenance::reap_in_next_round(InodeNumber number) {
  MutexLock lock(mutex_);
  dead_.push_back(number);
}

std::vector<InodeNumber> Maintenance::take_dead() {
  MutexLock lock(mutex_);
  std::vector<InodeNumber> dead = std::exchange(dead_, {});
  std::ranges::sort(dead);
  dead.erase(std::ranges::unique(dead).begin(), dead.end());
  return dead;
}

void Maintenance::run(const Round& round) {
  for (bool busy = true;;) {
    auto until = std::chrono::steady_clock::now() + (busy ? kBusyPause : kIdlePause);
    {
      MutexLock lock(mutex_);
      while (!stop_ && !wake_ && std::chrono::steady_clock::now() < until) woken_.wait_until(lock, until);
      if (stop_) return;
      wake_ = false;
    }
    busy = round();
  }
}

}  // namespace dmap
