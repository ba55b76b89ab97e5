// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb.hpp>

#include <set>
#include <string>

#include <memsim/arch/tlb_presets.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/random.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

using enum page_size;

constexpr asid one{1};
constexpr asid two{2};

tlb skylake() { return tlb{{.geometry = presets::skylake_sp_tlb()}}; }

auto mapped(page_size size, mapping_scope scope = mapping_scope::address_space) {
  return [=](asid, vpn) { return page_mapping{.size = size, .scope = scope}; };
}

/// For pages that must be there.
page_mapping nobody_asks(asid, vpn page) {
  FAIL("asked for page " << to_text(page));
  return {};
}

}  // namespace

SCENARIO("a page is walked for once, and then hit in L1", "[arch][tlb]") {
  auto t = skylake();
  CHECK(fmt::format("{}", t.translate(one, vpn{0x200}, mapped(m2))) == "2M walk of 3");
  CHECK(fmt::format("{}", t.translate(one, vpn{0x3ff}, nobody_asks)) == "2M hit in L1");
  const auto counts = t.counts();
  CHECK(counts.levels[0].hits_2m == 1);
  CHECK(counts.levels[0].misses_2m == 1);
  CHECK(counts.levels[1].hits_2m == 0);
  CHECK(counts.levels[1].misses_2m == 1);
  CHECK(counts.translations() == 2);
}

SCENARIO("what L1 forgot, L2 knows, and L1 knows again", "[arch][tlb]") {
  auto t = skylake();
  // Five pages of one L1 set of four; of different L2 sets.
  for (std::uint64_t i = 0; i < 5; ++i) t.translate(one, vpn{16 * i}, mapped(k4));
  CHECK(t.counts().levels[0].evictions_4k == 1);
  CHECK(t.translate(one, vpn{0}, nobody_asks).hit_level == 2);
  CHECK(t.translate(one, vpn{32}, nobody_asks).hit_level == 1);
  CHECK(t.translate(one, vpn{0}, nobody_asks).hit_level == 1);
  CHECK(t.counts().levels[0].evictions_4k == 2);
  CHECK(t.counts().levels[1].evictions_4k == 0);
}

SCENARIO("the page used longest ago makes room", "[arch][tlb]") {
  tlb t{{.geometry = {.levels = {{{.sizes = {k4}, .table = {.sets = 1, .ways = 3}}}}}}};
  for (const std::uint64_t page : {0u, 1u, 2u, 0u}) t.translate(one, vpn{page}, mapped(k4));
  t.translate(one, vpn{3}, mapped(k4));
  CHECK(t.holds(one, vpn{0}));
  CHECK_FALSE(t.holds(one, vpn{1}));
  CHECK(t.holds(one, vpn{2}));
}

SCENARIO("address spaces do not see each other's entries, but all see global ones", "[arch][tlb]") {
  auto t = skylake();
  t.translate(one, vpn{7}, mapped(k4));
  CHECK_FALSE(t.holds(two, vpn{7}));
  CHECK(t.translate(two, vpn{7}, mapped(k4)).hit_level == 0);
  t.translate(one, vpn{0x40000}, mapped(g1, mapping_scope::global));
  CHECK(t.translate(two, vpn{0x40001}, nobody_asks).hit_level == 1);
}

SCENARIO("one flush drops a whole large page, of whatever page of it", "[arch][tlb]") {
  auto t = skylake();
  for (const page_size size : all_page_sizes) {
    const vpn page = vpn{3 * frames_of(g1)};
    t.translate(one, page, mapped(size));
    t.flush(tlb_flush::page(one, page + (frames_of(size) - 1)));
    CHECK_FALSE(t.holds(one, page));
    CHECK(t.translate(one, page, mapped(size)).hit_level == 0);
    t.flush(tlb_flush::everything());
  }
  const auto counts = t.counts();
  // Once by the page, once with everything; in both levels.
  for (const unsigned level : {0u, 1u}) {
    CHECK(counts.levels[level].flushed_4k == 2);
    CHECK(counts.levels[level].flushed_2m == 2);
    CHECK(counts.levels[level].flushed_1g == 2);
  }
  CHECK(counts.flushes.page_flushes == 3);
  CHECK(counts.flushes.everything_flushes == 3);
}

