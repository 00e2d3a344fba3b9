// SPDX-License-Identifier: Apache-2.0
#include "frame/words.h"

namespace dmap {

std::string in_words(Pfn pfn) {
  return "frame " + std::to_string(static_cast<unsigned>(device_of(pfn))) + ":" + std::to_string(index_of(pfn));
}

std::string in_words(Extent extent) {
  uint64_t first = index_of(extent.first);
  return "frames " + std::to_string(static_cast<unsigned>(device_of(extent.first))) + ":[" + std::to_string(first) +
         ", " + std::to_string(first + extent.count.value) + ")";
}

}  // namespace dmap
