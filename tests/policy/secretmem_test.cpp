// SPDX-License-Identifier: Apache-2.0
// What each design of secret memory does to the direct map, to memory, and to those who ask.
#include <memsim/policy/secretmem.hpp>

#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <memsim/alloc/observer.hpp>
#include <memsim/core/random.hpp>

#include "catch.hpp"
#include "policy/secret_machine.hpp"

using namespace memsim;
using namespace memsim::test;

TEST_CASE("a secret page leaves the direct map, and its mapping stays split", "[secretmem]") {
  secret_machine s{secretmem_6_1};
  auto& process = s.process();
  auto& file = s.file(process, 8);
  const auto at = *process.mmap(s.ctx(), 8, s.shared(file));
  const auto before = s.m.map().mapped();
  REQUIRE(process.write(s.ctx(), at + 3, 42));
  CHECK(file.pages() == 1);
  CHECK(s.is_absent(*file.page_at(3)));
  const auto split = s.m.map().mapped();
  CHECK(split.m2 == before.m2 - 1);
  CHECK(split.k4 == before.k4 + chunk);
  s.check();
  file.close(s.ctx());
  CHECK(process.read(s.ctx(), at + 3) == 42u);
  REQUIRE(process.munmap(s.ctx(), at, 8));
  CHECK(s.secrets.files().empty());
  CHECK(s.absent() == 0);
  CHECK(s.m.map().mapped() == split);
  s.check();
}

TEST_CASE("a secret file lives as long as somebody has it open or mapped", "[secretmem]") {
  secret_machine s{secretmem_6_1};
  auto& process = s.process();
  auto& file = s.file(process, 4);
  CHECK_FALSE(s.secrets.may_hibernate());
  auto at = *process.mmap(s.ctx(), 4, s.shared(file));
  REQUIRE(process.write(s.ctx(), at, 7));
  REQUIRE(process.munmap(s.ctx(), at, 4));
  at = *process.mmap(s.ctx(), 4, s.shared(file));
  CHECK(process.read(s.ctx(), at) == 7u);
  auto& child = **process.fork(s.ctx());
  file.open();
  REQUIRE(child.write(s.ctx(), at, 8));
  CHECK(process.read(s.ctx(), at) == 8u);
  s.vm.exit(s.ctx(), process);
  file.close(s.ctx());
  CHECK(child.read(s.ctx(), at) == 8u);
  file.close(s.ctx());
  CHECK(s.secrets.files().size() == 1);
  s.vm.exit(s.ctx(), child);
  CHECK(s.secrets.may_hibernate());
  // Another file that gets the same frame finds zeroes.
  auto& other = s.process();
  auto& next = s.file(other, 4);
  const auto there = *other.mmap(s.ctx(), 4, s.shared(next));
  CHECK(other.read(s.ctx(), there) == 0u);
}

TEST_CASE("secretmem says what is wrong with what it is asked", "[secretmem]") {
  secret_machine s{secretmem_6_1};
  auto& process = s.process();
  auto& file = s.file(process, 4);
  const auto again = file.resize(4);
  CHECK(code_of(again) == errc::invalid);
  CHECK(again.error().message() == "a secret file of 4 pages stays as large");
  CHECK(code_of(process.mmap(s.ctx(), 4, {.source = &file})) == errc::invalid);
  const auto at = *process.mmap(s.ctx(), 8, s.shared(file));
  CHECK(code_of(process.read(s.ctx(), at + 4)) == errc::bus_error);
  REQUIRE(process.write(s.ctx(), at, 1));
  CHECK(code_of(process.hold(s.ctx(), at, 1, pin_to_read)) == errc::bad_address);
  CHECK(code_of(process.mlock(s.ctx(), at, 1)) == errc::no_memory);
  file.close(s.ctx());
  CHECK_THROWS_WITH(file.close(s.ctx()), "a secret file is closed that is not open");
  CHECK_THROWS_WITH(s.secrets.set_aside(s.ctx(), 7), "7 pages to be set aside: '6_1' has no pool");

  auto off = secretmem_6_1;
  off.enabled = false;
  secret_machine disabled{off};
  CHECK(code_of(disabled.secrets.create(disabled.process())) == errc::unsupported);
  CHECK(code_of(secret_machine{secretmem_v16}.secrets.create(process)) == errc::no_memory);
}

