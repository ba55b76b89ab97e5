// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/memory_picture.hpp>

#include <algorithm>
#include <array>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/error.hpp>

#include "metrics/pageblock_summary.hpp"

namespace memsim {
namespace {

picture_cell cell_of(const detail::pageblock_summary& block) {
  return {block.type, true, static_cast<std::uint16_t>(block.in_use())};
}

picture_cell cell_of(std::span<const picture_cell> group) {
  std::array<std::uint64_t, migratetypes> types{};
  std::uint64_t in_use = 0;
  std::uint64_t with_memory = 0;
  for (const auto& cell : group) {
    if (!cell.memory) continue;
    ++types[static_cast<unsigned>(cell.type)];
    ++with_memory;
    in_use += cell.in_use;
  }
  if (with_memory == 0) return {};
  const auto commonest = std::ranges::max_element(types) - types.begin();
  return {static_cast<migratetype>(commonest), true,
          static_cast<std::uint16_t>(in_use / with_memory)};
}

}  // namespace

memory_picture take_picture(const page_allocator& memory) {
  memory_picture picture;
  picture.cells.resize(memory.frames().pageblocks());
  std::vector<detail::pageblock_summary> blocks;
  for (const auto& zone : memory.zones()) detail::summarize(memory, zone.extent, blocks);
  for (const auto& block : blocks) picture.cells[block.index] = cell_of(block);
  return picture;
}

memory_picture reduced(const memory_picture& picture, std::size_t cells) {
  if (cells == 0) throw_usage("a picture of no cells");
  std::size_t group = 1;
  while ((picture.cells.size() + group - 1) / group > cells) group *= 2;
  if (group == 1) return picture;

  memory_picture result;
  result.pageblocks_per_cell = picture.pageblocks_per_cell * group;
  const std::span all{picture.cells};
  for (std::size_t first = 0; first < all.size(); first += group) {
    result.cells.push_back(cell_of(all.subspan(first, std::min(group, all.size() - first))));
  }
  return result;
}

}  // namespace memsim
