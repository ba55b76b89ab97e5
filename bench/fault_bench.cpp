// SPDX-License-Identifier: Apache-2.0

/// \file
/// Page faults beside what the page allocator takes for a page.
///
// clang-format off
/// | counter      | says                                                                            |
/// |--------------|---------------------------------------------------------------------------------|
/// | ns_per_fault | memsim/...: CPU time of the first write to a page of 4 KiB;                     |
/// |              | churn/...: of a free and an allocation of one frame, in memory that is 80 % full |
/// | ns_per_unmap | of the same page's end in munmap()                                              |
// clang-format on
///
/// scripts/bench --faults judges the ratio.

#include <cstdint>
#include <memory>

#include <benchmark/benchmark.h>

#include <memsim/vm/virtual_memory.hpp>

#include "allocators.hpp"
#include "cpu_time.hpp"
#include "harness.hpp"

namespace memsim::bench {
namespace {

using namespace memsim::literals;

constexpr bytes machine_size = 16_GiB;
constexpr frame_count touched = (4_GiB).frames();

// An iteration is 4 GiB that are written for the first time, page by page, and unmapped.
void anonymous_faults(benchmark::State& state) {
  page_allocator memory{{.memory = memory_map::x86_64(machine_size)}};
  virtual_memory vm{memory};
  context ctx;
  auto& process = vm.add_process();
  double fault_ns = 0;
  double unmap_ns = 0;
  for (auto _ : state) {
    const auto heap = *process.mmap(ctx, touched);
    const double start = cpu_nanoseconds();
    for (frame_count i = 0; i < touched; ++i) {
      if (!process.write(ctx, heap + i, 1)) state.SkipWithError("a fault failed");
    }
    const double written = cpu_nanoseconds();
    if (!process.munmap(ctx, heap, touched)) state.SkipWithError("munmap failed");
    fault_ns += written - start;
    unmap_ns += cpu_nanoseconds() - written;
  }
  const auto pages = static_cast<double>(state.iterations()) * static_cast<double>(touched);
  state.counters["ns_per_fault"] = fault_ns / pages;
  state.counters["ns_per_unmap"] = unmap_ns / pages;
}

struct churned_machine {
  slot_array slots{churn<linux_like, order0_mix>::slots_for(machine_size)};
  linux_like memory{machine_size};
  churn<linux_like, order0_mix> workload{memory, slots.all()};
};

// An iteration is a pair.
void order0_churn(benchmark::State& state) {
  constexpr std::uint64_t batch = 10'000;
  const auto machine = std::make_unique<churned_machine>();
  machine->workload.run(2 * machine->slots.all().size());  // forgets how it was filled
  const double start = cpu_nanoseconds();
  while (state.KeepRunningBatch(batch)) machine->workload.run(batch);
  state.counters["ns_per_fault"] =
      (cpu_nanoseconds() - start) / static_cast<double>(state.iterations());
}

BENCHMARK(anonymous_faults)->Name("memsim/anonymous_fault/16GiB");
BENCHMARK(order0_churn)->Name("churn/anonymous_fault/16GiB");

}  // namespace
}  // namespace memsim::bench

BENCHMARK_MAIN();
