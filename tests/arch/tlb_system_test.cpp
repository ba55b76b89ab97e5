// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb_system.hpp>

#include <array>

#include <memsim/arch/tlb_presets.hpp>
#include <memsim/core/error.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr asid space{1};

page_mapping small(asid, vpn) { return {}; }

tlb_system warm_machine(unsigned cpus) {
  tlb_system tlbs{{.geometry = presets::skylake_sp_tlb()}, cpus};
  for (unsigned i = 0; i < cpus; ++i) tlbs.cpu(cpu_id{i}).translate(space, vpn{42}, small);
  return tlbs;
}

}  // namespace

SCENARIO("a shootdown interrupts every CPU but the one that acts", "[arch][tlb]") {
  auto tlbs = warm_machine(4);
  context ctx{.cpu = cpu_id{2}};
  tlbs.shoot_down(ctx, tlb_flush::page(space, vpn{42}));
  for (unsigned i = 0; i < 4; ++i) {
    CHECK_FALSE(tlbs.cpu(cpu_id{i}).holds(space, vpn{42}));
    CHECK(tlbs.shootdowns(cpu_id{i}) == (i == 2 ? shootdown_counts{.shootdowns = 1, .ipis_sent = 3}
                                                : shootdown_counts{.ipis_received = 1}));
  }
  CHECK(ctx.done ==
        work{.tlb_page_flushes = 1, .remote_page_flushes = 3, .flush_rounds = 1, .ipis = 3});
  CHECK(tlbs.shootdowns() == shootdown_counts{.shootdowns = 1, .ipis_sent = 3, .ipis_received = 3});
  CHECK(tlbs.counts().flushes.page_flushes == 4);
  CHECK(tlbs.counts().levels[0].flushed_4k == 4);
}

SCENARIO("a long range is a full flush on every CPU", "[arch][tlb]") {
  auto tlbs = warm_machine(3);
  context ctx{};
  tlbs.shoot_down(ctx, tlb_flush::range(space, vpn{0}, 33));
  CHECK(ctx.done.tlb_page_flushes == 33);
  CHECK(ctx.done.remote_page_flushes == 66);
  CHECK(tlbs.counts().levels[1].flushed_4k == 0);
  tlbs.shoot_down(ctx, tlb_flush::range(space, vpn{0}, 34));
  CHECK(ctx.done.remote_page_flushes == 66);
  CHECK(ctx.done.tlb_full_flushes == 1);
  CHECK(ctx.done.remote_full_flushes == 2);
  CHECK(ctx.done.ipis == 4);
  CHECK(tlbs.counts().levels[1].flushed_4k == 3);
}

SCENARIO("CPUs that are not named keep their entries", "[arch][tlb]") {
  auto tlbs = warm_machine(4);
  context ctx{.cpu = cpu_id{0}};
  WHEN("the acting CPU is among those named") {
    tlbs.shoot_down(ctx, tlb_flush::everything(), std::array{cpu_id{0}, cpu_id{3}});
    CHECK_FALSE(tlbs.cpu(cpu_id{0}).holds(space, vpn{42}));
    CHECK(tlbs.cpu(cpu_id{1}).holds(space, vpn{42}));
    CHECK_FALSE(tlbs.cpu(cpu_id{3}).holds(space, vpn{42}));
    CHECK(ctx.done ==
          work{.tlb_full_flushes = 1, .remote_full_flushes = 1, .flush_rounds = 1, .ipis = 1});
  }
  WHEN("it is not") {
    tlbs.shoot_down(ctx, tlb_flush::everything(), std::array{cpu_id{1}});
    CHECK(tlbs.cpu(cpu_id{0}).holds(space, vpn{42}));
    CHECK(ctx.done.ipis == 1);
    CHECK(ctx.done.flush_rounds == 1);
  }
  WHEN("it is alone") {
    tlbs.shoot_down(ctx, tlb_flush::everything(), std::array{cpu_id{0}});
    CHECK(ctx.done == work{.tlb_full_flushes = 1});
  }
}

SCENARIO("a CPU that is not there, or named twice, is refused before anything is flushed",
         "[arch][tlb]") {
  auto tlbs = warm_machine(2);
  context ctx{};
  CHECK_THROWS_WITH(tlbs.cpu(cpu_id{2}), ContainsSubstring("CPU 2") && ContainsSubstring("0 to 1"));
  CHECK_THROWS_AS(tlbs.shoot_down(ctx, tlb_flush::everything(), std::array{cpu_id{0}, cpu_id{5}}),
                  usage_error);
  CHECK_THROWS_WITH(tlbs.shoot_down(ctx, tlb_flush::everything(), std::array{cpu_id{1}, cpu_id{1}}),
                    ContainsSubstring("CPU 1 twice"));
  context stranger{.cpu = cpu_id{9}};
  CHECK_THROWS_AS(tlbs.shoot_down(stranger, tlb_flush::everything()), usage_error);
  CHECK(tlbs.counts().flushes == tlb_flush_counts{});
  CHECK(tlbs.shootdowns() == shootdown_counts{});
  CHECK(ctx.done == work{});
  CHECK_THROWS_AS(tlb_system({.geometry = presets::skylake_sp_tlb()}, 0), usage_error);
}

SCENARIO("each CPU draws its own random numbers, and a copy forks all of them", "[arch][tlb]") {
  tlb_system tlbs{{.geometry = {.levels = {{{.sizes = {page_size::k4},
                                             .table = {1, 8, replacement::random}}}}}},
                  2};
  const auto run = [](tlb& t) {
    for (std::uint64_t i = 0; i < 200; ++i) t.translate(space, vpn{i * 5 % 23}, small);
  };
  run(tlbs.cpu(cpu_id{0}));
  run(tlbs.cpu(cpu_id{1}));
  CHECK(tlbs.cpu(cpu_id{0}).state_digest() != tlbs.cpu(cpu_id{1}).state_digest());
  const tlb_system fork = tlbs;
  CHECK(fork.state_digest() == tlbs.state_digest());
  run(tlbs.cpu(cpu_id{1}));
  CHECK(fork.state_digest() != tlbs.state_digest());
}
