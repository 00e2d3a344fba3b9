// SPDX-License-Identifier: Apache-2.0
//
// Every word of a file is a register: what a read returns is what was last written there. The checker that says so is
// first shown stores that are wrong once in 10,000 reads, and must notice.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <iostream>

#include "dmap/volume.h"
#include "testing/history/history.h"
#include "testing/support/background.h"
#include "testing/support/open.h"
#include "testing/support/random.h"
#include "testing/support/sanitizers.h"
#include "testing/support/stamp.h"
#include "testing/support/temporary.h"

namespace dmap::testing {
namespace {

constexpr uint32_t kFiles = 3;
constexpr uint32_t kPlaces = 4096;

HistoryOptions history_options() {
  return {.seed = from_environment("DMAP_SEED", 1),
          .calls = from_environment("DMAP_OPS", scaled(100'000)),
          .files = kFiles,
          .places = kPlaces};
}

/// Words in memory: as right as can be.
class HonestRegisters : public Registers {
 public:
  void write(uint32_t file, uint32_t place, std::span<const uint64_t> words) override {
    for (size_t i = 0; i < words.size(); ++i) {
      Cell& cell = cells_[file * kPlaces + place + i];
      // seq_cst throughout: this store is the yardstick.
      cell.previous.store(cell.word.exchange(words[i]));
    }
  }
  void read(uint32_t file, uint32_t place, std::span<uint64_t> words) override {
    for (size_t i = 0; i < words.size(); ++i) words[i] = cells_[file * kPlaces + place + i].word.load();
  }

 protected:
  struct Cell {
    std::atomic<uint64_t> word = 0;
    std::atomic<uint64_t> previous = 0;
  };
  /// True once in 10,000 calls.
  bool slips() { return count_.fetch_add(1) % 10'000 == 9'999; }
  std::vector<Cell> cells_{size_t{kFiles} * kPlaces};

 private:
  std::atomic<uint64_t> count_ = 0;
};

/// Reads what was there before, as a stale extent map or a lost write would.
class StaleRegisters : public HonestRegisters {
 public:
  void read(uint32_t file, uint32_t place, std::span<uint64_t> words) override {
    HonestRegisters::read(file, place, words);
    if (slips()) words[0] = cells_[file * kPlaces + place].previous.load();
  }
};

/// Reads another file's word, as a frame that is reused too early would.
class LeakingRegisters : public HonestRegisters {
 public:
  void read(uint32_t file, uint32_t place, std::span<uint64_t> words) override {
    HonestRegisters::read(file, place, words);
    if (slips()) HonestRegisters::read((file + 1) % kFiles, place, words);
  }
};

/// Forgets a write, as a lost extent would.
class ForgetfulRegisters : public HonestRegisters {
 public:
  void write(uint32_t file, uint32_t place, std::span<const uint64_t> words) override {
    if (!slips()) HonestRegisters::write(file, place, words);
  }
};

TEST(Register, TheCheckerFindsNothingInAnHonestStore) {
  HonestRegisters registers;
  EXPECT_EQ(violations(record(registers, history_options())), std::vector<std::string>());
}

bool any_says(const std::vector<std::string>& wrong, const std::string& what) {
  return std::any_of(wrong.begin(), wrong.end(), [&](auto& text) { return text.find(what) != std::string::npos; });
}

TEST(Register, TheCheckerFindsOneStaleReadInTenThousand) {
  StaleRegisters registers;
  EXPECT_TRUE(any_says(violations(record(registers, {.calls = 100'000})), "it had been overwritten before"));
}

TEST(Register, TheCheckerFindsOneLeakedWordInTenThousand) {
  LeakingRegisters registers;
  EXPECT_TRUE(any_says(violations(record(registers, {.calls = 100'000})), "another file's word"));
}

TEST(Register, TheCheckerFindsOneForgottenWriteInTenThousand) {
  ForgetfulRegisters registers;
  EXPECT_TRUE(any_says(violations(record(registers, {.calls = 100'000})), "it had been overwritten before"));
}

TEST(Register, TheCheckerKnowsTheFutureAndWhatNobodyWrote) {
  uint64_t word = encode({1, 0, 5, 1});
  Event late{Event::Kind::kWrite, 0, 5, word, 100, 110};
  Event early{Event::Kind::kRead, 0, 5, word, 10, 20};
  EXPECT_TRUE(any_says(violations({late, early}), "it had not been written yet"));
  EXPECT_TRUE(any_says(violations({early}), "nobody wrote it"));
}

class VolumeRegisters : public Registers {
 public:
  explicit VolumeRegisters(Volume& volume) {
    for (uint32_t file = 0; file < kFiles; ++file) {
      auto opened = volume.open_file("/register" + std::to_string(file), writable(Create::kIfMissing));
      if (!opened || !opened->truncate(Bytes{kPlaces * 8})) std::abort();
      files_.push_back(std::move(*opened));
    }
  }
  void write(uint32_t file, uint32_t place, std::span<const uint64_t> words) override {
    auto done = files_[file].write_at(std::as_bytes(words), uint64_t{place} * 8);
    if (!done) ADD_FAILURE() << done.error().message();
  }
  void read(uint32_t file, uint32_t place, std::span<uint64_t> words) override {
    auto done = files_[file].read_at(std::as_writable_bytes(words), uint64_t{place} * 8);
    if (!done) ADD_FAILURE() << done.error().message();
    if (done && done->value != words.size_bytes()) ADD_FAILURE() << "a short read: " << done->value;
  }

 private:
  std::vector<File> files_;
};

/// Makes and removes files all the time, so that frames and extents change hands beside the registers.
void disturb(Volume& volume, const Background& life) {
  Random random(99);
  for (uint32_t round = 0; !life.stopped(); ++round) {
    auto file = volume.open_file("/churn", writable(Create::kIfMissing));
    if (!file) continue;
    (void)file->append(bytes_of(stamped(63, 255, 0, round, 1024)));
    if (random.chance(30)) (void)volume.unlink("/churn");
    if (random.chance(5)) (void)volume.checkpoint();
  }
}

void expect_registers(Volume& volume, bool beside_churn) {
  VolumeRegisters registers(volume);
  Background other;
  if (beside_churn) other.start([&] { disturb(volume, other); });
  std::vector<Event> history = record(registers, history_options());
  other.finish();
  std::vector<std::string> wrong = violations(history);
  std::cout << history.size() << " words, seed " << history_options().seed << "\n";
  EXPECT_EQ(wrong.size(), 0U) << (wrong.empty() ? "" : wrong.front());
}

TEST(Register, FilesInMemoryAreRegisters) {
  auto volume = Volume::in_memory(32_MiB);
  ASSERT_TRUE(volume) << volume.error().message();
  expect_registers(*volume, false);
}

TEST(Register, FilesAreRegistersWhileFramesChangeHandsBesideThem) {
  TemporaryPath file(kMemoryFolder);
  ASSERT_TRUE(Volume::format(file.path(), {.size = 32_MiB, .journal = 1_MiB, .progress = {}}));
  auto volume = Volume::open(file.path());
  ASSERT_TRUE(volume) << volume.error().message();
  expect_registers(*volume, true);
}

}  // namespace
}  // namespace dmap::testing
