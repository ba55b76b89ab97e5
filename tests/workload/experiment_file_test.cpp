// SPDX-License-Identifier: Apache-2.0
// Policies, actors and background load of scenario files: what is read, and what is refused.
#include <chrono>
#include <string>

#include <memsim/arch/merge_policy.hpp>
#include <memsim/workload/scenario.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

const std::string smallest = R"(duration = "1 s"
[machine]
memory = "64 MiB"
[[policy]]
name = "one"
[[actor]]
name = "tenant"
size = "1 MiB"
)";

scenario parse(const std::string& text) {
  auto read = parse_scenario(text, "dir/s.toml");
  INFO(text);
  if (!read) FAIL(read.error().message());
  return *read;
}

std::string complaint(const std::string& text) {
  const auto read = parse_scenario(text, "dir/s.toml");
  INFO(text);
  REQUIRE_FALSE(read);
  return read.error().message();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string with_policy(const std::string& more) {
  return replaced(smallest, "name = \"one\"\n", "name = \"one\"\n" + more + "\n");
}

}  // namespace

TEST_CASE("a scenario with actors needs a machine, a duration, a policy and an actor",
          "[workload][experiment]") {
  const auto s = parse(smallest);
  CHECK_FALSE(s.ageing);
  CHECK(s.duration == 1s);
  CHECK(s.sample_interval == 10ms);
  REQUIRE(s.policies.size() == 1);
  CHECK(s.policies[0].name == "one");
  CHECK(s.policies[0].secretmem.name == secretmem_6_1.name);
  REQUIRE(s.actors.size() == 1);
  CHECK(s.actors[0] == actor{.name = "tenant", .size = (1_MiB).frames()});
  CHECK_FALSE(s.background);

  CHECK_THAT(complaint(replaced(smallest, "duration = \"1 s\"\n", "")),
             ContainsSubstring("dir/s.toml") &&
                 ContainsSubstring("a scenario with actors has no \"duration\""));
  CHECK_THAT(complaint(replaced(smallest, "[[policy]]\nname = \"one\"\n", "")),
             ContainsSubstring("has no [[policy]]"));
  CHECK_THAT(complaint("duration = \"1 s\"\n[machine]\nmemory = \"64 MiB\"\n"
                       "[ageing]\nrecipe = \"build_farm\"\n"),
             ContainsSubstring("dir/s.toml:1: \"duration\" is for scenarios with an [[actor]]"));
}

TEST_CASE("a scenario says everything of actors, policies and background",
          "[workload][experiment]") {
  const auto s = parse(R"(question = "who pays?"
seed = 3
duration = "1.5 min"
sample_interval = "100 ms"
[machine]
memory = "1 GiB"
[[policy]]
name = "v16"
secretmem = "v16"
secretmem_area = "64 MiB"
aligned = true
limit = "none"
failure = "bus_error"
[[policy]]
name = "pool"
secretmem = "reserved"
set_aside = "32 MiB"
merging = "when_uniform"
merge_period = "1 s"
[[policy]]
name = "huge"
secretmem = "grouped"
grouping = "unmapped_cache"
oom = "kills"
huge_pages = 8
overcommit_huge_pages = 2
[[actor]]
name = "db"
memory = "secret"
size = "4 MiB"
processes = 3
user = 0
greedy = true
retry = "250 us"
arrival = "1 ms"
interval = { exponential = "2 ms" }
lifetime = "1 s"
accesses = "hot"
accesses_per_second = 1e3
writes = 0.25
memlock = "unlimited"
ipc_lock = true
[background]
trace = "small.trace"
speed = 2
repeats = false
)");
  CHECK(s.question == "who pays?");
  CHECK(s.duration == 90s);
  CHECK(s.sample_interval == 100ms);
  REQUIRE(s.policies.size() == 3);
  CHECK(s.policies[0].secretmem_area == (64_MiB).frames());
  CHECK(s.policies[0].secretmem.chunk_alignment == pageblock_order);
  CHECK(s.policies[0].secretmem.limit == secretmem_limit::none);
  CHECK(s.policies[0].secretmem.failure == secretmem_failure::bus_error);
  CHECK(s.policies[1].set_aside == (32_MiB).frames());
  CHECK(s.policies[1].merging == &merge_when_uniform);
  CHECK(s.policies[1].merge_period == sim_duration{1s});
  CHECK(s.policies[2].secretmem.grouping == unmapped_design::unmapped_cache);
  CHECK(s.policies[2].secretmem.oom == fault_oom::kills);
  CHECK(s.policies[2].huge_pages == 8);
  CHECK(s.policies[2].overcommit_huge_pages == 2);
  CHECK(s.actors[0] == actor{.name = "db",
                             .memory = actor_memory::secret,
                             .processes = 3,
                             .user = 0,
                             .size = (4_MiB).frames(),
                             .greedy = true,
                             .retry = 250us,
                             .arrival = 1ms,
                             .interval = distribution::exponential(2'000'000),
                             .lifetime = sim_duration{1s},
                             .accesses = page_choice::hot,
                             .accesses_per_second = 1000,
                             .writes = 0.25,
                             .memlock_limit = ~frame_count{0},
                             .ipc_lock = true});
  CHECK(s.background ==
        background_load{trace_load{.trace = "dir/small.trace", .speed = 2, .repeats = false}});
}

