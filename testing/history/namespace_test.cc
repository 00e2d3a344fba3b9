// SPDX-License-Identifier: Apache-2.0
//
// Threads that make, rename, link and remove names in the same directories: nothing is won twice, nothing gets lost.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <iostream>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "dmap/check.h"
#include "dmap/volume.h"
#include "testing/support/background.h"
#include "testing/support/open.h"
#include "testing/support/random.h"
#include "testing/support/sanitizers.h"
#include "testing/support/stamp.h"
#include "testing/support/temporary.h"

namespace dmap::testing {
namespace {

constexpr uint32_t kThreads = 4;

class Namespace : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Volume::format(file_.path(), {.size = 64_MiB, .journal = 2_MiB, .progress = {}}));
    auto volume = Volume::open(file_.path());
    ASSERT_TRUE(volume) << volume.error().message();
    volume_.emplace(std::move(*volume));
    for (const char* name : {"/a", "/b"}) ASSERT_TRUE(volume_->make_directory(name));
    inodes_before_ = volume_->usage().inodes;
  }

  void TearDown() override {
    if (!volume_) return;
    ASSERT_TRUE(volume_->close());
    std::string findings;
    auto report = check_volume(
        file_.path(),
        {.on_finding = [&](const Finding& f) { findings += f.path + ": " + f.what + "\n"; }, .progress = {}});
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(report->findings, 0U) << findings;
  }

  /// Runs `work(thread, random)` in all threads.
  template <typename Work>
  void in_threads(Work work) {
    Background threads;
    for (uint32_t thread = 1; thread <= kThreads; ++thread) {
      threads.start([&work, thread, this] {
        Random random(seed_ * 100 + thread);
        work(thread, random);
      });
    }
    threads.wait();
  }

  /// Records a failure unless the call did its work or met the names in a state in which it could not.
  template <typename T>
  bool worked(const Result<T>& result, std::initializer_list<Code> allowed) {
    if (result) return true;
    for (Code code : allowed) {
      if (result.error().code() == code) return false;
    }
    ADD_FAILURE() << result.error().message();
    return false;
  }

  std::string any_name(Random& random) {
    return std::string(random.chance(50) ? "/a" : "/b") + "/n" + std::to_string(random.below(30));
  }

  /// Makes `path` with content that nobody else has.
  bool make(const std::string& path, uint32_t thread, uint32_t number) {
    auto file = volume_->open_file(path, writable(Create::kExclusive));
    if (!worked(file, {Code::kExists})) return false;
    EXPECT_TRUE(file->write_at(bytes_of(stamped(thread, 0, 0, number, 1)), 0));
    return true;
  }

  uint64_t content_of(const std::string& path) {
    uint64_t word = 0;
    auto file = volume_->open_file(path);
    if (file) {
      EXPECT_TRUE(file->read_at(std::as_writable_bytes(std::span(&word, 1)), 0));
    }
    return word;
  }

  std::vector<std::string> all_names() {
    std::vector<std::string> names;
    for (std::string directory : {"/a", "/b"}) {
      auto entries = volume_->read_directory(directory);
      EXPECT_TRUE(entries);
      for (const DirectoryEntry& entry : *entries) names.push_back(directory + "/" + entry.name);
    }
    return names;
  }

  /// So many inodes beside those of SetUp(): what lost its name while somebody used it is reaped in the background.
  void expect_inodes(uint64_t wanted) {
    for (int wait = 0; wait < 1000 && volume_->usage().inodes != inodes_before_ + wanted; ++wait) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(volume_->usage().inodes, inodes_before_ + wanted);
  }

  uint64_t seed_ = from_environment("DMAP_SEED", 11);
  uint64_t calls_ = from_environment("DMAP_OPS", scaled(30'000));
  TemporaryPath file_{kMemoryFolder};
  std::optional<Volume> volume_;
  uint64_t inodes_before_ = 0;
};

TEST_F(Namespace, AnExclusiveCreateIsWonByOneThread) {
  std::vector<std::atomic<int>> won(scaled(2000));
  in_threads([&](uint32_t thread, Random&) {
    for (size_t name = 0; name < won.size(); ++name) {
      if (make("/a/x" + std::to_string(name), thread, static_cast<uint32_t>(name))) won[name].fetch_add(1);
    }
  });
  for (size_t name = 0; name < won.size(); ++name) ASSERT_EQ(won[name], 1) << name;
  expect_inodes(won.size());
}

TEST_F(Namespace, WhatWasMadeAndNotRemovedIsThereOnceUnderSomeName) {
  std::atomic<int64_t> left = 0;
  in_threads([&](uint32_t thread, Random& random) {
    for (uint32_t call = 1; call <= calls_; ++call) {
      uint64_t kind = random.below(100);
      std::string name = any_name(random);
      if (kind < 30) {
        if (make(name, thread, call)) left.fetch_add(1);
      } else if (kind < 55) {
        if (worked(volume_->unlink(name), {Code::kNotFound})) left.fetch_sub(1);
      } else {
        RenameMode mode = random.chance(50) ? RenameMode::kNoReplace : RenameMode::kExchange;
        worked(volume_->rename(name, any_name(random), mode), {Code::kNotFound, Code::kExists});
      }
    }
  });
  std::set<uint64_t> contents;
  std::vector<std::string> names = all_names();
  for (const std::string& name : names) {
    uint64_t word = content_of(name);
    EXPECT_TRUE(decode(word)) << name << " has " << describe(word);
    EXPECT_TRUE(contents.insert(word).second) << name << ": there twice";
    EXPECT_EQ(volume_->stat(name)->links, 1U);
  }
  EXPECT_EQ(static_cast<int64_t>(names.size()), left);
  expect_inodes(names.size());
}

TEST_F(Namespace, ANameThatIsReplacedIsNeverMissing) {
  ASSERT_TRUE(make("/a/target", 1, 0));
  Background readers;
  std::atomic<uint64_t> seen = 0;
  readers.start([&] {
    while (!readers.stopped() && !HasFailure()) {
      auto file = volume_->open_file("/a/target");
      if (!file) return ADD_FAILURE() << file.error().message(), void();
      uint64_t word = 0;
      EXPECT_TRUE(file->read_at(std::as_writable_bytes(std::span(&word, 1)), 0));
      EXPECT_TRUE(decode(word)) << describe(word);
      seen.fetch_add(1);
    }
  });
  in_threads([&](uint32_t thread, Random&) {
    std::string mine = "/b/mine" + std::to_string(thread);
    for (uint32_t call = 1; call <= calls_ / 4; ++call) {
      ASSERT_TRUE(make(mine, thread, call));
      worked(volume_->rename(mine, "/a/target"), {});
    }
  });
  readers.finish();
  EXPECT_EQ(all_names(), std::vector<std::string>{"/a/target"});
  expect_inodes(1);
  std::cout << seen << " times seen while it was replaced\n";
}

TEST_F(Namespace, TheLinkCountIsTheNumberOfNames) {
  ASSERT_TRUE(make("/a/first", 1, 1));
  std::atomic<uint32_t> names = 1;
  in_threads([&](uint32_t, Random& random) {
    for (uint32_t call = 1; call <= calls_ / 2; ++call) {
      std::string name = any_name(random);
      if (random.chance(50)) {
        if (worked(volume_->link("/a/first", name), {Code::kExists})) names.fetch_add(1);
      } else {
        if (worked(volume_->unlink(name), {Code::kNotFound})) names.fetch_sub(1);
      }
    }
  });
  EXPECT_EQ(volume_->stat("/a/first")->links, names);
  EXPECT_EQ(all_names().size(), names);
}

TEST_F(Namespace, DirectoriesMovedIntoEachOtherNeverCutThemselvesOff) {
  constexpr int kDirectories = 12;
  std::vector<InodeNumber> numbers;
  for (int i = 0; i < kDirectories; ++i) {
    auto made = volume_->make_directory("/a/d" + std::to_string(i));
    ASSERT_TRUE(made);
    numbers.push_back(*made);
  }
  // Each directory keeps a name of its own; it is moved by the number of the directory it lies in just then.
  in_threads([&](uint32_t, Random& random) {
    for (uint32_t call = 1; call <= calls_; ++call) {
      uint64_t moved = random.below(kDirectories);
      InodeNumber to = random.chance(20) ? kRootInode : random.pick(numbers);
      auto parent = volume_->parent(numbers[moved]);
      if (!worked(parent, {})) return;
      std::string name = "d" + std::to_string(moved);
      worked(volume_->rename(At(*parent, name), At(to, name)), {Code::kNotFound, Code::kInvalid, Code::kNotEmpty});
    }
  });
  for (InodeNumber number : numbers) {
    int steps = 0;
    while (number != kRootInode && steps <= kDirectories + 2) number = volume_->parent(number).value(), ++steps;
    ASSERT_LE(steps, kDirectories + 2) << "a circle";
  }
  EXPECT_EQ(volume_->usage().inodes, inodes_before_ + kDirectories);
}

}  // namespace
}  // namespace dmap::testing
