# SPDX-License-Identifier: Apache-2.0
# DMAP_SANITIZE: empty, or what -fsanitize= takes, for everything that is built here. The options they run with are in
# the test presets, so that `ctest --preset asan-ubsan` and scripts/test.sh see the same.
set(DMAP_SANITIZE "" CACHE STRING "sanitizers, as -fsanitize= takes them")
if(DMAP_SANITIZE)
  add_compile_options(-fsanitize=${DMAP_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${DMAP_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    add_compile_options(-fsanitize-ignorelist=${CMAKE_CURRENT_LIST_DIR}/sanitizer-ignore.txt)
  endif()
  add_compile_definitions(_GLIBCXX_ASSERTIONS)  # the standard library checks its callers too
endif()
if(DMAP_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
