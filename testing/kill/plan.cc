// SPDX-License-Identifier: Apache-2.0
#include "testing/kill/plan.h"

#include <cstring>

#include "testing/support/random.h"

namespace dmap::testing {
namespace {

std::string any_name(Random& random, unsigned thread) {
  uint64_t kind = random.below(10);
  std::string file = "/f" + std::to_string(random.below(10));
  if (kind < 6) return home_of(thread) + file;
  if (kind < 8) return home_of(thread) + "/d" + std::to_string(random.below(3)) + file;
  return kShared + "/of" + std::to_string(thread) + "-" + file.substr(1);
}

std::string words(unsigned thread, uint64_t number, uint64_t length) {
  std::string text(length, '\0');
  for (uint64_t at = 0; at < length; at += 8) {
    uint64_t word = uint64_t{thread + 1} << 56 | (number & 0xffffffff) << 24 | (at / 8 & 0xffffff);
    std::memcpy(text.data() + at, &word, 8);
  }
  return text;
}

}  // namespace

Step step_of(uint64_t seed, unsigned thread, uint64_t number) {
  Random random(seed ^ (uint64_t{thread + 1} << 48) ^ (number * 0x2545f4914f6cdd1d));
  Step step{.name = any_name(random, thread), .other = any_name(random, thread), .text = {}};
  step.offset = random.below(random.chance(80) ? 600 : 5000) * 8;
  step.length = (1 + random.below(random.chance(70) ? 100 : 4000)) * 8;
  if (random.chance(30)) step.offset = step.offset / 4096 * 4096, step.length = (1 + random.below(8)) * 4096;
  static constexpr RenameMode kModes[] = {RenameMode::kReplace, RenameMode::kReplace, RenameMode::kNoReplace,
                                          RenameMode::kExchange};
  step.mode = random.pick(kModes);
  uint64_t kind = random.below(100);
  step.kind = kind < 32   ? StepKind::kWrite
              : kind < 38 ? StepKind::kCreate
              : kind < 48 ? StepKind::kAppend
              : kind < 55 ? StepKind::kTruncate
              : kind < 59 ? StepKind::kPunch
              : kind < 67 ? StepKind::kUnlink
              : kind < 80 ? StepKind::kRename
              : kind < 84 ? StepKind::kLink
              : kind < 89 ? StepKind::kMakeDirectory
              : kind < 91 ? StepKind::kRemoveDirectory
              : kind < 97 ? StepKind::kXattr
                          : StepKind::kOrphan;
  if (step.kind == StepKind::kMakeDirectory || step.kind == StepKind::kRemoveDirectory) {
    step.name = home_of(thread) + "/d" + std::to_string(random.below(3));
  }
  if (step.kind == StepKind::kOrphan) step.name = home_of(thread) + "/orphan";
  if (step.kind == StepKind::kWrite || step.kind == StepKind::kAppend) step.text = words(thread, number, step.length);
  return step;
}

}  // namespace dmap::testing
