// SPDX-License-Identifier: Apache-2.0
// Worked examples of hugetlb's reservations, and what the recordings do not have.
#include <memsim/policy/hugetlb.hpp>

#include <string>

#include <memsim/testing/invariants.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"
#include "policy/hugetlb_machine.hpp"

using namespace memsim;
using namespace memsim::test;

TEST_CASE("hugetlb example 1: a shared file", "[hugetlb]") {
  hugetlb_machine m{10};
  auto* const mount = *m.pool.mount(m.ctx);
  auto* const file = *mount->create("a");
  auto& a = m.vm.add_process();
  auto& b = m.vm.add_process();
  const mapping_request shared{.source = file, .with = sharing::shared_pages};
  const auto in_a = *a.mmap(m.ctx, 4 * huge, shared);
  CHECK(m.counts() == are{10, 10, 4, 0});
  REQUIRE(a.write(m.ctx, page(in_a, 0), 1));
  CHECK(m.counts() == are{10, 9, 3, 0});
  const auto in_b = *b.mmap(m.ctx, 4 * huge, shared);
  CHECK(m.counts() == are{10, 9, 3, 0});
  REQUIRE(b.write(m.ctx, page(in_b, 1), 1));
  CHECK(m.counts() == are{10, 8, 2, 0});
  REQUIRE(a.munmap(m.ctx, in_a, 4 * huge));
  REQUIRE(b.munmap(m.ctx, in_b, 4 * huge));
  CHECK(m.counts() == are{10, 8, 2, 0});
  m.vm.punch_hole(m.ctx, *file, 0, huge);
  CHECK(m.counts() == are{10, 9, 2, 0});
  const auto again =
      *a.mmap(m.ctx, 4 * huge, {.no_reserve = true, .source = file, .with = sharing::shared_pages});
  CHECK(a.read(m.ctx, again) == 0u);
  CHECK(m.counts() == are{10, 8, 2, 0});
  REQUIRE(a.munmap(m.ctx, again, 4 * huge));
  REQUIRE(mount->unlink(m.ctx, "a"));
  CHECK(m.counts() == are{10, 10, 0, 0});
}

TEST_CASE("hugetlb example 2: private memory, fork, and copies outside the promises", "[hugetlb]") {
  hugetlb_machine m{10};
  auto& parent = m.vm.add_process();
  const auto heap = *m.pool.map_anonymous(m.ctx, parent, 4 * huge);
  CHECK(m.counts() == are{10, 10, 4, 0});
  REQUIRE(parent.write(m.ctx, page(heap, 0), 1));
  REQUIRE(parent.write(m.ctx, page(heap, 1), 1));
  CHECK(m.counts() == are{10, 8, 2, 0});
  auto& child = **parent.fork(m.ctx);
  REQUIRE(child.write(m.ctx, page(heap, 0), 2));
  CHECK(m.counts() == are{10, 7, 2, 0});
  REQUIRE(parent.write(m.ctx, page(heap, 1), 3));
  CHECK(m.counts() == are{10, 6, 2, 0});
  CHECK(parent.read(m.ctx, page(heap, 0)) == 1u);
  CHECK(child.read(m.ctx, page(heap, 1)) == 1u);
  REQUIRE(parent.munmap(m.ctx, heap, 4 * huge));
  CHECK(m.counts() == are{10, 8, 0, 0});
  m.vm.exit(m.ctx, child);
  CHECK(m.counts() == are{10, 10, 0, 0});
}

TEST_CASE("hugetlb example 3: the owner takes the page from its child", "[hugetlb]") {
  hugetlb_machine m{4};
  auto& parent = m.vm.add_process();
  const auto heap = *m.pool.map_anonymous(m.ctx, parent, 4 * huge);
  REQUIRE(parent.write(m.ctx, page(heap, 0), 1));
  REQUIRE(parent.write(m.ctx, page(heap, 1), 1));
  CHECK(m.counts() == are{4, 2, 2, 0});
  auto& robbed = **parent.fork(m.ctx);
  REQUIRE(parent.write(m.ctx, page(heap, 0), 2));
  CHECK(m.counts() == are{4, 2, 2, 0});
  CHECK(code_of(robbed.read(m.ctx, page(heap, 0))) == errc::bus_error);
  auto& later = **parent.fork(m.ctx);
  CHECK(later.read(m.ctx, page(heap, 0)) == 2u);
  const auto refused = later.write(m.ctx, page(heap, 3), 1);
  CHECK(code_of(refused) == errc::bus_error);
  CHECK(refused.error().message().find("2 of 4 pages are free, and 2 promised") !=
        std::string::npos);
  // What was promised to the owner it gets.
  REQUIRE(parent.write(m.ctx, page(heap, 2), 1));
  REQUIRE(parent.write(m.ctx, page(heap, 3), 1));
}

