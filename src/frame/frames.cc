// SPDX-License-Identifier: Apache-2.0
#include "dmap/frames.h"

#include "base/check.h"
#include "frame/frame_table.h"
#include "frame/words.h"

namespace dmap {

Result<Frames::Range> Frames::attach(FrameCount count, std::string_view label) {
  Owner owner = DMAP_TRY(table_->register_owner(label));
  DeviceNumber device = DMAP_TRY(table_->add_foreign_device(count));
  return Range(*table_, {make_pfn(device, 0), count}, owner);
}

std::optional<PageInfo> Frames::page(Pfn pfn) const {
  RcuReadSection reading;
  const Page* page = table_->pfn_to_page(pfn);
  if (page == nullptr) return std::nullopt;
  // acquire: pairs with update().
  Word word = page->word.load(std::memory_order_acquire);
  if (word.count() == 0) return std::nullopt;
  return PageInfo{.first = page->pfn,
                  .frames = FrameCount{word.has(Word::kLarge) ? kLargeFrames : 1},
                  .owner = word.owner(),
                  .holds = word.count()};
}

Result<Exposure> Frames::Range::expose(uint64_t index, FrameCount count, Grain grain) {
  bool inside = table_ != nullptr && index < frames_.count.value && count.value <= frames_.count.value - index;
  if (!inside) return fail(Code::kInvalid, "expose", in_words(Extent{pfn(index), count}), "not in the attached range");
  return table_->expose({pfn(index), count}, owner_, grain);
}

Result<void> Frames::Range::detach() {
  CHECK(table_ != nullptr);
  DMAP_TRY(table_->remove_device(device_of(frames_.first)));
  table_ = nullptr;
  return {};
}

}  // namespace dmap
