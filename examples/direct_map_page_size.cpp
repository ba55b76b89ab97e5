// SPDX-License-Identifier: Apache-2.0

/// \file
/// Does it matter how large the pages of the direct map are?
///
/// For years patches were held up by the fear that holes in the direct map slow the whole machine
/// down, and nobody could say by how much. Here every CPU preset runs every access pattern over
/// maps of 1 GiB, 2 MiB and 4 KiB pages, and over maps that have been split here and there.
///
///     direct_map_page_size [ACCESSES]     of each pattern to each map; default 400000

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/access_stream.hpp>
#include <memsim/arch/cost_model.hpp>
#include <memsim/arch/cpu_presets.hpp>
#include <memsim/arch/direct_map.hpp>
#include <memsim/arch/kernel_tlbs.hpp>
#include <memsim/core/random.hpp>

using namespace memsim;

namespace {

// How the map came to be as it is.
struct layout {
  std::string name;
  page_size largest = page_size::g1;  // at boot
  double split = 0;                   // of all 2 MiB ranges, the part that had a hole once
};

// What an access took, on average.
struct outcome {
  double walks = 0;  // for a thousand accesses
  double nanoseconds = 0;
};

// Modelling assumptions for the last table: a kernel access and the instructions around it take
// 20 ns, and the machine spends a fifth of its time on such accesses.
constexpr double access_ns = 20;
constexpr double kernel_share = 0.2;

// Pages of secret memory or of code were once where these holes are.
void punch_holes(direct_map& map, const memory_map& memory, double part) {
  context ctx;
  random_stream random{1, "holes"};
  for (const auto& region : memory.regions()) {
    if (region.kind != region_kind::ram) continue;
    for (pfn block = region.first + 512; block + 512 < region.end(); block += 512) {
      if (!random.chance(part)) continue;
      for (const auto how : {make_invalid, make_default}) {
        if (!map.change(ctx, block, 1, how)) throw_usage("no memory left for page tables");
      }
    }
  }
}

outcome measure(const cpu_preset& cpu, bytes size, const layout& how, access_pattern pattern,
                std::uint64_t accesses) {
  page_allocator memory{{.memory = memory_map::x86_64(size)}};
  tlb_system tlbs{{.geometry = cpu.tlb}, 1};
  kernel_tlbs kernel{tlbs};
  direct_map map{
      boot_layout(memory.memory(), how.largest), memory, kernel, {.largest = how.largest}};
  punch_holes(map, memory.memory(), how.split);

  access_stream stream{memory.memory(), {.pattern = pattern}};
  for (std::uint64_t i = 0; i < accesses; ++i) kernel.access(cpu_id{0}, map, stream.next());
  const auto warm = tlbs.counts();
  for (std::uint64_t i = 0; i < accesses; ++i) kernel.access(cpu_id{0}, map, stream.next());
  const auto end = tlbs.counts();

  const auto count = static_cast<double>(accesses);
  const auto cost =
      cpu.costs.price_of(translation_work(end)) - cpu.costs.price_of(translation_work(warm));
  return {static_cast<double>(end.walks.walks() - warm.walks.walks()) / count * 1000,
          static_cast<double>(cost.count()) / 1000 / count};
}

// What is compared with published findings. The three page sizes, everything else left out.
struct tally {
  std::array<int, page_sizes> wins{};  // cases in which each was the best
  int cases = 0;
  int machines_4k_worst = 0;  // on average over the patterns
  int machines = 0;
  double least_loss = 1e9;  // % of all time that 4K costs on average
  double most_loss = 0;

