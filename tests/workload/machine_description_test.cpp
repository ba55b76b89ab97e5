// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/machine_description.hpp>

#include <filesystem>
#include <fstream>

#include "catch.hpp"
#include "workload/proc_files.hpp"

using namespace memsim;
using namespace memsim::test;

namespace {

machine_description machine() { return parse_zoneinfo(zoneinfo, "zoneinfo").value(); }

machine_description full_machine() {
  auto m = machine();
  REQUIRE(add_buddyinfo(m, buddyinfo, "buddyinfo"));
  REQUIRE(add_pagetypeinfo(m, pagetypeinfo, "pagetypeinfo"));
  return m;
}

// What is said about zoneinfo with one piece of text replaced.
error zoneinfo_error(std::string_view from, std::string_view to) {
  INFO(from << " -> " << to);
  const auto m = parse_zoneinfo(with(zoneinfo, from, to), "z");
  REQUIRE_FALSE(m);
  return m.error();
}

error buddyinfo_error(const std::string& text) {
  auto m = machine();
  const auto before = m;
  INFO(text);
  const auto ok = add_buddyinfo(m, text, "b");
  REQUIRE_FALSE(ok);
  CHECK(m == before);
  return ok.error();
}

error pagetypeinfo_error(std::string_view from, std::string_view to) {
  auto m = machine();
  REQUIRE(add_buddyinfo(m, buddyinfo, "b"));
  const auto before = m;
  INFO(from << " -> " << to);
  const auto ok = add_pagetypeinfo(m, with(pagetypeinfo, from, to), "p");
  REQUIRE_FALSE(ok);
  CHECK(m == before);
  return ok.error();
}

const std::filesystem::path traces = MEMSIM_TEST_DATA "/golden/traces";

}  // namespace

TEST_CASE("zoneinfo gives zones, marks, reserves and page sets", "[workload]") {
  const auto m = machine();
  REQUIRE(m.zones.size() == 1);
  const auto& z = m.zones[0];
  CHECK(z.extent == zone_extent{zone_type::dma32, pfn{4096}, 16384, 16384, 16000});
  CHECK(z.free_pages == 6730);
  CHECK(z.boost == 5);
  CHECK(z.marks == watermarks{100, 125, 150});  // the file has the boost added
  CHECK(z.cma_pages == 1024);
  CHECK(z.free_cma == 520);
  CHECK(z.protection == lowmem_reserves{0, 0, 77, 88});
  CHECK(z.lru_pages == 127);
  REQUIRE(z.pagesets.size() == 2);
  CHECK(z.pagesets[0] == described_pageset{62, 300, 63, 250, 1000, 24});
  CHECK(m.cpus() == 2);
  CHECK(m.end() == pfn{4096 + 16384});
  CHECK(m.profile() == linux_6_12);
}

TEST_CASE("a kernel without adaptive page sets is taken for Linux 6.1", "[workload]") {
  auto text = zoneinfo;
  for (const std::string_view line :
       {"              high_min: 250\n", "              high_max: 1000\n"}) {
    for (auto at = text.find(line); at != std::string::npos; at = text.find(line)) {
      text.erase(at, line.size());
    }
  }
  const auto m = parse_zoneinfo(text, "z");
  REQUIRE(m);
  CHECK_FALSE(m->zones[0].pagesets[0].high_min);
  CHECK(m->profile() == linux_6_1);
}

TEST_CASE("lines that newer kernels add do no harm", "[workload]") {
  CHECK(parse_zoneinfo(with(zoneinfo, "  start_pfn:           4096\n",
                            "  start_pfn:           4096\n  reserved_highatomic: 5120\n"
                            "  free_highatomic:     2081\n"),
                       "z") == machine());
}

TEST_CASE("a CPU that is offline has an empty page set", "[workload]") {
  const auto m = parse_zoneinfo(with(zoneinfo, "cpu: 1", "cpu: 3"), "z");
  REQUIRE(m);
  CHECK(m->cpus() == 4);
  CHECK(m->zones[0].pagesets[2].count == 0);
  CHECK(m->zones[0].pagesets[2].batch == 63);
  CHECK(m->zones[0].pagesets[3].count == 1);
}

