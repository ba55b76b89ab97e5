// SPDX-License-Identifier: Apache-2.0
// Where Linux 6.1 and 6.12 differ in how they compact: a test for each switch, set by itself.
//
// Most zones here have sixteen pageblocks. At the start of a run the scanners stand 15 pageblocks
// apart, so that pageblocks up to 6 are near for the search of the migrate scanner, and those from
// 8 on will do and from 11 on are good for that of the free scanner (compaction A5.1, A7.1).
#include "alloc/profile_traps.hpp"
#include "catch.hpp"

using namespace memsim;

namespace {

constexpr auto movable_request = gfp_highuser_movable;
constexpr auto unmovable_request = gfp_kernel;

// A run on behalf of a request.
direct_compaction compact(planned_zone& z, unsigned size, gfp flags,
                          compact_priority priority = compact_priority::sync_light) {
  const auto outcome = z.memory.compact_for(z.ctx, order{size}, flags, priority);
  REQUIRE(z.memory.counts().compactions == 1);
  return outcome;
}

// The daemon's run.
void compact_in_background(planned_zone& z, unsigned size) {
  z.memory.compact_in_background(z.ctx, order{size}, z.only_zone().extent.type);
  REQUIRE(z.memory.counts().compactions == 1);
}

}  // namespace

TEST_CASE("trap: a suitability that is plain is reported, until 6.10", "[alloc][trap]") {
  for (const auto reports : {rule::on, rule::off}) {
    const auto profile = with(&kernel_profile::reports_plain_suitability, reports);
    const bool on = reports == rule::on;
    planned_zone whole{{.profile = profile}};
    whole.memory.compact_everything(whole.ctx);
    CHECK(whole.suitability ==
          (on ? std::vector{compact_result::proceed} : std::vector<compact_result>{}));
    planned_zone enough{{.profile = profile}};
    enough.free(5, 0, 64);
    enough.memory.compact_in_background(enough.ctx, order{3}, zone_type::dma32);
    CHECK(enough.suitability ==
          (on ? std::vector{compact_result::success} : std::vector<compact_result>{}));
    // Any other answer is reported by both.
    planned_zone full{{.profile = profile}};
    full.memory.compact_in_background(full.ctx, order{3}, zone_type::dma32);
    CHECK(full.suitability == std::vector{compact_result::skipped});
  }
}

TEST_CASE("trap: after a failed batch compaction leaves the chunk, or finishes the pageblock",
          "[alloc][trap]") {
  // 64 pages are wanted; the first batch is the first half of such a chunk, and one page refuses.
  for (const auto rule : {failed_batch_rule::leave_chunk, failed_batch_rule::finish_pageblock}) {
    planned_zone z{{.profile = with(&kernel_profile::failed_batch, rule)}};
    z.make_movable(0, 0, 512);
    z.stays = {z.at(0, 3)};
    z.free_small(15);
    compact(z, 6, movable_request, compact_priority::async);
    REQUIRE(z.migrate_scans.size() > 1);
    CHECK(z.migrate_scans[0] == std::pair{z.at(0, 0), z.at(0, 32)});
    CHECK(z.migrate_scans[1] == (rule == failed_batch_rule::leave_chunk
                                     ? std::pair{z.at(0, 64), z.at(0, 96)}
                                     : std::pair{z.at(0, 32), z.at(0, 64)}));
  }
}

TEST_CASE("trap: a batch is of where the scanner stood, or of the pageblock that it chose",
          "[alloc][trap]") {
  // The search chooses pageblock 2, for its free block of order 3. Having moved a batch of it, who
  // remembers pageblock 2 is in the same one still, and scans the rest of it in one go.
  for (const auto origin : {batch_origin::position, batch_origin::pageblock}) {
    planned_zone z{{.profile = with(&kernel_profile::moved_from, origin)}};
    z.free(2, 8, 16);
    z.make_movable(2, 0, 8);
    z.make_movable(2, 16, 512);
    z.free_small(14);
    z.free_small(15);
    compact(z, 6, movable_request);
    REQUIRE(z.migrate_scans.size() > 1);
    CHECK(z.migrate_scans[0] == std::pair{z.at(2, 0), z.at(2, 40)});
    CHECK(z.migrate_scans[1].first == z.at(2, 40));
    CHECK(z.migrate_scans[1].second ==
          (origin == batch_origin::position ? z.at(2, 72) : z.at(3, 0)));
  }
}

