// SPDX-License-Identifier: Apache-2.0
#include "workload/prior_use.hpp"

#include <set>

#include <memsim/alloc/page_allocator.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

// Two zones of 16 MiB; of the upper, frames [5000, 6000) and of the lower frame 100 are in use.
page_allocator machine() {
  allocator_state state;
  for (const auto type : {zone_type::dma, zone_type::dma32}) {
    zone_state z;
    const pfn start{type == zone_type::dma ? 0u : 4096u};
    z.extent = {type, start, 4096, 4096, 4096};
    z.counter_threshold = 4;
    z.cpus.push_back({.high = 4, .batch = 1});
    z.pageblocks.assign(8, migratetype::movable);
    const auto in_use = [&](pfn frame) {
      return frame == pfn{100} || (frame >= pfn{5000} && frame < pfn{6000});
    };
    for (pfn frame = start; frame < z.extent.end(); ++frame) {
      if (in_use(frame)) continue;
      z.free_lists[0][1].push_back(frame);  // never merged, which is of no matter here
      ++z.free_pages;
    }
    state.zones.push_back(std::move(z));
  }
  return page_allocator::restore(state, linux_6_12).value();
}

}  // namespace

TEST_CASE("a block from before is taken if all of it is in use", "[workload]") {
  const auto memory = machine();
  detail::prior_use prior{memory, 1};
  CHECK(prior.take(pfn{5000}, order{3}));
  CHECK_FALSE(prior.take(pfn{5000}, order{3}));
  CHECK_FALSE(prior.take(pfn{5004}, order{0}));
  CHECK(prior.take(pfn{5008}, order{0}));
  CHECK_FALSE(prior.take(pfn{4992}, order{4}));
  CHECK_FALSE(prior.take(pfn{5999}, order{1}));
  CHECK_FALSE(prior.take(pfn{1u << 30}, order{0}));
  CHECK_FALSE(prior.take(pfn{8192}, order{0}));
}

TEST_CASE("blocks handed out and free blocks are not from before", "[workload]") {
  auto memory = machine();
  context ctx;
  const auto block = memory.alloc(ctx, order{0}, gfp_kernel).value();
  memory.adopt(pfn{5000}, order{0});
  detail::prior_use prior{memory, 1};
  CHECK_FALSE(prior.take(block, order{0}));
  CHECK_FALSE(prior.take(pfn{5000}, order{0}));
  CHECK(prior.take(pfn{5001}, order{0}));
}

TEST_CASE("a substitute is near, of the size, and never given twice", "[workload]") {
  const auto memory = machine();
  detail::prior_use prior{memory, 1};
  const auto near = prior.take_other(pfn{5200}, order{2});
  REQUIRE(near);
  CHECK(near->value() / 512 == 5200 / 512);
  std::set<std::uint64_t> seen{near->value()};
  for (int i = 0; i < 249; ++i) {
    const auto block = prior.take_other(pfn{7000}, order{2});
    REQUIRE(block);
    REQUIRE(block->value() % 4 == 0);
    REQUIRE(seen.insert(block->value()).second);
  }
  CHECK_FALSE(prior.take_other(pfn{5200}, order{2}));
  CHECK(prior.take_other(pfn{5200}, order{0}) == pfn{100});  // the last one, of another zone
  CHECK_FALSE(prior.take_other(pfn{5200}, order{0}));
}

TEST_CASE("substitutes of every order are found", "[workload]") {
  const auto memory = machine();
  for (unsigned o = 0; o < page_orders; ++o) {
    detail::prior_use prior{memory, o};
    unsigned found = 0;
    while (const auto block = prior.take_other(pfn{1u << 30}, order{o})) {
      REQUIRE(block->value() % order{o}.frames() == 0);
      ++found;
    }
    unsigned possible = o == 0 ? 1 : 0;
    for (std::uint64_t b = 0; b < 8192; b += order{o}.frames()) {
      possible += b >= 5000 && b + order{o}.frames() <= 6000;
    }
    CHECK(found == possible);
  }
}
