// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/ftrace_reader.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <utility>

#include <memsim/core/text.hpp>

#include "workload/ftrace_line.hpp"
#include "workload/line_reader.hpp"

namespace memsim {
namespace {

constexpr std::size_t shown_line = 160;
constexpr std::size_t shown_name = 64;
// A file that is no trace must not fill the memory with names.
constexpr std::size_t max_names = 1000;

// What a trace is kept in where it is not text, and what makes text of it.
struct known_format {
  std::string_view beginning;
  std::string_view name;
  std::string_view remedy;
};
constexpr std::array known_formats{
    known_format{"\x17\x08\x44tracing", "a trace-cmd recording", "trace-cmd report"},
    known_format{"\xfd"
                 "7zXZ",
                 "compressed with xz", "xz -d"},
    known_format{"\x1f\x8b", "compressed with gzip", "gzip -d"},
    known_format{"\x28\xb5\x2f\xfd", "compressed with zstd", "zstd -d"},
};

const known_format* find_format(std::string_view beginning) {
  const auto* const found = std::ranges::find_if(
      known_formats, [&](const known_format& f) { return beginning.starts_with(f.beginning); });
  return found == known_formats.end() ? nullptr : found;
}

}  // namespace

class ftrace_reader::impl {
 public:
  impl(std::istream& in, std::string name, strictness mode)
      : lines_{in}, name_{std::move(name)}, mode_{mode} {}

  std::expected<std::optional<trace_event>, error> next() {
    while (true) {
      auto line = next_line();
      if (!line) return std::unexpected{std::move(line).error()};
      if (!*line) return std::nullopt;
      if (const auto* event = std::get_if<trace_event>(&**line)) return *event;
      if (const auto* other = std::get_if<detail::other_event>(&**line)) skip(other->name);
      if (const auto* lost = std::get_if<detail::lost_events>(&**line)) lost_events_ += lost->count;
      if (const auto* malformed = std::get_if<detail::malformed_line>(&**line)) {
        if (auto ok = pass_over({errc::malformed, malformed->reason}); !ok) {
          return std::unexpected{std::move(ok).error()};
        }
      }
    }
  }

  // What is done about a line that cannot be used.
  std::expected<void, error> pass_over(const error& why) {
    if (mode_ == strictness::strict) return fail(why.code(), "{}", complaint(why.message()));
    if (malformed_lines_++ == 0) first_malformed_ = complaint(why.message());
    return {};
  }

  [[nodiscard]] std::vector<skipped_event> skipped() const {
    std::vector<skipped_event> events;
    for (const auto& [name, count] : skipped_) events.push_back({name, count});
    return events;
  }

  detail::line_reader lines_;
  std::string name_;
  strictness mode_;
  std::uint64_t malformed_lines_ = 0;
  std::string first_malformed_;
  std::uint64_t lost_events_ = 0;

 private:
  using maybe_line = std::optional<detail::ftrace_line>;

  // What the next line says; nothing at the end.
  std::expected<maybe_line, error> next_line() {
    using detail::line_reader;
    using detail::malformed_line;
    const auto outcome = lines_.next();
    if (lines_.number() == 1) {
      if (const auto* format = find_format(lines_.text())) {
        return fail(errc::unsupported, "{}: this is {}, not text: `{}` makes text of it", name_,
                    format->name, format->remedy);
      }
    }
    switch (outcome) {
      case line_reader::outcome::line: return detail::parse_ftrace_line(lines_.text(), flags_);
      case line_reader::outcome::cut_off:
        // It may have lost more than its end, also where what is left can be read: `pfn=0x12c4` of
        // `pfn=0x12c434`.
        if (lines_.text().starts_with('#')) return detail::no_event{};
        return malformed_line{"the file ends within this line"};
      case line_reader::outcome::too_long:
        return malformed_line{fmt::format("longer than {} bytes", detail::max_line_bytes)};
      case line_reader::outcome::end: return maybe_line{};
      case line_reader::outcome::broken: break;
    }
    return fail(errc::io, "{}:{}: cannot read on", name_, lines_.number() + 1);
  }

  [[nodiscard]] std::string complaint(std::string_view reason) const {
    return fmt::format("{}:{}: {}: \"{}\"", name_, lines_.number(), reason,
                       escaped(lines_.text(), shown_line));
  }

  void skip(std::string_view name) {
    auto at = skipped_.find(name);
    if (at == skipped_.end()) {
      const bool full = skipped_.size() >= max_names;
      at = skipped_.try_emplace(full ? "(others)" : escaped(name, shown_name)).first;
    }
    ++at->second;
  }

  detail::gfp_memory flags_;
  std::map<std::string, std::uint64_t, std::less<>> skipped_;
};

ftrace_reader::ftrace_reader(std::istream& in, std::string name, strictness mode)
    : impl_{std::make_unique<impl>(in, std::move(name), mode)} {}
ftrace_reader::~ftrace_reader() = default;
ftrace_reader::ftrace_reader(ftrace_reader&&) noexcept = default;
ftrace_reader& ftrace_reader::operator=(ftrace_reader&&) noexcept = default;

std::expected<std::optional<trace_event>, error> ftrace_reader::next() { return impl_->next(); }
std::expected<void, error> ftrace_reader::refuse(const error& why) { return impl_->pass_over(why); }
const std::string& ftrace_reader::name() const { return impl_->name_; }
std::uint64_t ftrace_reader::line() const { return impl_->lines_.number(); }
std::uint64_t ftrace_reader::bytes_read() const { return impl_->lines_.bytes(); }
std::uint64_t ftrace_reader::malformed_lines() const { return impl_->malformed_lines_; }
const std::string& ftrace_reader::first_malformed() const { return impl_->first_malformed_; }
std::uint64_t ftrace_reader::lost_events() const { return impl_->lost_events_; }
std::vector<skipped_event> ftrace_reader::skipped() const { return impl_->skipped(); }

}  // namespace memsim