SCENARIO("a flush drops entries of several sizes that cover the page", "[arch][tlb]") {
  auto t = skylake();
  t.translate(one, vpn{0}, mapped(k4));
  t.translate(one, vpn{1}, mapped(m2));
  t.flush(tlb_flush::page(one, vpn{0}));
  CHECK_FALSE(t.holds(one, vpn{0}));
  CHECK_FALSE(t.holds(one, vpn{1}));
  CHECK(t.counts().levels[0].flushed() == 2);
}

SCENARIO("a page flush drops a global entry, and no other space's", "[arch][tlb]") {
  auto t = skylake();
  t.translate(one, vpn{1}, mapped(k4, mapping_scope::global));
  t.translate(two, vpn{2}, mapped(k4));
  t.flush(tlb_flush::page(one, vpn{2}));
  CHECK(t.holds(two, vpn{2}));
  t.flush(tlb_flush::page(two, vpn{1}));
  CHECK_FALSE(t.holds(one, vpn{1}));
}

SCENARIO("full flushes spare what they say", "[arch][tlb]") {
  auto t = skylake();
  const auto refill = [&] {
    t.translate(one, vpn{1}, mapped(k4));
    t.translate(two, vpn{2}, mapped(k4));
    t.translate(two, vpn{3}, mapped(k4, mapping_scope::global));
  };
  refill();
  t.flush(tlb_flush::address_space(two));
  CHECK(t.holds(one, vpn{1}));
  CHECK_FALSE(t.holds(two, vpn{2}));
  CHECK(t.holds(two, vpn{3}));
  refill();
  t.flush(tlb_flush::all_but_global());
  CHECK_FALSE(t.holds(one, vpn{1}));
  CHECK_FALSE(t.holds(two, vpn{2}));
  CHECK(t.holds(two, vpn{3}));
  refill();
  t.flush(tlb_flush::everything());
  for (const page_size size : all_page_sizes) {
    CHECK(t.entries(1, size) == 0);
    CHECK(t.entries(2, size) == 0);
  }
  const auto flushes = t.counts().flushes;
  CHECK(flushes.address_space_flushes == 1);
  CHECK(flushes.all_but_global_flushes == 1);
  CHECK(flushes.everything_flushes == 1);
  CHECK(flushes.full_flushes() == 3);
}

SCENARIO("a page translated a moment ago is gone when it is flushed", "[arch][tlb]") {
  auto t = skylake();
  for (const auto& flush : {tlb_flush::page(one, vpn{9}), tlb_flush::range(one, vpn{0}, 10),
                            tlb_flush::range(one, vpn{0}, 34), tlb_flush::address_space(one),
                            tlb_flush::all_but_global(), tlb_flush::everything()}) {
    CAPTURE(to_text(flush));
    t.translate(one, vpn{9}, mapped(k4));
    REQUIRE(t.translate(one, vpn{9}, nobody_asks).hit_level == 1);
    t.flush(flush);
    CHECK(t.translate(one, vpn{9}, mapped(k4)).hit_level == 0);
  }
}

SCENARIO("a size that no structure keeps is walked for every time", "[arch][tlb]") {
  tlb t{{.geometry = {.levels = {{{.sizes = {k4}, .table = {1, 1}}},
                                 {{.sizes = {k4, m2}, .table = {1, 1}}}}}}};
  CHECK(t.translate(one, vpn{0}, mapped(g1)).hit_level == 0);
  CHECK(t.translate(one, vpn{0}, mapped(g1)).hit_level == 0);
  CHECK(t.counts().levels[0].misses_1g == 2);
  // Kept in L2 alone: never hit in L1.
  CHECK(t.translate(one, vpn{0}, mapped(m2)).hit_level == 0);
  CHECK(t.translate(one, vpn{0}, nobody_asks).hit_level == 2);
  CHECK(t.translate(one, vpn{0}, nobody_asks).hit_level == 2);
  CHECK(t.entries(1, m2) == 0);
  CHECK_THROWS_WITH(t.entries(3, k4), ContainsSubstring("level 3") && ContainsSubstring("1 to 2"));
  CHECK_THROWS_AS(t.entries(0, k4), usage_error);
}

