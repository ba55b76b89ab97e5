// SPDX-License-Identifier: Apache-2.0
// An experiment's results as CSV and tables.
#include <fmt/format.h>

#include <memsim/metrics/experiment.hpp>

#include "metrics/text_table.hpp"

namespace memsim {
namespace {

using detail::text_table;

std::string stranded_at_most(const policy_result& p) {
  return fmt::format("{:.0f}", most_of(p.samples, "stranded_pages"));
}

double milliseconds(sim_duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

std::string first_failure_text(const actor_result& a) {
  return a.first_failure ? fmt::format("{:.1f}", milliseconds(*a.first_failure)) : "-";
}

std::string decimal(double value) { return fmt::format("{:.2f}", value); }

}  // namespace

std::string csv_of(const experiment_results& r) {
  std::string text;
  for (const auto& p : r.policies) {
    const auto samples = csv_of(p.samples);
    std::size_t from = samples.find('\n') + 1;
    if (text.empty()) text = "policy," + samples.substr(0, from);
    while (from < samples.size()) {
      const auto end = samples.find('\n', from) + 1;
      text += p.name + "," + samples.substr(from, end - from);
      from = end;
    }
  }
  return text;
}

std::string table_of(const experiment_results& r) {
  text_table who;
  who.row({"", "came", "ENOMEM", "EAGAIN", "SIGBUS", "no memory", "killed", "retried", "first [ms]",
           "pages", "p50 [ns]", "p99 [ns]"});
  for (const auto& p : r.policies) {
    for (const auto& a : p.actors) {
      const auto& c = a.counts;
      who.row({p.name + ": " + a.name, fmt::to_string(c.processes),
               fmt::to_string(c.no_memory_at_mmap), fmt::to_string(c.over_limit_at_mmap),
               fmt::to_string(c.bus_errors), fmt::to_string(c.out_of_memory),
               fmt::to_string(c.killed), fmt::to_string(c.retried_faults), first_failure_text(a),
               fmt::to_string(c.pages), fmt::to_string(a.first_use.p50),
               fmt::to_string(a.first_use.p99)});
    }
  }
  text_table map;
  map.row({"", "4K", "2M", "1G", "2M before", "2M after", "ns/access", "before", "stranded",
           "set up [us]", "work [us]"});
  for (const auto& p : r.policies) {
    map.row({p.name, fmt::to_string(p.at_end.mapped.k4), fmt::to_string(p.at_end.mapped.m2),
             fmt::to_string(p.at_end.mapped.g1), fmt::to_string(p.at_start.mapped.m2),
             fmt::to_string(p.after_all.mapped.m2), decimal(p.kernel_at_end.ns_per_access),
             decimal(p.kernel_at_start.ns_per_access), stranded_at_most(p),
             fmt::to_string(p.set_up.count() / 1000), fmt::to_string(p.work.count() / 1000)});
  }
  std::string early;
  for (const auto& p : r.policies) {
    if (p.background_error.empty()) continue;
    early += fmt::format("\n{}: the background load ended early: {}\n", p.name, p.background_error);
  }
  return fmt::format(
      "Who came, what mmap() and faults said (calls, processes, and faults that were made again),\n"
      "when for the first time, and the work of first uses of their pages\n\n{}\n"
      "The direct map at the end, its 2 MiB mappings before anybody came and after all had left; "
      "what\n"
      "random accesses of the kernel cost in translations; pages set aside and not used, at most; "
      "the\n"
      "work to set the policy up, and of everybody until all had left\n\n{}{}",
      who.text(), map.text(), early);
}

}  // namespace memsim
