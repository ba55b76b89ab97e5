// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Jobs in processes of their own: one that crashes takes nothing with it.

#include <chrono>
#include <cstddef>
#include <expected>
#include <string>
#include <vector>

#include <sys/types.h>

#include <memsim/core/error.hpp>

#include "jobs.hpp"

namespace memsim::cli {

/// Runs each job in a child, so many at one time. Children die with this process, and with this
/// object.
class worker_processes final : public workers {
 public:
  /// \param run  runs in a child
  worker_processes(unsigned at_once, job_function run);
  worker_processes(const worker_processes&) = delete;
  worker_processes& operator=(const worker_processes&) = delete;
  ~worker_processes() override;

  [[nodiscard]] bool has_room() const override { return children_.size() < at_once_; }
  [[nodiscard]] bool at_work() const override { return !children_.empty(); }
  [[nodiscard]] std::expected<void, error> start(std::size_t job) override;
  [[nodiscard]] std::expected<std::vector<ended_job>, error> wait(
      std::chrono::milliseconds longest) override;

 private:
  struct child {
    std::size_t job = 0;
    pid_t process = -1;
    int pipe = -1;
    std::string text{};  // what it has written so far
  };

  static bool read_more(child& c);
  static job_result outcome_of(child& c);

  std::size_t at_once_;
  job_function run_;
  std::vector<child> children_;
};

}  // namespace memsim::cli
