// SPDX-License-Identifier: Apache-2.0
#include "dmap/result.h"

#include <cerrno>
#include <cstring>

namespace dmap {
namespace {

struct CodeRow {
  std::string_view name;
  int posix;
};

constexpr CodeRow row_of(Code code) {
  switch (code) {
    case Code::kNotFound: return {"not_found", ENOENT};
    case Code::kExists: return {"exists", EEXIST};
    case Code::kNotDirectory: return {"not_a_directory", ENOTDIR};
    case Code::kIsDirectory: return {"is_a_directory", EISDIR};
    case Code::kNotEmpty: return {"not_empty", ENOTEMPTY};
    case Code::kInvalid: return {"invalid", EINVAL};
    case Code::kNameTooLong: return {"name_too_long", ENAMETOOLONG};
    case Code::kTooManyLinks: return {"too_many_links", EMLINK};
    case Code::kSymlinkLoop: return {"symlink_loop", ELOOP};
    case Code::kFileTooBig: return {"file_too_big", EFBIG};
    case Code::kNoSpace: return {"no_space", ENOSPC};
    case Code::kReadOnly: return {"read_only", EROFS};
    case Code::kAccess: return {"access", EACCES};
    case Code::kBusy: return {"busy", EBUSY};
    case Code::kNoData: return {"no_data", ENODATA};
    case Code::kOutOfRange: return {"out_of_range", ENXIO};
    case Code::kBufferTooSmall: return {"buffer_too_small", ERANGE};
    case Code::kTooBig: return {"too_big", E2BIG};
    case Code::kNotSupported: return {"not_supported", EOPNOTSUPP};
    case Code::kIo: return {"io", EIO};
    case Code::kCorrupt: return {"corrupt", EUCLEAN};
    case Code::kNoMemory: return {"no_memory", ENOMEM};
    case Code::kNoDescriptors: return {"no_descriptors", ENOBUFS};
    case Code::kTooManyViews: return {"too_many_views", ENFILE};
    case Code::kOtherOwner: return {"other_owner", EBUSY};
    case Code::kForeign: return {"foreign", EMEDIUMTYPE};
    case Code::kPermission: return {"permission", EPERM};
  }
  return {"unknown", EIO};
}

Code code_of_errno(int number) {
  switch (number) {
    case ENOENT: return Code::kNotFound;
    case EEXIST: return Code::kExists;
    case ENOTDIR: return Code::kNotDirectory;
    case EISDIR: return Code::kIsDirectory;
    case ENOTEMPTY: return Code::kNotEmpty;
    case EINVAL: return Code::kInvalid;
    case ENAMETOOLONG: return Code::kNameTooLong;
    case EMLINK: return Code::kTooManyLinks;
    case ELOOP: return Code::kSymlinkLoop;
    case EFBIG: return Code::kFileTooBig;
    case ENOSPC:
    case EDQUOT: return Code::kNoSpace;
    case EROFS: return Code::kReadOnly;
    case EACCES: return Code::kAccess;
    case EPERM: return Code::kPermission;
    case EBUSY:
    case EAGAIN: return Code::kBusy;
    case ENODATA: return Code::kNoData;
    case ENXIO: return Code::kOutOfRange;
    case ERANGE: return Code::kBufferTooSmall;
    case E2BIG: return Code::kTooBig;
    case EOPNOTSUPP: return Code::kNotSupported;
    case ENOMEM: return Code::kNoMemory;
    default: return Code::kIo;
  }
}

}  // namespace

std::string_view name_of(Code code) { return row_of(code).name; }

Error::Error(Code code) : code_(code) {}

Error::Error(Code code, std::string_view operation, std::string_view object, std::string_view detail)
    : code_(code), words_(std::make_unique<Words>(std::string(operation), std::string(object), std::string(detail))) {}

Error::Error(const Error& other)
    : code_(other.code_), words_(other.words_ ? std::make_unique<Words>(*other.words_) : nullptr) {}

Error& Error::operator=(const Error& other) {
  if (this != &other) *this = Error(other);
  return *this;
}

Error Error::from_errno(int number, std::string_view operation, std::string_view object, std::string_view detail) {
  std::string words = strerrordesc_np(number) != nullptr ? strerrordesc_np(number) : "unknown error";
  if (!detail.empty()) words.append("; ").append(detail);
  return {code_of_errno(number), operation, object, words};
}

int Error::posix() const { return row_of(code_).posix; }

std::string_view Error::operation() const { return words_ ? std::string_view(words_->operation) : ""; }
std::string_view Error::object() const { return words_ ? std::string_view(words_->object) : ""; }
std::string_view Error::detail() const { return words_ ? std::string_view(words_->detail) : ""; }

std::string Error::message() const {
  std::string text;
  text.append(operation());
  if (!object().empty()) text.append(text.empty() ? "" : " ").append(object());
  text.append(text.empty() ? "" : ": ").append(name_of(code_));
  if (!detail().empty()) text.append(" (").append(detail()).append(")");
  return text;
}

Error Error::within(std::string_view operation, std::string_view object) && {
  return {code_, operation, object, detail()};
}

}  // namespace dmap
