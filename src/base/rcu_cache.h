// SPDX-License-Identifier: Apache-2.0
//
// A bounded cache of objects by key that many threads look up without locks: inodes, dentries.
//
// A hash table whose chains are read under RCU; changes take one of a few locks, chosen by bucket. When the budget is
// used up, a hand goes round the buckets (CLOCK): what was looked up since it last came by gets another round, the rest
// is unlinked and deleted after a grace period. A hit stores nothing, but for one bit when that is not set yet.
//
//   linked, unused  <-- the hand | a lookup -->  linked, used
//   linked  -- try_evict() says yes -->  unlinked (readers may still be on it)  -- grace period -->  deleted
//
// An entry that users keep beyond their read section counts them in a RefCount, and its try_evict() is
// `return refs.try_kill();`. To take a reference:
//
//   RcuReadSection section;
//   while (Inode* inode = cache.find(number)) {
//     if (inode->refs.try_ref()) return inode;  // else it is being evicted, and is unlinked in a moment: look again
//   }
//
// Invariants (check_invariants() proves them):
//   C1  an entry is in the bucket of its key's hash, once, and no other entry there has its key
//   C2  size() is the number of entries linked
#ifndef DMAP_BASE_RCU_CACHE_H_
#define DMAP_BASE_RCU_CACHE_H_

#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/guarded.h"
#include "base/rcu.h"

namespace dmap {

/// Who uses an entry, with an end: once dead it cannot be used, unless its killer takes that back.
///
///   0 <-> 1 <-> 2 ...      try_ref() up, unref() down
///   0 --> dead             try_kill(), back by spare()
///   1 --> dead             try_kill_last(), back by revive()
class RefCount {
 public:
  explicit RefCount(uint32_t users = 0) : word_(users) {}

  /// One user more; false if it is dead. Inside the RcuReadSection that found the object, or as a user.
  [[nodiscard]] bool try_ref() {
    uint32_t word = word_.load(std::memory_order_relaxed);
    do {
      if (word == kDead) return false;
      CHECK(word + 1 != kDead);
      // relaxed: the lookup's acquire has shown us the object; the count only keeps it
    } while (!word_.compare_exchange_weak(word, word + 1, std::memory_order_relaxed));
    return true;
  }

  /// One user less; true if that was the last. From then on the object may go: stay in a read section to touch it.
  bool unref() {
    // release: what this user did to the object; pairs with the acquire in try_kill(), and with the one here: the last
    // user sees what the others did
    uint32_t before = word_.fetch_sub(1, std::memory_order_acq_rel);
    CHECK(before != 0 && before != kDead);
    return before == 1;
  }

  /// From no user to dead; false if there is a user, or if it is dead already.
  [[nodiscard]] bool try_kill() {
    uint32_t none = 0;
    // acquire: all that its users did comes before its destruction; pairs with the release in unref()
    return word_.compare_exchange_strong(none, kDead, std::memory_order_acquire, std::memory_order_relaxed);
  }

  /// Takes try_kill() back: it has no user and may be found again.
  void spare() {
    uint32_t before = word_.exchange(0, std::memory_order_release);  // release: as unref()
    CHECK(before == kDead);
  }

  /// As try_kill(), for the one user there is: from 1 to dead.
  [[nodiscard]] bool try_kill_last() {
    uint32_t one = 1;
    return word_.compare_exchange_strong(one, kDead, std::memory_order_acquire, std::memory_order_relaxed);
  }
  /// Takes try_kill_last() back: whoever killed it is its one user again.
  void revive() {
    uint32_t before = word_.exchange(1, std::memory_order_release);  // release: as unref()
    CHECK(before == kDead);
  }

  /// Users at this moment; a number to look at.
  [[nodiscard]] uint32_t users() const {
    uint32_t word = word_.load(std::memory_order_relaxed);
    return word == kDead ? 0 : word;
  }

