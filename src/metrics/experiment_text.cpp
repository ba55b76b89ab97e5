// SPDX-License-Identifier: Apache-2.0
// An experiment's results as JSON, CSV and tables.
#include <algorithm>

#include <fmt/format.h>

#include <memsim/metrics/experiment.hpp>

#include "metrics/json_values.hpp"
#include "metrics/text_table.hpp"
#include "metrics/units.hpp"

namespace memsim {
namespace {

using detail::json;
using detail::text_table;

double seconds(sim_duration time) { return std::chrono::duration<double>(time).count(); }

json map_json(const map_result& map, const translation_cost& kernel) {
  return {{"4k", map.mapped.k4},
          {"2m", map.mapped.m2},
          {"1g", map.mapped.g1},
          {"page_tables", map.page_tables},
          {"kernel_ns_per_access", kernel.ns_per_access},
          {"kernel_walks_per_access", kernel.walks_per_access}};
}

json actor_json(const actor_result& actor) {
  json values{{"name", actor.name}};
  for (const auto& s : actor_statistics) values[s.name] = actor.counts.*s.member;
  return values;
}

json latency_json(const latency_summary& l) {
  return {{"count", l.count}, {"p50", l.p50},  {"p90", l.p90}, {"p99", l.p99},
          {"p99.9", l.p999},  {"max", l.most}, {"sum", l.sum}};
}

json policy_json(const policy_result& p) {
  json actors = json::array();
  for (const auto& actor : p.actors) actors.push_back(actor_json(actor));
  json early = nullptr;
  if (!p.background_error.empty()) early = p.background_error;
  return {{"name", p.name},
          {"secretmem", p.design},
          {"digest", to_text(p.state)},
          {"background_ended_early", early},
          {"actors", actors},
          {"first_use", latency_json(p.first_use)},
          {"direct_map",
           {{"start", map_json(p.at_start, p.kernel_at_start)},
            {"end", map_json(p.at_end, p.kernel_at_end)},
            {"after_all", map_json(p.after_all, p.kernel_after_all)}}},
          {"statistics", detail::to_json(p.statistics)}};
}

json units_json() {
  json units{{"duration_s", "seconds"},
             {"memory", "pages of 4 KiB"},
             {"first_use", "ns of work, of each first use of a page; by nearest rank"},
             {"direct_map",
              "mappings by size; frames of page tables; of the kernel's random accesses ns of "
              "translation and page walks, each on average; at the start, at the end, and when all "
              "actors had left"}};
  json actors = json::object();
  for (const auto& s : actor_statistics) {
    actors[s.name] = fmt::format("{}: {}", s.unit, s.description);
  }
  units["actors"] = actors;
  return units;
}

std::string stranded_at_most(const policy_result& p) {
  const auto column = p.samples.column("stranded_pages");
  double most = 0;
  for (std::size_t row = 0; row < p.samples.rows(); ++row) {
    most = std::max(most, p.samples.values(row)[column]);
  }
  return fmt::format("{:.0f}", most);
}

std::string decimal(double value) { return fmt::format("{:.2f}", value); }

}  // namespace

std::string json_of(const experiment_results& r) {
  json policies = json::array();
  for (const auto& p : r.policies) policies.push_back(policy_json(p));
  json recipe = nullptr;
  if (!r.recipe.empty()) recipe = r.recipe;
  const json document{{"schema", "memsim.experiment/1"},
                      {"question", r.question},
                      {"profile", r.profile},
                      {"recipe", recipe},
                      {"seed", r.seed},
                      {"memory", r.memory},
                      {"duration_s", seconds(r.duration)},
                      {"units", units_json()},
                      {"policies", policies}};
  return document.dump(2, ' ', false, json::error_handler_t::replace) + '\n';
}

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
  who.row({"", "came", "ENOMEM", "EAGAIN", "SIGBUS", "no memory", "killed", "pages"});
  for (const auto& p : r.policies) {
    for (const auto& a : p.actors) {
      const auto& c = a.counts;
      who.row({p.name + ": " + a.name, fmt::to_string(c.processes),
               fmt::to_string(c.no_memory_at_mmap), fmt::to_string(c.over_limit_at_mmap),
               fmt::to_string(c.bus_errors), fmt::to_string(c.out_of_memory),
               fmt::to_string(c.killed), fmt::to_string(c.pages)});
    }
  }
  text_table map;
  map.row({"", "4K", "2M", "1G", "2M before", "2M after", "ns/access", "before", "stranded",
           "first use p50", "p99", "sum [us]"});
  for (const auto& p : r.policies) {
    map.row({p.name, fmt::to_string(p.at_end.mapped.k4), fmt::to_string(p.at_end.mapped.m2),
             fmt::to_string(p.at_end.mapped.g1), fmt::to_string(p.at_start.mapped.m2),
             fmt::to_string(p.after_all.mapped.m2), decimal(p.kernel_at_end.ns_per_access),
             decimal(p.kernel_at_start.ns_per_access), stranded_at_most(p),
             fmt::to_string(p.first_use.p50), fmt::to_string(p.first_use.p99),
             fmt::to_string(p.first_use.sum / 1000)});
  }
  return fmt::format(
      "Who came, and what mmap() and faults said (calls, then processes)\n\n{}\n"
      "The direct map at the end, its 2 MiB mappings before anybody came and after all had left; "
      "what\n"
      "random accesses of the kernel cost in translations; pages set aside and not used, at most; "
      "the\n"
      "work of first uses of a page (ns)\n\n{}",
      who.text(), map.text());
}

}  // namespace memsim
