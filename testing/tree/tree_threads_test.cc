// SPDX-License-Identifier: Apache-2.0
//
// The locking that the tree's header asks for, as a volume does it: ThreadSanitizer judges.
#include <atomic>
#include <shared_mutex>
#include <thread>

#include "testing/tree/tree_fixture.h"

namespace dmap {
namespace {

TEST(TreeThreads, ReadersAWriterAndACheckpointThreadAgree) {
  TreeOnMedia disk;
  std::shared_mutex lock;
  constexpr uint64_t kKeys = 2000;
  std::string old_text(100, 'a');
  for (uint64_t i = 0; i < kKeys; i += 2) ASSERT_TRUE(disk.tree().put(make_key(i, 0, 0), value_of(old_text)));
  disk.checkpoint();

  std::atomic<bool> stop = false;
  std::atomic<uint64_t> reads = 0;
  auto reader = [&](uint64_t seed) {
    Random random(seed);
    while (!stop.load(std::memory_order_relaxed)) {
      std::shared_lock shared(lock);
      uint64_t i = random.below(kKeys / 2) * 2;  // even keys stay, odd ones come and go
      auto found = disk.tree().find(make_key(i, 0, 0));
      ASSERT_TRUE(found && found->has_value());
      ASSERT_TRUE((*found)->size() == 100 && (**found)[0] == (**found)[99]);
      Cursor cursor(disk.tree());
      auto at = cursor.seek_ge(make_key(i, 0, 0));
      for (int steps = 0; steps < 10 && at.value(); ++steps) at = cursor.next();
      reads.fetch_add(1, std::memory_order_relaxed);
    }
  };
  std::thread first(reader, 1);
  std::thread second(reader, 2);
  std::thread writer([&] {
    Random random(3);
    while (!stop.load(std::memory_order_relaxed)) {
      std::unique_lock exclusive(lock);
      uint64_t i = random.below(kKeys);
      std::string text(100, static_cast<char>('a' + random.below(26)));
      if (i % 2 == 0 || random.below(2) == 0) {
        ASSERT_TRUE(disk.tree().put(make_key(i, 0, 0), value_of(text)));
      } else {
        ASSERT_TRUE(disk.tree().erase(make_key(i, 0, 0)));
      }
    }
  });
  for (int checkpoints = 0; checkpoints < 30 || reads.load(std::memory_order_relaxed) < 1000; ++checkpoints) {
    lock.lock();
    Frozen frozen = disk.begin_checkpoint();
    lock.unlock();
    disk.write(frozen);
    std::unique_lock exclusive(lock);
    checkpoints % 5 == 4 ? disk.abandon_checkpoint(std::move(frozen)) : disk.end_checkpoint(std::move(frozen));
  }
  stop = true;
  first.join();
  second.join();
  writer.join();
  auto proved = disk.tree().check_invariants();
  EXPECT_TRUE(proved) << proved.error().message();
}

}  // namespace
}  // namespace dmap
