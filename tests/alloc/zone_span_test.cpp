// SPDX-License-Identifier: Apache-2.0
// Zones that span more than there is memory, as captured ones do.
#include <optional>

#include <memsim/alloc/page_allocator.hpp>

#include "catch.hpp"

using namespace memsim;

TEST_CASE("a zone that ends in a hole is taken up, used and given back as it is", "[alloc]") {
  zone_state zone{.extent = {zone_type::dma, pfn{0}, 1'000'448, 1024, 1024}};
  zone.cpus = {{.high = 4, .batch = 1, .high_min = 4, .high_max = 4}};
  zone.pageblocks.assign(1'000'448 / pageblock_frames, std::nullopt);
  zone.pageblocks[0] = zone.pageblocks[1] = migratetype::movable;
  zone.free_lists[10][static_cast<unsigned>(migratetype::movable)] = {pfn{0}};
  zone.free_pages = 1024;
  const allocator_state state{.memory = memory_map{{{pfn{0}, 1024, region_kind::ram}}},
                              .zones = {zone}};

  auto memory = page_allocator::restore(state, linux_6_1);
  REQUIRE(memory);
  CHECK(memory->frames().end() >= zone.extent.end());
  CHECK(memory->state() == state);
  const auto before = memory->state_digest();

  context ctx;
  const auto block = memory->alloc(ctx, order{4}, gfp_highuser_movable);
  REQUIRE(block);
  memory->free(ctx, *block, order{4});
  CHECK(memory->state() == state);
  CHECK(memory->state_digest() == before);
}
