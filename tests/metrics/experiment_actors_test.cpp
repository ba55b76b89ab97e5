// SPDX-License-Identifier: Apache-2.0
// What becomes of actors under a policy, and that every counter agrees with every other.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include <memsim/metrics/experiment.hpp>

#include "catch.hpp"
#include "metrics/experiment_runs.hpp"

using namespace memsim;
using test::parse_or_fail;
using test::run_or_fail;

namespace {

const actor_result& actor_of(const policy_result& p, const std::string& name) {
  const auto found = std::ranges::find(p.actors, name, &actor_result::name);
  REQUIRE(found != p.actors.end());
  return *found;
}

std::uint64_t statistic_of(const policy_result& p, const std::string& name) {
  const auto found = std::ranges::find(p.statistics, name, &statistic_value::name);
  REQUIRE(found != p.statistics.end());
  return found->value;
}

std::uint64_t last_sample(const policy_result& p, std::string_view column) {
  return static_cast<std::uint64_t>(
      p.samples.values(p.samples.rows() - 1)[p.samples.column(column)]);
}

// Each thing that is counted twice is counted alike.
void check_counts(const policy_result& p) {
  actor_counts sum;
  std::uint64_t first_uses = 0;
  for (const auto& a : p.actors) {
    for (const auto& s : actor_statistics) sum.*s.member += a.counts.*s.member;
    first_uses += a.first_use.count;
  }
  CHECK(sum.killed == statistic_of(p, "oom_kills"));
  CHECK(last_sample(p, "refused_at_mmap") == sum.no_memory_at_mmap + sum.over_limit_at_mmap);
  CHECK(last_sample(p, "failed_at_fault") == sum.bus_errors + sum.out_of_memory + sum.killed);
  CHECK(p.first_use.count == first_uses);
}

std::string machine_of(const std::string& memory, unsigned cpus = 2) {
  return "seed = 5\nduration = \"100 ms\"\n[machine]\nmemory = \"" + memory +
         "\"\ncpus = " + std::to_string(cpus) + "\nprofile = \"linux_6_1\"\n";
}

}  // namespace

TEST_CASE("who is killed gives back his secret memory at once", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of("64 MiB") + R"(
[[policy]]
name = "merged"
secretmem = "5_14"
[[actor]]
name = "tenant"
memory = "secret"
size = "8 MiB"
processes = 10
interval = "9 ms"
)");
  const auto& p = r.policies[0];
  const auto& c = actor_of(p, "tenant").counts;
  check_counts(p);
  CHECK(c.killed > 0);
  CHECK(c.killed < 9);
  CHECK(statistic_of(p, "secretmem_files") == 10 - c.killed);
  CHECK(statistic_of(p, "secretmem_pages") <= (10 - c.killed) * 2048);
  CHECK(c.no_memory_at_mmap == 0);
}

TEST_CASE("anonymous memory has its victims, too, and each is counted once",
          "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of("64 MiB", 1) + R"(
[[policy]]
name = "one"
[[actor]]
name = "greedy"
size = "64 KiB"
greedy = true
processes = 4
)");
  check_counts(r.policies[0]);
  CHECK(actor_of(r.policies[0], "greedy").counts.killed > 0);
  CHECK(actor_of(r.policies[0], "greedy").counts.no_memory_at_mmap == 0);
}

TEST_CASE("VM_FAULT_OOM has somebody killed, or the fault made again", "[metrics][experiment]") {
  const auto text = [](const std::string& oom) {
    return machine_of("64 MiB") + R"(
[[policy]]
name = "v16"
secretmem = "v16"
secretmem_area = "4 MiB"
oom = ")" + oom +
           R"("
[[actor]]
name = "bystander"
size = "1 MiB"
[[actor]]
name = "tenant"
memory = "secret"
size = "64 KiB"
processes = 3
arrival = "1 ms"
interval = "1 ms"
lifetime = "30 ms"
)";
  };
  SECTION("kills") {
    const auto r = run_or_fail(text("kills"));
    check_counts(r.policies[0]);
    // The largest is not who has the chunks.
    CHECK(actor_of(r.policies[0], "bystander").counts.killed == 1);
    CHECK(actor_of(r.policies[0], "tenant").counts.killed == 1);
    CHECK(actor_of(r.policies[0], "tenant").counts.pages >= 32);
  }
  SECTION("retries") {
    const auto r = run_or_fail(text("retries"));
    check_counts(r.policies[0]);
    const auto& tenant = actor_of(r.policies[0], "tenant");
    CHECK(statistic_of(r.policies[0], "oom_kills") == 0);
    // The third has its pages when the first has left, and so once a millisecond it asks.
    CHECK(tenant.counts.pages == 3 * 16);
    CHECK(tenant.counts.retried_faults >= 26);
    CHECK(tenant.counts.retried_faults <= 30);
    CHECK(tenant.first_failure >= sim_duration{std::chrono::milliseconds{3}});
    CHECK(tenant.first_failure < sim_duration{std::chrono::milliseconds{4}});
  }
}

