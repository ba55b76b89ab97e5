// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Reads the snapshot of a recording into an allocator_state.

#include <string>
#include <string_view>
#include <vector>

#include <memsim/alloc/allocator_state.hpp>

#include "workload/line_source.hpp"

namespace memsim::detail {

/// Takes a snapshot line by line.
class snapshot_parser {
 public:
  /// \return what is wrong with the line; empty if nothing
  [[nodiscard]] std::string add(std::string_view line);
  /// The state, once all lines have been added.
  [[nodiscard]] allocator_state finish();

 private:
  // Frames that are neither free nor on a per-CPU list, and by what right.
  struct frames_in_use {
    pfn first;
    frame_count count;
    char what;
    std::size_t zone;
  };

  void read_use(field_cursor& in);
  void apply_uses();

  allocator_state state_;
  std::vector<frames_in_use> uses_;
};

}  // namespace memsim::detail
