// SPDX-License-Identifier: Apache-2.0
#include <memsim/machine.hpp>

#include <map>

#include <memsim/arch/merge_policy.hpp>
#include <memsim/sim/spawn.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

machine_config small_machine() {
  return {.memory = memory_map::x86_64(4_GiB), .cpus = 4, .cpu = presets::ice_lake_sp()};
}

}  // namespace

SCENARIO("a machine is its parts, wired together", "[machine]") {
  machine m{small_machine()};
  CHECK(m.memory().cpus() == 4);
  CHECK(m.tlbs().cpus() == 4);
  CHECK(m.map().mapped().g1 == 3);
  CHECK(m.cpu(2).cpu == cpu_id{2});

  WHEN("a page of CPU 2 leaves the direct map") {
    const auto page = m.memory().alloc(m.cpu(2), order{0}, gfp_kernel).value();
    m.access(0, page);
    m.access(1, page);
    CHECK(m.access(1, page).hit_level == 1);
    REQUIRE(m.map().change(m.cpu(2), page, 1, make_invalid));
    THEN("the others' TLBs were flushed by its splits, and its ledger says so") {
      CHECK(m.access(1, page + 1).hit_level == 0);
      CHECK(m.cpu(2).done.ipis == 3 * m.cpu(2).done.mappings_split);
      CHECK(m.cpu(1).done == work{});
      CHECK(m.done().ipis == m.cpu(2).done.ipis);
      CHECK(m.done().page_walks == 3);
    }
    THEN("nobody can reach it any more") {
      CHECK_THROWS_WITH(m.access(0, page), ContainsSubstring("absent from the direct map"));
    }
    THEN("who looked before it left again, and was not told to forget, can") {
      REQUIRE(m.map().change(m.cpu(2), page, 1, make_default));
      m.access(0, page);
      REQUIRE(m.map().change(m.cpu(2), page, 1, make_invalid));
      CHECK(m.access(0, page).hit_level == 1);
      m.map().flush(m.cpu(2), page, 1);
      CHECK_THROWS_AS(m.access(0, page), usage_error);
    }
  }
}

SCENARIO("a machine's costs are its CPU's", "[machine]") {
  machine m{small_machine()};
  REQUIRE(m.memory().alloc(m.cpu(0), order{9}, gfp_kernel | gfp_flag::zero));
  CHECK(m.costs().price_of(m.done()) >= 512 * m.costs().of("pages_zeroed").each);
  CHECK(m.costs().name() == "ice_lake_sp");
}

namespace {

task<> unmap(machine& m, unsigned cpu, pfn page, std::vector<sim_time>& ends) {
  const auto turn = co_await m.cpu_time(cpu).acquire();
  REQUIRE(m.map().change(m.cpu(cpu), page, 1, make_invalid));
  co_await m.charge(cpu);
  ends.push_back(m.sim().now());
}

}  // namespace

