// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/proc_text.hpp>

#include <sstream>

#include "catch.hpp"
#include "metrics/hand_made_zone.hpp"

using namespace memsim;

namespace {

// As a Linux 6.18 without CONFIG_CMA printed them; every line ends in a blank.
constexpr std::string_view captured_buddyinfo =
    "Node 0, zone      DMA      0      0      0      0      0      0      0      0      1      1   "
    "   3 \n"
    "Node 0, zone    DMA32      2      2      4      2      5      4      4      4      5      3   "
    " 751 \n"
    "Node 0, zone   Normal   8485   2368    630    469    715   1716   1329    980    644    471   "
    "1280 \n";

// clang-format off
constexpr std::string_view captured_pagetypeinfo =
    "Page block order: 9\n"
    "Pages per block:  512\n"
    "\n"
    "Free pages count per migrate type at order       0      1      2      3      4      5      6      7      8      9     10 \n"
    "Node    0, zone      DMA, type    Unmovable      0      0      0      0      0      0      0      0      1      0      0 \n"
    "Node    0, zone      DMA, type      Movable      0      0      0      0      0      0      0      0      0      1      3 \n"
    "Node    0, zone      DMA, type  Reclaimable      0      0      0      0      0      0      0      0      0      0      0 \n"
    "Node    0, zone      DMA, type   HighAtomic      0      0      0      0      0      0      0      0      0      0      0 \n"
    "Node    0, zone      DMA, type      Isolate      0      0      0      0      0      0      0      0      0      0      0 \n"
    "Node    0, zone    DMA32, type    Unmovable      1      0      0      0      0      0      1      1      1      1      0 \n"
    "Node    0, zone    DMA32, type      Movable      1      2      4      2      5      4      3      3      4      2    751 \n"
    "Node    0, zone    DMA32, type  Reclaimable      0      0      0      0      0      0      0      0      0      0      0 \n"
    "Node    0, zone    DMA32, type   HighAtomic      0      0      0      0      0      0      0      0      0      0      0 \n"
    "Node    0, zone    DMA32, type      Isolate      0      0      0      0      0      0      0      0      0      0      0 \n"
    "Node    0, zone   Normal, type    Unmovable      0      0      0      1      0     17    125     57     26      0      0 \n"
    "Node    0, zone   Normal, type      Movable     97    552    340    355    668   1676   1197    921    618    471   1280 \n"
    "Node    0, zone   Normal, type  Reclaimable   8388   1816    290    113     47     23      7      2      0      0      0 \n"
    "Node    0, zone   Normal, type   HighAtomic      0      0      0      0      0      0      0      0      0      0      0 \n"
    "Node    0, zone   Normal, type      Isolate      0      0      0      0      0      0      0      0      0      0      0 \n"
    "\n"
    "Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic      Isolate \n"
    "Node 0, zone      DMA            1            7            0            0            0 \n"
    "Node 0, zone    DMA32            2         1526            0            0            0 \n"
    "Node 0, zone   Normal          161         4446          449            0            0 \n";
// clang-format on

/// The numbers of the captured pagetypeinfo, by position alone: rows of lists and pageblocks in the
/// order of zones and types.
std::vector<zone_lists> captured_numbers() {
  using enum migratetype;
  constexpr std::array shown{unmovable, movable, reclaimable, highatomic, isolate};
  std::vector<zone_lists> zones{{zone_type::dma}, {zone_type::dma32}, {zone_type::normal}};
  std::istringstream text{std::string{captured_pagetypeinfo}};
  std::string line;
  std::size_t row = 0;
  while (std::getline(text, line)) {
    if (!line.starts_with("Node")) continue;
    const bool list = line.find("type") != std::string::npos;
    std::istringstream numbers{line.substr(list ? 44 : 22)};
    for (std::uint64_t n = 0, i = 0; numbers >> n; ++i) {
      if (list) {
        zones[row / 5].free_blocks[i][static_cast<unsigned>(shown[row % 5])] = n;
      } else {
        zones[row - 15].pageblocks[static_cast<unsigned>(shown[i])] = n;
      }
    }
    ++row;
  }
  return zones;
}

}  // namespace

TEST_CASE("captured numbers print as the captured buddyinfo, byte for byte", "[metrics]") {
  CHECK(buddyinfo_text(captured_numbers()) == captured_buddyinfo);
}

TEST_CASE("captured numbers print as the captured pagetypeinfo, byte for byte", "[metrics]") {
  CHECK(pagetypeinfo_text(captured_numbers(), rule::off) == captured_pagetypeinfo);
}

