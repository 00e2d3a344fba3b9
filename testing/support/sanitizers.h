// SPDX-License-Identifier: Apache-2.0
//
// How much of a test's work a build does: sanitizers make it 5 to 20 times slower.
#ifndef DMAP_TESTING_SUPPORT_SANITIZERS_H_
#define DMAP_TESTING_SUPPORT_SANITIZERS_H_

#include <cstdint>

namespace dmap::testing {

#if defined(__has_feature)
#define DMAP_HAS_FEATURE(name) __has_feature(name)
#else
#define DMAP_HAS_FEATURE(name) 0
#endif

#if DMAP_HAS_FEATURE(thread_sanitizer) || defined(__SANITIZE_THREAD__)
inline constexpr uint64_t kSlowdown = 20;
#elif DMAP_HAS_FEATURE(address_sanitizer) || defined(__SANITIZE_ADDRESS__)
inline constexpr uint64_t kSlowdown = 5;
#else
inline constexpr uint64_t kSlowdown = 1;
#endif

/// `count` in a plain build, fewer (never none) under a sanitizer.
constexpr uint64_t scaled(uint64_t count) { return (count + kSlowdown - 1) / kSlowdown; }

}  // namespace dmap::testing

#endif  // DMAP_TESTING_SUPPORT_SANITIZERS_H_
