// SPDX-License-Identifier: Apache-2.0
// The worked examples of SEMANTICS 6.3 and the decision table of 6.2, for every kernel's rules.
#include <algorithm>
#include <initializer_list>
#include <ostream>
#include <vector>

#include <memsim/testing/invariants.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count half = pageblock_frames / 2;

// What the tables show: mappings of the whole, DoubleMap, the field of a part of either half, all
// mappings, the highest of a part, references.
struct counters {
  std::uint32_t whole;
  bool double_map;
  std::uint32_t lower;
  std::uint32_t upper;
  std::uint64_t total;
  std::uint32_t highest;
  std::uint64_t references;

  friend bool operator==(const counters&, const counters&) = default;
  friend std::ostream& operator<<(std::ostream& out, const counters& c) {
    return out << "C " << c.whole << " D " << c.double_map << " m " << c.lower << "/" << c.upper
               << " total " << c.total << " highest " << c.highest << " references "
               << c.references;
  }
};

// A parent with a huge page, and what is known of it.
struct huge_page_machine {
  explicit huge_page_machine(const cow_rules& cow) : vm{memory, {.cow = cow}} {
    REQUIRE(parent.write(ctx, heap, 1));
    page = *parent.translate(heap);
    id = vm.pages()[page].huge();
  }

  address_space& fork() { return **parent.fork(ctx); }
  // Nothing changes but that the mapping becomes one of small pages.
  void split(address_space& process) {
    REQUIRE(process.madvise(ctx, heap + 1, 1, thp_advice::no_huge));
    REQUIRE(process.madvise(ctx, heap + 1, 1, thp_advice::huge));
  }
  [[nodiscard]] counters now() const {
    const auto& pages = vm.pages();
    const auto& whole = pages[id];
    // 6.12 has no DoubleMap, and no field that counts it.
    const bool has_double_map = vm_has_double_map();
    return {.whole = whole.pmd_mappings,
            .double_map = has_double_map && whole.double_map,
            .lower = has_double_map ? pages.raw_mapcount(page) : pages[page].mappings,
            .upper = has_double_map ? pages.raw_mapcount(page + half) : pages[page + half].mappings,
            .total = pages.total_mapcount(page),
            .highest = pages.highest_mapcount(page),
            .references = pages.count(page)};
  }
  [[nodiscard]] bool vm_has_double_map() const {
    return vm.config().cow.deferral == deferral_rule::part_unmapped;
  }
  [[nodiscard]] bool is_queued() const { return vm.pages()[id].queued; }
  [[nodiscard]] bool copies(address_space& process, vpn where) {
    const auto before = process.translate(where);
    REQUIRE(process.write(ctx, where, 77));
    return process.translate(where) != before;
  }

  page_allocator memory{{.memory = memory_map::x86_64(128_MiB)}};
  virtual_memory vm;
  context ctx;
  address_space& parent = vm.add_process();
  vpn heap = *parent.mmap(ctx, pageblock_frames, {.advice = thp_advice::huge});
  pfn page{};
  huge_page_id id{};
};

bool is_any_of(const cow_rules& rules, std::initializer_list<cow_rules> list) {
  return std::ranges::find(list, rules) != list.end();
}

}  // namespace

SCENARIO("worked example A: both halves of a huge page have one owner each, and one of them writes",
         "[vm][cow]") {
  for (const auto& rules : all_cow_rules) {
    INFO(rules.name);
    huge_page_machine m{rules};
    CHECK(m.now() == counters{1, false, 0, 0, 1, 1, 1});
    m.split(m.parent);
    CHECK(m.now() == counters{0, false, 1, 1, 512, 1, 512});
    auto& child = m.fork();
    CHECK(m.now() == counters{0, false, 2, 2, 1024, 2, 1024});
    REQUIRE(child.munmap(m.ctx, m.heap, half));
    CHECK(m.now() == counters{0, false, 1, 2, 768, 2, 768});
    REQUIRE(m.parent.munmap(m.ctx, m.heap + half, half));
    CHECK(m.now() == counters{0, false, 1, 1, 512, 1, 512});
    CHECK(!m.vm.pages().looks_shared(m.page));
    CHECK(!m.is_queued());

    const bool copied = m.copies(child, m.heap + 300);
    const bool takes_over = rules.part == reuse_test::highest_mapcount;
    CHECK(copied == !takes_over);
    if (takes_over) {
      CHECK(m.now() == counters{0, false, 1, 1, 512, 1, 512});
    } else {
      CHECK(m.now() == counters{0, false, 1, 1, 511, 1, 511});
      CHECK(m.vm.pages()[m.page + 300].mappings == 0);
      CHECK(m.is_queued());
    }
    // The proposal gives all of it to the child's anon_vma: the parent's half is not found there.
    const bool steals = rules == cow_proposal_2016;
    CHECK(m.vm.faults().lost_mappings == (steals ? half : 0));
    CHECK(m.vm.mappings_of(m.page).size() ==
          m.vm.pages().total_mapcount(m.page) - (steals ? half : 0));
    CHECK(m.parent.read(m.ctx, m.heap) == 1);
    CHECK(memsim::testing::check_invariants(m.memory).empty());
  }
}

