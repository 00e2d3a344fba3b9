// SPDX-License-Identifier: Apache-2.0
//
// Cuts a run of operations short, in many places, and looks at what comes up again.
//
//   episode: open -> verify -> operations -> cut here, there, ... -> an episode of its own for each cut, until `depth`
//
// So recovery is cut as well: the events of an open are events like others. An episode at the bottom ends with deleting
// everything, after which the volume must be empty. What is verified after each open: it opens, check finds nothing,
// names and sizes are those before or after an operation not older than what was acknowledged, and every byte was once
// there.
#ifndef DMAP_TESTING_CRASH_EXPLORER_H_
#define DMAP_TESTING_CRASH_EXPLORER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "testing/crash/medium.h"
#include "testing/crash/world.h"

namespace dmap::testing {

struct Exploration {
  uint64_t seed = 1;
  Persistence persistence = Persistence::kLineFlush;
  uint64_t operations = 40;    ///< of the first episode; the deeper ones have a few
  uint64_t cuts = 100;         ///< of the first episode; 0: at every place where there is a point in it
  uint64_t depth = 2;          ///< cuts in a row
  unsigned kill_percent = 30;  ///< cuts that are a killed process, not the power
  FrameCount frames{1024};
  /// What is done, in order, before the random operations of the first episode, cut as they are.
  std::vector<Operation> script{};
  /// Done before the first episode begins, and never cut.
  std::function<Result<void>(VolumeCore&)> prepare{};
  /// Puts something between the volume and the device that remembers.
  std::function<std::unique_ptr<Device>(std::unique_ptr<Device>)> wrap{};
};

struct Outcome {
  uint64_t opens = 0;
  uint64_t cuts = 0;
  std::string complaint;  ///< empty: all is well
};

Outcome explore(const Exploration& exploration);

}  // namespace dmap::testing

#endif  // DMAP_TESTING_CRASH_EXPLORER_H_
