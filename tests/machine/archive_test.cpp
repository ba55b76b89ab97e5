// SPDX-License-Identifier: Apache-2.0
#include "machine/archive.hpp"

#include <cstdint>
#include <limits>

#include "catch.hpp"
#include "machine/describe.hpp"

using namespace memsim;
using memsim::detail::state_reader;
using memsim::detail::state_writer;

namespace {

template <class T>
std::string written(T value) {
  state_writer writer;
  writer(value);
  return writer.bytes();
}

template <class T>
std::optional<T> read(const std::string& bytes) {
  state_reader reader{bytes};
  T value{};
  reader(value);
  if (!reader.ok() || !reader.at_end()) return std::nullopt;
  return value;
}

template <class T>
void check_round_trip(T value) {
  CHECK(read<T>(written(value)).value() == value);
}

}  // namespace

SCENARIO("numbers come back, in as few bytes as they need", "[machine][archive]") {
  for (unsigned shift = 0; shift < 64; ++shift) {
    const auto power = std::uint64_t{1} << shift;
    check_round_trip(power);
    check_round_trip(power - 1);
    check_round_trip(static_cast<std::int64_t>(power));
    check_round_trip(-static_cast<std::int64_t>(power - 1));
  }
  check_round_trip(std::numeric_limits<std::int64_t>::min());
  check_round_trip(std::numeric_limits<std::int32_t>::min());
  CHECK(written(std::uint64_t{127}).size() == 1);
  CHECK(written(std::uint64_t{128}).size() == 2);
  CHECK(written(std::int64_t{-1}).size() == 1);
  CHECK(written(std::numeric_limits<std::uint64_t>::max()).size() == 10);
}

SCENARIO("what does not fit is refused", "[machine][archive]") {
  CHECK(read<std::uint8_t>(written(std::uint64_t{255})) == 255);
  CHECK_FALSE(read<std::uint8_t>(written(std::uint64_t{256})));
  CHECK(read<std::int32_t>(written(std::int64_t{-5})) == -5);
  CHECK_FALSE(read<std::int32_t>(written(std::int64_t{1} << 31)));
  CHECK_FALSE(read<bool>(written(std::uint64_t{2})));
  CHECK_FALSE(read<order>(written(std::uint64_t{64})));
  CHECK_FALSE(read<std::uint64_t>(""));
  CHECK_FALSE(read<std::uint64_t>("\x80"));
  CHECK_FALSE(read<std::uint64_t>(std::string(10, '\xff')));
  CHECK_FALSE(
      read<std::string>("\x05"
                        "abc"));
  CHECK_FALSE(read<std::vector<std::uint64_t>>("\x7f\x01"));
}

SCENARIO("things made of things come back", "[machine][archive]") {
  check_round_trip(std::string{"a\0b", 3});
  check_round_trip(std::vector<std::uint32_t>{1, 2, 300});
  check_round_trip(std::vector<std::string>{"", "x"});
  check_round_trip(std::array<std::uint64_t, 3>{1, 1ULL << 40, 3});
  check_round_trip(std::optional<std::uint64_t>{});
  check_round_trip(std::optional<std::uint64_t>{5});
  check_round_trip(pfn{1ULL << 30});
  check_round_trip(order{9});
}

namespace {

enum class of_three : std::uint8_t { first, second, third };
enum class without_last : std::uint8_t { first, second };

template <class T>
concept can_be_read = requires { detail::last_value_of<T>::value; };

}  // namespace

template <>
struct memsim::detail::last_value_of<of_three> : std::integral_constant<unsigned, 2> {};

SCENARIO("an enumeration is read up to its last value, and not at all without one",
         "[machine][archive]") {
  check_round_trip(of_three::third);
  CHECK_FALSE(read<of_three>("\x03"));
  STATIC_REQUIRE(can_be_read<of_three>);
  STATIC_REQUIRE_FALSE(can_be_read<without_last>);
}

SCENARIO("a mapping has all flags that were written, and none that memsim does not know",
         "[machine][archive]") {
  for (unsigned bits = 0; bits < 256; ++bits) {
    auto number = static_cast<std::uint8_t>(bits);
    const auto back = read<mapping_flags>(written(number));
    if (bits <= 0xf) {
      CHECK(back == mapping_flags{number});
    } else {
      CHECK_FALSE(back);
    }
  }
}
