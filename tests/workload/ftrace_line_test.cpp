// SPDX-License-Identifier: Apache-2.0
#include "workload/ftrace_line.hpp"

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

detail::ftrace_line parse(std::string_view text) {
  detail::gfp_memory flags;
  return detail::parse_ftrace_line(text, flags);
}

trace_event event_of(std::string_view text) {
  const auto line = parse(text);
  INFO(text);
  if (const auto* malformed = std::get_if<detail::malformed_line>(&line)) {
    FAIL(malformed->reason);
  }
  REQUIRE(std::holds_alternative<trace_event>(line));
  return std::get<trace_event>(line);
}

std::string reason_of(std::string_view text) {
  const auto line = parse(text);
  INFO(text);
  REQUIRE(std::holds_alternative<detail::malformed_line>(line));
  return std::get<detail::malformed_line>(line).reason;
}

const trace_event an_allocation{.kind = trace_event_kind::allocation,
                                .time = 4572s + 519'436us,
                                .cpu = cpu_id{1},
                                .block = pfn{0x12c434},
                                .flags = gfp_kernel_account | gfp_flag::zero};

const trace_event a_free{
    .kind = trace_event_kind::free, .time = 1s + 500'000us, .block = pfn{0x1e3813}};

// A line with a_free's event; `task` is everything before the CPU.
std::string free_by(std::string_view task) {
  return fmt::format("{} [000] .....     1.500000: mm_page_free: pfn=0x1e3813 order=0", task);
}

}  // namespace

TEST_CASE("a line of tracefs' trace file is an event", "[workload]") {
  CHECK(event_of("              sh-10211   [001] .....  4572.519436: mm_page_alloc: pfn=0x12c434 "
                 "order=0 migratetype=0 gfp_flags=GFP_KERNEL_ACCOUNT|__GFP_ZERO") == an_allocation);
}

TEST_CASE("a line of trace-cmd report is the same event", "[workload]") {
  const auto text = GENERATE(
      as<std::string>{},
      "              sh-10211 [001]  4572.519436: mm_page_alloc:        page=0xffffea0004b10d00 "
      "pfn=0x12c434 order=0 migratetype=0 gfp_flags=GFP_KERNEL_ACCOUNT|__GFP_ZERO",
      "              sh-10211 [001] d..1  4572.519436000: mm_page_alloc:        pfn=1229876 "
      "order=0 "
      "migratetype=0 gfp_flags=GFP_KERNEL_ACCOUNT|__GFP_ZERO",
      "           <...>-10211 [001]  4572.519436: kmem:mm_page_alloc: page=0xffffea0004b10d00 "
      "pfn=0x12c434 order=0 migratetype=0 gfp_flags=GFP_KERNEL_ACCOUNT|__GFP_ZERO");
  CHECK(event_of(text) == an_allocation);
}

TEST_CASE("every page-allocator event is read with its fields", "[workload]") {
  CHECK(
      event_of("  cc1-10213   [001] ...2.     1.500000: mm_page_free_batched: pfn=0x10 order=0") ==
      trace_event{.kind = trace_event_kind::batched_free,
                  .time = 1500ms,
                  .cpu = cpu_id{1},
                  .block = pfn{16}});
  CHECK(event_of("  cc1-10213   [001] d..3.     1.5: mm_page_alloc_zone_locked: pfn=0x258a6c "
                 "order=3 migratetype=1 percpu_refill=1") ==
        trace_event{.kind = trace_event_kind::zone_locked,
                    .time = 1500ms,
                    .cpu = cpu_id{1},
                    .block = pfn{0x258a6c},
                    .size = order{3},
                    .type = migratetype::movable});
  CHECK(event_of("  cc1-10213   [001] d..3.     1.5: mm_page_pcpu_drain: pfn=0x258a6c order=9 "
                 "migratetype=3") == trace_event{.kind = trace_event_kind::pcp_drain,
                                                 .time = 1500ms,
                                                 .cpu = cpu_id{1},
                                                 .block = pfn{0x258a6c},
                                                 .size = order{9},
                                                 .type = migratetype::highatomic});
  CHECK(event_of("  cc1-10213   [001] d..3.     1.5: mm_page_alloc_extfrag: pfn=0x200 "
                 "alloc_order=0 fallback_order=10 pageblock_order=9 alloc_migratetype=2 "
                 "fallback_migratetype=1 fragmenting=0 change_ownership=1") ==
        trace_event{.kind = trace_event_kind::fallback,
                    .time = 1500ms,
                    .cpu = cpu_id{1},
                    .block = pfn{0x200},
                    .type = migratetype::reclaimable,
                    .found = order{10},
                    .found_type = migratetype::movable});
}

