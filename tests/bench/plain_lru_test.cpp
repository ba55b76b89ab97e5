// SPDX-License-Identifier: Apache-2.0
// The plain table does the work that memsim's TLB does, or the benchmark compares two things.
#include "../../bench/plain_lru.hpp"

#include <memsim/arch/tlb.hpp>
#include <memsim/arch/tlb_presets.hpp>
#include <memsim/core/random.hpp>

#include "catch.hpp"

using namespace memsim;
using bench::plain_lru_tlb;

namespace {

plain_lru_tlb::counts counts_of(const tlb& side) {
  const auto counts = side.counts();
  return {counts.levels[0].hits(), counts.levels[1].hits(), counts.walks.walks()};
}

}  // namespace

SCENARIO("the plain LRU table hits and misses where memsim's TLB does", "[bench]") {
  const auto size = GENERATE(page_size::k4, page_size::m2, page_size::g1);
  // On both sides of the structures' limits: L1 has 64, 32 or 4 entries by page size, L2 1536
  // or 16.
  const std::uint64_t pages = GENERATE(3u, 6u, 20u, 40u, 80u, 1200u, 2000u, 20'000u);
  CAPTURE(size, pages);
  auto geometry = presets::skylake_sp_tlb();
  geometry.walk_caches = {};
  tlb ours{{.geometry = geometry}};
  plain_lru_tlb plain;
  random_stream random{1, "plain_lru_test"};
  for (int access = 0; access < 20'000; ++access) {
    // Half of them among a few pages, so that the order of use is not that of arrival.
    const auto number = random.below(random.chance(0.5) ? (pages + 3) / 4 : pages);
    const auto page = number * frames_of(size) + random.below(frames_of(size));
    ours.translate(asid{1}, vpn{page}, [&](asid, vpn) { return page_mapping{size}; });
    plain.translate(page, size);
    CAPTURE(access, page);
    REQUIRE(plain.counted() == counts_of(ours));
  }
  const auto& counted = plain.counted();
  CHECK(counted.l1_hits > 0);
  CHECK(counted.walks >= pages / 2);
  if (pages == 80) CHECK(counted.l2_hits > 0);  // more than L1 has of any size
}
