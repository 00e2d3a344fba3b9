// SPDX-License-Identifier: Apache-2.0
//
// Locks that clang's analysis can follow, and Guarded<T>: data that can only be reached through its lock.
#ifndef DMAP_BASE_GUARDED_H_
#define DMAP_BASE_GUARDED_H_

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/thread_annotations.h"

namespace dmap {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }
  bool try_lock() TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  /// Tells the analysis what it cannot see: the caller holds it.
  void assert_held() const ASSERT_CAPABILITY(this) {}

 private:
  std::mutex mutex_;
};

/// Writers go first: std::shared_mutex lets a stream of readers keep them out for ever. So a reader must not take it
/// again.
class CAPABILITY("mutex") SharedMutex {
 public:
  SharedMutex() {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&lock_, &attributes);
    pthread_rwlockattr_destroy(&attributes);
  }
  ~SharedMutex() { pthread_rwlock_destroy(&lock_); }
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  void lock() ACQUIRE() { pthread_rwlock_wrlock(&lock_); }
  void unlock() RELEASE() { pthread_rwlock_unlock(&lock_); }
  void lock_shared() ACQUIRE_SHARED() { pthread_rwlock_rdlock(&lock_); }
  void unlock_shared() RELEASE_SHARED() { pthread_rwlock_unlock(&lock_); }
  /// Tells the analysis what it cannot see: the caller holds it for writing.
  void assert_held() const ASSERT_CAPABILITY(this) {}

 private:
  pthread_rwlock_t lock_;
};

/// Holds a Mutex for a scope.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  /// For CondVar::wait only: gives up and takes back the lock that this scope holds.
  Mutex& mutex() { return mutex_; }

 private:
  Mutex& mutex_;
};

/// Holds a SharedMutex for writing for a scope.
class SCOPED_CAPABILITY WriterLock {
 public:
  explicit WriterLock(SharedMutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~WriterLock() RELEASE() { mutex_.unlock(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  SharedMutex& mutex_;
};

/// Holds a SharedMutex for reading for a scope.
class SCOPED_CAPABILITY ReaderLock {
 public:
  explicit ReaderLock(SharedMutex& mutex) ACQUIRE_SHARED(mutex) : mutex_(mutex) { mutex_.lock_shared(); }
  ~ReaderLock() RELEASE_GENERIC() { mutex_.unlock_shared(); }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

 private:
  SharedMutex& mutex_;
};

/// A condition that threads wait for under a MutexLock.
class CondVar {
 public:
  void wait(MutexLock& lock) NO_THREAD_SAFETY_ANALYSIS { condition_.wait(lock.mutex()); }
  template <typename Clock, typename Duration>
  void wait_until(MutexLock& lock, std::chrono::time_point<Clock, Duration> deadline) NO_THREAD_SAFETY_ANALYSIS {
    condition_.wait_until(lock.mutex(), deadline);
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable_any condition_;
};

/// Data behind its lock: `free_map.with([](FreeMap& map) { ... })`.
template <typename T>
class Guarded {
 public:
  template <typename... Args>
  explicit Guarded(Args&&... args) : data_(std::forward<Args>(args)...) {}

  template <typename F>
  decltype(auto) with(F&& use) {
    MutexLock lock(mutex_);
    return std::forward<F>(use)(data_);
  }
  template <typename F>
  decltype(auto) with(F&& use) const {
    MutexLock lock(mutex_);
    return std::forward<F>(use)(data_);
  }

 private:
  mutable Mutex mutex_;
  T data_ GUARDED_BY(mutex_);
};

}  // namespace dmap

#endif  // DMAP_BASE_GUARDED_H_
