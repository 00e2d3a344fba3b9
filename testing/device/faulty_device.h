// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_TESTING_DEVICE_FAULTY_DEVICE_H_
#define DMAP_TESTING_DEVICE_FAULTY_DEVICE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "device/device.h"

namespace dmap::testing {

/// A device that works as the one it wraps, until the calls that it was told to fail. One thread at a time.
class FaultyDevice final : public Device {
 public:
  static constexpr uint64_t kNever = UINT64_MAX;

  explicit FaultyDevice(std::unique_ptr<Device> inner)
      : Device(inner->name(), inner->traits(), inner->data()), inner_(std::move(inner)) {}

  /// The nth call from now (1: the next) and, as with a real device, all after it fail with kIo, and do nothing else.
  void fail_barrier(uint64_t nth) { barriers_left_ = nth - 1; }
  void fail_submit(uint64_t nth) { submits_left_ = nth - 1; }

  void store(Bytes at, std::span<const std::byte> from) override { inner_->store(at, from); }
  void store_word(Bytes at, uint64_t word) override { inner_->store_word(at, word); }
  void store_streaming(Bytes at, std::span<const std::byte> from) override { inner_->store_streaming(at, from); }
  void zero_streaming(Bytes at, Bytes length) override { inner_->zero_streaming(at, length); }
  void flush(Bytes at, Bytes length) override { inner_->flush(at, length); }
  void fence() override { inner_->fence(); }

  Result<void> barrier() override {
    if (!take_one(barriers_left_)) return fail(Code::kIo, "sync", name(), "injected");
    return inner_->barrier();
  }
  Result<void> submit(std::span<const Transfer> transfers) override {
    if (!take_one(submits_left_)) return fail(Code::kIo, "submit", name(), "injected");
    return inner_->submit(transfers);
  }
  Result<void> map_at(std::byte* where, Bytes at, Bytes length, DeviceAccess access) override {
    return inner_->map_at(where, at, length, access);
  }

 private:
  static bool take_one(uint64_t& left) { return left == kNever || (left > 0 && left-- > 0); }

  std::unique_ptr<Device> inner_;
  uint64_t barriers_left_ = kNever;
  uint64_t submits_left_ = kNever;
};

}  // namespace dmap::testing

#endif  // DMAP_TESTING_DEVICE_FAULTY_DEVICE_H_
