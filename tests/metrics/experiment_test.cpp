// SPDX-License-Identifier: Apache-2.0
// Actors on a machine, under policies side by side.
#include <memsim/metrics/experiment.hpp>

#include <algorithm>
#include <string>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "metrics/experiment_runs.hpp"

using namespace memsim;
using test::parse_or_fail;
using test::run_or_fail;

namespace {

const actor_counts& counts(const experiment_results& r, const std::string& policy,
                           const std::string& actor) {
  const auto p = std::ranges::find(r.policies, policy, &policy_result::name);
  REQUIRE(p != r.policies.end());
  const auto a = std::ranges::find(p->actors, actor, &actor_result::name);
  REQUIRE(a != p->actors.end());
  return a->counts;
}

const std::string machine_of_64_mib = R"(
seed = 5
duration = "100 ms"
[machine]
memory = "64 MiB"
cpus = 2
profile = "linux_6_1"
)";

}  // namespace

TEST_CASE("durations are summed up by nearest rank", "[metrics][experiment]") {
  CHECK(summary_of({}) == latency_summary{});
  CHECK(summary_of({7}) == latency_summary{1, 7, 7, 7, 7, 7, 7});
  std::vector<std::uint64_t> thousand;
  for (std::uint64_t i = 1000; i > 0; --i) thousand.push_back(i);
  CHECK(summary_of(thousand) == latency_summary{1000, 500, 900, 990, 999, 1000, 500'500});
}

TEST_CASE("actors come, use their memory, and go", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of_64_mib + R"(
[[policy]]
name = "merged"
secretmem = "5_14"
[[actor]]
name = "tenant"
memory = "secret"
size = "1 MiB"
processes = 4
interval = "10 ms"
lifetime = "20 ms"
accesses_per_second = 10000
[[actor]]
name = "shell"
size = "512 KiB"
)");
  REQUIRE(r.policies.size() == 1);
  const auto& p = r.policies[0];
  const auto& tenant = counts(r, "merged", "tenant");
  CHECK(tenant.processes == 4);
  CHECK(tenant.mappings == 4);
  CHECK(tenant.pages == 4 * 256);
  // 20 ms at 10000 a second, less what the first uses take.
  CHECK(tenant.accesses > 4 * 150);
  CHECK(tenant.accesses <= 4 * 200);
  CHECK(counts(r, "merged", "shell").pages == 128);
  CHECK(p.first_use.count == 4 * 256 + 128);
  CHECK(p.first_use.p50 > 0);
  // What was split stays split.
  CHECK(p.at_start.mapped.m2 > p.at_end.mapped.m2);
  CHECK(p.after_all.mapped == p.at_end.mapped);
  CHECK(p.samples.rows() == 101);
  const auto pages = p.samples.column("secret_pages");
  CHECK(p.samples.values(0)[pages] == 0);
  CHECK(p.samples.values(5)[pages] == 256);
  CHECK(p.samples.values(100)[pages] == 0);
  CHECK(p.kernel_at_end.ns_per_access > 0);
}

TEST_CASE("each policy has the same machine, and the same run the same results",
          "[metrics][experiment]") {
  const auto text = machine_of_64_mib + R"(
[ageing]
recipe = "order_mixed_churn"
occupancy = 0.4
turnover = 0.5
[[policy]]
name = "a"
secretmem = "6_1"
[[policy]]
name = "b"
secretmem = "6_1"
[[policy]]
name = "area"
secretmem = "v16"
secretmem_area = "8 MiB"
[[actor]]
name = "tenant"
memory = "secret"
size = "256 KiB"
processes = 8
interval = { exponential = "5 ms" }
lifetime = "30 ms"
accesses = "hot"
accesses_per_second = 1000
)";
  const auto r = run_or_fail(text);
  CHECK(r.policies[0].state == r.policies[1].state);
  CHECK(r.policies[0].samples == r.policies[1].samples);
  CHECK(r.policies[0].state != r.policies[2].state);
  CHECK(json_of(r) == json_of(run_or_fail(text)));
  CHECK(csv_of(r) == csv_of(run_or_fail(text)));
}

