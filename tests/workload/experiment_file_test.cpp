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
             ContainsSubstring("has no \"policy\""));
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
absent = "page"
huge_pages = 8
overcommit_huge_pages = 2
[[actor]]
name = "db"
memory = "hugetlb"
size = "4 MiB"
processes = 3
user = 0
greedy = true
retry = "250 us"
arrival = "1 ms"
interval = "2 ms"
random_arrivals = true
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
  CHECK_FALSE(s.policies[2].secretmem.unmaps_chunks);
  CHECK(s.policies[2].huge_pages == 8);
  CHECK(s.policies[2].overcommit_huge_pages == 2);
  CHECK(s.actors[0] == actor{.name = "db",
                             .memory = actor_memory::hugetlb,
                             .processes = 3,
                             .user = 0,
                             .size = (4_MiB).frames(),
                             .greedy = true,
                             .retry = 250us,
                             .arrival = 1ms,
                             .interval = 2ms,
                             .random_arrivals = true,
                             .lifetime = sim_duration{1s},
                             .accesses = page_choice::hot,
                             .accesses_per_second = 1000,
                             .writes = 0.25,
                             .memlock_limit = ~frame_count{0},
                             .ipc_lock = true});
  CHECK(s.background == background_load{.trace = "dir/small.trace", .speed = 2, .repeats = false});
}

TEST_CASE("a limit of locked memory is a size, or unlimited", "[workload][experiment]") {
  const auto limit = [](const std::string& value) {
    return parse(smallest + "memlock = " + value + "\n").actors[0].memlock_limit;
  };
  CHECK(limit("\"64 KiB\"") == 16);
  CHECK(limit("8192") == 2);
  CHECK(limit("0") == 0);
  CHECK(limit("\"unlimited\"") == ~frame_count{0});
  CHECK_THAT(complaint(smallest + "memlock = \"much\"\n"),
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
      mistake{smallest + "writes = 2\n", "actor.writes = 2: allowed are 0 to 1"},
      mistake{smallest + "[background]\nspeed = 1\n", "no \"background.trace\""},
      mistake{std::string(1'100'001, '#'), "1100001 bytes are too many for a scenario"});
  CHECK_THAT(complaint(text), ContainsSubstring(message));
}

TEST_CASE("a scenario that nests deeply is an error, and no crash", "[workload][experiment]") {
  for (const std::string open : {"[", "{a="}) {
    std::string nested = smallest + "a = ";
    for (int i = 0; i < 100'000; ++i) nested += open;
    CHECK_THAT(complaint(nested), ContainsSubstring("dir/s.toml"));
  }
}
