// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/recipe.hpp>

#include <algorithm>
#include <sstream>
#include <string>

#include <memsim/machine.hpp>
#include <memsim/metrics/fragmentation.hpp>
#include <memsim/testing/invariants.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

machine fresh(const kernel_profile& profile = linux_6_12, bytes size = 1_GiB) {
  return machine{{.memory = memory_map::x86_64(size), .cpus = 4, .profile = profile}};
}

ageing_counts age_or_fail(machine& m, const ageing_plan& plan) {
  const auto counts = age(m, plan);
  INFO(plan.recipe);
  if (!counts) FAIL(counts.error().message());
  return *counts;
}

std::string complaint(const ageing_plan& plan) {
  auto m = fresh(linux_6_12, 64_MiB);
  const auto before = m.state_digest();
  const auto refused = age(m, plan);
  REQUIRE_FALSE(refused);
  CHECK(m.state_digest() == before);
  return refused.error().message();
}

/// What is left on a gigabyte with four CPUs, seven tenths of it in use, a tenth of that the
/// kernel's, after twice its memory was allocated.
struct aged_state {
  std::string_view recipe;
  double unusable_32k;  ///< part of free memory in blocks too small for 32 KiB
  double unusable_2m;
  double free_2m;           ///< part of memory in free blocks of 2 MiB
  double free_2m_if_moved;  ///< likewise if every movable page were moved
};

constexpr std::array expected_states{
    aged_state{"build_farm", 0.79, 0.85, 0.04, 0.89},
    aged_state{"fill_shuffle_free", 0.89, 0.92, 0.02, 0.87},
    aged_state{"huge_page_churn", 0.49, 0.63, 0.10, 0.90},
    aged_state{"memory_pressure", 0.74, 0.84, 0.05, 0.90},
    aged_state{"network_server", 0.44, 0.56, 0.13, 0.88},
    aged_state{"order_mixed_churn", 0.53, 0.69, 0.09, 0.89},
    aged_state{"page_cache_churn", 0.21, 0.84, 0.05, 0.89},
    aged_state{"unmovable_burst", 0.38, 0.77, 0.06, 0.72},
};

}  // namespace

TEST_CASE("every recipe leaves the state that it is known for", "[workload][recipes]") {
  REQUIRE(expected_states.size() == recipes().size());
  // So much may change when a recipe is made anew without its character being another.
  constexpr double tolerance = 0.04;
  for (const auto& expected : expected_states) {
    CAPTURE(expected.recipe);
    auto m = fresh();
    age_or_fail(m, {.recipe = std::string{expected.recipe}});
    const auto now = measure(m.memory()).machine;
    const auto free = total_by_order(now.free_blocks);
    const auto& large = now.large[0];
    CHECK(unusable_fraction(free, order{3}) == Approx(expected.unusable_32k).margin(tolerance));
    CHECK(unusable_fraction(free, order{9}) == Approx(expected.unusable_2m).margin(tolerance));
    CHECK(share_of(large.free_now, large.size, now.frames.memory) ==
          Approx(expected.free_2m).margin(tolerance));
    CHECK(share_of(large.free_if_moved, large.size, now.frames.memory) ==
          Approx(expected.free_2m_if_moved).margin(tolerance));
    CHECK(testing::check_invariants(m.memory()).empty());
  }
}

TEST_CASE("a recipe ends at the occupancy and the kernel's share that were asked for",
          "[workload][recipes]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    for (const auto& r : recipes()) {
      for (const double occupancy : {0.3, 0.8}) {
        CAPTURE(profile.name, r.name, occupancy);
        auto m = fresh(profile, 512_MiB);
        const auto before = measure(m.memory()).machine.frames;
        age_or_fail(m, {.recipe = std::string{r.name},
                        .occupancy = occupancy,
                        .unmovable_share = 0.05,
                        .turnover = 1});
        const auto after = measure(m.memory()).machine.frames;
        const auto managed = static_cast<double>(before.memory - before.unmovable);
        const auto kernel = static_cast<double>(after.unmovable - before.unmovable);
        const auto user = static_cast<double>(after.movable);
        CHECK(user == Approx(managed * occupancy * 0.95).epsilon(0.001));
        CHECK(kernel == Approx(managed * occupancy * 0.05).epsilon(0.02));
      }
    }
  }
}

