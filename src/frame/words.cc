// SPDX-License-Identifier: Apache-2.0
#include "frame/words.h"

#include <array>

namespace dmap {

std::string in_words(Bytes size) {
  constexpr std::array kUnits = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
  size_t unit = 0;
  uint64_t value = size.value;
  while (unit + 1 < kUnits.size() && value != 0 && value % 1024 == 0) value /= 1024, ++unit;
  return std::to_string(value) + kUnits[unit];
}

std::string in_words(Pfn pfn) {
  return "frame " + std::to_string(static_cast<unsigned>(device_of(pfn))) + ":" + std::to_string(index_of(pfn));
}

std::string in_words(Extent extent) {
  uint64_t first = index_of(extent.first);
  return "frames " + std::to_string(static_cast<unsigned>(device_of(extent.first))) + ":[" + std::to_string(first) +
         ", " + std::to_string(first + extent.count.value) + ")";
}

}  // namespace dmap
