// SPDX-License-Identifier: Apache-2.0
//
// Appends beside appends, truncates and reads: records never overlap, never tear, and a size that was seen has bytes
// behind it.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <iostream>
#include <map>
#include <mutex>
#include <vector>

#include "dmap/volume.h"
#include "testing/support/background.h"
#include "testing/support/open.h"
#include "testing/support/random.h"
#include "testing/support/sanitizers.h"
#include "testing/support/stamp.h"

namespace dmap::testing {
namespace {

constexpr uint32_t kWriters = 3;

/// A record: words that name writer, record (sequence) and the place within the record.
std::vector<uint64_t> record_of(uint32_t writer, uint32_t file, uint32_t number) {
  Random random(uint64_t{writer} << 32 | number);
  return stamped(writer, file, 0, number, random.between(1, random.chance(90) ? 60 : 2000));
}

std::vector<uint64_t> read_words(const File& file, uint64_t offset, uint64_t size) {
  std::vector<uint64_t> words(size / 8);
  auto got = file.read_at(std::as_writable_bytes(std::span(words)), offset);
  EXPECT_TRUE(got) << got.error().message();
  words.resize(got ? got->value / 8 : 0);
  return words;
}

class Append : public ::testing::Test {
 protected:
  void SetUp() override {
    auto volume = Volume::in_memory(256_MiB);
    ASSERT_TRUE(volume) << volume.error().message();
    volume_.emplace(std::move(*volume));
    auto file = volume_->open_file("/log", writable(Create::kExclusive));
    ASSERT_TRUE(file) << file.error().message();
    file_.emplace(std::move(*file));
  }

  std::optional<Volume> volume_;
  std::optional<File> file_;
};

TEST_F(Append, RecordsNeverOverlapAndASizeThatWasSeenHasBytesBehindIt) {
  uint64_t records = from_environment("DMAP_OPS", scaled(15'000));
  std::vector<std::map<uint64_t, uint32_t>> places(kWriters + 1);  // by writer: offset -> record
  std::atomic<uint64_t> read = 0;
  Background writers, readers;
  for (uint32_t writer = 1; writer <= kWriters; ++writer) {
    writers.start([&, writer] {
      for (uint32_t number = 1; number <= records; ++number) {
        auto at = file_->append(bytes_of(record_of(writer, 1, number)));
        if (!at) return ADD_FAILURE() << at.error().message(), void();
        places[writer][at->value] = number;
      }
    });
  }
  readers.start([&] {
    Random random(1);
    while (!readers.stopped() && !HasFailure()) {
      uint64_t size = file_->size().value;
      uint64_t from = size / 8 < 1000 ? 0 : (size / 8 - random.below(1000)) * 8;
      std::vector<uint64_t> words = read_words(*file_, from, size - from);
      if (words.size() * 8 != size - from) ADD_FAILURE() << "a short read below the size";
      for (uint64_t word : words) {
        auto stamp = decode(word);
        if (!stamp || stamp->file != 1) return ADD_FAILURE() << "below the size: " << describe(word), void();
      }
      read.fetch_add(words.size());
    }
  });
  writers.wait();
  readers.finish();

  uint64_t at = 0;
  std::vector<uint64_t> words = read_words(*file_, 0, file_->size().value);
  uint64_t found = 0;
  while (at / 8 < words.size()) {
    auto stamp = decode(words[at / 8]);
    ASSERT_TRUE(stamp) << "at " << at << ": " << describe(words[at / 8]);
    ASSERT_EQ(places[stamp->writer].count(at), 1U) << "a record where append() did not say";
    ASSERT_EQ(places[stamp->writer][at], stamp->sequence);
    std::vector<uint64_t> record = record_of(stamp->writer, 1, stamp->sequence);
    ASSERT_LE(at / 8 + record.size(), words.size());
    ASSERT_TRUE(std::equal(record.begin(), record.end(), words.begin() + static_cast<std::ptrdiff_t>(at / 8)));
    at += record.size() * 8;
    ++found;
  }
  EXPECT_EQ(found, records * kWriters);
  std::cout << found << " records, " << read << " words read beside them\n";
}

/// Whole frames are appended and cut, so no frame is ever cut in two: what is read is what was appended.
TEST_F(Append, ReadersBesideTruncatesSeeWholeRecordsOfThisFileOnly) {
  constexpr uint32_t kWords = 512;
  std::atomic<uint64_t> cuts = 0, read = 0;
  std::mutex cutting;
  Background writers, others;
  for (uint32_t writer = 1; writer <= 2; ++writer) {
    writers.start([&, writer] {
      for (uint32_t number = 1; number <= scaled(40'000) && !HasFailure(); ++number) {
        auto at = file_->append(bytes_of(stamped(writer, 1, 0, number, kWords)));
        if (!at) return ADD_FAILURE() << at.error().message(), void();
        if (at->value % (kWords * 8) != 0) return ADD_FAILURE() << "appended at " << at->value, void();
        if (number % 50 != 0) continue;
        // One cut at a time: to half of a size that another cut has lowered since would be an extension, with a hole.
        std::lock_guard<std::mutex> one(cutting);
        uint64_t size = file_->size().value / 2 / (kWords * 8) * (kWords * 8);
        if (auto cut = file_->truncate(Bytes{number % 200 == 0 ? 0 : size}); !cut)
          ADD_FAILURE() << cut.error().message();
        cuts.fetch_add(1);
      }
    });
  }
  others.start([&] {  // another file takes the frames that are freed
    auto other = volume_->open_file("/other", writable(Create::kExclusive));
    for (uint32_t number = 1; other && !others.stopped(); ++number) {
      (void)other->write_at(bytes_of(stamped(9, 2, 0, number, kWords * 8)), 0);
      (void)other->truncate(Bytes{0});
    }
  });
  others.start([&] {
    Random random(2);
    while (!others.stopped() && !HasFailure()) {
      uint64_t size = file_->size().value;
      uint64_t from = size == 0 ? 0 : random.below(size / (kWords * 8)) * kWords * 8;
      for (uint64_t word : read_words(*file_, from, 8 * kWords * 8)) {
        auto stamp = decode(word);
        bool right = stamp && stamp->file == 1;
        if (!right) return ADD_FAILURE() << "read " << describe(word), void();
        read.fetch_add(1);
      }
    }
  });
  writers.wait();
  others.finish();
  std::cout << cuts << " cuts, " << read << " words read beside them\n";
  EXPECT_GT(cuts, 0U);
}

}  // namespace
}  // namespace dmap::testing
