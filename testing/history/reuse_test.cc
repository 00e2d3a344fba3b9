// SPDX-License-Identifier: Apache-2.0
//
// A small, nearly full volume whose frames change hands all the time: no read, view or pin ever shows a word that was
// written to another file or to another place.
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <iostream>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/shared_bytes.h"
#include "dmap/volume.h"
#include "testing/support/background.h"
#include "testing/support/open.h"
#include "testing/support/random.h"
#include "testing/support/sanitizers.h"
#include "testing/support/stamp.h"

namespace dmap::testing {
namespace {

constexpr uint32_t kFiles = 5;
constexpr uint32_t kPlacesMax = 1 << 18;  // 2 MiB a file, what a stamp can name
constexpr Bytes kVolume = 12_MiB;

/// Some first mistake of any thread; the others stop.
class Mistakes {
 public:
  void add(const std::string& what) {
    std::scoped_lock lock(mutex_);
    if (first_.empty()) first_ = what;
    found_.store(true);
  }
  [[nodiscard]] bool found() const { return found_.load(); }
  std::string first() {
    std::scoped_lock lock(mutex_);
    return first_;
  }

 private:
  std::mutex mutex_;
  std::string first_;
  std::atomic<bool> found_ = false;
};

class Reuse : public ::testing::Test {
 protected:
  void SetUp() override {
    auto volume = Volume::in_memory(kVolume);
    ASSERT_TRUE(volume) << volume.error().message();
    volume_.emplace(std::move(*volume));
    for (uint32_t file = 0; file < kFiles; ++file) {
      auto opened = volume_->open_file("/f" + std::to_string(file), writable(Create::kExclusive));
      ASSERT_TRUE(opened) << opened.error().message();
      files_.push_back(std::move(*opened));
    }
  }

  /// Only words of this file and place, or zero.
  void judge(std::span<const std::byte> bytes, uint32_t file, uint64_t offset, const char* how) {
    for (uint64_t at = 0; at + 8 <= bytes.size(); at += 8) {
      uint64_t word = 0;
      load_shared(reinterpret_cast<std::byte*>(&word), bytes.data() + at, 8);  // views and pins look at living files
      auto place = static_cast<uint32_t>((offset + at) / 8);
      WordKind kind = kind_of(word, file, place);
      if (kind == WordKind::kOwn || kind == WordKind::kZero) continue;
      mistakes_.add(std::string(how) + " of file " + std::to_string(file) + " place " + std::to_string(place) +
                    " shows " + describe(word) + ", seed " + std::to_string(seed_));
      return;
    }
    words_.fetch_add(bytes.size() / 8);
  }

  void judge_result(const Result<void>& result) {
    if (result) return;
    if (result.error().code() == Code::kNoSpace) return void(full_.fetch_add(1));
    mistakes_.add(result.error().message());
  }

  void write_for(const Background& life, uint32_t writer, uint64_t calls) {
    Random random(seed_ * 100 + writer);
    for (uint64_t call = 1; call <= calls && !life.stopped() && !mistakes_.found(); ++call) {
      auto file = static_cast<uint32_t>(random.below(kFiles));
      auto count = static_cast<uint32_t>(random.between(1, random.chance(90) ? 4096 : 65536));
      auto place = static_cast<uint32_t>(random.below(kPlacesMax - count));
      if (random.chance(50)) place = place / 512 * 512;
      uint64_t kind = random.below(100);
      if (kind < 70) {
        auto words = stamped(writer, file, place, static_cast<uint32_t>(call), count);
        judge_result(files_[file].write_at(bytes_of(words), uint64_t{place} * 8));
      } else if (kind < 85) {
        judge_result(files_[file].truncate(Bytes{random.chance(50) ? 0 : uint64_t{place} * 8}));
      } else if (kind < 95) {
        judge_result(files_[file].punch(uint64_t{place} * 8, Bytes{uint64_t{count} * 8}));
      } else {
        judge_result(files_[file].allocate(uint64_t{place} * 8, Bytes{uint64_t{count} * 8}, KeepSize::kYes));
      }
    }
  }

  void read_for(const Background& life, uint32_t reader) {
    Random random(seed_ * 100 + 50 + reader);
    std::vector<std::byte> buffer(64 << 10);
    while (!life.stopped() && !mistakes_.found()) {
      auto file = static_cast<uint32_t>(random.below(kFiles));
      uint64_t offset = random.below(kPlacesMax) * 8;
      auto got = files_[file].read_at(std::span(buffer).first(random.between(1, 8192) * 8), offset);
      if (!got) return mistakes_.add(got.error().message());
      judge(std::span(buffer).first(got->value), file, offset, "a read");
    }
  }

