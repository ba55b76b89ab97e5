// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count huge = pageblock_frames;

struct one_process {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  virtual_memory vm{memory};
  context ctx;

  [[nodiscard]] address_space& process_with(frame_count limit) {
    return vm.add_process({.memlock_limit = limit});
  }
};

errc code_of(const std::expected<void, error>& done) { return done.error().code(); }

}  // namespace

SCENARIO("locked pages are there, and are counted once", "[vm][mlock]") {
  GIVEN("a process that may lock 20 pages") {
    one_process m;
    auto& process = m.process_with(20);
    const auto heap = *process.mmap(m.ctx, 30);
    REQUIRE(process.write(m.ctx, heap, 1));
    WHEN("it locks ten") {
      REQUIRE(process.mlock(m.ctx, heap + 5, 10));
      THEN("they are in memory, as if they had been used") {
        CHECK(process.locked_pages() == 10);
        CHECK(process.resident(heap, 30).resident == 11);
        CHECK(process.walk(heap + 5).entry->has(page_entry::accessed | page_entry::writable));
        CHECK(process.find(heap + 4)->pages() == 5);
        CHECK(process.find(heap + 5)->pages() == 10);
        CHECK(process.find(heap + 5)->locked);
      }
      AND_WHEN("it locks them again, and ten more") {
        THEN("those it has do not count twice, and one more is too many") {
          CHECK(process.mlock(m.ctx, heap, 20));
          CHECK(process.locked_pages() == 20);
          CHECK(process.find(heap)->pages() == 20);
          CHECK(code_of(process.mlock(m.ctx, heap, 21)) == errc::no_memory);
          CHECK(!process.find(heap + 20)->locked);
          CHECK(process.resident(heap, 30).resident == 20);
          process.set_memlock_limit(21);
          CHECK(process.mlock(m.ctx, heap, 21));
        }
      }
      AND_WHEN("it unlocks some in the middle, and unmaps others") {
        REQUIRE(process.munlock(m.ctx, heap + 7, 2));
        process.munmap(m.ctx, heap + 12, 18);
        THEN("only the rest is locked, and what was unlocked stays in memory") {
          CHECK(process.locked_pages() == 5);
          CHECK(process.resident(heap, 30).resident == 8);
          CHECK(code_of(process.munlock(m.ctx, heap, 13)) == errc::no_memory);
          CHECK(process.locked_pages() == 0);
          CHECK(process.find(heap)->pages() == 12);
        }
      }
      AND_WHEN("it forks") {
        auto& child = **process.fork(m.ctx);
        THEN("the child has the limit, and no locks") {
          CHECK(child.locked_pages() == 0);
          CHECK(child.config().memlock_limit == 20);
          CHECK(process.locked_pages() == 10);
        }
      }
      AND_WHEN("it moves them") {
        REQUIRE(process.mremap(m.ctx, heap + 5, 10, heap + 10 * huge));
        THEN("they are still locked") {
          CHECK(process.locked_pages() == 10);
          CHECK(process.find(heap + 10 * huge)->locked);
        }
      }
      AND_WHEN("it says that it does not need them") {
        THEN("that is refused where they begin") {
          CHECK(code_of(process.discard(m.ctx, heap, 30)) == errc::invalid);
          CHECK(process.resident(heap, 30).resident == 10);
          CHECK(process.resident(heap, 1).resident == 0);
        }
      }
    }
  }
}

