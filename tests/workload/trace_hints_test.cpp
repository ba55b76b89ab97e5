// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/trace_hints.hpp>

#include <memsim/workload/machine_description.hpp>
#include <memsim/workload/trace_event.hpp>

#include "catch.hpp"
#include "workload/proc_files.hpp"

using namespace memsim;

namespace {

using place = trace_hints::place;

struct hinted {
  machine_description machine = parse_zoneinfo(test::zoneinfo, "z").value();
  trace_hints hints{machine};

  void add(trace_event_kind kind, pfn block, order size = order{0},
           migratetype type = migratetype::movable, unsigned cpu = 0) {
    hints.add({.kind = kind, .cpu = cpu_id{cpu}, .block = block, .size = size, .type = type});
  }
};

constexpr auto allocation = trace_event_kind::allocation;
constexpr auto freed = trace_event_kind::free;
constexpr auto zone_locked = trace_event_kind::zone_locked;
constexpr auto pcp_drain = trace_event_kind::pcp_drain;

}  // namespace

TEST_CASE("a frame's first event tells where it was", "[workload]") {
  hinted h;
  h.add(freed, pfn{5000}, order{1});
  h.add(zone_locked, pfn{6000});
  h.add(allocation, pfn{6000});
  h.add(allocation, pfn{7000});
  h.add(freed, pfn{7000});
  CHECK(h.hints.at(pfn{5000}) == place::in_use);
  CHECK(h.hints.at(pfn{5001}) == place::in_use);
  CHECK(h.hints.at(pfn{5002}) == place::unknown);
  CHECK(h.hints.at(pfn{6000}) == place::free_list);
  CHECK(h.hints.at(pfn{7000}) == place::per_cpu_list);
  CHECK(h.hints.any_held(pfn{4999}, 2));
  CHECK(h.hints.any_held(pfn{7000}, 1));
  CHECK_FALSE(h.hints.any_held(pfn{6000}, 1));
  CHECK(h.hints.any_known(pfn{6000}, 1));
  CHECK_FALSE(h.hints.any_known(pfn{6001}, 999));
}

TEST_CASE("without events of the free lists, per-CPU lists cannot be told from them",
          "[workload]") {
  hinted h;
  h.add(allocation, pfn{7000});
  CHECK(h.hints.at(pfn{7000}) == place::free_list);
  CHECK_FALSE(h.hints.any_held(pfn{7000}, 1));
  CHECK(h.hints.per_cpu(zone_type::dma32, cpu_id{0}, migratetype::movable).pages == 0);
}

TEST_CASE("a pageblock's type is that of the list of its first frame seen on one", "[workload]") {
  hinted h;
  h.add(zone_locked, pfn{6000}, order{0}, migratetype::reclaimable);
  h.add(pcp_drain, pfn{6001}, order{0}, migratetype::unmovable);
  CHECK(h.hints.pageblock_type(6000 / 512) == migratetype::reclaimable);
  CHECK_FALSE(h.hints.pageblock_type(7));
  CHECK_FALSE(h.hints.pageblock_type(1u << 30));
}

TEST_CASE("a list was as long as it took to empty it", "[workload]") {
  hinted h;
  const auto length = [&](unsigned cpu, migratetype type) {
    return h.hints.per_cpu(zone_type::dma32, cpu_id{cpu}, type);
  };
  h.add(allocation, pfn{5000}, order{0}, migratetype::movable, 1);
  h.add(allocation, pfn{5001}, order{0}, migratetype::movable, 1);
  h.add(freed, pfn{5000}, order{0}, migratetype::movable, 1);
  h.add(allocation, pfn{5002}, order{2}, migratetype::movable, 1);  // another list
  h.add(allocation, pfn{5000}, order{0}, migratetype::movable, 1);
  h.add(allocation, pfn{5003}, order{0}, migratetype::movable, 1);
  h.add(zone_locked, pfn{5004}, order{0}, migratetype::movable, 1);
  h.add(allocation, pfn{5004}, order{0}, migratetype::movable, 1);
  h.add(allocation, pfn{5005}, order{0}, migratetype::movable, 0);
  CHECK(length(1, migratetype::movable).pages == 3);
  CHECK(length(1, migratetype::movable).exact);
  CHECK(length(0, migratetype::movable).pages == 1);
  CHECK_FALSE(length(0, migratetype::movable).exact);
  CHECK(length(0, migratetype::unmovable).pages == 0);
}

TEST_CASE("what is not of the machine is passed over", "[workload]") {
  hinted h;
  h.add(freed, pfn{1u << 30});
  h.add(freed, pfn{4096 + 16384 - 1}, order{10});
  h.add(freed, pfn{100});
  h.add(allocation, pfn{5000}, order{0}, migratetype::movable, 4000);
  h.add(zone_locked, pfn{5000}, order{63}, migratetype::isolate, 4000);
  CHECK(h.hints.at(pfn{1u << 30}) == place::unknown);
  CHECK_FALSE(h.hints.any_held(pfn{1u << 30}, 1000));
  CHECK(h.hints.per_cpu(zone_type::dma32, cpu_id{4000}, migratetype::movable).pages == 0);
  CHECK(h.hints.per_cpu(zone_type::normal, cpu_id{0}, migratetype::movable).pages == 0);
}