TEST_CASE("trap: what a drain captures is seen at once, or after the next batch", "[alloc][trap]") {
  // The pages of the first batch are on the per-CPU list; the drain behind it merges them.
  for (const auto check : {capture_check::every_round, capture_check::after_batch}) {
    planned_zone z{{.profile = with(&kernel_profile::captures_seen, check)}};
    z.make_movable(0, 0, 512);
    z.free_small(15);
    const auto got = compact(z, 4, movable_request);
    CHECK(got.result == compact_result::success);
    // Pages were freed from the last of the batch to the first.
    CHECK(got.block == z.at(0, 16));
    CHECK(z.memory.counts().pages_migrated == (check == capture_check::every_round ? 32 : 64));
  }
}

TEST_CASE("trap: who scans a pageblock whole searches for a better one first, until 6.10",
          "[alloc][trap]") {
  // A zone that starts in the machine's first pageblock: to a run that has not moved a page yet, it
  // is the one that it has just moved pages from.
  for (const auto searches : {rule::on, rule::off}) {
    planned_zone z{{.profile = with(&kernel_profile::whole_scan_searches, searches),
                    .type = zone_type::dma,
                    .first = pfn{511},
                    .pages = 1 + 7 * pageblock_frames}};
    z.free(2, 8, 16);
    z.make_movable(2, 16, 512);
    z.free_small(7);
    compact(z, 6, movable_request);
    REQUIRE_FALSE(z.migrate_scans.empty());
    CHECK(z.migrate_scans[0].first == (searches == rule::on ? z.at(2, 0) : pfn{511}));
  }
}

TEST_CASE("trap: the search sets the hint by which the pageblock it chose is passed over",
          "[alloc][trap]") {
  for (const auto sets : {rule::on, rule::off}) {
    planned_zone z{{.profile = with(&kernel_profile::search_sets_skip_hint, sets)}};
    z.free(2, 8, 16);
    z.make_movable(2, 0, 8);
    z.make_movable(2, 16, 512);
    z.free_small(15);
    compact(z, 6, movable_request);
    REQUIRE_FALSE(z.migrate_scans.empty());
    CHECK(z.migrate_scans[0] == std::pair{z.at(2, 0), sets == rule::on ? z.at(3, 0) : z.at(2, 40)});
  }
}

TEST_CASE("trap: the pageblock in whose middle a zone starts has a skip hint, from 6.10 on",
          "[alloc][trap]") {
  for (const auto has : {rule::on, rule::off}) {
    planned_zone z{{.profile = with(&kernel_profile::zone_start_has_skip_hint, has),
                    .first = pfn{4096 + 256}}};
    z.free_small(15);
    compact_in_background(z, 3);
    // Nothing to move is in either.
    CHECK(z.has_skip_hint(0) == (has == rule::on));
    CHECK(z.has_skip_hint(1));
  }
}

TEST_CASE("trap: a pageblock's hint is settled by its first page alone, or by the first found",
          "[alloc][trap]") {
  for (const auto which : {lru_hint::page_at_start, lru_hint::first_found}) {
    planned_zone z{{.profile = with(&kernel_profile::lru_settles_hint, which)}};
    z.make_movable(0, 1, 2);
    z.make_movable(1, 0, 1);
    z.free_small(15);
    compact_in_background(z, 3);
    REQUIRE(z.memory.counts().pages_migrated == 2);
    CHECK(z.has_skip_hint(0) == (which == lru_hint::first_found));
    CHECK(z.has_skip_hint(1));
  }
}