SCENARIO("to lock is refused with the kernel's errors", "[vm][mlock]") {
  one_process m;
  GIVEN("a process that may lock nothing") {
    auto& process = m.process_with(0);
    const auto heap = *process.mmap(m.ctx, 10);
    CHECK(code_of(process.mlock(m.ctx, heap, 1)) == errc::not_permitted);
    CHECK(process.mmap(m.ctx, 1, {.locked = true}).error().code() == errc::not_permitted);
    CHECK(code_of(process.charge_locked(1)) == errc::again);
    CHECK(process.charge_locked(0));
    CHECK(process.munlock(m.ctx, heap, 1));
  }
  GIVEN("one that has the capability") {
    auto& process = m.vm.add_process({.memlock_limit = 0, .ipc_lock = true});
    const auto heap = *process.mmap(m.ctx, 10);
    CHECK(process.mlock(m.ctx, heap, 10));
    CHECK(process.mmap(m.ctx, 10, {.locked = true}));
    CHECK(process.charge_locked(10));
    CHECK(process.locked_pages() == 30);
  }
  GIVEN("one with the limit that nobody set, and holes") {
    auto& process = m.vm.add_process();
    const auto heap = *process.mmap(m.ctx, 4096);
    CHECK(code_of(process.mlock(m.ctx, heap, 2049)) == errc::no_memory);
    CHECK(process.locked_pages() == 0);
    process.munmap(m.ctx, heap + 10, 10);
    CHECK(code_of(process.mlock(m.ctx, heap, 30)) == errc::no_memory);
    CHECK(process.locked_pages() == 10);
    CHECK(process.resident(heap, 30).resident == 0);
    REQUIRE(process.mprotect(m.ctx, heap + 20, 10, protection::none));
    CHECK(code_of(process.mlock(m.ctx, heap + 20, 10)) == errc::no_memory);
    // What may only be read is the zero page.
    REQUIRE(process.mprotect(m.ctx, heap + 20, 10, protection::read));
    CHECK(process.mlock(m.ctx, heap + 20, 10));
    CHECK(process.walk(heap + 20).entry->is_zero());
  }
  GIVEN("one for which there is no memory") {
    auto& process = m.vm.add_process({.score_adjustment = -1000, .memlock_limit = 1'000'000});
    const auto heap = *process.mmap(m.ctx, 64 * huge);
    CHECK(code_of(process.mlock(m.ctx, heap, 40 * huge)) == errc::again);
    CHECK(process.locked_pages() == 40 * huge);
    CHECK(process.mmap(m.ctx, huge, {.locked = true}));
    CHECK(process.locked_pages() == 41 * huge);
  }
}

SCENARIO("memory is mapped locked", "[vm][mlock]") {
  GIVEN("a process that may lock a huge page and one more") {
    one_process m;
    auto& process = m.process_with(huge + 1);
    WHEN("it maps 2 MiB that are advised") {
      const auto heap = *process.mmap(m.ctx, huge, {.advice = thp_advice::huge, .locked = true});
      THEN("a huge page is there, and one more page may be locked") {
        CHECK(process.resident(heap, huge).huge == huge);
        CHECK(process.mmap(m.ctx, 2, {.locked = true}).error().code() == errc::again);
        // That it would take the place of others is no help.
        CHECK(process.mmap(m.ctx, huge, {.locked = true, .at = heap}).error().code() ==
              errc::again);
        CHECK(process.locked_pages() == huge);
        CHECK(process.resident(heap, huge).huge == huge);
        CHECK(process.mmap(m.ctx, 1, {.locked = true}));
      }
      AND_WHEN("half of it is unlocked") {
        REQUIRE(process.munlock(m.ctx, heap, huge / 2));
        THEN("its mapping is split where the areas meet") {
          CHECK(process.locked_pages() == huge / 2);
          CHECK(process.resident(heap, huge).huge == 0);
          CHECK(process.resident(heap, huge).resident == huge);
        }
      }
    }
    WHEN("something else is charged to its limit") {
      REQUIRE(process.charge_locked(huge));
      THEN("there is less for areas, until it is given back") {
        const auto heap = *process.mmap(m.ctx, 10);
        CHECK(code_of(process.mlock(m.ctx, heap, 2)) == errc::no_memory);
        CHECK(process.mlock(m.ctx, heap, 1));
        CHECK(process.locked_pages() == huge + 1);
        CHECK(code_of(process.charge_locked(1)) == errc::again);
        process.uncharge_locked(huge);
        CHECK(process.locked_pages() == 1);
        CHECK(process.mlock(m.ctx, heap, 10));
        CHECK_THROWS_AS(process.uncharge_locked(1), usage_error);
        CHECK((**process.fork(m.ctx)).locked_pages() == 0);
      }
    }
  }
}
