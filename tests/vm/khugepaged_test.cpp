// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/khugepaged.hpp>

#include <memsim/machine/khugepaged_daemon.hpp>
#include <memsim/testing/invariants.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

constexpr frame_count huge = pageblock_frames;

struct one_process {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  virtual_memory vm{memory};
  context ctx;
  address_space* process = &vm.add_process();

  // Memory that is advised once its small pages are there: the first `written` of each 2 MiB.
  vpn small_pages(address_space& of, frame_count blocks, frame_count written) {
    const auto first = *of.mmap(ctx, blocks * huge);
    for (frame_count b = 0; b < blocks; ++b) {
      for (frame_count i = 0; i < written; ++i) {
        REQUIRE(of.write(ctx, first + b * huge + i, b + i + 1));
      }
    }
    REQUIRE(of.madvise(ctx, first, blocks * huge, thp_advice::huge));
    return first;
  }
};

}  // namespace

SCENARIO("khugepaged makes huge pages where they are wanted", "[vm][khugepaged]") {
  GIVEN("2 MiB with one page") {
    one_process m;
    const auto heap = m.small_pages(*m.process, 1, 1);
    khugepaged scanner{m.vm};
    WHEN("it scans") {
      CHECK(scanner.scan(m.ctx, 4096) == khugepaged_result{.scanned = huge, .collapsed = 1});
      THEN("they are a huge page with the same contents") {
        CHECK(m.process->resident(heap, huge).huge == huge);
        CHECK(m.process->read(m.ctx, heap) == 1);
        CHECK(m.process->read(m.ctx, heap + 1) == 0);
        CHECK(scanner.counts() == khugepaged_counts{.full_scans = 1, .pages_collapsed = 1});
        CHECK(m.vm.counts().collapse_alloc == 1);
        CHECK(m.ctx.done.entries_scanned == huge);
        CHECK(memsim::testing::check_invariants(m.memory).empty());
      }
      AND_WHEN("it comes by again") {
        static_cast<void>(scanner.scan(m.ctx, 4096));
        THEN("there is nothing to do") {
          CHECK(scanner.count(collapse_status::already_huge) == 1);
          CHECK(scanner.counts().pages_collapsed == 1);
          CHECK(scanner.counts().full_scans == 2);
        }
      }
    }
    WHEN("the advice is taken back, or huge pages are switched off") {
      THEN("it does not look at it") {
        REQUIRE(m.process->madvise(m.ctx, heap, huge, thp_advice::none));
        CHECK(scanner.scan(m.ctx, 4096) == khugepaged_result{});
        REQUIRE(m.process->madvise(m.ctx, heap, huge, thp_advice::huge));
        m.vm.config().huge_pages = thp_enabled::never;
        CHECK(scanner.scan(m.ctx, 4096) == khugepaged_result{});
        CHECK(scanner.counts() == khugepaged_counts{});
        // Not so if all of memory is wanted.
        m.vm.config().huge_pages = thp_enabled::always;
        REQUIRE(m.process->madvise(m.ctx, heap, huge, thp_advice::none));
        CHECK(scanner.scan(m.ctx, 4096).collapsed == 1);
      }
    }
  }
}

