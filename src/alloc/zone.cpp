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

page_ring::page_ring(const page_ring& other)
    : slots_{other.copy_of_slots(other.mask_ + 1)}, mask_{other.mask_}, size_{other.size_} {}

page_ring& page_ring::operator=(const page_ring& other) {
  if (this != &other) *this = page_ring{other};
  return *this;
}

std::unique_ptr<packed_page[]> page_ring::copy_of_slots(std::uint32_t capacity) const {
  auto slots = std::make_unique<packed_page[]>(capacity);
  for (std::uint32_t i = 0; i < size_; ++i) slots[i] = (*this)[i];
  return slots;
}

void page_ring::grow() {
  const std::uint32_t capacity = 2 * (mask_ + 1);
  slots_ = copy_of_slots(capacity);
  mask_ = capacity - 1;
  head_ = 0;
}

}  // namespace detail
}  // namespace memsim
