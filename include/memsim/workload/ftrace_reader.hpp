// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Reads the kernel's page-allocation tracepoints from text, line by line.
///
/// Both layouts are understood, and told apart line by line: that of tracefs' own `trace` file and
/// that of `trace-cmd report`.
///
///     sh-10211   [001] .....  4572.519436: mm_page_alloc: pfn=0x12c434 order=0 migratetype=0 …
///     sh-10211   [001]  4572.519436: mm_page_alloc:  page=0xffffea0004b10d00 pfn=0x12c434 order=0
///     …

#include <cstdint>
#include <expected>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <memsim/core/error.hpp>
#include <memsim/workload/trace_event.hpp>

namespace memsim {

/// An event of another name, and how often it was met.
struct skipped_event {
  std::string name;
  std::uint64_t count = 0;

  friend bool operator==(const skipped_event&, const skipped_event&) = default;
};

/// What a reader does with a line that it cannot make sense of.
enum class strictness : unsigned char {
  strict,   ///< it is an error
  lenient,  ///< it is counted and passed over
};

/// A stream of events. Holds one line at a time.
class ftrace_reader {
 public:
  /// \param in    must outlive the reader
  /// \param name  the file's, for messages
  ftrace_reader(std::istream& in, std::string name, strictness mode = strictness::strict);
  ~ftrace_reader();
  ftrace_reader(ftrace_reader&&) noexcept;
  ftrace_reader& operator=(ftrace_reader&&) noexcept;

  /// The next event, or nothing at the end.
  /// \return errc::malformed with file, line and text; errc::io if the stream broke
  [[nodiscard]] std::expected<std::optional<trace_event>, error> next();

  /// Says of the latest event that it cannot be: it contradicts itself or the machine. Then its
  /// line is treated as a malformed one.
  /// \return strictness::strict: `why` with file, line and text; nothing under lenient
  [[nodiscard]] std::expected<void, error> refuse(const error& why);

  [[nodiscard]] const std::string& name() const;
  /// Lines read so far: the number of the line of the latest event.
  [[nodiscard]] std::uint64_t line() const;
  /// Bytes read so far, for progress.
  [[nodiscard]] std::uint64_t bytes_read() const;
  /// Lines passed over under strictness::lenient, and the message for the first of them.
  [[nodiscard]] std::uint64_t malformed_lines() const;
  [[nodiscard]] const std::string& first_malformed() const;
  /// Events that the recording says it lost, where it says how many; else 1 for each such line.
  [[nodiscard]] std::uint64_t lost_events() const;
  /// Events of other names, in order of name.
  [[nodiscard]] std::vector<skipped_event> skipped() const;

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace memsim