SCENARIO("what a CPU does takes as long as it costs", "[machine]") {
  machine m{small_machine()};
  std::vector<sim_time> ends;
  spawn(m.sim(), unmap(m, 0, pfn{300'000}, ends));
  spawn(m.sim(), unmap(m, 0, pfn{600'000}, ends));
  spawn(m.sim(), unmap(m, 1, pfn{1'100'000}, ends));
  m.sim().run();
  REQUIRE(ends.size() == 3);
  // CPU 0 does one thing at a time, and is done when all that it did is paid for.
  CHECK(ends[1] < ends[2]);
  CHECK(m.cpu_time(0).counts().contended == 1);
  CHECK(m.cpu_time(1).counts().contended == 0);
  const auto whole = std::chrono::floor<sim_duration>(m.costs().price_of(m.done(0)));
  CHECK(ends[2].time_since_epoch() == whole);
  CHECK(m.take_charge(0) == sim_duration{0});

  THEN("translations are paid for, too") {
    m.access(0, pfn{400'000});
    machine paid = m;
    static_cast<void>(paid.take_charge(0));
    CHECK(paid.state_digest() != m.state_digest());  // what is still to pay bears on what comes
    CHECK(m.take_charge(0) > sim_duration{0});
    CHECK(m.take_charge(0) == sim_duration{0});
  }
  THEN("a fork has the time, and has paid what was paid") {
    machine branch = m;
    CHECK(branch.sim().now() == m.sim().now());
    CHECK(branch.take_charge(0) == sim_duration{0});
    CHECK(branch.state_digest() == m.state_digest());
    branch.sim().run_for(sim_duration{1});
    CHECK(branch.state_digest() != m.state_digest());
  }
  THEN("what is half done ends with the machine") {
    spawn(m.sim(), unmap(m, 0, pfn{310'000}, ends));
    m.sim().run_for(sim_duration{1});
  }
  CHECK_THROWS_WITH(m.take_charge(4), ContainsSubstring("CPU 4"));
  CHECK_THROWS_WITH(m.cpu_time(4), ContainsSubstring("CPU 4"));
}

SCENARIO("a CPU does one task at a time", "[machine]") {
  machine m{small_machine()};
  auto charge = [](machine& on, unsigned cpu) -> task<> { co_await on.charge(cpu); };
  spawn(m.sim(), charge(m, 1));
  CHECK_THROWS_WITH(m.sim().run(), ContainsSubstring("CPU 1 is charged, but no task has it"));
  spawn(m.sim(), charge(m, 4));
  CHECK_THROWS_WITH(m.sim().run(), ContainsSubstring("CPU 4: the machine has CPUs 0 to 3"));
}

SCENARIO("a copy is a fork", "[machine]") {
  machine m{small_machine()};
  const auto page = m.memory().alloc(m.cpu(0), order{0}, gfp_kernel).value();
  REQUIRE(m.map().change(m.cpu(0), page, 1, make_invalid));
  m.access(3, page + 1);
  const auto before = m.state_digest();

  machine branch = m;
  CHECK(branch.state_digest() == before);
  branch.tlbs().cpu(cpu_id{3}).flush(tlb_flush::everything());
  CHECK(branch.state_digest() != before);  // what a TLB has bears on what comes
  branch = m;
  REQUIRE(branch.map().change(branch.cpu(1), page + 5000, 1, make_invalid));
  CHECK(branch.memory().alloc(branch.cpu(0), order{3}, gfp_kernel));
  CHECK(m.state_digest() == before);
  CHECK(m.access(3, page + 1).hit_level == 1);
  CHECK(branch.access(3, page + 1).hit_level == 0);  // its own TLBs were flushed

  WHEN("a fork is assigned") {
    m = branch;
    CHECK(m.state_digest() == branch.state_digest());
    auto& same = m;
    m = same;
    CHECK(m.state_digest() == branch.state_digest());
    m.sim().schedule_after(sim_duration{1}, [&] { m = branch; });
    CHECK_THROWS_WITH(m.sim().run(), ContainsSubstring("cannot be replaced"));
  }
  WHEN("a machine is moved") {
    const machine moved{std::move(m)};
    CHECK(moved.state_digest() == before);
    CHECK(moved.map().page_tables() == 2);
  }
}

SCENARIO("the configuration decides", "[machine]") {
  SECTION("the largest pages of the direct map") {
    auto config = small_machine();
    config.largest_mapping = page_size::m2;
    CHECK(machine{config}.map().mapped().g1 == 0);
    config.largest_mapping = page_size::g1;
    config.cpu.largest_page = page_size::k4;
    CHECK(machine{config}.map().mapped().m2 == 0);
    config.largest_mapping = static_cast<page_size>(7);
    CHECK_THROWS_WITH(machine{config}, ContainsSubstring("largest_mapping 7"));
  }
  SECTION("which ranges are flushed whole") {
    auto config = small_machine();
    config.flush_ceiling = 2;
    const machine m{config};
    auto branch = m;
    branch.map().flush(branch.cpu(0), pfn{1000}, 3);
    CHECK(branch.cpu(0).done.tlb_full_flushes == 1);
    branch.map().flush(branch.cpu(0), pfn{1000}, 2);
    CHECK(branch.cpu(0).done.tlb_page_flushes == 2);
  }
  SECTION("when mappings merge") {
    auto config = small_machine();
    config.merging = &merge_when_uniform;
    machine m{config};
    REQUIRE(m.map().change(m.cpu(0), pfn{300'000}, 1, make_invalid));
    REQUIRE(m.map().change(m.cpu(0), pfn{300'000}, 1, make_default));
    CHECK(m.map().mapped().g1 == 3);
  }
  SECTION("whether it is a guest") {
    auto config = small_machine();
    config.nested = nested_paging{};
    machine m{config};
    m.access(0, pfn{300'000});
    CHECK(m.done().walk_host_references > 0);
    config.nested->host_page = static_cast<page_size>(9);
    CHECK_THROWS_WITH(machine{config}, ContainsSubstring("nested.host_page 9"));
  }
  SECTION("nothing that is out of range") {
    auto config = small_machine();
    config.cpus = 0;
    CHECK_THROWS_AS(machine{config}, usage_error);
    config.cpus = 4;
    config.cpu.tlb.levels.clear();
    CHECK_THROWS_AS(machine{config}, usage_error);
    config.cpu = presets::zen4();
    config.settings.watermark_scale_factor = 0;
    CHECK_THROWS_WITH(machine{config}, ContainsSubstring("watermark_scale_factor"));
    machine m{small_machine()};
    CHECK_THROWS_WITH(m.cpu(4), ContainsSubstring("CPU 4: the machine has CPUs 0 to 3"));
    CHECK_THROWS_WITH(m.access(0, pfn{790'000}), ContainsSubstring("not in the direct map"));
  }
}

SCENARIO("every statistic of a machine has a name of its own", "[machine]") {
  machine m{small_machine()};
  REQUIRE(m.map().change(m.cpu(0), pfn{300'000}, 1, make_invalid));
  m.access(2, pfn{700'000});
  m.access(2, pfn{700'001});
  std::vector<sim_time> ends;
  spawn(m.sim(), unmap(m, 0, pfn{310'000}, ends));
  spawn(m.sim(), unmap(m, 0, pfn{310'512}, ends));
  m.sim().run();
  std::map<std::string, std::uint64_t> values;
  for (const auto& s : m.statistics()) {
    CHECK(values.emplace(s.name, s.value).second);
    CHECK_FALSE(s.unit.empty());
    CHECK_FALSE(s.description.empty());
  }
  CHECK(values.at("DirectMap4k") == (4 * 512 + 0) * 4);
  CHECK(values.at("DirectMap1G") == 2 * 1048576);
  CHECK(values.at("direct_map_page_tables") == 4);
  CHECK(values.at("direct_map_level2_splits") == 3);
  CHECK(values.at("tlb_l1_hits_1g") == 1);
  CHECK(values.at("tlb_l2_misses_1g") == 1);
  CHECK(values.at("page_walks") == 1);
  CHECK(values.at("ipis") == 3 * 4);
  CHECK(values.at("fallbacks") == m.memory().counts().fallbacks);
  CHECK(values.at("cpu_resource_acquisitions") == 2);
  CHECK(values.at("cpu_resource_total_wait") == m.cpu_time(0).counts().total_wait_ns);
}