TEST_CASE("reserves are understood also where empty zones were cut from the file", "[workload]") {
  const auto m = parse_zoneinfo(zoneinfo.substr(zoneinfo.find("Node 0, zone    DMA32")), "z");
  REQUIRE(m);
  CHECK(m->zones[0].protection == lowmem_reserves{0, 0, 77, 88});
}

TEST_CASE("zoneinfo that is malformed is refused with file, line and text", "[workload]") {
  CHECK(zoneinfo_error("        min      105", "        min      10x5").message() ==
        "z:18: not a name and a number: \"        min      10x5\"");
  CHECK(zoneinfo_error("        min      105", "        min      -105").code() == errc::malformed);
  CHECK(zoneinfo_error("        min      105", "        min").code() == errc::malformed);
  CHECK(zoneinfo_error("        min      105", "        min      99999999999999999999").code() ==
        errc::malformed);
  CHECK_THAT(zoneinfo_error("protection: (0, 0, 77, 88)", "protection: (0, 0, 77").message(),
             ContainsSubstring("not a list of numbers"));
  CHECK_THAT(zoneinfo_error("        min      105\n", "").message(),
             ContainsSubstring("z: zone DMA32: no field \"min\""));
  CHECK_THAT(zoneinfo_error("  start_pfn:           4096\n", "").message(),
             ContainsSubstring("no field \"start_pfn\""));
  CHECK_THAT(zoneinfo_error("              high:     300\n", "").message(),
             ContainsSubstring("cpu 0: no field \"high\""));
  for (const auto* text : {"", "\n\n", "hello\n", "Node x, zone DMA\n", "Node 0, zone\n",
                           "Node 0, zone DMA extra\n", "  pages free 3\n"}) {
    INFO(text);
    const auto m = parse_zoneinfo(text, "z");
    REQUIRE_FALSE(m);
    CHECK(m.error().code() == errc::malformed);
  }
}

TEST_CASE("zoneinfo cut anywhere is an error or lacks nothing that is needed", "[workload]") {
  for (std::size_t length = 0; length < zoneinfo.find("start_pfn"); ++length) {
    REQUIRE_FALSE(parse_zoneinfo(std::string_view{zoneinfo}.substr(0, length), "z"));
  }
}

TEST_CASE("zoneinfo that contradicts itself is refused", "[workload]") {
  const auto message = [](std::string_view from, std::string_view to) {
    const auto e = zoneinfo_error(from, to);
    CHECK(e.code() == errc::inconsistent);
    return e.message();
  };
  CHECK_THAT(message("managed  16000", "managed  16385"),
             ContainsSubstring("z: zone DMA32: managed 16385 is more than present 16384"));
  CHECK_THAT(message("spanned  16384", "spanned  16383"), ContainsSubstring("spanned 16383"));
  CHECK_THAT(message("min      105", "min      131"), ContainsSubstring("do not ascend"));
  CHECK_THAT(message("boost    5", "boost    106"), ContainsSubstring("boost 106"));
  CHECK_THAT(message("pages free     6730", "pages free     16001"),
             ContainsSubstring("pages free 16001"));
  CHECK_THAT(message("cma      1024", "cma      519"), ContainsSubstring("nr_free_cma 520"));
  CHECK_THAT(message("high:     300", "high:     99999999"), ContainsSubstring("absurdly large"));
  CHECK_THAT(message("count:    62", "count:    16000"), ContainsSubstring("per-CPU lists"));
  CHECK_THAT(message("nr_zone_active_anon 20", "nr_zone_active_anon 16001"),
             ContainsSubstring("nr_zone_active_anon 16001"));
  CHECK_THAT(message("start_pfn:           4096", "start_pfn:           4294967295"),
             ContainsSubstring("start_pfn 4294967295"));
  CHECK_THAT(message("cpu: 1", "cpu: 0"), ContainsSubstring("a CPU comes twice"));
  CHECK_THAT(message("promo    180", "low      180"), ContainsSubstring("a field comes twice"));
  CHECK_THAT(message("Node 0, zone   Normal", "Node 0, zone    DMA32"),
             ContainsSubstring("a zone comes twice"));
  CHECK_THAT(message("(0, 0, 77, 88)", "(0, 0, 77, 88, 99, 100)"),
             ContainsSubstring("6 values for 4 zones"));
}