TEST_CASE("what RLIMIT_MEMLOCK limits is the design's choice", "[secretmem]") {
  SECTION("the pages of files that a user made, when they come, root's too") {
    secret_machine s{secretmem_6_1};
    auto& one = s.process(1000, 8);
    auto& two = s.process(1000, 11);
    auto& root = s.vm.add_process({.memlock_limit = 2, .ipc_lock = true});
    auto& of_one = s.file(one, 64);
    auto& of_two = s.file(two, 64);
    const auto in_one = *one.mmap(s.ctx(), 64, s.shared(of_one));
    const auto in_two = *two.mmap(s.ctx(), 64, s.shared(of_two));
    for (frame_count i = 0; i < 8; ++i) REQUIRE(one.write(s.ctx(), in_one + i, 1));
    const auto refused = one.write(s.ctx(), in_one + 8, 1);
    CHECK(code_of(refused) == errc::bus_error);
    CHECK(refused.error().message().find("user 1000 has 8 of 8 pages") != std::string::npos);
    // The limit is that of the process that touches.
    for (frame_count i = 0; i < 3; ++i) REQUIRE(two.write(s.ctx(), in_two + i, 1));
    CHECK(code_of(two.write(s.ctx(), in_two + 3, 1)) == errc::bus_error);
    CHECK(s.secrets.charged(1000) == 11);
    // What is there may be used.
    REQUIRE(one.write(s.ctx(), in_one, 2));
    REQUIRE(one.munmap(s.ctx(), in_one, 64));
    CHECK(s.secrets.charged(1000) == 11);
    of_one.close(s.ctx());
    CHECK(s.secrets.charged(1000) == 3);
    auto& of_root = s.file(root, 64);
    const auto in_root = *root.mmap(s.ctx(), 64, s.shared(of_root));
    for (frame_count i = 0; i < 2; ++i) REQUIRE(root.write(s.ctx(), in_root + i, 1));
    CHECK(code_of(root.write(s.ctx(), in_root + 2, 1)) == errc::bus_error);
    CHECK(s.secrets.counts().over_limit_at_fault == 3);
    s.check();
  }
  SECTION("a process's mappings, with what it has locked, but not with CAP_IPC_LOCK") {
    secret_machine s{secretmem_5_14};
    auto& process = s.process(1000, 10);
    auto& file = s.file(process, 64);
    const auto heap = *process.mmap(s.ctx(), 4);
    REQUIRE(process.mlock(s.ctx(), heap, 4));
    const auto refused = process.mmap(s.ctx(), 7, s.shared(file));
    CHECK(code_of(refused) == errc::again);
    CHECK(refused.error().message() == "7 pages: 4 of 10 are locked already");
    const auto at = *process.mmap(s.ctx(), 6, s.shared(file));
    CHECK(process.locked_pages() == 10);
    // A child has nothing locked.
    auto& child = **process.fork(s.ctx());
    CHECK(child.locked_pages() == 0);
    REQUIRE(process.munmap(s.ctx(), at, 6));
    CHECK(process.locked_pages() == 4);
    auto& root = s.vm.add_process({.memlock_limit = 2, .ipc_lock = true});
    REQUIRE(root.mmap(s.ctx(), 64, s.shared(file)));
    CHECK(s.secrets.counts().over_limit_at_mmap == 1);
  }
}

TEST_CASE("v16 takes chunks of its CMA area, and no 4 KiB mappings come of it", "[secretmem]") {
  secret_machine s{secretmem_v16, 1_GiB, 8_MiB .frames()};
  auto& process = s.process();
  auto& file = s.file(process, 4 * chunk);
  const auto at = *process.mmap(s.ctx(), 4 * chunk, s.shared(file));
  const auto before = s.m.map().mapped();
  const auto zeroed = s.ctx().done.pages_zeroed;
  REQUIRE(process.write(s.ctx(), at, 1));
  CHECK(s.ctx().done.pages_zeroed - zeroed == chunk + process.table().tables());
  CHECK(s.m.map().mapped() == before);
  CHECK(s.absent() == chunk);
  CHECK(s.secrets.counts().unused_chunk_pages == chunk - 1);
  for (frame_count i = 1; i < chunk; ++i) REQUIRE(process.write(s.ctx(), at + i, 1));
  CHECK(s.secrets.counts().chunks == 1);
  s.check();
  // Anybody can take the whole area; who comes later fails at a fault.
  auto& greedy = s.process(1000);
  auto& large = s.file(greedy, 4 * chunk);
  const auto there = *greedy.mmap(s.ctx(), 4 * chunk, s.shared(large));
  for (frame_count i = 0; i < 3 * chunk; ++i) REQUIRE(greedy.write(s.ctx(), there + i, 1));
  CHECK(code_of(process.write(s.ctx(), at + chunk, 1)) == errc::no_memory);
  CHECK(s.secrets.counts().failed_faults == 1);
  large.close(s.ctx());
  s.vm.exit(s.ctx(), greedy);
  REQUIRE(process.write(s.ctx(), at + chunk, 1));
  s.check();
}

