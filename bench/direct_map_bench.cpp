// SPDX-License-Identifier: Apache-2.0

/// \file
/// Changes of the direct map, and questions to it, on machines of 16 GiB and 1 TiB.
///
/// | benchmark      | an iteration                                                            |
/// |----------------|-------------------------------------------------------------------------|
/// | first_hole     | a random page leaves a map that is large: mostly a split, often two     |
/// | toggle_page    | a page that is mapped small leaves the map and comes back               |
/// | toggle_block   | a pageblock, mapped by one 2 MiB entry, leaves and comes back           |
/// | hole_and_merge | a page leaves and comes back, and its 2 MiB and 1 GiB merge again       |
/// | at             | how a random frame of a map full of holes is mapped                     |

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/direct_map.hpp>
#include <memsim/arch/merge_policy.hpp>
#include <memsim/arch/tlb_flusher.hpp>

#include "harness.hpp"

namespace memsim::bench {
namespace {

using namespace memsim::literals;

// Above 4 GiB all of memory is one region, mapped by 1 GiB pages.
constexpr std::uint64_t first_frame = 1 << 20;

struct mapped_machine {
  explicit mapped_machine(bytes size, const merge_policy* merging = nullptr)
      : memory{{.memory = memory_map::x86_64(size)}},
        map{boot_layout(memory.memory()), memory, tlbs, {.merging = merging}},
        frames{memory.memory().end().value() - first_frame} {}

  pfn random_frame() { return pfn{first_frame + random() % frames}; }
  void must(const std::expected<void, error>& done) {
    if (!done) throw usage_error{done.error().message()};
  }

  page_allocator memory;
  counting_flusher tlbs{1};
  direct_map map;
  std::uint64_t frames;
  fast_random random;
  context ctx;
};

void first_hole(benchmark::State& state, bytes size) {
  const mapped_machine fresh{size};
  std::optional<page_allocator> memory;
  std::optional<direct_map> map;
  counting_flusher tlbs{1};
  context ctx;
  fast_random random;
  constexpr int holes = 1000;  // a map at a time
  int left = 0;
  for (auto _ : state) {
    if (left == 0) {
      state.PauseTiming();
      map.reset();
      memory.emplace(fresh.memory);
      map.emplace(fresh.map, *memory, tlbs);
      left = holes;
      state.ResumeTiming();
    }
    --left;
    const pfn page{first_frame + random() % fresh.frames};
    if (!map->change(ctx, page, 1, make_invalid)) return state.SkipWithError("no page table");
  }
  state.counters["splits_per_hole"] =
      static_cast<double>(ctx.done.mappings_split) / static_cast<double>(state.iterations());
}

void toggle(benchmark::State& state, mapped_machine& m, const std::vector<pfn>& places,
            frame_count count) {
  std::size_t i = 0;
  for (auto _ : state) {
    const pfn first = places[i++ % places.size()];
    m.must(m.map.change(m.ctx, first, count, make_invalid));
    m.must(m.map.change(m.ctx, first, count, make_default));
  }
}

void toggle_page(benchmark::State& state, bytes size) {
  mapped_machine m{size};
  std::vector<pfn> places(1000);
  for (auto& place : places) {
    place = m.random_frame();
    m.must(m.map.change(m.ctx, place, 1, make_small));
  }
  toggle(state, m, places, 1);
}

void toggle_block(benchmark::State& state, bytes size) {
  mapped_machine m{size};
  std::vector<pfn> places(1000);
  for (auto& place : places) {
    place = pfn{m.random_frame().value() / pageblock_frames * pageblock_frames};
    m.must(m.map.change(m.ctx, place, pageblock_frames, make_read_only));
  }
  toggle(state, m, places, pageblock_frames);
}

void hole_and_merge(benchmark::State& state, bytes size) {
  mapped_machine m{size, &merge_when_uniform};
  std::vector<pfn> places(1000);
  for (auto& place : places) place = m.random_frame();
  toggle(state, m, places, 1);
}

void at(benchmark::State& state, bytes size) {
  mapped_machine m{size};
  for (int i = 0; i < 10'000; ++i) {
    m.must(m.map.change(m.ctx, m.random_frame(), 1, make_invalid));
  }
  for (auto _ : state) benchmark::DoNotOptimize(m.map.at(m.random_frame()));
}

}  // namespace
}  // namespace memsim::bench

int main(int argc, char** argv) {
  using namespace memsim;
  using namespace memsim::bench;
  using namespace memsim::literals;

  struct named {
    const char* name;
    void (*run)(benchmark::State&, bytes);
  };
  for (const auto& [name, run] :
       {named{"first_hole", first_hole}, named{"toggle_page", toggle_page},
        named{"toggle_block", toggle_block}, named{"hole_and_merge", hole_and_merge},
        named{"at", at}}) {
    for (const bytes size : {16_GiB, 1024_GiB}) {
      const auto title = fmt::format("memsim/{}/{}GiB", name, size.value() >> 30);
      benchmark::RegisterBenchmark(title.c_str(),
                                   [run, size](benchmark::State& state) { run(state, size); });
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
