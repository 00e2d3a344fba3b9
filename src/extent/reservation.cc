// SPDX-License-Identifier: Apache-2.0
#include "extent/reservation.h"

#include "extent/space_map.h"

namespace dmap {

void ExtentList::append(Extent extent) {
  if (many_.empty()) {
    if (few_count_ > 0 && few_[few_count_ - 1].end() == extent.first) {
      few_[few_count_ - 1].count += extent.count;
      return;
    }
    if (few_count_ < kFew) {
      few_[few_count_++] = extent;
      return;
    }
    many_.assign(few_.begin(), few_.end());
  }
  if (many_.back().end() == extent.first) {
    many_.back().count += extent.count;
  } else {
    many_.push_back(extent);
  }
}

Reservation::~Reservation() {
  if (map_ != nullptr) map_->cancel(*this);
}

}  // namespace dmap
