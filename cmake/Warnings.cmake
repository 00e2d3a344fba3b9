# SPDX-License-Identifier: Apache-2.0
# Warnings are errors, for both compilers; the library's own code and its tests take them, users do not.
add_library(dmap_warnings INTERFACE)
target_compile_options(dmap_warnings INTERFACE -Wall -Wextra -Werror)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(dmap_warnings INTERFACE -Wthread-safety)
endif()