TEST_CASE("v16's chunks lose their alignment behind a busy page", "[secretmem]") {
  const bool aligned = GENERATE(true, false);
  auto how = secretmem_v16;
  if (aligned) how.chunk_alignment = pageblock_order;
  secret_machine s{how, 1_GiB, 600_MiB .frames()};
  // Somebody's page that cannot be moved lies in the first frames of the area.
  std::vector<pfn> taken;
  const auto base = s.m.memory().cma_areas()[0].base;
  for (bool found = false; !found;) {
    const auto page = s.m.memory().alloc(s.ctx(), order{0}, gfp_highuser_movable);
    REQUIRE(page);
    found = base < *page && *page < base + chunk;
    if (!found) taken.push_back(*page);
  }
  for (const auto page : taken) s.m.memory().free(s.ctx(), page, order{0});
  auto& process = s.process();
  auto& file = s.file(process, chunk);
  const auto at = *process.mmap(s.ctx(), chunk, s.shared(file));
  const auto before = s.m.map().mapped();
  REQUIRE(process.write(s.ctx(), at, 1));
  const auto first = *file.page_at(0);
  CHECK((first.value() % chunk == 0) == aligned);
  CHECK(before.m2 - s.m.map().mapped().m2 == (aligned ? 0 : 2));
  s.check();
}

TEST_CASE("the proposal's pool is an optimisation", "[secretmem]") {
  const bool literal = GENERATE(false, true);
  secret_machine s{literal ? secretmem_proposal_literal : secretmem_proposal, 64_MiB};
  auto& process = s.process();
  auto& file = s.file(process, 4 * chunk);
  const auto at = *process.mmap(s.ctx(), 4 * chunk, s.shared(file));
  for (frame_count i = 0; i < 100; ++i) REQUIRE(process.write(s.ctx(), at + i, 1));
  // As the sketch can be read, a page of the pool is used only by the call that made it larger.
  CHECK(s.secrets.counts().chunks == 1);
  CHECK(s.secrets.counts().fallback_pages == (literal ? 99 : 0));
  CHECK(s.secrets.counts().unused_chunk_pages == chunk - (literal ? 1 : 100));
  s.check();
  // Where no 2 MiB are to be had, single pages are.
  std::vector<pfn> blocks;
  while (const auto block = s.m.memory().alloc(s.ctx(), pageblock_order, gfp_nowait)) {
    blocks.push_back(*block);
  }
  auto& other = s.process();
  auto& next = s.file(other, 8);
  const auto there = *other.mmap(s.ctx(), 8, s.shared(next));
  REQUIRE(other.write(s.ctx(), there, 1));
  CHECK(s.secrets.counts().chunks == 1);
  CHECK(s.secrets.counts().fallback_pages == (literal ? 100 : 1));
  s.check();
  s.vm.exit(s.ctx(), process);
  file.close(s.ctx());
  CHECK(s.secrets.counts().chunks == 0);
  s.check();
}

TEST_CASE("a reserved pool refuses at mmap, and at no fault", "[secretmem]") {
  secret_machine s{secretmem_reserved, 64_MiB};
  CHECK(s.secrets.set_aside(s.ctx(), 2 * chunk) == 2 * chunk);
  CHECK(s.absent() == 2 * chunk);
  auto& greedy = s.process(1000);
  auto& later = s.process(1001);
  auto& large = s.file(greedy, 2 * chunk);
  auto& small = s.file(later, 100);
  const auto there = *greedy.mmap(s.ctx(), 2 * chunk - 50, s.shared(large));
  const auto refused = later.mmap(s.ctx(), 100, s.shared(small));
  CHECK(code_of(refused) == errc::no_memory);
  CHECK(s.secrets.counts().refused_at_mmap == 1);
  const auto at = *later.mmap(s.ctx(), 50, s.shared(small));
  for (frame_count i = 0; i < 2 * chunk - 50; ++i) REQUIRE(greedy.write(s.ctx(), there + i, 1));
  for (frame_count i = 0; i < 50; ++i) REQUIRE(later.write(s.ctx(), at + i, 1));
  s.check();
  large.close(s.ctx());
  s.vm.exit(s.ctx(), greedy);
  CHECK(s.secrets.pool().reserved == 0);
  CHECK(s.secrets.pool().free == 2 * chunk - 50);
  // Pages of the pool stay absent; with the pool they come back.
  CHECK(s.absent() == 2 * chunk);
  small.close(s.ctx());
  s.vm.exit(s.ctx(), later);
  CHECK(s.secrets.set_aside(s.ctx(), 0) == 0);
  CHECK(s.absent() == 0);
  CHECK(s.secrets.counts().chunks == 0);
  s.check();
}

