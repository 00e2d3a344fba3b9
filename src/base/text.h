// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_BASE_TEXT_H_
#define DMAP_BASE_TEXT_H_

#include <string>

#include "dmap/types.h"

namespace dmap {

/// A size as people write it, with at most one decimal: "4 KiB", "1.5 GiB", "17 bytes".
std::string text_of(Bytes bytes);

}  // namespace dmap

#endif  // DMAP_BASE_TEXT_H_
