// SPDX-License-Identifier: Apache-2.0
#include <memsim/testing/invariants.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count huge = pageblock_frames;

struct grouped_processes {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  virtual_memory vm{memory};
  context ctx;

  // Writes pages until it is over with them.
  std::expected<void, error> fill(address_space& process, vpn first, frame_count pages) {
    for (frame_count i = 0; i < pages; ++i) {
      if (auto done = process.write(ctx, first + i, i + 1); !done) return done;
    }
    return {};
  }
  // A process with so many pages of its own.
  address_space& process_of(const process_config& how, frame_count pages) {
    auto& made = vm.add_process(how);
    REQUIRE(fill(made, *made.mmap(ctx, pages), pages));
    return made;
  }
  [[nodiscard]] std::int64_t free_frames() {
    memory.drain_all(ctx);
    std::int64_t sum = 0;
    for (const auto& z : memory.zones()) sum += z.exact_free_pages();
    return sum;
  }
};

}  // namespace

SCENARIO("a page is charged to the group of who made it, for as long as it is there",
         "[vm][memory_group]") {
  GIVEN("a process of a group that is in another, and pages that it wrote") {
    grouped_processes m;
    auto& top = m.vm.add_group();
    auto& group = m.vm.add_group({.parent = &top});
    auto& beside = m.vm.add_group({.parent = &top});
    auto& parent = m.vm.add_process({.group = &group});
    const auto heap = *parent.mmap(m.ctx, 20);
    REQUIRE(m.fill(parent, heap, 10));
    CHECK(parent.read(m.ctx, heap + 15) == 0);  // the zero page is nobody's
    CHECK(group.usage() == 10);
    CHECK(top.usage() == 10);
    CHECK(beside.usage() == 0);
    WHEN("it forks, and the child writes") {
      auto& child = **parent.fork(m.ctx);
      CHECK(child.config().group == &group);
      CHECK(group.usage() == 10);
      REQUIRE(child.write(m.ctx, heap, 7));
      CHECK(group.usage() == 11);
      THEN("what is shared stays charged until both are gone") {
        m.vm.exit(m.ctx, parent);
        CHECK(group.usage() == 10);
        m.vm.exit(m.ctx, child);
        CHECK(group.usage() == 0);
        CHECK(top.usage() == 0);
        CHECK(top.peak() == 11);
      }
    }
    WHEN("its pages move") {
      m.memory.flush_lru_batches();
      const pfn block{parent.translate(heap)->value() / huge * huge};
      REQUIRE(m.memory.alloc_contig_range(m.ctx, block, huge));
      THEN("the charge moves with them") {
        m.memory.free_contig_range(m.ctx, block, huge);
        CHECK(group.usage() == 10);
        parent.munmap(m.ctx, heap, 20);
        CHECK(group.usage() == 0);
      }
    }
    WHEN("a page of it is pinned and it exits") {
      const auto held = *parent.hold(m.ctx, heap, 1, pin_to_write);
      m.vm.exit(m.ctx, parent);
      THEN("that page is charged until it is released") {
        CHECK(group.usage() == 1);
        m.vm.release(m.ctx, held, hold_kind::pin);
        CHECK(group.usage() == 0);
      }
    }
  }
}

SCENARIO("a huge page is charged as a whole, and uncharged in parts", "[vm][memory_group]") {
  grouped_processes m;
  auto& group = m.vm.add_group();
  auto& process = m.vm.add_process({.group = &group});
  const auto heap = *process.mmap(m.ctx, huge, {.advice = thp_advice::huge});
  REQUIRE(process.write(m.ctx, heap, 1));
  CHECK(group.usage() == huge);
  process.munmap(m.ctx, heap, 100);
  CHECK(group.usage() == huge);  // it is still one page
  m.vm.shrink(m.ctx);
  CHECK(group.usage() == huge - 100);
  REQUIRE(process.fork(m.ctx));
  process.munmap(m.ctx, heap, huge);
  CHECK(group.usage() == huge - 100);
}

