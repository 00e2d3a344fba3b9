// SPDX-License-Identifier: Apache-2.0
//
// CHECK: a statement about our own code that stays on in release builds. What the world does wrong is a Result.
#ifndef DMAP_BASE_CHECK_H_
#define DMAP_BASE_CHECK_H_

namespace dmap {

[[noreturn, gnu::cold]] void check_failed(const char* file, int line, const char* statement);

}  // namespace dmap

#define CHECK(...)                                            \
  do {                                                        \
    if (!(__VA_ARGS__)) [[unlikely]] {                        \
      ::dmap::check_failed(__FILE__, __LINE__, #__VA_ARGS__); \
    }                                                         \
  } while (false)

#endif  // DMAP_BASE_CHECK_H_