TEST_CASE("an allocation of frame 0 is one that failed", "[workload]") {
  CHECK_FALSE(event_of("  a-1 [000] 1.0: mm_page_alloc: page=(nil) pfn=0x0 order=9 migratetype=1 "
                       "gfp_flags=none")
                  .block);
  CHECK(event_of("  a-1 [000] 1.0: mm_page_free: pfn=0x0 order=9").block == pfn{0});
}

TEST_CASE("a process may have any name", "[workload]") {
  const auto task =
      GENERATE(as<std::string>{}, "          <idle>-0      ", "  Web Content-77    ",
               "    kworker/u8:2-42     ", "   a-1 [001] 2.5:-123    ", "       [001] ] [-9     ",
               "x-1 [0] 1.0: a:-123    ", "     mm_page_free:-1    ",
               "            bash-1234    (   1234)", "sh-1");
  CHECK(event_of(free_by(task)) == a_free);
}

TEST_CASE("the column of flags may be of any width, or missing", "[workload]") {
  const auto flags = GENERATE(as<std::string>{}, "", "....", ".....", "dNh2.", "d..1..", "D.Zff");
  CHECK(event_of(fmt::format("  a-1 [000] {} 1.500000: mm_page_free: pfn=0x1e3813 order=0",
                             flags)) == a_free);
}

