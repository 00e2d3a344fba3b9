// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_DEVICE_OWNED_FD_H_
#define DMAP_DEVICE_OWNED_FD_H_

#include <unistd.h>

#include <utility>

namespace dmap {

/// A file descriptor that is closed with its holder.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int number) : number_(number) {}
  OwnedFd(OwnedFd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~OwnedFd() {
    if (number_ >= 0) ::close(number_);
  }

  /// Negative if there is none.
  [[nodiscard]] int get() const { return number_; }
  [[nodiscard]] explicit operator bool() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

}  // namespace dmap

#endif  // DMAP_DEVICE_OWNED_FD_H_