TEST_CASE("sizes and times are drawn from distributions", "[workload][experiment]") {
  const auto with_size = [](const std::string& value) {
    return replaced(smallest, "\"1 MiB\"", value);
  };
  CHECK(parse(with_size("{ uniform = [\"4 KiB\", \"1 MiB\"] }")).actors[0].size ==
        distribution::uniform(1, 256));
  CHECK(parse(with_size("{ log_uniform = [8192, \"1 MiB\"] }")).actors[0].size ==
        distribution::log_uniform(2, 256));
  CHECK(parse(smallest + "lifetime = { exponential = \"2 ms\" }\n").actors[0].lifetime ==
        distribution::exponential(2'000'000));
  CHECK(parse(smallest + "interval = { uniform = [\"0 s\", \"1 us\"] }\n").actors[0].interval ==
        distribution::uniform(0, 1000));
  const auto [value, message] = GENERATE(table<std::string, std::string>({
      {"{}", "dir/s.toml:8: actor.size: a value is wanted, or one of { uniform = [A, B] }"},
      {"{ normal = 1 }", "a value is wanted, or one of"},
      {"{ exponential = 4096, uniform = [4096, 8192] }", "a value is wanted, or one of"},
      {"{ uniform = 4096 }", "actor.size.uniform = 4096: two values [A, B] are wanted"},
      {"{ uniform = [4096] }", "actor.size.uniform = an array: two values"},
      {"{ uniform = [8192, 4096] }", "actor.size.uniform: the first value may not be above the"},
      {"{ uniform = [4096, \"x\"] }", "actor.size.uniform = \"x\": allowed are multiples of 4 KiB"},
      {"{ exponential = 0 }", "actor.size.exponential = 0: allowed are multiples of 4 KiB from 4"},
  }));
  CHECK_THAT(complaint(with_size(value)), ContainsSubstring(message));
  CHECK_THAT(complaint(smallest + "interval = { exponential = \"0 s\" }\n"),
             ContainsSubstring("actor.interval.exponential: the mean is 0"));
  CHECK_THAT(complaint(smallest + "interval = { log_uniform = [\"0 s\", \"1 s\"] }\n"),
             ContainsSubstring("actor.interval.log_uniform: the first value may not be 0"));
}

