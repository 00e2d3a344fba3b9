// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <array>

namespace dmap {

std::string text_of(Bytes bytes) {
  constexpr std::array kUnits{" bytes", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
  size_t unit = 0;
  while (unit + 1 < kUnits.size() && bytes.value >> (10 * (unit + 1)) != 0) ++unit;
  uint64_t whole = bytes.value >> (10 * unit);
  uint64_t rest = unit == 0 ? 0 : (bytes.value >> (10 * (unit - 1))) & 1023;
  std::string text = std::to_string(whole);
  if (rest * 10 / 1024 != 0) text.append(".").append(std::to_string(rest * 10 / 1024));
  return text + kUnits.at(unit);
}

}  // namespace dmap
