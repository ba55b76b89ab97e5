// SPDX-License-Identifier: Apache-2.0
#include <memsim/alloc/cma.hpp>
#include <memsim/testing/invariants.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count huge = pageblock_frames;

struct one_process {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  virtual_memory vm{memory};
  context ctx;
  address_space* process = &vm.add_process({.score_adjustment = oom_candidate::never});

  [[nodiscard]] std::int64_t free_frames() {
    memory.drain_all(ctx);
    std::int64_t sum = 0;
    for (const auto& z : memory.zones()) sum += z.exact_free_pages();
    return sum;
  }
};

}  // namespace

SCENARIO("memory is zeroes until it is written", "[vm][address_space]") {
  one_process m;
  const auto before = m.free_frames();
  const auto heap = m.process->mmap(m.ctx, 10);
  REQUIRE(heap);
  CHECK(m.process->read(m.ctx, *heap) == 0);
  CHECK(m.process->resident(*heap, 10).resident == 0);
  REQUIRE(m.process->write(m.ctx, *heap + 3, 7));
  CHECK(m.process->read(m.ctx, *heap + 3) == 7);
  CHECK(m.process->resident(*heap, 10).resident == 1);
  CHECK(m.process->table().tables() == page_table::levels);
  CHECK(m.process->read(m.ctx, *heap + 10).error().code() == errc::bad_address);
  REQUIRE(m.process->mprotect(m.ctx, *heap, 10, protection::read));
  CHECK_THAT(m.process->write(m.ctx, *heap + 3, 8).error().message(),
             ContainsSubstring("may not be used so"));
  CHECK(m.process->read(m.ctx, *heap + 3) == 7);
  REQUIRE(m.process->mprotect(m.ctx, *heap, 10, protection::none));
  CHECK(!m.process->read(m.ctx, *heap + 3));
  REQUIRE(m.process->munmap(m.ctx, *heap, 10));
  CHECK(m.process->table().tables() == 0);
  CHECK(m.free_frames() == before);
}

SCENARIO("a range that has holes says so", "[vm][address_space]") {
  one_process m;
  const auto heap = *m.process->mmap(m.ctx, 10);
  for (frame_count i = 0; i < 10; ++i) REQUIRE(m.process->write(m.ctx, heap + i, i + 1));
  REQUIRE(m.process->munmap(m.ctx, heap + 4, 2));
  CHECK(m.process->discard(m.ctx, heap, 10).error().code() == errc::no_memory);
  CHECK(m.process->resident(heap, 10).resident == 0);
  CHECK(m.process->mprotect(m.ctx, heap, 10, protection::read).error().code() == errc::no_memory);
  // It stops at the hole.
  CHECK(m.process->find(heap)->allowed == protection::read);
  CHECK(m.process->find(heap + 6)->allowed == protection::read_write);
  CHECK(m.process->madvise(m.ctx, heap, 10, thp_advice::huge).error().code() == errc::no_memory);
  CHECK(m.process->find(heap + 6)->advice == thp_advice::huge);
  CHECK(m.process->mremap(m.ctx, heap, 5, heap + huge).error().code() == errc::bad_address);
  CHECK(m.process->mremap(m.ctx, heap, 4, heap + 2).error().code() == errc::invalid);
  CHECK_THROWS_AS(m.process->mmap(m.ctx, 0), usage_error);
  CHECK_THROWS_AS(m.process->munmap(m.ctx, vpn{1}, frame_count{1} << 40), usage_error);
}

SCENARIO("a move for which there is no memory moves nothing", "[vm][address_space]") {
  one_process m;
  const auto heap = *m.process->mmap(m.ctx, 4 * huge, {.advice = thp_advice::huge});
  for (frame_count i = 0; i < 4; ++i) REQUIRE(m.process->write(m.ctx, heap + i * huge, i + 1));
  while (m.memory.alloc(m.ctx, order{0}, gfp_kernel)) {
  }
  const auto far = heap + (frame_count{1} << 27);
  CHECK(m.process->mremap(m.ctx, heap, 4 * huge, far).error().code() == errc::no_memory);
  CHECK(m.process->find(far) == nullptr);
  for (frame_count i = 0; i < 4; ++i) CHECK(m.process->read(m.ctx, heap + i * huge) == i + 1);
  // One table, for four huge pages that are moved by one page, is not there either.
  CHECK(m.process->mremap(m.ctx, heap, huge, heap + 9 * huge + 1).error().code() ==
        errc::no_memory);
  CHECK(m.process->read(m.ctx, heap) == 1);
}

SCENARIO("pages that processes share move under both", "[vm][address_space][rmap]") {
  one_process m;
  const auto heap = *m.process->mmap(m.ctx, huge, {.advice = thp_advice::huge});
  const auto small = *m.process->mmap(m.ctx, 8);
  REQUIRE(m.process->write(m.ctx, heap, 1));
  REQUIRE(m.process->write(m.ctx, small, 2));
  auto& child = **m.process->fork(m.ctx);
  m.memory.flush_lru_batches();
  for (const auto page : {heap, small}) {
    const auto frame = *m.process->translate(page);
    const pfn block{frame.value() / huge * huge};
    REQUIRE(m.memory.alloc_contig_range(m.ctx, block, huge));
    CHECK(m.process->translate(page) != frame);
    CHECK(m.process->translate(page) == child.translate(page));
    m.memory.free_contig_range(m.ctx, block, huge);
  }
  CHECK(child.read(m.ctx, heap) == 1);
  CHECK(child.read(m.ctx, small) == 2);
  REQUIRE(child.write(m.ctx, small, 3));
  CHECK(m.process->read(m.ctx, small) == 2);
  CHECK(memsim::testing::check_invariants(m.memory).empty());
}