TEST_CASE("pagetypeinfo has a row and a column for CMA if asked, or if there is an area",
          "[metrics]") {
  auto numbers = captured_numbers();
  numbers.resize(1);
  numbers[0].free_blocks[10][static_cast<unsigned>(migratetype::cma)] = 16;
  numbers[0].pageblocks[static_cast<unsigned>(migratetype::cma)] = 32;
  const auto text = pagetypeinfo_text(numbers, rule::on);
  CHECK_THAT(text, ContainsSubstring("Node    0, zone      DMA, type   HighAtomic      0 "));
  CHECK_THAT(text,
             ContainsSubstring("Node    0, zone      DMA, type          CMA      0      0      "
                               "0      0      0      0      0      0      0      0     16 \n"
                               "Node    0, zone      DMA, type      Isolate "));
  CHECK_THAT(text, ContainsSubstring("Reclaimable   HighAtomic          CMA      Isolate \n"));
  CHECK_THAT(text, ContainsSubstring("           32            0 \n"));

  const page_allocator without{{.memory = memory_map::x86_64(16_MiB)}};
  CHECK_THAT(pagetypeinfo_text(without), !ContainsSubstring("CMA"));
  CHECK_THAT(pagetypeinfo_text(without, rule::on), ContainsSubstring("CMA"));
  const page_allocator with{
      {.memory = memory_map::x86_64(64_MiB), .cma_areas = {{pfn{8192}, 2048}}}};
  CHECK_THAT(pagetypeinfo_text(with), ContainsSubstring("CMA"));
  CHECK_THAT(pagetypeinfo_text(with, rule::off), !ContainsSubstring("CMA"));
}

TEST_CASE("pagetypeinfo stops counting a list at 100000 blocks", "[metrics]") {
  std::vector<zone_lists> zones{{zone_type::normal}};
  zones[0].free_blocks[0] = {99'999, 100'000, 1'234'567, 0, 0, 0};
  const auto text = pagetypeinfo_text(zones, rule::off);
  CHECK_THAT(text, ContainsSubstring("type    Unmovable  99999      0 "));
  CHECK_THAT(text, ContainsSubstring("type      Movable >100000      0 "));
  CHECK_THAT(text, ContainsSubstring("type  Reclaimable >100000      0 "));
  CHECK_THAT(buddyinfo_text(zones), ContainsSubstring("zone   Normal 1434566      0 "));
}

TEST_CASE("a machine's lists are those of its zones, and its holes are no pageblocks",
          "[metrics]") {
  const auto zones = lists_of(test::machine_of({test::seven_pageblocks()}));
  REQUIRE(zones.size() == 1);
  CHECK(zones[0].pageblocks == std::array<std::uint64_t, migratetypes>{2, 5, 0, 0, 0, 0});
  CHECK(
      buddyinfo_text(zones) ==
      "Node 0, zone      DMA      1      0      0      0      0      0      0      0      2      1 "
      "     1 \n");
}

TEST_CASE("a pageblock of several regions is one pageblock", "[metrics]") {
  const page_allocator memory{{.memory = memory_map::x86_64(16_MiB)}};
  CHECK(lists_of(memory)[0].pageblocks[static_cast<unsigned>(migratetype::movable)] == 8);
}

TEST_CASE("buddyinfo text is read back as what it was written from", "[metrics]") {
  const auto zones = parse_buddyinfo(captured_buddyinfo, "buddyinfo");
  REQUIRE(zones);
  REQUIRE(zones->size() == 3);
  CHECK((*zones)[2].zone == zone_type::normal);
  CHECK((*zones)[2].free_blocks[0] == 8485);
  CHECK((*zones)[2].free_blocks[10] == 1280);
}

TEST_CASE("buddyinfo text that is none is an error with file, line and text", "[metrics]") {
  const auto message_of = [](std::string_view text) {
    const auto zones = parse_buddyinfo(text, "x.buddyinfo");
    REQUIRE_FALSE(zones);
    CHECK(zones.error().code() == errc::malformed);
    return zones.error().message();
  };
  const std::string good = "Node 0, zone      DMA 0 0 0 0 0 0 0 0 1 1 3 \n";
  CHECK_THAT(message_of(""), ContainsSubstring("x.buddyinfo"));
  CHECK_THAT(message_of(good + "Node 0, zone   Normal 1 2 3\n"),
             ContainsSubstring("x.buddyinfo:2") && ContainsSubstring("Normal 1 2 3"));
  CHECK_THAT(message_of("hello\n"),
             ContainsSubstring("x.buddyinfo:1") && ContainsSubstring("hello"));
  CHECK_THAT(message_of("Node 0, zone      DMA 0 0 0 0 0 0 0 0 1 x 3 \n"),
             ContainsSubstring("x.buddyinfo:1"));
  CHECK_THAT(message_of("Node 0, zone      DMA 0 0 0 0 0 0 0 0 1 1 3 4\n"),
             ContainsSubstring("x.buddyinfo:1"));
  CHECK_THAT(message_of("Node 1, zone   Normal 0 0 0 0 0 0 0 0 1 1 3\n"),
             ContainsSubstring("one node"));
}