SCENARIO("khugepaged has limits that MADV_COLLAPSE does not have", "[vm][khugepaged]") {
  one_process m;
  const auto stays = [&](khugepaged& scanner, vpn heap, collapse_status why) {
    const auto before = scanner.count(why);
    CHECK(scanner.scan(m.ctx, 4096).collapsed == 0);
    CHECK(scanner.count(why) == before + 1);
    CHECK(m.process->resident(heap, huge).huge == 0);
  };
  GIVEN("entries that map nothing, or the zero page") {
    const auto heap = m.small_pages(*m.process, 1, 100);
    REQUIRE(m.process->read(m.ctx, heap + 300) == 0);
    khugepaged scanner{m.vm, {.max_ptes_none = huge - 101}};
    stays(scanner, heap, collapse_status::too_many_none);
    CHECK(scanner.counts().scan_exceed_none == 1);
    REQUIRE(m.process->write(m.ctx, heap + 300, 1));
    CHECK(scanner.scan(m.ctx, 4096).collapsed == 1);
  }
  GIVEN("pages that are shared") {
    const auto heap = m.small_pages(*m.process, 1, 300);
    auto& child = **m.process->fork(m.ctx);
    khugepaged scanner{m.vm};
    for (frame_count i = 0; i < 44; ++i) {
      // Those that the child has copied are not shared any more.
      if (i == 43) {
        CHECK(scanner.scan(m.ctx, huge).collapsed == 0);
        CHECK(scanner.count(collapse_status::too_many_shared) == 1);
        CHECK(scanner.counts().scan_exceed_shared == 1);
      }
      REQUIRE(m.process->write(m.ctx, heap + i, 1));
    }
    REQUIRE(m.vm.processes() == 2);
    khugepaged other{m.vm};
    CHECK(other.scan(m.ctx, huge).collapsed == 1);
    CHECK(m.process->resident(heap, huge).huge == huge);
    // What the child has is its own now, but nothing of it is writable before it writes.
    CHECK(other.scan(m.ctx, huge).collapsed == 0);
    CHECK(other.count(collapse_status::nothing_writable) == 1);
    CHECK(child.collapse(m.ctx, heap).error().code() == errc::invalid);
  }
  GIVEN("more shared pages than it likes") {
    const auto heap = m.small_pages(*m.process, 1, 300);
    REQUIRE(m.process->fork(m.ctx));
    REQUIRE(m.process->write(m.ctx, heap, 1));
    khugepaged scanner{m.vm};
    CHECK(scanner.scan(m.ctx, huge).collapsed == 0);
    CHECK(scanner.count(collapse_status::too_many_shared) == 1);
    CHECK(m.process->collapse(m.ctx, heap));
  }
  GIVEN("a page that somebody holds") {
    const auto heap = m.small_pages(*m.process, 1, 10);
    const auto held = *m.process->hold(m.ctx, heap + 3, 1, reference_to_read);
    khugepaged scanner{m.vm};
    stays(scanner, heap, collapse_status::held);
    m.vm.release(m.ctx, held, hold_kind::reference);
    CHECK(scanner.scan(m.ctx, 4096).collapsed == 1);
  }
  GIVEN("pages that nobody may write") {
    const auto heap = m.small_pages(*m.process, 1, 10);
    REQUIRE(m.process->mprotect(m.ctx, heap, huge, protection::read));
    khugepaged scanner{m.vm};
    stays(scanner, heap, collapse_status::nothing_writable);
    CHECK(m.process->collapse(m.ctx, heap).error().code() == errc::invalid);
  }
  GIVEN("pages that nobody has used") {
    const auto heap = m.small_pages(*m.process, 1, 10);
    for (frame_count i = 0; i < 10; ++i) {
      auto& entry = *m.process->walk(heap + i).entry;
      entry = entry.without(page_entry::accessed);
    }
    khugepaged scanner{m.vm};
    stays(scanner, heap, collapse_status::nothing_referenced);
    REQUIRE(m.process->read(m.ctx, heap + 5));
    CHECK(scanner.scan(m.ctx, 4096).collapsed == 1);
  }
  GIVEN("no table") {
    const auto heap = m.small_pages(*m.process, 2, 10);
    m.process->munmap(m.ctx, heap, huge);
    REQUIRE(m.process->mmap(m.ctx, huge, {.advice = thp_advice::huge, .at = heap}));
    // The first area has no pages yet, and takes as long as one.
    khugepaged scanner{m.vm};
    CHECK(scanner.scan(m.ctx, 4096) == khugepaged_result{.scanned = huge + 1, .collapsed = 1});
    REQUIRE(m.process->discard(m.ctx, heap + huge, huge));
    CHECK(scanner.scan(m.ctx, 4096).collapsed == 0);
    CHECK(scanner.count(collapse_status::nothing_mapped) == 1);
  }
  GIVEN("a memory group at its limit") {
    auto& group = m.vm.add_group({.limit = 100});
    auto& process = m.vm.add_process({.group = &group});
    const auto heap = m.small_pages(process, 1, 10);
    khugepaged scanner{m.vm};
    CHECK(scanner.scan(m.ctx, 4096).collapsed == 0);
    CHECK(scanner.count(collapse_status::over_limit) == 1);
    CHECK(process.resident(heap, huge).resident == 10);
    CHECK(!process.was_killed());
  }
}

SCENARIO("limits are checked", "[vm][khugepaged]") {
  one_process m;
  CHECK_THROWS_AS((khugepaged{m.vm, {.max_ptes_none = 512}}), usage_error);
  CHECK_THROWS_AS((khugepaged{m.vm, {.max_ptes_swap = 512}}), usage_error);
  CHECK_THROWS_AS((khugepaged{m.vm, {.max_ptes_shared = 512}}), usage_error);
  CHECK_THROWS_AS((khugepaged{m.vm, {.pages_to_scan = 0}}), usage_error);
  CHECK(to_text(collapse_status::over_limit) == "over the limit");
}

