// SPDX-License-Identifier: Apache-2.0
//
// What can go wrong in the world is a value: Result<T> is a T or an Error. Nothing in dmap throws.
#ifndef DMAP_RESULT_H_
#define DMAP_RESULT_H_

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace dmap {

/// The kinds of failure a caller can tell apart. Each has a POSIX number, see Error::posix().
enum class Code : uint8_t {
  kNotFound,        // ENOENT
  kExists,          // EEXIST
  kNotDirectory,    // ENOTDIR
  kIsDirectory,     // EISDIR
  kNotEmpty,        // ENOTEMPTY
  kInvalid,         // EINVAL
  kNameTooLong,     // ENAMETOOLONG
  kTooManyLinks,    // EMLINK
  kSymlinkLoop,     // ELOOP
  kFileTooBig,      // EFBIG
  kNoSpace,         // ENOSPC
  kReadOnly,        // EROFS
  kAccess,          // EACCES: the access asked for was not part of how the file was opened
  kBusy,            // EBUSY: in use; the detail names the holder
  kNoData,          // ENODATA: no such extended attribute
  kOutOfRange,      // ENXIO: SEEK_DATA and SEEK_HOLE past the end
  kBufferTooSmall,  // ERANGE
  kTooBig,          // E2BIG
  kNotSupported,    // EOPNOTSUPP
  kIo,              // EIO
  kCorrupt,         // EUCLEAN: bytes on the device that cannot be true; the detail names what and where
  kNoMemory,        // ENOMEM
  kNoDescriptors,   // ENOBUFS: the descriptor budget is used up
  kTooManyViews,    // ENFILE: the budget of views is used up
  kOtherOwner,      // EBUSY: a frame belongs to another layer
  kForeign,         // EMEDIUMTYPE: not a dmap volume, or one of another version
  kPermission,      // EPERM
};

/// A failure: its kind, the operation, the object it was about, and what to know or do.
/// Reads like `open /models/a.bin: not_found` or `pin /a [0, 64 GiB): no_descriptors (budget 64 MiB, ...)`.
/// Two words wide and cheap to return; only failing allocates.
class [[nodiscard]] Error {
 public:
  explicit Error(Code code);
  /// `operation` is what was asked for ("open", "pin"), `object` what it was asked of (a path, a device),
  /// `detail` what happened in words and what to do about it.
  Error(Code code, std::string_view operation, std::string_view object, std::string_view detail = {});
  Error(Error&&) noexcept = default;
  Error& operator=(Error&&) noexcept = default;
  Error(const Error& other);
  Error& operator=(const Error& other);
  ~Error() = default;

  /// From an errno value of a system call.
  static Error from_errno(int number, std::string_view operation, std::string_view object,
                          std::string_view detail = {});

  [[nodiscard]] Code code() const { return code_; }
  /// The errno value that POSIX would give.
  [[nodiscard]] int posix() const;
  [[nodiscard]] std::string_view operation() const;
  [[nodiscard]] std::string_view object() const;
  [[nodiscard]] std::string_view detail() const;
  /// `operation object: code (detail)`, with the parts that are known.
  [[nodiscard]] std::string message() const;

  /// The same failure, named as the outer operation sees it. Keeps the detail.
  [[nodiscard]] Error within(std::string_view operation, std::string_view object) &&;

 private:
  struct Words {
    std::string operation;
    std::string object;
    std::string detail;
  };
  Code code_;
  std::unique_ptr<Words> words_;
};

/// The code's name as messages show it: `not_found`.
std::string_view name_of(Code code);

template <typename T>
using Result = std::expected<T, Error>;

/// A failure of any Result: `return fail(Code::kNotFound, "open", path);`
template <typename... Words>
[[nodiscard]] std::unexpected<Error> fail(Code code, Words&&... words) {
  return std::unexpected<Error>(std::in_place, code, std::forward<Words>(words)...);
}

namespace detail {
template <typename T>
T take(std::expected<T, Error>&& result) {
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
}  // namespace detail

}  // namespace dmap

/// The value of a Result, or the enclosing function returns its Error.
#define DMAP_TRY(...)                                                              \
  ({                                                                               \
    auto dmap_try_result = (__VA_ARGS__);                                          \
    if (!dmap_try_result) [[unlikely]] {                                           \
      return ::std::unexpected<::dmap::Error>(std::move(dmap_try_result).error()); \
    }                                                                              \
    ::dmap::detail::take(std::move(dmap_try_result));                              \
  })

#endif  // DMAP_RESULT_H_
