// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_VOLUME_CHECK_H_
#define DMAP_VOLUME_CHECK_H_

#include "dmap/check.h"
#include "volume/core.h"

namespace dmap {

/// check_volume() of a volume that is open already: proves what the volume is now, and changes nothing. Nothing else
/// may use it meanwhile, and its background work is off or it is open for reading.
CheckReport check_core(VolumeCore& core, const CheckOptions& options = {});

}  // namespace dmap

#endif  // DMAP_VOLUME_CHECK_H_