SCENARIO("khugepaged goes on where it stopped", "[vm][khugepaged]") {
  GIVEN("two processes with 3 and 2 blocks, and one without") {
    one_process m;
    const auto first = m.small_pages(*m.process, 3, 1);
    auto& idle = m.vm.add_process();
    REQUIRE(idle.mmap(m.ctx, huge));
    auto& other = m.vm.add_process();
    const auto second = m.small_pages(other, 2, 1);
    khugepaged scanner{m.vm};
    WHEN("it scans 2 MiB after 2 MiB") {
      THEN("it comes to each in turn") {
        for (frame_count i = 0; i < 5; ++i) {
          CHECK(scanner.counts().full_scans == 0);
          CHECK(scanner.scan(m.ctx, 1) == khugepaged_result{.scanned = huge, .collapsed = 1});
          CHECK(m.process->resident(first, 3 * huge).huge ==
                std::min<frame_count>(i + 1, 3) * huge);
          CHECK(other.resident(second, 2 * huge).huge == (i < 3 ? 0 : (i - 2) * huge));
        }
        // That there is nothing behind the last it finds when it goes on.
        CHECK(scanner.scan(m.ctx, 1) == khugepaged_result{.scanned = huge});
        CHECK(scanner.counts().full_scans == 1);
      }
    }
    WHEN("it may scan more than there is") {
      static_cast<void>(scanner.scan(m.ctx, 2 * huge));
      const auto rest = scanner.scan(m.ctx, 100 * huge);
      THEN("it does not come by its beginning twice") {
        CHECK(rest == khugepaged_result{.scanned = 8 * huge, .collapsed = 3});
        CHECK(scanner.counts().full_scans == 2);
      }
    }
    WHEN("the process where it stopped exits") {
      static_cast<void>(scanner.scan(m.ctx, huge));
      m.vm.exit(m.ctx, *m.process);
      THEN("it goes on with the beginning of the next") {
        CHECK(scanner.scan(m.ctx, 1).collapsed == 1);
        CHECK(other.resident(second, huge).huge == huge);
      }
    }
  }
}

SCENARIO("khugepaged stops when there is no huge page", "[vm][khugepaged]") {
  one_process m;
  static_cast<void>(m.small_pages(*m.process, 3, 1));
  while (m.memory.alloc(m.ctx, pageblock_order, gfp_transhuge - gfp_reclaim)) {
  }
  khugepaged scanner{m.vm};
  CHECK(scanner.scan(m.ctx, 4096) == khugepaged_result{.scanned = huge, .out_of_memory = true});
  CHECK(scanner.scan(m.ctx, 4096) == khugepaged_result{.scanned = huge, .out_of_memory = true});
  CHECK(m.vm.counts().collapse_alloc_failed == 2);
  CHECK(m.vm.counts().collapse_alloc == 0);
  CHECK(scanner.counts() == khugepaged_counts{});
}

SCENARIO("khugepaged works every ten seconds", "[machine][khugepaged]") {
  GIVEN("a machine with a process of ten times 2 MiB") {
    machine m{{.memory = memory_map::x86_64(256_MiB), .cpus = 2}};
    virtual_memory vm{m.memory()};
    auto& process = vm.add_process();
    const auto heap = *process.mmap(m.cpu(1), 10 * huge);
    for (frame_count i = 0; i < 10; ++i) REQUIRE(process.write(m.cpu(1), heap + i * huge, i + 1));
    REQUIRE(process.madvise(m.cpu(1), heap, 10 * huge, thp_advice::huge));
    static_cast<void>(m.take_charge(1));
    khugepaged scanner{vm};
    WHEN("it runs") {
      khugepaged_daemon daemon{m, scanner};
      m.sim().run_for(9s);
      CHECK(daemon.rounds() == 0);
      m.sim().run_for(2s);
      THEN("it scans 4096 pages each time") {
        CHECK(scanner.counts().pages_collapsed == 8);
        m.sim().run_for(10s);
        CHECK(daemon.rounds() == 2);
        CHECK(scanner.counts().pages_collapsed == 10);
        CHECK(m.done(0).mappings_collapsed == 10);
        CHECK(m.done(1).mappings_collapsed == 0);
        daemon.stop();
        m.sim().run_for(20s);
        CHECK(daemon.rounds() == 2);
      }
    }
    WHEN("there is no huge page") {
      std::vector<pfn> taken;
      while (const auto page =
                 m.memory().alloc(m.cpu(1), pageblock_order, gfp_transhuge - gfp_reclaim)) {
        taken.push_back(*page);
      }
      khugepaged_daemon daemon{m, scanner};
      m.sim().run_for(11s);
      CHECK(vm.counts().collapse_alloc_failed == 1);
      THEN("it waits a minute, and goes on with the rest") {
        for (const auto page : taken) m.memory().free(m.cpu(1), page, pageblock_order);
        m.sim().run_for(58s);
        CHECK(scanner.counts().pages_collapsed == 0);
        m.sim().run_for(2s);
        CHECK(scanner.counts().pages_collapsed == 7);
        CHECK(daemon.rounds() == 1);
      }
      THEN("the second time it gives up until the next run") {
        m.sim().run_for(60s);
        CHECK(vm.counts().collapse_alloc_failed == 2);
        m.sim().run_for(8s);
        CHECK(daemon.rounds() == 1);
        m.sim().run_for(2s);
        CHECK(daemon.rounds() == 2);
      }
    }
    WHEN("it is to be run at times that there are not") {
      THEN("that is refused") {
        CHECK_THROWS_AS((khugepaged_daemon{m, scanner, {.scan_sleep = 0s}}), usage_error);
        CHECK_THROWS_AS((khugepaged_daemon{m, scanner, {.alloc_sleep = -1s}}), usage_error);
        CHECK_THROWS_AS((khugepaged_daemon{m, scanner, {.cpu = 2}}), usage_error);
      }
    }
  }
}
