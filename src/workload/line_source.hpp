// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Lines of a text file with their numbers, and fields of a line; for formats of words and numbers
/// separated by single blanks.

#include <charconv>
#include <concepts>
#include <cstdint>
#include <istream>
#include <limits>
#include <string>
#include <string_view>

#include <memsim/core/error.hpp>
#include <memsim/core/text.hpp>

namespace memsim::detail {

/// Bytes of a line and of a word that a message shows.
inline constexpr std::size_t shown_line = 120;
inline constexpr std::size_t shown_word = 32;

/// Bytes of a line at most: a free list of a million blocks is shorter.
inline constexpr std::size_t max_golden_line = 16 << 20;

class line_source {
 public:
  line_source(std::istream& input, std::string name) : input_{&input}, name_{std::move(name)} {}

  /// Reads the next line; false at the end of the file, and at a line longer than max_golden_line.
  [[nodiscard]] bool next();
  [[nodiscard]] const std::string& line() const { return line_; }
  [[nodiscard]] std::uint64_t number() const { return number_; }

  /// An error about the current line, or about what it was that ended the file once next() returned
  /// false.
  [[nodiscard]] std::unexpected<error> malformed(std::string_view what) const;
  [[nodiscard]] std::unexpected<error> unsupported(std::string_view what) const;
  [[nodiscard]] std::unexpected<error> ends_early(std::string_view wanted) const;

 private:
  std::istream* input_;
  std::string name_;
  std::string line_;
  std::uint64_t number_ = 0;
  bool too_long_ = false;
};

/// Takes a line apart from the left. The first thing that does not fit is remembered and ends the
/// reading; what is read after it is zero or empty.
class field_cursor {
 public:
  explicit field_cursor(std::string_view text) : rest_{text} {}

  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] bool ok() const { return problem_.empty(); }
  [[nodiscard]] const std::string& problem() const { return problem_; }

  /// The next field, without the blank after it.
  std::string_view word() {
    if (!ok()) return {};
    if (rest_.empty()) {
      refuse("the line ends early");
      return {};
    }
    return cut(' ');
  }

  /// The next field, which must be this word.
  void expect(std::string_view keyword) {
    if (const auto found = word(); ok() && found != keyword) {
      refuse(fmt::format("expected '{}', found '{}'", keyword, escaped(found, shown_word)));
    }
  }

  /// The next field as a number within [least, most].
  template <std::integral T>
  T number(T least = std::numeric_limits<T>::min(), T most = std::numeric_limits<T>::max()) {
    return parse<T>(word(), least, most);
  }

  /// A keyword and the number after it.
  template <std::integral T>
  T named(std::string_view keyword) {
    expect(keyword);
    return number<T>();
  }

  /// Reads a number out of part of a field.
  template <std::integral T>
  T parse(std::string_view text, T least = std::numeric_limits<T>::min(),
          T most = std::numeric_limits<T>::max()) {
    if (!ok()) return {};
    T value{};
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
      refuse(fmt::format("'{}' is not a number from {} to {}", escaped(text, shown_word), least,
                         most));
      return {};
    }
    return value;
  }

  /// Up to the separator, which is dropped; all that is left if there is none.
  std::string_view cut(char separator) {
    const auto end = rest_.find(separator);
    const auto field = rest_.substr(0, end);
    rest_ = end == std::string_view::npos ? std::string_view{} : rest_.substr(end + 1);
    return field;
  }

  void expect_end() {
    if (ok() && !rest_.empty()) refuse(fmt::format("unexpected '{}'", escaped(rest_, shown_word)));
  }

  void refuse(std::string problem) {
    if (ok()) problem_ = std::move(problem);
  }

 private:
  std::string_view rest_;
  std::string problem_;
};

}  // namespace memsim::detail
