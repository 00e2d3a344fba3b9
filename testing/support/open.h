// SPDX-License-Identifier: Apache-2.0
//
// Options the tests use all the time.
#ifndef DMAP_TESTING_SUPPORT_OPEN_H_
#define DMAP_TESTING_SUPPORT_OPEN_H_

#include "dmap/options.h"

namespace dmap::testing {

/// For reading and writing.
inline FileOptions writable(Create create = Create::kNever) {
  FileOptions options;
  options.access = Access::kReadWrite;
  options.create = create;
  return options;
}

}  // namespace dmap::testing

#endif  // DMAP_TESTING_SUPPORT_OPEN_H_
