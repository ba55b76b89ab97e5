// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/file_backing.hpp>

#include <memsim/testing/invariants.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

struct file_machine {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  page_cache cache{memory};
  virtual_memory vm{memory};
  file_backing file{vm, cache, 100};
  context ctx;
  address_space* process = &vm.add_process({.score_adjustment = oom_candidate::never});
  mapping_request shared{.source = &file, .with = sharing::shared_pages};
  mapping_request own{.source = &file};

  [[nodiscard]] bool is_dirty(pfn page) const {
    return memory.page(page).flags.has_any(page_flag::dirty);
  }
};

// Until nothing more can be had without reclaim.
void fill_memory(file_machine& m) {
  while (m.memory.alloc(m.ctx, order{0}, gfp_atomic)) {
  }
}

}  // namespace

SCENARIO("a file's page that leaves the cache is known no more", "[vm][file_backing]") {
  file_machine m;
  const auto at = *m.process->mmap(m.ctx, 100, m.shared);
  REQUIRE(m.process->read(m.ctx, at + 1));
  const auto old = *m.process->translate(at + 1);
  REQUIRE(m.process->munmap(m.ctx, at, 100));
  CHECK(m.cache.drop_clean(m.ctx) == 1);
  CHECK(m.vm.memory_failure(m.ctx, old).error().code() == errc::invalid);
}

SCENARIO("what was written is read again, whoever brought the page", "[vm][file_backing]") {
  file_machine m;
  const auto at = *m.process->mmap(m.ctx, 100, m.shared);
  REQUIRE(m.process->write(m.ctx, at + 1, 7));
  CHECK(m.cache.sync(m.ctx, m.file.file()) == 1);
  REQUIRE(m.process->munmap(m.ctx, at, 100));
  CHECK(m.cache.drop_clean(m.ctx) == 1);
  // read(2)
  REQUIRE(m.cache.read(m.ctx, m.file.file(), 1));
  const auto again = *m.process->mmap(m.ctx, 100, m.shared);
  CHECK(m.process->read(m.ctx, again + 1) == 7u);
}

SCENARIO("what a device writes to a file's page is not lost", "[vm][file_backing]") {
  file_machine m;
  const auto at = *m.process->mmap(m.ctx, 100, m.shared);
  const auto held = *m.process->hold(m.ctx, at, 1, pin_to_write);
  m.cache.sync(m.ctx, m.file.file());
  m.vm.set_content(*held[0].page, 9);
  CHECK(m.is_dirty(*held[0].page));
  m.vm.release(m.ctx, held, hold_kind::pin);
  m.cache.sync(m.ctx, m.file.file());
  REQUIRE(m.process->munmap(m.ctx, at, 100));
  CHECK(m.cache.drop_clean(m.ctx) == 1);
  const auto again = *m.process->mmap(m.ctx, 100, m.shared);
  CHECK(m.process->read(m.ctx, again) == 9u);
}

SCENARIO("a page that somebody holds stays in the hole, empty", "[vm][file_backing]") {
  file_machine m;
  const auto at = *m.process->mmap(m.ctx, 100, m.shared);
  REQUIRE(m.process->write(m.ctx, at, 5));
  const auto held = *m.process->hold(m.ctx, at, 1, pin_to_write);
  m.vm.punch_hole(m.ctx, m.file, 0, 10);
  CHECK(m.process->read(m.ctx, at) == 0u);
  m.vm.release(m.ctx, held, hold_kind::pin);
  m.cache.sync(m.ctx, m.file.file());
  REQUIRE(m.process->munmap(m.ctx, at, 100));
  m.cache.drop_clean(m.ctx);
  const auto again = *m.process->mmap(m.ctx, 100, m.shared);
  CHECK(m.process->read(m.ctx, again) == 0u);
}

SCENARIO("locked pages of a file stay in memory", "[vm][file_backing]") {
  file_machine m;
  const auto at = *m.process->mmap(m.ctx, 100, m.shared);
  REQUIRE(m.process->mlock(m.ctx, at, 50));
  REQUIRE(m.cache.read(m.ctx, m.file.file(), 99));
  fill_memory(m);
  // Each takes a page that can be given up, as long as there is one.
  for (int i = 0; i < 200; ++i) static_cast<void>(m.memory.alloc(m.ctx, order{0}, gfp_kernel));
  CHECK(m.process->resident(at, 50).resident == 50);
  CHECK_FALSE(m.cache.find(m.file.file(), 99));
}

