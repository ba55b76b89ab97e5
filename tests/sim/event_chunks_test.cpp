// SPDX-License-Identifier: Apache-2.0
// The lists that scheduled events lie in.
#include <memsim/sim/event_chunks.hpp>

#include <vector>

#include "catch.hpp"

using namespace memsim::detail;

namespace {

constexpr std::size_t full = chunk_entries;

event_entry entry(std::uint64_t time) { return {.time = time}; }

std::vector<std::uint64_t> times_of(const event_chunks& chunks, const event_list& list,
                                    std::uint32_t skipped = 0) {
  std::vector<std::uint64_t> times;
  chunks.visit(list, skipped, [&](const event_entry& e) { times.push_back(e.time); });
  return times;
}

}  // namespace

SCENARIO("a list holds what is appended, chunk after chunk", "[sim][event_chunks]") {
  event_chunks chunks;
  event_list list;
  CHECK(list.empty());
  CHECK(list.full());
  std::vector<std::uint64_t> expected;
  for (std::uint64_t i = 0; i < 3 * full; ++i) {
    chunks.append(list, entry(i));
    expected.push_back(i);
    REQUIRE(times_of(chunks, list) == expected);
    REQUIRE(list.is_short() == (i + 1 < chunk_entries));
    REQUIRE(list.full() == ((i + 1) % chunk_entries == 0));
  }
  CHECK(chunks.at_most(list) == 3 * full);
  CHECK(times_of(chunks, list, 5).front() == 5);

  std::vector<std::uint64_t> consumed;
  chunks.consume(list, 5, [&](const event_entry& e) { consumed.push_back(e.time); });
  expected.erase(expected.begin(), expected.begin() + 5);
  CHECK(consumed == expected);
}

SCENARIO("a list whose last chunk lies before its first is told from a short one",
         "[sim][event_chunks]") {
  GIVEN("a pool whose first chunk is freed when the second is in use") {
    event_chunks chunks;
    event_list first;
    event_list list;
    chunks.append(first, entry(0));
    chunks.append(list, entry(0));
    REQUIRE(list.head == chunk_entries);
    chunks.drop_head(first);
    CHECK(first.empty());
    WHEN("the list goes on in it, until that is full as well") {
      std::vector<std::uint64_t> expected{0};
      for (std::uint64_t i = 1; i < 2 * full; ++i) {
        chunks.append(list, entry(i));
        expected.push_back(i);
      }
      REQUIRE(list.next == list.head);
      THEN("it is long, full, and has all its entries") {
        CHECK_FALSE(list.is_short());
        CHECK(list.full());
        CHECK(times_of(chunks, list) == expected);
        CHECK(chunks.at_most(list) == 2 * full);
        chunks.drop_head(list);
        expected.erase(expected.begin(), expected.begin() + chunk_entries);
        CHECK(times_of(chunks, list) == expected);
        CHECK(list.full());
      }
    }
  }
}

SCENARIO("freed chunks are used again", "[sim][event_chunks]") {
  event_chunks chunks;
  for (int round = 0; round < 10; ++round) {
    event_list a;
    event_list b;
    for (std::uint64_t i = 0; i < 3 * full; ++i) chunks.append(a, entry(i));
    REQUIRE(a.head < 7 * full);
    // What is consumed may go to another list of the same pool.
    chunks.consume(a, 0, [&](const event_entry& e) { chunks.append(b, e); });
    REQUIRE(times_of(chunks, b).size() == 3 * full);
    REQUIRE(b.next <= 7 * full);
    while (!b.empty()) chunks.drop_head(b);
  }
}
