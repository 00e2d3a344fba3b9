// SPDX-License-Identifier: Apache-2.0
#include "base/rcu_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace dmap {
namespace {

constexpr uint64_t kStamp = 0x9e3779b97f4a7c15;

/// An object that users keep: like an inode with open handles. Its stamp is right for as long as it lives.
struct Inode : RcuHead, RcuCacheLink<Inode> {
  explicit Inode(uint64_t number, uint32_t users = 0) : number(number), stamp(number * kStamp), refs(users) { ++alive; }
  ~Inode() {
    EXPECT_EQ(refs.users(), 0U);
    EXPECT_EQ(uses_of_users, uses.load(std::memory_order_relaxed));  // unlocked: all users are gone, and we know it
    stamp = 0;
    --alive;
  }
  bool try_evict() { return refs.try_kill(); }
  void use() {
    MutexLock lock(mutex);
    ++uses_of_users;
    uses.fetch_add(1, std::memory_order_relaxed);
  }

  const uint64_t number;
  uint64_t stamp;
  RefCount refs;
  Mutex mutex;
  uint64_t uses_of_users = 0;
  std::atomic<uint64_t> uses = 0;
  static inline std::atomic<int> alive = 0;
};
struct InodeTraits {
  using Key = uint64_t;
  static Key key(const Inode& inode) { return inode.number; }
  static uint64_t hash(Key number) { return (number * kStamp) >> 32; }
  static bool matches(const Inode& inode, Key number) { return inode.number == number; }
};
using InodeCache = RcuCache<Inode, InodeTraits>;

Inode* find_and_ref(const InodeCache& cache, uint64_t number) {
  RcuReadSection section;
  while (Inode* inode = cache.find(number)) {
    if (inode->refs.try_ref()) return inode;
  }
  return nullptr;
}

Inode* insert(InodeCache& cache, uint64_t number) {
  RcuReadSection section;
  return cache.insert(std::make_unique<Inode>(number));
}

/// An object nobody keeps, whose key is a view into it: like a dentry. All names fall into two buckets.
struct Dentry : RcuHead, RcuCacheLink<Dentry> {
  explicit Dentry(std::string name) : name(std::move(name)) {}
  bool try_evict() { return true; }
  const std::string name;
};
struct DentryTraits {
  using Key = std::string_view;
  static Key key(const Dentry& dentry) { return dentry.name; }
  static uint64_t hash(Key name) { return name.size() % 2; }
  static bool matches(const Dentry& dentry, Key name) { return dentry.name == name; }
};

TEST(RefCount, DeadIsForeverAndOnlyUnusedDies) {
  RefCount refs;
  ASSERT_TRUE(refs.try_ref());
  ASSERT_TRUE(refs.try_ref());
  EXPECT_FALSE(refs.try_kill());
  EXPECT_FALSE(refs.unref());
  EXPECT_TRUE(refs.unref());
  EXPECT_TRUE(refs.try_kill());
  EXPECT_FALSE(refs.try_kill());
  EXPECT_FALSE(refs.try_ref());
  EXPECT_EQ(refs.users(), 0U);
}

TEST(RefCount, WhatIsSparedLivesOnWithoutAUser) {
  RefCount refs;
  ASSERT_TRUE(refs.try_kill());
  refs.spare();
  EXPECT_EQ(refs.users(), 0U);
  EXPECT_TRUE(refs.try_ref());
  EXPECT_TRUE(refs.unref());
}

/// Nothing but the count orders the two threads; ThreadSanitizer watches.
TEST(RefCount, WhoKillsSeesAllThatTheUsersDid) {
  for (int round = 0; round < 100; ++round) {
    RefCount refs(1);
    int done_by_the_user = 0;
    std::atomic<bool> stop = false;
    std::jthread user([&] {
      done_by_the_user = 1;
      refs.unref();
      while (!stop.load(std::memory_order_relaxed)) std::this_thread::yield();
    });
    while (!refs.try_kill()) std::this_thread::yield();
    EXPECT_EQ(done_by_the_user, 1);
    stop.store(true, std::memory_order_relaxed);
  }
}

TEST(RefCountDeathTest, LettingGoOfWhatNobodyUsesIsOurBug) {
  RefCount refs;
  EXPECT_DEATH(refs.unref(), "before != 0");
}

TEST(RcuCache, TheFirstOfOneKeyWinsAndTheOtherIsDeleted) {
  InodeCache cache(10);
  Inode* first = insert(cache, 7);
  EXPECT_EQ(insert(cache, 7), first);
  EXPECT_EQ(Inode::alive, 1);
  EXPECT_EQ(cache.size(), 1U);
  RcuReadSection section;
  EXPECT_EQ(cache.find(7), first);
  EXPECT_EQ(cache.find(8), nullptr);
  cache.check_invariants();
}

TEST(RcuCache, ErasingTakesOutTheRightOneOfAChain) {
  RcuCache<Dentry, DentryTraits> cache(100);
  const std::string names[] = {"a", "bb", "ccc", "dddd", "eeeee", "ffffff"};
  RcuReadSection section;
  for (const auto& name : names) cache.insert(std::make_unique<Dentry>(name));
  EXPECT_TRUE(cache.erase("ccc"));                // the middle
  EXPECT_TRUE(cache.erase(cache.find("eeeee")));  // the newest
  Dentry* oldest = cache.find("bb");
  EXPECT_TRUE(cache.erase(oldest));
  EXPECT_FALSE(cache.erase(oldest)) << "it is unlinked, though still readable";
  EXPECT_FALSE(cache.erase("never there"));
  cache.check_invariants();
  for (const auto& name : names) {
    EXPECT_EQ(cache.find(name) != nullptr, name == "a" || name == "dddd" || name == "ffffff") << name;
  }
}

TEST(RcuCache, AReaderOnAnUnlinkedEntryStillReachesTheRestOfItsChain) {
  RcuCache<Dentry, DentryTraits> cache(100);
  RcuReadSection section;
  for (const char* name : {"a", "bbb", "ccccc"}) cache.insert(std::make_unique<Dentry>(name));
  Dentry* middle = cache.find("bbb");
  cache.erase("bbb");
  EXPECT_EQ(middle->name, "bbb");
  EXPECT_NE(cache.find("a"), nullptr);
  EXPECT_NE(cache.find("ccccc"), nullptr);
}

TEST(RcuCache, WhatIsKeptNeitherGoesNorIsErased) {
  InodeCache cache(16);
  for (uint64_t number = 0; number < 16; ++number) insert(cache, number);
  Inode* kept = find_and_ref(cache, 3);
  ASSERT_NE(kept, nullptr);
  EXPECT_FALSE(cache.erase(3));
  EXPECT_EQ(cache.evict_some(100), 15U);
  EXPECT_EQ(cache.clear(), 0U);
  EXPECT_EQ(cache.size(), 1U);
  EXPECT_EQ(find_and_ref(cache, 3), kept);
  EXPECT_FALSE(kept->refs.unref());
  {
    RcuReadSection section;
    ASSERT_TRUE(kept->refs.unref());
    EXPECT_TRUE(cache.erase(kept));
  }
  EXPECT_EQ(cache.size(), 0U);
  rcu_barrier_all();
  EXPECT_EQ(Inode::alive, 0);
}

TEST(RcuCache, TheBudgetHoldsAndWhatIsLookedUpStays) {
  InodeCache cache(256);
  for (uint64_t number = 0; number < 64; ++number) insert(cache, number);
  for (uint64_t number = 1000; number < 20'000; ++number) {
    insert(cache, number);
    RcuReadSection section;
    for (uint64_t i = 0; i < 8; ++i) (void)cache.find((8 * number + i) % 64);
  }
  EXPECT_LE(cache.size(), 256U);
  EXPECT_GT(cache.size(), 200U);
  cache.check_invariants();
  RcuReadSection section;
  int stayed = 0;
  for (uint64_t number = 0; number < 64; ++number) stayed += cache.find(number) != nullptr ? 1 : 0;
  EXPECT_GE(stayed, 48) << "of 64 that were looked up all the time";
}

TEST(RcuCache, WhenAllIsKeptItGrowsAndShrinksOnceTheyLetGo) {
  InodeCache cache(64);
  std::vector<Inode*> kept;
  for (uint64_t number = 0; number < 500; ++number) {
    RcuReadSection section;
    kept.push_back(cache.insert(std::make_unique<Inode>(number, 1)));
  }
  EXPECT_EQ(cache.size(), 500U);
  for (Inode* inode : kept) inode->refs.unref();
  for (uint64_t number = 1000; number < 1100; ++number) insert(cache, number);
  EXPECT_LE(cache.size(), 64U);
  cache.check_invariants();
}

TEST(RcuCache, RandomUseAgreesWithAMap) {
  const uint64_t seed = 11;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  {
    InodeCache cache(1 << 20);  // never full, so that nothing goes by itself
    std::map<uint64_t, Inode*> model;
    for (int i = 0; i < 20'000; ++i) {
      const uint64_t number = random() % 500;
      RcuReadSection section;
      auto it = model.find(number);
      switch (random() % 4) {
        case 0: ASSERT_EQ(cache.erase(number), model.erase(number) == 1); break;
        case 1: {
          Inode* winner = cache.insert(std::make_unique<Inode>(number));
          ASSERT_EQ(model.try_emplace(number, winner).first->second, winner);
          break;
        }
        default: ASSERT_EQ(cache.find(number), it == model.end() ? nullptr : it->second);
      }
      ASSERT_EQ(cache.size(), model.size());
    }
    cache.check_invariants();
    EXPECT_EQ(cache.clear(), model.size());
    for (uint64_t number = 0; number < 10; ++number) insert(cache, number);  // these die with the cache
  }
  rcu_barrier_all();
  EXPECT_EQ(Inode::alive, 0);
}

TEST(RcuCache, AReferenceTakenBesideEvictionIsToALivingEntry) {
  {
    InodeCache cache(32);
    std::atomic<uint64_t> hits = 0, lookups_without_ref = 0;
    auto work = [&](unsigned seed) {
      std::mt19937_64 random(seed);
      std::vector<Inode*> kept;
      for (int i = 0; i < 20'000; ++i) {
        const uint64_t number = random() % 96;
        {
          RcuReadSection section;
          if (Inode* inode = cache.find(random() % 96)) {
            ASSERT_EQ(inode->stamp, inode->number * kStamp);
            lookups_without_ref.fetch_add(1, std::memory_order_relaxed);
          }
        }
        Inode* inode = find_and_ref(cache, number);
        if (inode != nullptr) hits.fetch_add(1, std::memory_order_relaxed);
        while (inode == nullptr) {
          insert(cache, number);
          inode = find_and_ref(cache, number);
        }
        ASSERT_EQ(inode->number, number);
        inode->use();
        kept.push_back(inode);
        if (kept.size() > random() % 12) {
          std::swap(kept[random() % kept.size()], kept.back());
          Inode* done = kept.back();
          kept.pop_back();
          ASSERT_EQ(done->stamp, done->number * kStamp) << "kept outside of any read section";
          done->use();
          RcuReadSection section;
          if (done->refs.unref() && random() % 4 == 0) cache.erase(done);
        }
        if (i % 1000 == 0) cache.evict_some(10);
      }
      for (Inode* inode : kept) inode->refs.unref();
    };
    std::vector<std::jthread> threads;
    for (unsigned seed = 1; seed <= 4; ++seed) threads.emplace_back(work, seed);
    threads.clear();
    cache.check_invariants();
    EXPECT_GT(hits, 0U);
    EXPECT_GT(lookups_without_ref, 0U);
    const size_t left = cache.size();
    EXPECT_EQ(cache.clear(), left) << "all let go";
  }
  rcu_barrier_all();
  EXPECT_EQ(Inode::alive, 0);
}

TEST(RcuCache, OfManyWhoInsertOneKeyAtOnceAllGetTheSame) {
  InodeCache cache(1 << 12);
  constexpr uint64_t kNumbers = 1000;
  std::vector<std::vector<Inode*>> got(3);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : got) {
      threads.emplace_back([&] {
        for (uint64_t number = 0; number < kNumbers; ++number) mine.push_back(insert(cache, number));
      });
    }
  }
  EXPECT_EQ(got[0], got[1]);
  EXPECT_EQ(got[0], got[2]);
  EXPECT_EQ(cache.size(), kNumbers);
  EXPECT_EQ(Inode::alive, static_cast<int>(kNumbers));
  cache.check_invariants();
}

}  // namespace
}  // namespace dmap
