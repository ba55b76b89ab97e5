// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/block_device.hpp>

#include <memory>
#include <vector>

#include <memsim/core/error.hpp>
#include <memsim/sim/spawn.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

SCENARIO("pages are transferred one after another, and are there a latency later",
         "[vm][block_device]") {
  simulator sim;
  block_device disk{sim, {.latency = 80us, .transfer = 2us, .queue = 3}};
  std::vector<sim_time> written;
  const auto write = [&] { return disk.write([&] { written.push_back(sim.now()); }); };
  for (int i = 0; i < 3; ++i) CHECK(write() == write_outcome::started);
  CHECK(write() == write_outcome::refused);
  CHECK(disk.in_flight() == 3);
  sim.run();
  CHECK(written == std::vector<sim_time>{sim_time{82us}, sim_time{84us}, sim_time{86us}});
  CHECK(disk.in_flight() == 0);
  CHECK(disk.counts() ==
        block_device_counts{.reads = 0, .writes = 3, .refused = 1, .busy_ns = 6000});

  THEN("an idle device begins at once") {
    CHECK(write() == write_outcome::started);
    sim.run();
    CHECK(written.back() == sim_time{86us + 82us});
  }
  THEN("a read waits behind the writes") {
    static_cast<void>(write());
    sim_time read_at{};
    spawn(sim, [&]() -> task<> {
      co_await disk.read();
      read_at = sim.now();
    });
    sim.run();
    CHECK(read_at == sim_time{86us + 84us});
    CHECK(disk.counts().reads == 1);
  }
}

SCENARIO("what a device that is gone was doing is never over", "[vm][block_device]") {
  simulator sim;
  bool over = false;
  {
    block_device disk{sim};
    CHECK(disk.write([&] { over = true; }) == write_outcome::started);
  }
  sim.run();
  CHECK(!over);
}

SCENARIO("a device is told what is allowed", "[vm][block_device]") {
  simulator sim;
  CHECK_THROWS_WITH((block_device{sim, {.latency = -1ns}}), ContainsSubstring("negative"));
  CHECK_THROWS_WITH((block_device{sim, {.queue = 0}}), ContainsSubstring("queue of 0"));
}
