// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/text.hpp>

#include <array>
#include <string>

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

TEST_CASE("nearest() finds what was meant, if anything is near", "[core]") {
  constexpr std::array<std::string_view, 5> known{"size", "used", "processes", "memory", "user"};
  CHECK(nearest("siez", known) == "size");   // neighbours exchanged
  CHECK(nearest("sise", known) == "size");   // replaced
  CHECK(nearest("sizes", known) == "size");  // inserted
  CHECK(nearest("proceses", known) == "processes");
  CHECK(nearest("prcesess", known) == "processes");  // two edits of eight letters
  CHECK(nearest("use", known) == "used");            // the first of two that are as near
  CHECK(nearest("sbzs", known).empty());             // two edits of four letters
  CHECK(nearest("", known).empty());
  CHECK(nearest("x", known).empty());
  CHECK(nearest("size", std::span<const std::string_view>{}).empty());
  CHECK(nearest(std::string(1'000'000, 'a'), known).empty());
}
