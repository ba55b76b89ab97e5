// SPDX-License-Identifier: Apache-2.0

/// \file
/// The TLB beside a plain set-associative LRU table of the same geometry, on the same streams.
///
/// | stream         | is                                                     |
/// |----------------|--------------------------------------------------------|
/// | random         | any page of 16 GiB, with equal chance                  |
/// | sequential_64B | 16 GiB from the first byte on, 64 bytes at a step      |
/// | sequential_4K  | likewise, 4 KiB at a step                              |
/// | hot_set        | 48 pages of the size in random order: hits in L1 or L2 |
///
/// Each at 4 KiB, 2 MiB and 1 GiB: `memsim/random/4K`, `plain_lru/random/4K`. The plain table has
/// no page-walk caches, and neither has memsim then; `memsim_with_walk_caches/random/4K` says what
/// they cost on top. An iteration is a translation. The pages are worked out beforehand, but for
/// the sequential streams. Hits and walks are reported per thousand translations, and must be the
/// same on both sides.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memsim/arch/tlb.hpp>
#include <memsim/arch/tlb_presets.hpp>
#include <memsim/core/random.hpp>

#include "plain_lru.hpp"

namespace memsim::bench {
namespace {

using namespace memsim::literals;

constexpr std::uint64_t memory_pages = (16_GiB).frames();
constexpr std::uint64_t batch = 1 << 16;

/// Hits and walks so far.
struct outcome {
  std::uint64_t l1_hits = 0;
  std::uint64_t l2_hits = 0;
  std::uint64_t walks = 0;
};

/// The TLB, with all that it does: address spaces, flushes, counts by size and level.
template <class Geometry>
class memsim_side {
 public:
  explicit memsim_side(page_size size) : mapping_{size} {}
  void translate(std::uint64_t page) {
    benchmark::DoNotOptimize(
        tlb_.translate(asid{1}, vpn{page}, [this](asid, vpn) { return mapping_; }));
  }
  [[nodiscard]] outcome so_far() const {
    const auto counts = tlb_.counts();
    return {counts.levels[0].hits(), counts.levels[1].hits(), counts.walks.walks()};
  }

 private:
  page_mapping mapping_;
  tlb tlb_{{.geometry = Geometry{}()}};
};

/// What the plain table has too.
struct skylake_without_walk_caches {
  tlb_geometry operator()() const {
    auto geometry = presets::skylake_sp_tlb();
    geometry.walk_caches = {};
    return geometry;
  }
};

struct whole_skylake {
  tlb_geometry operator()() const { return presets::skylake_sp_tlb(); }
};

class plain_side {
 public:
  explicit plain_side(page_size size) : size_{size} {}
  void translate(std::uint64_t page) {
    tlb_.translate(page, size_);
    benchmark::ClobberMemory();
  }
  [[nodiscard]] outcome so_far() const {
    const auto& counts = tlb_.counted();
    return {counts.l1_hits, counts.l2_hits, counts.walks};
  }

 private:
  page_size size_;
  plain_lru_tlb tlb_;
};

/// Pages listed beforehand, over and over.
class listed_stream {
 public:
  explicit listed_stream(std::vector<std::uint32_t> pages) : pages_{std::move(pages)} {}

  template <class Side>
  void run(Side& side) {
    for (std::uint64_t i = 0; i < batch; ++i) side.translate(pages_[at_ + i]);
    at_ = (at_ + batch) % pages_.size();
  }

 private:
  std::vector<std::uint32_t> pages_;
  std::uint64_t at_ = 0;
};

/// Addresses a step apart.
class sequential_stream {
 public:
  explicit sequential_stream(bytes step) : step_{step.value()} {}

  template <class Side>
  void run(Side& side) {
    for (std::uint64_t i = 0; i < batch; ++i) {
      side.translate(address_ / page_bytes);
      address_ = (address_ + step_) % (memory_pages * page_bytes);
    }
  }

 private:
  std::uint64_t step_;
  std::uint64_t address_ = 0;
};

listed_stream random_stream_of(std::uint64_t distinct, std::uint64_t step) {
  random_stream random{1, "tlb_bench"};
  std::vector<std::uint32_t> pages(64 * batch);
  for (auto& page : pages) page = static_cast<std::uint32_t>(random.below(distinct) * step);
  return listed_stream{std::move(pages)};
}

template <class Side, class Stream>
void run(benchmark::State& state, page_size size, Stream stream) {
  Side side{size};
  for (int i = 0; i < 8; ++i) stream.run(side);
  const outcome before = side.so_far();
  while (state.KeepRunningBatch(batch)) stream.run(side);
  const outcome after = side.so_far();
  const auto per_thousand = [&](std::uint64_t now, std::uint64_t then) {
    return static_cast<double>(now - then) * 1000 / static_cast<double>(state.iterations());
  };
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
  state.counters["l1_hits_per_thousand"] = per_thousand(after.l1_hits, before.l1_hits);
  state.counters["l2_hits_per_thousand"] = per_thousand(after.l2_hits, before.l2_hits);
  state.counters["walks_per_thousand"] = per_thousand(after.walks, before.walks);
}

template <class Side>
void add_all(const char* side) {
  for (const page_size size : all_page_sizes) {
    const auto add = [&](const char* stream, auto make) {
      benchmark::RegisterBenchmark(
          fmt::format("{}/{}/{}", side, stream, size).c_str(),
          [=](benchmark::State& state) { run<Side>(state, size, make()); });
    };
    constexpr std::uint64_t hot_pages = 48;
    const std::uint64_t step = frames_of(size);
    add("random", [] { return random_stream_of(memory_pages, 1); });
    add("sequential_64B", [] { return sequential_stream{bytes{64}}; });
    add("sequential_4K", [] { return sequential_stream{4_KiB}; });
    add("hot_set",
        [=] { return random_stream_of(std::min(hot_pages, memory_pages / step), step); });
  }
}

}  // namespace
}  // namespace memsim::bench

int main(int argc, char** argv) {
  using namespace memsim::bench;
  add_all<memsim_side<skylake_without_walk_caches>>("memsim");
  add_all<memsim_side<whole_skylake>>("memsim_with_walk_caches");
  add_all<plain_side>("plain_lru");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
