// SPDX-License-Identifier: Apache-2.0
//
// A frame table with one device, and short words for what the tests say often.
#ifndef DMAP_TESTING_FRAME_TABLE_FIXTURE_H_
#define DMAP_TESTING_FRAME_TABLE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "frame/frame_table.h"

namespace dmap::testing {

inline constexpr DeviceNumber kDevice{3};
inline constexpr FrameCount kFrames{4 * kRegionFrames};  // 512 MiB

inline Pfn pfn(uint64_t index) { return make_pfn(kDevice, index); }
inline Extent extent(uint64_t first, uint64_t count) { return {pfn(first), FrameCount{count}}; }

/// Small grants, so that one block or region more or less is one budget step of 4 KiB.
inline FrameTable::Options small_grants(Bytes budget = 64_MiB) { return {.pool = {.budget = budget, .grant = 4_KiB}}; }

inline std::unique_ptr<FrameTable> make_table(FrameTable::Options options = {}) {
  auto table = FrameTable::create(std::move(options));
  EXPECT_TRUE(table.has_value());
  EXPECT_TRUE((*table)->add_device(kDevice, kFrames).has_value());
  return std::move(*table);
}

/// What a lookup says, as values.
struct Seen {
  bool exposed = false;
  bool large = false;
  uint64_t holds = 0;
  Owner owner = Owner::kNone;
  Pfn first{};
};
inline Seen look_up(const FrameTable& table, Pfn pfn) {
  RcuReadSection reading;
  const Page* page = table.pfn_to_page(pfn);
  if (page == nullptr) return {};
  Word word = page->word.load();
  return {.exposed = true,
          .large = word.has(Word::kLarge),
          .holds = word.count(),
          .owner = word.owner(),
          .first = page->pfn};
}

inline ::testing::AssertionResult is_sound(const FrameTable& table) {
  auto sound = table.check_invariants();
  if (sound) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << sound.error().message();
}

}  // namespace dmap::testing

#endif  // DMAP_TESTING_FRAME_TABLE_FIXTURE_H_
