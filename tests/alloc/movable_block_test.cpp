// SPDX-License-Identifier: Apache-2.0
// Blocks in use that are flagged movable, when their pageblock is judged (A9.5).
#include <memsim/alloc/page_allocator.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

// One movable pageblock: 128 + 64 pages free, a movable block of 256 in use, and below the free
// blocks 64 pages in use of which `single` count as movable on their own.
page_allocator machine(unsigned single) {
  zone_state zone{.extent = {zone_type::dma32, pfn{4096}, 512, 512, 512}};
  zone.free_pages = 192;
  zone.cpus = {{.high = 4, .batch = 1, .high_min = 4, .high_max = 4}};
  zone.free_lists[7][1] = {pfn{4096 + 128}};
  zone.free_lists[6][1] = {pfn{4096 + 64}};
  zone.pageblocks = {migratetype::movable};
  for (unsigned i = 0; i < single; ++i) zone.movable_in_use.push_back(pfn{4096 + i});
  zone.movable_in_use.push_back(pfn{4096 + 256});
  zone.allocated = {{pfn{4096 + 256}, order{8}}};
  return page_allocator::restore({.zones = {zone}}, linux_6_12).value();
}

}  // namespace

TEST_CASE("every page of a movable block counts when its pageblock is judged", "[alloc]") {
  context ctx;
  // Of 512 pages 256 are movable: free ones and others are half, enough to claim the pageblock.
  auto enough = machine(0);
  REQUIRE(enough.alloc(ctx, order{0}, gfp_kernel));
  CHECK(enough.pageblock_type(pfn{4096}) == migratetype::unmovable);
  // One more, and it is not: a page is stolen.
  auto one_less = machine(1);
  REQUIRE(one_less.alloc(ctx, order{0}, gfp_kernel));
  CHECK(one_less.pageblock_type(pfn{4096}) == migratetype::movable);
}