TEST_CASE("a machine with memory on two nodes is not supported", "[workload]") {
  auto second = zoneinfo.substr(zoneinfo.find("Node 0, zone    DMA32"));
  for (auto at = second.find("Node 0"); at != std::string::npos; at = second.find("Node 0")) {
    second.replace(at, 6, "Node 1");
  }
  const auto m = parse_zoneinfo(zoneinfo + second, "z");
  REQUIRE_FALSE(m);
  CHECK(m.error().code() == errc::unsupported);
  CHECK_THAT(m.error().message(), ContainsSubstring("z: node 1 has memory (zone DMA32)"));
  CHECK(zoneinfo_error("Node 0, zone    DMA32", "Node 0, zone  HighMem").code() ==
        errc::unsupported);
}

TEST_CASE("buddyinfo adds free blocks by order", "[workload]") {
  const auto m = full_machine();
  CHECK(m.zones[0].free_blocks == block_counts{14, 3, 2, 5, 1, 0, 2, 1, 1, 2, 5});
}

TEST_CASE("buddyinfo that is no such file is refused", "[workload]") {
  CHECK(buddyinfo_error("").code() == errc::malformed);
  CHECK(buddyinfo_error("Node 0, zone DMA32 1 2 3\n").code() == errc::unsupported);
  CHECK(buddyinfo_error("Node 0, zone DMA32 1 2 3 4 5 6 7 8 9 10 -1\n").code() == errc::malformed);
  CHECK(buddyinfo_error("Node 0, zone DMA32 1 2 3 4 5 6 7 8 9 10 99999999999999999999\n").code() ==
        errc::malformed);
  CHECK(buddyinfo_error("Node 0, zone DMA32 1 2 3 4 5 6 7 8 9 10 4294967296\n").code() ==
        errc::malformed);
  CHECK(buddyinfo_error("memory: yes\n").code() == errc::malformed);
  CHECK(buddyinfo_error(buddyinfo + buddyinfo).code() == errc::inconsistent);
  CHECK(buddyinfo_error(buddyinfo + "Node 0, zone Normal 1 0 0 0 0 0 0 0 0 0 0\n").code() ==
        errc::inconsistent);
  CHECK_THAT(buddyinfo_error(with(buddyinfo, "     5 \n", "    10 \n")).message(),
             ContainsSubstring("b: zone DMA32: the free blocks have 11860 pages, zoneinfo has "
                               "\"pages free\" 6730"));
  CHECK_THAT(buddyinfo_error(with(buddyinfo, "     5 \n", "    99 \n")).message(),
             ContainsSubstring("managed are 16000"));
}

TEST_CASE("pagetypeinfo adds migratetypes of free blocks and pageblocks", "[workload]") {
  const auto m = full_machine();
  REQUIRE(m.zones[0].types);
  const auto& types = *m.zones[0].types;
  CHECK(types.free_blocks[0] == block_counts{4, 1, 0, 1, 0, 0, 1, 1, 0, 1, 1});
  CHECK(types.free_blocks[4] == block_counts{0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0});
  CHECK(types.pageblocks == std::array<std::uint64_t, migratetypes>{7, 21, 1, 1, 2, 0});
}

TEST_CASE("pagetypeinfo of a kernel without CMA, and with page owners, is understood",
          "[workload]") {
  auto m = machine();
  const std::string text =
      "Page block order: 9\nPages per block:  512\n\n"
      "Free pages count per migrate type at order 0 1 2 3 4 5 6 7 8 9 10\n"
      "Node    0, zone DMA32, type Unmovable 0 0 0 0 0 0 0 0 0 0 0\n"
      "Node    0, zone DMA32, type Movable 2 0 0 0 0 0 0 0 0 0 6\n\n"
      "Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic      Isolate\n"
      "Node 0, zone    DMA32            2           30            0            0            0\n"
      "Number of mixed blocks    Unmovable      Movable  Reclaimable   HighAtomic      Isolate\n"
      "Node 0, zone    DMA32            2           30            0            0            0\n";
  REQUIRE(add_pagetypeinfo(m, text, "p"));
  CHECK(m.zones[0].types->pageblocks == std::array<std::uint64_t, migratetypes>{2, 30, 0, 0, 0, 0});
}

