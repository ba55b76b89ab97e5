// SPDX-License-Identifier: Apache-2.0
#include <memsim/frames/frame_table.hpp>

#include <algorithm>

#include <memsim/core/error.hpp>
#include <memsim/frames/memory_map.hpp>

namespace memsim {
namespace {

frame_table::node checked_end(pfn end) {
  if (end == pfn{0} || end > max_frame_end) {
    throw_usage("a frame table ends at frame {}: allowed are 1 to {}", end, max_frame_end);
  }
  return static_cast<frame_table::node>(end.value());
}

// Pageblocks up to the end of the block of the largest order that holds the last frame.
frame_table::node whole_blocks(pfn end) {
  constexpr auto largest = max_page_order.frames();
  const auto blocks = (end.value() + largest - 1) / largest * (largest / pageblock_frames);
  return static_cast<frame_table::node>(blocks);
}

template <class T>
void copy_range(const detail::lazy_array<T>& from, detail::lazy_array<T>& to, std::size_t first,
                std::size_t count) {
  std::copy_n(from.data() + first, count, to.data() + first);
}

}  // namespace

std::string to_text(frame_use use) {
  static constexpr const char* names[] = {"none", "free", "allocated", "per-CPU"};
  return names[static_cast<unsigned>(use)];
}

frame_table::frame_table(pfn end)
    : frames_{checked_end(end)},
      blocks_{whole_blocks(end)},
      marks_{blocks_ * pageblock_frames},
      pages_out_{blocks_ * pageblock_frames / 64},
      places_{blocks_ * pageblock_frames},
      block_marks_{blocks_},
      block_places_{blocks_},
      block_tags_{blocks_} {}

frame_table::frame_table(const frame_table& other) : frame_table{other.end()} {
  copy_range(other.block_marks_, block_marks_, 0, blocks_);
  copy_range(other.block_places_, block_places_, 0, blocks_);
  copy_range(other.block_tags_, block_tags_, 0, blocks_);
  if (other.infos_.data() != nullptr) make_infos();
  for (node block = 0; block < blocks_; ++block) {
    if (noted(block)) {
      copy_range(other.infos_, infos_, block * pageblock_frames, pageblock_frames);
    }
    if (!touched(block)) continue;
    const std::size_t first = block * pageblock_frames;
    copy_range(other.marks_, marks_, first, pageblock_frames);
    copy_range(other.pages_out_, pages_out_, first / 64, pageblock_frames / 64);
    copy_range(other.places_, places_, first, pageblock_frames);
  }
}

void frame_table::make_infos() {
  infos_ = detail::lazy_array<page_info>{blocks_ * pageblock_frames};
}

frame_table& frame_table::operator=(const frame_table& other) {
  if (this != &other) *this = frame_table{other};
  return *this;
}

}  // namespace memsim
