// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Zones put together block by block, so that what should be measured can be worked out by hand.

#include <vector>

#include <memsim/alloc/page_allocator.hpp>

namespace memsim::test {

/// A zone with one CPU, movable pageblocks, and every frame in use, until told otherwise.
class hand_made_zone {
 public:
  hand_made_zone(zone_type type, pfn start, frame_count frames) {
    state_.extent = {type, start, frames, frames, frames};
    state_.cpus = {{.high = 4, .batch = 1, .high_min = 4, .high_max = 4}};
    state_.pageblocks.assign(frames / pageblock_frames, migratetype::movable);
  }

  hand_made_zone& free(std::uint64_t block, unsigned size,
                       migratetype type = migratetype::movable) {
    state_.free_lists[size][static_cast<unsigned>(type)].push_back(pfn{block});
    state_.free_pages += std::int64_t{1} << size;
    return *this;
  }
  hand_made_zone& per_cpu(std::uint64_t block, unsigned size,
                          migratetype type = migratetype::movable) {
    state_.cpus[0].lists[pcp_list_of(size, type)].push_back({pfn{block}, type});
    state_.cpus[0].count += 1u << size;
    return *this;
  }
  hand_made_zone& allocated(std::uint64_t block, unsigned size) {
    state_.allocated.push_back({pfn{block}, order{size}});
    return *this;
  }
  hand_made_zone& movable(std::uint64_t frame) {
    state_.movable_in_use.push_back(pfn{frame});
    return *this;
  }
  /// \param block  counted from the zone's first
  hand_made_zone& pageblock(std::size_t block, std::optional<migratetype> type) {
    state_.pageblocks[block] = type;
    return *this;
  }

  [[nodiscard]] const zone_state& state() const { return state_; }

 private:
  zone_state state_;
};

[[nodiscard]] inline page_allocator machine_of(const std::vector<hand_made_zone>& zones) {
  allocator_state state;
  for (const auto& z : zones) state.zones.push_back(z.state());
  return page_allocator::restore(state, linux_6_1).value();
}

/// Seven pageblocks of memory and a hole:
///
/// | frames      | pageblock     | hold                                                         |
/// |-------------|---------------|--------------------------------------------------------------|
/// | 0..511      | 0 unmovable   | 256 free, 256 in use                                         |
/// | 512..1023   | 1 movable     | free                                                         |
/// | 1024..2047  | 2, 3 movable  | free, one block                                              |
/// | 2048..2559  | 4 movable     | one block in use, movable                                    |
/// | 2560..3071  | 5 movable     | 1 free, 1 per-CPU, a block of 2 in use, 1 movable, 507 in use |
/// | 3072..3583  | 6             | a hole                                                       |
/// | 3584..4095  | 7 unmovable   | 256 free, a block of 256 in use, movable                     |
[[nodiscard]] inline hand_made_zone seven_pageblocks() {
  return hand_made_zone{zone_type::dma, pfn{0}, 4096}
      .pageblock(0, migratetype::unmovable)
      .pageblock(6, std::nullopt)
      .pageblock(7, migratetype::unmovable)
      .free(0, 8, migratetype::unmovable)
      .free(512, 9)
      .free(1024, 10)
      .free(2560, 0)
      .free(3584, 8, migratetype::unmovable)
      .per_cpu(2561, 0)
      .allocated(2048, 9)
      .allocated(2562, 1)
      .allocated(3840, 8)
      .movable(2048)
      .movable(2564)
      .movable(3840);
}

}  // namespace memsim::test