SCENARIO("worked example B: a huge page mapped whole by one and in parts by another", "[vm][cow]") {
  for (const auto& rules : all_cow_rules) {
    INFO(rules.name);
    huge_page_machine m{rules};
    auto& child = m.fork();
    CHECK(m.now() == counters{2, false, 0, 0, 2, 2, 2});
    m.split(m.parent);
    CHECK(m.vm.pages().mapcount(m.page) == 2);
    // The field has one more on every part where there is DoubleMap.
    const bool has_double_map = m.vm_has_double_map();
    const std::uint32_t field = has_double_map ? 2 : 1;
    CHECK(m.now() == counters{1, has_double_map, field, field, 513, 2, 513});
    CHECK(m.copies(child, m.heap + 300));
    if (rules.whole_copy == huge_copy::whole) {
      CHECK(m.now() == counters{0, false, 1, 1, 512, 1, 512});
      CHECK(child.resident(m.heap, pageblock_frames).huge == pageblock_frames);
      CHECK(m.vm.faults().huge_copies == 1);
      CHECK(m.vm.counts().fault_alloc == 2);
    } else {
      CHECK(m.now() == counters{0, false, 2, 2, 1023, 2, 1023});
      CHECK(m.vm.pages()[m.page + 300].mappings == 1);
    }
    CHECK(child.read(m.ctx, m.heap + 300) == 77);
    CHECK(m.parent.read(m.ctx, m.heap + 300) == 0);
    CHECK(child.read(m.ctx, m.heap) == 1);
  }
}

SCENARIO("worked example C: the last mapping of the whole shows what has been unmapped",
         "[vm][cow]") {
  for (const auto& rules : all_cow_rules) {
    INFO(rules.name);
    huge_page_machine m{rules};
    auto& child = m.fork();
    m.split(m.parent);
    REQUIRE(m.parent.munmap(m.ctx, m.heap, half));
    const bool has_double_map = m.vm_has_double_map();
    const std::uint32_t one = has_double_map ? 1 : 0;
    CHECK(m.now() == counters{1, has_double_map, one, one + 1, 257, 2, 257});
    CHECK(!m.is_queued());
    m.vm.exit(m.ctx, child);
    CHECK(m.now() == counters{0, false, 0, 1, 256, 1, 256});
    CHECK(m.is_queued());
    CHECK(m.vm.counts().deferred_split_page == 1);
    CHECK(m.vm.shrink(m.ctx) == 1);
    CHECK(m.parent.read(m.ctx, m.heap + half) == 0);
    CHECK(m.vm.pages()[m.page + half].huge() == huge_page_id::none);
  }
}

SCENARIO("worked example D: a fork while a huge page is pinned", "[vm][cow][pin]") {
  for (const auto& rules : all_cow_rules) {
    INFO(rules.name);
    huge_page_machine m{rules};
    const auto held = *m.parent.hold(m.ctx, m.heap, 1, pin_to_write);
    auto& child = m.fork();
    if (rules.fork_spares_pins) {
      CHECK(m.now() == counters{0, false, 1, 1, 512, 1, 513});
      CHECK(m.vm.faults().fork_copies == pageblock_frames);
      CHECK(child.resident(m.heap, pageblock_frames).resident == pageblock_frames);
      CHECK(child.resident(m.heap, pageblock_frames).huge == 0);
      for (frame_count i = 0; i < pageblock_frames; ++i) {
        CHECK(m.vm.pages()[m.page + i].exclusive);
        CHECK(!m.copies(m.parent, m.heap + i));
      }
    } else {
      CHECK(m.now() == counters{2, false, 0, 0, 2, 2, 3});
      CHECK(m.copies(m.parent, m.heap));
    }
    const bool keeps = rules.fork_spares_pins;
    CHECK(m.parent.incoherent(m.heap, held) == (keeps ? 0 : 1));
    CHECK(m.vm.content(*held[0].page) == (keeps ? 77 : 1));
    CHECK(child.read(m.ctx, m.heap) == 1);
    m.vm.release(m.ctx, held, hold_kind::pin);
    CHECK_THROWS_AS(m.vm.release(m.ctx, held, hold_kind::pin), usage_error);
  }
}

