// SPDX-License-Identifier: Apache-2.0
#include <memsim/alloc/free_space.hpp>

#include <numeric>

namespace memsim {
namespace {

std::uint64_t blocks_of(const order_counts& blocks) {
  return std::accumulate(blocks.begin(), blocks.end(), std::uint64_t{0});
}

}  // namespace

order_counts total_by_order(const free_block_matrix& blocks) {
  order_counts totals{};
  for (unsigned o = 0; o < page_orders; ++o) {
    totals[o] = std::accumulate(blocks[o].begin(), blocks[o].end(), std::uint64_t{0});
  }
  return totals;
}

frame_count frames_of(const order_counts& blocks) {
  frame_count frames = 0;
  for (unsigned o = 0; o < page_orders; ++o) frames += blocks[o] << o;
  return frames;
}

std::uint64_t blocks_available(const order_counts& blocks, order size) {
  std::uint64_t available = 0;
  for (unsigned o = size.value(); o < page_orders; ++o) {
    available += blocks[o] << (o - size.value());
  }
  return available;
}

int unusable_index(const order_counts& blocks, order size) {
  const auto free = frames_of(blocks);
  if (free == 0) return 1000;
  const auto usable = blocks_available(blocks, size) << size.value();
  return static_cast<int>((free - usable) * 1000 / free);
}

int fragmentation_index(const order_counts& blocks, order size) {
  const auto count = blocks_of(blocks);
  if (count == 0) return 0;
  if (blocks_available(blocks, size) > 0) return -1000;
  return 1000 - static_cast<int>((1000 + frames_of(blocks) * 1000 / size.frames()) / count);
}

double unusable_fraction(const order_counts& blocks, order size, empty_zone convention) {
  const auto free = frames_of(blocks);
  if (free == 0) return convention == empty_zone::as_kernel ? 1.0 : 0.0;
  const auto usable = blocks_available(blocks, size) << size.value();
  return static_cast<double>(free - usable) / static_cast<double>(free);
}

std::optional<double> fragmentation_fraction(const order_counts& blocks, order size,
                                             empty_zone convention) {
  const auto count = blocks_of(blocks);
  if (count == 0) {
    if (convention == empty_zone::as_literature) return std::nullopt;
    return 0.0;
  }
  if (blocks_available(blocks, size) > 0) return -1.0;
  const double requests =
      static_cast<double>(frames_of(blocks)) / static_cast<double>(size.frames());
  return 1.0 - ((1.0 + requests) / static_cast<double>(count));
}

}  // namespace memsim
