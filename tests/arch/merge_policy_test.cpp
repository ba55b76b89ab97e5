// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/merge_policy.hpp>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/tlb_flusher.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

struct mapped_machine {
  explicit mapped_machine(const merge_policy* merging = nullptr, page_size largest = page_size::g1)
      : memory{{.memory = memory_map::x86_64(4_GiB)}},
        map{boot_layout(memory.memory(), largest),
            memory,
            tlbs,
            {.largest = largest, .merging = merging}} {}

  void toggle(pfn first, frame_count count, change_calls calls = change_calls::one_call) {
    REQUIRE(map.change(ctx, first, count, make_invalid, calls));
    REQUIRE(map.change(ctx, first, count, make_default, calls));
  }

  page_allocator memory;
  counting_flusher tlbs{2};
  direct_map map;
  context ctx{};
};

constexpr pfn page{300'000};

}  // namespace

SCENARIO("merge_never keeps every split", "[arch][merge_policy]") {
  mapped_machine m{&merge_never};
  m.toggle(page, 1);
  m.map.request_collapse(m.ctx, page, 1);
  CHECK(m.map.counts() == direct_map_counts{.m2_splits = 1, .g1_splits = 1});
  CHECK(m.map.page_tables() == 2);
}

SCENARIO("merge_when_uniform merges with the last page that comes back", "[arch][merge_policy]") {
  mapped_machine m{&merge_when_uniform};
  const auto before = m.map.mapped();
  REQUIRE(m.map.change(m.ctx, page, 2, make_invalid));
  REQUIRE(m.map.change(m.ctx, page, 1, make_default));
  CHECK(m.map.page_tables() == 2);
  const auto flushes = m.ctx.done.tlb_full_flushes;
  REQUIRE(m.map.change(m.ctx, page + 1, 1, make_default));
  CHECK(m.map.mapped() == before);
  CHECK(m.map.page_tables() == 0);
  CHECK(m.map.counts() ==
        direct_map_counts{.m2_splits = 1, .g1_splits = 1, .m2_collapses = 1, .g1_collapses = 1});
  THEN("one flush of every CPU serves both levels") {
    CHECK(m.ctx.done.tlb_full_flushes == flushes + 1);
  }
  THEN("a range that is absent as a whole is uniform, too") {
    REQUIRE(m.map.change(m.ctx, pfn{262144}, 512, make_invalid, change_calls::per_page));
    CHECK(m.map.at(pfn{262144}) == mapping{page_size::m2, {}});
  }
}

SCENARIO("merging can stop at 2 MiB", "[arch][merge_policy]") {
  const merging_when_uniform up_to_2m{page_size::m2};
  mapped_machine m{&up_to_2m};
  m.toggle(page, 1);
  CHECK(m.map.at(page) == mapping{page_size::m2, default_mapping});
  CHECK(m.map.page_tables() == 1);
  CHECK_THROWS_WITH(merging_when_uniform{page_size::k4}, ContainsSubstring("2M and 1G"));
}

SCENARIO("a CPU without 1 GiB pages is not given one", "[arch][merge_policy]") {
  mapped_machine m{&merge_when_uniform, page_size::m2};
  const auto before = m.map.mapped();
  m.toggle(page, 1);
  CHECK(m.map.mapped() == before);
  CHECK(m.map.counts().g1_collapses == 0);
}

SCENARIO("merge_on_request waits to be asked", "[arch][merge_policy]") {
  mapped_machine m{&merge_on_request};
  const auto before = m.map.mapped();
  m.toggle(page, 1);
  CHECK(m.map.page_tables() == 2);
  WHEN("somebody asks for the range") {
    m.map.request_collapse(m.ctx, page, 1);
    THEN("it is large again") { CHECK(m.map.mapped() == before); }
  }
  WHEN("somebody asks for another range of the same gigabyte") {
    m.map.request_collapse(m.ctx, page + 512, 1);
    THEN("nothing comes of it") { CHECK(m.map.page_tables() == 2); }
  }
  WHEN("an entry is absent") {
    REQUIRE(m.map.change(m.ctx, page, 1, make_invalid));
    m.map.request_collapse(m.ctx, page, 1);
    THEN("nothing comes of it") { CHECK(m.map.page_tables() == 2); }
  }
  WHEN("a whole table is absent") {
    REQUIRE(m.map.change(m.ctx, pfn{262144 + 512}, 512, make_invalid, change_calls::per_page));
    m.map.request_collapse(m.ctx, pfn{262144 + 512}, 1);
    THEN("nothing comes of it, equal as its entries are") { CHECK(m.map.page_tables() == 3); }
  }
  WHEN("the range is small on purpose") {
    REQUIRE(m.map.change(m.ctx, pfn{page.value() / 512 * 512}, 512, make_small));
    m.map.request_collapse(m.ctx, page, 1);
    THEN("it stays so") { CHECK(m.map.at(page)->size == page_size::k4); }
  }
}

SCENARIO("tables from before the allocator are not given to it", "[arch][merge_policy]") {
  mapped_machine m{&merge_when_uniform};
  const auto free_pages = [&] {
    std::int64_t pages = 0;
    m.memory.drain_all(m.ctx);
    for (const zone& z : m.memory.zones()) pages += static_cast<std::int64_t>(z.exact_free_pages());
    return pages;
  };
  const auto before = free_pages();
  m.toggle(pfn{5}, 1);  // in the first 2 MiB, which the kernel mapped small at boot
  CHECK(m.map.counts() == direct_map_counts{.m2_collapses = 1, .g1_collapses = 1});
  CHECK(free_pages() == before);
}

SCENARIO("a scanner comes round to every table", "[arch][merge_policy]") {
  mapped_machine m;
  m.toggle(pfn{512}, 1);
  m.toggle(page, 1);
  m.toggle(pfn{(1 << 20) + 1000}, 1);
  const auto tables = m.map.page_tables();
  CHECK(tables == 5);
  merge_scanner scanner{page_size::m2};
  CHECK(scanner.scan(m.map, m.ctx, 0) == 0);
  CHECK(scanner.scan(m.map, m.ctx, 1) == 1);  // what was mapped small at boot
  CHECK(scanner.scan(m.map, m.ctx, 1) == 1);
  CHECK(scanner.scan(m.map, m.ctx, 512) == 0);
  std::uint64_t merged = 0;
  for (int i = 0; i < 8; ++i) merged += scanner.scan(m.map, m.ctx, 1000);
  CHECK(merged == 2);
  CHECK(m.map.page_tables() == 2);
  THEN("what is split behind its back is found in the next round") {
    m.toggle(pfn{512}, 1);
    std::uint64_t found = 0;
    for (int i = 0; i < 4; ++i) found += scanner.scan(m.map, m.ctx, 1000);
    CHECK(found == 1);
  }
}
