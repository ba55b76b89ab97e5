// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What one line of ftrace text says.

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <variant>

#include <memsim/alloc/gfp.hpp>
#include <memsim/core/error.hpp>
#include <memsim/workload/trace_event.hpp>

namespace memsim::detail {

/// Remembers the flags that were read lately: a trace repeats a dozen texts a million times.
class gfp_memory {
 public:
  [[nodiscard]] std::expected<gfp, error> read(std::string_view text);

 private:
  struct entry {
    std::string text;
    gfp flags;
  };
  std::array<entry, 64> entries_{};
};

/// A comment, a blank line, or a remark of the program that wrote the file.
struct no_event {};
/// The recording says that events were lost.
struct lost_events {
  std::uint64_t count = 1;
};
/// An event that is none of a page allocator's.
struct other_event {
  std::string_view name;
};
/// Why the line is none of these.
struct malformed_line {
  std::string reason;
};

using ftrace_line = std::variant<trace_event, no_event, lost_events, other_event, malformed_line>;

[[nodiscard]] ftrace_line parse_ftrace_line(std::string_view text, gfp_memory& flags);

}  // namespace memsim::detail
