// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Makes any text one that toml++ can be given.

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>

#include <boost/locale/utf.hpp>
#include <fmt/format.h>

namespace memsim::detail {

// The text as toml++ 3.3 can be given it: it reaches a __builtin_unreachable() on some characters
// that are not ASCII, and follows dotted keys into one table after another until the stack is full.
// Such characters are escaped in strings; elsewhere, where TOML has them only in comments, a
// question mark stands for each of their bytes. A byte order mark at the beginning is left out.
class toml_text {
 public:
  explicit toml_text(std::string_view text) : rest_{text} {
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (rest_.starts_with(byte_order_mark)) rest_.remove_prefix(byte_order_mark.size());
    result_.reserve(rest_.size());
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '"' || c == '\'') {
        take_string(c);
      } else if (c == '#') {
        take_plain(std::min(rest_.find('\n'), rest_.size()));
      } else {
        count_dots(c);
        take_plain(1);
      }
    }
  }
  [[nodiscard]] const std::string& text() const { return result_; }

 private:
  static constexpr unsigned most_dots = 32;

  // A string of one line or, after three quotes, of several; one that has no end goes to the end of
  // its line or of the text.
  void take_string(char quote) {
    const std::string three(3, quote);
    const bool is_long = rest_.starts_with(three);
    const std::string_view end = is_long ? std::string_view{three} : std::string_view{&quote, 1};
    std::size_t at = end.size();
    while (at < rest_.size() && !rest_.substr(at).starts_with(end)) {
      if (!is_long && rest_[at] == '\n') break;
      at += quote == '"' && rest_[at] == '\\' ? 2 : 1;
    }
    const bool has_end = rest_.substr(std::min(at, rest_.size())).starts_with(end);
    at = std::min(at + end.size(), rest_.size());
    const auto found = rest_.substr(0, at);
    if (!has_end || std::ranges::all_of(found, is_ascii)) return take_plain(at);
    add_escaped(found.substr(end.size(), found.size() - 2 * end.size()), quote, is_long);
    rest_.remove_prefix(at);
  }

  static bool is_ascii(char c) { return static_cast<unsigned char>(c) < 128; }

  // What is between the quotes, as a string with escapes, whatever it was.
  void add_escaped(std::string_view inside, char quote, bool is_long) {
    using utf8 = boost::locale::utf::utf_traits<char>;
    const bool is_literal = quote == '\'';
    const std::string_view quotes = is_long ? "\"\"\"" : "\"";
    result_ += quotes;
    for (const char* at = inside.data(); at != inside.data() + inside.size();) {
      const auto point = utf8::decode(at, inside.data() + inside.size());
      if (point == boost::locale::utf::illegal || point == boost::locale::utf::incomplete) {
        throw std::runtime_error{"a text that is not UTF-8"};
      }
      if (point > 127) {
        result_ += fmt::format("\\U{:08X}", point);
      } else {
        const char c = static_cast<char>(point);
        if (is_literal && (c == '"' || c == '\\')) result_ += '\\';
        result_ += c;
      }
    }
    result_ += quotes;
  }

  void take_plain(std::size_t count) {
    for (const char c : rest_.substr(0, count)) {
      result_ += is_ascii(c) ? c : '?';
    }
    rest_.remove_prefix(count);
  }

  void count_dots(char c) {
    if (c == '.' && ++dots_ > most_dots) {
      throw std::runtime_error{"a key with more than 32 dots"};
    }
    if (c == '\n' || c == '=' || c == ',' || c == '[' || c == '{') dots_ = 0;
  }

  std::string_view rest_;
  std::string result_;
  unsigned dots_ = 0;
};

}  // namespace memsim::detail