TEST_CASE("hugetlb example 4: overcommit", "[hugetlb]") {
  hugetlb_machine m{2};
  REQUIRE(m.pool.set_overcommit(3));
  auto* const mount = *m.pool.mount(m.ctx);
  auto* const file = *mount->create("a");
  auto& process = m.vm.add_process();
  const mapping_request shared{.source = file, .with = sharing::shared_pages};
  const auto at = *process.mmap(m.ctx, 4 * huge, shared);
  CHECK(m.counts() == are{4, 4, 4, 2});
  for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(process.write(m.ctx, page(at, i), 1));
  CHECK(m.counts() == are{4, 0, 0, 2});
  REQUIRE(process.munmap(m.ctx, at, 4 * huge));
  REQUIRE(mount->unlink(m.ctx, "a"));
  CHECK(m.counts() == are{2, 2, 0, 0});
  CHECK(code_of(m.pool.map_anonymous(m.ctx, process, 6 * huge)) == errc::no_memory);
  CHECK(m.counts() == are{2, 2, 0, 0});
}

TEST_CASE("hugetlb example 5: what the owner discards", "[hugetlb]") {
  const auto [how, reserved] = GENERATE(std::pair{hugetlb_6_1, 3}, std::pair{hugetlb_6_12, 4});
  hugetlb_machine m{4, how};
  auto& process = m.vm.add_process();
  const auto heap = *m.pool.map_anonymous(m.ctx, process, 4 * huge);
  CHECK(m.counts() == are{4, 4, 4, 0});
  REQUIRE(process.write(m.ctx, heap, 1));
  CHECK(m.counts() == are{4, 3, 3, 0});
  REQUIRE(process.discard(m.ctx, heap, huge));
  CHECK(m.counts() == are{4, 4, static_cast<std::uint64_t>(reserved), 0});
  CHECK(process.read(m.ctx, heap) == 0u);
  CHECK(m.counts() == are{4, 3, 3, 0});
  // Whatever was discarded, nothing is promised when it is gone.
  REQUIRE(process.discard(m.ctx, heap, huge));
  REQUIRE(process.munmap(m.ctx, heap, 4 * huge));
  CHECK(m.counts() == are{4, 4, 0, 0});
}

TEST_CASE("from 6.12 a promise is not restored for a shared, surplus or file's page", "[hugetlb]") {
  hugetlb_machine m{2, hugetlb_6_12};
  REQUIRE(m.pool.set_overcommit(4));
  auto& process = m.vm.add_process();
  SECTION("that a child maps, too") {
    const auto heap = *m.pool.map_anonymous(m.ctx, process, huge);
    REQUIRE(process.write(m.ctx, heap, 1));
    auto& child = **process.fork(m.ctx);
    REQUIRE(process.discard(m.ctx, heap, huge));
    CHECK(m.counts() == are{2, 1, 0, 0});
    m.vm.exit(m.ctx, child);
    CHECK(m.counts() == are{2, 2, 0, 0});
  }
  SECTION("while there are surplus pages") {
    const auto heap = *m.pool.map_anonymous(m.ctx, process, 3 * huge);
    REQUIRE(process.write(m.ctx, heap, 1));
    CHECK(m.counts() == are{3, 2, 2, 1});
    REQUIRE(process.discard(m.ctx, heap, huge));
    CHECK(m.counts() == are{2, 2, 2, 0});
  }
  SECTION("that a file keeps") {
    auto* const file = *(*m.pool.mount(m.ctx))->create("a");
    REQUIRE(file->allocate_range(m.ctx, 0, huge));
    const auto heap = *process.mmap(m.ctx, huge, {.source = file});
    CHECK(process.read(m.ctx, heap) == 0u);
    CHECK(m.counts() == are{2, 1, 1, 0});
    REQUIRE(process.discard(m.ctx, heap, huge));
    CHECK(m.counts() == are{2, 1, 1, 0});
  }
}

TEST_CASE("pages of 1 GiB come from CMA areas or from ranges of memory", "[hugetlb]") {
  constexpr bytes size = 8_GiB;
  page_allocator memory{{.memory = memory_map::x86_64(size),
                         .cma_areas = {{.base = pfn{4_GiB .frames()}, .count = 2_GiB .frames()}}}};
  virtual_memory vm{memory};
  context ctx;
  const bool in_cma = GENERATE(true, false);
  hugetlb pool{vm,
               {.size = page_size::g1,
                .cma_areas = in_cma ? std::vector<std::size_t>{0} : std::vector<std::size_t>{}}};
  CHECK(pool.resize(ctx, 2) == 2);
  CHECK(memory.cma_claimed(0) == (in_cma ? 2_GiB .frames() : 0));
  auto& process = vm.add_process();
  const auto heap = *pool.map_anonymous(ctx, process, 2_GiB .frames());
  REQUIRE(process.write(ctx, heap + 1_GiB .frames() + 7, 5));
  CHECK(process.walk(heap + 1_GiB .frames()).size == page_size::g1);
  CHECK(process.read(ctx, heap + 1_GiB .frames() + 7) == 5u);
  CHECK(code_of(pool.set_overcommit(1)) == errc::invalid);

  SECTION("and move with what maps them") {
    const vpn elsewhere = heap + 8_GiB .frames();
    REQUIRE(process.mremap(ctx, heap, 2_GiB .frames(), elsewhere));
    CHECK(process.read(ctx, elsewhere + 1_GiB .frames() + 7) == 5u);
    CHECK_FALSE(process.maps_any(heap, 2_GiB .frames()));
    REQUIRE(process.munmap(ctx, elsewhere, 2_GiB .frames()));
  }
  SECTION("and go back") { REQUIRE(process.munmap(ctx, heap, 2_GiB .frames())); }
  CHECK(pool.counts().free == 2);
  CHECK(pool.counts().reserved == 0);
  CHECK(pool.resize(ctx, 0) == 0);
  CHECK(memory.cma_claimed(0) == 0);
}

