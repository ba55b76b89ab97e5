// SPDX-License-Identifier: Apache-2.0
// Where Linux 6.1 and 6.12 differ in how they win memory back: a test for each switch of a profile,
// each set by itself, so that nothing else can make the difference.
#include <memsim/alloc/observer.hpp>
#include <memsim/machine.hpp>
#include <memsim/testing/invariants.hpp>

#include "alloc/owned_pages.hpp"
#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count pageblock = pageblock_frames;

// What happens, a letter each: t a target or another allocation, m a page moved, n one that
// refused, s a test of suitability.
class log_of final : public allocator_observer {
 public:
  explicit log_of(page_allocator& memory) : memory_{memory} { memory_.add_observer(*this); }
  ~log_of() override { memory_.remove_observer(*this); }
  log_of(const log_of&) = delete;
  log_of& operator=(const log_of&) = delete;

  void on_allocation(const allocation_event&) override { text += 't'; }
  void on_migration(const migration_event& e) override {
    text += e.result == migration_result::moved ? 'm' : 'n';
    targets.push_back(e.to);
  }
  void on_suitability(const suitability_event&) override { text += 's'; }

  std::string text;
  std::vector<pfn> targets;

 private:
  page_allocator& memory_;
};

page_allocator small_machine(const kernel_profile& profile) {
  return page_allocator{{.memory = memory_map::x86_64(64_MiB), .profile = profile}};
}

// A pageblock of a fresh machine with three movable pages in it.
struct three_pages {
  explicit three_pages(const kernel_profile& profile)
      : memory{small_machine(profile)}, pages{memory} {
    for (int i = 0; i < 3; ++i) REQUIRE(pages.add(ctx, page_kind::shmem));
    memory.flush_lru_batches();
    block = pfn{pages.where[0].value() / pageblock * pageblock};
  }

  page_allocator memory;
  owned_pages pages;
  context ctx;
  pfn block{};
};

template <class Rule>
kernel_profile with(Rule kernel_profile::* member, Rule value) {
  auto profile = linux_6_12;
  profile.*member = value;
  return profile;
}

}  // namespace

TEST_CASE("trap: targets are taken one by one, or all of a batch before a page moves",
          "[alloc][trap]") {
  three_pages one{with(&kernel_profile::migration, migration_rule::one_by_one)};
  {
    const log_of log{one.memory};
    REQUIRE(one.memory.alloc_contig_range(one.ctx, one.block, pageblock));
    CHECK(log.text == "tmtmtm");
  }
  three_pages all{with(&kernel_profile::migration, migration_rule::batched)};
  const log_of log{all.memory};
  REQUIRE(all.memory.alloc_contig_range(all.ctx, all.block, pageblock));
  CHECK(log.text == "tttmmm");
}

TEST_CASE("trap: a page that refuses is tried in ten passes, or in three and then alone",
          "[alloc][trap]") {
  for (const auto rule : {migration_rule::one_by_one, migration_rule::batched}) {
    three_pages m{with(&kernel_profile::migration, rule)};
    m.pages.stays = {0};
    const log_of log{m.memory};
    CHECK_FALSE(m.memory.alloc_contig_range(m.ctx, m.block, pageblock));
    std::string expected;
    for (int call = 0; call < 5; ++call) {
      if (rule == migration_rule::one_by_one) {
        expected += call == 0 ? "tmtmtn" : "tn";
        for (int pass = 1; pass < 10; ++pass) expected += "tn";
      } else {
        expected += call == 0 ? "tttmmnnn" : "tnnn";
        expected += "tnnnnnnn";
      }
    }
    CHECK(log.text == expected);
  }
}

TEST_CASE("trap: a range that ends within a free block of order 10 splits it, by either rule",
          "[alloc][trap]") {
  // The range ends in the middle of a free block of order 10.
  for (const auto rule : {isolation_rule::split_boundary, isolation_rule::split_blocks}) {
    auto memory = small_machine(with(&kernel_profile::isolation, rule));
    context ctx;
    const pfn block{8 * 1024};
    REQUIRE(memory.frames().mark_at(block).is_free(10));
    REQUIRE(memory.alloc_contig_range(ctx, block, pageblock));
    CHECK(memory.frames().mark_at(block + pageblock).is_free(9));
    memory.free_contig_range(ctx, block, pageblock);
    memory.drain_all(ctx);
    CHECK(memory.frames().mark_at(block).is_free(10));
    CHECK(memsim::testing::check_invariants(memory).empty());
  }
}

