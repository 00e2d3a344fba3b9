// SPDX-License-Identifier: Apache-2.0
//
// A process that changes a volume is killed at any moment, again and again: the volume is consistent each time, and
// everything that had returned is there. DMAP_SEED and DMAP_ROUNDS choose another run.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "dmap/check.h"
#include "dmap/volume.h"
#include "testing/kill/plan.h"
#include "testing/kill/shadow.h"
#include "testing/support/random.h"
#include "testing/support/sanitizers.h"
#include "testing/support/temporary.h"

namespace dmap::testing {
namespace {

using std::chrono::microseconds;

/// A KillLog in memory that a child maps too.
class SharedLog {
 public:
  SharedLog() : descriptor_(memfd_create("dmap-kill-log", 0)) {
    if (descriptor_ < 0 || ftruncate(descriptor_, sizeof(KillLog)) != 0) std::abort();
    void* memory = mmap(nullptr, sizeof(KillLog), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
    if (memory == MAP_FAILED) std::abort();
    log_ = new (memory) KillLog;
  }
  ~SharedLog() {
    munmap(log_, sizeof(KillLog));
    close(descriptor_);
  }
  SharedLog(const SharedLog&) = delete;
  SharedLog& operator=(const SharedLog&) = delete;
  KillLog& operator*() { return *log_; }
  KillLog* operator->() { return log_; }
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
  KillLog* log_ = nullptr;
};

class KillTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Volume::format(file_.path(), {.size = 128_MiB, .journal = 1_MiB, .progress = {}}));
    auto volume = Volume::open(file_.path());
    ASSERT_TRUE(volume) << volume.error().message();
    uint64_t before = volume->usage().inodes;
    ASSERT_TRUE(volume->make_directory(kShared));
    for (unsigned thread = 0; thread < kKillThreads; ++thread) {
      ASSERT_TRUE(volume->make_directory(home_of(thread)));
      shadows_.emplace_back(thread);
    }
    own_inodes_ = before + 1 + kKillThreads;
    ASSERT_TRUE(volume->close());
  }

  /// Starts a child, kills it; false if it ended by itself.
  void run_child(uint64_t round) {
    log_->checkpoints = 0, log_->opened = 0, log_->failed = 0;
    std::string words[] = {DMAP_KILL_CHILD, file_.path(), std::to_string(log_.descriptor()), std::to_string(seed_),
                           std::to_string(round)};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    ASSERT_EQ(posix_spawn(&child, DMAP_KILL_CHILD, nullptr, nullptr, arguments.data(), environ), 0);
    // Some die while they open the volume: recovery may be cut as well.
    bool early = random_.chance(15);
    while (!early && log_->opened.load() == 0 && log_->failed.load() == 0)
      std::this_thread::sleep_for(microseconds(200));
    std::this_thread::sleep_for(microseconds(early ? random_.below(15'000) : random_.between(2'000, 120'000) * kSlow));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(log_->failed.load(), 0U) << log_->failure;
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the child ended by itself: " << status;
    checkpoints_ += log_->checkpoints.load();
  }

  void expect_clean() {
    std::string findings;
    auto report = check_volume(
        file_.path(),
        {.on_finding = [&](const Finding& f) { findings += f.path + ": " + f.what + "\n"; }, .progress = {}});
    ASSERT_TRUE(report) << report.error().message();
    ASSERT_EQ(report->findings, 0U) << findings;
    replayed_ += report->records_replayed;
  }

  /// The thread's names are as before or as after the step that was cut off.
  void verify_thread(Volume& volume, unsigned thread) {
    KillLog::Thread& log = log_->threads[thread];
    uint64_t begun = log.begun.load();
    uint64_t done = log.done.load();
    Shadow& shadow = shadows_[thread];
    for (uint64_t number = log.first; number < done; ++number) shadow.apply(step_of(seed_, thread, number), number);
    verified_ += done - log.first;
    std::string who = "thread " + std::to_string(thread) + " after " + std::to_string(done) + " steps: ";
    if (begun == done) {
      ASSERT_EQ(shadow.difference(volume, nullptr), "") << who;
    } else {
      ++cut_off_;
      Step step = step_of(seed_, thread, done);
      if (step.kind == StepKind::kOrphan) (void)volume.unlink(step.name);  // between its making and its unlinking
      std::string before = shadow.difference(volume, &step);
      if (!before.empty()) {
        shadow.apply(step, done);
        std::string after = shadow.difference(volume, &step);
        ASSERT_EQ(after, "") << who << "neither as before step " << static_cast<int>(step.kind) << " (" << before
                             << ") nor as after it";
      }
    }
    log.first = std::max(begun, done);
    log.begun = log.first, log.done = log.first;
  }

  void verify() {
    expect_clean();
    if (HasFatalFailure()) return;
    auto volume = Volume::open(file_.path());
    ASSERT_TRUE(volume) << volume.error().message();
    uint64_t inodes = own_inodes_;
    for (unsigned thread = 0; thread < kKillThreads; ++thread) {
      verify_thread(*volume, thread);
      if (HasFatalFailure()) return;
      inodes += shadows_[thread].objects();
    }
    // What was unlinked and open vanishes in the background, soon.
    for (int wait = 0; wait < 500 && volume->usage().inodes != inodes; ++wait) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_EQ(volume->usage().inodes, inodes) << "unlinked files are left over, or too much went";
    ASSERT_TRUE(volume->close());
  }

  static constexpr uint64_t kSlow = kSlowdown > 1 ? 3 : 1;
  TemporaryPath file_{kMemoryFolder};
  SharedLog log_;
  uint64_t seed_ = from_environment("DMAP_SEED", 42);
  Random random_{seed_};
  std::vector<Shadow> shadows_;
  uint64_t own_inodes_ = 0;
  uint64_t checkpoints_ = 0, verified_ = 0, cut_off_ = 0, replayed_ = 0;
};

TEST_F(KillTest, WhatReturnedOutlivesItsProcess) {
  uint64_t rounds = from_environment("DMAP_ROUNDS", kSlowdown > 1 ? 20 : 120);
  for (uint64_t round = 1; round <= rounds; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed_) + " round " + std::to_string(round));
    run_child(round);
    if (!HasFatalFailure()) verify();
    if (HasFatalFailure()) break;
  }
  std::cout << "seed " << seed_ << ": " << rounds << " rounds, " << checkpoints_ << " checkpoints crossed, "
            << replayed_ << " records replayed, " << verified_ << " operations verified, " << cut_off_ << " cut off\n";
  EXPECT_GE(checkpoints_, 3U);
  EXPECT_GT(verified_, rounds);
  EXPECT_GT(cut_off_, 0U);
}

TEST_F(KillTest, ASequentialModelThatIsOneStepAheadIsNoticed) {
  auto volume = Volume::open(file_.path());
  ASSERT_TRUE(volume);
  Shadow ahead = shadows_[0].copy();
  ahead.apply({.kind = StepKind::kCreate, .name = home_of(0) + "/f1", .other = {}, .text = {}}, 1);
  EXPECT_EQ(ahead.difference(*volume, nullptr), home_of(0) + "/f1 is missing");
}

}  // namespace
}  // namespace dmap::testing