SCENARIO("worked example D': after a fork whose child is gone nobody copies", "[vm][cow]") {
  for (const auto& rules : all_cow_rules) {
    INFO(rules.name);
    huge_page_machine m{rules};
    m.vm.exit(m.ctx, m.fork());
    CHECK(m.now() == counters{1, false, 0, 0, 1, 1, 1});
    CHECK(!m.copies(m.parent, m.heap));
    CHECK(m.vm.faults().reuses == 1);
    CHECK(m.vm.faults().copies + m.vm.faults().huge_copies == 0);
  }
}

SCENARIO("a pin makes 4.5 and page_count's kernels copy what nobody else maps", "[vm][cow][pin]") {
  for (const auto& rules : all_cow_rules) {
    INFO(rules.name);
    huge_page_machine m{rules};
    const auto held = *m.parent.hold(m.ctx, m.heap, 1, pin_to_write);
    // Write-protects the entry, without a fork.
    REQUIRE(m.parent.mprotect(m.ctx, m.heap, pageblock_frames, protection::read));
    REQUIRE(m.parent.mprotect(m.ctx, m.heap, pageblock_frames, protection::read_write));
    const bool loses = is_any_of(rules, {cow_linux_4_5, cow_linux_5_9});
    CHECK(m.copies(m.parent, m.heap) == loses);
    CHECK(m.vm.faults().needless_copies == (loses ? 1 : 0));
    CHECK(m.parent.incoherent(m.heap, held) == (loses ? 1 : 0));
    CHECK(m.vm.content(*held[0].page) == (loses ? 1 : 77));
    m.vm.release(m.ctx, held, hold_kind::pin);
  }
}

SCENARIO("where the highest map count decides, a neighbour's fork costs a pin its page",
         "[vm][cow][pin]") {
  for (const auto& rules : all_cow_rules) {
    INFO(rules.name);
    huge_page_machine m{rules};
    m.split(m.parent);
    auto& child = m.fork();
    REQUIRE(child.munmap(m.ctx, m.heap, half));
    REQUIRE(m.parent.munmap(m.ctx, m.heap + half, half));
    // From here on the parent neither forks, moves nor unmaps anything.
    const auto held = *m.parent.hold(m.ctx, m.heap, 1, pin_to_write);
    const auto page = *held[0].page;
    REQUIRE(child.fork(m.ctx));
    CHECK(m.vm.pages().mapcount(page) == 1);
    REQUIRE(m.parent.mprotect(m.ctx, m.heap, half, protection::read));
    REQUIRE(m.parent.mprotect(m.ctx, m.heap, half, protection::read_write));
    // The count is that of the neighbours' half. page_count's kernel copies for the pin alone.
    const bool loses =
        rules.part == reuse_test::highest_mapcount || rules.part == reuse_test::sole_reference;
    CHECK(m.copies(m.parent, m.heap) == loses);
    CHECK(m.parent.incoherent(m.heap, held) == (loses ? 1 : 0));
    m.vm.release(m.ctx, held, hold_kind::pin);
  }
}

SCENARIO("a part that is alone in its process is taken over, or not, as the table says",
         "[vm][cow]") {
  for (const auto& rules : all_cow_rules) {
    INFO(rules.name);
    huge_page_machine m{rules};
    m.split(m.parent);
    m.vm.exit(m.ctx, m.fork());
    // All parts are mapped once by the parent alone, and by nobody for itself any more.
    const bool takes_over = rules.part == reuse_test::highest_mapcount;
    CHECK(m.copies(m.parent, m.heap + 5) == !takes_over);
    // Of the whole huge page one part is left.
    REQUIRE(m.parent.discard(m.ctx, m.heap, 5));
    REQUIRE(m.parent.discard(m.ctx, m.heap + 6, pageblock_frames - 7));
    if (takes_over) REQUIRE(m.parent.discard(m.ctx, m.heap + 5, 1));
    CHECK(m.vm.pages().count(m.page) == 1);
    const bool copies_last = is_any_of(rules, {cow_linux_4_5, cow_linux_6_12});
    CHECK(m.copies(m.parent, m.heap + (pageblock_frames - 1)) == copies_last);
  }
}

