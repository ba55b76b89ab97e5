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

namespace detail {

void page_ring::grow() {
  constexpr std::size_t first_capacity = 16;
  std::vector<packed_page> larger(slots_.empty() ? first_capacity : slots_.size() * 2);
  for (std::uint32_t i = 0; i < size_; ++i) larger[i] = (*this)[i];
  slots_ = std::move(larger);
  head_ = 0;
}

}  // namespace detail
}  // namespace memsim