TEST_CASE("a reserved pool moves every failure to mmap", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of_64_mib + R"(
[[policy]]
name = "reserved"
secretmem = "reserved"
set_aside = "4 MiB"
[[policy]]
name = "area"
secretmem = "v16"
secretmem_area = "4 MiB"
failure = "bus_error"
[[actor]]
name = "tenant"
memory = "secret"
size = "1 MiB"
processes = 8
)");
  CHECK(counts(r, "reserved", "tenant").no_memory_at_mmap == 4);
  CHECK(counts(r, "reserved", "tenant").bus_errors == 0);
  CHECK(counts(r, "reserved", "tenant").pages == 4 * 256);
  // Chunks of 2 MiB a file: who comes third finds none.
  CHECK(counts(r, "area", "tenant").no_memory_at_mmap == 0);
  CHECK(counts(r, "area", "tenant").bus_errors == 6);
}

TEST_CASE("a greedy actor maps until it is refused, and tries again", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of_64_mib + R"(
[[policy]]
name = "pool"
secretmem = "6_1"
huge_pages = 4
[[actor]]
name = "greedy"
memory = "hugetlb"
size = "2 MiB"
greedy = true
retry = "10 ms"
lifetime = "55 ms"
)");
  CHECK(counts(r, "pool", "greedy").mappings == 4);
  CHECK(counts(r, "pool", "greedy").no_memory_at_mmap == 6);
  CHECK(counts(r, "pool", "greedy").bus_errors == 0);
}

TEST_CASE("an experiment's results are JSON and CSV with units", "[metrics][experiment]") {
  auto r = run_or_fail("question = \"what?\"\n" + machine_of_64_mib + R"(
[[policy]]
name = "one"
[[policy]]
name = "two"
[[actor]]
name = "tenant"
memory = "secret"
size = "64 KiB"
)");
  const auto json = nlohmann::json::parse(json_of(r));
  CHECK(json["schema"] == "memsim.experiment/1");
  CHECK(json["question"] == "what?");
  CHECK(json["seed"] == 5);
  CHECK(json["profile"] == "linux_6_1");
  CHECK(json["recipe"].is_null());
  CHECK(json["policies"].size() == 2);
  CHECK(json["policies"][1]["name"] == "two");
  CHECK(json["policies"][1]["actors"][0]["pages"] == 16);
  CHECK(json["policies"][0]["direct_map"]["end"]["4k"].get<int>() > 0);
  CHECK(json["units"]["actors"]["bus_errors"] == "processes: ended by SIGBUS");
  const auto csv = csv_of(r);
  CHECK(csv.starts_with("policy,time [s],direct_map_4k [mappings],"));
  CHECK(std::ranges::count(csv, '\n') == 1 + 2 * 101);
  CHECK(csv.find("\ntwo,0.1") != std::string::npos);
}

TEST_CASE("sizes and lifetimes are each process's own", "[metrics][experiment]") {
  const auto base = machine_of_64_mib + R"(
[[policy]]
name = "one"
[[actor]]
name = "tenant"
processes = 40
interval = { uniform = ["0 s", "1 ms"] }
)";
  const auto alike = run_or_fail(base + "size = \"64 KiB\"\n");
  CHECK(counts(alike, "one", "tenant").pages == 40 * 16);
  const auto drawn = run_or_fail(base + "size = { uniform = [\"4 KiB\", \"128 KiB\"] }\n");
  const auto pages = counts(drawn, "one", "tenant").pages;
  CHECK(pages != 40 * 16);
  CHECK(pages > 40 * 10);  // 16.5 on average, with a deviation of 1.5
  CHECK(pages < 40 * 23);
  CHECK(drawn.policies[0].state != alike.policies[0].state);
  // Who lives for 1 ms makes a tenth of the accesses of who lives for 10.
  const auto use = "size = \"4 KiB\"\naccesses_per_second = 10000\n";
  const auto brief = run_or_fail(base + use + "lifetime = { exponential = \"1 ms\" }\n");
  const auto longer = run_or_fail(base + use + "lifetime = { exponential = \"10 ms\" }\n");
  CHECK(counts(brief, "one", "tenant").accesses * 5 < counts(longer, "one", "tenant").accesses);
}

