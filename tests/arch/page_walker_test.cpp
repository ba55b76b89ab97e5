// SPDX-License-Identifier: Apache-2.0
// What walks cost: references to memory, with page-walk caches and under a hypervisor.
#include <memsim/arch/page_walker.hpp>

#include <memsim/arch/tlb.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

using enum page_size;

/// A TLB of a single entry a size, so that nearly everything walks.
tlb_config walking(const walk_cache_geometry& caches = {}, unsigned table_levels = 4) {
  return {.geometry = {.levels = {{{.sizes = {k4}, .table = {1, 1}},
                                   {.sizes = {m2}, .table = {1, 1}},
                                   {.sizes = {g1}, .table = {1, 1}}}},
                       .table_levels = table_levels,
                       .walk_caches = caches}};
}

const walk_cache_geometry all_caches{
    .pde = {1, 4}, .pdpte = {1, 4}, .pml4e = {1, 4}, .pml5e = {1, 4}};

unsigned references(tlb& t, std::uint64_t page, page_size size, asid space = asid{1}) {
  const auto got = t.translate(space, vpn{page}, [size](asid, vpn) { return page_mapping{size}; });
  REQUIRE(got.hit_level == 0);
  return got.walk_references;
}

constexpr std::uint64_t in_2m = 512;
constexpr std::uint64_t in_1g = 512 * in_2m;
constexpr std::uint64_t in_512g = 512 * in_1g;
constexpr std::uint64_t in_256t = 512 * in_512g;

}  // namespace

SCENARIO("without caches a walk reads an entry a level", "[arch][tlb]") {
  tlb four{walking()};
  CHECK(references(four, 0, k4) == 4);
  CHECK(references(four, in_1g, m2) == 3);
  CHECK(references(four, 2 * in_1g, g1) == 2);
  const auto walks = four.counts().walks;
  CHECK(walks.walks_4k == 1);
  CHECK(walks.walks_2m == 1);
  CHECK(walks.walks_1g == 1);
  CHECK(walks.pte_references == 1);
  CHECK(walks.pde_references == 2);
  CHECK(walks.pdpte_references == 3);
  CHECK(walks.pml4e_references == 3);
  CHECK(walks.references() == 9);

  tlb five{walking({}, 5)};
  CHECK(references(five, 0, k4) == 5);
  CHECK(references(five, in_1g, g1) == 3);
  CHECK(five.counts().walks.pml5e_references == 2);
}

SCENARIO("a walk begins at the lowest entry that is cached", "[arch][tlb]") {
  tlb t{walking(all_caches, 5)};
  CHECK(references(t, 0, k4) == 5);
  CHECK(references(t, 1, k4) == 1);
  CHECK(references(t, in_2m, k4) == 2);
  CHECK(references(t, in_1g, k4) == 3);
  CHECK(references(t, in_512g, k4) == 4);
  CHECK(references(t, in_256t, k4) == 5);
  // A large page ends above what a PDE would save.
  CHECK(references(t, 2 * in_2m, m2) == 1);
  CHECK(references(t, 2 * in_1g, g1) == 1);
  // Another address space has entries of its own.
  CHECK(references(t, 1, k4, asid{2}) == 5);
  const auto walks = t.counts().walks;
  CHECK(walks.pde_cache_hits == 1);
  CHECK(walks.pdpte_cache_hits == 2);
  CHECK(walks.pml4e_cache_hits == 2);
  CHECK(walks.pml5e_cache_hits == 1);
}

SCENARIO("a page-walk cache forgets what was not used for long", "[arch][tlb]") {
  tlb t{walking({.pde = {.sets = 1, .ways = 2}})};
  references(t, 0, k4);
  references(t, in_2m, k4);
  CHECK(references(t, 1, k4) == 1);          // uses the first again
  CHECK(references(t, 2 * in_2m, k4) == 4);  // makes room of the second
  CHECK(references(t, 2, k4) == 1);
  CHECK(references(t, in_2m + 1, k4) == 4);
  CHECK(t.counts().walks.walk_cache_evictions == 2);
}

