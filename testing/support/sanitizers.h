// SPDX-License-Identifier: Apache-2.0
//
// How much of a test's work a build does: sanitizers make it 5 to 20 times slower.
#ifndef DMAP_TESTING_SUPPORT_SANITIZERS_H_
#define DMAP_TESTING_SUPPORT_SANITIZERS_H_

#include <cstdint>

#include "base/sanitizers.h"

namespace dmap::testing {

#ifdef DMAP_TSAN
inline constexpr uint64_t kSlowdown = 20;
#elif defined(DMAP_ASAN)
inline constexpr uint64_t kSlowdown = 5;
#else
inline constexpr uint64_t kSlowdown = 1;
#endif

/// `count` in a plain build, fewer (never none) under a sanitizer.
constexpr uint64_t scaled(uint64_t count) { return (count + kSlowdown - 1) / kSlowdown; }

}  // namespace dmap::testing

#endif  // DMAP_TESTING_SUPPORT_SANITIZERS_H_
