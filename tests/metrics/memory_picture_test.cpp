// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/memory_picture.hpp>

#include "catch.hpp"
#include "metrics/hand_made_zone.hpp"

using namespace memsim;

TEST_CASE("a picture has a cell for each pageblock: its type and how full it is", "[metrics]") {
  const auto picture = take_picture(test::machine_of({test::seven_pageblocks()}));
  using enum migratetype;
  CHECK(picture.pageblocks_per_cell == 1);
  CHECK(picture.cells == std::vector<picture_cell>{{unmovable, true, 256},
                                                   {movable, true, 0},
                                                   {movable, true, 0},
                                                   {movable, true, 0},
                                                   {movable, true, 512},
                                                   {movable, true, 510},
                                                   {},
                                                   {unmovable, true, 256}});
}

TEST_CASE("a picture is reduced by powers of two, to the commonest type and the average fill",
          "[metrics]") {
  const auto picture = take_picture(test::machine_of({test::seven_pageblocks()}));
  using enum migratetype;
  CHECK(reduced(picture, 8) == picture);
  const auto smaller = reduced(picture, 7);
  CHECK(smaller.pageblocks_per_cell == 2);
  CHECK(smaller.cells == std::vector<picture_cell>{{unmovable, true, 128},
                                                   {movable, true, 0},
                                                   {movable, true, 511},
                                                   {unmovable, true, 256}});
  CHECK(reduced(picture, 1).cells.size() == 1);
  CHECK(reduced(picture, 1).pageblocks_per_cell == 8);
  CHECK_THROWS_AS(reduced(picture, 0), usage_error);
}
