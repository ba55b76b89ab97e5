// SPDX-License-Identifier: Apache-2.0
// An experiment's results as JSON, and back.
#include <algorithm>

#include <fmt/format.h>

#include <memsim/core/text.hpp>
#include <memsim/metrics/experiment.hpp>

#include "metrics/json_values.hpp"

namespace memsim {
namespace {

using detail::json;

double seconds(sim_duration time) { return std::chrono::duration<double>(time).count(); }

json map_json(const map_result& map, const translation_cost& kernel) {
  return {{"4k", map.mapped.k4},
          {"2m", map.mapped.m2},
          {"1g", map.mapped.g1},
          {"page_tables", map.page_tables},
          {"kernel_ns_per_access", kernel.ns_per_access},
          {"kernel_walks_per_access", kernel.walks_per_access}};
}

json latency_json(const latency_summary& l) {
  return {{"count", l.count}, {"p50", l.p50},  {"p90", l.p90}, {"p99", l.p99},
          {"p99.9", l.p999},  {"max", l.most}, {"sum", l.sum}};
}

json actor_json(const actor_result& actor) {
  json values{{"name", actor.name}};
  for (const auto& s : actor_statistics) values[s.name] = actor.counts.*s.member;
  values["first_failure_s"] = nullptr;
  if (actor.first_failure) values["first_failure_s"] = seconds(*actor.first_failure);
  values["first_use"] = latency_json(actor.first_use);
  return values;
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
          {"set_up_ns", p.set_up.count()},
          {"work_ns", p.work.count()},
          {"direct_map",
           {{"start", map_json(p.at_start, p.kernel_at_start)},
            {"end", map_json(p.at_end, p.kernel_at_end)},
            {"after_all", map_json(p.after_all, p.kernel_after_all)}}},
          {"statistics", detail::to_json(p.statistics)},
          {"memory_map", detail::to_json(p.picture)}};
}

json units_json() {
  json units{{"duration_s", "seconds"},
             {"memory", "pages of 4 KiB"},
             {"first_use", "ns of work, of each first use of a page; by nearest rank"},
             {"set_up_ns", "ns of work to set the policy up, before the beginning"},
             {"work_ns", "ns of work of all CPUs, until everybody had left"},
             {"memory_map", detail::picture_unit},
             {"direct_map",
              "mappings by size; frames of page tables; of the kernel's random accesses ns of "
              "translation and page walks, each on average; at the start, at the end, and when all "
              "actors had left"}};
  json actors = json::object();
  for (const auto& s : actor_statistics) {
    actors[s.name] = fmt::format("{}: {}", s.unit, s.description);
  }
  actors["first_failure_s"] =
      "seconds from the beginning: when one was first refused or ended by a fault or the OOM "
      "killer; null: never";
  units["actors"] = actors;
  return units;
}

}  // namespace

std::string json_of(const experiment_results& r) {
  json policies = json::array();
  for (const auto& p : r.policies) policies.push_back(policy_json(p));
  json recipe = nullptr;
  if (!r.recipe.empty()) recipe = r.recipe;
  json background = nullptr;
  if (!r.background.empty()) background = r.background;
  const json samples =
      r.policies.empty() ? json::object() : detail::to_json(r.policies[0].samples.columns());
  const json document{{"schema", schema_of_experiments},
                      {"question", r.question},
                      {"command", r.command},
                      {"scenario", r.scenario},
                      {"settings", r.settings},
                      {"cpu", r.cpu},
                      {"cpus", r.cpus},
                      {"profile", r.profile},
                      {"recipe", recipe},
                      {"background", background},
                      {"seed", r.seed},
                      {"memory", r.memory},
                      {"duration_s", seconds(r.duration)},
                      {"units", units_json()},
                      {"samples", samples},
                      {"policies", policies}};
  return document.dump(2, ' ', false, json::error_handler_t::replace) + '\n';
}