TEST_CASE("trap: a search for targets that has enough begins the next where it began",
          "[alloc][trap]") {
  // Two batches of a page. At order 3 the first search looks at sixteen blocks that are too low,
  // and turns the list so that the next one comes upon the seventeenth; it ends at order 0, the
  // last. That is the step which the later kernel leaves out, or else the next begins at order 2.
  for (const auto ends : {rule::on, rule::off}) {
    planned_zone z{{.profile = with(&kernel_profile::target_search_ends_when_enough, ends),
                    .compaction = {.init_free = 1 << 20}}};
    for (unsigned i = 0; i < 16; ++i) z.free(4, 16 * i + 8, 16 * i + 16);
    z.free(9, 8, 16);
    z.free(10, 1, 4, 2);
    z.make_movable(0, 1, 2);
    z.make_movable(1, 1, 2);
    compact(z, 4, unmovable_request);
    CHECK(z.first_targets(2) ==
          std::vector{z.at(10, 3), ends == rule::on ? z.at(9, 8) : z.at(10, 1)});
  }
}

TEST_CASE("trap: the pageblock half way up is looked around whatever its type, until 6.10",
          "[alloc][trap]") {
  for (const auto must : {rule::on, rule::off}) {
    planned_zone z{{.profile = with(&kernel_profile::midway_pageblock_must_suit, must),
                    .types = {{8, migratetype::unmovable}}}};
    z.free(8, 1, 512, 2);
    z.free(7, 1, 2);  // too low for a search to take it
    z.make_movable(0, 1, 2);
    compact(z, 4, unmovable_request);
    CHECK(z.first_targets(1) == std::vector{must == rule::on ? z.at(7, 1) : z.at(8, 1)});
  }
}

TEST_CASE("trap: surroundings get the skip hint without enough targets, or at their end",
          "[alloc][trap]") {
  // Of two targets, the second is the very last page of the pageblock. The free scanner stands
  // below, so that the migrate scanner does not come to this pageblock.
  for (const auto when : {surroundings_hint::not_enough, surroundings_hint::reached_end}) {
    planned_zone z{{.profile = with(&kernel_profile::surroundings, when),
                    .compaction = {.free = 4096 + 12 * pageblock_frames}}};
    z.free(14, 1, 512, 510);
    z.free(4, 1, 128, 2);
    z.make_movable(0, 1, 4, 2);
    compact(z, 4, unmovable_request);
    CHECK(z.targets == std::vector{z.at(14, 1), z.at(14, 511)});
    CHECK(z.has_skip_hint(14) == (when == surroundings_hint::reached_end));
  }
}

TEST_CASE("trap: targets come from a free block of the wanted order, until 6.10", "[alloc][trap]") {
  // CMA pageblocks, which no search of the movable lists comes upon, and which do not serve an
  // unmovable request.
  for (const auto spares : {rule::on, rule::off}) {
    planned_zone z{{.profile = with(&kernel_profile::spares_wanted_order, spares),
                    .types = {{14, migratetype::cma}, {15, migratetype::cma}}}};
    z.free(14, 1, 2);
    z.free(15, 0, 256);
    z.make_movable(0, 1, 2);
    compact_in_background(z, 4);
    CHECK(z.targets == std::vector{spares == rule::on ? z.at(14, 1) : z.at(15, 0)});
  }
}

TEST_CASE("trap: the free position is cached at a pageblock scanned to its end, or below it",
          "[alloc][trap]") {
  // In pageblock 15 nothing is free, in 14 a block that is too large to be taken above the mark.
  for (const auto passes : {rule::on, rule::off}) {
    planned_zone z{{.profile = with(&kernel_profile::cached_free_passes_pageblock, passes),
                    .marks = {100, 100, 100},
                    .types = {{14, migratetype::cma}}}};
    z.free(14, 256, 512);
    z.make_movable(0, 1, 2);
    compact_in_background(z, 3);
    REQUIRE(z.targets.empty());
    CHECK(pfn{z.only_zone().compaction.free} == (passes == rule::on ? z.at(14, 0) : z.at(15, 0)));
  }
}

