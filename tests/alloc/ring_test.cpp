// SPDX-License-Identifier: Apache-2.0
// The queue under free lists and per-CPU lists.
#include <memsim/alloc/ring.hpp>

#include <deque>
#include <vector>

#include <memsim/core/random.hpp>

#include "catch.hpp"

using memsim::detail::ring;

namespace {

std::vector<std::uint32_t> entries_of(const ring<std::uint32_t>& r) {
  std::vector<std::uint32_t> entries;
  for (auto at = r.first(); at != r.last(); ++at) entries.push_back(r[at]);
  return entries;
}

}  // namespace

SCENARIO("a ring that never held anything has no room", "[alloc][ring]") {
  ring<std::uint32_t> r;
  CHECK(r.empty());
  CHECK(r.full());
  CHECK(r.capacity() == 0);
  const ring copy{r};
  CHECK(copy.full());
  r.reserve_more(17);
  CHECK(r.capacity() == 32);
}

SCENARIO("a ring is a double-ended queue", "[alloc][ring]") {
  ring<std::uint32_t> r;
  std::deque<std::uint32_t> expected;
  memsim::random_stream random{1, "ring"};
  for (std::uint32_t step = 0; step < 20'000; ++step) {
    const auto kind = random.below(5);
    if (kind < 3) {
      if (r.full()) r.grow();
      if (kind == 0) {
        CHECK(r[r.push_front(step)] == step);
        expected.push_front(step);
      } else {
        CHECK(r[r.push_back(step)] == step);
        expected.push_back(step);
      }
    } else if (!expected.empty()) {
      if (kind == 3) {
        REQUIRE(r.pop_front() == expected.front());
        expected.pop_front();
      } else {
        REQUIRE(r.pop_back() == expected.back());
        expected.pop_back();
      }
    }
    REQUIRE(r.size() == expected.size());
  }
  CHECK(entries_of(r) == std::vector(expected.begin(), expected.end()));
  const ring copy{r};
  r.clear();
  CHECK(r.empty());
  CHECK(entries_of(copy) == std::vector(expected.begin(), expected.end()));
}

SCENARIO("positions stay through growth, and compacting tells the new ones", "[alloc][ring]") {
  ring<std::uint32_t> r;
  std::vector<ring<std::uint32_t>::position> places(100);
  for (std::uint32_t i = 0; i < 100; ++i) {
    if (r.full()) r.grow();
    places[i] = i % 3 == 0 ? r.push_front(i) : r.push_back(i);
  }
  for (std::uint32_t i = 0; i < 100; ++i) CHECK(r[places[i]] == i);

  const auto before = entries_of(r);
  r.compact([&](auto at, auto entry) { return places[entry] == at && entry % 4 != 1; },
            [&](auto entry, auto at) { places[entry] = at; });
  std::vector<std::uint32_t> kept;
  for (const auto entry : before) {
    if (entry % 4 != 1) kept.push_back(entry);
  }
  CHECK(entries_of(r) == kept);
  for (const auto entry : kept) CHECK(r[places[entry]] == entry);
}
