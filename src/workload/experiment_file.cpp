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

// Of what was said, that the design can do something with it.
void check_design(table_reader& table, const policy_choice& p) {
  const auto& how = p.secretmem;
  const bool is_grouped = how.source == secretmem_source::unmapped_pool;
  const bool has_chunks = !is_grouped && how.source != secretmem_source::single_pages;
  const auto only = [&](std::string_view key, bool makes_sense, std::string_view whose) {
    if (!table.has(key) || makes_sense) return;
    table.complain_about(key, "policy \"{}\": \"{}\" is for {}, and \"{}\" is none", p.name, key,
                         whose, how.name);
  };
  for (const std::string_view key : {"secretmem_area", "aligned", "absent"}) {
    only(key, has_chunks, "designs with chunks of 2 MiB");
  }
  only("grouping", is_grouped, "a design that groups pages");
  only("oom", how.failure == secretmem_failure::out_of_memory,
       "designs whose failure is out_of_memory");
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
  if (p.secretmem_area > 0 && p.set_aside > p.secretmem_area) {
    table.complain_about("set_aside", "policy \"{}\": {} frames are more than its area of {}",
                         p.name, p.set_aside, p.secretmem_area);
  }
}

policy_choice read_policy(table_reader& table, std::set<std::string>& names) {
  static constexpr std::array<std::string_view, 14> keys{
      "name",      "secretmem",      "limit",      "failure",
      "oom",       "aligned",        "absent",     "grouping",
      "set_aside", "secretmem_area", "huge_pages", "overcommit_huge_pages",
      "merging",   "merge_period"};
  table.allow_only(keys);
  policy_choice p{.name = read_name(table, "policy", names), .secretmem = read_design(table)};
  auto& how = p.secretmem;
  how.limit = table.named("limit", how.limit, all_secretmem_limits);
  how.failure = table.named("failure", how.failure, all_secretmem_failures);
  how.oom = table.named("oom", how.oom, all_fault_ooms);
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
  check_design(table, p);
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
  static constexpr std::array<std::string_view, 17> keys{
      "name",   "memory",  "processes", "user",     "size",     "used",     "reserve",
      "greedy", "retry",   "arrival",   "interval", "lifetime", "accesses", "accesses_per_second",
      "writes", "memlock", "ipc_lock"};
  table.allow_only(keys);
  actor a{.name = read_name(table, "actor", names)};
  a.memory = table.named("memory", a.memory, all_actor_memories);
  a.processes = table.number("processes", a.processes, 1, most_processes);
  a.size = table.drawn_frames("size", 1);
  if (a.memory == actor_memory::hugetlb && a.size.kind() == distribution_kind::constant &&
      a.size.least() % pageblock_frames != 0) {
    table.complain_about("size", "actor \"{}\": {} frames are no multiple of a huge page of 2 MiB",
                         a.name, a.size.least());
  }
  if (table.has("used")) a.used = table.decimal("used", 0, 1);
  a.no_reserve = !table.truth("reserve", true);
  a.greedy = table.truth("greedy", a.greedy);
  if (a.greedy && a.used == 0) {
    table.complain_about("used", "actor \"{}\": greedy, and used = 0: it would map for ever",
                         a.name);
  }
  a.retry = table.duration("retry", a.retry, sim_duration{1});
  a.arrival = table.duration("arrival", a.arrival, {});
  if (table.has("interval")) a.interval = table.drawn_duration("interval", {});
  if (table.has("lifetime")) a.lifetime = table.drawn_duration("lifetime", sim_duration{1});
  read_accesses(table, a);
  read_limits(table, a);
  const auto only = [&](std::string_view key, bool makes_sense, std::string_view whose) {
    if (!table.has(key) || makes_sense) return;
    table.complain_about(key, "actor \"{}\": \"{}\" is for {}", a.name, key, whose);
  };
  only("retry", a.greedy, "actors that are greedy");
  only("reserve", a.memory != actor_memory::anonymous, "huge pages and secret memory");
  for (const std::string_view key : {"accesses", "writes"}) {
    only(key, a.accesses_per_second > 0, "actors with accesses_per_second");
  }
  for (const std::string_view key : {"memlock", "ipc_lock"}) {
    only(key, a.memory == actor_memory::secret, "actors with secret memory");
  }
  return a;
}

