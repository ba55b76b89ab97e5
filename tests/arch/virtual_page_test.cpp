// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/virtual_page.hpp>

#include <memsim/core/error.hpp>

#include "catch.hpp"

using namespace memsim;

SCENARIO("a virtual page number has 45 bits", "[arch][tlb]") {
  CHECK(vpn{(1ULL << 45) - 1}.value() == (1ULL << 45) - 1);
  CHECK_THROWS_AS(vpn{1ULL << 45}, usage_error);
  CHECK_THROWS_WITH(vpn{1ULL << 45},
                    ContainsSubstring("0x200000000000") && ContainsSubstring("45 bits"));
  CHECK_THROWS_AS(vpn{(1ULL << 45) - 1} + 1, usage_error);
}

SCENARIO("an address of either half has a page", "[arch][tlb]") {
  CHECK(vpn::of_address(0x7fff'ffff'ffff) == vpn{0x7'ffff'ffff});
  CHECK(vpn::of_address(0x1000) == vpn{1});
  // Kernel addresses begin with ones, of which 57 - 12 bits are kept.
  CHECK(vpn::of_address(0xffff'8880'0000'0000) == vpn{0x1ff8'8800'0000});
  CHECK(fmt::format("{}", vpn::of_address(0x7f00'1234'5678)) == "0x7f0012345");
}

SCENARIO("a page lies in one mapping of each size", "[arch][tlb]") {
  constexpr vpn page{0x12'3456};
  CHECK(page.base(page_size::k4) == page);
  CHECK(page.base(page_size::m2) == vpn{0x12'3400});
  CHECK(page.base(page_size::g1) == vpn{0x10'0000});
}

SCENARIO("address spaces have 16 bits", "[arch][tlb]") {
  CHECK(asid{}.value() == 0);
  CHECK(fmt::format("{}", asid{65535}) == "65535");
}