TEST_CASE("to leave takes the leaver's time, and nobody else's", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of("512 MiB", 1) + R"(
[[policy]]
name = "one"
secretmem = "5_14"
[[actor]]
name = "big"
size = "200 MiB"
lifetime = "49.05 ms"
[[actor]]
name = "small"
memory = "secret"
size = "4 MiB"
arrival = "49 ms"
)");
  const auto& small = actor_of(r.policies[0], "small");
  CHECK(small.first_use.count == 1024);
  CHECK(small.first_use.most < 50'000);
  CHECK(r.policies[0].work.count() > static_cast<std::int64_t>(r.policies[0].first_use.sum));
}

TEST_CASE("a user that an actor names is nobody else's", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of("64 MiB") + R"(
[[policy]]
name = "per-user"
secretmem = "6_1"
[[actor]]
name = "tenant"
memory = "secret"
size = "4 MiB"
arrival = "20 ms"
[[actor]]
name = "greedy"
memory = "secret"
user = 1000
size = "8 MiB"
)");
  CHECK(actor_of(r.policies[0], "tenant").counts.pages == 1024);
  // He has all that a user may have, and keeps it.
  CHECK(actor_of(r.policies[0], "greedy").counts.pages == 2048);
}

TEST_CASE("a lifetime is over also for who is not done", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of("128 MiB") + R"(
[[policy]]
name = "one"
secretmem = "5_14"
[[actor]]
name = "long"
memory = "secret"
size = "64 MiB"
memlock = "unlimited"
lifetime = "1 ms"
)");
  // 3 us a page.
  CHECK(actor_of(r.policies[0], "long").counts.pages < 500);
  CHECK(last_sample(r.policies[0], "secret_pages") == 0);
}

TEST_CASE("who is greedy stops when its time is over", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of("512 MiB") + R"(
[[policy]]
name = "one"
[[actor]]
name = "greedy"
size = "4 KiB"
greedy = true
lifetime = "1 ms"
)");
  CHECK(actor_of(r.policies[0], "greedy").counts.mappings > 100);
  CHECK(actor_of(r.policies[0], "greedy").counts.mappings < 3000);
}