background_load read_background(table_reader& table, std::string_view file) {
  static constexpr std::array<std::string_view, 3> of_trace{"trace", "speed", "repeats"};
  static constexpr std::array<std::string_view, 4> of_recipe{"recipe", "occupancy",
                                                             "unmovable_share", "pages_per_second"};
  if (table.has("trace") == table.has("recipe")) {
    table.complain_about("recipe", "background load is of a \"trace\" or of a \"recipe\": {}",
                         table.has("trace") ? "it has both" : "it has neither");
  }
  if (table.has("trace")) {
    table.allow_only(of_trace);
    trace_load load;
    load.trace = std::filesystem::path{std::string{file}}.parent_path() / table.word("trace", "");
    if (table.has("speed")) load.speed = table.decimal("speed", 0.001, 1000);
    load.repeats = table.truth("repeats", load.repeats);
    return load;
  }
  table.allow_only(of_recipe);
  recipe_background load{.plan = {.occupancy = 0.2}};
  detail::read_recipe_name(table, "background", load.plan);
  for (const auto& n : ageing_numbers) {
    if (table.has(n.name)) load.plan.*n.member = table.decimal(n.name, n.least, n.most);
  }
  load.pages_per_second = table.decimal("pages_per_second", 1, 1e8);
  return load;
}

}  // namespace

void detail::read_recipe_name(table_reader& table, std::string_view of, ageing_plan& into) {
  into.recipe = table.word("recipe", into.recipe);
  if (const auto found = find_recipe(into.recipe); !found) {
    table.complain_about("recipe", "{}.recipe: {}", of, found.error());
  }
}

namespace {

double seconds(sim_duration time) { return std::chrono::duration<double>(time).count(); }

// Steps that all processes of an actor may take: pages that they use first, accesses, and attempts
// to map more. What the greedy use memory limits.
double steps_of(const actor& a, sim_duration duration) {
  auto lives = seconds(duration - std::min(duration, a.arrival));
  if (a.lifetime) lives = std::min(lives, static_cast<double>(a.lifetime->most()) / 1e9);
  auto steps = lives * a.accesses_per_second;
  if (a.greedy) {
    steps += lives / seconds(a.retry);
  } else {
    steps += static_cast<double>(a.size.most()) * a.used;
  }
  return steps * static_cast<double>(a.processes);
}

// What would take for ever is no experiment.
void check_work(table_reader& top, const scenario& s) {
  std::uint64_t processes = 0;
  double steps = 0;
  for (const auto& a : s.actors) {
    processes += a.processes;
    steps += steps_of(a, s.duration);
    if (a.arrival >= s.duration) {
      top.complain_about("actor", "actor \"{}\" arrives when the {} s are over", a.name,
                         seconds(s.duration));
    }
  }
  if (processes > most_processes) {
    top.complain_about("actor", "{} processes: allowed are {}", processes, most_processes);
  }
  if (const auto* load = s.background ? std::get_if<recipe_background>(&*s.background) : nullptr) {
    steps += load->pages_per_second * seconds(s.duration);
  }
  for (const auto& p : s.policies) {
    const auto rounds = p.merge_period ? seconds(s.duration) / seconds(*p.merge_period) : 0;
    if (steps + rounds <= static_cast<double>(most_steps)) continue;
    top.complain_about("duration",
                       "policy \"{}\": {:.3g} first uses, accesses, attempts and rounds in {} s: "
                       "allowed are {}",
                       p.name, steps + rounds, seconds(s.duration), most_steps);
  }
}

// Of memory that the machine does not have nothing can be set aside.
void check_sizes(table_reader& top, const scenario& s) {
  const auto frames = s.machine.memory.end().value();
  for (const auto& p : s.policies) {
    if (p.huge_pages > frames / pageblock_frames || p.set_aside > frames) {
      top.complain_about("policy", "policy \"{}\": {} huge pages and {} frames set aside, of {}",
                         p.name, p.huge_pages, p.set_aside, frames);
    }
  }
  const bool has_pool = std::ranges::any_of(s.policies, [](const policy_choice& p) {
    return p.huge_pages + p.overcommit_huge_pages > 0;
  });
  for (const auto& a : s.actors) {
    if (a.memory != actor_memory::hugetlb || has_pool) continue;
    top.complain_about("actor", "actor \"{}\" wants huge pages, and no policy has \"huge_pages\"",
                       a.name);
  }
}

}  // namespace

void detail::read_experiment(table_reader& top, scenario& into, std::string_view file) {
  constexpr std::int64_t most_samples = 100'000;
  constexpr sim_duration least{1000};
  for (const auto* const key : {"duration", "policy"}) {
    const bool is_array = key == std::string_view{"policy"};
    if (!top.has(key)) {
      top.complain_about(key, "a scenario with actors has no {}{}{}", is_array ? "[[" : "\"", key,
                         is_array ? "]]" : "\"");
    }
  }
  into.duration = top.duration("duration", {}, least);
  into.sample_interval = top.duration("sample_interval", into.duration / 100, sim_duration{1});
  if (into.sample_interval.count() > 0 &&
      into.duration.count() / into.sample_interval.count() > most_samples) {
    top.complain_about("sample_interval", "sample_interval: {} samples, of {} at most",
                       into.duration.count() / into.sample_interval.count(), most_samples);
  }
  if (into.sample_interval > into.duration) {
    top.complain_about("sample_interval", "sample_interval is longer than the duration");
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
  if (top.has_problem()) return;
  check_work(top, into);
  check_sizes(top, into);
}

}  // namespace memsim
