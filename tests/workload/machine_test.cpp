// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/machine.hpp>

#include <filesystem>
#include <fstream>

#include <memsim/arch/merge_policy.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

page_allocator_config parse(std::string_view text) {
  const auto config = parse_machine(text, "m.toml");
  INFO(text);
  if (!config) FAIL(config.error().message());
  return *config;
}

std::string complaint(std::string_view text) {
  const auto config = parse_machine(text, "m.toml");
  INFO(text);
  REQUIRE_FALSE(config);
  return config.error().message();
}

}  // namespace

TEST_CASE("a machine file needs its memory only", "[workload]") {
  const auto config = parse("memory = \"16 GiB\"");
  CHECK(config.memory == memory_map::x86_64(16_GiB));
  CHECK(config.profile == linux_6_12);
  CHECK(config.cpus == 1);
  CHECK(config.settings == tuning{});
}

TEST_CASE("a machine file sets all of a machine", "[workload]") {
  const auto config = parse(R"(
cpus = 4
profile = "linux_6_1"
movable_zone = "1GiB"

[[region]]
start = 4096
size = "8 MiB"
kind = "reserved"

[[region]]
start = "16 MiB"
size = "4080 MiB"

[[cma]]
base = "1 GiB"
size = 268435456

[tuning]
min_free_kbytes = 1024
transparent_hugepages = false
watermark_scale_factor = 100
watermark_boost_factor = 0
percpu_pagelist_high_fraction = 8
pcp_batch_scale_max = 3
)");
  CHECK(config.memory == memory_map{{{pfn{1}, 2048, region_kind::reserved},
                                     {pfn{4096}, 1044480, region_kind::ram}}});
  CHECK(config.cpus == 4);
  CHECK(config.profile == linux_6_1);
  CHECK(config.movable_zone == 262144);
  CHECK(config.cma_areas == std::vector<cma_area>{{pfn{262144}, 65536}});
  CHECK(config.settings == tuning{.min_free_kbytes = 1024,
                                  .transparent_hugepages = false,
                                  .watermark_scale_factor = 100,
                                  .watermark_boost_factor = 0,
                                  .percpu_pagelist_high_fraction = 8,
                                  .pcp_batch_scale_max = 3});
}

TEST_CASE("comments of a machine file may be in any language, keys may not", "[workload]") {
  CHECK(parse_machine("memory = \"1 GiB\"  # mémoire \ufef7\n", "m.toml"));
  const auto refused = parse_machine("memory\ufef7 = \"1 GiB\"\n", "m.toml");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::malformed);
  CHECK_THAT(refused.error().message(), ContainsSubstring("m.toml:1:"));
}

TEST_CASE("a CMA area without a base is given a place", "[workload]") {
  const auto config = parse_machine_config(
      "memory = \"8 GiB\"\n[[cma]]\nsize = \"256 MiB\"\norder_per_bit = 2\n"
      "[[cma]]\nsize = \"64 MiB\"\nalignment = \"4 MiB\"\nlimit = \"1 GiB\"\n"
      "[tuning]\nslow_path = false\nswappiness = 100\n",
      "m.toml");
  REQUIRE(config);
  CHECK(config->cma_areas ==
        std::vector<cma_area>{{pfn{1 << 20}, 65536, order{2}}, {pfn{262144 - 16384}, 16384}});
  CHECK(config->settings.slow_path == rule::off);
  CHECK(config->settings.swappiness == 100);
}

TEST_CASE("a key that does not exist is refused with those that do", "[workload]") {
  CHECK(complaint("memory = \"1 GiB\"\ncores = 2") ==
        "m.toml:2: unknown key \"cores\"; there are memory, region, cpus, cpu, profile, "
        "movable_zone, cma, tuning, nested, seed, price, largest_mapping, flush_ceiling, merging");
  CHECK_THAT(complaint("memory = \"1 GiB\"\n[tuning]\ndirty_ratio = 60"),
             ContainsSubstring("m.toml:3: unknown key \"tuning.dirty_ratio\""));
  CHECK_THAT(complaint("[[region]]\nstart = 0\nsize = 4096\nname = \"x\""),
             ContainsSubstring("unknown key \"region.name\"; there are start, size, kind"));
}

