// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/error.hpp>

#include "catch.hpp"

using namespace memsim;

TEST_CASE("an error reads as its message, or else as the name of its code", "[core]") {
  CHECK(error{errc::no_memory}.message() == "out of memory");
  CHECK(error{errc::malformed, "x.trace:3: no such record"}.message() ==
        "x.trace:3: no such record");
  CHECK(fmt::format("{}", error{errc::io, "cannot open a"}) == "cannot open a");
}

TEST_CASE("fail() builds the unexpected value with a formatted message", "[core]") {
  const std::expected<int, error> result = fail(errc::inconsistent, "{} is not {}", 1, 2);
  REQUIRE_FALSE(result);
  CHECK(result.error() == error{errc::inconsistent, "1 is not 2"});
}

TEST_CASE("throw_usage() names what was wrong", "[core]") {
  CHECK_THROWS_WITH(throw_usage("order {} is above {}", 40, 10), "order 40 is above 10");
  CHECK_THROWS_AS(throw_usage("x"), usage_error);
}
