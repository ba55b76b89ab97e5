// SPDX-License-Identifier: Apache-2.0

/// \file
/// A fixed number of pairs, for callgrind to count the instructions of.
///
///     page_allocator_instructions ALLOCATOR WORKLOAD PAIRS
///
/// ALLOCATOR is memsim, textbook or nothing (the harness alone), WORKLOAD order0 or mixed. Only
/// what happens inside measured_pairs() is to be counted: `--toggle-collect='measured_pairs*'`.
/// What is counted for nothing is to be subtracted. scripts/bench --instructions does all this.
///
/// The machine has 1 GiB: instructions, unlike cache misses, hardly depend on its size.

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "allocators.hpp"
#include "harness.hpp"

using namespace memsim;
using namespace memsim::bench;

namespace {

constexpr bytes memory_size = 1_GiB;

}  // namespace

/// Not inlined and not in a namespace: callgrind finds it by its name.
template <class Workload>
[[gnu::noinline]] void measured_pairs(Workload& workload, std::uint64_t pairs) {
  workload.run(pairs);
}

namespace {

template <allocator Allocator, class Mix>
int run(std::uint64_t pairs) {
  using workload_type = churn<Allocator, Mix>;
  slot_array slots{workload_type::slots_for(memory_size)};
  Allocator memory{memory_size};
  workload_type workload{memory, slots.all()};
  workload.run(2 * slots.all().size());
  measured_pairs(workload, pairs);
  return 0;
}

template <allocator Allocator>
int run(std::string_view mix, std::uint64_t pairs) {
  if (mix == "order0") return run<Allocator, order0_mix>(pairs);
  if (mix == "mixed") return run<Allocator, mixed_mix>(pairs);
  std::fprintf(stderr, "%s: the workload is order0 or mixed\n", mix.data());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t pairs = 0;
  if (argc != 4 ||
      std::from_chars(argv[3], argv[3] + std::strlen(argv[3]), pairs).ec != std::errc{}) {
    std::fprintf(stderr, "usage: %s memsim|textbook|nothing order0|mixed PAIRS\n", argv[0]);
    return 2;
  }
  const std::string_view name = argv[1];
  if (name == "memsim") return run<linux_like>(argv[2], pairs);
  if (name == "textbook") return run<textbook>(argv[2], pairs);
  if (name == "nothing") return run<nothing>(argv[2], pairs);
  std::fprintf(stderr, "%s: the allocator is memsim, textbook or nothing\n", argv[1]);
  return 2;
}
