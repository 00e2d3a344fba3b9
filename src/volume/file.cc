// SPDX-License-Identifier: Apache-2.0
//
// The public face of an open file.
#include "dmap/file.h"

#include <utility>

#include "volume/core.h"

namespace dmap {

File::File(VolumeCore* core, Inode* inode, Access access) : core_(core), inode_(inode), access_(access) {}

File::File(File&& other) noexcept
    : core_(other.core_), inode_(std::exchange(other.inode_, nullptr)), access_(other.access_) {}

File& File::operator=(File&& other) noexcept {
  std::swap(core_, other.core_);
  std::swap(inode_, other.inode_);
  std::swap(access_, other.access_);
  return *this;
}

File::~File() {
  if (inode_ != nullptr) core_->close_file(inode_);
}

namespace {

Result<void> may_write(Access access) {
  if (access == Access::kReadWrite) return {};
  return fail(Code::kAccess, "write", "file", "it is open for reading only");
}

}  // namespace

InodeNumber File::inode() const { return inode_->number; }

Bytes File::size() const {
  return Bytes{inode_->size.load(std::memory_order_acquire)};  // acquire: what lies below it, as for a read
}

Result<Stat> File::stat() const { return core_->stat(*inode_); }

Result<Bytes> File::read_at(std::span<std::byte> into, Offset offset) const {
  return core_->read(*inode_, into, offset);
}

Result<void> File::write_at(std::span<const std::byte> from, Offset offset) {
  DMAP_TRY(may_write(access_));
  return core_->write(*inode_, from, offset);
}

Result<Offset> File::append(std::span<const std::byte> from) {
  DMAP_TRY(may_write(access_));
  return core_->append(*inode_, from);
}

Result<void> File::truncate(Bytes size) {
  DMAP_TRY(may_write(access_));
  return core_->truncate(*inode_, size);
}

Result<void> File::allocate(Offset offset, Bytes length, KeepSize keep_size) {
  DMAP_TRY(may_write(access_));
  return core_->allocate(*inode_, offset, length, keep_size);
}

Result<void> File::punch(Offset offset, Bytes length) {
  DMAP_TRY(may_write(access_));
  return core_->punch(*inode_, offset, length);
}

Result<Offset> File::seek_data(Offset offset) const { return core_->seek(*inode_, offset, SegmentKind::kWritten); }

Result<Offset> File::seek_hole(Offset offset) const { return core_->seek(*inode_, offset, SegmentKind::kHole); }

Result<View> File::view(Offset offset, Bytes length) const { return core_->view(*inode_, offset, length); }

Result<Pin> File::pin(Offset offset, Bytes length, Access access) const {
  if (access == Access::kReadWrite) DMAP_TRY(may_write(access_));
  return core_->pin(*inode_, offset, length);
}

Result<std::vector<File::Fragment>> File::extents(Offset offset, size_t extents_max) const {
  return core_->fragments(*inode_, offset, extents_max);
}

Result<void> File::sync() { return core_->sync(); }

}  // namespace dmap