SCENARIO("a page cache that nobody maps any more has no mapper", "[vm][file_backing]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  page_cache cache{memory};
  context ctx;
  {
    virtual_memory vm{memory};
    file_backing one{vm, cache, 4};
    file_backing two{vm, cache, 4};
    auto& process = vm.add_process();
    const auto at = *process.mmap(ctx, 4, {.source = &one, .with = sharing::shared_pages});
    REQUIRE(process.read(ctx, at));
    vm.exit(ctx, process);
    virtual_memory other{memory};
    CHECK_THROWS_WITH(cache.add_mapper(other),
                      "pages of a page cache are mapped by one virtual memory");
  }
  CHECK(cache.drop_clean(ctx) == 1);
  CHECK_THROWS_WITH(cache.remove_mapper(), "nobody maps pages of this page cache");
}

SCENARIO("a file is read once, whoever maps it", "[vm][file_backing]") {
  file_machine m;
  auto& other = m.vm.add_process();
  const auto here = *m.process->mmap(m.ctx, 100, m.shared);
  const auto there = *other.mmap(m.ctx, 50, {.source = &m.file, .offset = 30});
  CHECK(m.process->read(m.ctx, here + 40) == 0);
  CHECK(other.read(m.ctx, there + 10) == 0);
  const auto page = *m.process->translate(here + 40);
  CHECK(other.translate(there + 10) == page);
  CHECK(m.cache.cached() == 1);
  CHECK(m.ctx.done.pages_read == 1);
  CHECK(!m.is_dirty(page));
  WHEN("a shared mapping writes") {
    REQUIRE(m.process->write(m.ctx, here + 40, 6));
    THEN("everybody sees it, and the page is dirty") {
      CHECK(other.read(m.ctx, there + 10) == 6);
      CHECK(m.is_dirty(page));
    }
    AND_WHEN("it is written to the disk") {
      CHECK(m.cache.sync(m.ctx, m.file.file()) == 1);
      CHECK(!m.is_dirty(page));
      CHECK(!m.process->walk(here + 40).entry->has(page_entry::writable));
      THEN("the next write makes it dirty again") {
        REQUIRE(m.process->write(m.ctx, here + 40, 7));
        CHECK(m.is_dirty(page));
      }
    }
  }
  WHEN("a private mapping writes") {
    REQUIRE(other.write(m.ctx, there + 10, 8));
    THEN("it has a copy, and the file is as it was") {
      CHECK(other.translate(there + 10) != page);
      CHECK(other.read(m.ctx, there + 10) == 8);
      CHECK(m.process->read(m.ctx, here + 40) == 0);
      CHECK(!m.is_dirty(page));
      CHECK(m.vm.faults().copies == 1);
      CHECK(m.vm.faults().needless_copies == 0);
    }
    AND_WHEN("a hole is punched") {
      m.vm.punch_hole(m.ctx, m.file, 40, 1);
      CHECK(m.cache.cached() == 0);
      CHECK(!m.process->translate(here + 40));
      CHECK(other.read(m.ctx, there + 10) == 8);
    }
    AND_WHEN("the file is cut") {
      m.vm.truncate(m.ctx, m.file, 40);
      CHECK(m.process->read(m.ctx, here + 40).error().code() == errc::bus_error);
      CHECK(other.read(m.ctx, there + 10).error().code() == errc::bus_error);
      CHECK(m.process->read(m.ctx, here + 39) == 0);
      CHECK(m.file.size() == 40);
    }
    AND_WHEN("it forks") {
      auto& child = **other.fork(m.ctx);
      CHECK(child.translate(there + 10) == other.translate(there + 10));
      REQUIRE(child.write(m.ctx, there + 10, 9));
      CHECK(other.read(m.ctx, there + 10) == 8);
      CHECK(child.read(m.ctx, there + 11) == 0);
    }
  }
  m.vm.exit(m.ctx, other);
  m.vm.exit(m.ctx, *m.process);
  m.cache.drop_clean(m.ctx);
  CHECK(memsim::testing::check_invariants(m.memory).empty());
}

SCENARIO("a write to an untouched page of a private mapping copies what is in the file",
         "[vm][file_backing]") {
  file_machine m;
  const auto here = *m.process->mmap(m.ctx, 10, m.shared);
  const auto mine = *m.process->mmap(m.ctx, 10, m.own);
  REQUIRE(m.process->write(m.ctx, here + 1, 5));
  const auto held = *m.process->hold(m.ctx, mine + 1, 1, pin_to_write);
  CHECK(m.process->read(m.ctx, mine + 1) == 5);
  REQUIRE(m.process->write(m.ctx, here + 1, 6));
  CHECK(m.process->read(m.ctx, mine + 1) == 5);
  CHECK(m.process->incoherent(mine + 1, held) == 0);
  m.vm.release(m.ctx, held, hold_kind::pin);
}