TEST_CASE("trap: requests for ranges leave skip hints for compaction, until 6.10",
          "[alloc][trap]") {
  for (const auto rule : {rule::on, rule::off}) {
    auto memory = small_machine(with(&kernel_profile::ranges_set_skip_hints, rule));
    context ctx;
    const pfn block{8 * 1024};
    REQUIRE(memory.alloc_contig_range(ctx, block, pageblock));
    const auto hints = memory.state().zones.back().skip_hints;
    CHECK(hints == (rule == memsim::rule::on ? std::vector{block} : std::vector<pfn>{}));
  }
}

TEST_CASE("trap: a movable request captures a movable block below pageblock order, from 6.10 on",
          "[alloc][trap]") {
  for (const auto rule : {rule::on, rule::off}) {
    page_allocator memory{{.memory = memory_map::x86_64(256_MiB),
                           .profile = with(&kernel_profile::captures_movable, rule),
                           .settings = {.min_free_kbytes = 128}}};
    owned_pages pages{memory};
    context ctx;
    while (pages.add(ctx)) {
    }
    while (memory.alloc(ctx, order{0}, gfp_atomic)) {
    }
    // Every other page is free, and a few below the mark.
    for (std::uint32_t tag = 0; tag < pages.where.size() * 2; tag += 2) {
      if (pages.where.contains(tag)) pages.remove(ctx, tag);
    }
    memory.drain_all(ctx);
    memory.flush_lru_batches();
    unsigned none_free = page_orders;
    while (memory.zones().back().free_blocks_of(order{none_free - 1}) == 0) --none_free;
    REQUIRE(none_free < pageblock_order.value());
    const auto got = memory.compact_for(ctx, order{none_free}, gfp_highuser_movable,
                                        compact_priority::sync_light);
    REQUIRE(got.block);
    REQUIRE(memory.counts().pages_migrated > 0);
    CHECK(memory.counts().compaction_captures == (rule == memsim::rule::on ? 1 : 0));
  }
}

TEST_CASE("trap: compaction's targets are used from the top of the block taken last, or from below",
          "[alloc][trap]") {
  const auto first_targets = [](target_rule rule) {
    three_pages m{with(&kernel_profile::compaction_targets, rule)};
    // Half of the last pageblock is in use: wholly free ones are left alone.
    const pfn end = m.memory.zones().back().extent.end();
    REQUIRE(m.memory.alloc_contig_range(m.ctx, end - pageblock, pageblock / 2));
    const log_of log{m.memory};
    m.memory.compact_everything(m.ctx);
    REQUIRE(log.targets.size() == 3);
    return log.targets;
  };
  const auto down = first_targets(target_rule::pages);
  CHECK(down[1] == pfn{down[0].value() - 1});
  CHECK(down[2] == pfn{down[0].value() - 2});
  const auto up = first_targets(target_rule::blocks);
  CHECK(up[1] == up[0] + 1);
  CHECK(up[2] == up[0] + 2);
}

TEST_CASE("trap: compacting everything tests whether it is worth while, until 6.10",
          "[alloc][trap]") {
  const auto heard = [](compaction_rule rule) {
    auto memory = small_machine(with(&kernel_profile::compaction, rule));
    context ctx;
    const log_of log{memory};
    memory.compact_everything(ctx);
    return log.text;
  };
  CHECK(heard(compaction_rule::rescan) ==
        std::string(small_machine(linux_6_1).zones().size(), 's'));
  CHECK(heard(compaction_rule::finish_pageblock).empty());
}

TEST_CASE("trap: claims on all CMA areas wait for one another, until 6.15", "[machine][trap]") {
  const std::vector<cma_area> areas{{pfn{6 * 1024}, pageblock}, {pfn{9 * 1024}, pageblock}};
  const auto two_areas = [&](rule per_area) {
    return machine{{.memory = memory_map::x86_64(64_MiB),
                    .profile = with(&kernel_profile::cma_mutex_per_area, per_area),
                    .cma_areas = areas}};
  };
  auto shared = two_areas(rule::off);
  CHECK(&shared.cma_mutex(0) == &shared.cma_mutex(1));
  auto apart = two_areas(rule::on);
  CHECK(&apart.cma_mutex(0) != &apart.cma_mutex(1));
  CHECK_THROWS_WITH(apart.cma_mutex(2), ContainsSubstring("CMA area 2: there are 2"));
  CHECK(linux_6_1.cma_mutex_per_area == rule::off);
  CHECK(linux_6_12.cma_mutex_per_area == rule::off);
}
