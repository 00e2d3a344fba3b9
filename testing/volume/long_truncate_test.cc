// SPDX-License-Identifier: Apache-2.0
//
// A file in very many pieces: cutting it off is one small record, and its frames come back in bounded steps, over a
// restart in the middle as well (X3, X5). DMAP_OPS says how many pieces; DMAP_SWEEP=full takes a million.
#include <gmock/gmock.h>

#include <atomic>
#include <string_view>
#include <thread>

#include "testing/support/sanitizers.h"
#include "testing/volume/volume_fixture.h"

namespace dmap::testing {
namespace {

using ::testing::SizeIs;

uint64_t pieces_wanted() {
  const char* sweep = std::getenv("DMAP_SWEEP");
  bool full = sweep != nullptr && std::string_view(sweep) == "full";
  return from_environment("DMAP_OPS", full ? 1'000'000 : scaled(30'000));
}

TEST(LongFile, IsCutOffByOneRecordAndItsFramesComeBackOverARestart) {
  const uint64_t pieces = pieces_wanted();
  Media media(FrameCount{pieces * 5 / 4 + 20000}, 32_MiB);
  auto core = media.open();
  ASSERT_TRUE(perform(**core, {.kind = Kind::kCreate, .path = "/a"}));
  InodeRef file = (*core)->inode(At("/a"), Follow::kNo).value();
  // Every other frame of the file, which is as many extents.
  for (uint64_t i = 0; i < pieces; ++i) {
    ASSERT_TRUE((*core)->allocate(*file, 2 * i << kFrameShift, kFrameSize, KeepSize::kNo));
  }
  ASSERT_EQ((*core)->stat(*file).extents, pieces);
  ASSERT_TRUE((*core)->checkpoint());

  std::atomic<bool> stop = false;
  std::thread reader([&] {
    std::array<std::byte, 8192> bytes{};
    for (uint64_t i = 0; !stop.load(std::memory_order_relaxed); i += 4097) {
      auto got = (*core)->read(*file, bytes, (i % (2 * pieces)) << kFrameShift);
      ASSERT_TRUE(got);
      ASSERT_TRUE(std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; }));
    }
  });
  Bytes before = (*core)->store().open_info().journal_used;
  ASSERT_TRUE((*core)->truncate(*file, kFrameSize));
  EXPECT_LT((*core)->store().open_info().journal_used, before + 1_KiB) << "one record, whatever the file's size";
  stop = true;
  reader.join();
  EXPECT_EQ((*core)->stat(*file).extents, 1U);
  EXPECT_EQ((*core)->usage().owned, bytes_of(FrameCount{pieces})) << "freed later, in steps";
  media.take(**core);
  file = InodeRef();

  // The restart finds the orphan; somebody who wants the range does the rest at once, and is cut off again.
  core = media.open();
  ASSERT_TRUE(core) << core.error().message();
  EXPECT_THAT(findings(**core), SizeIs(0));
  EXPECT_EQ((*core)->usage().owned, bytes_of(FrameCount{pieces}));
  ASSERT_TRUE(perform(**core, {.kind = Kind::kWrite, .path = "/a", .offset = pieces << kFrameShift, .bytes = "x"}));
  EXPECT_EQ((*core)->usage().owned, bytes_of(FrameCount{2}));
  media.take(**core);
  core = media.open();
  ASSERT_TRUE(core) << core.error().message();
  EXPECT_THAT(findings(**core), SizeIs(0));
  EXPECT_EQ((*core)->usage().owned, bytes_of(FrameCount{2}));
}

}  // namespace
}  // namespace dmap::testing
