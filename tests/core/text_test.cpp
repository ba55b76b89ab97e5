// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/text.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::string_literals;

TEST_CASE("escaped() leaves printable ASCII alone and spells out the rest", "[core]") {
  CHECK(escaped("pfn=0x12 ~", 80) == "pfn=0x12 ~");
  CHECK(escaped("a\tb\r\n\\", 80) == "a\\tb\\r\\n\\\\");
  CHECK(escaped("\0\x1b\x7f\xff"s, 80) == "\\x00\\x1b\\x7f\\xff");
}

TEST_CASE("escaped() cuts what is longer than its limit and says so", "[core]") {
  CHECK(escaped("abcdef", 6) == "abcdef");
  CHECK(escaped("abcdef", 3) == "abc...");
  CHECK(escaped("", 0).empty());
}
