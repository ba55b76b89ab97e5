// SPDX-License-Identifier: Apache-2.0
#include <memsim/alloc/free_space.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

struct vector_of_indices {
  order_counts free;
  unsigned size;
  int fragmentation;
  int unusable;
};

}  // namespace

TEST_CASE("the indices of worked examples come out as the kernel's", "[metrics][vectors]") {
  const vector_of_indices vectors[] = {
      {{100, 50}, 4, 910, 1000},
      {{10}, 4, 838, 1000},
      {{300, 100, 50, 20}, 9, 995, 1000},
      {{300, 100, 50, 20, 0, 0, 0, 0, 0, 1}, 9, -1000, 626},
  };
  for (const auto& v : vectors) {
    CAPTURE(v.size, v.fragmentation);
    CHECK(fragmentation_index(v.free, order{v.size}) == v.fragmentation);
    CHECK(unusable_index(v.free, order{v.size}) == v.unusable);
  }
}

TEST_CASE("blocks above the order count as the blocks that they can be cut into", "[metrics]") {
  order_counts free{};
  free[3] = 5;
  free[10] = 2;
  CHECK(frames_of(free) == 5 * 8 + 2 * 1024);
  CHECK(blocks_available(free, order{10}) == 2);
  CHECK(blocks_available(free, order{9}) == 4);
  CHECK(blocks_available(free, order{3}) == 5 + 2 * 128);
  CHECK(blocks_available(free, order{0}) == frames_of(free));
  CHECK(blocks_available(free, order{18}) == 0);
}

TEST_CASE("a matrix is summed over its lists", "[metrics]") {
  free_block_matrix blocks{};
  blocks[0] = {1, 2, 3, 4, 5, 6};
  blocks[10] = {0, 7, 0, 0, 0, 0};
  const auto totals = total_by_order(blocks);
  CHECK(totals[0] == 21);
  CHECK(totals[1] == 0);
  CHECK(totals[10] == 7);
}

TEST_CASE("rounding lets the kernel's fragmentation index fall below 0", "[metrics]") {
  // One free frame, wanted two: (1000 + 500) / 1 is more than 1000.
  CHECK(fragmentation_index({1}, order{1}) == -500);
  CHECK(*fragmentation_fraction({1}, order{1}) == Approx(-0.5));
}

TEST_CASE("the fractions are the indices without rounding", "[metrics]") {
  const order_counts free{100, 50};
  CHECK(*fragmentation_fraction(free, order{4}) == Approx(1 - (1 + 200.0 / 16) / 150));
  CHECK(unusable_fraction({300, 100, 50, 20, 0, 0, 0, 0, 0, 1}, order{9}) == Approx(860.0 / 1372));
  CHECK(*fragmentation_fraction({0, 1}, order{0}) == -1);
}

TEST_CASE("a zone with nothing free has the indices that the convention gives it", "[metrics]") {
  const order_counts nothing{};
  CHECK(unusable_index(nothing, order{0}) == 1000);
  CHECK(fragmentation_index(nothing, order{0}) == 0);
  CHECK(unusable_fraction(nothing, order{3}, empty_zone::as_kernel) == 1);
  CHECK(unusable_fraction(nothing, order{3}, empty_zone::as_literature) == 0);
  CHECK(fragmentation_fraction(nothing, order{3}, empty_zone::as_kernel) == 0.0);
  CHECK(fragmentation_fraction(nothing, order{3}, empty_zone::as_literature) == std::nullopt);
}
