// SPDX-License-Identifier: Apache-2.0
//
// The driver's operations on open files, and on what it holds of them.
#include <algorithm>

#include "base/bits.h"
#include "testing/model/driver.h"
#include "testing/support/stamp.h"

namespace dmap::testing {
namespace {

constexpr size_t kHoldsMax = 8;

std::string number_text(InodeNumber inode) { return "#" + std::to_string(static_cast<uint64_t>(inode)); }

}  // namespace

uint64_t Driver::any_offset(uint64_t size) {
  uint64_t kind = random_.below(1000);
  uint64_t offset = kind < 500   ? random_.between(0, std::min<uint64_t>(size, 16 << 20))
                    : kind < 750 ? size
                    : kind < 950 ? random_.below(200'000)
                    : kind < 990 ? size + random_.below(300'000)
                    : kind < 997 ? random_.below(uint64_t{1} << 40)
                                 : File::kSizeMax.value - random_.below(5000);
  return random_.chance(30) ? round_down(offset, 4096) : offset;
}

uint64_t Driver::any_length() {
  uint64_t kind = random_.below(1000);
  if (kind < 450) return random_.between(1, 700);
  if (kind < 700) return random_.between(1, 8) * 4096;
  if (kind < 950) return random_.between(1, 20'000);
  if (kind < 994) return random_.between(1, std::min<uint64_t>(options_.write_max, 200'000));
  return random_.between(1, options_.write_max);
}

void Driver::apply_write(InodeNumber inode, uint64_t offset, const std::string& text) {
  model_.node(inode).content.write(offset, text);
  model_.node(inode).modified.reset();
  for (Hold& hold : holds_) {
    if (hold.inode() == inode) hold.changed(offset, offset + text.size());
  }
}

void Driver::verify_range(const File& file, InodeNumber inode, uint64_t offset, uint64_t length) {
  const Content& content = model_.node(inode).content;
  std::string wanted = content.read(offset, length);
  std::string real(length, '?');
  auto got = file.read_at(std::as_writable_bytes(std::span(real)), offset);
  if (!got) return differs("read_at: " + got.error().message());
  real.resize(std::min<uint64_t>(got->value, length));
  if (real == wanted) return;
  auto [a, b] = std::mismatch(real.begin(), real.end(), wanted.begin(), wanted.end());
  auto hex = [](std::string::iterator it, std::string::iterator end) {
    return it == end ? std::string("the end") : std::to_string(static_cast<unsigned char>(*it));
  };
  differs("content of " + number_text(inode) + " (size " + std::to_string(content.size()) + ") at " +
          std::to_string(offset + static_cast<uint64_t>(a - real.begin())) + " is " + hex(a, real.end()) +
          ", must be " + hex(b, wanted.end()));
}

void Driver::write() {
  Handle* handle = any_handle();
  if (handle == nullptr) return;
  uint64_t size = model_.node(handle->inode).content.size();
  uint64_t offset = any_offset(size);
  std::string text = random_.bytes(random_.below(200) == 0 ? 0 : any_length());
  if (random_.chance(2)) text.assign(text.size(), '\0');
  say("write " + number_text(handle->inode) + " " + range_text(offset, text.size()));
  auto real = handle->file.write_at(bytes_of(text), offset);
  Outcome<void> wanted;
  if (handle->access == Access::kReadOnly) {
    wanted = std::unexpected(text.empty() ? Codes::any() : Codes(Code::kAccess) | Code::kFileTooBig);
    if (text.empty()) return;
  } else if (offset > File::kSizeMax.value - text.size()) {
    wanted = std::unexpected(Code::kFileTooBig);
  }
  if (ran_out(real, text.size())) return verify_range(handle->file, handle->inode, offset, text.size() + 1);
  if (judge(real, wanted)) apply_write(handle->inode, offset, text);
}

void Driver::append() {
  Handle* handle = any_handle();
  if (handle == nullptr) return;
  uint64_t size = model_.node(handle->inode).content.size();
  std::string text = random_.bytes(any_length());
  say("append " + number_text(handle->inode) + " " + range_text(size, text.size()));
  auto real = handle->file.append(bytes_of(text));
  Outcome<void> wanted;
  Codes wrong;
  if (handle->access == Access::kReadOnly) wrong |= Code::kAccess;
  if (size > File::kSizeMax.value - text.size()) wrong |= Code::kFileTooBig;
  if (!wrong.empty()) wanted = std::unexpected(wrong);
  if (ran_out(real, text.size())) {
    if (handle->file.size().value != size) differs("an append that failed extended the file");
    return;
  }
  if (!judge(real, wanted)) return;
  if (real->value != size) return differs("appended at " + std::to_string(real->value));
  apply_write(handle->inode, size, text);
}

void Driver::read() {
  Handle* handle = any_handle();
  if (handle == nullptr) return;
  uint64_t offset = any_offset(model_.node(handle->inode).content.size());
  uint64_t length = any_length();
  say("read " + number_text(handle->inode) + " " + range_text(offset, length));
  if (offset <= File::kSizeMax.value - length) verify_range(handle->file, handle->inode, offset, length);
  auto stat = handle->file.stat();
  if (!stat) return differs("stat: " + stat.error().message());
  compare_stat(*stat, handle->inode);
}

void Driver::cut(InodeNumber inode, uint64_t size) {
  uint64_t old = model_.node(inode).content.size();
  model_.node(inode).content.truncate(size);
  model_.node(inode).modified.reset();
  for (Hold& hold : holds_) {
    if (hold.inode() != inode || size >= old) continue;
    // What is left of a tiny file may move into the tree.
    if (size > 0 && size <= File::kInlineMax.value) hold.changed(0, kFrameSize.value);
    hold.removed(size, ~uint64_t{0});
  }
}

void Driver::truncate() {
  Handle* handle = any_handle();
  if (handle == nullptr) return;
  uint64_t old = model_.node(handle->inode).content.size();
  uint64_t size = random_.chance(20)   ? 0
                  : random_.chance(60) ? random_.between(0, old)
                                       : any_offset(old) + random_.below(2) * random_.below(9000);
  say("truncate " + number_text(handle->inode) + " to " + std::to_string(size));
  auto real = handle->file.truncate(Bytes{size});
  Codes wrong;
  if (handle->access == Access::kReadOnly) wrong |= Code::kAccess;
  if (size > File::kSizeMax.value) wrong |= Code::kFileTooBig | Code::kInvalid;
  if (size > old && ran_out(real, 0)) return;
  if (judge(real, wrong.empty() ? Outcome<void>() : std::unexpected(wrong))) cut(handle->inode, size);
}

void Driver::allocate() {
  Handle* handle = any_handle();
  if (handle == nullptr) return;
  Content& content = model_.node(handle->inode).content;
  uint64_t offset = any_offset(content.size());
  uint64_t length = random_.below(300) == 0 ? options_.size.value * 2 : any_length();
  KeepSize keep = random_.chance(50) ? KeepSize::kYes : KeepSize::kNo;
  say("allocate " + number_text(handle->inode) + " " + range_text(offset, length));
  auto real = handle->file.allocate(offset, Bytes{length}, keep);
  Codes wrong;
  if (handle->access == Access::kReadOnly) wrong |= Code::kAccess;
  if (offset > File::kSizeMax.value - length) wrong |= Code::kFileTooBig;
  if (ran_out(real, length)) {
    if (handle->file.size().value != content.size()) differs("an allocation that failed extended the file");
    return;
  }
  if (!judge(real, wrong.empty() ? Outcome<void>() : std::unexpected(wrong))) return;
  if (keep == KeepSize::kNo && offset + length > content.size()) content.truncate(offset + length);
  model_.node(handle->inode).modified.reset();
}

void Driver::punch() {
  Handle* handle = any_handle();
  if (handle == nullptr) return;
  uint64_t offset = any_offset(model_.node(handle->inode).content.size());
  uint64_t length = any_length();
  say("punch " + number_text(handle->inode) + " " + range_text(offset, length));
  auto real = handle->file.punch(offset, Bytes{length});
  Outcome<void> wanted;
  if (handle->access == Access::kReadOnly) {
    wanted = std::unexpected(Code::kAccess | Code::kFileTooBig);
  } else if (offset > File::kSizeMax.value - length) {
    // Behind everything: nothing to do, or too far away.
    if (!real && real.error().code() != Code::kFileTooBig) differs(real.error().message());
    return;
  }
  if (!judge(real, wanted)) return;
  model_.node(handle->inode).content.punch(offset, length);
  model_.node(handle->inode).modified.reset();
  for (Hold& hold : holds_) {
    if (hold.inode() == handle->inode) hold.removed(offset, offset + length);
  }
}

/// Holes may be called data, data never holes; the two calls agree with each other.
void Driver::seek() {
  Handle* handle = any_handle();
  if (handle == nullptr) return;
  const Content& content = model_.node(handle->inode).content;
  uint64_t offset = any_offset(content.size());
  say("seek " + number_text(handle->inode) + " from " + std::to_string(offset));
  auto data = handle->file.seek_data(offset);
  auto hole = handle->file.seek_hole(offset);
  if (offset >= content.size()) {
    judge(data, Outcome<void>(std::unexpected(Code::kOutOfRange)));
    judge(hole, Outcome<void>(std::unexpected(Code::kOutOfRange)));
    return;
  }
  if (!hole) return differs("seek_hole: " + hole.error().message());
  if (!data && data.error().code() != Code::kOutOfRange) return differs("seek_data: " + data.error().message());
  uint64_t data_at = data ? data->value : content.size();
  uint64_t hole_at = hole->value;
  std::string where = " (data at " + std::to_string(data_at) + ", hole at " + std::to_string(hole_at) + ")";
  if (data_at < offset || hole_at < offset || hole_at > content.size() || (data && data_at >= content.size())) {
    return differs("seek out of bounds" + where);
  }
  if (data_at > content.first_nonzero(offset).value_or(content.size())) return differs("data called a hole" + where);
  if (content.first_nonzero(hole_at) == hole_at) return differs("a hole at data" + where);
  if ((data_at == offset) == (hole_at == offset)) return differs("both or neither here" + where);
}

void Driver::view() {
  if (holds_.size() >= kHoldsMax) drop_hold();
  Handle* handle = any_handle();
  if (handle == nullptr) return;
  const Content& content = model_.node(handle->inode).content;
  uint64_t offset = any_offset(content.size());
  uint64_t length = std::min<uint64_t>(any_length(), 300'000);
  say("view " + number_text(handle->inode) + " " + range_text(offset, length));
  if (offset > File::kSizeMax.value - length) return;
  Result<View> real = handle->file.view(offset, Bytes{length});
  if (!real) return differs(real.error().message());
  std::string text = content.read(offset, length);
  if (real->size().value != text.size()) return differs("a view of " + std::to_string(real->size().value) + " bytes");
  holds_.emplace_back(std::move(*real), handle->inode, offset, std::move(text));
  if (std::string wrong = holds_.back().difference(); !wrong.empty()) differs("a new view: " + wrong);
}

void Driver::pin() {
  if (holds_.size() >= kHoldsMax) drop_hold();
  Handle* handle = any_handle();
  if (handle == nullptr) return;
  const Content& content = model_.node(handle->inode).content;
  uint64_t offset = any_offset(content.size());
  uint64_t length = std::min<uint64_t>(any_length(), 300'000);
  Access access = random_.chance(50) ? Access::kReadWrite : Access::kReadOnly;
  if (random_.chance(80) && offset < content.size()) length = std::min(length, content.size() - offset);
  say("pin " + number_text(handle->inode) + " " + range_text(offset, length));
  Result<Pin> real = handle->file.pin(offset, Bytes{length}, access);
  Codes wrong;
  if (access == Access::kReadWrite && handle->access == Access::kReadOnly) wrong |= Code::kAccess;
  if (offset > File::kSizeMax.value - length || offset + length > content.size()) {
    wrong |= Code::kOutOfRange | Code::kFileTooBig;
  }
  // Only of what was written it is certain that it has frames; a tiny file has none.
  bool frames = content.size() > File::kInlineMax.value && content.all_written(offset, length);
  if (wrong.empty() && !frames && !real && real.error().code() == Code::kInvalid) return;
  if (wrong.empty() && ran_out(real, length)) return;  // a pin for writing may need frames of its own
  if (!frames && !wrong.empty()) wrong |= Code::kInvalid;
  if (!judge(real, wrong.empty() ? Outcome<void>() : std::unexpected(wrong))) return;
  if (real->size().value != length) return differs("a pin of " + std::to_string(real->size().value) + " bytes");
  Hold hold(std::move(*real), handle->inode, offset, content.read(offset, length), access);
  if (std::string difference = hold.difference(); !difference.empty()) differs("a new pin: " + difference);
  if (content.size() > File::kInlineMax.value) holds_.push_back(std::move(hold));
}

/// Writes through a pin as a device does. Where the frame is still the file's, the file changes; where it is not, no
/// file may.
void Driver::poke() {
  if (holds_.empty()) return;
  Hold& hold = random_.pick(holds_);
  InodeNumber inode = hold.inode();
  auto same = [&](const Hold& other) { return other.inode() == inode; };
  if (hold.size() == 0 || std::count_if(holds_.begin(), holds_.end(), same) != 1) return;
  uint64_t at = random_.below(hold.size());
  say("poke " + number_text(inode) + " at byte " + std::to_string(at) + " of a hold");
  char byte = static_cast<char>(random_.next());
  std::optional<uint64_t> changed = hold.poke(at, byte);
  if (changed) model_.node(inode).content.write(*changed, std::string(1, byte));
}

void Driver::drop_hold() {
  if (holds_.empty()) return;
  auto hold = holds_.begin() + static_cast<std::ptrdiff_t>(random_.below(holds_.size()));
  say("drop a hold of " + number_text(hold->inode()));
  if (std::string difference = hold->difference(); !difference.empty()) return differs("a hold: " + difference);
  holds_.erase(hold);
}

}  // namespace dmap::testing
