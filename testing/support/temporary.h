// SPDX-License-Identifier: Apache-2.0
//
// A path nobody else has, whose file goes when the test does.
#ifndef DMAP_TESTING_SUPPORT_TEMPORARY_H_
#define DMAP_TESTING_SUPPORT_TEMPORARY_H_

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <system_error>

namespace dmap::testing {

inline constexpr const char* kMemoryFolder = "/dev/shm";
inline constexpr const char* kDiskFolder = "/tmp";

class TemporaryPath {
 public:
  explicit TemporaryPath(const std::string& folder) {
    static std::atomic<int> count = 0;
    path_ = folder + "/dmap-test-" + std::to_string(getpid()) + "-" + std::to_string(++count);
  }
  ~TemporaryPath() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryPath(const TemporaryPath&) = delete;
  TemporaryPath& operator=(const TemporaryPath&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace dmap::testing

#endif  // DMAP_TESTING_SUPPORT_TEMPORARY_H_