TEST_CASE("a value out of range is refused with key, value and what is allowed", "[workload]") {
  CHECK(complaint("memory = \"1 GiB\"\ncpus = 0") == "m.toml:2: cpus = 0: allowed are 1 to 4096");
  CHECK_THAT(complaint("memory = \"1 GiB\"\ncpus = -9223372036854775808"),
             ContainsSubstring("allowed are 1 to 4096"));
  CHECK_THAT(complaint("memory = \"1 GiB\"\ncpus = 4097"), ContainsSubstring("cpus = 4097"));
  CHECK_THAT(complaint("memory = \"1 GiB\"\ncpus = \"4\""), ContainsSubstring("cpus = \"4\""));
  CHECK_THAT(complaint("memory = \"1 GiB\"\nprofile = \"linux_5\""),
             ContainsSubstring("linux_6_1"));
  CHECK_THAT(complaint("memory = \"1 GiB\"\nprofile = 6"), ContainsSubstring("profile = 6"));
  CHECK_THAT(complaint("memory = \"1 GiB\"\n[tuning]\npcp_batch_scale_max = 7"),
             ContainsSubstring("tuning.pcp_batch_scale_max = 7: allowed are 0 to 6"));
  CHECK_THAT(complaint("memory = \"1 GiB\"\n[tuning]\ntransparent_hugepages = 1"),
             ContainsSubstring("allowed are true and false"));
  CHECK_THAT(complaint("memory = \"1 GiB\"\n[tuning]\npercpu_pagelist_high_fraction = 3"),
             ContainsSubstring("percpu_pagelist_high_fraction 3"));
  CHECK_THAT(complaint("[[region]]\nstart = 0\nsize = 4096\nkind = \"rom\""),
             ContainsSubstring("region.kind = \"rom\": allowed are ram, reserved, undescribed"));
}

TEST_CASE("a size is whole frames in known units", "[workload]") {
  const auto bad =
      GENERATE(as<std::string>{}, "0", "4096", "2097153", "-1", "1.5", "true", "\"1 GB\"",
               "\"GiB\"", "\"1 GiB \"", "\"-1 GiB\"", "\"17179869184 GiB\"", "\"16 TiB\"",
               "\"99999999999999999999\"", "[1]", "{}", "1979-05-27");
  CHECK_THAT(complaint("memory = " + bad),
             ContainsSubstring("m.toml:1: memory = ") &&
                 ContainsSubstring("allowed are multiples of 4 KiB from 2 MiB to 16380 GiB"));
}

TEST_CASE("a machine has its memory described one way", "[workload]") {
  CHECK_THAT(complaint(""), ContainsSubstring("either \"memory\" or [[region]]"));
  CHECK_THAT(complaint("memory = \"1 GiB\"\n[[region]]\nstart = 0\nsize = 4096"),
             ContainsSubstring("either \"memory\" or [[region]]"));
  CHECK_THAT(complaint("region = 3"),
             ContainsSubstring("region = 3: tables [[region]] are wanted"));
  CHECK_THAT(complaint("memory = \"1 GiB\"\ncma = [1]"), ContainsSubstring("tables [[cma]]"));
  const std::string area = "memory = \"1 GiB\"\n[[cma]]\nsize = \"64 MiB\"\n";
  CHECK_THAT(complaint(area + "base = 0\nlimit = \"1 GiB\""),
             ContainsSubstring("m.toml:5: cma.limit: the area has a base already"));
  CHECK_THAT(complaint(area + "alignment = \"12 MiB\""),
             ContainsSubstring("m.toml:4: cma.alignment: 3072 frames are no power of two"));
  CHECK_THAT(complaint(area + "limit = \"32 MiB\""),
             ContainsSubstring(
                 "m.toml:3: cma.size: no 16384 frames of RAM aligned to 512 below frame 8192"));
  CHECK_THAT(complaint("memory = \"1 GiB\"\ntuning = 1"), ContainsSubstring("a table [tuning]"));
  CHECK_THAT(complaint("[[region]]\nstart = 0"), ContainsSubstring("no \"region.size\""));
  CHECK_THAT(complaint("[[region]]\nstart = 0\nsize = 8192\n[[region]]\nstart = 4096\nsize = 4096"),
             ContainsSubstring("overlap"));
}