SCENARIO("a huge page that a group has no room for becomes small ones", "[vm][memory_group]") {
  GIVEN("a group of 100 pages") {
    grouped_processes m;
    auto& group = m.vm.add_group({.limit = 100});
    auto& process = m.vm.add_process({.group = &group});
    WHEN("its process uses memory that is advised") {
      const auto heap = *process.mmap(m.ctx, huge, {.advice = thp_advice::huge});
      REQUIRE(process.write(m.ctx, heap, 1));
      THEN("it has a small page, and nobody was killed") {
        CHECK(process.resident(heap, huge).resident == 1);
        CHECK(group.usage() == 1);
        CHECK(m.vm.counts().fault_alloc == 0);
        CHECK(m.vm.counts().fault_fallback == 1);
        CHECK(m.vm.counts().fault_fallback_charge == 1);
        CHECK(group.counts() == memory_group_counts{.failures = 1});
      }
    }
    WHEN("small pages are to be collapsed") {
      const auto heap = *process.mmap(m.ctx, huge);
      REQUIRE(m.fill(process, heap, 50));
      THEN("they stay small") {
        CHECK(process.collapse(m.ctx, heap).error().code() == errc::busy);
        CHECK(m.vm.counts().collapse_alloc == 1);
        CHECK(m.vm.counts().collapse_alloc_failed == 0);
        CHECK(process.resident(heap, huge).huge == 0);
        group.set_limit(50 + huge);
        CHECK(process.collapse(m.ctx, heap));
        CHECK(group.usage() == huge);
        CHECK(group.peak() == 50 + huge);
      }
    }
  }
}

SCENARIO("a group at its limit kills the largest of its processes", "[vm][memory_group][oom]") {
  GIVEN("a small and a large process in a group, and a larger one outside") {
    grouped_processes m;
    auto& top = m.vm.add_group({.limit = 300});
    auto& below = m.vm.add_group({.parent = &top});
    auto& beside = m.vm.add_group();
    auto& outside = m.process_of({.group = &beside}, 1000);
    auto& large = m.process_of({.group = &below}, 200);
    auto& small = m.process_of({.group = &top}, 90);
    const auto heap = *small.mmap(m.ctx, 400);
    WHEN("a child of the large one is left, and the small one needs more") {
      auto& child = **large.fork(m.ctx);
      m.vm.exit(m.ctx, large);
      REQUIRE(m.fill(small, heap, 100));
      THEN("the child is gone") {
        CHECK(child.was_killed());
        CHECK(top.usage() == 190);
      }
    }
    WHEN("the small one needs more") {
      REQUIRE(m.fill(small, heap, 100));
      THEN("the large one is gone, and that is counted where it was and above") {
        CHECK(large.was_killed());
        CHECK(!outside.was_killed());
        CHECK(!small.was_killed());
        CHECK(top.usage() == 190);
        CHECK(below.usage() == 0);
        CHECK(top.counts() == memory_group_counts{.failures = 1, .oom = 1, .oom_kills = 1});
        CHECK(below.counts() == memory_group_counts{.oom_kills = 1});
        CHECK(m.memory.reclaim_events().oom_kills == 0);
      }
      AND_WHEN("what was killed goes on") {
        THEN("all that it does fails") {
          CHECK(large.table().tables() == 0);
          CHECK(large.read(m.ctx, vpn{huge}).error().code() == errc::killed);
          CHECK(large.write(m.ctx, vpn{huge}, 1).error().code() == errc::killed);
          CHECK(large.mmap(m.ctx, 1).error().code() == errc::killed);
          CHECK(large.fork(m.ctx).error().code() == errc::killed);
          CHECK(large.hold(m.ctx, vpn{huge}, 1, pin_to_write).error().code() == errc::killed);
          m.vm.exit(m.ctx, large);
          CHECK(m.vm.processes() == 2);
        }
      }
      AND_WHEN("it needs more than there is") {
        const auto filled = m.fill(small, heap, 400);
        THEN("it is killed itself, in the middle of its fault") {
          CHECK(filled.error().code() == errc::killed);
          CHECK(small.was_killed());
          CHECK(small.table().tables() == 0);
          CHECK(top.usage() == 0);
          CHECK(top.counts().oom_kills == 2);
        }
      }
    }
  }
}

SCENARIO("a score adjustment says who is killed, or that nobody is", "[vm][memory_group][oom]") {
  grouped_processes m;
  auto& group = m.vm.add_group({.limit = 3000});
  auto& large = m.process_of({.group = &group, .score_adjustment = -1000}, 2000);
  // 400 thousandths of 3000 pages are more than the 900 of the next.
  auto& small = m.process_of({.group = &group, .score_adjustment = 400}, 50);
  // 100 thousandths are less; of the machine's memory they would be more.
  auto& other = m.process_of({.group = &group, .score_adjustment = 100}, 50);
  auto& middle = m.process_of({.group = &group}, 900);
  const auto heap = *large.mmap(m.ctx, 1200);
  REQUIRE(m.fill(large, heap, 1));
  CHECK(small.was_killed());
  CHECK(!middle.was_killed());
  REQUIRE(m.fill(large, heap, 60));
  CHECK(middle.was_killed());
  CHECK(!other.was_killed());
  CHECK(m.fill(large, heap, 1200).error().code() == errc::no_memory);
  CHECK(other.was_killed());
  CHECK(!large.was_killed());
  CHECK(group.usage() == 3000);
  CHECK(group.counts().oom == 4);
  CHECK(group.counts().oom_kills == 3);
  CHECK_THROWS_AS(m.vm.add_process({.score_adjustment = 1001}), usage_error);
  memory_group foreign;
  CHECK_THROWS_AS(m.vm.add_process({.group = &foreign}), usage_error);
  CHECK_THROWS_AS(m.vm.add_group({.parent = &foreign}), usage_error);
  CHECK_THROWS_AS(foreign.uncharge(1), usage_error);
}