  /// Keeps some views and pins, looks at each again and again while its frames leave the file.
  void hold_for(const Background& life, uint32_t holder) {
    struct Held {
      uint32_t file;
      uint64_t offset;
      std::optional<View> view;
      std::optional<Pin> pin;
    };
    Random random(seed_ * 100 + 80 + holder);
    std::deque<Held> held;
    while (!life.stopped() && !mistakes_.found()) {
      auto file = static_cast<uint32_t>(random.below(kFiles));
      uint64_t offset = random.below(kPlacesMax / 512) * 4096;
      uint64_t length = random.between(1, 8) * 4096;
      if (random.chance(50)) {
        auto view = files_[file].view(offset, Bytes{length});
        if (!view) return mistakes_.add(view.error().message());
        held.push_back({file, offset, std::move(*view), std::nullopt});
      } else if (auto pin = files_[file].pin(offset, Bytes{length})) {
        held.push_back({file, offset, std::nullopt, std::move(*pin)});
        pinned_.fetch_add(1);
      }
      if (held.size() > 10) held.pop_front();
      for (const Held& one : held) {
        if (one.view) look_at(*one.view, one.file, one.offset);
        if (one.pin) look_at(*one.pin, one.file, one.offset);
      }
    }
  }

  void look_at(const View& view, uint32_t file, uint64_t at) {
    for (std::span<const std::byte> piece : view.pieces()) {
      judge(piece, file, at, "a view");
      at += piece.size();
    }
  }

  void look_at(const Pin& pin, uint32_t file, uint64_t at) {
    for (const Piece& piece : pin.pieces()) {
      judge({piece.address, piece.length.value}, file, at, "a pin");
      at += piece.length.value;
    }
  }

  uint64_t seed_ = from_environment("DMAP_SEED", 5);
  std::optional<Volume> volume_;
  std::vector<File> files_;
  Mistakes mistakes_;
  std::atomic<uint64_t> words_ = 0, full_ = 0, pinned_ = 0;
};

TEST_F(Reuse, NobodySeesAnotherFilesWordsWhileFramesAreReused) {
  Background writers, others;
  for (uint32_t i = 0; i < 2; ++i) others.start([&, i] { read_for(others, i); });
  others.start([&] { hold_for(others, 0); });
  uint64_t calls = from_environment("DMAP_OPS", scaled(20'000));
  for (uint32_t i = 1; i <= 3; ++i) writers.start([&, i] { write_for(writers, i, calls); });
  writers.wait();
  others.finish();
  EXPECT_EQ(mistakes_.first(), "");
  std::cout << words_ << " words judged, " << full_ << " times full, " << pinned_ << " pins, seed " << seed_ << "\n";
  EXPECT_GT(words_, 0U);
}

TEST_F(Reuse, AJudgeIsNotBlind) {
  auto words = stamped(1, 2, 10, 1, 8);
  judge(bytes_of(words), 2, 80, "a read");
  EXPECT_EQ(mistakes_.first(), "");
  judge(bytes_of(words), 3, 80, "a read");
  EXPECT_NE(mistakes_.first().find("a read of file 3 place 10 shows"), std::string::npos);
}

/// One thread alone writes a file, pins and views it and truncates it; the others take every frame that is free.
TEST_F(Reuse, WhatIsHeldKeepsItsOldBytesAfterTruncateAndUnlink) {
  Background others;
  for (uint32_t i = 1; i <= 2; ++i) others.start([&, i] { write_for(others, i, ~uint64_t{0}); });
  Random random(seed_);
  for (uint32_t round = 1; round <= scaled(3000) && !mistakes_.found(); ++round) {
    auto file = volume_->open_file("/held", writable(Create::kIfMissing));
    ASSERT_TRUE(file) << file.error().message();
    auto count = static_cast<uint32_t>(random.between(1, 16) * 512);
    auto words = stamped(60, 200, 0, round, count);
    auto wrote = file->write_at(bytes_of(words), 0);
    if (!wrote) {
      ASSERT_EQ(wrote.error().code(), Code::kNoSpace) << wrote.error().message();
      continue;
    }
    auto view = file->view(0, Bytes{count * 8});
    auto pin = file->pin(0, Bytes{count * 8}, Access::kReadOnly);
    ASSERT_TRUE(view) << view.error().message();
    ASSERT_TRUE(pin) << pin.error().message();
    bool unlink = random.chance(50);
    Result<void> removed = unlink ? volume_->unlink("/held") : file->truncate(Bytes{0});
    ASSERT_TRUE(removed) << removed.error().message();
    if (unlink) {
      File closing = std::move(*file);
    }
    std::this_thread::yield();
    uint64_t at = 0;
    for (std::span<const std::byte> piece : view->pieces()) {
      ASSERT_EQ(std::memcmp(piece.data(), reinterpret_cast<std::byte*>(words.data()) + at, piece.size()), 0) << round;
      at += piece.size();
    }
    EXPECT_EQ(at, uint64_t{count} * 8);
    at = 0;
    for (const Piece& piece : pin->pieces()) {
      ASSERT_EQ(std::memcmp(piece.address, reinterpret_cast<std::byte*>(words.data()) + at, piece.length.value), 0);
      at += piece.length.value;
    }
    EXPECT_EQ(at, uint64_t{count} * 8);
  }
  others.finish();
  EXPECT_EQ(mistakes_.first(), "");
}

}  // namespace
}  // namespace dmap::testing
