// SPDX-License-Identifier: Apache-2.0
//
// The command dmap: makes volumes, fills them, shows what is in them, and proves them.
#include <fmt/format.h>

#include <cstdio>

#include "arguments.h"
#include "report.h"

int main(int argc, char** argv) {
  int exit_code = dmap::cli::run(argc, argv);
  // What was printed may be lost only now, on a full disk for one.
  if (std::fflush(stdout) != 0) {
    fmt::print(stderr, "dmap: standard output: io (could not be written)\n");
    return exit_code == 0 ? dmap::cli::kExitFailed : exit_code;
  }
  return exit_code;
}
