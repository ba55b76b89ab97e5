// SPDX-License-Identifier: Apache-2.0
#include "../../bench/textbook_buddy.hpp"

#include <vector>

#include <memsim/core/random.hpp>

#include "catch.hpp"

using namespace memsim;
using bench::textbook_buddy;

TEST_CASE("the textbook buddy splits the lowest block and keeps its lower half", "[bench]") {
  textbook_buddy memory{2048};
  CHECK(memory.alloc(0) == 0);
  CHECK(memory.alloc(0) == 1);
  CHECK(memory.alloc(1) == 2);
  CHECK(memory.alloc(9) == 512);
  CHECK(memory.alloc(10) == 1024);
  CHECK(memory.alloc(9) == textbook_buddy::none);
  memory.free(512, 9);
  CHECK(memory.alloc(8) == 256);
  CHECK(memory.alloc(8) == 512);
}

TEST_CASE("the textbook buddy gives out no frame twice, and merges all that comes back",
          "[bench]") {
  constexpr std::uint64_t frames = 8192;
  textbook_buddy memory{frames};
  random_stream random{1, "textbook_buddy_test"};

  struct block {
    std::uint64_t frame;
    unsigned order;
  };
  std::vector<block> blocks;
  std::vector<bool> in_use(frames);
  while (true) {
    const auto order = static_cast<unsigned>(random.below(6));
    const std::uint64_t frame = memory.alloc(order);
    if (frame == textbook_buddy::none) break;
    REQUIRE(frame % (1u << order) == 0);
    for (std::uint64_t i = frame; i < frame + (1u << order); ++i) {
      REQUIRE_FALSE(in_use[i]);
      in_use[i] = true;
    }
    blocks.push_back({frame, order});
  }
  REQUIRE(blocks.size() > 1);

  random.shuffle(blocks);
  for (const auto& [frame, order] : blocks) memory.free(frame, order);
  for (std::uint64_t i = 0; i < frames / 1024; ++i) CHECK(memory.alloc(10) != textbook_buddy::none);
  CHECK(memory.alloc(0) == textbook_buddy::none);
}
