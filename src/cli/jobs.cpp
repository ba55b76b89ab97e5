// SPDX-License-Identifier: Apache-2.0
#include "jobs.hpp"

#include <utility>

namespace memsim::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto between_looks = 200ms;

}  // namespace

std::expected<void, error> run_jobs(std::span<const std::size_t> jobs, workers& by,
                                    const job_functions& functions) {
  while (!jobs.empty() || by.at_work()) {
    while (!jobs.empty() && by.has_room()) {
      if (const auto started = by.start(jobs.front()); !started) {
        // It may be possible when something has ended.
        if (!by.at_work()) return started;
        break;
      }
      jobs = jobs.subspan(1);
    }
    auto ended = by.wait(between_looks);
    if (!ended) return std::unexpected{ended.error()};
    for (auto& [job, result] : *ended) {
      if (auto done = functions.done(job, std::move(result)); !done) return done;
    }
    functions.meanwhile();
  }
  return {};
}

}  // namespace memsim::cli