SCENARIO(
    "a page of 4 KiB goes by its mappings to 5.8, by its references from 5.9, and is otherwise "
    "one's own",
    "[vm][cow]") {
  for (const auto& rules : all_cow_rules) {
    INFO(rules.name);
    page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
    virtual_memory vm{memory, {.cow = rules}};
    context ctx;
    auto& parent = vm.add_process();
    const auto heap = *parent.mmap(ctx, 1);
    REQUIRE(parent.write(ctx, heap, 1));
    const auto page = *parent.translate(heap);
    const auto held = *parent.hold(ctx, heap, 1, reference_to_read);
    vm.exit(ctx, **parent.fork(ctx));
    // One mapping, and one reference beside it.
    REQUIRE(parent.write(ctx, heap, 2));
    const bool by_mappings = rules.single == reuse_test::highest_mapcount;
    CHECK((parent.translate(heap) == page) == by_mappings);
    CHECK(vm.content(page) == (by_mappings ? 2 : 1));
    vm.release(ctx, held, hold_kind::reference);
  }
}

SCENARIO("a pin to read makes the page one's own first, from 5.19", "[vm][cow][pin]") {
  for (const auto& rules : all_cow_rules) {
    INFO(rules.name);
    huge_page_machine m{rules};
    auto& child = m.fork();
    const auto held = *child.hold(m.ctx, m.heap + 3, 1, pin_to_read);
    CHECK((held[0].page == m.page + 3) == !rules.unshares_for_read_pins);
    CHECK(m.vm.faults().unshared == (rules.unshares_for_read_pins ? 1 : 0));
    // What the child writes the device reads: where the kernel does not see to it, it does not.
    REQUIRE(child.write(m.ctx, m.heap + 3, 5));
    CHECK(m.vm.content(*held[0].page) == (rules.unshares_for_read_pins ? 5 : 0));
    m.vm.release(m.ctx, held, hold_kind::pin);
    // Zeroes need not be one's own.
    const auto empty = *child.mmap(m.ctx, 1);
    CHECK(child.hold(m.ctx, empty, 1, pin_to_read)->at(0).page == std::nullopt);
  }
}

SCENARIO("without a huge page to copy to, 512 small ones are copied", "[vm][cow]") {
  for (const auto& rules : {cow_linux_4_5, cow_proposal_2016, cow_linux_4_6}) {
    INFO(rules.name);
    huge_page_machine m{rules};
    for (frame_count i = 0; i < pageblock_frames; ++i)
      REQUIRE(m.parent.write(m.ctx, m.heap + i, i + 1));
    auto& child = m.fork();
    // Every block of 2 MiB that is free loses one page to somebody.
    std::vector<pfn> blocks;
    while (const auto block = m.memory.alloc(m.ctx, pageblock_order, gfp_transhuge_light)) {
      blocks.push_back(*block);
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      m.memory.split(blocks[i], pageblock_order, order{0});
      for (frame_count p = i < 2 ? 1 : pageblock_frames; p < pageblock_frames; ++p) {
        m.memory.free(m.ctx, blocks[i] + p, order{0});
      }
    }
    CHECK(m.copies(child, m.heap));
    CHECK(m.vm.faults().copies == pageblock_frames);
    CHECK(m.vm.counts().fault_fallback == 1);
    CHECK(child.resident(m.heap, pageblock_frames).resident == pageblock_frames);
    CHECK(child.resident(m.heap, pageblock_frames).huge == 0);
    CHECK(m.now() == counters{1, false, 0, 0, 1, 1, 1});
    for (frame_count i = 1; i < pageblock_frames; ++i) {
      CHECK(child.read(m.ctx, m.heap + i) == i + 1);
      CHECK(!m.copies(child, m.heap + i));
    }
    CHECK(m.parent.read(m.ctx, m.heap) == 1);
  }
}

SCENARIO("what has been stolen can neither be split nor move", "[vm][cow]") {
  huge_page_machine m{cow_proposal_2016};
  m.split(m.parent);
  auto& child = m.fork();
  REQUIRE(child.munmap(m.ctx, m.heap, half));
  REQUIRE(m.parent.munmap(m.ctx, m.heap + half, half));
  REQUIRE(child.write(m.ctx, m.heap + half, 3));
  CHECK(m.vm.split(m.ctx, m.id).error().code() == errc::busy);
  m.memory.flush_lru_batches();
  CHECK(m.memory.alloc_contig_range(m.ctx, m.page, pageblock_frames).error().code() == errc::busy);
  CHECK(m.parent.read(m.ctx, m.heap) == 1);
  // Nor can what the child leaves behind be won back while the parent has its half.
  m.vm.exit(m.ctx, child);
  CHECK(m.is_queued());
  CHECK(m.vm.shrink(m.ctx) == 0);
  CHECK(m.vm.pages()[m.id].mapped_parts == half);
  m.vm.exit(m.ctx, m.parent);
  CHECK(memsim::testing::check_invariants(m.memory).empty());
}
