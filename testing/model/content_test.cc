// SPDX-License-Identifier: Apache-2.0
//
// The reference model's sparse content against a plain string.
#include "testing/model/content.h"

#include <gtest/gtest.h>

#include "testing/support/random.h"

namespace dmap::testing {
namespace {

TEST(Content, DoesWhatAStringDoes) {
  uint64_t seed = from_environment("DMAP_SEED", 3);
  Random random(seed);
  Content content;
  std::string plain;
  for (int i = 0; i < 20'000; ++i) {
    uint64_t offset = random.below(30'000);
    uint64_t length = random.between(1, 9000);
    switch (random.below(5)) {
      case 0: {
        std::string text = random.bytes(length);
        content.write(offset, text);
        if (plain.size() < offset + length) plain.resize(offset + length);
        plain.replace(offset, length, text);
        break;
      }
      case 1: content.truncate(offset), plain.resize(offset); break;
      case 2:
        content.punch(offset, length);
        for (uint64_t at = offset; at < std::min<uint64_t>(plain.size(), offset + length); ++at) plain[at] = '\0';
        break;
      default: break;
    }
    ASSERT_EQ(content.size(), plain.size()) << "seed " << seed;
    ASSERT_EQ(content.read(offset, length), offset < plain.size() ? plain.substr(offset, length) : "")
        << "seed " << seed;
    size_t data = offset < plain.size() ? plain.find_first_not_of('\0', offset) : std::string::npos;
    ASSERT_EQ(content.first_nonzero(offset), data == std::string::npos ? std::nullopt : std::optional<uint64_t>(data));
  }
}

}  // namespace
}  // namespace dmap::testing
