// SPDX-License-Identifier: Apache-2.0
//
// The volume against the reference model. DMAP_SEED and DMAP_OPS choose another seed and length.
#include <gtest/gtest.h>

#include <iostream>

#include "testing/model/driver.h"
#include "testing/support/sanitizers.h"
#include "testing/support/temporary.h"

namespace dmap::testing {
namespace {

uint64_t seed_for(uint64_t fallback) { return from_environment("DMAP_SEED", fallback); }
uint64_t operations_for(uint64_t fallback) { return from_environment("DMAP_OPS", scaled(fallback)); }

void expect_agreement(const DriverOptions& options) {
  Driver driver(options);
  std::string report = driver.run();
  std::cout << "seed " << options.seed << ": " << driver.statistics() << "\n";
  EXPECT_TRUE(report.empty()) << report;
}

class Model : public ::testing::TestWithParam<uint64_t> {};

TEST_P(Model, AVolumeInMemoryAgreesWithTheModel) {
  expect_agreement({.seed = seed_for(100 + GetParam()), .operations = operations_for(20'000), .path = {}});
}

TEST_P(Model, AVolumeInAFileAgreesWithTheModelAndOutlivesItsClosing) {
  TemporaryPath file(kMemoryFolder);
  expect_agreement({.seed = seed_for(200 + GetParam()), .operations = operations_for(20'000), .path = file.path()});
}

TEST_P(Model, AVolumeThatIsFullMostOfTheTimeAgreesWithTheModel) {
  TemporaryPath file(kMemoryFolder);
  expect_agreement({.seed = seed_for(300 + GetParam()),
                    .operations = operations_for(15'000),
                    .path = file.path(),
                    .size = 4_MiB,
                    .compare_every = 500});
}

INSTANTIATE_TEST_SUITE_P(Seeds, Model, ::testing::Values(1, 2));

TEST(ModelOnDisk, AVolumeInAFileOnADiskAgreesWithTheModel) {
  TemporaryPath file(kDiskFolder);
  expect_agreement({.seed = seed_for(401), .operations = operations_for(4'000), .path = file.path(), .size = 48_MiB});
}

TEST(ModelDriver, FindsOneWrongByte) {
  Driver driver({.seed = 7, .operations = 2000, .path = {}, .compare_every = 100});
  driver.falsify_after(500);
  std::string report = driver.run();
  EXPECT_NE(report.find("seed 7"), std::string::npos) << report;
  EXPECT_NE(report.find("the last operations"), std::string::npos) << report;
}

}  // namespace
}  // namespace dmap::testing
