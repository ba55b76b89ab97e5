// SPDX-License-Identifier: Apache-2.0
#include "workload/line_reader.hpp"

#include <algorithm>
#include <cstring>
#include <istream>

namespace memsim::detail {
namespace {

constexpr std::size_t buffer_bytes = 4 * max_line_bytes;

}  // namespace

line_reader::line_reader(std::istream& in) : in_{&in}, buffer_(buffer_bytes) {}

// Moves what is left to the front and reads behind it; false if there is nothing more.
bool line_reader::fill() {
  std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
            buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
  end_ -= begin_;
  begin_ = 0;
  in_->read(buffer_.data() + end_, static_cast<std::streamsize>(buffer_.size() - end_));
  const auto got = static_cast<std::size_t>(in_->gcount());
  end_ += got;
  return got != 0;
}

void line_reader::take(std::size_t bytes) {
  begin_ += bytes;
  bytes_ += bytes;
}

// The number of bytes before the next `\n`, looking from `from` on.
std::optional<std::size_t> line_reader::find_line_end(std::size_t from) const {
  const char* begin = buffer_.data() + begin_;
  const auto* found =
      static_cast<const char*>(std::memchr(begin + from, '\n', end_ - begin_ - from));
  if (found == nullptr) return std::nullopt;
  return static_cast<std::size_t>(found - begin);
}

void line_reader::set_text(std::size_t length) {
  text_ = {buffer_.data() + begin_, length};
  if (text_.ends_with('\r')) text_.remove_suffix(1);
  ++number_;
}

line_reader::outcome line_reader::next() {
  std::size_t searched = 0;
  while (true) {
    if (const auto length = find_line_end(searched)) {
      set_text(*length);
      take(*length + 1);
      return *length > max_line_bytes ? outcome::too_long : outcome::line;
    }
    searched = end_ - begin_;
    // Asked before filling: where the line fills the buffer there is no room left to read into.
    if (searched > max_line_bytes) return pass_over();
    if (fill()) continue;
    if (in_->bad()) return outcome::broken;
    if (searched == 0) return outcome::end;
    set_text(searched);
    take(searched);
    return outcome::cut_off;
  }
}

// A line too long to hold: keeps its beginning for a message, and lets the rest go by.
line_reader::outcome line_reader::pass_over() {
  constexpr std::size_t kept = 256;
  beginning_.assign(buffer_.data() + begin_, kept);
  text_ = beginning_;
  ++number_;
  do {
    if (const auto length = find_line_end(0)) {
      take(*length + 1);
      return outcome::too_long;
    }
    take(end_ - begin_);
  } while (fill());
  return in_->bad() ? outcome::broken : outcome::too_long;
}

}  // namespace memsim::detail
