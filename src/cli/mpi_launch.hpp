// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What mpirun tells the processes that it starts. It is in the environment: nobody has to start
/// MPI to learn that there is no need to.

#include <optional>

namespace memsim::cli {

struct mpi_launch {
  unsigned rank = 0;
  unsigned ranks = 1;
};

/// \return nothing for a process that was not started by an mpirun
[[nodiscard]] std::optional<mpi_launch> find_mpi_launch();

/// Whether this process says what is wrong with a command that all ranks were given alike. Also
/// true of a process that is alone.
[[nodiscard]] bool speaks_for_all_ranks();

/// Lets the first rank say why they all fail. When one fails mpirun ends the others, as a rule
/// before this returns.
void let_first_rank_speak();

}  // namespace memsim::cli
