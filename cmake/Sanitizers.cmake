# SPDX-License-Identifier: Apache-2.0
# DMAP_SANITIZE: empty, or what -fsanitize= takes, for everything that is built here.
set(DMAP_SANITIZE "" CACHE STRING "sanitizers, as -fsanitize= takes them")
if(DMAP_SANITIZE)
  add_compile_options(-fsanitize=${DMAP_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${DMAP_SANITIZE})
endif()