TEST_CASE("accesses come at their rate", "[metrics][experiment]") {
  const auto accesses = [](const std::string& rate) {
    const auto r =
        run_or_fail(machine_of("64 MiB") +
                    "[[policy]]\nname = \"one\"\n[[actor]]\nname = \"a\"\nsize = \"4 KiB\"\n"
                    "accesses_per_second = " +
                    rate + "\n");
    return actor_of(r.policies[0], "a").counts.accesses;
  };
  CHECK(accesses("1000") == 99);
  CHECK(accesses("3e5") > 29'900);
  CHECK(accesses("3e5") < 30'001);
  CHECK(accesses("1e-300") == 0);
  CHECK(accesses("0") == 0);
}

TEST_CASE("whoever may lock is not limited", "[metrics][experiment]") {
  const auto limits = [](const std::string& more) {
    const auto r =
        run_or_fail(machine_of("64 MiB") +
                    "[[policy]]\nname = \"p\"\nsecretmem = \"5_14\"\n[[actor]]\nname = \"a\"\n"
                    "memory = \"secret\"\nsize = \"64 KiB\"\nmemlock = 0\n" +
                    more);
    check_counts(r.policies[0]);
    CHECK(statistic_of(r.policies[0], "secretmem_files") ==
          actor_of(r.policies[0], "a").counts.mappings);
    return actor_of(r.policies[0], "a").counts.over_limit_at_mmap;
  };
  CHECK(limits("") == 1);
  CHECK(limits("ipc_lock = true\n") == 0);
}

TEST_CASE("huge pages are counted where they are", "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of("64 MiB") + R"(
[[policy]]
name = "pool"
huge_pages = 4
[[policy]]
name = "surplus"
overcommit_huge_pages = 2
[[actor]]
name = "db"
memory = "hugetlb"
size = "2 MiB"
processes = 3
arrival = "50 ms"
used = 0.9
)");
  const auto& pool = r.policies[0];
  CHECK(pool.samples.values(0)[pool.samples.column("stranded_pages")] == 4 * 512);
  CHECK(last_sample(pool, "stranded_pages") == 512);
  CHECK(statistic_of(pool, "hugetlb_pool_pages") == 4);
  CHECK(actor_of(pool, "db").counts.pages == 3 * 512);
  CHECK(actor_of(r.policies[1], "db").counts.mappings == 2);
  CHECK(actor_of(r.policies[1], "db").counts.no_memory_at_mmap == 1);
}

TEST_CASE("what the kernel's accesses cost does not depend on how much is hidden",
          "[metrics][experiment]") {
  const auto r = run_or_fail(machine_of("256 MiB") + R"(
[[policy]]
name = "grouped"
secretmem = "grouped"
[[policy]]
name = "v16"
secretmem = "v16"
secretmem_area = "64 MiB"
[[policy]]
name = "single"
secretmem = "5_14"
[[actor]]
name = "tenant"
memory = "secret"
size = "2 MiB"
processes = 30
)");
  for (const auto i : {0u, 1u}) {
    INFO(r.policies[i].name);
    CHECK(r.policies[i].kernel_at_start.ns_per_access > 0);
    CHECK(r.policies[i].kernel_at_end == r.policies[i].kernel_at_start);
    CHECK(r.policies[i].kernel_after_all == r.policies[i].kernel_at_start);
  }
  CHECK(r.policies[2].kernel_at_end.ns_per_access > r.policies[2].kernel_at_start.ns_per_access);
  CHECK(r.policies[2].kernel_after_all == r.policies[2].kernel_at_end);
  CHECK(r.memory > 65'000);
  CHECK(r.memory <= 65'536);
}

TEST_CASE("when everybody has left nothing is left", "[metrics][experiment]") {
  const auto base = machine_of("64 MiB") +
                    "[[policy]]\nname = \"p\"\nsecretmem = \"v16\"\nsecretmem_area = \"8 MiB\"\n"
                    "[[actor]]\nname = \"a\"\nmemory = \"secret\"\nsize = \"64 KiB\"\n";
  const auto stays = run_or_fail(base);
  const auto leaves = run_or_fail(base + "lifetime = \"50 ms\"\n");
  CHECK(stays.policies[0].after_all == leaves.policies[0].after_all);
  CHECK(last_sample(stays.policies[0], "secret_pages") == 16);
  CHECK(last_sample(leaves.policies[0], "secret_pages") == 0);
}

TEST_CASE("what was split is whole again when everybody has left, if it is merged",
          "[metrics][experiment]") {
  const auto r =
      run_or_fail(machine_of("64 MiB") +
                  "merging = \"when_uniform\"\n[[policy]]\nname = \"p\"\nsecretmem = \"5_14\"\n"
                  "[[actor]]\nname = \"a\"\nmemory = \"secret\"\nsize = \"64 KiB\"\n");
  CHECK(r.policies[0].at_end.mapped != r.policies[0].at_start.mapped);
  CHECK(r.policies[0].after_all.mapped == r.policies[0].at_start.mapped);
}

TEST_CASE("a trace goes on in the background at its speed", "[metrics][experiment]") {
  const auto directory = std::filesystem::temp_directory_path() / "memsim_background_test";
  std::filesystem::create_directory(directory);
  // Three pages that stay: at 0, 10 and 20 ms, by CPUs of which one is none of this machine.
  std::ofstream{directory / "three.trace"}
      << "a-1 [000] ..... 1.000000: mm_page_alloc: page=0x1 pfn=0x1000 order=4 migratetype=0 "
         "gfp_flags=GFP_KERNEL\n"
         "a-1 [001] ..... 1.010000: mm_page_alloc: page=0x1 pfn=0x2000 order=4 migratetype=0 "
         "gfp_flags=GFP_KERNEL\n"
         "a-1 [007] ..... 1.020000: mm_page_alloc: page=0x1 pfn=0x3000 order=4 migratetype=0 "
         "gfp_flags=GFP_KERNEL\n";
  const auto base = machine_of("64 MiB", 1) +
                    "[[policy]]\nname = \"p\"\n[[actor]]\nname = \"a\"\n"
                    "size = \"4 KiB\"\narrival = \"99 ms\"\n";
  const auto taken = [&](const std::string& more, std::size_t ms) {
    auto s = parse_or_fail(base + "[background]\ntrace = \"" +
                           (directory / "three.trace").string() + "\"\n" + more);
    REQUIRE(check_experiment(s));
    const auto r = run_experiment(s);
    REQUIRE(r);
    CHECK(r->policies[0].background_error.empty());
    const auto& samples = r->policies[0].samples;
    const auto free = samples.column("free");
    return (samples.values(0)[free] - samples.values(ms)[free]) / 16;
  };
  // What is allocated where a block was before frees that: of the trace three are in use at most.
  CHECK(taken("repeats = false\n", 5) == 1);
  CHECK(taken("repeats = false\n", 15) == 2);
  CHECK(taken("repeats = false\n", 25) == 3);
  CHECK(taken("repeats = false\n", 90) == 3);
  CHECK(taken("repeats = false\nspeed = 2\n", 6) == 2);
  CHECK(taken("repeats = false\nspeed = 0.5\n", 15) == 1);
  CHECK(taken("", 90) == 3);
  // One that is freed, and one at the end, when the trace begins again.
  std::ofstream{directory / "three.trace"}
      << "a-1 [000] ..... 1.000000: mm_page_alloc: page=0x1 pfn=0x1000 order=4 migratetype=0 "
         "gfp_flags=GFP_KERNEL\n"
         "a-1 [000] ..... 1.010000: mm_page_free: page=0x1 pfn=0x1000 order=4\n"
         "a-1 [000] ..... 1.020000: mm_page_alloc: page=0x1 pfn=0x3000 order=4 migratetype=0 "
         "gfp_flags=GFP_KERNEL\n";
  CHECK(taken("repeats = false\n", 5) == 1);
  CHECK(taken("repeats = false\n", 15) == 0);
  CHECK(taken("repeats = false\n", 25) == 1);
  CHECK(taken("", 25) == 2);
  CHECK(taken("", 35) == 1);
  auto fast = parse_or_fail(base + "[background]\ntrace = \"" +
                            (directory / "three.trace").string() + "\"\nspeed = 1000\n");
  fast.duration = std::chrono::hours{10'000};
  CHECK_THAT(check_experiment(fast).error().message(),
             ContainsSubstring("3 events in 0.02 s, repeated at 1000 times their speed: allowed"));
  std::filesystem::remove_all(directory);
}

TEST_CASE("results come back from their files", "[metrics][experiment]") {
  auto r = run_or_fail("question = \"what?\"\n" + machine_of("64 MiB") + R"(
[ageing]
recipe = "order_mixed_churn"
occupancy = 0.4
turnover = 0.5
[[policy]]
name = "one"
secretmem = "5_14"
[[policy]]
name = "two"
secretmem = "6_1"
[[actor]]
name = "tenant"
memory = "secret"
size = "9 MiB"
processes = 2
)");
  r.command = "memsim run s.toml";
  const auto back = parse_experiment(json_of(r), csv_of(r));
  if (!back) FAIL(back.error().message());
  CHECK(json_of(*back) == json_of(r));
  CHECK(csv_of(*back) == csv_of(r));
  CHECK(table_of(*back) == table_of(r));
  CHECK(report_html(*back) == report_html(r));
  CHECK(back->policies[0].picture == r.policies[0].picture);
  CHECK(back->policies[1].samples == r.policies[1].samples);
  CHECK(back->policies[0].actors == r.policies[0].actors);
  CHECK(back->scenario == r.scenario);
  CHECK(r.recipe.starts_with("order_mixed_churn, occupancy 0.4, "));
}

TEST_CASE("a machine that there cannot be is no experiment", "[metrics][experiment]") {
  const auto complaint = [](const std::string& machine) {
    const auto s = parse_or_fail(
        "duration = \"1 ms\"\n[[policy]]\nname = \"p\"\n[[actor]]\nname = \"a\"\n"
        "size = \"4 KiB\"\n[machine]\n" +
        machine);
    const auto possible = check_experiment(s);
    REQUIRE_FALSE(possible);
    CHECK_FALSE(run_experiment(s));
    return possible.error().message();
  };
  CHECK_THAT(
      complaint("memory = \"64 MiB\"\n[[machine.cma]]\nbase = \"1 GiB\"\nsize = \"4 MiB\"\n"),
      ContainsSubstring("policy \"p\": "));
  CHECK_THAT(complaint("[[machine.region]]\nstart = 0\nsize = \"64 MiB\"\nkind = \"reserved\"\n"),
             ContainsSubstring("there is no RAM"));
}
