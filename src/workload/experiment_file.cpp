// SPDX-License-Identifier: Apache-2.0
// The parser of policies, actors and background load.
#include "workload/experiment_file.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include <memsim/arch/unmapped_pool.hpp>

#include "workload/machine_file.hpp"

namespace memsim {
namespace {

using detail::shown_text;
using detail::table_reader;

constexpr std::array all_secretmem_limits{secretmem_limit::none,
                                          secretmem_limit::per_process_at_mmap,
                                          secretmem_limit::per_user_at_fault};
constexpr std::array all_secretmem_failures{secretmem_failure::out_of_memory,
                                            secretmem_failure::bus_error};
constexpr std::uint64_t most_processes = 100'000;
constexpr std::uint64_t most_pages = std::uint64_t{1} << 32;

// A name that nothing of its kind has so far.
std::string read_name(table_reader& table, std::string_view kind, std::set<std::string>& taken) {
  constexpr std::size_t longest = 40;
  auto name = table.word("name", "");
  const bool is_word =
      !name.empty() && name.size() <= longest && std::ranges::all_of(name, [](char c) {
        return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') ||
               c == '_' || c == '-' || c == '.';
      });
  if (!is_word) {
    table.complain_about("name",
                         "{}.name = \"{}\": 1 to {} letters, digits, '_', '-' and '.' are wanted",
                         kind, escaped(name, shown_text), longest);
  } else if (!taken.insert(name).second) {
    table.complain_about("name", "{}.name = \"{}\": there is one of that name", kind, name);
  }
  return name;
}

secretmem_config read_design(table_reader& table) {
  const auto name = table.word("secretmem", secretmem_6_1.name);
  const auto* const found = find_secretmem_preset(name);
  if (found == nullptr) {
    std::vector<std::string> known;
    for (const auto& preset : secretmem_presets()) known.push_back(preset.name);
    table.complain_about("secretmem", "policy.secretmem = \"{}\": allowed are {}",
                         escaped(name, shown_text), fmt::join(known, ", "));
    return secretmem_6_1;
  }
  return *found;
}

policy_choice read_policy(table_reader& table, std::set<std::string>& names) {
  static constexpr std::array<std::string_view, 13> keys{"name",
                                                         "secretmem",
                                                         "limit",
                                                         "failure",
                                                         "aligned",
                                                         "absent",
                                                         "grouping",
                                                         "set_aside",
                                                         "secretmem_area",
                                                         "huge_pages",
                                                         "overcommit_huge_pages",
                                                         "merging",
                                                         "merge_period"};
  table.allow_only(keys);
  policy_choice p{.name = read_name(table, "policy", names), .secretmem = read_design(table)};
  auto& how = p.secretmem;
  how.limit = table.named("limit", how.limit, all_secretmem_limits);
  how.failure = table.named("failure", how.failure, all_secretmem_failures);
  static constexpr std::array<std::pair<std::string_view, unmapped_design>, 3> groupings{
      {{"pageblock_type", unmapped_design::pageblock_type},
       {"unmapped_cache", unmapped_design::unmapped_cache},
       {"allocator_block", unmapped_design::allocator_block}}};
  how.grouping = table.named("grouping", how.grouping, groupings);
  if (table.has("aligned")) {
    how.chunk_alignment = table.truth("aligned", true) ? pageblock_order : order{0};
  }
  static constexpr std::array<std::pair<std::string_view, bool>, 2> absences{
      {{"chunk", true}, {"page", false}}};
  how.unmaps_chunks = table.named("absent", how.unmaps_chunks, absences);
  if (table.has("set_aside")) p.set_aside = table.frames("set_aside", 1);
  if (table.has("secretmem_area")) p.secretmem_area = table.frames("secretmem_area", 1);
  p.huge_pages = table.number("huge_pages", 0, 0, most_pages);
  p.overcommit_huge_pages = table.number("overcommit_huge_pages", 0, 0, most_pages);
  if (table.has("merging")) {
    p.merging =
        table.named("merging", static_cast<const merge_policy*>(nullptr), detail::merge_policies);
  }
  if (table.has("merge_period")) {
    p.merge_period = table.duration("merge_period", {}, sim_duration{1});
  }
  if (how.reserves != (p.set_aside > 0)) {
    table.complain_about("set_aside", "policy \"{}\": \"set_aside\" is the pool that {}", p.name,
                         how.reserves ? "its secret memory is promised from; say how large"
                                      : "only secretmem = \"reserved\" has");
  }
  if (how.needs_cma_area && p.secretmem_area == 0) {
    table.complain_about("secretmem_area",
                         "policy \"{}\": its secret memory is of a CMA area; say how large",
                         p.name);
  }
  return p;
}

void read_accesses(table_reader& table, actor& a) {
  a.accesses = table.named("accesses", a.accesses, all_page_choices);
  if (table.has("accesses_per_second")) {
    a.accesses_per_second = table.decimal("accesses_per_second", 0, 1e9);
  }
  if (table.has("writes")) a.writes = table.decimal("writes", 0, 1);
}

void read_limits(table_reader& table, actor& a) {
  if (table.has("user")) {
    a.user = static_cast<std::uint32_t>(
        table.number("user", 0, 0, std::numeric_limits<std::uint32_t>::max()));
  }
  if (table.says("memlock", "unlimited")) {
    a.memlock_limit = ~frame_count{0};
  } else if (table.has("memlock")) {
    a.memlock_limit = table.frames("memlock", 0);
  }
  a.ipc_lock = table.truth("ipc_lock", a.ipc_lock);
}

actor read_actor(table_reader& table, std::set<std::string>& names) {
  static constexpr std::array<std::string_view, 17> keys{"name",
                                                         "memory",
                                                         "processes",
                                                         "user",
                                                         "size",
                                                         "used",
                                                         "greedy",
                                                         "retry",
                                                         "arrival",
                                                         "interval",
                                                         "random_arrivals",
                                                         "lifetime",
                                                         "accesses",
                                                         "accesses_per_second",
                                                         "writes",
                                                         "memlock",
                                                         "ipc_lock"};
  table.allow_only(keys);
  actor a{.name = read_name(table, "actor", names)};
  a.memory = table.named("memory", a.memory, all_actor_memories);
  a.processes = table.number("processes", a.processes, 1, most_processes);
  a.size = table.frames("size", 1);
  if (a.memory == actor_memory::hugetlb && a.size % pageblock_frames != 0) {
    table.complain_about("size", "actor \"{}\": {} frames are no multiple of a huge page of 2 MiB",
                         a.name, a.size);
  }
  if (table.has("used")) a.used = table.decimal("used", 0, 1);
  a.greedy = table.truth("greedy", a.greedy);
  a.retry = table.duration("retry", a.retry, sim_duration{1});
  a.arrival = table.duration("arrival", a.arrival, {});
  a.interval = table.duration("interval", a.interval, {});
  a.random_arrivals = table.truth("random_arrivals", a.random_arrivals);
  if (table.has("lifetime")) a.lifetime = table.duration("lifetime", {}, sim_duration{1});
  read_accesses(table, a);
  read_limits(table, a);
  return a;
}

background_load read_background(table_reader& table, std::string_view file) {
  static constexpr std::array<std::string_view, 3> keys{"trace", "speed", "repeats"};
  table.allow_only(keys);
  background_load b;
  if (!table.has("trace")) table.complain_about("trace", "no \"background.trace\"");
  b.trace = std::filesystem::path{std::string{file}}.parent_path() / table.word("trace", "");
  if (table.has("speed")) b.speed = table.decimal("speed", 0.001, 1000);
  b.repeats = table.truth("repeats", b.repeats);
  return b;
}

}  // namespace

void detail::read_experiment(table_reader& top, scenario& into, std::string_view file) {
  constexpr std::int64_t most_samples = 100'000;
  constexpr sim_duration least{1000};
  for (const auto* const key : {"duration", "policy"}) {
    if (!top.has(key)) top.complain_about(key, "a scenario with actors has no \"{}\"", key);
  }
  into.duration = top.duration("duration", {}, least);
  into.sample_interval = top.duration("sample_interval", into.duration / 100, sim_duration{1});
  if (into.sample_interval.count() > 0 &&
      into.duration.count() / into.sample_interval.count() > most_samples) {
    top.complain_about("sample_interval", "sample_interval: {} samples, of {} at most",
                       into.duration.count() / into.sample_interval.count(), most_samples);
  }
  std::set<std::string> policies;
  top.tables("policy",
             [&](table_reader& table) { into.policies.push_back(read_policy(table, policies)); });
  constexpr std::size_t most_policies = 8;
  if (into.policies.size() > most_policies) {
    top.complain_about("policy", "{} policies: allowed are up to {}", into.policies.size(),
                       most_policies);
  }
  std::set<std::string> actors;
  top.tables("actor",
             [&](table_reader& table) { into.actors.push_back(read_actor(table, actors)); });
  top.table("background",
            [&](table_reader& table) { into.background = read_background(table, file); });
}

}  // namespace memsim
