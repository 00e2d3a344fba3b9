// SPDX-License-Identifier: Apache-2.0
#include "device/memory_device.h"

#include <linux/memfd.h>
#include <sys/mman.h>

#include <cerrno>

#include "base/bits.h"
#include "base/check.h"
#include "base/memory_room.h"
#include "base/text.h"

namespace dmap {
namespace {

constexpr Bytes kLargePage = bytes_of(FrameCount{kLargeFrames});
constexpr auto kOperation = "create memory device";

Result<OwnedFd> make_file(const std::string& label, Bytes size, unsigned flags, Allocation allocation) {
  OwnedFd file(::memfd_create("dmap", MFD_CLOEXEC | flags));
  if (!file) return std::unexpected(Error::from_errno(errno, kOperation, label));
  DMAP_TRY(check_file_size_limit(size, kOperation, label));
  if (::ftruncate(file.get(), static_cast<off_t>(size.value)) != 0) {
    return std::unexpected(Error::from_errno(errno, kOperation, label));
  }
  if (allocation == Allocation::kReal) {
    DMAP_TRY(take_space(file.get(), size, [](uint64_t, uint64_t) { return true; }, kOperation, label));
  }
  return file;
}

Traits traits_of(FrameCount frames, Bytes grain, Bytes page_size) {
  Traits traits;
  traits.frames = traits.frames_max = traits.cpu_mapped = frames;
  traits.load_in_place = true;
  traits.map_grain = grain;
  traits.page_size = page_size;
  traits.dma_target = DmaTarget::kLong;
  traits.medium = "memory (memfd, " + text_of(page_size) + " pages)";
  traits.promise = "memory of this process: nothing survives the process, a reboot or a power cut";
  return traits;
}

struct Parts {
  Traits traits;
  OwnedFd file;
  HostMapping mapping;
};

Result<Parts> make_parts(const std::string& label, FrameCount frames, Bytes grain, unsigned flags,
                         Allocation allocation) {
  Bytes size{round_up(bytes_of(frames).value, grain.value)};
  OwnedFd file = DMAP_TRY(make_file(label, size, flags, allocation));
  HostMapping mapping = DMAP_TRY(HostMapping::create(file.get(), size, grain, DeviceAccess::kReadWrite, label));
  Traits traits = traits_of(frames, grain, mapping.page_size());
  return Parts{std::move(traits), std::move(file), std::move(mapping)};
}

/// From the pool of 2 MiB pages, which the kernel hands out or refuses, and never takes back.
Result<Parts> make_huge(const std::string& label, FrameCount frames, Allocation allocation) {
  auto parts = make_parts(label, frames, kLargePage, MFD_HUGETLB | MFD_HUGE_2MB, allocation);
  if (parts) return parts;
  return fail(Code::kNoMemory, kOperation, label,
              text_of(bytes_of(frames)) + " in 2 MiB pages asked and not to be had: see vm.nr_hugepages");
}

Result<Parts> make_small(const std::string& label, FrameCount frames, Allocation allocation) {
  if (allocation == Allocation::kReal) {
    DMAP_TRY(MemoryRoom().ask(bytes_of(frames), kOperation, label));
  }
  return make_parts(label, frames, kFrameSize, 0, allocation);
}

Result<Parts> make(const std::string& label, FrameCount frames, HugePages huge_pages, Allocation allocation) {
  if (huge_pages == HugePages::kNo) return make_small(label, frames, allocation);
  auto huge = make_huge(label, frames, allocation);
  return huge || huge_pages == HugePages::kRequire ? std::move(huge) : make_small(label, frames, allocation);
}

}  // namespace

Result<std::unique_ptr<MemoryDevice>> MemoryDevice::create(std::string label, FrameCount frames, HugePages huge_pages,
                                                           Allocation allocation) {
  CHECK(frames > FrameCount{0});
  auto [traits, file, mapping] = DMAP_TRY(make(label, frames, huge_pages, allocation));
  return std::unique_ptr<MemoryDevice>(new MemoryDevice(std::move(label), std::move(traits), std::move(file),
                                                        std::move(mapping), DeviceAccess::kReadWrite));
}

}  // namespace dmap