TEST_CASE("trap: a batch goes on wanting as many targets as it has pages, until 6.10",
          "[alloc][trap]") {
  // Three pages, the first of which gets the only page of pageblock 14. Two more are wanted: the
  // search brings one of pageblock 13, and around it another one is enough, or two more.
  for (const auto the_rest : {rule::on, rule::off}) {
    planned_zone z{{.profile = with(&kernel_profile::batch_wants_the_rest, the_rest)}};
    z.free(14, 1, 2);
    z.free(13, 1, 6, 2);
    z.free(4, 1, 128, 2);
    z.make_movable(0, 1, 6, 2);
    compact(z, 4, unmovable_request);
    CHECK(z.first_targets(3) == std::vector{z.at(14, 1), z.at(13, 1), z.at(13, 3)});
    REQUIRE(z.free_scans.size() > 1);
    CHECK(z.free_scans[0] == std::pair{z.at(14, 0), z.at(15, 0)});
    CHECK(z.free_scans[1] ==
          std::pair{z.at(13, 0), the_rest == rule::on ? z.at(13, 4) : z.at(13, 6)});
  }
}

TEST_CASE("trap: a pageblock that becomes movable takes its free blocks along, from 6.10 on",
          "[alloc][trap]") {
  // A run that takes targets of every type. Page 300 is free and not wanted.
  for (const auto moves : {rule::on, rule::off}) {
    planned_zone z{{.profile = with(&kernel_profile::retyping_moves_blocks, moves),
                    .types = {{8, migratetype::unmovable}}}};
    z.free(8, 0, 256);
    z.free(8, 300, 301);
    for (const unsigned block : {2, 3, 4}) z.free_small(block);
    z.make_movable(0, 1, 2);
    compact(z, 9, unmovable_request, compact_priority::sync_full);
    REQUIRE(z.targets == std::vector{z.at(8, 0)});
    CHECK(z.memory.pageblock_type(z.at(8, 0)) == migratetype::movable);
    CHECK(z.is_listed(z.at(8, 300), order{0},
                      moves == rule::on ? migratetype::movable : migratetype::unmovable));
  }
}

TEST_CASE("trap: targets are used from the top of the block taken last, or from below",
          "[alloc][trap]") {
  for (const auto how : {target_rule::pages, target_rule::blocks}) {
    planned_zone z{{.profile = with(&kernel_profile::compaction_targets, how)}};
    z.free(15, 4, 8);
    z.free(15, 16, 20);
    z.free(4, 1, 128, 2);
    z.make_movable(0, 1, 6);
    z.memory.compact_everything(z.ctx);
    CHECK(z.first_targets(5) ==
          (how == target_rule::pages
               ? std::vector{z.at(15, 19), z.at(15, 18), z.at(15, 17), z.at(15, 16), z.at(15, 7)}
               : std::vector{z.at(15, 4), z.at(15, 5), z.at(15, 6), z.at(15, 7), z.at(15, 16)}));
  }
}

TEST_CASE("trap: a movable request captures a movable block below pageblock order, from 6.10 on",
          "[alloc][trap]") {
  for (const auto captures : {rule::on, rule::off}) {
    planned_zone z{{.profile = with(&kernel_profile::captures_movable, captures)}};
    z.make_movable(0, 0, 512);
    z.free_small(14);
    z.free_small(15);
    const auto got = compact(z, 4, movable_request);
    CHECK(got.result == compact_result::success);
    CHECK(z.memory.counts().compaction_captures == (captures == rule::on ? 1 : 0));
    // Without, it goes on to the next pageblock before it looks.
    CHECK(z.migrate_scans.back().second == (captures == rule::on ? z.at(0, 64) : z.at(1, 0)));
  }
}

TEST_CASE("trap: compaction moves pages of several frames, from 6.10 on", "[alloc][trap]") {
  for (const auto moves : {rule::on, rule::off}) {
    planned_zone z{{.profile = with(&kernel_profile::moves_large_pages, moves),
                    .large = {{pfn{4096 + 4}, order{2}, true}}}};
    z.make_movable(0, 4, 5);
    z.free(15, 4, 8);
    z.free(4, 1, 128, 2);
    z.memory.compact_everything(z.ctx);
    CHECK(z.targets == (moves == rule::on ? std::vector{z.at(15, 4)} : std::vector<pfn>{}));
  }
}
