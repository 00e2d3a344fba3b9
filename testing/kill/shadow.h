// SPDX-License-Identifier: Apache-2.0
//
// What one thread's names must look like after its steps: the sequential model of the kill test.
#ifndef DMAP_TESTING_KILL_SHADOW_H_
#define DMAP_TESTING_KILL_SHADOW_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "dmap/volume.h"
#include "testing/kill/plan.h"

namespace dmap::testing {

class Shadow {
 public:
  explicit Shadow(unsigned thread) : thread_(thread) {}

  void apply(const Step& step, uint64_t number);

  /// What differs in the volume; empty: nothing. If `torn` is a write or a punch that was cut off, each word of its
  /// range may be the old or the new one, and what is there is taken over.
  std::string difference(Volume& volume, const Step* torn);

  /// Copies share nothing.
  [[nodiscard]] Shadow copy() const;
  [[nodiscard]] uint64_t objects() const;

 private:
  struct Object {
    bool directory = false;
    std::string content;
    std::string previous{};  ///< before the last step that was about this object
    std::string xattr;
  };

  [[nodiscard]] bool has_parent(const std::string& path) const;
  [[nodiscard]] bool has_children(const std::string& path) const;
  [[nodiscard]] Object* file(const std::string& path) const;
  std::string list(Volume& volume, std::map<std::string, Stat>& found) const;
  std::string compare_file(Volume& volume, const std::string& path, const Stat& stat, const Step* torn);

  unsigned thread_;
  std::map<std::string, std::shared_ptr<Object>> names_;
};

}  // namespace dmap::testing

#endif  // DMAP_TESTING_KILL_SHADOW_H_
