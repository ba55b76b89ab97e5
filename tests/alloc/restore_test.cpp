// SPDX-License-Identifier: Apache-2.0
// An allocator's state is all of it: restored, it is the same allocator.
#include <memsim/alloc/page_allocator.hpp>
#include <memsim/testing/invariants.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr auto ram = region_kind::ram;

page_allocator again(const page_allocator& memory) {
  auto restored = page_allocator::restore(memory.state(), memory.profile(), memory.settings());
  REQUIRE(restored);
  return std::move(*restored);
}

std::string refusal(const allocator_state& state) {
  const auto restored = page_allocator::restore(state, linux_6_12);
  REQUIRE_FALSE(restored);
  CHECK(restored.error().code() == errc::inconsistent);
  return restored.error().message();
}

}  // namespace

SCENARIO("what is memory is part of the state", "[alloc][restore]") {
  GIVEN("holes, reserved frames and memory without descriptors") {
    const memory_map map{{{pfn{256}, 3000, ram},
                          {pfn{3300}, 50, region_kind::reserved},
                          {pfn{4396}, 4000, ram},
                          {pfn{10'240}, 512, region_kind::undescribed},
                          {pfn{20'000}, 4000, ram}}};
    page_allocator memory{{.memory = map}};
    WHEN("it is restored") {
      auto copy = again(memory);
      THEN("it has the same memory, and the same frames can be adopted") {
        CHECK(copy.state() == memory.state());
        CHECK(copy.state().memory == map);
        CHECK(copy.state_digest() == memory.state_digest());
        CHECK_NOTHROW(copy.adopt(pfn{3300}, order{0}));
        CHECK_THROWS_AS(copy.adopt(pfn{3280}, order{0}), usage_error);
        CHECK_THROWS_AS(copy.adopt(pfn{10'240}, order{0}), usage_error);
      }
    }
    WHEN("the state says otherwise") {
      auto state = memory.state();
      THEN("a described pageblock without memory is refused") {
        state.memory = memory_map{{{pfn{256}, 3000, ram}}};
        CHECK_THAT(refusal(state), ContainsSubstring("is described, and there is no memory"));
      }
      THEN("a free block that is not all memory is refused") {
        state.memory = memory_map{{{pfn{256}, 2999, ram},
                                   {pfn{3300}, 50, region_kind::reserved},
                                   {pfn{4396}, 4000, ram},
                                   {pfn{20'000}, 4000, ram}}};
        CHECK_THAT(refusal(state), ContainsSubstring("not all of the"));
      }
    }
  }
  GIVEN("a zone that is all holes") {
    zone_state zone{.extent = {zone_type::dma, pfn{0}, 1024, 0, 0}};
    zone.cpus = {{.high = 4, .batch = 1}};
    zone.pageblocks.assign(2, std::nullopt);
    CHECK_THAT(refusal({.zones = {zone}}), ContainsSubstring("no zone of the state has memory"));
  }
}

SCENARIO("states of unusual machines are taken back", "[alloc][restore]") {
  GIVEN("a zone that begins in the middle of a pageblock, behind a hole") {
    const page_allocator memory{
        {.memory = memory_map{{{pfn{256}, 3000, ram}, {pfn{4396}, 100'000, ram}}}}};
    REQUIRE(memory.zones().size() == 2);
    CHECK(again(memory).state() == memory.state());
  }
  GIVEN("a terabyte, and per-CPU lists of millions of pages") {
    const page_allocator memory{{.memory = memory_map::x86_64(1_TiB)}};
    CHECK(again(memory).state() == memory.state());
  }
  GIVEN("a min_free_kbytes of most of the machine") {
    const page_allocator memory{
        {.memory = memory_map::x86_64(64_GiB), .settings = {.min_free_kbytes = 60'000'000}}};
    const auto& set = memory.zones().back().cpus[0];
    CHECK(set.high_min > set.high_max);
    CHECK(again(memory).state() == memory.state());
  }
  GIVEN("zones that share a block of the largest order") {
    auto state = page_allocator{{.memory = memory_map::x86_64(64_MiB)}}.state();
    state.zones[1].extent.start += 512;
    state.zones[1].extent.spanned -= 512;
    state.zones[0].extent.spanned += 512;
    state.zones[0].pageblocks.push_back(migratetype::movable);
    CHECK_THAT(refusal(state), ContainsSubstring("in one block of order 10"));
  }
}

SCENARIO("neighbouring CMA areas are freed as one", "[alloc][cma]") {
  const page_allocator memory{
      {.memory = memory_map::x86_64(64_MiB), .cma_areas = {{pfn{8192}, 512}, {pfn{8704}, 512}}}};
  CHECK(testing::check_invariants(memory).empty());
  CHECK(memory.free_list(memory.zones()[1], order{10}, migratetype::cma) == std::vector{pfn{8192}});
  CHECK(memory.zones()[1].free_cma == 1024);
}
