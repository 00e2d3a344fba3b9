// SPDX-License-Identifier: Apache-2.0
//
// FunctionRef: a callable lent for the length of one call. Unlike std::function it never allocates, so that paths that
// must not (drop, retire) can take one.
#ifndef DMAP_BASE_FUNCTION_REF_H_
#define DMAP_BASE_FUNCTION_REF_H_

#include <memory>
#include <type_traits>
#include <utility>

namespace dmap {

template <typename Signature>
class FunctionRef;

template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> && std::is_invocable_r_v<R, F&, Args...>)
  FunctionRef(F&& f)  // NOLINT(google-explicit-constructor): a lambda is passed where one is asked for
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}

  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

}  // namespace dmap

#endif  // DMAP_BASE_FUNCTION_REF_H_