SCENARIO("mapped pages of files are given up when memory is short, and come back as they were",
         "[vm][file_backing][reclaim]") {
  file_machine m;
  const auto here = *m.process->mmap(m.ctx, 100, m.shared);
  for (frame_count i = 0; i < 100; ++i) REQUIRE(m.process->write(m.ctx, here + i, i + 1));
  CHECK(m.cache.drop_clean(m.ctx) == 0);
  CHECK(m.cache.sync(m.ctx, m.file.file()) == 100);
  CHECK(m.cache.drop_clean(m.ctx) == 0);  // they are mapped
  const auto held = *m.process->hold(m.ctx, here + 7, 1, pin_to_read);
  m.memory.flush_lru_batches();
  while (m.memory.reclaim(m.ctx, 32) > 0) {
  }
  CHECK(m.cache.cached() == 1);
  CHECK(m.process->resident(here, 100).resident == 1);
  CHECK(m.process->incoherent(here + 7, held) == 0);
  for (frame_count i = 0; i < 100; ++i) CHECK(m.process->read(m.ctx, here + i) == i + 1);
  m.vm.release(m.ctx, held, hold_kind::pin);
}

SCENARIO("a mapped page of a file moves with its mappings", "[vm][file_backing][migration]") {
  file_machine m;
  const auto here = *m.process->mmap(m.ctx, 1, m.shared);
  const auto there = *m.vm.add_process().mmap(m.ctx, 1, m.shared);
  REQUIRE(m.process->write(m.ctx, here, 4));
  static_cast<void>(there);
  const auto before = *m.process->translate(here);
  m.memory.flush_lru_batches();
  const pfn block{before.value() / pageblock_frames * pageblock_frames};
  REQUIRE(m.memory.alloc_contig_range(m.ctx, block, pageblock_frames));
  CHECK(m.process->translate(here) != before);
  CHECK(m.process->read(m.ctx, here) == 4);
  CHECK(m.cache.find(m.file.file(), 0) == m.process->translate(here));
}

SCENARIO("a lost page of a file is read again if it was clean", "[vm][file_backing][failure]") {
  file_machine m;
  const auto here = *m.process->mmap(m.ctx, 2, m.shared);
  REQUIRE(m.process->write(m.ctx, here, 4));
  m.cache.sync(m.ctx, m.file.file());
  REQUIRE(m.process->write(m.ctx, here + 1, 5));
  const auto clean = *m.process->translate(here);
  const auto dirty = *m.process->translate(here + 1);
  const auto first = *m.vm.memory_failure(m.ctx, clean);
  CHECK(first.outcome == failure_outcome::recovered);
  CHECK(first.mapped == std::vector<mapping_place>{{m.process, here, page_size::k4}});
  CHECK(m.process->read(m.ctx, here) == 4);
  CHECK(m.process->translate(here) != clean);
  CHECK(m.vm.memory_failure(m.ctx, dirty)->outcome == failure_outcome::lost);
  CHECK(m.vm.corrupted() == 2);
  m.vm.exit(m.ctx, *m.process);
  m.cache.drop_clean(m.ctx);
  m.memory.drain_all(m.ctx);
  CHECK(m.memory.page(clean).flags.has_any(page_flag::pinned));
}

SCENARIO("who maps a private page that is lost gets SIGBUS", "[vm][failure]") {
  file_machine m;
  const auto heap = *m.process->mmap(m.ctx, 2 * pageblock_frames, {.advice = thp_advice::huge});
  REQUIRE(m.process->write(m.ctx, heap + 5, 1));
  const auto page = *m.process->translate(heap + 5);
  auto& child = **m.process->fork(m.ctx);
  WHEN("somebody holds it") {
    const auto held = *m.process->hold(m.ctx, heap + 5, 1, reference_to_read);
    CHECK(m.vm.memory_failure(m.ctx, page).error().code() == errc::busy);
    m.vm.release(m.ctx, held, hold_kind::reference);
  }
  WHEN("it is lost") {
    const auto report = *m.vm.memory_failure(m.ctx, page);
    CHECK(report.outcome == failure_outcome::lost);
    CHECK(report.mapped.size() == 2);
    THEN("the rest of its huge page is there") {
      CHECK(m.process->read(m.ctx, heap + 4) == 0);
      CHECK(m.process->translate(heap + 4) == pfn{page.value() - 1});
    }
    CHECK(m.process->read(m.ctx, heap + 5).error().code() == errc::bus_error);
    CHECK(child.write(m.ctx, heap + 5, 2).error().code() == errc::bus_error);
    auto& grandchild = **child.fork(m.ctx);
    CHECK(grandchild.read(m.ctx, heap + 5).error().code() == errc::bus_error);
    CHECK(m.process->collapse(m.ctx, heap).error().code() == errc::invalid);
    REQUIRE(child.discard(m.ctx, heap + 5, 1));
    CHECK(child.read(m.ctx, heap + 5) == 0);
    CHECK(m.vm.corrupted() == 1);
    CHECK(m.memory.page(page).flags.has_any(page_flag::pinned));
  }
  CHECK(m.vm.memory_failure(m.ctx, pfn{5}).error().code() == errc::invalid);
}
