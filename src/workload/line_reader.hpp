// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The lines of a stream, one at a time, in bounded memory whatever the stream holds.

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memsim::detail {

/// Longer lines are reported and passed over. The kernel's own are at most 8 KiB.
inline constexpr std::size_t max_line_bytes = 65'536;

class line_reader {
 public:
  enum class outcome : unsigned char {
    line,
    cut_off,   ///< the last line, and no line end after it
    too_long,  ///< text() is its beginning
    end,
    broken,  ///< the stream failed
  };

  /// \param in  must outlive the reader
  explicit line_reader(std::istream& in);

  [[nodiscard]] outcome next();

  /// The line without its `\n` or `\r\n`; valid until next().
  [[nodiscard]] std::string_view text() const { return text_; }
  /// Its number, from 1.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  /// Bytes of all lines so far.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  bool fill();
  void take(std::size_t bytes);
  [[nodiscard]] std::optional<std::size_t> find_line_end(std::size_t from) const;
  void set_text(std::size_t length);
  outcome pass_over();

  std::istream* in_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // of what is not yet taken
  std::size_t end_ = 0;
  std::string_view text_;
  std::string beginning_;
  std::uint64_t number_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace memsim::detail