TEST_CASE("background load is of a trace or of a recipe", "[workload][experiment]") {
  const auto s = parse("seed = 9\n" + smallest + R"([background]
recipe = "build_farm"
occupancy = 0.3
unmovable_share = 0.2
pages_per_second = 50_000
[recipe.build_farm]
jobs = 4
)");
  CHECK_FALSE(s.ageing);
  CHECK(s.background == background_load{recipe_background{.plan = {.recipe = "build_farm",
                                                                   .occupancy = 0.3,
                                                                   .unmovable_share = 0.2,
                                                                   .parameters = {{"jobs", 4}},
                                                                   .seed = 9},
                                                          .pages_per_second = 50'000}});
  const auto [text, message] = GENERATE(table<std::string, std::string>({
      {"speed = 1", "background load is of a \"trace\" or of a \"recipe\": it has neither"},
      {"trace = \"a\"\nrecipe = \"build_farm\"", "it has both"},
      {"recipe = \"farm\"", "background.recipe: no recipe \"farm\"; there are build_"},
      {"recipe = \"build_farm\"", "no \"background.pages_per_second\""},
      {"recipe = \"build_farm\"\npages_per_second = 0", "allowed are 1 to 100000000"},
      {"recipe = \"build_farm\"\npages_per_second = 1\nspeed = 2",
       "unknown key \"background.speed\""},
      {"trace = \"a\"\noccupancy = 0.1", "unknown key \"background.occupancy\""},
      {"recipe = \"build_farm\"\npages_per_second = 1\noccupancy = 2", "allowed are 0.01 to 0.98"},
  }));
  CHECK_THAT(complaint(smallest + "[background]\n" + text + "\n"), ContainsSubstring(message));
}

TEST_CASE("a setting names the policy or the actor that it is for", "[workload][experiment]") {
  const auto two = smallest + "[[actor]]\nname = \"v1.5\"\nsize = \"4 KiB\"\n" +
                   "[[actor]]\nname = \"tenant2\"\nsize = \"4 KiB\"\n";
  const auto with = [&](const std::string& key, const std::string& value) {
    const std::vector<scenario_setting> settings{{key, value}};
    return parse_scenario(two, "s.toml", settings);
  };
  const auto larger = with("actor.v1.5.size", "8 KiB");
  REQUIRE(larger);
  CHECK(larger->actors[0].size == 256);
  CHECK(larger->actors[1].size == 2);
  REQUIRE(with("actor.tenant2.size", "8 KiB"));
  CHECK(with("actor.tenant2.size", "8 KiB")->actors[2].size == 2);
  CHECK_FALSE(with("policy.one.secretmem", "v17"));
  // 5_14 is a name, 1_000 a number.
  CHECK(with("actor.tenant.processes", "1_000")->actors[0].processes == 1000);
  CHECK(with("policy.one.secretmem", "5_14")->policies[0].secretmem.name == "5_14");
  CHECK_THAT(with("policy.two.secretmem", "5_14").error().message(),
             ContainsSubstring("policy.two.secretmem: no [[policy]] is named so; there are one"));
  CHECK_THAT(with("actor.size", "8 KiB").error().message(),
             ContainsSubstring("no [[actor]] is named so; there are tenant, v1.5, tenant2"));
}

TEST_CASE("a limit of locked memory is a size, or unlimited", "[workload][experiment]") {
  const auto limit = [](const std::string& value) {
    return parse(smallest + "memory = \"secret\"\nmemlock = " + value + "\n")
        .actors[0]
        .memlock_limit;
  };
  CHECK(limit("\"64 KiB\"") == 16);
  CHECK(limit("8192") == 2);
  CHECK(limit("0") == 0);
  CHECK(limit("\"unlimited\"") == ~frame_count{0});
  CHECK_THAT(complaint(smallest + "memory = \"secret\"\nmemlock = \"much\"\n"),
             ContainsSubstring("actor.memlock = \"much\": allowed are multiples of 4 KiB"));
}

TEST_CASE("a scenario's mistakes are named with file, line, and what is allowed",
          "[workload][experiment]") {
  struct mistake {
    std::string text;
    std::string message;
  };
  const auto [text, message] = GENERATE(
      mistake{replaced(smallest, "size", "siez"),
              "dir/s.toml:8: unknown key \"actor.siez\"; there are name, memory,"},
      mistake{replaced(smallest, "\"1 MiB\"", "\"1 MB\""),
              "dir/s.toml:8: actor.size = \"1 MB\": allowed are multiples of 4 KiB"},
      mistake{replaced(smallest, "\"1 s\"", "\"1 h\""),
              "dir/s.toml:1: duration = \"1 h\": a time such as \"20 ms\" is wanted"},
      mistake{replaced(smallest, "\"1 s\"", "\"-1 s\""), "dir/s.toml:1: duration = \"-1 s\""},
      mistake{replaced(smallest, "\"1 s\"", "1"), "dir/s.toml:1: duration = 1: a time"},
      mistake{replaced(smallest, "\"1 s\"", "\"1e40 s\""), "dir/s.toml:1: duration = \"1e40 s\""},
      mistake{"sample_interval = \"1 us\"\n" + smallest, "1000000 samples, of 100000 at most"},
      mistake{with_policy("secretmem = \"v17\""),
              "dir/s.toml:6: policy.secretmem = \"v17\": allowed are v16, 5_14, 6_1,"},
      mistake{with_policy("secretmem = \"v16\""), "say how large"},
      mistake{with_policy("secretmem = \"reserved\""), "say how large"},
      mistake{with_policy("set_aside = \"2 MiB\""),
              "\"set_aside\" is the pool that only secretmem = \"reserved\" has"},
      mistake{replaced(smallest, "size", "siez"), "memlock, ipc_lock; is \"size\" meant?"},
      mistake{with_policy("failure = \"buserror\""),
              "allowed are out_of_memory, bus_error; is \"bus_error\" meant?"},
      mistake{with_policy("limit = \"some\""),
              "policy.limit = \"some\": allowed are none, per_process_at_mmap, per_user_at_fault"},
      mistake{smallest + "[[policy]]\nname = \"one\"\n",
              "policy.name = \"one\": there is one of that name"},
      mistake{replaced(smallest, "\"tenant\"", "\"a b\""),
              "actor.name = \"a b\": 1 to 40 letters, digits"},
      mistake{smallest + "memory = \"hugetlb\"\n",
              "actor \"tenant\": 256 frames are no multiple of a huge page of 2 MiB"},
      mistake{smallest + "processes = 100001\n",
              "actor.processes = 100001: allowed are 1 to 100000"},
      // What makes no sense together.
      mistake{
          with_policy("grouping = \"unmapped_cache\""),
          "policy \"one\": \"grouping\" is for a design that groups pages, and \"6_1\" is none"},
      mistake{with_policy("aligned = true"), "\"aligned\" is for designs with chunks of 2 MiB"},
      mistake{with_policy("absent = \"page\""), "\"absent\" is for designs with chunks of 2 MiB"},
      mistake{with_policy("secretmem_area = \"2 MiB\""), "\"secretmem_area\" is for designs with"},
      mistake{with_policy("secretmem = \"proposal\"\noom = \"kills\""),
              "\"oom\" is for designs whose failure is out_of_memory"},
      mistake{with_policy("secretmem = \"reserved\"\nset_aside = \"4 MiB\"\n"
                          "secretmem_area = \"2 MiB\""),
              "dir/s.toml:7: policy \"one\": 1024 frames are more than its area of 512"},
      mistake{with_policy("huge_pages = 100000"), "100000 huge pages and 0 frames set aside, of"},
      mistake{smallest + "retry = \"1 s\"\n", "\"retry\" is for actors that are greedy"},
      mistake{smallest + "writes = 0.1\n", "\"writes\" is for actors with accesses_per_second"},
      mistake{smallest + "accesses = \"hot\"\n", "\"accesses\" is for actors with"},
      mistake{smallest + "ipc_lock = true\n", "\"ipc_lock\" is for actors with secret memory"},
      mistake{smallest + "greedy = true\nused = 0\n",
              "greedy, and used = 0: it would map for ever"},
      mistake{smallest + "arrival = \"1 s\"\n", "actor \"tenant\" arrives when the 1 s are over"},
      mistake{"sample_interval = \"2 s\"\n" + smallest,
              "sample_interval is longer than the duration"},
      mistake{replaced(smallest, "\"1 MiB\"", "\"2 MiB\"") + "memory = \"hugetlb\"\n",
              "actor \"tenant\" wants huge pages, and no policy has \"huge_pages\""},
      mistake{smallest + "[recipe.build_farm]\njobs = 2\n",
              "[recipe.build_farm], and no recipe is carried out"},
      // What would take for ever.
      mistake{smallest + "accesses_per_second = 1e9\nprocesses = 1000\n",
              "1e+12 first uses, accesses, attempts and rounds in 1 s: allowed are 1000000000"},
      mistake{smallest + "greedy = true\nretry = \"1 ns\"\nprocesses = 2\n", "2e+09 first uses"},
      mistake{with_policy("merge_period = \"1 ns\"") + "processes = 2\n", "1e+09 first uses"},
      mistake{replaced(smallest, "\"1 MiB\"", "\"1 TiB\"") + "processes = 100000\n",
              "2.68e+13 first uses"},
      mistake{
          smallest + "processes = 60000\n[[actor]]\nname = \"b\"\nsize = 4096\nprocesses = 60000\n",
          "120000 processes: allowed are 100000"},
      // Values at their ends.
      mistake{replaced(smallest, "\"1 s\"", "\"999 ns\""), "at least 1000 ns"},
      mistake{smallest + "accesses_per_second = -1\n",
              "accesses_per_second = -1: allowed are 0 to"},
      mistake{smallest + "used = 1.5\n", "actor.used = 1.5: allowed are 0 to 1"},
      mistake{smallest + "greedy = true\nretry = \"0 s\"\n", "actor.retry = \"0 s\": a time"},
      mistake{smallest + "lifetime = \"0 s\"\n", "actor.lifetime = \"0 s\": a time"},
      mistake{smallest + "processes = 4.0\n",
              "actor.processes = 4.0: allowed are whole numbers, 1 to 100000"},
      mistake{smallest + "[background]\ntrace = \"a\"\nspeed = 0\n",
              "speed = 0: allowed are 0.001"},
      mistake{replaced(smallest, "\"tenant\"", '"' + std::string(41, 'a') + '"'),
              "1 to 40 letters"},
      mistake{smallest + std::string(40, 'a') + "." +
                  "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w."
                  "x.y.z.a.b.c.d.e.f.g = 1\n",
              "a key with more than 32 dots"},
      mistake{smallest + "accesses_per_second = 1\nwrites = 2\n",
              "actor.writes = 2: allowed are 0 to 1"},
      mistake{std::string(1'100'001, '#'), "1100001 bytes are too many for a scenario"});
  CHECK_THAT(complaint(text), ContainsSubstring(message));
}

TEST_CASE("a scenario may be of any characters, in texts and comments", "[workload][experiment]") {
  const std::string question = "Wer zahlt f\u00fcr den Speicher?";
  const auto s = parse("\xef\xbb\xbfquestion = \"" + question + "\"  # \u00fcber\n" + smallest);
  CHECK(s.question == question);
  CHECK(parse("question = '" + question + "'\n" + smallest).question == question);
  CHECK(parse("question = \"\"\"a\"\" " + question + "\"\"\"\n" + smallest).question ==
        "a\"\" " + question);
  CHECK_THAT(complaint("qu\u00e4stion = 1\n" + smallest), ContainsSubstring("dir/s.toml:1: "));
  CHECK_THAT(complaint("question = \"\xff\"\n" + smallest),
             ContainsSubstring("dir/s.toml: a text that is not UTF-8"));
  CHECK(parse("question = 'a \\ \"" + question + "'\n" + smallest).question ==
        "a \\ \"" + question);
  CHECK(parse("question = \'\'\'a ' \"" + question + "\'\'\'\n" + smallest).question ==
        "a ' \"" + question);
  // A string without an end, and a character after it that is in none.
  CHECK_THAT(complaint("a = 7\"7\ncpus = \"\u00fc"), ContainsSubstring("dir/s.toml:1: "));
  // What it was read from is kept.
  CHECK(parse(smallest).text == smallest);
}

TEST_CASE("a design of chunks may take them unaligned", "[workload][experiment]") {
  const auto alignment = [](const std::string& value) {
    return parse(with_policy("secretmem = \"proposal\"\naligned = " + value))
        .policies[0]
        .secretmem.chunk_alignment;
  };
  CHECK(alignment("true") == pageblock_order);
  CHECK(alignment("false") == order{0});
}

TEST_CASE("a scenario that nests deeply is an error, and no crash", "[workload][experiment]") {
  std::string dots = smallest;
  for (int i = 0; i < 150'000; ++i) dots += "a.";
  CHECK_THAT(complaint(dots + "a = 1"), ContainsSubstring("more than 32 dots"));
  for (const std::string open : {"[", "{a="}) {
    std::string nested = smallest + "a = ";
    for (int i = 0; i < 100'000; ++i) nested += open;
    CHECK_THAT(complaint(nested), ContainsSubstring("dir/s.toml"));
  }
}
