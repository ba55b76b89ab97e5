// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/direct_map.hpp>

#include <set>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/tlb_flusher.hpp>
#include <memsim/core/random.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

// A machine of 4 CPUs, and its direct map as at boot.
struct mapped_machine {
  explicit mapped_machine(bytes size = 4_GiB, page_size largest = page_size::g1)
      : memory{{.memory = memory_map::x86_64(size)}},
        map{boot_layout(memory.memory(), largest), memory, tlbs, {.largest = largest}} {}

  std::uint64_t frames_in_use() {
    memory.drain_all(ctx);
    std::uint64_t free = 0;
    std::uint64_t managed = 0;
    for (const zone& z : memory.zones()) {
      free += z.exact_free_pages();
      managed += z.extent.managed;
    }
    return managed - free;
  }

  page_allocator memory;
  counting_flusher tlbs{4};
  direct_map map;
  context ctx{};
};

constexpr pfn inside_a_gigabyte{300'000};

}  // namespace

SCENARIO("the boot layout is that of a recorded machine", "[arch][direct_map]") {
  // 3 GiB less 128 KiB for the firmware: 3040 and 4064 entries of 4 KiB were counted, of which 2048
  // and 3072 belong to the kernel's image.
  const memory_map memory{{{pfn{256}, pfn{786400} - pfn{256}, region_kind::ram}}};
  const auto runs = boot_layout(memory);
  const std::vector<mapped_run> expected{
      {pfn{0}, 512, {page_size::k4, default_mapping}},
      {pfn{512}, 261632, {page_size::m2, default_mapping}},
      {pfn{262144}, 262144, {page_size::g1, default_mapping}},
      {pfn{524288}, 261632, {page_size::m2, default_mapping}},
      {pfn{785920}, 480, {page_size::k4, default_mapping}},
  };
  CHECK(runs == expected);

  THEN("without 1 GiB pages it is of 2 MiB, and without those of 4 KiB") {
    CHECK(boot_layout(memory, page_size::m2)[1] ==
          mapped_run{pfn{512}, 785408, {page_size::m2, default_mapping}});
    CHECK(boot_layout(memory, page_size::k4) ==
          std::vector{mapped_run{pfn{0}, 786400, {page_size::k4, default_mapping}}});
  }
}

