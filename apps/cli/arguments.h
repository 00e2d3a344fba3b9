// SPDX-License-Identifier: Apache-2.0
//
// What the command line may say, and the help that teaches it.
#ifndef DMAP_CLI_ARGUMENTS_H_
#define DMAP_CLI_ARGUMENTS_H_

namespace dmap::cli {

/// Reads the arguments, runs the command that they name, and returns the exit code.
int run(int argc, char** argv);

}  // namespace dmap::cli

#endif  // DMAP_CLI_ARGUMENTS_H_
