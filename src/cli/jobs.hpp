// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Jobs that others do, and who they are given to.

#include <chrono>
#include <cstddef>
#include <expected>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <memsim/core/error.hpp>

namespace memsim::cli {

/// What a job came to. In an error it is the job's own, or says how its process ended.
using job_result = std::expected<std::string, error>;

/// Does a job. What it throws is an error of the job.
using job_function = std::function<job_result(std::size_t job)>;

struct ended_job {
  std::size_t job = 0;
  job_result result{};
};

/// Who jobs are given to, each to the first that has nothing to do: a slow one holds up nobody.
class workers {
 public:
  workers() = default;
  workers(const workers&) = delete;
  workers& operator=(const workers&) = delete;
  /// Those that are still at work are not wanted any more.
  virtual ~workers() = default;

  /// Whether one of them has nothing to do.
  [[nodiscard]] virtual bool has_room() const = 0;
  /// Whether a job was given that has not ended.
  [[nodiscard]] virtual bool at_work() const = 0;
  /// Gives a job to one that has nothing to do.
  /// \return errc::io if it cannot be begun
  [[nodiscard]] virtual std::expected<void, error> start(std::size_t job) = 0;
  /// Waits until something has happened.
  /// \param longest  for as long as this
  /// \return the jobs that have ended, in the order in which they did; an error ends it all
  [[nodiscard]] virtual std::expected<std::vector<ended_job>, error> wait(
      std::chrono::milliseconds longest) = 0;
};

struct job_functions {
  /// Runs when a job has ended, in the order in which they do. An error ends it all.
  std::function<std::expected<void, error>(std::size_t job, job_result result)> done;
  /// Runs a few times a second.
  std::function<void()> meanwhile = [] {};
};

/// Has each job done, in the order given.
/// \return what `done` returned, or what the workers could not do
[[nodiscard]] std::expected<void, error> run_jobs(std::span<const std::size_t> jobs, workers& by,
                                                  const job_functions& functions);

}  // namespace memsim::cli
