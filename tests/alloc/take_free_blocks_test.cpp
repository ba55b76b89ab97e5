// SPDX-License-Identifier: Apache-2.0
#include <memsim/alloc/page_allocator.hpp>
#include <memsim/testing/invariants.hpp>

#include "catch.hpp"

using namespace memsim;

SCENARIO("the free blocks of a pageblock are taken off their lists", "[alloc]") {
  const auto& profile = GENERATE_REF(linux_6_1, linux_6_12);
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB), .profile = profile}};
  context ctx;
  const auto free_pages = [&] {
    std::uint64_t pages = 0;
    for (const zone& z : memory.zones()) pages += z.exact_free_pages();
    return pages;
  };
  // One page splits a block, and the rest of its pageblock is free in blocks below order 9.
  const auto page = memory.alloc(ctx, order{0}, gfp_kernel).value();
  memory.drain_all(ctx);
  const auto before = free_pages();
  const auto state = memory.state_digest();

  const auto taken = memory.take_free_blocks(ctx, page);
  std::uint64_t pages = 0;
  for (const auto& block : taken) pages += block.size.frames();
  CHECK(pages == 511);
  CHECK(free_pages() == before - 511);
  CHECK(memsim::testing::check_invariants(memory).empty());
  CHECK(memory.take_free_blocks(ctx, page).empty());

  for (const auto& block : taken) memory.free(ctx, block.block, block.size);
  memory.drain_all(ctx);
  CHECK(free_pages() == before);
  CHECK(memsim::testing::check_invariants(memory).empty());
  CHECK(memory.state_digest() != state);  // other blocks are at the heads of lists

  THEN("blocks of pageblock order and above are left alone") {
    CHECK(memory.take_free_blocks(ctx, pfn{12 * 1024}).empty());
  }
  THEN("what is not memory has no pageblock") {
    CHECK_THROWS_WITH(memory.take_free_blocks(ctx, pfn{1 << 20}),
                      ContainsSubstring("frame 1048576: that is no memory"));
    context elsewhere{.cpu = cpu_id{7}};
    CHECK_THROWS_AS(memory.take_free_blocks(elsewhere, page), usage_error);
  }
}
