// SPDX-License-Identifier: Apache-2.0
#include "machine/consistency.hpp"

#include <algorithm>
#include <set>

namespace memsim::detail {
namespace {

using stretch = std::pair<pfn, pfn>;  // from, and before

// What runs map, however they do.
std::vector<stretch> mapped_by(std::span<const mapped_run> runs) {
  std::vector<stretch> all;
  for (const auto& run : runs) {
    if (!all.empty() && all.back().second == run.first) {
      all.back().second = run.end();
    } else {
      all.emplace_back(run.first, run.end());
    }
  }
  return all;
}

// A mapping that was large at boot and is not now was split, which took a frame.
std::expected<void, error> check_tables(const machine_config& config, const direct_map& map) {
  const auto largest = std::min(config.largest_mapping, config.cpu.largest_page);
  std::set<std::pair<pfn, page_size>> have;
  for (const auto& table : map.state().tables) have.emplace(table.first, table.split);
  for (const auto& run : boot_layout(config.memory, largest)) {
    for (auto size = run.how.size; size != page_size::k4;) {
      const auto smaller = static_cast<page_size>(static_cast<unsigned>(size) - 1);
      for (pfn first = run.first; first < run.end(); first += frames_of(size)) {
        if (map.at(first)->size <= smaller && !have.contains({first, size})) {
          return fail(errc::inconsistent,
                      "the {} mapping at frame {} is split, but no frame was taken for its table",
                      size, first);
        }
      }
      size = smaller;
    }
  }
  return {};
}

}  // namespace

std::expected<void, error> check_consistency(const machine_config& config,
                                             const page_allocator& memory, const direct_map& map) {
  if (memory.cpus() != config.cpus) {
    return fail(errc::inconsistent, "a machine of {} CPUs with a page allocator for {}",
                config.cpus, memory.cpus());
  }
  if (memory.memory() != config.memory) {
    return fail(errc::inconsistent, "the page allocator's memory is not that of the machine");
  }
  if (!std::ranges::equal(memory.cma_areas(), config.cma_areas)) {
    return fail(errc::inconsistent, "the page allocator's CMA areas are not those of the machine");
  }
  if (mapped_by(map.runs()) != mapped_by(boot_layout(config.memory))) {
    return fail(errc::inconsistent, "the direct map does not map the memory of the machine");
  }
  return check_tables(config, map);
}

}  // namespace memsim::detail