 private:
  static constexpr uint32_t kDead = ~uint32_t{0};
  std::atomic<uint32_t> word_;
};

/// What a cached object carries for the cache.
template <typename Entry>
class RcuCacheLink {
  friend Entry;  // only an Entry is made of it
  template <typename E, typename Traits>
  friend class RcuCache;
  RcuCacheLink() = default;
  std::atomic<Entry*> next_in_bucket_ = nullptr;
  std::atomic<bool> recently_used_ = false;  // relaxed everywhere: a hint for the hand
};

/// What the cache must know about its entries.
///   Traits::Key                          what is looked up; may be a view into the entry
///   Traits::key(entry) -> Key            unchanging while the entry is linked
///   Traits::hash(key) -> uint64_t        its low bits choose the bucket
///   Traits::matches(entry, key) -> bool
///   entry.try_evict() -> bool            true: it may go, and from this moment on nobody can begin to keep it.
///                                        Called under the bucket's lock; must not block or call the cache.
template <typename Entry, typename Traits>
concept RcuCacheable = std::derived_from<Entry, RcuHead> && std::derived_from<Entry, RcuCacheLink<Entry>> &&
                       requires(Entry& entry, const typename Traits::Key& key) {
                         { Traits::key(std::as_const(entry)) } -> std::convertible_to<typename Traits::Key>;
                         { Traits::hash(key) } -> std::same_as<uint64_t>;
                         { Traits::matches(std::as_const(entry), key) } -> std::same_as<bool>;
                         { entry.try_evict() } -> std::same_as<bool>;
                       };

/// See the top of this file. All of it may be called by any thread. The pointers that find() and insert() return are
/// valid until the caller's RcuReadSection closes, or for as long as the entry lets its users keep it.
template <typename Entry, typename Traits>
class RcuCache {
 public:
  using Key = typename Traits::Key;

  /// Holds up to `entries_max` entries (> 0); more only while entries refuse to go, and a few while many are inserted.
  explicit RcuCache(size_t entries_max)
      : entries_max_(entries_max),
        bucket_mask_(std::bit_ceil(entries_max) - 1),
        buckets_(std::make_unique<std::atomic<Entry*>[]>(bucket_mask_ + 1)) {
    static_assert(RcuCacheable<Entry, Traits>);
    CHECK(entries_max > 0);
  }
  RcuCache(const RcuCache&) = delete;
  RcuCache& operator=(const RcuCache&) = delete;
  /// Deletes all entries at once: no reader and no user may be left.
  ~RcuCache() {
    for (size_t bucket = 0; bucket <= bucket_mask_; ++bucket) {
      for (Entry* entry = buckets_[bucket].load(std::memory_order_relaxed); entry != nullptr;) {
        delete std::exchange(entry, next(*entry).load(std::memory_order_relaxed));  // relaxed: nobody else is left
      }
    }
  }

  /// The entry of this key, or null. Inside an RcuReadSection; takes no lock, never blocks.
  [[nodiscard]] Entry* find(const Key& key) const {
    // acquire, here and at each link: the entry's contents; pairs with the release in insert()
    Entry* entry = buckets_[bucket_of(key)].load(std::memory_order_acquire);
    while (entry != nullptr && !Traits::matches(*entry, key)) entry = next(*entry).load(std::memory_order_acquire);
    if (entry != nullptr && !used(*entry).load(std::memory_order_relaxed)) {
      used(*entry).store(true, std::memory_order_relaxed);
    }
    return entry;
  }

  /// Adds an entry and returns it; or, if its key is there already, deletes it and returns the one that is there.
  /// Inside an RcuReadSection. Makes room first, within a bounded number of looks.
  Entry* insert(std::unique_ptr<Entry> entry) {
    if (size() >= entries_max_) sweep(size() - entries_max_ + 1, kLooksPerInsert);
    const Key key = Traits::key(*entry);
    const size_t bucket = bucket_of(key);
    MutexLock lock(lock_of(bucket));
    // relaxed, all through this function: links change under the lock that we hold
    Entry* first = buckets_[bucket].load(std::memory_order_relaxed);
    for (Entry* other = first; other != nullptr; other = next(*other).load(std::memory_order_relaxed)) {
      if (Traits::matches(*other, key)) return other;
    }
    next(*entry).store(first, std::memory_order_relaxed);
    size_.fetch_add(1, std::memory_order_relaxed);
    Entry* added = entry.release();
    buckets_[bucket].store(added, std::memory_order_release);  // pairs with the acquire in find()
    return added;
  }

  /// Takes out the entry of this key, to be deleted after a grace period. False if there is none or it refuses to go.
  bool erase(const Key& key) {
    return unlink_if(bucket_of(key), 1, [&](const Entry& entry) { return Traits::matches(entry, key); }) == 1;
  }
  /// Takes out this very entry. Inside a RcuReadSection that keeps it: as the last user does who wants it gone,
  /// `RcuReadSection section; if (inode->refs.unref()) cache.erase(inode);`. False as above.
  bool erase(Entry* entry) {
    return unlink_if(bucket_of(Traits::key(*entry)), 1, [&](const Entry& other) { return &other == entry; }) == 1;
  }

