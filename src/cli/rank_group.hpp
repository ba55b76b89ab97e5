// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Processes on one host or on many that mpirun started together, and what they say to each other.

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>

#include <memsim/core/error.hpp>

#include "mpi_launch.hpp"

namespace memsim::cli {

enum class message_kind : std::uint8_t {
  briefing,   ///< from the first rank: what the jobs are about
  request,    ///< to the first rank: for one job
  job,        ///< from the first rank: its number
  result,     ///< to the first rank: the job's number, a blank, what it came to
  failure,    ///< likewise, and why it came to nothing
  refusal,    ///< to the first rank: why jobs cannot be done here
  dismissal,  ///< from the first rank: the exit status
  farewell,   ///< to the first rank: nothing more will come
};

struct message {
  unsigned rank = 0;  ///< whose it is
  message_kind kind{};
  std::string text{};
};

/// Messages between two ranks arrive in the order in which they were sent.
class rank_group {
 public:
  rank_group() = default;
  rank_group(const rank_group&) = delete;
  rank_group& operator=(const rank_group&) = delete;
  /// Once all ranks come to this.
  virtual ~rank_group() = default;

  [[nodiscard]] virtual unsigned rank() const = 0;  ///< of this process
  [[nodiscard]] virtual unsigned ranks() const = 0;
  /// May wait until the other takes it.
  virtual void send(unsigned to, message_kind kind, const std::string& text) = 0;
  /// The next message to this process, if one has arrived.
  [[nodiscard]] virtual std::optional<message> take() = 0;
};

/// Makes this process a member. If mpirun dies, so does this process.
/// \return errc::unsupported in a memsim that was built without MPI; errc::inconsistent if the
/// ranks
///         do not find each other
[[nodiscard]] std::expected<std::unique_ptr<rank_group>, error> join_ranks(
    const mpi_launch& launch);

}  // namespace memsim::cli
