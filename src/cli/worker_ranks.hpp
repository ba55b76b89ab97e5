// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Jobs in the processes of many ranks. The first rank hands them out and hears what they came to;
/// each rank, the first too, has processes of its own that do them.

#include <chrono>
#include <cstddef>
#include <deque>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include <memsim/core/error.hpp>

#include "jobs.hpp"
#include "rank_group.hpp"
#include "worker_processes.hpp"

namespace memsim::cli {

/// What the first rank gives jobs to.
class worker_ranks final : public workers {
 public:
  /// \param own       processes of the first rank itself
  /// \param briefing  what the others have to know
  worker_ranks(rank_group& all, worker_processes& own, const std::string& briefing);

  [[nodiscard]] bool has_room() const override { return !waiting_.empty() || own_.has_room(); }
  [[nodiscard]] bool at_work() const override { return given_ != 0 || own_.at_work(); }
  [[nodiscard]] std::expected<void, error> start(std::size_t job) override;
  [[nodiscard]] std::expected<std::vector<ended_job>, error> wait(
      std::chrono::milliseconds longest) override;

 private:
  std::expected<void, error> read(const message& m, std::vector<ended_job>& ended);

  rank_group& all_;
  worker_processes& own_;
  std::deque<unsigned> waiting_;  // ranks, once for each job that they can do
  std::size_t given_ = 0;         // jobs that other ranks are at
};

/// Makes of a briefing what does jobs.
using job_preparation =
    std::function<std::expected<job_function, error>(const std::string& briefing)>;

/// What a rank does that is not the first: jobs, until it is dismissed.
/// \param at_once  in so many processes
/// \return the exit status that all ranks have
[[nodiscard]] int serve(rank_group& all, unsigned at_once, const job_preparation& prepare);

/// Lets the other ranks leave. Returns when they are done with whatever they were at.
void dismiss(rank_group& all, int status);

}  // namespace memsim::cli
