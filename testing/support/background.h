// SPDX-License-Identifier: Apache-2.0
//
// Threads that run beside a test's own and end with it, also when an assertion leaves it early.
#ifndef DMAP_TESTING_SUPPORT_BACKGROUND_H_
#define DMAP_TESTING_SUPPORT_BACKGROUND_H_

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

namespace dmap::testing {

class Background {
 public:
  Background() = default;
  ~Background() { finish(); }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// `work` looks at stopped() often.
  template <typename Work>
  void start(Work work) {
    threads_.emplace_back(std::move(work));
  }
  [[nodiscard]] bool stopped() const { return stop_.load(); }
  void stop() { stop_.store(true); }
  /// Tells them to stop and waits for them.
  void finish() {
    stop();
    wait();
  }
  /// Waits for them to end by themselves.
  void wait() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::atomic<bool> stop_ = false;  // seq_cst: nothing here is hot
  std::vector<std::thread> threads_;
};

}  // namespace dmap::testing

#endif  // DMAP_TESTING_SUPPORT_BACKGROUND_H_
