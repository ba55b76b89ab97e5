// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Reads recordings of a real kernel's page allocator, record by record.
///
/// The format is described in tests/golden/page_alloc.md. The file may be hostile: whatever is in
/// it, the answer is a record or an error that names the line.

#include <cstdint>
#include <expected>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <memsim/alloc/allocator_state.hpp>
#include <memsim/alloc/gfp.hpp>
#include <memsim/alloc/tuning.hpp>
#include <memsim/core/error.hpp>

namespace memsim {

namespace detail {
class line_source;
}

/// The lines before `begin`.
struct golden_header {
  std::string subject;   ///< what was recorded: `page_alloc`, `direct_map` or `secretmem`
  std::string kernel;    ///< `linux-6.1.192`
  std::string scenario;  ///< a label
  bytes memory{};        ///< the machine's RAM; 0 if the file does not say
  tuning settings{};     ///< from the `config` line, what memsim has a setting for
};

/// `a`: a request, and what the kernel answered.
struct golden_allocation {
  std::uint64_t id = 0;
  order size{};
  gfp flags{};
  std::optional<pfn> block{};  ///< none: it failed
};

/// `f`: the block of an earlier allocation was given back.
struct golden_free {
  std::uint64_t id = 0;
};

/// `x`: a fallback, during the allocation that follows.
struct golden_fallback {
  std::string text;  ///< the record, as it stands in the file
};

/// `D`: all per-CPU lists were drained.
struct golden_drain {};

/// `S` to `E`: the whole state.
struct golden_snapshot {
  allocator_state state;
  std::vector<std::string> lines;  ///< as they stand in the file, without `S` and `E`
  std::uint64_t first_line = 0;    ///< line number of lines[0]
};

struct golden_record {
  std::uint64_t line = 0;  ///< line number in the file, from 1
  std::variant<golden_allocation, golden_free, golden_fallback, golden_drain, golden_snapshot> what;
};

/// Reads one recording of the page allocator; what it holds in memory is one record.
class golden_reader {
 public:
  /// Reads the header.
  /// \param name  the file's name, for messages
  /// \return errc::malformed if this is no recording; errc::unsupported if it is one of another
  ///         subject or format version
  [[nodiscard]] static std::expected<golden_reader, error> open(std::istream& input,
                                                                std::string name);
  /// Goes on where the header has been read.
  golden_reader(golden_header header, std::unique_ptr<detail::line_source> input);
  golden_reader(golden_reader&&) noexcept;
  golden_reader& operator=(golden_reader&&) noexcept;
  ~golden_reader();

  [[nodiscard]] const golden_header& header() const { return header_; }
  /// The next record; none after the line `end`.
  /// \return errc::malformed with the line's number if it is no record, or the file ends early
  [[nodiscard]] std::expected<std::optional<golden_record>, error> next();

 private:
  golden_header header_;
  std::unique_ptr<detail::line_source> input_;
};

}  // namespace memsim
