// SPDX-License-Identifier: Apache-2.0
//
// Sizes as people write them: 4K, 64MiB, 1GB, 4096.
#ifndef DMAP_CLI_SIZES_H_
#define DMAP_CLI_SIZES_H_

#include <string>
#include <string_view>

#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap::cli {

/// K, M, G, T, P and KiB, MiB, ... count in steps of 1024; KB, MB, ... in steps of 1000; a bare number or B is bytes.
/// Case does not matter. Errors: invalid (not such a number, or 2^63 bytes and more).
[[nodiscard]] Result<Bytes> parse_size(std::string_view text);

/// For people: `512 B`, `64.0 MiB`, `1.5 GiB`.
[[nodiscard]] std::string show_size(Bytes size);

}  // namespace dmap::cli

#endif  // DMAP_CLI_SIZES_H_
