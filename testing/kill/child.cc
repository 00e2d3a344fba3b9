// SPDX-License-Identifier: Apache-2.0
//
// The process that is killed: `kill_child VOLUME FD SEED ROUND`, with the KillLog behind descriptor FD.
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "dmap/volume.h"
#include "testing/kill/plan.h"
#include "testing/support/open.h"
#include "testing/support/stamp.h"

namespace dmap::testing {
namespace {

class Child {
 public:
  Child(Volume& volume, KillLog& log, uint64_t seed) : volume_(volume), log_(log), seed_(seed) {}

  [[noreturn]] void run_thread(unsigned thread) {
    KillLog::Thread& mine = log_.threads[thread];
    std::deque<File> orphans;
    for (uint64_t number = mine.first;; ++number) {
      Step step = step_of(seed_, thread, number);
      // seq_cst: the parent reads these after this process has died, which orders everything.
      mine.begun.store(number + 1);
      run(step, number, orphans);
      mine.done.store(number + 1);
    }
  }

  [[noreturn]] void watch(bool force_checkpoints) {
    for (;;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (force_checkpoints) expect(volume_.checkpoint());
      log_.checkpoints.store(volume_.open_info().checkpoints);
    }
  }

  [[noreturn]] void fail(const Error& error) {
    std::snprintf(log_.failure, sizeof(log_.failure), "%s", error.message().c_str());
    log_.failed.store(1);
    std::_Exit(2);
  }

 private:
  /// What a step may answer when its names are there or not; anything else ends the test.
  template <typename T>
  bool expect(const Result<T>& result) {
    if (result) return true;
    switch (result.error().code()) {
      case Code::kNotFound:
      case Code::kExists:
      case Code::kNotEmpty: return false;
      default: fail(result.error());
    }
  }

  void run(const Step& step, uint64_t number, std::deque<File>& orphans) {
    auto open = [&](Create create) { return volume_.open_file(step.name, writable(create)); };
    switch (step.kind) {
      case StepKind::kWrite:
        if (auto file = open(Create::kNever); expect(file)) expect(file->write_at(bytes_of(step.text), step.offset));
        break;
      case StepKind::kCreate: expect(open(Create::kExclusive)); break;
      case StepKind::kAppend:
        if (auto file = open(Create::kNever); expect(file)) expect(file->append(bytes_of(step.text)));
        break;
      case StepKind::kTruncate:
        if (auto file = open(Create::kNever); expect(file)) expect(file->truncate(Bytes{step.offset}));
        break;
      case StepKind::kPunch:
        if (auto file = open(Create::kNever); expect(file)) expect(file->punch(step.offset, Bytes{step.length}));
        break;
      case StepKind::kUnlink: expect(volume_.unlink(step.name)); break;
      case StepKind::kRename: expect(volume_.rename(step.name, step.other, step.mode)); break;
      case StepKind::kLink: expect(volume_.link(step.name, step.other)); break;
      case StepKind::kMakeDirectory: expect(volume_.make_directory(step.name)); break;
      case StepKind::kRemoveDirectory: expect(volume_.remove_directory(step.name)); break;
      case StepKind::kXattr:
        expect(volume_.set_xattr(step.name, "user.stamp", bytes_of(std::to_string(number))));
        break;
      case StepKind::kOrphan: run_orphan(step, orphans); break;
    }
  }

  void run_orphan(const Step& step, std::deque<File>& orphans) {
    auto file = volume_.open_file(step.name, writable(Create::kIfMissing));
    if (!expect(file) || !expect(volume_.unlink(step.name))) return;
    expect(file->write_at(bytes_of(std::string(100'000, 'o')), 0));
    orphans.push_back(std::move(*file));
    if (orphans.size() > 3) orphans.pop_front();
  }

  Volume& volume_;
  KillLog& log_;
  uint64_t seed_;
};

[[noreturn]] int run_child(const std::string& path, KillLog& log, uint64_t seed, uint64_t round) {
  Result<Volume> volume = Volume::open(path, {.dirty_nodes = 4_MiB});
  if (!volume) {
    std::snprintf(log.failure, sizeof(log.failure), "%s", volume.error().message().c_str());
    log.failed.store(1);
    std::_Exit(2);
  }
  log.opened.store(1);
  Child child(*volume, log, seed);
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < kKillThreads; ++thread)
    threads.emplace_back([&, thread] { child.run_thread(thread); });
  child.watch(round % 3 == 0);
}

}  // namespace
}  // namespace dmap::testing

int main(int count, char** words) {
  if (count != 5) return 1;
  void* log = mmap(nullptr, sizeof(dmap::testing::KillLog), PROT_READ | PROT_WRITE, MAP_SHARED, std::atoi(words[2]), 0);
  if (log == MAP_FAILED) return 1;
  dmap::testing::run_child(words[1], *static_cast<dmap::testing::KillLog*>(log), std::strtoull(words[3], nullptr, 0),
                           std::strtoull(words[4], nullptr, 0));
}