TEST_CASE("a recipe does the same again, and something else with another seed",
          "[workload][recipes]") {
  for (const auto& r : recipes()) {
    CAPTURE(r.name);
    auto first = fresh(linux_6_12, 256_MiB);
    auto second = fresh(linux_6_12, 256_MiB);
    auto other = fresh(linux_6_12, 256_MiB);
    const ageing_plan plan{.recipe = std::string{r.name}, .turnover = 1};
    CHECK(age_or_fail(first, plan) == age_or_fail(second, plan));
    CHECK(first.state_digest() == second.state_digest());
    auto reseeded = plan;
    reseeded.seed = 2;
    age_or_fail(other, reseeded);
    CHECK(first.state_digest() != other.state_digest());
  }
}

TEST_CASE("every parameter of a recipe makes a difference, also at its ends",
          "[workload][recipes]") {
  for (const auto& r : recipes()) {
    const ageing_plan plan{.recipe = std::string{r.name}, .turnover = 0.5};
    auto as_usual = fresh(linux_6_12, 128_MiB);
    age_or_fail(as_usual, plan);
    for (const auto& p : r.parameters) {
      CHECK((p.least <= p.otherwise && p.otherwise <= p.most));
      for (const double value : {p.least, p.most}) {
        if (value == p.otherwise) continue;
        CAPTURE(r.name, p.name, value);
        auto with = plan;
        with.parameters[std::string{p.name}] = value;
        auto m = fresh(linux_6_12, 128_MiB);
        if (const auto counts = age(m, with); !counts) {
          CHECK(counts.error().code() == errc::no_memory);
        }
        CHECK(m.state_digest() != as_usual.state_digest());
      }
    }
  }
}

TEST_CASE("memory that is kept full to the last page still comes down", "[workload][recipes]") {
  for (const auto& r : recipes()) {
    CAPTURE(r.name);
    auto m = fresh(linux_6_12, 128_MiB);
    age_or_fail(m, {.recipe = std::string{r.name}, .occupancy = 0.5, .peak = 1, .turnover = 1});
    CHECK(testing::check_invariants(m.memory()).empty());
  }
}

// What each recipe has the kernel do, by its events.
TEST_CASE("reclaim makes room for files and swapped memory, and nobody else does",
          "[workload][recipes][reclaim]") {
  struct deeds {
    std::string_view recipe;
    bool evicts;
    bool swaps;
  };
  constexpr std::array expected{
      deeds{"build_farm", true, false},       deeds{"fill_shuffle_free", false, false},
      deeds{"huge_page_churn", false, false}, deeds{"memory_pressure", true, true},
      deeds{"network_server", true, false},   deeds{"order_mixed_churn", false, false},
      deeds{"page_cache_churn", true, false}, deeds{"unmovable_burst", true, false},
  };
  REQUIRE(expected.size() == recipes().size());
  for (const auto& e : expected) {
    CAPTURE(e.recipe);
    auto m = fresh(linux_6_12, 256_MiB);
    const auto counts = age_or_fail(m, {.recipe = std::string{e.recipe}});
    const auto& events = m.memory().reclaim_events();
    const auto taken = events.pages_reclaimed_direct + events.pages_reclaimed_kswapd;
    CHECK((taken > 0) == e.evicts);
    CHECK(counts.pages_evicted == taken);
    CHECK((events.swap_outs > 0) == e.swaps);
    CHECK((counts.swapped_in > 0) == e.swaps);
    CHECK(events.kswapd_runs > 0);
    // Nothing is left behind that refers to the recipe.
    CHECK(m.memory().swap_size() == 0);
    m.memory().compact_everything(m.cpu(0));
    CHECK(testing::check_invariants(m.memory()).empty());
  }
}

