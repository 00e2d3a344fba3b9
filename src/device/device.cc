// SPDX-License-Identifier: Apache-2.0
#include "device/device.h"

namespace dmap {

Result<void> Device::map_at(std::byte* /*where*/, Bytes /*at*/, Bytes /*length*/, DeviceAccess /*access*/) {
  return fail(Code::kNotSupported, "map", name_, "the CPU cannot address this device");
}

}  // namespace dmap
