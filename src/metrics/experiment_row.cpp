// SPDX-License-Identifier: Apache-2.0
// An experiment's results as a row of a table.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <memsim/metrics/experiment.hpp>
#include <memsim/metrics/scenario_run.hpp>

namespace memsim {
namespace {

/// Takes the values of one policy.
class policy_row {
 public:
  policy_row(std::vector<result_value>& into, const std::string& policy)
      : into_{into}, policy_{policy} {}

  template <class Value>
  void add(std::string_view name, std::string_view unit, std::string_view description,
           Value value) {
    into_.push_back({policy_ + "." + std::string{name}, std::string{unit}, std::string{description},
                     std::move(value)});
  }

 private:
  std::vector<result_value>& into_;
  const std::string& policy_;
};

std::uint64_t last_of(const time_series& samples, std::string_view column) {
  return static_cast<std::uint64_t>(samples.values(samples.rows() - 1)[samples.column(column)]);
}

void add_outcome(policy_row& row, const policy_result& p) {
  row.add("refused_at_mmap", "calls", "mmap() refused, for whatever reason",
          last_of(p.samples, "refused_at_mmap"));
  row.add("failed_at_fault", "processes", "ended by SIGBUS or for want of memory",
          last_of(p.samples, "failed_at_fault"));
  row.add("most_stranded", "pages",
          "set aside for secret memory or huge pages and not in use, at most",
          static_cast<std::uint64_t>(most_of(p.samples, "stranded_pages")));
}

void add_direct_map(policy_row& row, const policy_result& p) {
  const auto lost = p.at_start.mapped.m2 - std::min(p.at_start.mapped.m2, p.at_end.mapped.m2);
  row.add("direct_map_4k", "mappings", "of 4 KiB in the direct map at the end", p.at_end.mapped.k4);
  row.add("direct_map_2m", "mappings", "of 2 MiB at the end", p.at_end.mapped.m2);
  row.add("direct_map_1g", "mappings", "of 1 GiB at the end", p.at_end.mapped.g1);
  row.add("direct_map_2m_lost", "mappings", "of 2 MiB that were there before", lost);
  row.add("direct_map_2m_after_all", "mappings", "of 2 MiB when all had left",
          p.after_all.mapped.m2);
  row.add("kernel_access", "ns",
          "translation of a random access of the kernel, on average, at the end",
          p.kernel_at_end.ns_per_access);
}

void add_latency(policy_row& row, const std::string& of, const latency_summary& l) {
  row.add(of + "first_uses", "pages", "used for the first time", l.count);
  row.add(of + "first_use_p50", "ns", "work of the first use of a page, median", l.p50);
  row.add(of + "first_use_p90", "ns", "likewise, 90th percentile", l.p90);
  row.add(of + "first_use_p99", "ns", "likewise, 99th percentile", l.p99);
  row.add(of + "first_use_p99.9", "ns", "likewise, 99.9th percentile", l.p999);
  row.add(of + "first_use_max", "ns", "likewise, the most", l.most);
  row.add(of + "first_use_sum", "ns", "likewise, of all together", l.sum);
}

void add_actor(policy_row& row, const actor_result& a) {
  add_latency(row, a.name + ".", a.first_use);
  for (const auto& s : actor_statistics) {
    row.add(a.name + "." + std::string{s.name}, s.unit, s.description, a.counts.*s.member);
  }
}

}  // namespace

double most_of(const time_series& samples, std::string_view column) {
  const auto which = samples.column(column);
  double most = 0;
  for (std::size_t row = 0; row < samples.rows(); ++row) {
    most = std::max(most, samples.values(row)[which]);
  }
  return most;
}

std::vector<result_value> values_of(const experiment_results& r) {
  std::vector<result_value> values{
      {"recipe", "", "how the machine was aged", r.recipe.empty() ? "none" : r.recipe},
      {"profile", "", "the kernel whose rules were followed", r.profile},
      {"seed", "", "of every random stream", r.seed}};
  for (const auto& p : r.policies) {
    policy_row row{values, p.name};
    row.add("digest", "", "of the machine's state when all had left", to_text(p.state));
    add_outcome(row, p);
    add_direct_map(row, p);
    row.add("set_up", "ns", "work to set the policy up",
            static_cast<std::uint64_t>(p.set_up.count()));
    row.add("work", "ns", "work of all CPUs until everybody had left",
            static_cast<std::uint64_t>(p.work.count()));
    add_latency(row, "", p.first_use);
    for (const auto& a : p.actors) add_actor(row, a);
  }
  return values;
}

}  // namespace memsim
