// SPDX-License-Identifier: Apache-2.0
// Instead of rank_group_mpi.cpp where MPI is not there to build with.
#include "rank_group.hpp"

namespace memsim::cli {

std::expected<std::unique_ptr<rank_group>, error> join_ranks(const mpi_launch& launch) {
  return fail(
      errc::unsupported,
      "mpirun has started {} of this, but this memsim was built without MPI: each would run "
      "the whole sweep",
      launch.ranks);
}

}  // namespace memsim::cli
