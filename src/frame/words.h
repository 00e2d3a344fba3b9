// SPDX-License-Identifier: Apache-2.0
//
// Frames and extents, as error messages show them.
#ifndef DMAP_FRAME_WORDS_H_
#define DMAP_FRAME_WORDS_H_

#include <string>

#include "dmap/types.h"

namespace dmap {

/// "frame 2:512": device, index.
std::string in_words(Pfn pfn);
/// "frames 2:[512, 1024)".
std::string in_words(Extent extent);

}  // namespace dmap

#endif  // DMAP_FRAME_WORDS_H_
