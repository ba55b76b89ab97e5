// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/kernel_tlbs.hpp>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/cost_model.hpp>
#include <memsim/arch/tlb_presets.hpp>
#include <memsim/core/random.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

struct mapped_machine {
  mapped_machine()
      : memory{{.memory = memory_map::x86_64(4_GiB), .cpus = 4}},
        tlbs{{.geometry = presets::skylake_sp_tlb()}, 4},
        kernel{tlbs},
        map{boot_layout(memory.memory()), memory, kernel} {}

  translation access(unsigned cpu, pfn frame) { return kernel.access(cpu_id{cpu}, map, frame); }

  page_allocator memory;
  tlb_system tlbs;
  kernel_tlbs kernel;
  direct_map map;
  context ctx{.cpu = cpu_id{1}};
};

constexpr pfn frame{300'000};

}  // namespace

SCENARIO("the direct map is translated by its own page sizes", "[arch][kernel_tlbs]") {
  mapped_machine m;
  CHECK(m.access(0, frame).hit_level == 0);
  CHECK(m.access(0, frame + 1000) == translation{1, page_size::g1, 0});
  CHECK(m.access(1, frame).hit_level == 0);  // another CPU has TLBs of its own

  WHEN("a page in its gigabyte leaves the map") {
    REQUIRE(m.map.change(m.ctx, frame, 1, make_invalid));
    THEN("every CPU has been made to forget, twice, by the one that split") {
      CHECK(m.tlbs.shootdowns().ipis_sent == 2 * 3);
      CHECK(m.tlbs.shootdowns(cpu_id{1}).ipis_received == 0);
      CHECK(m.ctx.done.ipis == 2 * 3);
      CHECK(m.ctx.done.tlb_full_flushes == 2);
      CHECK(m.ctx.done.remote_full_flushes == 2 * 3);
      CHECK(m.access(0, frame + 1000).hit_level == 0);
      CHECK(m.access(0, frame + 1000).size == page_size::m2);
      CHECK(m.access(0, frame + 1).size == page_size::k4);
    }
  }
}

SCENARIO("what was not flushed is served as it was", "[arch][kernel_tlbs]") {
  mapped_machine m;
  REQUIRE(m.map.change(m.ctx, frame, 1, make_small));
  m.access(0, frame);
  REQUIRE(m.map.change(m.ctx, frame, 1, make_invalid));
  CHECK(m.access(0, frame).hit_level == 1);
  m.map.flush(m.ctx, frame, 1);
  const auto walks = m.tlbs.counts().walks;
  CHECK_THROWS_WITH(
      m.access(0, frame),
      ContainsSubstring("access of CPU 0 to frame 300000: it is absent from the direct map"));
  CHECK_THROWS_WITH(m.access(0, pfn{790'000}), ContainsSubstring("not in the direct map"));
  CHECK(m.tlbs.counts().walks == walks);
  REQUIRE(m.map.change(m.ctx, frame, 1, make_default));
  CHECK(m.access(0, frame).hit_level == 0);
}

SCENARIO("ranges are flushed as a counting flusher counts them", "[arch][kernel_tlbs]") {
  random_stream random{1, "test"};
  mapped_machine m;
  counting_flusher counting{4};
  context counted;
  context done;
  for (int i = 0; i < 200; ++i) {
    const auto count = 1 + random.below(60);
    m.kernel.flush_range(done, frame, count);
    counting.flush_range(counted, frame, count);
    REQUIRE(done.done == counted.done);
  }
  m.kernel.flush_all(done);
  counting.flush_all(counted);
  CHECK(done.done == counted.done);
}

SCENARIO("CPUs flush at the same time, so that many take hardly longer than one",
         "[arch][kernel_tlbs]") {
  using namespace std::chrono_literals;
  counting_flusher machine{64};
  context page_by_page;
  machine.flush_range(page_by_page, frame, 33);
  CHECK(default_costs().price_of(page_by_page.done) == 2us + 63 * 200ns + 33 * 100ns);
  context whole;
  machine.flush_range(whole, frame, 34);
  CHECK(default_costs().price_of(whole.done) == 2us + 63 * 200ns + 150ns);
}

SCENARIO("translations become work that has a price", "[arch][kernel_tlbs]") {
  mapped_machine m;
  random_stream random{1, "test"};
  for (int i = 0; i < 1000; ++i) m.access(0, pfn{(1 << 20) + random.below((1_GiB).frames())});
  const auto done = translation_work(m.tlbs.counts());
  CHECK(done.walk_pte_references == 0);  // a gigabyte page
  CHECK(done.walk_pde_references == 0);
  CHECK(done.walk_upper_references == 2);
  CHECK(done.tlb_lower_hits == 0);
  for (int i = 0; i < 1000; ++i) m.access(0, pfn{512 + random.below((1_GiB).frames() - 512)});
  const auto more = translation_work(m.tlbs.counts());
  CHECK(more.walk_pte_references == 0);
  CHECK(more.walk_pde_references > 0);
  CHECK(more.tlb_lower_hits > 0);
}
