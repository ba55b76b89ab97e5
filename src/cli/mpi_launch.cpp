// SPDX-License-Identifier: Apache-2.0
#include "mpi_launch.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace memsim::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto longest_speech = 5s;

struct variables {
  const char* rank;
  const char* ranks;
};

constexpr std::array launchers{
    variables{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},  // Open MPI
    variables{"PMI_RANK", "PMI_SIZE"},                          // MPICH and its relatives
    variables{"PMIX_RANK", "SLURM_STEP_NUM_TASKS"},             // srun --mpi=pmix
};

std::optional<unsigned> number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  unsigned number = 0;
  const char* end = text + std::strlen(text);
  const auto read = std::from_chars(text, end, number);
  if (read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return number;
}

}  // namespace

std::optional<mpi_launch> find_mpi_launch() {
  for (const auto& v : launchers) {
    const auto rank = number_in(v.rank);
    const auto ranks = number_in(v.ranks);
    if (rank && ranks && *rank < *ranks) return mpi_launch{.rank = *rank, .ranks = *ranks};
  }
  return std::nullopt;
}

bool speaks_for_all_ranks() { return find_mpi_launch().value_or(mpi_launch{}).rank == 0; }

void let_first_rank_speak() { std::this_thread::sleep_for(longest_speech); }

}  // namespace memsim::cli
