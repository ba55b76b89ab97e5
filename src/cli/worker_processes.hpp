// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Jobs in processes of their own: one that crashes takes nothing with it.

#include <cstddef>
#include <expected>
#include <functional>
#include <span>
#include <string>

#include <memsim/core/error.hpp>

namespace memsim::cli {

/// What a job came to. In an error it is the job's own, or says how its process ended.
using job_result = std::expected<std::string, error>;

struct job_functions {
  /// Runs in a child. What it throws is an error of the job.
  std::function<job_result(std::size_t job)> run;
  /// Runs in this process when a job has ended, in the order in which they do. An error ends it
  /// all.
  std::function<std::expected<void, error>(std::size_t job, job_result result)> done;
  /// Runs in this process a few times a second.
  std::function<void()> meanwhile = [] {};
};

/// Runs each job in a child process, so many at one time, in the order given. Children die with
/// this process.
/// \return what `done` returned; errc::io if not one process could be started
[[nodiscard]] std::expected<void, error> run_in_processes(std::span<const std::size_t> jobs,
                                                          unsigned at_once,
                                                          const job_functions& functions);

}  // namespace memsim::cli
