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
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/metrics/memory_picture.hpp>
#include <memsim/metrics/scenario_run.hpp>
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
/// Random objects of two cache lines, anywhere in memory, by one CPU with empty TLBs. Pages that
/// are absent are accessed as if they were not, in mappings of the size that they are in: otherwise
/// the more a policy hides the cheaper the rest would seem.
struct translation_cost {
  double ns_per_access = 0;
  double walks_per_access = 0;

  friend bool operator==(const translation_cost&, const translation_cost&) = default;
};

[[nodiscard]] translation_cost kernel_access_cost(const machine& m);

struct actor_result {
  std::string name{};
  actor_counts counts{};
  /// Since the beginning; none: nobody was refused, or ended before his time.
  std::optional<sim_duration> first_failure{};
  latency_summary first_use{};  ///< of its pages

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
  latency_summary first_use{};  ///< of a page, of whatever actor
  sim_duration set_up{};        ///< what it took to set the policy up
  /// What all CPUs did for processes, daemons and a recipe in the background, until everybody had
  /// left.
  sim_duration work{};
  translation_cost kernel_at_start{};
  translation_cost kernel_at_end{};
  translation_cost kernel_after_all{};
  std::vector<statistic_value> statistics{};  ///< of the machine and the policy, when it was over
  time_series samples{};
  memory_picture picture{};        ///< when the time was over
  digest state{};                  ///< when everybody had left
  std::string background_error{};  ///< why the background load ended early; empty: it did not
};

/// The columns of policy_result::samples.
[[nodiscard]] std::vector<series_column> experiment_columns();

struct experiment_results {
  std::string question{};
  std::string command{};                ///< that makes the run again, if it was one
  std::string scenario{};               ///< the text of its file, if it is of one
  std::vector<std::string> settings{};  ///< instead of what the text says
  std::string cpu{};                    ///< cpu_preset::name
  unsigned cpus = 0;
  std::string profile{};
  std::string recipe{};      ///< that the machine was aged by; empty: it was not
  std::string background{};  ///< the trace or the recipe that went on; empty: nothing
  std::uint64_t seed = 0;
  frame_count memory = 0;
  sim_duration duration{};
  std::vector<policy_result> policies{};
};

/// Called with what has been done of all: 0 to 1.
using experiment_progress = std::function<void(double)>;

/// Whether run_experiment() could begin: that there are such machines, and that the trace in the
/// background can be replayed on them. Whether memory is enough to age them only ageing shows.
/// \return errc::inconsistent, and what read_trace() returns
[[nodiscard]] std::expected<void, error> check_experiment(const scenario& s);

/// Ages a machine for each policy and lets the actors use it. Policies whose machines are alike
/// begin with copies of one.
/// \return errc::inconsistent if there cannot be such a machine; what age() and read_trace()
///         return
/// \throws usage_error if the scenario has no actors
[[nodiscard]] std::expected<experiment_results, error> run_experiment(
    const scenario& s, const experiment_progress& progress = {});

inline constexpr std::string_view schema_of_experiments = "memsim.experiment/1";

/// Everything but the samples, with units and a sentence for each statistic.
[[nodiscard]] std::string json_of(const experiment_results&);
/// The samples of all policies, with a first column that names the policy.
[[nodiscard]] std::string csv_of(const experiment_results&);
/// An HTML page that needs neither other files nor the network: the question, who was refused under
/// each policy, charts over time with their numbers, costs, pictures of memory, and how it was
/// made.
[[nodiscard]] std::string report_html(const experiment_results&);
/// What json_of() and csv_of() wrote.
/// \return errc::malformed, with what is wrong
[[nodiscard]] std::expected<experiment_results, error> parse_experiment(std::string_view text,
                                                                        std::string_view samples);
/// The most that a column of samples came to.
[[nodiscard]] double most_of(const time_series& samples, std::string_view column);

/// A row of a sweep: for each policy `POLICY.failed_at_fault`, `POLICY.ACTOR.killed` and so on.
[[nodiscard]] std::vector<result_value> values_of(const experiment_results&);

/// Who came, who was refused, and what it did to the direct map, for a person: a table a subject.
[[nodiscard]] std::string table_of(const experiment_results&);

}  // namespace memsim
