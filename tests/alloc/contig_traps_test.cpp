// SPDX-License-Identifier: Apache-2.0
// Where Linux 6.1 and 6.12 differ in pages that move and ranges that are emptied: a test for each
// switch, set by itself.
#include <memsim/alloc/observer.hpp>
#include <memsim/machine.hpp>
#include <memsim/sim/spawn.hpp>
#include <memsim/testing/invariants.hpp>

#include "alloc/owned_pages.hpp"
#include "alloc/profile_traps.hpp"
#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count pageblock = pageblock_frames;

// What happens, a letter each: t a target or another allocation, m a page moved, n one that
// refused.
class log_of final : public allocator_observer {
 public:
  explicit log_of(page_allocator& memory) : memory_{memory} { memory_.add_observer(*this); }
  ~log_of() override { memory_.remove_observer(*this); }
  log_of(const log_of&) = delete;
  log_of& operator=(const log_of&) = delete;

  void on_allocation(const allocation_event&) override { text += 't'; }
  void on_migration(const migration_event& e) override {
    text += e.result == migration_result::moved ? 'm' : 'n';
  }

  std::string text;

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
    const pfn block{8192};
    REQUIRE(memory.frames().mark_at(block).is_free(10));
    REQUIRE(memory.alloc_contig_range(ctx, block, pageblock));
    CHECK(memory.frames().mark_at(block + pageblock).is_free(9));
    memory.free_contig_range(ctx, block, pageblock);
    memory.drain_all(ctx);
    CHECK(memory.frames().mark_at(block).is_free(10));
    CHECK(memsim::testing::check_invariants(memory).empty());
  }
}

TEST_CASE("trap: a free block within a range stays whole, or is split wherever it is met",
          "[alloc][trap]") {
  // Nothing but the work tells them apart. One block leaves its list to be withheld and again to be
  // taken; or it leaves it to be split, half of it to be withheld, and both halves to be taken.
  for (const auto rule : {isolation_rule::split_boundary, isolation_rule::split_blocks}) {
    auto memory = small_machine(with(&kernel_profile::isolation, rule));
    context ctx;
    const pfn block{8192};
    REQUIRE(memory.frames().mark_at(block).is_free(10));
    REQUIRE(memory.alloc_contig_range(ctx, block, 2 * pageblock));
    CHECK(ctx.done.list_removals == (rule == isolation_rule::split_boundary ? 2 : 4));
  }
}

TEST_CASE("trap: requests for ranges leave skip hints for compaction, until 6.10",
          "[alloc][trap]") {
  for (const auto rule : {rule::on, rule::off}) {
    auto memory = small_machine(with(&kernel_profile::ranges_set_skip_hints, rule));
    context ctx;
    const pfn block{8192};
    REQUIRE(memory.alloc_contig_range(ctx, block, pageblock));
    const auto hints = memory.state().zones.back().skip_hints;
    CHECK(hints == (rule == memsim::rule::on ? std::vector{block} : std::vector<pfn>{}));
  }
}

TEST_CASE("trap: claims on all CMA areas wait for one another, until 6.15", "[machine][trap]") {
  const std::vector<cma_area> areas{{pfn{6144}, pageblock}, {pfn{9216}, pageblock}};
  // How long two CPUs take that empty an area each.
  const auto both_claim = [&](rule per_area) {
    machine m{{.memory = memory_map::x86_64(64_MiB),
               .cpus = 2,
               .profile = with(&kernel_profile::cma_mutex_per_area, per_area),
               .cma_areas = areas}};
    owned_pages pages{m.memory()};
    while (pages.add(m.cpu(0), page_kind::shmem)) {
    }
    for (std::uint32_t tag = 0; pages.where.size() > 4096; ++tag) {
      const auto in_area = [&](const cma_area& a) {
        return a.base <= pages.where.at(tag) && pages.where.at(tag) < a.end();
      };
      if (std::ranges::none_of(areas, in_area)) pages.remove(m.cpu(0), tag);
    }
    static_cast<void>(m.take_charge(0));
    std::array<std::optional<std::expected<pfn, error>>, 2> claims;
    const auto claim = [&](unsigned number) -> task<> {
      claims[number] = co_await m.cma_alloc(number, number, pageblock);
    };
    const auto first = spawn(m.sim(), claim(0));
    const auto second = spawn(m.sim(), claim(1));
    m.sim().run();
    CHECK(claims[0]->value() == areas[0].base);
    CHECK(claims[1]->value() == areas[1].base);
    CHECK(m.cpu(0).done.page_moves > 0);
    return m.sim().now();
  };
  const auto in_turn = both_claim(rule::off);
  const auto at_once = both_claim(rule::on);
  CHECK(at_once > sim_time{});
  // The areas are not equally full: one after the other takes longer by the less full one.
  CHECK(in_turn.time_since_epoch() * 2 > at_once.time_since_epoch() * 3);
  CHECK(linux_6_1.cma_mutex_per_area == rule::off);
  CHECK(linux_6_12.cma_mutex_per_area == rule::off);

  machine none{{.memory = memory_map::x86_64(64_MiB)}};
  CHECK_THROWS_WITH(none.cma_mutex(0), ContainsSubstring("CMA area 0: there are 0"));
}

TEST_CASE("trap: pages join the LRU lists fifteen together, from 6.10 on thirty-one",
          "[alloc][trap]") {
  for (const unsigned batch : {15u, 31u}) {
    auto memory = small_machine(with(&kernel_profile::lru_batch, batch));
    owned_pages pages{memory};
    context ctx;
    const auto listed = [&] { return memory.state().lru_lists[0].size(); };
    for (unsigned i = 0; i < 15; ++i) REQUIRE(pages.add(ctx));
    CHECK(listed() == (batch == 15 ? 15 : 0));
    for (unsigned i = 15; i < 31; ++i) REQUIRE(pages.add(ctx));
    CHECK(listed() == (batch == 15 ? 30 : 31));
  }
}
