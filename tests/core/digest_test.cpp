// SPDX-License-Identifier: Apache-2.0
// The pinned numbers were worked out by a program of its own; any compiler must give them.
#include <memsim/core/digest.hpp>

#include <memsim/core/format.hpp>

#include "catch.hpp"

using namespace memsim;

SCENARIO("a digest is the same number on every compiler", "[core][digest]") {
  CHECK(digest{}.value() == 0);
  CHECK(digest{}.add(1).value() == 0xbfef8030ddc2d772);
  CHECK(digest{}.add(1).add(2).value() == 0x7364873d37c39199);
  CHECK(digest{}.add("abc").value() == 0x7717e3bea77bb33e);
}

SCENARIO("a digest can be had at compile time", "[core][digest]") {
  static_assert(digest{}.add(1).add(2) != digest{}.add(2).add(1));
  static_assert(digest{}.add(1) == digest{}.add(1));
}

SCENARIO("different histories have different digests", "[core][digest]") {
  CHECK(digest{}.add(0) != digest{});
  CHECK(digest{}.add(0).add(0) != digest{}.add(0));
  CHECK(digest{}.add("") != digest{});
  CHECK(digest{}.add("ab").add("c") != digest{}.add("a").add("bc"));
  CHECK(digest{}.add("\xff") == digest{}.add(1).add(0xff));
}

SCENARIO("a digest prints as sixteen hexadecimal digits", "[core][digest]") {
  CHECK(fmt::format("{}", digest{}) == "0000000000000000");
  CHECK(fmt::format("{}", digest{}.add(1)) == "bfef8030ddc2d772");
}

TEST_CASE("a digest comes back from its value", "[core]") {
  const auto d = digest{}.add(1).add("two");
  CHECK(digest::from_value(d.value()) == d);
  CHECK(digest::from_value(0) == digest{});
}