TEST_CASE("where pagetypeinfo stopped counting, buddyinfo fills in", "[workload]") {
  auto m = machine();
  auto& z = m.zones[0];
  z.extent = {zone_type::dma32, pfn{4096}, 1u << 20, 1u << 20, 1u << 20};
  z.free_pages = 300'007;
  z.free_blocks = block_counts{300'007};
  const std::string text =
      "Free pages count per migrate type at order 0 1 2 3 4 5 6 7 8 9 10\n"
      "Node 0, zone DMA32, type Unmovable >100000 0 0 0 0 0 0 0 0 0 0\n"
      "Node 0, zone DMA32, type Movable   > 100000 0 0 0 0 0 0 0 0 0 0\n"
      "Node 0, zone DMA32, type Reclaimable 7 0 0 0 0 0 0 0 0 0 0\n"
      "Number of blocks type Unmovable Movable Reclaimable\n"
      "Node 0, zone DMA32 1024 1000 24\n";
  REQUIRE(add_pagetypeinfo(m, text, "p"));
  const auto& blocks = m.zones[0].types->free_blocks;
  CHECK(blocks[0][0] == 150'000);
  CHECK(blocks[1][0] == 150'000);
  CHECK(blocks[2][0] == 7);
}

TEST_CASE("pagetypeinfo that does not fit is refused, naming file and field", "[workload]") {
  CHECK(pagetypeinfo_error("Page block order: 9", "Page block order: 8").code() ==
        errc::unsupported);
  CHECK(pagetypeinfo_error("type      Movable     10", "type      Movable     -1").code() ==
        errc::malformed);
  CHECK(pagetypeinfo_error("type      Movable     10", "type      Movable").code() ==
        errc::unsupported);
  CHECK(pagetypeinfo_error("type      Movable     10", "type      Mobile     10").code() ==
        errc::unsupported);
  CHECK(pagetypeinfo_error("type      Movable     10", "type    Unmovable     10").code() ==
        errc::inconsistent);
  CHECK(pagetypeinfo_error("Number of blocks", "Count of blocks").code() == errc::malformed);
  CHECK(pagetypeinfo_error("HighAtomic          CMA", "HighAtomic   HighAtomic").code() ==
        errc::unsupported);
  CHECK_THAT(
      pagetypeinfo_error("            7           21", "            7           91").message(),
      ContainsSubstring("p: zone DMA32: 102 pageblocks, where zoneinfo has"));
  CHECK_THAT(
      pagetypeinfo_error("            7           21", "            7            1").message(),
      ContainsSubstring("12 pageblocks"));
  CHECK_THAT(pagetypeinfo_error("0      1      0      4 \n", "0      1      0      2 \n").message(),
             ContainsSubstring("zoneinfo has \"pages free\" 6730"));
  CHECK_THAT(pagetypeinfo_error("0      1      0      4 \n", "0      3      2      2 \n").message(),
             ContainsSubstring("3 free blocks of order 10, buddyinfo has 5"));
}

TEST_CASE("a captured machine is found by its zoneinfo or its directory", "[workload]") {
  const auto before = load_capture(traces / "small.zoneinfo.before");
  REQUIRE(before);
  REQUIRE(before->zones.size() == 3);
  CHECK(before->zones[2].free_blocks->front() == 9178);
  CHECK(before->zones[2].types->pageblocks[1] == 4446);
  CHECK(before->cpus() == 2);
  CHECK(load_capture(traces) == before);
  CHECK(load_capture(traces / "small.zoneinfo.after").value() != *before);
}

TEST_CASE("a captured machine that is not there is an input error", "[workload]") {
  const auto missing = load_capture(traces / "nothing");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code() == errc::io);
  CHECK_THAT(missing.error().message(), ContainsSubstring("nothing: cannot open: No such file"));
  const auto empty = load_capture(std::filesystem::path{MEMSIM_TEST_DATA});
  REQUIRE_FALSE(empty);
  CHECK_THAT(empty.error().message(), ContainsSubstring("no zoneinfo"));
}