TEST_CASE("grouped pages lie together", "[secretmem]") {
  secret_machine s{secretmem_grouped, 256_MiB};
  auto& process = s.process();
  auto& file = s.file(process, 300);
  const auto at = *process.mmap(s.ctx(), 300, s.shared(file));
  for (frame_count i = 0; i < 300; ++i) REQUIRE(process.write(s.ctx(), at + i, 1));
  const auto block = file.page_at(0)->value() / chunk;
  for (std::uint64_t i = 0; i < 300; ++i) CHECK(file.page_at(i)->value() / chunk == block);
  s.check();
  s.vm.exit(s.ctx(), process);
  file.close(s.ctx());
  CHECK(s.secrets.counts().pages == 0);
}

// To late 2025 the page that lost was free before it was mapped again.
TEST_CASE("a page that loses the race into its file is free while it is absent", "[secretmem]") {
  struct watcher final : allocator_observer {
    explicit watcher(const secret_machine& of) : on{of} {}
    void on_free(const free_event& e) override { freed_absent += on.is_absent(e.block); }
    const secret_machine& on;
    int freed_absent = 0;
  };
  const bool fixed = GENERATE(true, false);
  auto how = secretmem_5_14;
  if (fixed) how.undo = secretmem_undo::map_then_free;
  secret_machine s{how};
  auto& process = s.process();
  auto& file = s.file(process, 8);
  const auto at = *process.mmap(s.ctx(), 8, s.shared(file));
  watcher watch{s};
  s.m.memory().add_observer(watch);
  file.lose_next_race();
  REQUIRE(process.write(s.ctx(), at, 1));
  s.m.memory().remove_observer(watch);
  CHECK(watch.freed_absent == (fixed ? 0 : 1));
  CHECK(file.pages() == 1);
  s.check();
}

// R (1 - (1 - 1/R)^n) of R mappings are split by n pages that lie anywhere. Here they lie where
// somebody else freed a page at random, in memory that is full otherwise.
TEST_CASE("random placement splits as many mappings as the closed form says", "[secretmem]") {
  constexpr unsigned runs = 8;
  constexpr frame_count to_spare = 40'000;  // above the marks, and on the CPU's lists
  const std::uint64_t pages = GENERATE(128, 512, 2048);
  double split = 0;
  double mappings = 0;
  for (unsigned seed = 0; seed < runs; ++seed) {
    secret_machine s{secretmem_6_1, 1_GiB};
    auto& process = s.process();
    auto& file = s.file(process, pages);
    const auto at = *process.mmap(s.ctx(), pages, s.shared(file));
    std::vector<pfn> taken;
    while (const auto page = s.m.memory().alloc(s.ctx(), order{0}, gfp_atomic)) {
      // The zone DMA is for those who need it.
      if (page->value() >= 16_MiB .frames()) taken.push_back(*page);
    }
    // What lies below the marks nobody gets: pageblocks are looked at that are taken as a whole.
    std::map<std::uint64_t, std::uint64_t> blocks;
    for (const auto page : taken) ++blocks[page.value() / chunk];
    std::erase_if(taken, [&](pfn page) { return blocks[page.value() / chunk] != chunk; });
    mappings = static_cast<double>(taken.size() / chunk);
    random_stream random{seed, "placement"};
    random.shuffle(taken);
    const auto free_one = [&] {
      s.m.memory().free(s.ctx(), taken.back(), order{0});
      taken.pop_back();
    };
    for (frame_count i = 0; i < to_spare; ++i) free_one();
    const auto before = s.m.map().mapped().m2;
    for (std::uint64_t i = 0; i < pages; ++i) {
      free_one();
      free_one();
      const auto done = process.write(s.ctx(), at + i, 1);
      if (!done) FAIL(done.error().message());
    }
    split += static_cast<double>(before - s.m.map().mapped().m2);
  }
  const double n = static_cast<double>(pages);
  const double unhit = std::pow(1 - 1 / mappings, n);
  const double both_unhit = std::pow(1 - 2 / mappings, n);
  const double variance =
      mappings * unhit + mappings * (mappings - 1) * both_unhit - std::pow(mappings * unhit, 2);
  INFO(pages << " pages split " << split / runs << " of " << mappings << " mappings");
  // Three times the standard error of the mean.
  const double tolerance = 3 * std::sqrt(variance / runs);
  CHECK(tolerance < mappings / 50);
  CHECK(std::abs(split / runs - mappings * (1 - unhit)) <= tolerance);
}

TEST_CASE("each design is found by its name", "[secretmem]") {
  for (const auto& preset : secretmem_presets()) {
    INFO(preset.name);
    const auto* const found = find_secretmem_preset(preset.name);
    REQUIRE(found != nullptr);
    CHECK(found->source == preset.source);
    CHECK(found->limit == preset.limit);
  }
  CHECK(find_secretmem_preset("nothing") == nullptr);
}
