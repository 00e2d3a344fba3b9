// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_TESTING_CRASH_CRASH_DEVICE_H_
#define DMAP_TESTING_CRASH_CRASH_DEVICE_H_

#include <memory>
#include <span>
#include <utility>

#include "device/device.h"
#include "testing/crash/medium.h"

namespace dmap::testing {

/// Memory as a device that writes down what it is told, for a Medium to be cut by. One thread at a time.
class CrashDevice final : public Device {
 public:
  /// `image` is what the device begins with; `trace` must outlive the device, and grows with every call.
  CrashDevice(Image image, Persistence persistence, Trace& trace);

  void store(Bytes at, std::span<const std::byte> from) override { record(Event::Kind::kStore, at, from); }
  void store_word(Bytes at, uint64_t word) override { store(at, std::as_bytes(std::span(&word, 1))); }
  void store_streaming(Bytes at, std::span<const std::byte> from) override {
    record(Event::Kind::kStreaming, at, from);
  }
  void zero_streaming(Bytes at, Bytes length) override;
  void flush(Bytes at, Bytes length) override;
  void fence() override { trace_.push_back({.kind = Event::Kind::kFence}); }
  Result<void> barrier() override;
  Result<void> submit(std::span<const Transfer> transfers) override;

 private:
  CrashDevice(std::unique_ptr<Image> image, Persistence persistence, Trace& trace);
  void record(Event::Kind kind, Bytes at, std::span<const std::byte> from);

  std::unique_ptr<Image> image_;
  Trace& trace_;
};

/// A device that hands everything on to another. To be derived from, by those that do one thing wrong.
class PassingDevice : public Device {
 public:
  explicit PassingDevice(std::unique_ptr<Device> inner)
      : Device(inner->name(), inner->traits(), inner->data()), inner_(std::move(inner)) {}

  void store(Bytes at, std::span<const std::byte> from) override { inner_->store(at, from); }
  void store_word(Bytes at, uint64_t word) override { inner_->store_word(at, word); }
  void store_streaming(Bytes at, std::span<const std::byte> from) override { inner_->store_streaming(at, from); }
  void zero_streaming(Bytes at, Bytes length) override { inner_->zero_streaming(at, length); }
  void flush(Bytes at, Bytes length) override { inner_->flush(at, length); }
  void fence() override { inner_->fence(); }
  Result<void> barrier() override { return inner_->barrier(); }
  Result<void> submit(std::span<const Transfer> transfers) override { return inner_->submit(transfers); }

 private:
  std::unique_ptr<Device> inner_;
};

}  // namespace dmap::testing

#endif  // DMAP_TESTING_CRASH_CRASH_DEVICE_H_
