// SPDX-License-Identifier: Apache-2.0
#include <memsim/testing/invariants.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count pages = 64;

struct one_process {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  virtual_memory vm{memory};
  context ctx;
  address_space* process = &vm.add_process({.score_adjustment = oom_candidate::never});
  vpn heap = written(pages, thp_advice::none);

  vpn written(frame_count count, thp_advice advice) {
    const auto at = *process->mmap(ctx, count, {.advice = advice});
    for (frame_count i = 0; i < count; ++i) REQUIRE(process->write(ctx, at + i, i + 1));
    return at;
  }
  void shorten_memory() {
    memory.flush_lru_batches();
    for (int i = 0; i < 8; ++i) memory.reclaim(ctx, 256);
  }
};

}  // namespace

SCENARIO("lazily freed pages go when memory is short, unless they were written",
         "[vm][lazy_free]") {
  one_process m;
  REQUIRE(m.process->discard_lazily(m.ctx, m.heap, pages));
  CHECK(m.process->resident(m.heap, pages).resident == pages);
  CHECK(m.process->read(m.ctx, m.heap + 5) == 6);
  REQUIRE(m.process->write(m.ctx, m.heap + 7, 99));
  const auto held = *m.process->hold(m.ctx, m.heap + 9, 1, reference_to_read);
  m.shorten_memory();
  // A page that was read is spared once.
  CHECK(m.process->read(m.ctx, m.heap + 7) == 99);
  CHECK(m.process->incoherent(m.heap + 9, held) == 0);
  CHECK(m.process->read(m.ctx, m.heap + 9) == 10);
  CHECK(m.process->read(m.ctx, m.heap + 20) == 0);
  CHECK(m.vm.lazily_freed() >= pages - 4);
  m.vm.release(m.ctx, held, hold_kind::reference);
  WHEN("the one that was written is written off again") {
    REQUIRE(m.process->write(m.ctx, m.heap + 30, 1));  // a fault: it is an ordinary page again
    m.shorten_memory();
    CHECK(m.process->read(m.ctx, m.heap + 7) == 99);
    REQUIRE(m.process->discard_lazily(m.ctx, m.heap + 7, 1));
    m.shorten_memory();
    CHECK(m.process->read(m.ctx, m.heap + 7) == 0);
  }
  m.vm.exit(m.ctx, *m.process);
  CHECK(memsim::testing::check_invariants(m.memory).empty());
}

SCENARIO("pages that a child maps as well stay", "[vm][lazy_free]") {
  one_process m;
  auto& child = **m.process->fork(m.ctx);
  REQUIRE(m.process->discard_lazily(m.ctx, m.heap, pages));
  m.shorten_memory();
  CHECK(m.vm.lazily_freed() == 0);
  CHECK(child.read(m.ctx, m.heap + 1) == 2);
  CHECK(m.process->read(m.ctx, m.heap + 1) == 2);
}

SCENARIO("a page that is forked after it was freed lazily goes if neither writes",
         "[vm][lazy_free]") {
  one_process m;
  REQUIRE(m.process->discard_lazily(m.ctx, m.heap, 2));
  auto& child = **m.process->fork(m.ctx);
  REQUIRE(child.write(m.ctx, m.heap, 50));
  m.shorten_memory();
  CHECK(child.read(m.ctx, m.heap) == 50);
  CHECK(m.process->read(m.ctx, m.heap) == 0);
  CHECK(child.read(m.ctx, m.heap + 1) == 0);
}

SCENARIO("a huge page is split for it", "[vm][lazy_free]") {
  one_process m;
  const auto huge = m.written(pageblock_frames, thp_advice::huge);
  CHECK(m.process->resident(huge, pageblock_frames).huge == pageblock_frames);
  REQUIRE(m.process->discard_lazily(m.ctx, huge, pageblock_frames));
  CHECK(m.vm.counts().split_page == 1);
  m.shorten_memory();
  CHECK(m.vm.lazily_freed() == pageblock_frames);
  CHECK(m.process->read(m.ctx, huge + 3) == 0);
}

SCENARIO("what cannot be freed lazily says so", "[vm][lazy_free]") {
  one_process m;
  REQUIRE(m.process->munmap(m.ctx, m.heap + 10, 2));
  CHECK(m.process->discard_lazily(m.ctx, m.heap, pages).error().code() == errc::no_memory);
  m.shorten_memory();
  CHECK(m.vm.lazily_freed() == pages - 2);
  REQUIRE(m.process->mlock(m.ctx, m.heap, 1));
  CHECK(m.process->discard_lazily(m.ctx, m.heap, 1).error().code() == errc::invalid);
}
