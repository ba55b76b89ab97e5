// SPDX-License-Identifier: Apache-2.0
#include <memsim/alloc/zone.hpp>

#include <numeric>

namespace memsim {

std::int64_t zone::exact_free_pages() const {
  return std::accumulate(cpus.begin(), cpus.end(), free_pages,
                         [](auto sum, const auto& cpu) { return sum + cpu.pending.free; });
}

std::int64_t zone::exact_free_cma() const {
  return std::accumulate(cpus.begin(), cpus.end(), free_cma,
                         [](auto sum, const auto& cpu) { return sum + cpu.pending.cma; });
}

std::uint64_t zone::free_blocks_of(order size) const {
  const auto& by_type = free_blocks.at(size.value());
  return std::accumulate(by_type.begin(), by_type.end(), std::uint64_t{0});
}

}  // namespace memsim
