// SPDX-License-Identifier: Apache-2.0
//
// Power cuts and killed processes, anywhere in runs of random operations and in the recoveries behind them (J1 to J5).
// DMAP_SEED and DMAP_OPS choose another run, DMAP_SWEEP=full one that cuts everywhere.
#include <gtest/gtest.h>

#include <iostream>
#include <string_view>

#include "testing/crash/crash_device.h"
#include "testing/crash/explorer.h"
#include "testing/support/sanitizers.h"

namespace dmap::testing {
namespace {

bool sweeps() {
  const char* sweep = std::getenv("DMAP_SWEEP");
  return sweep != nullptr && std::string_view(sweep) == "full";
}

/// As the environment wants it.
Exploration exploration_of(Persistence persistence, uint64_t seed) {
  return {.seed = from_environment("DMAP_SEED", seed),
          .persistence = persistence,
          .operations = from_environment("DMAP_OPS", 60),
          .cuts = sweeps() ? 0 : scaled(40),
          .depth = 2};
}

Operation on(Operation::Kind kind, std::string path, uint64_t offset = 0) {
  return {.kind = kind, .path = std::move(path), .offset = offset};
}

void expect_recovery(const Exploration& exploration) {
  Outcome outcome = explore(exploration);
  EXPECT_EQ(outcome.complaint, "");
  EXPECT_GT(outcome.cuts, exploration.cuts);
  std::cout << outcome.cuts << " cuts, " << outcome.opens << " opens\n";
}

class Crash : public ::testing::TestWithParam<Persistence> {};

TEST_P(Crash, EveryCutLeavesWhatWasAcknowledged) {
  for (uint64_t seed : {1, 2}) expect_recovery(exploration_of(GetParam(), seed));
}

TEST_P(Crash, KilledAgainAndAgainItLosesNothing) {
  Exploration exploration = exploration_of(GetParam(), 11);
  exploration.kill_percent = 80;
  exploration.depth = 4;
  exploration.cuts = sweeps() ? 0 : scaled(12);
  expect_recovery(exploration);
}

TEST_P(Crash, RecordsThatWrapAroundTheRingAreFound) {
  Exploration exploration = exploration_of(GetParam(), 21);
  exploration.prepare = [](VolumeCore& core) -> Result<void> {
    DMAP_TRY(perform(core, on(Operation::Kind::kCreate, "/big")));
    // The ring is filled up to its last lines and emptied by a checkpoint.
    for (uint64_t size : {60000, 4000, 100}) {
      while (core.store().open_info().journal_used.value + 2 * size + 4096 <
             core.store().open_info().journal_size.value) {
        DMAP_TRY(perform(
            core,
            {.kind = Operation::Kind::kXattr, .path = "/big", .other = "user.x", .bytes = std::string(size, 'x')}));
      }
    }
    return core.checkpoint();
  };
  expect_recovery(exploration);
}

TEST_P(Crash, ALongTailComesBackWhereverItsReapingIsCut) {
  Exploration exploration = exploration_of(GetParam(), 31);
  exploration.prepare = [](VolumeCore& core) -> Result<void> {
    for (const char* path : {"/a", "/b"}) {
      DMAP_TRY(perform(core, on(Operation::Kind::kCreate, path)));
      for (uint64_t i = 0; i < 270; ++i) {
        DMAP_TRY(perform(core, {.kind = Operation::Kind::kWrite,
                                .path = path,
                                .offset = 2 * i << kFrameShift,
                                .bytes = std::string(4096, 'x')}));
      }
    }
    return {};
  };
  exploration.script = {on(Operation::Kind::kTruncate, "/a", 6000),
                        on(Operation::Kind::kUnlink, "/b"),
                        on(Operation::Kind::kTruncate, "/a", 100000),
                        on(Operation::Kind::kTruncate, "/a", 50),
                        {.kind = Operation::Kind::kSync},
                        {.kind = Operation::Kind::kClose}};
  exploration.operations = exploration.script.size();
  exploration.cuts = sweeps() ? 0 : scaled(40);
  expect_recovery(exploration);
}

INSTANTIATE_TEST_SUITE_P(On, Crash, ::testing::Values(Persistence::kLineFlush, Persistence::kSync),
                         [](const auto& info) {
                           return std::string(info.param == Persistence::kSync ? "SyncMedia" : "LineFlushMedia");
                         });

/// Forgets to fence, in one way or another.
class Careless final : public PassingDevice {
 public:
  enum class Forgets : uint8_t { kFences, kBarriers };
  Careless(std::unique_ptr<Device> inner, Forgets what) : PassingDevice(std::move(inner)), what_(what) {}
  void fence() override {
    if (what_ != Forgets::kFences) PassingDevice::fence();
  }
  Result<void> barrier() override { return what_ == Forgets::kBarriers ? Result<void>() : PassingDevice::barrier(); }

 private:
  Forgets what_;
};

std::string complaint_about(Careless::Forgets what, Persistence persistence) {
  Exploration exploration{.seed = 1, .persistence = persistence, .operations = 40, .cuts = 60};
  exploration.wrap = [&](std::unique_ptr<Device> device) {
    return std::make_unique<Careless>(std::move(device), what);
  };
  return explore(exploration).complaint;
}

TEST(CrashExplorer, FindsMissingFencesOnLineFlushMedia) {
  EXPECT_NE(complaint_about(Careless::Forgets::kFences, Persistence::kLineFlush), "");
}

TEST(CrashExplorer, FindsMissingBarriersOnSyncMedia) {
  EXPECT_NE(complaint_about(Careless::Forgets::kBarriers, Persistence::kSync), "");
}

}  // namespace
}  // namespace dmap::testing
