// SPDX-License-Identifier: Apache-2.0
#include "base/crc32c.h"

#include <isa-l/crc.h>

namespace dmap {

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t seed) {
  // ISA-L's function neither reads as const nor inverts: both are done here, so that calls chain.
  auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));  // NOLINT
  return ~crc32_iscsi(data, static_cast<int>(bytes.size()), ~seed);
}

}  // namespace dmap