SCENARIO("INVLPG drops the page-walk caches of its address space", "[arch][tlb]") {
  auto config = walking(all_caches);
  GIVEN("the rule of x86") {
    tlb t{config};
    references(t, 0, k4);
    references(t, in_512g, k4);
    references(t, 0, k4, asid{2});
    WHEN("some page of the first space is flushed") {
      t.flush(tlb_flush::page(asid{1}, vpn{5 * in_512g}));
      THEN("it walks from the root, wherever it walks; the second space does not") {
        CHECK(t.counts().walks.walk_cache_flushed == 6);
        CHECK(references(t, 1, k4) == 4);
        CHECK(references(t, in_512g + 1, k4) == 4);
        CHECK(references(t, 1, k4, asid{2}) == 1);
      }
    }
  }
  GIVEN("the rule that only the way to the page is dropped") {
    config.geometry.walk_caches.on_page_flush = walk_cache_flush::covering;
    tlb t{config};
    references(t, 0, k4);
    references(t, in_1g, k4);
    WHEN("a page of the first table is flushed") {
      t.flush(tlb_flush::page(asid{1}, vpn{7}));
      THEN("the other's PDE and PDPTE are still there") {
        CHECK(t.counts().walks.walk_cache_flushed == 3);
        CHECK(references(t, in_1g + 1, k4) == 1);
        CHECK(references(t, 1, k4) == 4);
      }
    }
  }
}

SCENARIO("full flushes drop page-walk caches of one space, or of all", "[arch][tlb]") {
  tlb t{walking(all_caches)};
  references(t, 0, k4, asid{1});
  references(t, 0, k4, asid{2});
  t.flush(tlb_flush::address_space(asid{1}));
  CHECK(t.counts().walks.walk_cache_flushed == 3);
  CHECK(references(t, 1, k4, asid{2}) == 1);
  t.flush(tlb_flush::all_but_global());
  CHECK(references(t, 2, k4, asid{2}) == 4);
}

SCENARIO("a nested walk takes up to 24 references", "[arch][tlb]") {
  auto config = walking();
  config.nested = nested_paging{};
  GIVEN("4 KiB pages on both sides") {
    tlb t{config};
    CHECK(references(t, 0, k4) == 24);
    const auto walks = t.counts().walks;
    CHECK(walks.host_references == 20);
    CHECK(walks.host_walks == 5);
    CHECK(walks.references() == 24);
  }
  GIVEN("large pages of the guest, of the host, of both") {
    tlb guest{config};
    CHECK(references(guest, 0, m2) == 3 + 4 * 4);
    config.nested->host_page = m2;
    tlb host{config};
    CHECK(references(host, 0, k4) == 4 + 5 * 3);
    tlb both{config};
    CHECK(references(both, 0, m2) == 3 + 4 * 3);
  }
  GIVEN("five levels on both sides") {
    config.geometry.table_levels = 5;
    config.nested->host_table_levels = 5;
    tlb t{config};
    CHECK(references(t, 0, k4) == 35);
  }
}

SCENARIO("the TLB keeps a nested translation at the smaller size", "[arch][tlb]") {
  auto config = walking();
  config.nested = {.host_page = k4};
  tlb t{config};
  references(t, 0, m2);
  CHECK(t.entries(1, k4) == 1);
  CHECK(t.entries(1, m2) == 0);
  CHECK_FALSE(t.holds(asid{1}, vpn{1}));
  CHECK(t.counts().walks.walks_4k == 1);
}

SCENARIO("a nested TLB saves the host's walks for tables met before", "[arch][tlb]") {
  auto config = walking();
  config.nested = {.nested_tlb = {.sets = 1, .ways = 8}};
  tlb t{config};
  CHECK(references(t, 0, k4) == 24);
  // Four guest tables are known; the page itself is not.
  CHECK(references(t, 1, k4) == 4 + 4);
  CHECK(t.counts().walks.nested_tlb_hits == 4);
  // Another leaf table.
  CHECK(references(t, in_2m, k4) == 4 + 4 + 4);
  // The guest cannot flush what the hypervisor mapped.
  t.flush(tlb_flush::all_but_global());
  CHECK(references(t, 2, k4) == 4 + 4);
  t.flush(tlb_flush::everything());
  CHECK(references(t, 3, k4) == 24);
}