SCENARIO("a page that is held neither moves nor goes with its process",
         "[vm][address_space][pin]") {
  for (const auto& how : {pin_to_write, reference_to_read}) {
    one_process m;
    const auto before = m.free_frames();
    const auto heap = *m.process->mmap(m.ctx, huge, {.advice = thp_advice::huge});
    REQUIRE(m.process->write(m.ctx, heap + 5, 9));
    const auto held = *m.process->hold(m.ctx, heap + 5, 2, how);
    m.memory.flush_lru_batches();
    const pfn block{held[0].page->value() / huge * huge};
    CHECK(m.memory.alloc_contig_range(m.ctx, block, huge).error().code() == errc::busy);
    m.vm.exit(m.ctx, *m.process);
    CHECK(m.vm.content(*held[0].page) == 9);
    CHECK(m.free_frames() == before - static_cast<std::int64_t>(huge));
    m.vm.release(m.ctx, held, how.kind);
    CHECK(m.free_frames() == before);
  }
}

SCENARIO("without memory a fault and a fork fail, and nothing is lost", "[vm][address_space]") {
  one_process m;
  const auto before = m.free_frames();
  const auto heap = *m.process->mmap(m.ctx, 40 * huge);
  auto page = heap;
  std::uint64_t written = 0;
  while (const auto done = m.process->write(m.ctx, page, ++written)) page = page + 1;
  CHECK(written > 10'000);
  CHECK(m.process->write(m.ctx, page, 1).error().code() == errc::no_memory);
  CHECK(m.process->fork(m.ctx).error().code() == errc::no_memory);
  CHECK(m.vm.processes() == 1);
  CHECK(m.process->read(m.ctx, heap + 100) == 101);
  m.vm.exit(m.ctx, *m.process);
  CHECK(m.free_frames() == before);
  CHECK(memsim::testing::check_invariants(m.memory).empty());
}

SCENARIO("a long-term pin leaves a CMA area first, and its mappings follow",
         "[vm][address_space][pin]") {
  const auto map = memory_map::x86_64(64_MiB);
  page_allocator memory{
      {.memory = map, .cma_areas = {place_cma_area(map, {.size = 16_MiB}).value()}}};
  virtual_memory vm{memory};
  context ctx;
  auto& process = vm.add_process({.score_adjustment = oom_candidate::never});
  const auto& area = memory.cma_areas().front();
  const auto is_lent = [&](pfn page) { return area.base <= page && page < area.end(); };
  const auto heap = *process.mmap(ctx, 10'000);
  auto lent = heap;
  REQUIRE(process.write(ctx, lent, 1));
  while (!is_lent(*process.translate(lent))) {
    lent = lent + 1;
    REQUIRE(process.write(ctx, lent, 1));
  }
  auto& child = **process.fork(ctx);
  memory.flush_lru_batches();
  const auto brief = *process.hold(ctx, lent, 1, reference_to_read);
  CHECK(is_lent(*brief[0].page));
  // It cannot move while somebody else holds it.
  const hold_mode reads_for_long{hold_kind::reference, memory_access::read, pin_term::long_term};
  CHECK(process.hold(ctx, lent, 1, reads_for_long).error().code() == errc::busy);
  vm.release(ctx, brief, hold_kind::reference);

  const auto held = *process.hold(ctx, lent, 1, reads_for_long);
  CHECK(!is_lent(*held[0].page));
  CHECK(process.translate(lent) == held[0].page);
  CHECK(child.translate(lent) == held[0].page);
  CHECK(vm.pages().mapcount(*held[0].page) == 2);
  CHECK(vm.content(*held[0].page) == 1);
  vm.release(ctx, held, hold_kind::reference);
  vm.exit(ctx, child);
  vm.exit(ctx, process);
  CHECK(memsim::testing::check_invariants(memory).empty());
}

SCENARIO("reclaim splits huge pages that are mapped in part, and frees the huge zero page",
         "[vm][address_space][reclaim]") {
  one_process m;
  const auto before = m.free_frames();
  const auto heap = *m.process->mmap(m.ctx, huge, {.advice = thp_advice::huge});
  REQUIRE(m.process->write(m.ctx, heap, 1));
  REQUIRE(m.process->munmap(m.ctx, heap + 1, huge - 1));
  auto& other = m.vm.add_process();
  const auto zeroes = *other.mmap(m.ctx, huge, {.advice = thp_advice::huge});
  CHECK(other.read(m.ctx, zeroes) == 0);
  m.vm.exit(m.ctx, other);
  CHECK(before - m.free_frames() > static_cast<std::int64_t>(2 * huge));
  for (int i = 0; i < 4; ++i) m.memory.reclaim(m.ctx, 2 * huge);
  CHECK(m.vm.counts().split_page == 1);
  // A page, and its page tables.
  CHECK(before - m.free_frames() == 1 + page_table::levels);
  CHECK(m.process->read(m.ctx, heap) == 1);
}
