// SPDX-License-Identifier: Apache-2.0
// The ranks of MPI's world.
#include <atomic>
#include <csignal>
#include <exception>

#include <mpi.h>
#include <sys/time.h>
#include <unistd.h>

#include "rank_group.hpp"

namespace memsim::cli {
namespace {

// A signal handler sees nothing else.
std::atomic<pid_t> launcher{-1};  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
constexpr suseconds_t between_looks_us = 100'000;

void look_for_launcher(int /*signal*/) {
  if (getppid() != launcher) _exit(128 + SIGKILL);
}

/// Ends this process if the one that started it dies, so that the journal is free again. Open MPI
/// sees to that in calls that it happens to get: ranks that make few outlive their mpirun by
/// seconds. A timer reaches them wherever they are.
void die_with_launcher() {
  launcher = getppid();
  struct sigaction action{};
  action.sa_handler = look_for_launcher;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval often{.it_interval = {.tv_sec = 0, .tv_usec = between_looks_us},
                        .it_value = {.tv_sec = 0, .tv_usec = between_looks_us}};
  setitimer(ITIMER_REAL, &often, nullptr);
}

class mpi_world final : public rank_group {
 public:
  mpi_world() {
    die_with_launcher();
    MPI_Init(nullptr, nullptr);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks_);
  }

  mpi_world(const mpi_world&) = delete;
  mpi_world& operator=(const mpi_world&) = delete;
  ~mpi_world() override {
    // Who leaves by an exception cannot wait for the others. It fails, and mpirun ends them.
    if (std::uncaught_exceptions() == 0) MPI_Finalize();
  }

  [[nodiscard]] unsigned rank() const override { return static_cast<unsigned>(rank_); }
  [[nodiscard]] unsigned ranks() const override { return static_cast<unsigned>(ranks_); }

  void send(unsigned to, message_kind kind, const std::string& text) override {
    MPI_Send(text.data(), static_cast<int>(text.size()), MPI_CHAR, static_cast<int>(to),
             static_cast<int>(kind), MPI_COMM_WORLD);
  }

  [[nodiscard]] std::optional<message> take() override {
    int arrived = 0;
    MPI_Status status{};
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &arrived, &status);
    if (arrived == 0) return std::nullopt;
    int size = 0;
    MPI_Get_count(&status, MPI_CHAR, &size);
    message m{.rank = static_cast<unsigned>(status.MPI_SOURCE),
              .kind = static_cast<message_kind>(status.MPI_TAG),
              .text = std::string(static_cast<std::size_t>(size), '\0')};
    MPI_Recv(m.text.data(), size, MPI_CHAR, status.MPI_SOURCE, status.MPI_TAG, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    return m;
  }

 private:
  int rank_ = 0;
  int ranks_ = 1;
};

}  // namespace

std::expected<std::unique_ptr<rank_group>, error> join_ranks(const mpi_launch& launch) {
  auto world = std::make_unique<mpi_world>();
  if (world->ranks() != launch.ranks) {
    return fail(errc::inconsistent,
                "mpirun has started {} of this, but MPI knows of {}: is this the mpirun of the MPI "
                "that memsim was built with?",
                launch.ranks, world->ranks());
  }
  return world;
}

}  // namespace memsim::cli
