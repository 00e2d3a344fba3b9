// SPDX-License-Identifier: Apache-2.0
//
// Readers beside a writer. Every mapping of version v is stamped with v (its birth) and lies where version and file
// frame say, so that a reader can tell a mixed, torn or freed version from a whole one.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "extent/extent_map.h"

namespace dmap {
namespace {

constexpr uint64_t kExtents = 2500;  // three levels
constexpr uint64_t kStamp = 1'000'003;

Mapping stamped(uint64_t i, uint32_t version) { return {2 * i, Pfn{uint64_t{version} * kStamp + i}, 1, version, true}; }

/// Version v maps extent i unless i mod 7 is v mod 7.
bool is_mapped(uint64_t i, uint32_t version) { return i % 7 != version % 7; }

/// Replaces all of the map by version `version`, in one edit.
void write_version(ExtentMap& map, uint32_t version) {
  auto edit = map.edit();
  for (uint64_t i = 0; i < kExtents; ++i) {
    if (is_mapped(i, version)) {
      edit.replace(stamped(i, version), [](const Mapping&) {});
    } else {
      edit.erase(2 * i, 1, [](const Mapping&) {});
    }
  }
  edit.publish();
}

void expect_one_whole_version(const ExtentMap& map) {
  RcuReadSection section;
  ExtentVersion seen = map.version();
  uint32_t version = 0;
  uint64_t next = 0;
  seen.for_each(0, kFileFrames, [&](const Mapping& mapping) {
    if (version == 0) version = mapping.birth;
    while (next < kExtents && !is_mapped(next, version)) ++next;
    ASSERT_EQ(mapping, stamped(next, version));
    ++next;
  });
  while (next < kExtents && !is_mapped(next, version)) ++next;
  ASSERT_EQ(next, kExtents);
}

void expect_a_stamped_segment(const ExtentMap& map, uint64_t i) {
  RcuReadSection section;
  Segment segment = map.find(2 * i);
  if (segment.is_hole()) {
    ASSERT_LE(segment.first, 2 * i);
    ASSERT_GT(segment.end(), 2 * i);
  } else {
    ASSERT_EQ(segment.mapping(), stamped(i, segment.birth));
    ASSERT_TRUE(is_mapped(i, segment.birth));
  }
}

TEST(ExtentMapReaders, AReaderSeesExactlyOneVersion) {
  ExtentMap map;
  write_version(map, 1);
  ASSERT_EQ(map.depth(), 3U);
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> walks = 0;
  std::vector<std::jthread> readers;
  for (unsigned seed : {1U, 2U}) {
    readers.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      while (!stop.load(std::memory_order_relaxed) && !testing::Test::HasFatalFailure()) {
        expect_one_whole_version(map);
        for (int i = 0; i < 50; ++i) expect_a_stamped_segment(map, random() % kExtents);
        walks.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  uint32_t version = 1;
  while (version < 60 || walks.load(std::memory_order_relaxed) < 30) write_version(map, ++version);
  stop = true;
  readers.clear();
  map.check_invariants();
  rcu_barrier_all();
}

/// A file that is written, truncated and filled again, where pfn says which frame it is.
TEST(ExtentMapReaders, SmallEditsBesideReadersLeaveEveryPathWhole) {
  ExtentMap map;
  std::atomic<bool> stop = false;
  auto read = [&](unsigned seed) {
    std::mt19937_64 random(seed);
    while (!stop.load(std::memory_order_relaxed)) {
      RcuReadSection section;
      uint64_t frame = random() % 20'000;
      Segment segment = map.find(frame);
      ASSERT_TRUE(segment.is_hole() || segment.pfn == Pfn{segment.first * 3});
      uint64_t last = 0;
      map.version().for_each(frame, 400, [&](const Mapping& mapping) {
        ASSERT_GE(mapping.file_frame, last);
        ASSERT_EQ(mapping.pfn, Pfn{mapping.file_frame * 3});
        last = mapping.end();
      });
    }
  };
  std::jthread one(read, 1), two(read, 2);
  std::mt19937_64 random(3);
  for (int i = 0; i < 8'000; ++i) {
    auto edit = map.edit();
    uint64_t frame = random() % 20'000;
    edit.replace({frame, Pfn{frame * 3}, 1, 1, true}, [](const Mapping&) {});
    if (i % 500 == 499) edit.erase(frame, 10'000, [](const Mapping&) {});
    if (i % 11 != 10) edit.publish();  // else it dies, and nobody has seen it
    if (i % 3000 == 2999) map.clear();
  }
  stop = true;
  one.join(), two.join();
  map.check_invariants();
  rcu_barrier_all();
}

/// As an inode's eviction does it: the map dies with the object that holds it, after a grace period.
TEST(ExtentMapReaders, AMapThatDiesAfterAGracePeriodIsWholeForItsReaders) {
  struct Inode : RcuHead {
    ExtentMap map;
  };
  auto make = [] {
    auto* inode = new Inode;
    write_version(inode->map, 5);
    return inode;
  };
  std::atomic<Inode*> current = make();
  std::atomic<bool> stop = false;
  std::jthread reader([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      RcuReadSection section;
      expect_one_whole_version(current.load(std::memory_order_acquire)->map);
    }
  });
  for (int i = 0; i < 30; ++i) rcu_delete(current.exchange(make(), std::memory_order_acq_rel));
  stop = true;
  reader.join();
  delete current.load();
  rcu_barrier_all();
}

}  // namespace
}  // namespace dmap