namespace {

latency_summary latency_from(const json& j) {
  return {.count = j.at("count"),
          .p50 = j.at("p50"),
          .p90 = j.at("p90"),
          .p99 = j.at("p99"),
          .p999 = j.at("p99.9"),
          .most = j.at("max"),
          .sum = j.at("sum")};
}

actor_result actor_from(const json& j) {
  actor_result actor{.name = j.at("name"), .first_use = latency_from(j.at("first_use"))};
  for (const auto& s : actor_statistics) actor.counts.*s.member = j.at(s.name);
  const auto& first = j.at("first_failure_s");
  if (!first.is_null()) actor.first_failure = detail::seconds_from(first);
  return actor;
}

map_result map_from(const json& j) {
  return {.mapped = {.k4 = j.at("4k"), .m2 = j.at("2m"), .g1 = j.at("1g")},
          .page_tables = j.at("page_tables")};
}

translation_cost cost_from(const json& j) {
  return {.ns_per_access = j.at("kernel_ns_per_access"),
          .walks_per_access = j.at("kernel_walks_per_access")};
}

std::string text_from(const json& j) { return j.is_null() ? "" : j.get<std::string>(); }

policy_result policy_from(const json& j) {
  const auto& map = j.at("direct_map");
  policy_result p{.name = j.at("name"),
                  .design = j.at("secretmem"),
                  .at_start = map_from(map.at("start")),
                  .at_end = map_from(map.at("end")),
                  .after_all = map_from(map.at("after_all")),
                  .first_use = latency_from(j.at("first_use")),
                  .set_up = sim_duration{j.at("set_up_ns").get<std::int64_t>()},
                  .work = sim_duration{j.at("work_ns").get<std::int64_t>()},
                  .kernel_at_start = cost_from(map.at("start")),
                  .kernel_at_end = cost_from(map.at("end")),
                  .kernel_after_all = cost_from(map.at("after_all")),
                  .statistics = detail::statistics_from(j.at("statistics")),
                  .picture = detail::picture_from(j.at("memory_map")),
                  .state = detail::digest_from(j.at("digest")),
                  .background_error = text_from(j.at("background_ended_early"))};
  for (const auto& actor : j.at("actors")) p.actors.push_back(actor_from(actor));
  return p;
}

// Rows of all policies, each with its name.
void add_samples(experiment_results& r, const json& columns, std::string_view csv) {
  const auto found = detail::columns_from(columns);
  for (const auto& wanted : experiment_columns()) {
    if (std::ranges::find(found, wanted.name, &series_column::name) == found.end()) {
      throw_usage("no column \"{}\" of samples", wanted.name);
    }
  }
  for (auto& p : r.policies) p.samples = time_series{found};
  detail::for_each_row(csv, [&](std::string_view line) {
    const auto comma = line.find(',');
    const auto name = line.substr(0, comma);
    const auto policy = std::ranges::find(r.policies, name, &policy_result::name);
    if (comma == std::string_view::npos || policy == r.policies.end()) {
      throw_usage("\"{}\": a row of one of the policies is wanted", escaped(line, 80));
    }
    detail::add_csv_row(policy->samples, line.substr(comma + 1));
  });
  for (const auto& p : r.policies) {
    if (p.samples.rows() == 0 || p.samples.rows() != r.policies[0].samples.rows()) {
      throw_usage("{} samples of policy \"{}\", and {} of the first", p.samples.rows(),
                  escaped(p.name, 80), r.policies[0].samples.rows());
    }
  }
}

}  // namespace

std::expected<experiment_results, error> parse_experiment(std::string_view text,
                                                          std::string_view samples) {
  return detail::read_document(text, schema_of_experiments, [&](const json& j) {
    experiment_results r{.question = j.at("question"),
                         .command = j.at("command"),
                         .scenario = j.at("scenario"),
                         .settings = j.at("settings"),
                         .cpu = j.at("cpu"),
                         .cpus = j.at("cpus"),
                         .profile = j.at("profile"),
                         .recipe = text_from(j.at("recipe")),
                         .background = text_from(j.at("background")),
                         .seed = j.at("seed"),
                         .memory = j.at("memory"),
                         .duration = detail::seconds_from(j.at("duration_s"))};
    for (const auto& p : j.at("policies")) r.policies.push_back(policy_from(p));
    if (r.policies.empty()) throw_usage("there are no policies");
    add_samples(r, j.at("samples"), samples);
    return r;
  });
}

}  // namespace memsim
