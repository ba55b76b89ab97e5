// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A scenario with actors in, what each of its policies came to out.
///
///     const auto results = run_experiment(*load_scenario("greedy.toml"));
///     for (const auto& p : results->policies) fmt::print("{}: {}\n", p.name, p.latency.p99);

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/metrics/memory_picture.hpp>
#include <memsim/metrics/time_series.hpp>
#include <memsim/workload/actor_run.hpp>
#include <memsim/workload/scenario.hpp>

namespace memsim {

/// Of durations in ns, by nearest rank.
struct latency_summary {
  std::uint64_t count = 0;
  std::uint64_t p50 = 0;
  std::uint64_t p90 = 0;
  std::uint64_t p99 = 0;
  std::uint64_t p999 = 0;
  std::uint64_t most = 0;
  std::uint64_t sum = 0;

  friend bool operator==(const latency_summary&, const latency_summary&) = default;
};

/// \param durations  in any order
[[nodiscard]] latency_summary summary_of(std::vector<std::uint64_t> durations);

/// What accesses of the kernel through its direct map cost in translations, on average.
///
/// Random objects of two cache lines, anywhere in memory, by one CPU with empty TLBs.
struct translation_cost {
  double ns_per_access = 0;
  double walks_per_access = 0;

  friend bool operator==(const translation_cost&, const translation_cost&) = default;
};

[[nodiscard]] translation_cost kernel_access_cost(const machine& m);

struct actor_result {
  std::string name{};
  actor_counts counts{};

  friend bool operator==(const actor_result&, const actor_result&) = default;
};

/// The direct map at one time.
struct map_result {
  mapping_counts mapped{};
  std::uint64_t page_tables = 0;

  friend bool operator==(const map_result&, const map_result&) = default;
};

struct policy_result {
  std::string name{};
  std::string design{};    ///< of secret memory
  map_result at_start{};   ///< before anybody came
  map_result at_end{};     ///< when the time was over
  map_result after_all{};  ///< when everybody had left
  std::vector<actor_result> actors{};
  latency_summary first_use{};  ///< of a page
  translation_cost kernel_at_start{};
  translation_cost kernel_at_end{};
  translation_cost kernel_after_all{};
  std::vector<statistic_value> statistics{};  ///< of the machine and the policy, when it was over
  time_series samples{};
  memory_picture picture{};        ///< when the time was over
  digest state{};                  ///< when everybody had left
  std::string background_error{};  ///< why the background load ended early; empty: it did not
};

struct experiment_results {
  std::string question{};
  std::string profile{};
  std::string recipe{};  ///< that the machine was aged by; empty: it was not
  std::uint64_t seed = 0;
  frame_count memory = 0;
  sim_duration duration{};
  std::vector<policy_result> policies{};
};

/// Called with what has been done of all: 0 to 1.
using experiment_progress = std::function<void(double)>;

/// Ages a machine for each policy and lets the actors use it. Policies whose machines are alike
/// begin with copies of one.
/// \return errc::inconsistent if there cannot be such a machine; what age() and load_background()
///         return
/// \throws usage_error if the scenario has no actors
[[nodiscard]] std::expected<experiment_results, error> run_experiment(
    const scenario& s, const experiment_progress& progress = {});

/// Everything but samples and pictures, with units and a sentence for each statistic.
[[nodiscard]] std::string json_of(const experiment_results&);
/// The samples of all policies, with a first column that names the policy.
[[nodiscard]] std::string csv_of(const experiment_results&);
/// An HTML page that needs neither other files nor the network: the question, who was refused under
/// each policy, charts over time with their numbers, costs, pictures of memory, and how it was
/// made.
/// \param command  that makes the run again
[[nodiscard]] std::string report_html(const experiment_results&, std::string_view command);
/// Who came, who was refused, and what it did to the direct map, for a person: a table a subject.
[[nodiscard]] std::string table_of(const experiment_results&);

}  // namespace memsim
