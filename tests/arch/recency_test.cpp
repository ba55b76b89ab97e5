// SPDX-License-Identifier: Apache-2.0
// The leaf functions of the entry table: orders of use in a word, sixteen bytes searched as one.
#include <memsim/arch/recency.hpp>

#include <algorithm>
#include <array>
#include <vector>

#include <memsim/arch/byte_match.hpp>
#include <memsim/core/random.hpp>

#include "catch.hpp"

using namespace memsim::detail;

namespace {

std::vector<unsigned> ways_of(const recency_order& order, unsigned ways) {
  std::vector<unsigned> list;
  for (unsigned i = 0; i < ways; ++i) list.push_back(order.at(i));
  return list;
}

}  // namespace

TEST_CASE("an order of use is a list", "[arch][tlb]") {
  memsim::random_stream random{3, "recency"};
  for (unsigned ways = 1; ways <= recency_order::max_ways; ++ways) {
    const recency_span span{ways};
    auto order = recency_order::initial(span);
    std::vector<unsigned> list;
    for (unsigned way = 0; way < ways; ++way) list.push_back(way);
    for (int step = 0; step < 500; ++step) {
      CAPTURE(ways, step);
      const auto way = static_cast<unsigned>(random.below(ways));
      switch (random.below(3)) {
        case 0:
          order.use(way);
          std::erase(list, way);
          list.insert(list.begin(), way);
          break;
        case 1:
          REQUIRE(order.reuse_oldest(span) == list.back());
          std::ranges::rotate(list, list.end() - 1);
          break;
        default:
          order.retire(way, span);
          std::erase(list, way);
          list.push_back(way);
      }
      REQUIRE(ways_of(order, ways) == list);
      // Nothing past the last way.
      REQUIRE((order.word() & ~span.all) == 0);
    }
  }
}

TEST_CASE("a tree of four ways points away from those used", "[arch][tlb]") {
  recency_tree tree{0};
  CHECK(tree.oldest(4) == 0);
  tree.use(0, 4);
  CHECK(tree.oldest(4) == 2);
  tree.use(2, 4);
  CHECK(tree.oldest(4) == 1);
  tree.use(1, 4);
  CHECK(tree.oldest(4) == 3);
  // Not LRU: 0 was used longest ago.
  tree.use(3, 4);
  CHECK(tree.oldest(4) == 0);
  tree.use(0, 4);
  CHECK(tree.oldest(4) == 2);
}

TEST_CASE("a tree never points at the way used last", "[arch][tlb]") {
  memsim::random_stream random{4, "recency"};
  for (unsigned ways = 2; ways <= recency_tree::max_ways; ++ways) {
    recency_tree tree{0};
    for (int step = 0; step < 200; ++step) {
      const auto way = static_cast<unsigned>(random.below(ways));
      tree.use(way, ways);
      REQUIRE(tree.oldest(ways) != way);
      REQUIRE(tree.oldest(ways) < ways);
    }
  }
}

TEST_CASE("sixteen bytes are searched and written as one by one", "[arch][tlb]") {
  memsim::random_stream random{5, "byte_match"};
  std::array<std::uint64_t, 2> row{};
  std::array<std::uint64_t, 2> portable_row{};
  std::array<std::uint8_t, 16> bytes{};
  for (int step = 0; step < 2000; ++step) {
    const auto i = static_cast<unsigned>(random.below(16));
    const auto value = static_cast<std::uint8_t>(random.below(2) * 0x7f + random.below(3));
    bytes[i] = value;
    set_byte(row.data(), i, broadcast(value));
    portable::set_byte(portable_row.data(), i, broadcast(value));
    REQUIRE(row == portable_row);
    std::uint32_t expected = 0;
    for (unsigned j = 0; j < 16; ++j) expected |= (bytes[j] == value ? 1u : 0u) << j;
    REQUIRE(match_bytes(row.data(), broadcast(value)) == expected);
    REQUIRE(portable::match_bytes(row.data(), broadcast(value)) == expected);
  }
}