SCENARIO("what files had in memory is given up after the recipe, too",
         "[workload][recipes][reclaim]") {
  auto m = fresh(linux_6_12, 256_MiB);
  age_or_fail(m, {.recipe = "page_cache_churn", .occupancy = 0.9, .unmovable_share = 0});
  const auto before = measure(m.memory()).machine.frames.movable;
  REQUIRE(before > 50'000);
  CHECK(m.memory().reclaim(m.cpu(0), 40'000) >= 40'000);
  CHECK(measure(m.memory()).machine.frames.movable <= before - 40'000);
}

SCENARIO("inodes go when memory is short and their files' pages have gone",
         "[workload][recipes][reclaim]") {
  auto m = fresh(linux_6_12, 256_MiB);
  const ageing_plan plan{.recipe = "page_cache_churn", .parameters = {{"largest_file", 2}}};
  const auto counts = age_or_fail(m, plan);
  const auto& events = m.memory().reclaim_events();
  CHECK(events.pages_shrunk > 1000);
  CHECK(events.objects_scanned >= 4 * events.pages_shrunk);
  // More than one slab for six pages of files was made, and the kernel has a tenth in the end.
  CHECK(counts.kernel_pages_allocated > counts.user_pages_allocated / 7);
  const auto frames = measure(m.memory()).machine.frames;
  CHECK(static_cast<double>(frames.movable) ==
        Approx(0.9 * 0.7 * static_cast<double>(frames.memory)).epsilon(0.02));
}

SCENARIO("below the peak a machine never gets full", "[workload][recipes][reclaim]") {
  for (const auto recipe : {"build_farm", "memory_pressure", "page_cache_churn"}) {
    CAPTURE(recipe);
    auto m = fresh(linux_6_12, 256_MiB);
    age_or_fail(m, {.recipe = recipe, .occupancy = 0.4, .peak = 0.6, .turnover = 1});
    CHECK(m.memory().reclaim_events().kswapd_runs == 0);
    CHECK(m.memory().reclaim_events().pages_reclaimed_direct > 0);
  }
}

SCENARIO("an aged machine is saved once and branched", "[workload][recipes]") {
  GIVEN("an aged machine, saved and loaded") {
    auto m = fresh(linux_6_12, 128_MiB);
    age_or_fail(m, {.recipe = "build_farm", .turnover = 1});
    std::stringstream file;
    m.save(file);
    auto loaded = machine::load(file, "aged");
    REQUIRE(loaded);
    THEN("it knows what is in use") {
      const auto blocks = blocks_in_use(loaded->memory());
      CHECK(blocks == blocks_in_use(m.memory()));
      const auto frames = measure(m.memory()).machine.frames;
      frame_count movable = 0;
      for (const auto& block : blocks.movable) movable += block.size.frames();
      CHECK(movable == frames.movable);
      CHECK(blocks.unmovable.size() > 100);
    }
    WHEN("one branch frees all that can be moved, and the other does not") {
      auto branch = *loaded;
      for (const auto& b : blocks_in_use(branch.memory()).movable) {
        branch.memory().free(branch.cpu(0), b.block, b.size);
      }
      THEN("only the one has changed") {
        CHECK(measure(branch.memory()).machine.frames.movable == 0);
        CHECK(loaded->memory().state_digest() == m.memory().state_digest());
      }
    }
  }
}

TEST_CASE("a plan that cannot be is refused before anything is done", "[workload][recipes]") {
  CHECK(complaint({.recipe = "no\nsuch"}) ==
        "no recipe \"no\\nsuch\"; there are build_farm, fill_shuffle_free, huge_page_churn, "
        "memory_pressure, network_server, order_mixed_churn, page_cache_churn, unmovable_burst");
  CHECK(complaint({.occupancy = 1}) == "occupancy 1 is out of range: allowed are 0.01 to 0.98");
  CHECK_THAT(complaint({.peak = 2}), ContainsSubstring("peak 2 is out of range"));
  CHECK_THAT(complaint({.unmovable_share = -1}), ContainsSubstring("allowed are 0 to 0.9"));
  CHECK_THAT(complaint({.turnover = 1e9}), ContainsSubstring("turnover"));
  CHECK_THAT(complaint({.recipe = "build_farm", .parameters = {{"job", 1}}}),
             ContainsSubstring("recipe build_farm has no parameter \"job\"; there are jobs, "));
  CHECK_THAT(complaint({.recipe = "build_farm", .parameters = {{"jobs", 1.5}}}),
             ContainsSubstring("build_farm.jobs 1.5 is not a whole number"));
  CHECK_THAT(complaint({.recipe = "build_farm", .parameters = {{"jobs", 0}}}),
             ContainsSubstring("build_farm.jobs 0 is out of range: allowed are 1 to 4096"));
}

TEST_CASE("an occupancy that watermarks forbid is no memory, and is said to be",
          "[workload][recipes]") {
  machine m{{.memory = memory_map::x86_64(64_MiB), .settings = {.min_free_kbytes = 32'768}}};
  const auto aged = age(m, {.occupancy = 0.9});
  REQUIRE_FALSE(aged);
  CHECK(aged.error().code() == errc::no_memory);
  CHECK_THAT(aged.error().message(),
             ContainsSubstring("fill_shuffle_free: occupancy 0.9 of 16128 frames is not reached"));
}

// Pageblocks that are free once every movable page has been moved out of as many as there is room
// for elsewhere in their zone.
namespace {

std::uint64_t oracle_huge_pages(const page_allocator& memory) {
  std::uint64_t huge = 0;
  for (const auto& z : memory.zones()) {
    std::uint64_t without_unmovable = 0;
    const auto free = static_cast<std::uint64_t>(z.exact_free_pages());
    for (pfn block = z.extent.start; block + pageblock_frames <= z.extent.end();
         block += pageblock_frames) {
      if (block.value() % pageblock_frames != 0) continue;
      bool movable = true;
      for (pfn frame = block; frame < block + pageblock_frames && movable;) {
        const auto mark = memory.frames().mark_at(frame);
        movable = mark.use() == frame_use::free || mark.movable();
        frame += mark.use() == frame_use::none ? 1 : order{mark.order()}.frames();
      }
      without_unmovable += movable;
    }
    huge += std::min(without_unmovable, free / pageblock_frames);
  }
  return huge;
}

std::uint64_t free_huge_pages(const page_allocator& memory) {
  std::uint64_t huge = 0;
  for (const auto& z : memory.zones()) {
    for (unsigned o = pageblock_order.value(); o < page_orders; ++o) {
      huge += z.free_blocks_of(order{o}) << (o - pageblock_order.value());
    }
  }
  return huge;
}

}  // namespace

TEST_CASE("compaction brings an aged machine near what an oracle could reach",
          "[workload][recipes][compaction]") {
  struct reach {
    std::string_view recipe;
    double linux_6_1;  // part of the oracle's huge pages
    double linux_6_12;
  };
  // Free pages are taken from pageblocks that are movable, so that those of a burst of unmovable
  // pages help nobody; and 6.1 moves single pages only.
  constexpr std::array reaches{
      reach{"build_farm", 0.85, 0.85},       reach{"fill_shuffle_free", 0.85, 0.8},
      reach{"huge_page_churn", 0.7, 0.7},    reach{"memory_pressure", 0.85, 0.85},
      reach{"network_server", 0.8, 0.8},     reach{"order_mixed_churn", 0.03, 0.3},
      reach{"page_cache_churn", 0.85, 0.85}, reach{"unmovable_burst", 0.4, 0.4},
  };
  CHECK(reaches.size() == recipes().size());
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    for (const auto& r : reaches) {
      auto m = fresh(profile, 512_MiB);
      age_or_fail(m, {.recipe = std::string{r.recipe}, .occupancy = 0.6, .turnover = 1});
      auto& memory = m.memory();
      memory.drain_all(m.cpu(0));
      const auto before = free_huge_pages(memory);
      const auto oracle = oracle_huge_pages(memory);
      memory.compact_everything(m.cpu(0));
      memory.drain_all(m.cpu(0));
      const auto after = free_huge_pages(memory);
      CAPTURE(profile.name, r.recipe, before, after, oracle);
      CHECK(after >= before);
      CHECK(after <= oracle);
      const double least = profile == linux_6_1 ? r.linux_6_1 : r.linux_6_12;
      CHECK(static_cast<double>(after) >= least * static_cast<double>(oracle));
      CHECK(memsim::testing::check_invariants(memory).empty());
    }
  }
}

TEST_CASE("a recipe that goes on keeps to its part of memory", "[workload][recipe]") {
  const auto recipe = GENERATE(as<std::string>{}, "build_farm", "page_cache_churn",
                               "network_server", "huge_page_churn", "order_mixed_churn");
  INFO(recipe);
  auto m = fresh(linux_6_12, 256_MiB);
  recipe_load load{m, {.recipe = recipe, .occupancy = 0.3}};
  const auto in_use = [&] {
    const auto frames = measure(m.memory()).machine.frames;
    return static_cast<double>(frames.movable + frames.unmovable) /
           static_cast<double>(frames.memory);
  };
  const auto before = in_use();
  frame_count allocated = 0;
  double most = 0;
  for (int turn = 0; allocated < 2 * 256_MiB .frames(); ++turn) {
    const auto pages = load.turn();
    REQUIRE(pages);
    allocated += *pages;
    if (turn % 64 == 0) most = std::max(most, in_use());
  }
  CHECK(most - before > 0.2);
  CHECK(most - before < 0.36);
  CHECK(load.counts().user_pages_allocated + load.counts().kernel_pages_allocated == allocated);
  CHECK_THROWS_WITH((recipe_load{m, {.recipe = "farm"}}), ContainsSubstring("no recipe \"farm\""));
}