  void add(const tally& other) {
    for (unsigned i = 0; i < page_sizes; ++i) wins[i] += other.wins[i];
    cases += other.cases;
    machines_4k_worst += other.machines_4k_worst;
    machines += other.machines;
    least_loss = std::min(least_loss, other.least_loss);
    most_loss = std::max(most_loss, other.most_loss);
  }
  [[nodiscard]] double percent(page_size size) const {
    return 100.0 * wins[static_cast<unsigned>(size)] / cases;
  }
};

double slowdown(const outcome& one, const outcome& other) {
  return (one.nanoseconds - other.nanoseconds) / access_ns * kernel_share * 100;
}

tally compare(const cpu_preset& cpu, bytes size, std::uint64_t accesses) {
  const std::vector<layout> layouts{
      {"1G", page_size::g1}, {"1 % split", page_size::g1, 0.01}, {"10 % split", page_size::g1, 0.1},
      {"2M", page_size::m2}, {"50 % split", page_size::m2, 0.5}, {"4K", page_size::k4},
  };
  fmt::print(
      "\n{}, {}: TLB misses for 1000 accesses (walks), and ns of translation an access\n\n{:18}",
      cpu.name, size, "");
  for (const auto& how : layouts) fmt::print("{:>16}", how.name);
  fmt::print("\n");
  tally here{.machines = 1};
  double worst_4k = 0;
  double sum_4k = 0;
  std::array<double, page_sizes> sum_ns{};
  for (const auto pattern : all_access_patterns) {
    fmt::print("{:18}", pattern);
    std::vector<outcome> row;
    for (const auto& how : layouts) {
      row.push_back(measure(cpu, size, how, pattern, accesses));
      fmt::print("{:>9.1f} {:>6.2f}", row.back().walks, row.back().nanoseconds);
    }
    fmt::print("\n");
    const double loss = slowdown(row.back(), row.front());
    std::size_t winner = 0;
    for (std::size_t i = 0; i < layouts.size(); ++i) {
      if (layouts[i].split != 0) continue;
      sum_ns[static_cast<unsigned>(layouts[i].largest)] += row[i].nanoseconds;
      if (row[i].nanoseconds < row[winner].nanoseconds) winner = i;
    }
    ++here.wins[static_cast<unsigned>(layouts[winner].largest)];
    ++here.cases;
    worst_4k = std::max(worst_4k, loss);
    sum_4k += loss / all_access_patterns.size();
  }
  fmt::print("4K instead of 1G costs {:.1f} % of all time on average, {:.1f} % at worst\n", sum_4k,
             worst_4k);
  here.least_loss = here.most_loss = sum_4k;
  here.machines_4k_worst = sum_ns[0] > std::max(sum_ns[1], sum_ns[2]) ? 1 : 0;
  return here;
}

// The sources are in docs/policies/direct-map.md, with what agrees, what does not, and why.
void set_beside_findings(const tally& small, const tally& large) {
  tally all = small;
  all.add(large);
  const auto share = [](const tally& t) {
    return fmt::format("1G {:.0f} %, 2M {:.0f} %, 4K {:.0f} % of {} cases",
                       t.percent(page_size::g1), t.percent(page_size::m2), t.percent(page_size::k4),
                       t.cases);
  };
  fmt::print("\nBeside published findings\n\n");
  fmt::print(
      "  no size wins everywhere (Xing 2021: best is 1G 45 %, 2M 30 %, 4K 20 % of 259 cases)\n"
      "    here: {}\n",
      share(all));
  fmt::print(
      "  4K is the worst on average (Xing 2021: on 4 of 4 servers)\n"
      "    here: on {} of {} machines\n",
      all.machines_4k_worst, all.machines);
  fmt::print(
      "  large memory favours 1G (Xing 2021)\n"
      "    here:  16 GiB: {}\n          256 GiB: {}\n",
      share(small), share(large));
  fmt::print(
      "  4K costs the average workload 0 to 3 % (an estimate of 2021 to 2023)\n"
      "    here: {:.1f} to {:.1f} %, if the kernel's data is a fifth of all time\n",
      all.least_loss, all.most_loss);
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t accesses = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 400'000;
  if (accesses == 0) {
    fmt::print(stderr, "usage: direct_map_page_size [ACCESSES]\n");
    return 2;
  }
  tally small;
  tally large;
  for (const auto& cpu : presets::all_cpus()) {
    small.add(compare(cpu, 16_GiB, accesses));
    large.add(compare(cpu, 256_GiB, accesses));
  }
  set_beside_findings(small, large);
}