TEST_CASE("times are read to the nanosecond, and refused beyond 292 years", "[workload]") {
  const auto at = [](std::string_view time) {
    return fmt::format("  a-1 [000] {}: mm_page_free: pfn=0x1 order=0", time);
  };
  CHECK(event_of(at("0.000000001")).time == 1ns);
  CHECK(event_of(at("12.25")).time == 12'250ms);
  CHECK(event_of(at("123456")).time == 123'456ns);
  CHECK(event_of(at("9223372036.854775807")).time == std::chrono::nanoseconds::max());
  const auto bad = GENERATE(as<std::string>{}, "9223372036.854775808", "99999999999999999999.0",
                            "1.0000000001", "1.", ".5", "-1.0", "1.5x", "0x1", "1.-5");
  CHECK(reason_of(at(bad)) == "not an event");
}

TEST_CASE("a malformed event says what is wrong with it", "[workload]") {
  const auto event = [](std::string_view text) {
    return fmt::format("  a-1 [000] .....  1.000000: {}", text);
  };
  CHECK(reason_of(event("mm_page_free: pfn=0x1")) == "mm_page_free without order=");
  CHECK(reason_of(event("mm_page_alloc:")) == "mm_page_alloc without pfn=");
  CHECK(reason_of(event("mm_page_free: pfn=0x1 order=0 pfn=0x1")) == "pfn= comes twice");
  CHECK(reason_of(event("mm_page_free: pfn=0x1 order=64")) ==
        "order=64: allowed are orders from 0 to 63");
  CHECK(reason_of(event("mm_page_free: pfn=0x1 order=-1")) ==
        "order=-1: allowed are orders from 0 to 63");
  CHECK(reason_of(event("mm_page_free: pfn=0x order=0")) ==
        "pfn=0x: allowed are frame numbers from 0 to 0xffefffff");
  CHECK(reason_of(event("mm_page_free: pfn=0x1g order=0")) ==
        "pfn=0x1g: allowed are frame numbers from 0 to 0xffefffff");
  CHECK(reason_of(event("mm_page_free: pfn=0xffffffffffffffff order=0")) ==
        "pfn=0xffffffffffffffff: allowed are frame numbers from 0 to 0xffefffff");
  CHECK(reason_of(event("mm_page_free: pfn=0x10000000000000000 order=0")) ==
        "pfn=0x10000000000000000: allowed are frame numbers from 0 to 0xffefffff");
  CHECK(reason_of(event("mm_page_free: [FAILED TO PARSE] pfn=0x1 order=0")) ==
        "\"[FAILED\" is not a field");
  CHECK(reason_of(event("mm_page_pcpu_drain: pfn=0x1 order=0 migratetype=6")) ==
        "migratetype=6: allowed are migratetypes from 0 (Unmovable) to 5 (Isolate)");
  CHECK(reason_of(event("mm_page_alloc: pfn=0x1 order=0 migratetype=0 gfp_flags=GFP_BANANA")) ==
        "gfp_flags=GFP_BANANA: \"GFP_BANANA\" is not a GFP flag");
  CHECK(reason_of(event("mm_page_free pfn=0x1 order=0")) == "no event name");
  CHECK(reason_of(event("")) == "no event name");
}

TEST_CASE("what is neither event nor remark is malformed", "[workload]") {
  const auto text = GENERATE(
      as<std::string>{}, "hello", "  a-1 [000]", "  a-1 [000] .....  1.0", "[000] 1.0: x: y",
      "  a-1 [-1] 1.0: mm_page_free: pfn=0x1 order=0", "CPU:1 [LOST EVENTS", "CPU:1 [LOST ]",
      "  a-1 [99999] 1.0: mm_page_free: pfn=0x1 order=0", "cpus=two", "CPU 0 is full",
      "  a-1 [4294967296] 1.0: mm_page_free: pfn=0x1 order=0");
  CHECK(reason_of(text) == "not an event");
  CHECK(reason_of(std::string_view{"#\0", 2}) == "a zero byte");
}

TEST_CASE("other events are named, so that they can be counted", "[workload]") {
  const auto name_in = [](std::string_view text) {
    const auto line = parse(text);
    REQUIRE(std::holds_alternative<detail::other_event>(line));
    return std::string{std::get<detail::other_event>(line).name};
  };
  CHECK(name_in("  a-1 [000] d..2.  1.0: sched_switch: prev_comm=x [120] ==> next=y [1]") ==
        "sched_switch");
  CHECK(name_in("  a-1 [000]  1.0: kmem:kmalloc:  call_site=f+0x1") == "kmalloc");
  CHECK(name_in("  a-1 [000] .....  1.0: vfs_read <-ksys_read") == "(function)");
}

TEST_CASE("comments, blank lines and trace-cmd's remarks are passed over", "[workload]") {
  const auto text =
      GENERATE(as<std::string>{}, "", "   ", "# tracer: nop", "##### CPU 1 buffer started ####",
               "cpus=2", "version = 7", "CPU 0 is empty");
  CHECK(std::holds_alternative<detail::no_event>(parse(text)));
}

TEST_CASE("lost events are counted in each wording", "[workload]") {
  const auto lost = [](std::string_view text) {
    const auto line = parse(text);
    REQUIRE(std::holds_alternative<detail::lost_events>(line));
    return std::get<detail::lost_events>(line).count;
  };
  CHECK(lost("CPU:1 [LOST 12 EVENTS]") == 12);
  CHECK(lost("CPU:0 [LOST EVENTS]") == 1);
  CHECK(lost("CPU:7 [204600 EVENTS DROPPED]") == 204600);
  CHECK(lost("CPU:7 [EVENTS DROPPED]") == 1);
}

TEST_CASE("an event reads well", "[workload]") {
  CHECK(to_text(an_allocation) ==
        "4572.519436000 cpu 1 mm_page_alloc 1229876 order 0 Unmovable "
        "GFP_KERNEL_ACCOUNT|__GFP_ZERO");
  CHECK(to_text(a_free) == "1.500000000 cpu 0 mm_page_free 1980435 order 0");
}