SCENARIO("one 4 KiB hole in a fresh gigabyte costs two splits", "[arch][direct_map]") {
  GIVEN("a machine mapped with 1 GiB pages") {
    mapped_machine m;
    const auto before = m.map.mapped();
    const auto in_use = m.frames_in_use();
    WHEN("one frame in the second gigabyte leaves the map") {
      REQUIRE(m.map.change(m.ctx, inside_a_gigabyte, 1, make_invalid));
      THEN("a gigabyte page and a 2 MiB page are gone for good") {
        CHECK(m.map.mapped() == mapping_counts{before.k4 + 512, before.m2 + 511, before.g1 - 1});
        CHECK(m.map.counts() == direct_map_counts{.m2_splits = 1, .g1_splits = 1});
        CHECK(m.ctx.done.mappings_split == 2);
        CHECK(m.ctx.done.entries_written == 2 * 513 + 1);
      }
      THEN("two frames went into tables, and every CPU was flushed twice") {
        CHECK(m.map.page_tables() == 2);
        CHECK(m.frames_in_use() == in_use + 2);
        CHECK(m.ctx.done.tlb_full_flushes == 2);
        CHECK(m.ctx.done.remote_full_flushes == 2 * 3);
        CHECK(m.ctx.done.ipis == 2 * 3);
      }
      THEN("that frame alone is absent") {
        CHECK(m.map.at(inside_a_gigabyte) == mapping{page_size::k4, {}});
        CHECK(m.map.at(inside_a_gigabyte + 1) == mapping{page_size::k4, default_mapping});
        CHECK(m.map.at(inside_a_gigabyte + 512) == mapping{page_size::m2, default_mapping});
        CHECK(m.map.at(pfn{600'000}) == mapping{page_size::g1, default_mapping});
      }
      THEN("restoring it splits nothing and merges nothing") {
        const auto holed = m.map.mapped();
        REQUIRE(m.map.change(m.ctx, inside_a_gigabyte, 1, make_default));
        CHECK(m.map.mapped() == holed);
        CHECK(m.map.at(inside_a_gigabyte) == mapping{page_size::k4, default_mapping});
        m.map.request_collapse(m.ctx, inside_a_gigabyte, 1);
        CHECK(m.map.mapped() == holed);
      }
    }
  }
}

SCENARIO("a change splits only what it must", "[arch][direct_map]") {
  mapped_machine m;
  const auto before = m.map.mapped();
  const pfn block{262144 + 512};

  SECTION("nothing where the state is the wanted one, however small the range") {
    REQUIRE(m.map.change(m.ctx, inside_a_gigabyte, 3, make_default, change_calls::per_page));
    CHECK(m.map.mapped() == before);
    CHECK(m.ctx.done == work{});
  }
  SECTION("nothing of a large page that is covered") {
    REQUIRE(m.map.change(m.ctx, pfn{262144}, 262144, make_read_only));
    CHECK(m.map.mapped() == before);
    CHECK(m.map.at(pfn{262144}) == mapping{page_size::g1, mapping_flag::present});
    CHECK(m.ctx.done.entries_written == 1);
    CHECK(m.ctx.done.tlb_full_flushes == 0);
  }
  SECTION("one level where the range is of whole pages of the next size") {
    REQUIRE(m.map.change(m.ctx, block, 1024, make_read_only));
    CHECK(m.map.counts() == direct_map_counts{.g1_splits = 1});
    CHECK(m.map.at(block + 1023) == mapping{page_size::m2, mapping_flag::present});
    CHECK(m.map.at(block + 1024) == mapping{page_size::m2, default_mapping});
  }
  SECTION("both ends of a range that covers pages between them") {
    REQUIRE(m.map.change(m.ctx, block - 1, 1026, make_read_only));
    CHECK(m.map.counts() == direct_map_counts{.m2_splits = 2, .g1_splits = 1});
    CHECK(m.map.at(block) == mapping{page_size::m2, mapping_flag::present});
    CHECK(m.map.at(block - 1) == mapping{page_size::k4, mapping_flag::present});
    CHECK(m.map.at(block - 2) == mapping{page_size::k4, default_mapping});
  }
  SECTION("everything, if asked page by page") {
    REQUIRE(m.map.change(m.ctx, block, 512, make_invalid, change_calls::per_page));
    CHECK(m.map.counts() == direct_map_counts{.m2_splits = 1, .g1_splits = 1});
    CHECK(m.map.at(block + 511) == mapping{page_size::k4, {}});
  }
  SECTION("a read-only block that a page of is made valid again") {
    REQUIRE(m.map.change(m.ctx, block, 512, make_read_only));
    REQUIRE(m.map.change(m.ctx, block + 7, 1, make_default, change_calls::per_page));
    CHECK(m.map.counts() == direct_map_counts{.m2_splits = 1, .g1_splits = 1});
  }
  SECTION("everything that is to be small on purpose, equal or not") {
    REQUIRE(m.map.change(m.ctx, block, 1024, make_small));
    CHECK(m.map.counts() == direct_map_counts{.m2_splits = 2, .g1_splits = 1});
    REQUIRE(m.map.change(m.ctx, block, 1024, make_small));
    CHECK(m.map.counts() == direct_map_counts{.m2_splits = 2, .g1_splits = 1});
  }
  SECTION("attributes are independent of each other") {
    REQUIRE(m.map.change(m.ctx, block, 512, make_encrypted));
    REQUIRE(m.map.change(m.ctx, block, 512, make_read_only));
    CHECK(m.map.at(block)->flags == (mapping_flag::present | mapping_flag::encrypted));
    REQUIRE(m.map.change(m.ctx, block, 512, make_decrypted));
    CHECK(m.map.at(block)->flags == mapping_flag::present);
  }
}

SCENARIO("random pages split each 2 MiB range that they hit once", "[arch][direct_map]") {
  mapped_machine m{16_GiB};
  random_stream random{1, "test"};
  std::set<std::uint64_t> blocks;
  const auto small = m.map.mapped().k4;
  for (int i = 0; i < 4096; ++i) {
    const pfn page{(1 << 20) + random.below((13_GiB).frames())};
    blocks.insert(page.value() / 512);
    REQUIRE(m.map.change(m.ctx, page, 1, make_invalid));
  }
  CHECK(m.map.counts().m2_splits == blocks.size());
  CHECK(m.map.mapped().k4 == small + blocks.size() * 512);
}

SCENARIO("flushing a range of more than 33 pages flushes all", "[arch][direct_map]") {
  mapped_machine m;
  m.map.flush(m.ctx, pfn{1000}, 33);
  CHECK(m.ctx.done.tlb_page_flushes == 33);
  CHECK(m.ctx.done.remote_page_flushes == 3 * 33);
  CHECK(m.ctx.done.tlb_full_flushes == 0);
  m.map.flush(m.ctx, pfn{1000}, 34);
  CHECK(m.ctx.done.tlb_page_flushes == 33);
  CHECK(m.ctx.done.tlb_full_flushes == 1);
  CHECK(m.ctx.done.remote_full_flushes == 3);
  CHECK(m.ctx.done.flush_rounds == 2);
  CHECK(m.ctx.done.ipis == 6);
  CHECK_THROWS_WITH(counting_flusher{0}, ContainsSubstring("0 CPUs"));
}

SCENARIO("a change for which there is no page table changes nothing", "[arch][direct_map]") {
  mapped_machine m{64_MiB, page_size::m2};
  std::vector<pfn> taken;
  while (const auto page = m.memory.alloc(m.ctx, order{0}, gfp_kernel)) taken.push_back(*page);
  m.memory.free(m.ctx, taken.back(), order{0});
  const auto before = m.map.state();
  const auto in_use = m.frames_in_use();
  // Two tables are needed.
  const auto done = m.map.change(m.ctx, pfn{1023}, 2, make_invalid);
  REQUIRE_FALSE(done);
  CHECK(done.error().code() == errc::no_memory);
  CHECK(m.map.state() == before);
  CHECK(m.frames_in_use() == in_use);
}

SCENARIO("what is not mapped cannot be changed", "[arch][direct_map]") {
  mapped_machine m;
  const auto before = m.map.state();
  CHECK_THROWS_WITH(m.map.change(m.ctx, pfn{786430}, 10, make_invalid),
                    ContainsSubstring("frames [786430, 786440)") &&
                        ContainsSubstring("frame 786432 is not mapped"));
  CHECK_THROWS_AS(m.map.change(m.ctx, pfn{1ULL << 40}, 1, make_invalid), usage_error);
  CHECK_THROWS_AS(m.map.change(m.ctx, pfn{~0ULL}, 2, make_invalid), usage_error);
  CHECK_THROWS_WITH(m.map.change(m.ctx, pfn{1000}, 0, make_invalid), ContainsSubstring("0 frames"));
  CHECK_THROWS_AS(m.map.request_collapse(m.ctx, pfn{786432}, 1), usage_error);
  CHECK(m.map.state() == before);
}

SCENARIO("a layout must be possible", "[arch][direct_map]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  counting_flusher tlbs{1};
  const auto make = [&](std::vector<mapped_run> runs, page_size largest = page_size::g1) {
    return direct_map{runs, memory, tlbs, {.largest = largest}};
  };
  const mapping huge{page_size::m2, default_mapping};
  const mapping small{page_size::k4, default_mapping};
  CHECK(make({}).mapped() == mapping_counts{});
  CHECK_THROWS_WITH(make({{pfn{1}, 512, huge}}), ContainsSubstring("whole pages of 2M"));
  CHECK_THROWS_WITH(make({{pfn{512}, 100, huge}}), ContainsSubstring("whole pages of 2M"));
  CHECK_THROWS_WITH(make({{pfn{512}, 0, huge}}), ContainsSubstring("whole pages"));
  CHECK_THROWS_WITH(make({{pfn{0}, 10, small}, {pfn{9}, 10, small}}),
                    ContainsSubstring("[9, 19) 4K present|writable") &&
                        ContainsSubstring("begins before frame 10"));
  CHECK_THROWS_WITH(make({{pfn{0}, 262144, {page_size::g1, {}}}}, page_size::m2),
                    ContainsSubstring("the largest pages are of 2M"));
  // Two runs may share a 2 MiB range.
  const auto shared = make({{pfn{0}, 10, small}, {pfn{20}, 10, {page_size::k4, {}}}});
  CHECK(shared.at(pfn{9}) == small);
  CHECK_FALSE(shared.at(pfn{10}));
  CHECK(shared.at(pfn{20}) == mapping{page_size::k4, {}});
  CHECK(shared.mapped().frames() == 20);
}

SCENARIO("a direct map is plain data and comes back from it", "[arch][direct_map]") {
  mapped_machine m;
  REQUIRE(m.map.change(m.ctx, inside_a_gigabyte, 5, make_invalid));
  REQUIRE(m.map.change(m.ctx, pfn{1000}, 1, make_read_only));
  const auto state = m.map.state();

  WHEN("it is restored") {
    const auto restored = direct_map::restore(state, m.memory, m.tlbs, {});
    REQUIRE(restored);
    CHECK(restored->state() == state);
    CHECK(restored->state_digest() == m.map.state_digest());
    CHECK(restored->page_tables() == 3);
  }
  WHEN("memory is forked, and the map with it") {
    page_allocator memory{m.memory};
    direct_map fork{m.map, memory, m.tlbs};
    REQUIRE(fork.change(m.ctx, pfn{600'000}, 1, make_invalid));
    CHECK(m.map.state() == state);
    CHECK(fork.page_tables() == 5);
    CHECK(fork.state_digest() != m.map.state_digest());
    CHECK(m.memory.state_digest() != memory.state_digest());
  }
  WHEN("a state contradicts itself") {
    const auto message = [&](const direct_map_state& wrong) {
      const auto restored = direct_map::restore(wrong, m.memory, m.tlbs, {});
      return restored ? std::string{"accepted"} : restored.error().message();
    };
    auto twice = state;
    twice.tables.push_back(state.tables[1]);
    CHECK_THAT(message(twice), ContainsSubstring("no table of a 1G mapping at frame 262144"));
    auto elsewhere = state;
    elsewhere.tables[1].first = pfn{524288};
    CHECK_THAT(message(elsewhere), ContainsSubstring("at frame 524288"));
    auto outside = state;
    outside.tables.front().first = pfn{1 << 30};
    CHECK_THAT(message(outside), ContainsSubstring("at frame 1073741824"));
    auto misaligned = state;
    misaligned.runs.front().how.size = page_size::g1;
    CHECK_THAT(message(misaligned), ContainsSubstring("whole pages"));
    auto free = state;
    free.tables[1].table = pfn{700'000};
    CHECK_THAT(message(free), ContainsSubstring("frame 700000 is a page table"));
    free.tables[1].table = pfn{1ULL << 40};
    CHECK_THAT(message(free), ContainsSubstring("frame 1099511627776 is a page table"));
    auto shared = state;
    shared.tables[1].table = state.tables[0].table;
    CHECK_THAT(message(shared), ContainsSubstring("is two page tables"));
    auto huge = state;
    huge.runs.push_back({pfn{1ULL << 40}, frames_of(page_size::g1), {page_size::g1, {}}});
    CHECK_THAT(message(huge), ContainsSubstring("beyond frame 4293918719"));
  }
}

SCENARIO("only flags that there are can be set", "[arch][direct_map]") {
  CHECK(mapping_flags{0xf}.has(mapping_flag::keep_small));
  CHECK_THROWS_WITH(mapping_flags{0x40},
                    ContainsSubstring("mapping flags 0x40: allowed are 0 to 0xf"));
}

SCENARIO("the counters read as in /proc/meminfo", "[arch][direct_map]") {
  mapped_machine m{3_GiB};
  CHECK(m.map.meminfo_text() ==
        "DirectMap4k:        2048 kB\nDirectMap2M:     1046528 kB\nDirectMap1G:     2097152 kB\n");
  CHECK(fmt::format("{}", m.map.mapped()) == "512 x 4K, 511 x 2M, 2 x 1G");
  const auto values = values_of(m.map.counts(), direct_map_statistics);
  CHECK(values[0].name == "direct_map_level2_splits");
  CHECK(values[1].name == "direct_map_level3_splits");
}
