// SPDX-License-Identifier: Apache-2.0
// The numbers that the kernel works out at boot, for a machine of 16 GiB worked out by hand.
#include <memsim/alloc/tuning.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

std::vector<zone_state> example() {
  std::vector<zone_state> zones(3);
  zones[0].extent = {zone_type::dma, pfn{1}, 4095, 3998, 3840};
  zones[1].extent = {zone_type::dma32, pfn{4096}, 1044480, 782304, 765000};
  zones[2].extent = {zone_type::normal, pfn{1u << 20}, 3400000, 3400000, 3300000};
  return zones;
}

constexpr unsigned cpus = 8;

}  // namespace

TEST_CASE("min_free_kbytes is a square root, unless huge pages raise it", "[alloc]") {
  std::vector<zone_extent> extents;
  for (const auto& z : example()) extents.push_back(z.extent);
  CHECK(default_min_free_kbytes(extents, {.transparent_hugepages = false}) == 16137);
  CHECK(default_min_free_kbytes(extents, {}) == 67584);
}

TEST_CASE("watermarks are shares of min_free_kbytes with a gap", "[alloc]") {
  auto zones = example();
  tune(zones, cpus, {}, linux_6_1);
  CHECK(zones[0].marks == watermarks{15, 18, 21});
  CHECK(zones[1].marks == watermarks{3176, 3970, 4764});
  CHECK(zones[2].marks == watermarks{13703, 17128, 20553});
  tune(zones, cpus, {.transparent_hugepages = false}, linux_6_1);
  CHECK(zones[2].marks == watermarks{3271, 6571, 9871});
  tune(zones, cpus, {.min_free_kbytes = 67584, .watermark_scale_factor = 100}, linux_6_1);
  CHECK(zones[2].marks == watermarks{13703, 46703, 79703});
}

TEST_CASE("lower zones keep back a part of what lies above them", "[alloc]") {
  auto zones = example();
  tune(zones, cpus, {}, linux_6_12);
  CHECK(zones[0].reserve == lowmem_reserves{0, 2988, 15878, 15878});
  CHECK(zones[1].reserve == lowmem_reserves{0, 0, 12890, 12890});
  CHECK(zones[2].reserve == lowmem_reserves{});
}

TEST_CASE("per-CPU page sets follow from the low mark and the number of CPUs", "[alloc]") {
  auto zones = example();
  tune(zones, cpus, {}, linux_6_1);
  const auto limits = [&](unsigned z) {
    REQUIRE(zones[z].cpus.size() == cpus);
    return std::pair{zones[z].cpus[7].batch, zones[z].cpus[7].high};
  };
  CHECK(limits(0) == std::pair{1u, 4u});
  CHECK(limits(1) == std::pair{63u, 496u});
  CHECK(limits(2) == std::pair{63u, 2141u});
  CHECK(zones[2].cpus[0].high_max == 0);

  tune(zones, cpus, {}, linux_6_12);
  CHECK(zones[2].cpus[0].high_min == 2141);
  CHECK(zones[2].cpus[0].high_max == 51562);
  tune(zones, cpus, {.percpu_pagelist_high_fraction = 10}, linux_6_12);
  CHECK(zones[2].cpus[0].high_min == 41250);
  CHECK(zones[2].cpus[0].high_max == 41250);
}

TEST_CASE("the counter threshold grows with CPUs and memory", "[alloc]") {
  auto zones = example();
  tune(zones, 1, {}, linux_6_1);
  CHECK(zones[0].counter_threshold == 2);   // 2 * 1 * (1 + 0)
  CHECK(zones[1].counter_threshold == 12);  // 2 * 1 * (1 + 5)
  tune(zones, cpus, {}, linux_6_1);
  CHECK(zones[2].counter_threshold == 64);  // 2 * 4 * (1 + 7)
  tune(zones, 4096, {}, linux_6_1);
  CHECK(zones[2].counter_threshold == 125);
}

TEST_CASE("settings out of range are refused by name", "[alloc]") {
  const auto refused = [](const tuning& settings) {
    try {
      validate(settings);
      return std::string{"accepted"};
    } catch (const usage_error& e) {
      return std::string{e.what()};
    }
  };
  CHECK(refused({}) == "accepted");
  CHECK_THAT(refused({.min_free_kbytes = 0}), ContainsSubstring("min_free_kbytes 0"));
  CHECK_THAT(refused({.watermark_scale_factor = 0}), ContainsSubstring("watermark_scale_factor 0"));
  CHECK_THAT(refused({.watermark_scale_factor = 3001}), ContainsSubstring("1 to 3000"));
  CHECK_THAT(refused({.percpu_pagelist_high_fraction = 7}), ContainsSubstring("0 and 8 or more"));
  CHECK_THAT(refused({.pcp_batch_scale_max = 7}), ContainsSubstring("0 to 6"));
}
