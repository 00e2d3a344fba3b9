// SPDX-License-Identifier: Apache-2.0
//
// What the compiler checks at run time: DMAP_TSAN (ThreadSanitizer), DMAP_ASAN (AddressSanitizer), DMAP_MSAN
// (MemorySanitizer) are defined where they are on.
#ifndef DMAP_BASE_SANITIZERS_H_
#define DMAP_BASE_SANITIZERS_H_

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DMAP_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define DMAP_ASAN 1
#endif
#if __has_feature(memory_sanitizer)
#define DMAP_MSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(DMAP_TSAN)
#define DMAP_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(DMAP_ASAN)
#define DMAP_ASAN 1
#endif

#endif  // DMAP_BASE_SANITIZERS_H_