  /// Takes out an entry that its last user has killed (RefCount::try_kill_last), without asking it. As erase(entry).
  void erase_dead(Entry* entry) {
    size_t gone =
        unlink_if(bucket_of(Traits::key(*entry)), 1, [&](const Entry& other) { return &other == entry; }, Ask::kNo);
    CHECK(gone == 1);
  }

  /// Evicts up to `wanted` entries, least recently used first, more or less; returns how many went. Less than wanted
  /// means that all others refuse. Goes round the whole cache twice at most.
  size_t evict_some(size_t wanted) { return sweep(wanted, 2 * (bucket_mask_ + 1)); }

  /// Takes out all that does not refuse to go; returns how many went.
  size_t clear() {
    size_t gone = 0;
    for (size_t bucket = 0; bucket <= bucket_mask_; ++bucket) {
      gone += unlink_if(bucket, SIZE_MAX, [](const Entry&) { return true; });
    }
    return gone;
  }

  /// Entries linked at this moment.
  [[nodiscard]] size_t size() const { return size_.load(std::memory_order_relaxed); }
  [[nodiscard]] size_t entries_max() const { return entries_max_; }

  /// CHECKs C1 and C2. Only while nobody changes the cache.
  void check_invariants() const {
    RcuReadSection section;
    size_t found = 0;
    for (size_t bucket = 0; bucket <= bucket_mask_; ++bucket) {
      for (Entry* entry = buckets_[bucket].load(std::memory_order_acquire); entry != nullptr; ++found) {
        const Key key = Traits::key(*entry);
        CHECK(bucket_of(key) == bucket && Traits::matches(*entry, key));  // C1
        entry = next(*entry).load(std::memory_order_acquire);
        for (Entry* other = entry; other != nullptr; other = next(*other).load(std::memory_order_acquire)) {
          CHECK(!Traits::matches(*other, key));  // C1
        }
      }
    }
    CHECK(found == size());  // C2
  }

 private:
  static constexpr size_t kLocks = 64;
  static constexpr size_t kLooksPerInsert = 64;  // buckets; when all is kept, an insert must not look at everything
  struct alignas(64) Lock {
    Mutex mutex;
  };
  enum class Ask : uint8_t { kNo, kYes };

  static std::atomic<Entry*>& next(Entry& entry) { return entry.RcuCacheLink<Entry>::next_in_bucket_; }
  static std::atomic<bool>& used(Entry& entry) { return entry.RcuCacheLink<Entry>::recently_used_; }

  size_t bucket_of(const Key& key) const { return Traits::hash(key) & bucket_mask_; }
  Mutex& lock_of(size_t bucket) { return locks_[bucket % kLocks].mutex; }

  /// Moves the hand over up to `buckets` buckets until `wanted` entries are gone.
  size_t sweep(size_t wanted, size_t buckets) {
    size_t gone = 0;
    for (; gone < wanted && buckets > 0; --buckets) {
      size_t bucket = hand_.fetch_add(1, std::memory_order_relaxed) & bucket_mask_;
      gone += unlink_if(bucket, wanted - gone,
                        [](Entry& entry) { return !used(entry).exchange(false, std::memory_order_relaxed); });
    }
    return gone;
  }

  /// Unlinks up to `limit` entries of a bucket that `is_meant` and that agree to go.
  template <typename F>
  size_t unlink_if(size_t bucket, size_t limit, F&& is_meant, Ask ask = Ask::kYes) {
    MutexLock lock(lock_of(bucket));
    size_t gone = 0;
    std::atomic<Entry*>* link = &buckets_[bucket];
    // relaxed: links change under the lock that we hold
    for (Entry* entry = link->load(std::memory_order_relaxed); entry != nullptr && gone < limit;) {
      Entry* after = next(*entry).load(std::memory_order_relaxed);
      if (is_meant(*entry) && (ask == Ask::kNo || entry->try_evict())) {
        // release: passes on the contents of `after` to those who find it by this link; pairs with the acquire in
        // find(). The entry keeps its own link, for readers that are on it.
        link->store(after, std::memory_order_release);
        size_.fetch_sub(1, std::memory_order_relaxed);
        rcu_delete(entry);
        ++gone;
      } else {
        link = &next(*entry);
      }
      entry = after;
    }
    return gone;
  }

  const size_t entries_max_;
  const size_t bucket_mask_;
  const std::unique_ptr<std::atomic<Entry*>[]> buckets_;
  alignas(64) std::atomic<size_t> size_ = 0;  // relaxed: a number; each change is made under a bucket's lock
  std::atomic<size_t> hand_ = 0;              // relaxed: which bucket the hand visits next
  Lock locks_[kLocks];
};

}  // namespace dmap

#endif  // DMAP_BASE_RCU_CACHE_H_
