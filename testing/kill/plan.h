// SPDX-License-Identifier: Apache-2.0
//
// What the processes of the kill test do: step k of thread t is the same whoever asks, so a process that is killed
// leaves two numbers per thread (steps begun, steps done) and its parent knows everything else.
#ifndef DMAP_TESTING_KILL_PLAN_H_
#define DMAP_TESTING_KILL_PLAN_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "dmap/options.h"

namespace dmap::testing {

inline constexpr unsigned kKillThreads = 3;

/// Each thread has a directory of its own, and names of its own in a directory that all share.
inline std::string home_of(unsigned thread) { return "/t" + std::to_string(thread); }
inline const std::string kShared = "/shared";

enum class StepKind : uint8_t {
  kWrite,     ///< `length` stamped bytes at `offset`
  kCreate,    ///< exclusively
  kAppend,    ///< `length` stamped bytes
  kTruncate,  ///< to `offset`
  kPunch,     ///< [offset, offset + length)
  kUnlink,
  kRename,  ///< `name` to `other`
  kLink,    ///< `name` as `other`
  kMakeDirectory,
  kRemoveDirectory,
  kXattr,   ///< "user.stamp" of `name` to this step's number
  kOrphan,  ///< makes `name`, unlinks it, and goes on writing to it: nothing may be left of it
};

struct Step {
  StepKind kind = StepKind::kWrite;
  std::string name;
  std::string other;
  uint64_t offset = 0;  ///< a multiple of 8, as is length
  uint64_t length = 0;
  RenameMode mode = RenameMode::kReplace;
  std::string text;  ///< of kWrite and kAppend: words that name thread and step
};

/// Step `number` of `thread` in the run with `seed`.
Step step_of(uint64_t seed, unsigned thread, uint64_t number);

/// Memory that parent and child share; it outlives the child. The child writes, the parent reads after its death, but
/// for `first`, which the parent writes before the child is born.
struct KillLog {
  struct Thread {
    uint64_t first = 0;               ///< the step to begin with
    std::atomic<uint64_t> begun = 0;  ///< steps before this number were begun
    std::atomic<uint64_t> done = 0;   ///< ... and have returned
  };
  Thread threads[kKillThreads];
  std::atomic<uint64_t> checkpoints = 0;  ///< of this child's open
  std::atomic<uint64_t> opened = 0;       ///< 1: the child's volume is open
  std::atomic<uint64_t> failed = 0;       ///< 1: `failure` says what must not have happened
  char failure[512] = {};
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

}  // namespace dmap::testing

#endif  // DMAP_TESTING_KILL_PLAN_H_