TEST_CASE("a pinned huge page stays with its owner at fork", "[hugetlb]") {
  hugetlb_machine m{4};
  auto& parent = m.vm.add_process();
  const auto heap = *m.pool.map_anonymous(m.ctx, parent, huge);
  REQUIRE(parent.write(m.ctx, heap, 1));
  const auto held = *parent.hold(m.ctx, heap, 1, pin_to_write);
  auto& child = **parent.fork(m.ctx);
  CHECK(m.counts() == are{4, 2, 0, 0});
  REQUIRE(parent.write(m.ctx, heap, 2));
  CHECK(m.vm.content(*held[0].page) == 2);
  CHECK(child.read(m.ctx, heap) == 1u);
  m.vm.exit(m.ctx, parent);
  CHECK(m.counts() == are{4, 2, 0, 0});
  m.vm.release(m.ctx, held, hold_kind::pin);
  CHECK(m.counts() == are{4, 3, 0, 0});
}

TEST_CASE("a page that is held outlives its place in the file", "[hugetlb]") {
  hugetlb_machine m{2};
  auto* const mount = *m.pool.mount(m.ctx);
  auto* const file = *mount->create("a");
  auto& process = m.vm.add_process();
  const auto at = *process.mmap(m.ctx, huge, {.source = file, .with = sharing::shared_pages});
  REQUIRE(process.write(m.ctx, at, 1));
  const auto held = *process.hold(m.ctx, at, 1, pin_to_write);
  REQUIRE(mount->unlink(m.ctx, "a"));
  REQUIRE(process.munmap(m.ctx, at, huge));
  CHECK(m.counts() == are{2, 1, 0, 0});
  CHECK(code_of(m.pool.unmount(m.ctx, *mount)) == errc::busy);
  m.vm.release(m.ctx, held, hold_kind::pin);
  CHECK(m.counts() == are{2, 2, 0, 0});
  CHECK(m.pool.unmount(m.ctx, *mount));
}

TEST_CASE("hugetlb says what is wrong with what it is asked", "[hugetlb]") {
  hugetlb_machine m{2};
  CHECK_THROWS_WITH((hugetlb{m.vm, {.size = page_size::k4}}),
                    "hugetlb has pages of 2M or 1G, not of 4K");
  CHECK_THROWS_WITH((hugetlb{m.vm, {.size = page_size::g1, .cma_areas = {0}}}),
                    "CMA area 0: there are 0");
  const auto contrary = m.pool.mount(m.ctx, {.most = 2, .least = 3});
  CHECK(code_of(contrary) == errc::invalid);
  CHECK(contrary.error().message() == "min_size of 3 pages is above size of 2");
  auto* const mount = *m.pool.mount(m.ctx, {.least = 2});
  CHECK(code_of(m.pool.mount(m.ctx, {.least = 1})) == errc::no_memory);
  REQUIRE(mount->create("a"));
  CHECK(mount->create("a").error().message() == "there is a file 'a' already");
  CHECK(mount->unlink(m.ctx, "b").error().message() == "there is no file 'b'");
  CHECK_THROWS_WITH(mount->find("a")->allocate_range(m.ctx, 0, 7),
                    "7 pages from page 0: a file of pages of 2M has whole ones");
  CHECK(code_of(mount->find("a")->allocate_range(m.ctx, 0, 3 * huge)) == errc::no_space);
  CHECK(mount->find("a")->size() == 0);
  CHECK(mount->find("a")->pages_kept() == 2 * huge);
}

TEST_CASE("a huge page that the machine lost is not used again", "[hugetlb]") {
  hugetlb_machine m{3};
  auto* const file = *(*m.pool.mount(m.ctx))->create("a");
  auto& process = m.vm.add_process();
  const auto at = *process.mmap(m.ctx, huge, {.source = file, .with = sharing::shared_pages});
  REQUIRE(process.write(m.ctx, at, 1));
  const auto frame = *process.translate(at);
  const auto report = m.vm.memory_failure(m.ctx, frame + 9);
  REQUIRE(report);
  CHECK(report->outcome == failure_outcome::lost);
  CHECK(report->mapped == std::vector<mapping_place>{{&process, at, page_size::m2}});
  CHECK(m.counts() == are{2, 2, 0, 0});
  CHECK(code_of(process.read(m.ctx, at)) == errc::bus_error);
  auto& other = m.vm.add_process();
  const auto again = *other.mmap(m.ctx, huge, {.source = file, .with = sharing::shared_pages});
  CHECK(other.read(m.ctx, again) == 0u);
  CHECK(other.translate(again) != frame);
}
