// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_BASE_CRC32C_H_
#define DMAP_BASE_CRC32C_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace dmap {

/// CRC-32C (Castagnoli) of `bytes`, continuing from `seed`; crc32c("123456789") is 0xe3069283.
/// Chaining holds: crc32c(b, crc32c(a)) is the checksum of a followed by b.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t seed = 0);

}  // namespace dmap

#endif  // DMAP_BASE_CRC32C_H_
