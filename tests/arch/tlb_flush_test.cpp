// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb_flush.hpp>

#include <memsim/core/error.hpp>

#include "catch.hpp"

using namespace memsim;

SCENARIO("a range of 33 pages is flushed page by page, one of 34 in full", "[arch][tlb]") {
  const auto small = tlb_flush::range(asid{2}, vpn{100}, 33);
  CHECK(small.pages == 33);
  CHECK(small.first == vpn{100});
  CHECK(tlb_flush::range(asid{2}, vpn{100}, 34) ==
        tlb_flush{.full = full_flush::everything, .space = asid{2}});
  CHECK(tlb_flush::range(asid{2}, vpn{100}, 34, {.ceiling = 34}).pages == 34);
  CHECK(tlb_flush::range(asid{2}, vpn{100}, 1, {.ceiling = 0}).pages == 0);
}

SCENARIO("a range mapped by large pages takes one flush for each", "[arch][tlb]") {
  const range_flush_rule rule{.stride = page_size::m2, .beyond = full_flush::address_space};
  CHECK(tlb_flush::range(asid{}, vpn{512}, 33 * pageblock_frames, rule).pages == 33);
  CHECK(tlb_flush::range(asid{}, vpn{512}, 33 * pageblock_frames + 1, rule).full ==
        full_flush::address_space);
  CHECK(tlb_flush::range(asid{}, vpn{512}, 1, rule).pages == 1);
}

SCENARIO("a range that is empty or leaves the address space is refused", "[arch][tlb]") {
  constexpr vpn last{(1ULL << 45) - 1};
  CHECK(tlb_flush::range(asid{}, last, 1).pages == 1);
  CHECK_THROWS_WITH(tlb_flush::range(asid{}, last, 2),
                    ContainsSubstring("2 pages") && ContainsSubstring("1 to 1"));
  CHECK_THROWS_AS(tlb_flush::range(asid{}, vpn{}, 0), usage_error);
}

SCENARIO("a flush says what it is", "[arch][tlb]") {
  CHECK(fmt::format("{}", tlb_flush::range(asid{3}, vpn{0x1000}, 33)) ==
        "33 pages from 0x1000 by 4K in space 3");
  CHECK(fmt::format("{}", tlb_flush::address_space(asid{3})) == "space 3");
  CHECK(fmt::format("{}", tlb_flush::all_but_global()) == "all_but_global");
  CHECK(fmt::format("{}", tlb_flush::everything()) == "everything");
}
