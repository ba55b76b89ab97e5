// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/replay.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <memsim/alloc/observer.hpp>
#include <memsim/alloc/page_allocator.hpp>
#include <memsim/workload/machine.hpp>
#include <memsim/workload/trace_hints.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

// Remembers which blocks were handed out and given back.
struct recorder final : allocator_observer {
  std::vector<pfn> allocated;
  std::vector<free_event> freed;

  void on_allocation(const allocation_event& e) override {
    if (e.block) allocated.push_back(*e.block);
  }
  void on_free(const free_event& e) override { freed.push_back(e); }
};

// A booted machine with two CPUs, and a replay on it.
struct replaying {
  page_allocator memory{{.memory = memory_map::x86_64(256_MiB), .cpus = 2}};
  recorder seen;
  replay_options options;
  std::optional<trace_replayer> replayer;

  explicit replaying(replay_options o = {}) : options{o} {
    memory.add_observer(seen);
    replayer.emplace(memory, options);
  }
  ~replaying() {
    replayer.reset();
    memory.remove_observer(seen);
  }
  replaying(const replaying&) = delete;
  replaying& operator=(const replaying&) = delete;

  void feed(const trace_event& event) {
    const auto ok = replayer->feed(event);
    if (!ok) FAIL(ok.error().message());
  }
  void alloc(unsigned block, unsigned size = 0, gfp flags = gfp_kernel, unsigned cpu = 0) {
    feed({.kind = trace_event_kind::allocation,
          .cpu = cpu_id{cpu},
          .block = pfn{block},
          .size = order{size},
          .type = migratetype_of(flags),
          .flags = flags});
  }
  void free(unsigned block, unsigned size = 0, unsigned cpu = 0) {
    feed({.kind = trace_event_kind::free,
          .cpu = cpu_id{cpu},
          .block = pfn{block},
          .size = order{size}});
  }
  const replay_counts& counts() { return replayer->summary().counts; }
  bool movable(pfn frame) const { return memory.frames().mark_at(frame).movable(); }
};

const std::filesystem::path traces = MEMSIM_TEST_DATA "/golden/traces";

// The small recorded trace on the machine it was recorded on.
struct small_trace {
  machine_source source = load_machine(traces / "small.zoneinfo.before").value();
  trace_hints hints{std::get<machine_description>(source)};
  page_allocator memory{[&] {
    std::ifstream file{traces / "small.trace"};
    ftrace_reader trace{file, "small.trace"};
    REQUIRE(hints.read(trace));
    return make_machine(source, {.hints = &hints}).value();
  }()};

  replay_summary run(const replay_options& options = {}, replay_sampler sampler = {}) {
    std::ifstream file{traces / "small.trace"};
    ftrace_reader trace{file, "small.trace"};
    return replay(trace, memory, options, std::move(sampler)).value();
  }
};

}  // namespace

TEST_CASE("a block freed in the trace is the block that stands for it here", "[workload]") {
  replaying r;
  r.alloc(0x1234);
  r.alloc(0x4000, 3, gfp_kernel, 1);
  r.free(0x1234, 0, 1);
  r.free(0x4000, 3);
  REQUIRE(r.seen.freed.size() == 2);
  CHECK(r.seen.freed[0].block == r.seen.allocated[0]);
  CHECK(r.seen.freed[0].cpu == cpu_id{1});
  CHECK(r.seen.freed[1].block == r.seen.allocated[1]);
  CHECK(r.seen.freed[1].order == order{3});
  CHECK(r.counts().allocations == 2);
  CHECK(r.counts().allocated_pages == 9);
  CHECK(r.counts().frees == 2);
  CHECK(r.counts().freed_pages == 9);
  CHECK(r.counts().live_blocks == 0);
}

TEST_CASE("events that say something again, or tell of lists, change nothing", "[workload]") {
  replaying r;
  r.alloc(0x1234);
  const auto before = r.memory.state_digest();
  for (const auto kind : {trace_event_kind::batched_free, trace_event_kind::zone_locked,
                          trace_event_kind::pcp_drain}) {
    r.feed({.kind = kind, .block = pfn{0x1234}});
  }
  CHECK(r.memory.state_digest() == before);
  CHECK(r.replayer->summary().events == std::array<std::uint64_t, 6>{1, 0, 1, 0, 1, 1});
}

TEST_CASE("a request that failed in the recording is not made", "[workload]") {
  replaying r;
  r.feed({.kind = trace_event_kind::allocation, .size = order{40}, .flags = gfp_kernel});
  CHECK(r.counts().failed_in_recording == 1);
  CHECK(r.seen.allocated.empty());
}

