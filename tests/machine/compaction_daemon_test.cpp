// SPDX-License-Identifier: Apache-2.0
#include <memsim/machine/compaction_daemon.hpp>

#include <vector>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

// Full of pages, every tenth of which is free again.
machine fragmented_machine(page_kind kind) {
  machine m{{.memory = memory_map::x86_64(256_MiB), .cpus = 2}};
  std::vector<pfn> pages;
  while (const auto page =
             m.memory().alloc(m.cpu(1), order{0}, gfp_highuser_movable - gfp_reclaim)) {
    m.memory().assign(m.cpu(1), *page, {.kind = kind});
    pages.push_back(*page);
  }
  m.memory().flush_lru_batches();
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (i % 10 == 0)
      m.memory().free(m.cpu(1), pages[i], order{0});
    else if (kind == page_kind::shmem)
      m.memory().pin(pages[i]);
  }
  m.memory().drain_all(m.cpu(1));
  static_cast<void>(m.take_charge(1));
  return m;
}

}  // namespace

SCENARIO("the daemon keeps huge pages at hand, and its CPU pays", "[machine][compaction_daemon]") {
  auto m = fragmented_machine(page_kind::anonymous);
  REQUIRE(m.memory().fragmentation_score() > 90);
  compaction_daemon daemon{m};
  m.sim().run_for(499ms);
  CHECK(daemon.rounds() == 0);
  m.sim().run_for(501ms);
  CHECK(daemon.rounds() == 2);
  CHECK(m.memory().fragmentation_score() <= 90);
  CHECK(daemon.in_vain() == 0);
  CHECK(m.done(0).page_moves > 0);
  CHECK(m.done(1).page_moves == 0);
  CHECK(m.cpu_time(0).counts().acquisitions == 2);
}

SCENARIO("after a round in vain the daemon rests", "[machine][compaction_daemon]") {
  auto m = fragmented_machine(page_kind::shmem);
  REQUIRE(m.memory().fragmentation_score() > 90);
  compaction_daemon daemon{m, {.period = 1s, .rest = 3}};
  m.sim().run_for(9s);
  // The first look, three that are left out, the fifth, three that are left out, the ninth.
  CHECK(daemon.rounds() == 9);
  CHECK(daemon.in_vain() == 3);
  CHECK(m.cpu_time(0).counts().acquisitions == 3);
  daemon.stop();
  m.sim().run_for(9s);
  CHECK(daemon.rounds() == 9);
  CHECK_THROWS_AS((compaction_daemon{m, {.cpu = 2}}), usage_error);
  CHECK_THROWS_AS((compaction_daemon{m, {.period = 0s}}), usage_error);
}
