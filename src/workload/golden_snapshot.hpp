// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Reads the snapshot of a recording into an allocator_state.

#include <string>
#include <string_view>

#include <memsim/alloc/allocator_state.hpp>

namespace memsim::detail {

/// Takes a snapshot line by line.
class snapshot_parser {
 public:
  /// \return what is wrong with the line; empty if nothing
  [[nodiscard]] std::string add(std::string_view line);
  /// The state, once all lines have been added.
  [[nodiscard]] allocator_state finish();

 private:
  class field_reader;

  allocator_state state_;
};

}  // namespace memsim::detail