TEST_CASE("what is not TOML is refused with its line", "[workload]") {
  CHECK_THAT(complaint("memory = \"1 GiB\"\ncpus = = 4"), ContainsSubstring("m.toml:2: "));
  CHECK_THAT(complaint("memory = \"1 GiB"), ContainsSubstring("m.toml:1: "));
  CHECK_THAT(complaint(std::string_view{"\0", 1}), ContainsSubstring("m.toml:1: "));
  CHECK_THAT(complaint("a = 1\na = 2"), ContainsSubstring("m.toml:2: "));
  CHECK_THAT(complaint("x = " + std::string(100'000, '[')), ContainsSubstring("m.toml:1: "));
}

TEST_CASE("a machine file boots a machine", "[workload]") {
  const auto config = parse_machine("memory = \"64 MiB\"\ncpus = 3", "m.toml");
  REQUIRE(config);
  const auto memory = make_machine(*config, {.profile = linux_6_1});
  REQUIRE(memory);
  CHECK(memory->cpus() == 3);
  CHECK(memory->profile() == linux_6_1);
}

TEST_CASE("a machine that cannot be is an error, not an exception", "[workload]") {
  const auto config =
      parse_machine("memory = \"64 MiB\"\n[[cma]]\nbase = 0\nsize = 4096", "m.toml");
  REQUIRE(config);
  const auto memory = make_machine(*config);
  REQUIRE_FALSE(memory);
  CHECK(memory.error().code() == errc::inconsistent);
  CHECK_THAT(memory.error().message(), ContainsSubstring("cma_areas"));
}

TEST_CASE("a path is loaded as what it is", "[workload]") {
  const std::filesystem::path data = MEMSIM_TEST_DATA;
  const auto captured = load_machine(data / "golden/traces/small.zoneinfo.before");
  REQUIRE(captured);
  CHECK(std::holds_alternative<machine_description>(*captured));
  CHECK(make_machine(*captured));

  std::ofstream{data / "machine_test.toml"} << "memory = \"64 MiB\"\n";
  const auto booted = load_machine(data / "machine_test.toml");
  REQUIRE(booted);
  CHECK(std::holds_alternative<page_allocator_config>(*booted));
  std::ofstream{data / "machine_test"} << "memory = \"64 MiB\"\n";
  CHECK_THAT(
      load_machine(data / "machine_test").error().message(),
      ContainsSubstring("machine_test:1: ") && ContainsSubstring("TOML files end in `.toml`"));
  CHECK(load_machine(data / "no.toml").error().code() == errc::io);
  CHECK(load_machine_config(data / "machine_test.toml").has_value());
  CHECK(load_machine_config(data / "no.toml").error().code() == errc::io);
}

SCENARIO("a machine file describes CPUs and mappings, too", "[workload][machine]") {
  const auto config = parse_machine_config(
      "memory = \"4 GiB\"\n"
      "cpus = 2\n"
      "cpu = \"zen4\"\n"
      "largest_mapping = \"2M\"\n"
      "merging = \"when_uniform\"\n"
      "flush_ceiling = 8\n"
      "seed = 5\n"
      "[price]\n"
      "ipis = 250\n"
      "[nested]\n"
      "host_page = \"2M\"\n",
      "m.toml");
  REQUIRE(config);
  CHECK(config->cpu.name == "zen4");
  CHECK(config->largest_mapping == page_size::m2);
  CHECK(config->merging == &merge_when_uniform);
  CHECK(config->seed == 5);
  CHECK(config->flush_ceiling == 8);
  CHECK(config->cpu.costs.of("ipis") == price{picoseconds{250'000}, "m.toml"});
  CHECK(config->cpu.costs.of("pages_zeroed") == presets::zen4().costs.of("pages_zeroed"));
  CHECK(config->cpu.costs.name() == "m.toml");
  REQUIRE(config->nested);
  CHECK(config->nested->host_page == page_size::m2);
  CHECK(config->nested->host_table_levels == 4);
  CHECK(machine{*config}.map().mapped().g1 == 0);

  THEN("what is left out is as in a machine_config") {
    const auto plain = parse_machine_config("memory = \"4 GiB\"\n", "m.toml");
    REQUIRE(plain);
    const machine_config usual;
    CHECK(plain->memory == usual.memory);
    CHECK(plain->cpu.name == usual.cpu.name);
    CHECK(plain->largest_mapping == usual.largest_mapping);
    CHECK(plain->merging == usual.merging);
    CHECK(plain->nested == usual.nested);
    CHECK(plain->seed == usual.seed);
    CHECK(plain->flush_ceiling == usual.flush_ceiling);
    CHECK(plain->cpu.costs == usual.cpu.costs);
  }
  THEN("what is not known is refused") {
    const auto message = [](const std::string& line) {
      const auto wrong = parse_machine_config("memory = \"4 GiB\"\n" + line, "m.toml");
      return wrong ? std::string{"accepted"} : wrong.error().message();
    };
    CHECK_THAT(message("cpu = \"z80\"\n"),
               ContainsSubstring("m.toml:2: cpu: ") && ContainsSubstring("there are skylake_sp"));
    CHECK_THAT(message("largest_mapping = \"3M\"\n"),
               ContainsSubstring("m.toml:2: largest_mapping = \"3M\": allowed are 1G, 2M, 4K"));
    CHECK_THAT(message("merging = \"always\"\n"),
               ContainsSubstring("allowed are never, on_request, when_uniform"));
    CHECK_THAT(message("[nested]\nhost_table_levels = 3\n"),
               ContainsSubstring("allowed are 4 to 5"));
    CHECK_THAT(message("[nested]\nhost = 3\n"), ContainsSubstring("unknown key \"nested.host\""));
    CHECK_THAT(message("[price]\nipi = 3\n"), ContainsSubstring("unknown key \"price.ipi\""));
    CHECK_THAT(message("flush_ceiling = -1\n"), ContainsSubstring("flush_ceiling"));
  }
}