SCENARIO("a fork that a group cannot pay for leaves no child", "[vm][memory_group][oom]") {
  GIVEN("a process whose pages are all pinned, so that a child would have copies") {
    grouped_processes m;
    auto& group = m.vm.add_group({.limit = 150});
    auto& parent = m.process_of({.group = &group}, 100);
    const vpn heap{huge};
    const auto held = *parent.hold(m.ctx, heap, 100, pin_to_write);
    WHEN("it forks") {
      const auto child = parent.fork(m.ctx);
      THEN("it is chosen, and ends when the fork is over") {
        CHECK(!child);
        CHECK(m.vm.processes() == 1);
        CHECK(parent.was_killed());
        CHECK(parent.find(heap) == nullptr);
        CHECK(group.usage() == 100);
        CHECK(group.counts().oom_kills == 1);
        m.vm.release(m.ctx, held, hold_kind::pin);
        CHECK(group.usage() == 0);
        CHECK(memsim::testing::check_invariants(m.memory).empty());
      }
    }
  }
}

SCENARIO("a process that is killed in the middle of a fork has its pages until then",
         "[vm][address_space][oom]") {
  GIVEN("a process with huge pages, and no other memory") {
    grouped_processes m;
    auto& parent = m.vm.add_process();
    const auto heap = *parent.mmap(m.ctx, 20 * huge, {.advice = thp_advice::huge});
    REQUIRE(m.fill(parent, heap, 20 * huge));
    while (m.memory.alloc(m.ctx, order{0}, gfp_kernel - gfp_reclaim)) {
    }
    WHEN("it forks, for which there is no page table") {
      THEN("the fork fails, and it is gone") {
        CHECK(!parent.fork(m.ctx));
        CHECK(parent.was_killed());
        CHECK(parent.table().tables() == 0);
        CHECK(m.vm.processes() == 1);
        CHECK(m.vm.mapped_huge_pages() == 0);
        CHECK(memsim::testing::check_invariants(m.memory).empty());
      }
    }
  }
}

SCENARIO("the machine's OOM killer chooses among processes", "[vm][address_space][oom]") {
  GIVEN("a small process that nobody may kill, and a large one") {
    grouped_processes m;
    auto& group = m.vm.add_group();
    const auto before = m.free_frames();
    auto& small = m.process_of({.score_adjustment = -1000}, 100);
    auto& large = m.process_of({.group = &group}, 10'000);
    auto& bystander = m.process_of({}, 50);
    WHEN("memory runs out") {
      const auto heap = *small.mmap(m.ctx, 40 * huge);
      REQUIRE(m.fill(small, heap, 8000));
      THEN("the large one is killed, which its group counts") {
        CHECK(large.was_killed());
        CHECK(m.memory.reclaim_events().oom_kills == 1);
        CHECK(group.usage() == 0);
        CHECK(group.counts() == memory_group_counts{.oom_kills = 1});
        m.vm.exit(m.ctx, large);
        m.vm.exit(m.ctx, small);
        m.vm.exit(m.ctx, bystander);
        CHECK(m.free_frames() == before);
      }
    }
    WHEN("the large one needs more than there is") {
      const auto heap = *large.mmap(m.ctx, 40 * huge, {.advice = thp_advice::huge});
      const auto filled = m.fill(large, heap, 40 * huge);
      THEN("it is killed in its fault, and nothing of it is left") {
        CHECK(filled.error().code() == errc::killed);
        CHECK(!bystander.was_killed());
        CHECK(large.table().tables() == 0);
        CHECK(group.usage() == 0);
        m.vm.exit(m.ctx, large);
        m.vm.exit(m.ctx, small);
        m.vm.exit(m.ctx, bystander);
        CHECK(m.free_frames() == before);
        CHECK(memsim::testing::check_invariants(m.memory).empty());
      }
    }
  }
}
