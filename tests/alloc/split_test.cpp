// SPDX-License-Identifier: Apache-2.0
#include <memsim/alloc/page_allocator.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

struct machine {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  context ctx{};

  pfn alloc(order size) { return memory.alloc(ctx, size, gfp_kernel).value(); }
};

}  // namespace

TEST_CASE("the parts of a split block are freed one by one", "[alloc]") {
  const unsigned from = GENERATE(1u, 4u, 9u, 10u);
  const unsigned to = GENERATE(0u, 1u, 9u);
  if (to > from) return;
  machine m;
  m.memory.drain_all(m.ctx);
  const auto before = m.memory.zones()[0].exact_free_pages();
  const auto block = m.alloc(order{from});
  m.memory.split(block, order{from}, order{to});
  for (pfn part = block; part < block + order{from}.frames(); part += order{to}.frames()) {
    CHECK_NOTHROW(m.memory.free(m.ctx, part, order{to}));
    CHECK_THROWS_AS(m.memory.free(m.ctx, part, order{to}), usage_error);
  }
  m.memory.drain_all(m.ctx);
  CHECK(m.memory.zones()[0].exact_free_pages() == before);
}

TEST_CASE("the parts of a movable block are movable", "[alloc]") {
  machine m;
  const auto block = m.memory.alloc(m.ctx, order{2}, gfp_highuser_movable).value();
  m.memory.set_movable(block, rule::on);
  m.memory.split(block, order{2}, order{1});
  const auto movable = [&](unsigned i) { return m.memory.frames().mark_at(block + i).movable(); };
  CHECK(movable(0));
  CHECK_FALSE(movable(1));
  CHECK(movable(2));
  CHECK_FALSE(movable(3));
}

TEST_CASE("what is not an allocated block of the order cannot be split", "[alloc]") {
  machine m;
  const auto block = m.alloc(order{3});
  CHECK_THROWS_AS(m.memory.split(block, order{2}, order{0}), usage_error);
  CHECK_THROWS_AS(m.memory.split(block, order{3}, order{4}), usage_error);
  CHECK_THROWS_AS(m.memory.split(block + 1, order{0}, order{0}), usage_error);
  CHECK_THROWS_AS(m.memory.split(pfn{1} + m.memory.frames().end().value(), order{0}, order{0}),
                  usage_error);
  CHECK_THROWS_AS(m.memory.split(block, order{11}, order{0}), usage_error);
  m.memory.free(m.ctx, block, order{3});
  CHECK_THROWS_AS(m.memory.split(block, order{3}, order{0}), usage_error);
}
