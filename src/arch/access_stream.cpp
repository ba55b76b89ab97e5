// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/access_stream.hpp>

#include <algorithm>
#include <bit>

#include <memsim/core/error.hpp>
#include <memsim/frames/memory_map.hpp>

namespace memsim {
namespace {

__extension__ using uint128 = unsigned __int128;

constexpr std::uint64_t lines_per_frame = page_bytes / 64;

// Spreads the ranks of objects over memory: neighbours in rank are not neighbours in memory. A
// multiplication by a number that shares no factor with the bound is a permutation.
std::uint64_t scattered(std::uint64_t rank, std::uint64_t bound) {
  constexpr std::uint64_t prime = 11'400'714'819'323'198'549ULL;
  return static_cast<std::uint64_t>(uint128{rank} * (prime % bound) % bound);
}

}  // namespace

std::string to_text(access_pattern pattern) {
  static constexpr const char* names[] = {"sequential_copy", "random_objects",   "skewed",
                                          "hot_set",         "page_table_walks", "mixed"};
  return names[static_cast<unsigned>(pattern)];
}

access_stream::access_stream(const memory_map& memory, const access_stream_config& config)
    : config_{config}, random_{config.seed, "access_stream"} {
  const auto check = [](unsigned value, const char* field) {
    if (value == 0) throw_usage("access stream: {} is 0, at least 1 is allowed", field);
  };
  check(config.run, "run");
  check(config.lines, "lines");
  check(config.hot_frames, "hot_frames");
  check(config.frames_per_table, "frames_per_table");
  for (const auto& region : memory.regions()) {
    if (region.kind != region_kind::ram) continue;
    pieces_.push_back({region.first, frames_});
    frames_ += region.count;
  }
  if (frames_ == 0) throw_usage("access stream: there is no RAM to access");
}

pfn access_stream::next() {
  if (config_.pattern != access_pattern::mixed) return next_of(config_.pattern);
  if (served_++ % config_.run == 0) {
    current_ = static_cast<access_pattern>(
        random_.below(static_cast<std::uint64_t>(access_pattern::mixed)));
  }
  return next_of(current_);
}

pfn access_stream::next_of(access_pattern pattern) {
  const std::uint64_t lines = frames_ * lines_per_frame;
  switch (pattern) {
    case access_pattern::sequential_copy: {
      auto& at = copy_[copied_++ % 2];
      if (at.line == at.end) {
        at.line = random_.below(frames_) * lines_per_frame;
        at.end = std::min(at.line + config_.run * lines_per_frame, lines);
      }
      return step(at);
    }
    case access_pattern::random_objects:
      if (object_.line == object_.end) {
        object_.line = random_.below(lines);
        object_.end = std::min(object_.line + config_.lines, lines);
      }
      return step(object_);
    case access_pattern::hot_set: return hot_frame();
    case access_pattern::page_table_walks: {
      // Whole pageblocks hold tables, every so many pageblocks one.
      const auto tables = std::max<std::uint64_t>(frames_ / config_.frames_per_table, 1);
      const auto table = random_.below(tables);
      const auto block = table / pageblock_frames * config_.frames_per_table;
      const auto index = block * pageblock_frames + table % pageblock_frames;
      return frame(std::min(index, frames_ - 1));
    }
    case access_pattern::skewed:
    case access_pattern::mixed: break;
  }
  if (popular_.line == popular_.end) {
    popular_.line = popular_object();
    popular_.end = std::min(popular_.line + config_.lines, lines);
  }
  return step(popular_);
}

pfn access_stream::step(walk& at) { return frame(at.line++ / lines_per_frame); }

// Zipf's law with exponent 1, by octaves: ranks 2^k to 2^(k+1) - 1 are together as likely as those
// of any other k. Integers alone, so that it is the same everywhere.
std::uint64_t access_stream::popular_object() {
  const std::uint64_t objects =
      std::max<std::uint64_t>(frames_ * lines_per_frame / config_.lines, 1);
  const auto octaves = static_cast<unsigned>(std::bit_width(objects));
  const auto octave = random_.below(octaves);
  const auto first = std::uint64_t{1} << octave;
  const auto rank = std::min(first + random_.below(first), objects) - 1;
  return scattered(rank, objects) * config_.lines;
}

pfn access_stream::hot_frame() {
  if (random_.below(16) == 0) return frame(random_.below(frames_));
  return frame(scattered(random_.below(config_.hot_frames) + 1, frames_));
}

// The frame of RAM of that number, holes not counted.
pfn access_stream::frame(std::uint64_t index) const {
  const auto after = std::ranges::upper_bound(pieces_, index, {}, &piece::before);
  const auto& home = *std::prev(after);
  return home.first + (index - home.before);
}

}  // namespace memsim