SCENARIO("who walks may flush, but not translate", "[arch][tlb]") {
  auto t = skylake();
  t.translate(one, vpn{1}, mapped(k4));
  t.translate(one, vpn{2}, [&](asid, vpn) {
    t.flush(tlb_flush::everything());
    return page_mapping{k4};
  });
  CHECK_FALSE(t.holds(one, vpn{1}));
  CHECK(t.holds(one, vpn{2}));
  const auto nested = [&](asid, vpn) {
    t.translate(one, vpn{4}, mapped(k4));
    return page_mapping{k4};
  };
  CHECK_THROWS_WITH(t.translate(one, vpn{3}, nested), ContainsSubstring("0x3"));
  CHECK_FALSE(t.holds(one, vpn{3}));
}

SCENARIO("copying a TLB forks it", "[arch][tlb]") {
  using enum replacement;
  for (const replacement policy : {lru, tree_plru, random}) {
    tlb t{{.geometry = {.levels = {{{.sizes = {k4}, .table = {2, 20, policy}}}},
                        .walk_caches = {.pde = {1, 3, policy}}},
           .seed = 5}};
    random_stream pages{1, "tlb_test"};
    const auto run = [](tlb& which, random_stream stream) {
      for (int i = 0; i < 2000; ++i) {
        which.translate(one, vpn{stream.below(3000)}, mapped(k4));
      }
    };
    run(t, pages);
    tlb fork = t;
    CHECK(fork.state_digest() == t.state_digest());
    const auto before = t.state_digest();
    run(fork, random_stream{2, "tlb_test"});
    CHECK(t.state_digest() == before);
    CHECK(fork.state_digest() != before);
    run(t, random_stream{2, "tlb_test"});
    CHECK(t.state_digest() == fork.state_digest());
    CHECK(t.counts() == fork.counts());
  }
}

SCENARIO("random replacement depends on the seed and the stream's name alone", "[arch][tlb]") {
  const auto digest_of = [](std::uint64_t seed, const std::string& stream) {
    tlb t{{.geometry = {.levels = {{{.sizes = {k4}, .table = {1, 8, replacement::random}}}}},
           .seed = seed,
           .stream = stream}};
    for (std::uint64_t i = 0; i < 100; ++i) t.translate(one, vpn{i * 7 % 31}, mapped(k4));
    return t.state_digest();
  };
  CHECK(digest_of(1, "a") == digest_of(1, "a"));
  CHECK(digest_of(1, "a") != digest_of(2, "a"));
  CHECK(digest_of(1, "a") != digest_of(1, "b"));
}

SCENARIO("a digest tells what bears on the future, and no more", "[arch][tlb]") {
  auto a = skylake();
  auto b = skylake();
  for (const std::uint64_t page : {1u, 17u, 33u}) a.translate(one, vpn{page}, mapped(k4));
  for (const std::uint64_t page : {33u, 17u, 1u}) b.translate(one, vpn{page}, mapped(k4));
  CHECK(a.state_digest() != b.state_digest());
  // The same order of use; counts differ.
  for (const std::uint64_t page : {1u, 17u, 33u, 33u}) b.translate(one, vpn{page}, nobody_asks);
  CHECK(a.counts() != b.counts());
  b.flush(tlb_flush::everything());
  for (const std::uint64_t page : {1u, 17u, 33u}) b.translate(one, vpn{page}, mapped(k4));
  CHECK(a.state_digest() == b.state_digest());
  a.flush(tlb_flush::everything());
  CHECK(a.state_digest() == skylake().state_digest());
}

SCENARIO("every counter has a name of its own and a place in the sum", "[arch][tlb]") {
  const auto check = [](auto counts, const auto& table) {
    CHECK(table.size() * sizeof(std::uint64_t) == sizeof(counts));
    std::set<std::string_view> names;
    std::uint64_t next = 1;
    for (const auto& s : table) {
      CHECK(names.insert(s.name).second);
      CHECK_FALSE(s.unit.empty());
      CHECK_FALSE(s.description.empty());
      counts.*s.member = next++;
    }
    counts += counts;
    next = 1;
    for (const auto& value : values_of(counts)) CHECK(value.value == 2 * next++);
  };
  check(tlb_level_counts{}, tlb_level_statistics);
  check(tlb_walk_counts{}, tlb_walk_statistics);
  check(tlb_flush_counts{}, tlb_flush_statistics);
}
