// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace dmap {

void check_failed(const char* file, int line, const char* statement) {
  std::fprintf(stderr, "dmap: %s:%d: CHECK(%s) failed: this is a defect in dmap, please report it\n", file, line,
               statement);
  std::abort();
}

}  // namespace dmap
