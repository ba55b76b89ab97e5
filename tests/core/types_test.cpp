// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/types.hpp>

#include <concepts>
#include <type_traits>
#include <unordered_set>

#include <memsim/core/error.hpp>

#include "catch.hpp"

using namespace memsim;

// Mixing units does not compile.
static_assert(!std::convertible_to<std::uint64_t, pfn>);
static_assert(!std::convertible_to<pfn, std::uint64_t>);
static_assert(!std::convertible_to<unsigned, order>);
static_assert(!std::convertible_to<frame_count, bytes>);
static_assert(!std::convertible_to<unsigned, cpu_id>);
static_assert(!std::equality_comparable_with<pfn, order>);
static_assert(sizeof(order) == 1);

SCENARIO("frame numbers count in frames", "[core][types]") {
  GIVEN("a frame") {
    constexpr pfn frame{300'000};
    THEN("its address is 4096 times its number") { CHECK(frame.address() == 1'228'800'000); }
    THEN("frames can be added to it, and the distance of two is a count") {
      CHECK(frame + 512 == pfn{300'512});
      CHECK(frame - 300'000 == pfn{});
      CHECK((frame + 7) - frame == 7);
      CHECK(frame < frame + 1);
    }
    THEN("it can be stepped") {
      pfn step = frame;
      ++step;
      step += 9;
      CHECK(step == pfn{300'010});
    }
    THEN("it prints as its number") { CHECK(fmt::format("{:>8}", frame) == "  300000"); }
    THEN("it can be hashed") {
      CHECK(std::unordered_set<pfn>{frame, frame, frame + 1}.size() == 2);
    }
  }
}

SCENARIO("an order is a power of two of frames", "[core][types]") {
  CHECK(order{}.frames() == 1);
  CHECK(order{9}.frames() == pageblock_frames);
  CHECK(order{63}.frames() == 1ULL << 63);
  CHECK(max_page_order.value() == 10);
  CHECK(page_orders == 11);
  CHECK(fmt::format("{}", order{9}) == "9");
}

SCENARIO("an order of 64 is refused with a message that names it", "[core][types]") {
  CHECK_THROWS_AS(order{64}, usage_error);
  CHECK_THROWS_WITH(order{64}, ContainsSubstring("64") && ContainsSubstring("63"));
  // Not taken modulo anything on its way in.
  CHECK_THROWS_AS(order{256}, usage_error);
  CHECK_THROWS_AS(order{~0u}, usage_error);
}

SCENARIO("sizes are written with literals and print without rounding", "[core][types]") {
  CHECK(4_KiB == bytes{4096});
  CHECK(1_GiB == 1024_MiB);
  CHECK(1_TiB == bytes{1ULL << 40});
  CHECK((16_GiB).frames() == 4'194'304);
  CHECK(bytes{8191}.frames() == 1);
  CHECK(1_GiB + 1_KiB == bytes{1'073'742'848});
  CHECK(2_MiB * 3 == 6_MiB);

  CHECK(fmt::format("{}", 16_GiB) == "16 GiB");
  CHECK(fmt::format("{}", 1536_MiB) == "1536 MiB");
  CHECK(fmt::format("{}", 2048_GiB) == "2 TiB");
  CHECK(fmt::format("{}", bytes{4097}) == "4097 B");
  CHECK(fmt::format("{}", bytes{}) == "0 B");
}

SCENARIO("CPUs are numbered from 0", "[core][types]") {
  CHECK(cpu_id{} == cpu_id{0});
  CHECK(fmt::format("{}", cpu_id{12}) == "12");
}

SCENARIO("each page size is 512 of the next smaller one", "[core][types]") {
  CHECK(frames_of(page_size::k4) == 1);
  CHECK(frames_of(page_size::m2) == 512);
  CHECK(frames_of(page_size::g1) == 262144);
  CHECK(order_of(page_size::m2) == pageblock_order);
  CHECK(fmt::format("{} {} {}", page_size::k4, page_size::m2, page_size::g1) == "4K 2M 1G");
}
