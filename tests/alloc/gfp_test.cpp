// SPDX-License-Identifier: Apache-2.0
#include <memsim/alloc/gfp.hpp>

#include <memsim/core/random.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

gfp read(std::string_view text) {
  const auto flags = parse_gfp(text);
  INFO(text);
  REQUIRE(flags);
  return *flags;
}

}  // namespace

TEST_CASE("the combinations that tracepoints print are read as their parts", "[alloc]") {
  CHECK(read("GFP_KERNEL|__GFP_ZERO") == (gfp_kernel | gfp_flag::zero));
  CHECK(read("GFP_HIGHUSER_MOVABLE|__GFP_ZERO|__GFP_COMP") ==
        (gfp_highuser_movable | gfp_flag::zero | gfp_flag::comp));
  CHECK(read("__GFP_RECLAIMABLE|__GFP_IO|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP|__GFP_NOMEMALLOC") ==
        (gfp_flag::reclaimable | gfp_flag::io | gfp_flag::nowarn | gfp_flag::noretry |
         gfp_flag::comp | gfp_flag::nomemalloc));
  CHECK(read("GFP_NOFS|__GFP_HIGHMEM|__GFP_MOVABLE|__GFP_HARDWALL|__GFP_FS") ==
        gfp_highuser_movable);
  CHECK(read("GFP_TRANSHUGE_LIGHT|__GFP_DIRECT_RECLAIM") == gfp_transhuge);
  CHECK(read("__GFP_RECLAIM") == gfp_reclaim);
  CHECK(read("GFP_ATOMIC").has_all(gfp_flag::high | gfp_flag::atomic | gfp_flag::kswapd_reclaim));
}

TEST_CASE("a GFP name decides mobility and zone", "[alloc]") {
  CHECK(migratetype_of(read("GFP_HIGHUSER_MOVABLE")) == migratetype::movable);
  CHECK(highest_zone_of(read("GFP_HIGHUSER_MOVABLE")) == zone_type::movable);
  CHECK(migratetype_of(read("GFP_KERNEL|__GFP_RECLAIMABLE")) == migratetype::reclaimable);
  CHECK(highest_zone_of(read("GFP_KERNEL|GFP_DMA32")) == zone_type::dma32);
  CHECK(highest_zone_of(read("GFP_DMA|__GFP_NOWARN")) == zone_type::dma);
}

TEST_CASE("no flags, and flags without a name, are read as what they are", "[alloc]") {
  CHECK(read("none") == gfp{});
  CHECK(read("0") == gfp{});
  CHECK(read("0x0") == gfp{});
  CHECK(read("GFP_NOWAIT|0x2000000") == (gfp_nowait | gfp_flag::other));
  CHECK(read("__GFP_SKIP_KASAN|__GFP_NO_OBJ_EXT") == gfp_flag::other);
}

TEST_CASE("what is no GFP flag is refused by name", "[alloc]") {
  const auto text = GENERATE(as<std::string>{}, "", "|", "GFP_KERNEL|", "|GFP_KERNEL", "gfp_kernel",
                             "GFP_KERNE", "GFP_KERNEL |__GFP_ZERO", "0x", "0xfg", "12", "-1",
                             "-0x1", "0x10000000000000000", "GFP_KERNEL||__GFP_ZERO", "GFP_\x01");
  INFO(text);
  const auto flags = parse_gfp(text);
  REQUIRE_FALSE(flags);
  CHECK(flags.error().code() == errc::malformed);
  CHECK_THAT(flags.error().message(), ContainsSubstring("is not a GFP flag"));
}

TEST_CASE("a message about a huge flag name stays short", "[alloc]") {
  const auto flags = parse_gfp(std::string(1'000'000, 'A'));
  REQUIRE_FALSE(flags);
  CHECK(flags.error().message().size() < 200);
}

TEST_CASE("flags are printed as tracepoints print them, combinations first", "[alloc]") {
  CHECK(to_text(gfp{}) == "none");
  CHECK(to_text(gfp_kernel | gfp_flag::zero) == "GFP_KERNEL|__GFP_ZERO");
  CHECK(to_text(gfp_kernel_account) == "GFP_KERNEL_ACCOUNT");
  CHECK(to_text(gfp_transhuge) == "GFP_TRANSHUGE");
  CHECK(to_text(gfp_atomic | gfp_flag::nowarn) == "GFP_ATOMIC|__GFP_NOWARN");
  CHECK(to_text(gfp_flag::other | gfp_nowait) == "GFP_NOWAIT|0x800000");
  CHECK(fmt::format("{}", gfp_highuser_movable) == "GFP_HIGHUSER_MOVABLE");
}

TEST_CASE("any set of flags survives being printed and read", "[alloc]") {
  constexpr std::uint32_t all_flags = (1u << 24) - 1;
  for (unsigned bit = 0; bit < 24; ++bit) {
    CHECK(read(to_text(gfp{1u << bit})) == gfp{1u << bit});
  }
  random_stream random{1, "gfp_test"};
  for (int i = 0; i < 20'000; ++i) {
    const gfp flags{static_cast<std::uint32_t>(random.below(all_flags + 1))};
    const auto again = parse_gfp(to_text(flags));
    REQUIRE(again);
    REQUIRE(*again == flags);
  }
}
