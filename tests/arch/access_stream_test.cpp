// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/access_stream.hpp>

#include <algorithm>
#include <map>
#include <ranges>
#include <set>

#include <memsim/core/error.hpp>
#include <memsim/frames/memory_map.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

// Two regions with a hole between them.
const memory_map small_memory{{{pfn{256}, 1000, region_kind::ram},
                               {pfn{1256}, 500, region_kind::reserved},
                               {pfn{4096}, 3000, region_kind::ram}}};

std::vector<pfn> take(access_pattern pattern, int count, access_stream_config config = {},
                      const memory_map& memory = small_memory) {
  config.pattern = pattern;
  access_stream stream{memory, config};
  std::vector<pfn> frames;
  for (int i = 0; i < count; ++i) frames.push_back(stream.next());
  return frames;
}

}  // namespace

SCENARIO("a stream stays in RAM and is the same each time", "[arch][access_stream]") {
  for (const auto pattern : all_access_patterns) {
    CAPTURE(to_text(pattern));
    const auto frames = take(pattern, 20'000);
    for (const pfn frame : frames) {
      const auto* const region = small_memory.find(frame);
      REQUIRE(region != nullptr);
      REQUIRE(region->kind == region_kind::ram);
    }
    CHECK(take(pattern, 20'000) == frames);
    CHECK(take(pattern, 20'000, {.seed = 2}) != frames);
  }
}

SCENARIO("a copy reads and writes line after line", "[arch][access_stream]") {
  const auto frames = take(access_pattern::sequential_copy, 2 * 64 * 4, {.run = 4});
  for (std::size_t i = 2; i < frames.size(); ++i) {
    const auto back = frames[i - 2];
    // Source and destination alternate; each goes to the next frame after 64 lines.
    if ((i / 2) % 64 != 0) REQUIRE(frames[i] == back);
  }
  CHECK(frames[2 * 64] == frames[0] + 1);
  CHECK(frames[2 * 64 + 1] == frames[1] + 1);
}

SCENARIO("random objects reach every frame alike", "[arch][access_stream]") {
  const auto frames = take(access_pattern::random_objects, 400'000, {.lines = 1});
  std::map<pfn, int> hits;
  for (const pfn frame : frames) ++hits[frame];
  CHECK(hits.size() == 4000);
  const auto [least, most] = std::ranges::minmax(hits | std::views::values);
  CHECK(least > 50);  // 100 on average, standard deviation 10
  CHECK(most < 150);
}

SCENARIO("skewed objects do not", "[arch][access_stream]") {
  const auto frames = take(access_pattern::skewed, 400'000, {.lines = 1});
  std::map<pfn, int> hits;
  for (const pfn frame : frames) ++hits[frame];
  std::vector<int> counts;
  for (const auto& [frame, count] : hits) counts.push_back(count);
  std::ranges::sort(counts, std::greater{});
  // 256,000 objects are 18 octaves: the 15 first objects get 4/18 of all accesses.
  int hottest = 0;
  for (int i = 0; i < 15; ++i) hottest += counts[static_cast<std::size_t>(i)];
  CHECK(hottest > 400'000 * 4 / 18);
  CHECK(hottest < 400'000 * 6 / 18);
}

SCENARIO("a hot set is a few frames, and now and then another", "[arch][access_stream]") {
  const auto frames = take(access_pattern::hot_set, 160'000, {.hot_frames = 10});
  std::map<pfn, int> hits;
  for (const pfn frame : frames) ++hits[frame];
  int hot = 0;
  int hot_hits = 0;
  for (const auto& [frame, count] : hits) {
    if (count > 1000) {
      ++hot;
      hot_hits += count;
    }
  }
  CHECK(hot == 10);
  CHECK(hot_hits > 149'000);
  CHECK(hot_hits < 151'000);
}

SCENARIO("page tables are few and lie together", "[arch][access_stream]") {
  const auto memory = memory_map{{{pfn{0}, 512 * 1024, region_kind::ram}}};
  const auto frames =
      take(access_pattern::page_table_walks, 50'000, {.frames_per_table = 64}, memory);
  const std::set<pfn> tables{frames.begin(), frames.end()};
  std::set<std::uint64_t> blocks;
  for (const pfn table : tables) blocks.insert(table.value() / 512);
  CHECK(tables.size() > 8000);
  CHECK(tables.size() <= 512 * 1024 / 64);
  CHECK(blocks.size() == 16);
}

SCENARIO("a mix has something of each", "[arch][access_stream]") {
  const auto frames = take(access_pattern::mixed, 100'000, {.run = 8});
  const std::set<pfn> seen{frames.begin(), frames.end()};
  CHECK(seen.size() > 3000);  // random objects are everywhere
  int repeated = 0;
  for (std::size_t i = 2; i < frames.size(); ++i) repeated += frames[i] == frames[i - 2];
  CHECK(repeated > 12'000);  // copies stay in a frame for 64 lines
}

SCENARIO("a stream must be possible", "[arch][access_stream]") {
  CHECK_THROWS_WITH((access_stream{small_memory, {.run = 0}}), ContainsSubstring("run is 0"));
  CHECK_THROWS_WITH((access_stream{small_memory, {.lines = 0}}), ContainsSubstring("lines is 0"));
  CHECK_THROWS_WITH((access_stream{small_memory, {.hot_frames = 0}}),
                    ContainsSubstring("hot_frames is 0"));
  CHECK_THROWS_WITH((access_stream{small_memory, {.frames_per_table = 0}}),
                    ContainsSubstring("frames_per_table is 0"));
  const memory_map reserved{{{pfn{1}, 1, region_kind::reserved}}};
  CHECK_THROWS_WITH((access_stream{reserved, {}}), ContainsSubstring("no RAM"));
}