TEST_CASE("a request that fails here is remembered until it is freed", "[workload]") {
  replaying r;
  unsigned block = 0;
  while (r.counts().failed == 0) r.alloc(block += 1024, 10);
  CHECK(r.counts().allocations > 0);
  const auto freed = r.counts().frees;
  r.free(block, 10);
  CHECK(r.counts().frees_of_unserved == 1);
  CHECK(r.counts().frees == freed);
  CHECK(r.counts().live_blocks == r.counts().allocations);
}

TEST_CASE("a block from before the recording is freed where it is, or another for it",
          "[workload]") {
  replaying outer;
  context ctx;
  // In use before the replay begins, and known to nobody: as after a capture.
  auto state = outer.memory.state();
  std::vector<pfn> taken;
  for (int i = 0; i < 3; ++i)
    taken.push_back(outer.memory.alloc(ctx, order{4}, gfp_kernel).value());
  state = outer.memory.state();
  for (auto& z : state.zones) z.allocated.clear();
  auto memory = page_allocator::restore(state, linux_6_12).value();
  recorder seen;
  memory.add_observer(seen);
  {
    trace_replayer replayer{memory};
    const auto free = [&](pfn block, unsigned size) {
      REQUIRE(replayer.feed({.kind = trace_event_kind::free, .block = block, .size = order{size}}));
    };
    free(taken[1] + 4, 2);
    CHECK(seen.freed.back().block == taken[1] + 4);
    CHECK(replayer.summary().counts.adopted == 1);

    free(pfn{50'000}, 3);  // free here
    CHECK(seen.freed.back().order == order{3});
    CHECK(replayer.summary().counts.substituted == 1);

    free(pfn{1u << 30}, 0);  // no such frame here
    CHECK(replayer.summary().counts.substituted == 2);

    free(taken[0], 10);  // nothing as large is left
    CHECK(replayer.summary().counts.not_found == 1);
    CHECK(seen.freed.size() == 3);
    CHECK(replayer.summary().counts.frees == 3);
  }
  memory.remove_observer(seen);
}

TEST_CASE("an allocation over live blocks frees those first", "[workload]") {
  replaying r;
  r.alloc(0x100);
  r.alloc(0x100);
  CHECK(r.counts().lost_frees == 1);
  CHECK(r.counts().frees == 1);

  r.alloc(0x203);
  r.alloc(0x201);
  r.alloc(0x200, 2);  // covers both
  CHECK(r.counts().lost_frees == 3);

  r.alloc(0x402, 1);
  r.alloc(0x403);  // lies within
  CHECK(r.counts().lost_frees == 4);
  CHECK(r.counts().live_blocks == 3);
  CHECK(r.counts().allocations - r.counts().frees == 3);
}

TEST_CASE("a block freed in parts is split", "[workload]") {
  replaying r;
  r.alloc(0x400, 2);
  r.free(0x402);
  r.free(0x400, 1);  // now of two blocks of order 0: the second is larger than its block
  CHECK(r.counts().split_blocks == 1);
  CHECK(r.counts().resized_frees == 1);
  r.free(0x401);
  r.free(0x403);
  CHECK(r.counts().live_blocks == 0);
  CHECK(r.counts().frees == 4);
  CHECK(r.counts().freed_pages == 4);
  CHECK(r.seen.freed[0].block == r.seen.allocated[0] + 2);
}

TEST_CASE("a block whose request failed here can be freed in parts, too", "[workload]") {
  replaying r;
  unsigned block = 0;
  while (r.counts().failed == 0) r.alloc(block += 1024, 10);
  r.free(block, 9);
  r.free(block + 512, 9);
  CHECK(r.counts().frees_of_unserved == 2);
}

TEST_CASE("movable pages count as movable while they live, if asked for", "[workload]") {
  const auto on_lru = GENERATE(rule::off, rule::on);
  replaying r{{.movable_on_lru = on_lru}};
  r.alloc(0x400, 2, gfp_highuser_movable);
  r.alloc(0x500, 0, gfp_kernel);
  const auto block = r.seen.allocated[0];
  CHECK(r.movable(block) == (on_lru == rule::on));
  for (unsigned i = 1; i < 4; ++i) CHECK_FALSE(r.movable(block + i));
  CHECK_FALSE(r.movable(r.seen.allocated[1]));
  r.free(0x400, 2);
  for (unsigned i = 0; i < 4; ++i) CHECK_FALSE(r.movable(block + i));
}

TEST_CASE("a migratetype that is not that of the flags is counted", "[workload]") {
  replaying r;
  r.feed({.kind = trace_event_kind::allocation,
          .block = pfn{1},
          .type = migratetype::movable,
          .flags = gfp_kernel});
  CHECK(r.counts().type_mismatches == 1);
  CHECK(r.counts().allocations == 1);
}

TEST_CASE("an event that the machine cannot have had is an error and changes nothing",
          "[workload]") {
  replaying r;
  const auto message = [&](const trace_event& event) {
    const auto before = r.memory.state_digest();
    const auto ok = r.replayer->feed(event);
    REQUIRE_FALSE(ok);
    CHECK(ok.error().code() == errc::inconsistent);
    CHECK(r.memory.state_digest() == before);
    CHECK(r.replayer->summary().events == std::array<std::uint64_t, 6>{});
    return ok.error().message();
  };
  using enum trace_event_kind;
  CHECK(message({.kind = trace_event_kind::free, .cpu = cpu_id{2}, .block = pfn{1}}) ==
        "mm_page_free on CPU 2: the machine has CPUs 0 to 1 (a machine file gives it more with "
        "`cpus = 3`)");
  CHECK(message({.kind = allocation, .block = pfn{2048}, .size = order{11}}) ==
        "mm_page_alloc of order 11: the page allocator serves orders 0 to 10");
  CHECK(message({.kind = trace_event_kind::free, .block = pfn{3}, .size = order{1}}) ==
        "mm_page_free of frame 3: it is not aligned to order 1");
  CHECK_THAT(message({.kind = allocation,
                      .block = pfn{1},
                      .flags = gfp_flag::movable | gfp_flag::reclaimable}),
             ContainsSubstring("movable and reclaimable"));
}

TEST_CASE("an event that cannot be is an error with its text, or counted with the malformed lines",
          "[workload]") {
  const std::string text =
      "a-1 [000] 1.0: mm_page_free: pfn=0x3 order=1\n"
      "a-1 [000] 1.1: mm_page_free: pfn=0x10 order=0\n"
      "a-1 [007] 1.2: mm_page_free: pfn=0x11 order=0\n"
      "nonsense\n";
  const std::string message =
      "t:1: mm_page_free of frame 3: it is not aligned to order 1: "
      "\"a-1 [000] 1.0: mm_page_free: pfn=0x3 order=1\"";
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  {
    std::istringstream in{text};
    ftrace_reader trace{in, "t"};
    const auto summary = replay(trace, memory);
    REQUIRE_FALSE(summary);
    CHECK(summary.error() == error{errc::inconsistent, message});
  }
  std::istringstream in{text};
  ftrace_reader trace{in, "t", strictness::lenient};
  const auto summary = replay(trace, memory);
  REQUIRE(summary);
  CHECK(summary->malformed_lines == 3);
  CHECK(summary->first_malformed == message);
  CHECK(summary->events[static_cast<unsigned>(trace_event_kind::free)] == 1);
  CHECK_THAT(to_text(*summary),
             ContainsSubstring("3 malformed lines passed over; the first: " + message));
}

TEST_CASE("samples are taken at the start, at multiples of the interval and at the end",
          "[workload]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  std::vector<std::chrono::nanoseconds> at;
  trace_replayer replayer{memory,
                          {.sample_interval = 10ms},
                          [&](std::chrono::nanoseconds t, const page_allocator&,
                              const replay_counts&) { at.push_back(t); }};
  for (const auto time : {100ms, 105ms, 112ms, 111ms, 145ms, 150ms, 151ms}) {
    REQUIRE(replayer.feed({.kind = trace_event_kind::batched_free, .time = time}));
  }
  replayer.finish();
  CHECK(at == std::vector<std::chrono::nanoseconds>{0ms, 10ms, 40ms, 50ms, 51ms});
  CHECK(replayer.summary().counts.out_of_order == 1);
  CHECK(replayer.summary().duration == 51ms);
}

TEST_CASE("clocks may leap", "[workload]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  int samples = 0;
  trace_replayer replayer{memory,
                          {.sample_interval = 1ns},
                          [&](auto, const page_allocator&, const replay_counts&) { ++samples; }};
  for (const auto time : {0ns, std::chrono::nanoseconds::max(), 0ns}) {
    REQUIRE(replayer.feed({.kind = trace_event_kind::batched_free, .time = time}));
  }
  replayer.finish();
  CHECK(samples == 3);
}

TEST_CASE("fallbacks of both sides are kept and counted by type", "[workload]") {
  replaying r{{.kept_fallbacks = 1}};
  const trace_event recorded{.kind = trace_event_kind::fallback,
                             .time = 3ms,
                             .block = pfn{512},
                             .size = order{0},
                             .type = migratetype::unmovable,
                             .found = order{9},
                             .found_type = migratetype::movable};
  r.feed(recorded);
  r.feed(recorded);
  r.alloc(0x100);  // the machine has no unmovable pageblock yet
  const auto& summary = r.replayer->summary();
  REQUIRE(summary.recorded_fallbacks.size() == 1);
  CHECK(summary.recorded_fallbacks[0] == replay_fallback{.since_start = 0ms,
                                                         .block = pfn{512},
                                                         .requested = order{0},
                                                         .found = order{9},
                                                         .wanted = migratetype::unmovable,
                                                         .found_type = migratetype::movable});
  CHECK(summary.counts.recorded_fallbacks == 2);
  CHECK(summary.recorded_fallbacks_by_type[0][1] == 2);
  REQUIRE(summary.fallbacks.size() == 1);
  CHECK(summary.fallbacks[0].wanted == migratetype::unmovable);
  CHECK(summary.fallbacks[0].found_type == migratetype::movable);
  CHECK(summary.fallbacks_by_type[0][1] == summary.counts.fallbacks);
}

TEST_CASE("an event that does not fit the machine is reported with file and line", "[workload]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  std::istringstream in{
      "# tracer: nop\n  a-1 [000] 1.0: mm_page_alloc: pfn=0x10 order=0 migratetype=0 "
      "gfp_flags=GFP_KERNEL\n  a-1 [007] 1.0: mm_page_free: pfn=0x10 order=0\n"};
  ftrace_reader trace{in, "t"};
  const auto summary = replay(trace, memory);
  REQUIRE_FALSE(summary);
  CHECK(
      summary.error() ==
      error{errc::inconsistent,
            "t:3: mm_page_free on CPU 7: the machine has CPUs 0 to 0 (a machine file gives it more "
            "with `cpus = 8`): \"  a-1 [007] 1.0: mm_page_free: pfn=0x10 order=0\""});
}

TEST_CASE("what the reader met is in the summary", "[workload]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  std::istringstream in{"nonsense\nCPU:0 [LOST 5 EVENTS]\n  a-1 [000] 1.0: kfree: x\n"};
  ftrace_reader trace{in, "t", strictness::lenient};
  const auto summary = replay(trace, memory);
  REQUIRE(summary);
  CHECK(summary->lines == 3);
  CHECK(summary->malformed_lines == 1);
  CHECK(summary->lost_events == 5);
  CHECK(summary->skipped == std::vector<skipped_event>{{"kfree", 1}});
  CHECK_THAT(to_text(*summary), ContainsSubstring("5 events lost by the recording\n"));
}

TEST_CASE("the small recorded trace ends with the real kernel's free blocks", "[workload]") {
  small_trace t;
  const auto summary = t.run();
  CHECK(summary.counts.allocations == 7995);
  CHECK(summary.counts.failed == 0);
  CHECK(summary.counts.adopted == 30);
  CHECK(summary.counts.substituted + summary.counts.not_found == 0);
  CHECK(summary.counts.live_blocks == 198);
  CHECK(summary.counts.type_mismatches == 0);
  CHECK(summary.lines == 23768);
  CHECK(summary.skipped.empty());

  const auto after = load_capture(traces / "small.zoneinfo.after").value();
  REQUIRE(after.zones.size() == t.memory.zones().size());
  for (std::size_t i = 0; i < after.zones.size(); ++i) {
    for (unsigned o = 0; o < page_orders; ++o) {
      INFO(name_of(after.zones[i].extent.type) << " order " << o);
      CHECK(t.memory.zones()[i].free_blocks_of(order{o}) == (*after.zones[i].free_blocks)[o]);
    }
  }
}

TEST_CASE("a replay is a function of trace, machine and seed", "[workload]") {
  small_trace a;
  small_trace b;
  int samples = 0;
  const auto of_a = a.run();
  const auto of_b = b.run({.sample_interval = 1ms},
                          [&](auto, const page_allocator&, const replay_counts&) { ++samples; });
  CHECK(of_a == of_b);
  CHECK(a.memory.state_digest() == b.memory.state_digest());
  CHECK(samples > 100);
}

TEST_CASE("every statistic of a replay has a name of its own", "[workload]") {
  const auto values = values_of(replay_summary{});
  std::vector<std::string_view> names;
  for (const auto& value : values) {
    CHECK_FALSE(value.unit.empty());
    CHECK_FALSE(value.description.empty());
    names.push_back(value.name);
  }
  std::ranges::sort(names);
  CHECK(std::ranges::adjacent_find(names) == names.end());
}