TEST_CASE("huge pages are drawn whole", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of_64_mib + R"(
[[policy]]
name = "pool"
huge_pages = 6
[[actor]]
name = "db"
memory = "hugetlb"
size = { uniform = ["4 KiB", "2 MiB"] }
processes = 6
)");
  CHECK(counts(r, "pool", "db").mappings == 6);
  CHECK(counts(r, "pool", "db").pages == 6 * 512);
}

TEST_CASE("who was refused first, and when", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of_64_mib + R"(
[[policy]]
name = "pool"
huge_pages = 3
[[actor]]
name = "db"
memory = "hugetlb"
size = "2 MiB"
processes = 6
interval = "10 ms"
[[actor]]
name = "shell"
size = "4 KiB"
)");
  CHECK(r.policies[0].actors[0].first_failure == sim_duration{std::chrono::milliseconds{30}});
  CHECK_FALSE(r.policies[0].actors[1].first_failure);
}

TEST_CASE("who would come after the end does not", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of_64_mib + R"(
[[policy]]
name = "one"
[[actor]]
name = "late"
size = "4 KiB"
processes = 100000
interval = "52560000 min"
)");
  CHECK(counts(r, "one", "late").processes == 1);
}

TEST_CASE("a recipe goes on in the background", "[metrics][experiment]") {
  const auto base = machine_of_64_mib + R"(
[[policy]]
name = "one"
[[actor]]
name = "shell"
size = "4 KiB"
)";
  const auto free_at = [](const experiment_results& r, std::size_t row) {
    const auto& samples = r.policies[0].samples;
    return samples.values(row)[samples.column("free")];
  };
  const auto recipe = GENERATE(as<std::string>{}, "build_farm", "page_cache_churn",
                               "network_server", "memory_pressure", "unmovable_burst",
                               "huge_page_churn", "fill_shuffle_free", "order_mixed_churn");
  INFO(recipe);
  const auto text = base + "[background]\nrecipe = \"" + recipe +
                    "\"\noccupancy = 0.3\npages_per_second = 20_000\n";
  const auto quiet = run_or_fail(base);
  const auto busy = run_or_fail(text);
  CHECK(busy.policies[0].background_error.empty());
  CHECK(free_at(quiet, 1) - free_at(quiet, 100) < 50);
  // A page in 50 us, a few at a time: 1980 in the 99 ms from the first sample to the last.
  const auto taken = free_at(busy, 0) - free_at(busy, 100);
  CHECK(taken > 1500);
  CHECK(taken < 3500);
  CHECK(busy.policies[0].state != quiet.policies[0].state);
  CHECK(json_of(busy) == json_of(run_or_fail(text)));
}

TEST_CASE("what cannot be run is an error", "[metrics][experiment]") {
  scenario none;
  CHECK_THROWS_WITH(run_experiment(none), "0 policies and 0 actors: a scenario to be run has both");
  const auto base = machine_of_64_mib + "[[actor]]\nname = \"a\"\nsize = \"4 KiB\"\n";
  const auto large = run_experiment(parse_or_fail(
      base + "[[policy]]\nname = \"p\"\nsecretmem = \"v16\"\nsecretmem_area = \"128 MiB\"\n"));
  REQUIRE_FALSE(large);
  CHECK(large.error().code() == errc::inconsistent);
  CHECK_THAT(large.error().message(), ContainsSubstring("policy \"p\""));
  const auto missing = run_experiment(
      parse_or_fail(base + "[[policy]]\nname = \"p\"\n[background]\ntrace = \"none.trace\"\n"));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code() == errc::io);
  CHECK(missing.error().message() == "none.trace: cannot be read: No such file or directory");
}
