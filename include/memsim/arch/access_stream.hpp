// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Where the kernel reaches into the direct map: streams of frames, for asking what a map costs.
///
/// | pattern          | each access                                                           |
/// |------------------|-----------------------------------------------------------------------|
/// | sequential_copy  | the next cache line of a source, then of a destination: buffers of    |
/// |                  | `run` frames at random places                                         |
/// | random_objects   | a cache line of an object that is anywhere, `lines` accesses each     |
/// | skewed           | likewise, but some objects are far more popular than others           |
/// | hot_set          | of 16 accesses 15 go to a few frames all over memory, one anywhere    |
/// | page_table_walks | an entry of a page table: tables are few, and grouped in pageblocks   |
/// | mixed            | one of the five above, `run` accesses at a time                       |
///
/// Modelling assumptions, all of them: no trace of a kernel's own accesses is published.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <memsim/core/random.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

class memory_map;

enum class access_pattern : unsigned char {
  sequential_copy,
  random_objects,
  skewed,
  hot_set,
  page_table_walks,
  mixed,
};

inline constexpr std::array all_access_patterns{
    access_pattern::sequential_copy, access_pattern::random_objects,   access_pattern::skewed,
    access_pattern::hot_set,         access_pattern::page_table_walks, access_pattern::mixed};

[[nodiscard]] std::string to_text(access_pattern);

struct access_stream_config {
  access_pattern pattern = access_pattern::random_objects;
  std::uint64_t seed = 1;
  /// Frames of a copied buffer, and accesses of a pattern at a time in a mix; at least 1.
  unsigned run = 16;
  /// Cache lines touched of an object, one after the other; at least 1.
  unsigned lines = 2;
  /// Frames of the hot set; at least 1.
  unsigned hot_frames = 48;
  /// Of all frames, the part that is page tables: 1 in so many; at least 1. A fully mapped user
  /// address space has one table for 512 frames.
  unsigned frames_per_table = 512;
};

/// An endless stream of frames, a pure function of its configuration.
class access_stream {
 public:
  /// \param memory  frames of its RAM are accessed
  /// \throws usage_error if a field is 0 or the memory has no RAM
  access_stream(const memory_map& memory, const access_stream_config& config);

  /// The frame of the next access.
  [[nodiscard]] pfn next();

 private:
  struct piece {
    pfn first{};
    frame_count before = 0;  // frames of RAM below
  };
  // A buffer or an object that is walked through, line by line.
  struct walk {
    std::uint64_t line = 0;
    std::uint64_t end = 0;
  };

  [[nodiscard]] pfn next_of(access_pattern pattern);
  [[nodiscard]] pfn frame(std::uint64_t index) const;
  [[nodiscard]] std::uint64_t popular_object();
  [[nodiscard]] pfn hot_frame();
  [[nodiscard]] pfn step(walk& at);

  access_stream_config config_;
  std::vector<piece> pieces_;
  frame_count frames_ = 0;
  random_stream random_;
  std::array<walk, 2> copy_{};
  walk object_{};
  walk popular_{};
  std::uint64_t served_ = 0;
  std::uint64_t copied_ = 0;
  access_pattern current_{};
};

}  // namespace memsim
