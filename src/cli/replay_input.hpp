// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a replay starts from: the trace, the machine, and what is known of how it ended.

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <fstream>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include <memsim/core/error.hpp>
#include <memsim/metrics/proc_text.hpp>
#include <memsim/workload/ftrace_reader.hpp>

namespace memsim {
class trace_hints;
}

namespace memsim::cli {

class progress;

/// A trace on disk, or what comes through standard input for the name `-`.
class trace_source {
 public:
  /// \return errc::io if the file cannot be opened
  [[nodiscard]] static std::expected<trace_source, error> open(const std::string& path);

  [[nodiscard]] const std::string& name() const { return name_; }
  /// Bytes in the file; none of standard input.
  [[nodiscard]] std::optional<std::uint64_t> size() const { return size_; }
  /// Whether it can be read a second time.
  [[nodiscard]] bool rereadable() const { return size_.has_value(); }
  /// From the beginning on; one reader at a time.
  [[nodiscard]] ftrace_reader read(strictness mode);

 private:
  std::string name_;
  std::ifstream file_;
  std::optional<std::uint64_t> size_;
};

/// What a trace says before it is replayed.
///
/// \param hints  takes note of the events; may be nullptr
/// \return the time between the first and the last event, or the reader's error
[[nodiscard]] std::expected<std::chrono::nanoseconds, error> read_ahead(trace_source& trace,
                                                                        strictness mode,
                                                                        trace_hints* hints,
                                                                        progress& meter);

/// The captured machine that belongs to a trace: `small.zoneinfo.before` beside `small.trace`, or
/// `zoneinfo.before` or `zoneinfo` in its directory.
[[nodiscard]] std::optional<std::filesystem::path> find_machine(const std::string& trace);

/// The free lists of the recorded machine after the trace, from `small.buddyinfo.after` beside
/// `small.trace`, or `buddyinfo.after`; empty where there is no such file.
/// \return parse_buddyinfo()'s error
[[nodiscard]] std::expected<std::vector<zone_order_counts>, error> recorded_buddyinfo(
    const std::string& trace);

}  // namespace memsim::cli
