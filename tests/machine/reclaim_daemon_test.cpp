// SPDX-License-Identifier: Apache-2.0
#include <memsim/machine/reclaim_daemon.hpp>

#include <memsim/vm/anonymous_memory.hpp>
#include <memsim/vm/block_device.hpp>
#include <memsim/vm/page_cache.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

machine small_machine() {
  return machine{{.memory = memory_map::x86_64(64_MiB),
                  .cpus = 2,
                  .settings = {.watermark_scale_factor = 200, .watermark_boost_factor = 0}}};
}

// Reads a file, a page every so often.
task<> read_file(machine& m, page_cache& files, file_id file, std::uint64_t pages,
                 sim_duration pause) {
  for (std::uint64_t index = 0; index < pages; ++index) {
    {
      const auto turn = co_await m.cpu_time(1).acquire();
      CHECK(files.read(m.cpu(1), file, index));
      co_await m.charge(1);
    }
    co_await delay(pause);
  }
}

}  // namespace

SCENARIO("kswapd keeps memory free, so that requests need not reclaim",
         "[machine][reclaim_daemon]") {
  auto m = small_machine();
  page_cache files{m.memory()};
  const auto file = files.add_file();

  GIVEN("a daemon") {
    reclaim_daemon daemon{m};
    spawn(m.sim(), read_file(m, files, file, 40'000, 100us));
    m.sim().run();
    CHECK(daemon.runs() > 0);
    CHECK(daemon.reclaimed() > 20'000);
    CHECK(m.cpu(0).done.pages_reclaimed == daemon.reclaimed());
    CHECK(m.cpu(1).done.pages_reclaimed * 20 < daemon.reclaimed());
  }
  GIVEN("none") {
    spawn(m.sim(), read_file(m, files, file, 40'000, 10us));
    m.sim().run();
    CHECK(m.memory().reclaim_events().kswapd_runs == 0);
    CHECK(m.cpu(1).done.pages_reclaimed > 20'000);
  }
}

SCENARIO("kswapd waits for a slow device instead of spinning", "[machine][reclaim_daemon]") {
  auto m = small_machine();
  block_device disk{m.sim(), {.latency = 5ms, .transfer = 20us, .queue = 64}};
  page_cache files{m.memory(), &disk};
  const auto file = files.add_file();
  reclaim_daemon daemon{m, {.throttle = 100ms}};
  std::uint64_t pages = 0;
  while (files.write(m.cpu(1), file, pages)) ++pages;
  m.sim().run_for(10s);
  CHECK(files.counts().writes_started > 0);
  CHECK(daemon.reclaimed() > 0);
  CHECK(daemon.runs() < 1000);
  CHECK(disk.in_flight() == 0);
  CHECK(files.write(m.cpu(1), file, pages));
}

SCENARIO("when kswapd goes to sleep kcompactd begins", "[machine][reclaim_daemon]") {
  auto m = small_machine();
  page_cache files{m.memory()};
  const auto file = files.add_file();
  reclaim_daemon daemon{m};
  for (std::uint64_t index = 0; index < 20'000; ++index) {
    REQUIRE(files.read(m.cpu(1), file, index));
  }
  static_cast<void>(m.memory().alloc(m.cpu(1), order{4}, gfp_nowait));
  CHECK(daemon.compactions() == 0);
  m.sim().run();
  CHECK(daemon.runs() > 0);
  CHECK(daemon.compactions() >= 1);
  CHECK(!m.memory().take_kcompactd_wish());
}

SCENARIO("without hope kswapd sleeps, and a simulation ends", "[machine][reclaim_daemon]") {
  auto m = small_machine();
  page_cache files{m.memory()};
  const auto file = files.add_file();
  reclaim_daemon daemon{m, {.throttle = 100ms}};
  for (std::uint64_t index = 0; index < 12'000; ++index) {
    m.memory().pin(files.read(m.cpu(1), file, index).value());
  }
  while (m.memory().alloc(m.cpu(1), order{0}, gfp_nowait)) {
  }
  m.sim().run();
  CHECK(m.memory().is_kswapd_hopeless());
  CHECK(daemon.runs() == 16);
  CHECK(m.sim().now() >= sim_time{1500ms});
}

SCENARIO("a daemon that is gone is not woken", "[machine][reclaim_daemon]") {
  auto m = small_machine();
  page_cache files{m.memory()};
  const auto file = files.add_file();
  {
    reclaim_daemon daemon{m};
    std::uint64_t index = 0;
    while (m.sim().events() == 0) REQUIRE(files.read(m.cpu(1), file, index++));
  }
  m.sim().run();
  for (std::uint64_t index = 20'000; index < 25'000; ++index) {
    REQUIRE(files.read(m.cpu(1), file, index));
  }
  m.sim().run();
  CHECK(m.memory().reclaim_events().kswapd_runs == 0);
  CHECK_THROWS_WITH((reclaim_daemon{m, {.cpu = 2}}), ContainsSubstring("CPU 2"));
  CHECK_THROWS_WITH((reclaim_daemon{m, {.throttle = -1ns}}), ContainsSubstring("throttle"));
}
