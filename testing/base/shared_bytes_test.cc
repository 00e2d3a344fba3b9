// SPDX-License-Identifier: Apache-2.0
#include "base/shared_bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "testing/support/background.h"
#include "testing/support/random.h"
#include "testing/support/sanitizers.h"
#include "testing/support/stamp.h"

namespace dmap {
namespace {

using testing::Background;
using testing::Random;
using testing::scaled;

std::byte* bytes(std::vector<uint64_t>& words) { return reinterpret_cast<std::byte*>(words.data()); }

TEST(SharedBytes, CopiesAreExactAtEveryAlignmentAndLength) {
  Random random(testing::from_environment("DMAP_SEED", 1));
  for (size_t length = 0; length < 80; ++length) {
    for (size_t to = 0; to < 8; ++to) {
      size_t from = random.below(8);
      std::string text = random.bytes(from + length);
      std::vector<uint64_t> shared(12, ~uint64_t{0});
      store_shared(bytes(shared) + to, testing::bytes_of(text).data() + from, length);
      std::string is(length + 2, '#');
      load_shared(reinterpret_cast<std::byte*>(is.data()) + 1, bytes(shared) + to, length);
      ASSERT_EQ(is, '#' + text.substr(from) + '#') << length << " bytes, to word's byte " << to;
      zero_shared(bytes(shared) + to, length);
      std::string all(reinterpret_cast<const char*>(shared.data()), 96);
      ASSERT_EQ(all, std::string(to, '\xff') + std::string(length, '\0') + std::string(96 - to - length, '\xff'));
    }
  }
}

/// What file.h promises. The writers cover whole words (a part of one may show up in another's), out of buffers of any
/// alignment; the reader reads any bytes, and looks at the words that it covers.
TEST(SharedBytes, WordsStayWholeWhileTheyAreOverwrittenAndRead) {
  constexpr size_t kBytes = 64 << 10;
  std::vector<uint64_t> shared(kBytes / 8, 0);
  Background writers;
  for (uint64_t writer : {1, 2}) {
    writers.start([&, writer] {
      Random random(writer);
      // Every byte of a word is the same, so a part of one can be told from a part of another.
      for (uint64_t round = writer; !writers.stopped(); round += 2) {
        std::vector<uint64_t> mine(kBytes / 8 + 1, (round & 0xff) * 0x0101010101010101);
        size_t words = random.chance(50) ? random.between(1, 40) : random.between(1, kBytes / 8);
        size_t at = random.below(kBytes / 8 - words + 1);
        store_shared(bytes(shared) + at * 8, bytes(mine) + random.below(8), words * 8);
      }
    });
  }
  Random random(3);
  std::vector<uint64_t> seen(kBytes / 8);
  for (uint64_t round = 0; round < scaled(4000); ++round) {
    size_t length = random.chance(50) ? random.between(16, 300) : random.between(16, kBytes - 64);
    size_t at = random.below(kBytes - length + 1);
    load_shared(bytes(seen) + at, bytes(shared) + at, length);
    for (size_t word = (at + 7) / 8; word < (at + length) / 8; ++word) {
      ASSERT_EQ(seen[word], (seen[word] & 0xff) * 0x0101010101010101)
          << length << " bytes at " << at << ", word " << word;
    }
  }
}

}  // namespace
}  // namespace dmap
