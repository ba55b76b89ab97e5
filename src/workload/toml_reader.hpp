// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Reads TOML files whose keys are known: whatever does not fit is an error that names file, line,
/// key, value and what is allowed.
///
/// toml++ is compiled into the few sources that include this, so that nothing that links memsim
/// needs it.

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Hostile input reaches some of toml++'s assertions: here they are errors like any other. Those in
// functions of toml++ that are noexcept guard against mistakes of its own, not against input.
#undef NDEBUG
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wterminate"
#pragma GCC diagnostic ignored "-Wexceptions"
#define TOML_ASSERT(expr) \
  (static_cast<bool>(expr) ? void(0) : throw std::runtime_error{"not TOML: expected " #expr})
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>
#pragma GCC diagnostic pop

#include <memsim/core/error.hpp>
#include <memsim/core/text.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/memory_map.hpp>
#include <memsim/sim/time.hpp>
#include <memsim/workload/distribution.hpp>

#include "workload/scan.hpp"
#include "workload/toml_text.hpp"

namespace memsim::detail {

inline constexpr std::size_t shown_text = 80;

inline constexpr bytes most_memory{max_frame_end.address()};

// `16 GiB`, `16GiB`, `4096`.
inline std::optional<bytes> parse_size(std::string_view text) {
  struct unit {
    std::string_view name;
    unsigned shift;
  };
  static constexpr std::array units{unit{"", 0},     unit{"B", 0},    unit{"KiB", 10},
                                    unit{"MiB", 20}, unit{"GiB", 30}, unit{"TiB", 40}};
  const auto number = take_number<std::uint64_t>(text);
  if (!number) return std::nullopt;
  skip_blanks(text);
  for (const auto& [name, shift] : units) {
    if (text != name) continue;
    if (*number > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
    return bytes{*number << shift};
  }
  return std::nullopt;
}

// `20 ms`, `1.5 s`: in whole nanoseconds.
inline std::optional<sim_duration> parse_duration(std::string_view text) {
  struct unit {
    std::string_view name;
    double nanoseconds;
  };
  static constexpr std::array units{unit{"ns", 1}, unit{"us", 1e3}, unit{"ms", 1e6}, unit{"s", 1e9},
                                    unit{"min", 60e9}};
  double number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || !(number >= 0)) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  skip_blanks(text);
  for (const auto& [name, nanoseconds] : units) {
    if (text != name) continue;
    // A hundred years, which are less than simulated time has.
    if (number * nanoseconds > 100 * 365 * 86400e9) return std::nullopt;
    return sim_duration{static_cast<sim_duration::rep>(number * nanoseconds + 0.5)};
  }
  return std::nullopt;
}

// A table of the file whose keys are taken one by one. The first that does not fit is remembered.
class table_reader {
 public:
  table_reader(const toml::table& table, std::string_view file, std::string_view path,
               std::optional<error>& problem)
      : table_{table}, file_{file}, path_{path}, problem_{problem} {}

  // Complains about keys that are none of these.
  void allow_only(std::span<const std::string_view> known) {
    for (const auto& [key, node] : table_) {
      if (std::ranges::find(known, key.str()) != known.end()) continue;
      complain(node, "unknown key \"{}\"; there are {}{}", full(escaped(key.str(), shown_text)),
               fmt::join(known, ", "), meant(key.str(), known));
    }
  }

  /// The key with its tables.
  [[nodiscard]] std::string full(std::string_view key) const {
    return path_.empty() ? std::string{key} : fmt::format("{}.{}", path_, key);
  }
  [[nodiscard]] bool has(std::string_view key) const { return table_.contains(key); }
  /// Whether anything did not fit so far.
  [[nodiscard]] bool has_problem() const { return problem_.has_value(); }

  std::uint64_t number(std::string_view key, std::uint64_t otherwise, std::uint64_t least,
                       std::uint64_t most) {
    const auto* node = table_.get(key);
    if (node == nullptr) return otherwise;
    const auto value = node->value_exact<std::int64_t>();
    if (value && *value >= 0 && std::cmp_greater_equal(*value, least) &&
        std::cmp_less_equal(*value, most)) {
      return static_cast<std::uint64_t>(*value);
    }
    complain(*node, "{} = {}: allowed are {}{} to {}", full(key), text_of(*node),
             value ? "" : "whole numbers, ", least, most);
    return otherwise;
  }

  /// A number, whole or not.
  double decimal(std::string_view key, double least, double most) {
    const auto* node = table_.get(key);
    if (node == nullptr) {
      complain(table_, "no \"{}\"", full(key));
      return least;
    }
    auto value = node->value_exact<double>();
    if (const auto whole = node->value_exact<std::int64_t>()) value = static_cast<double>(*whole);
    if (value && *value >= least && *value <= most) return *value;
    complain(*node, "{} = {}: allowed are {} to {}", full(key), text_of(*node), least, most);
    return least;
  }

  bool truth(std::string_view key, bool otherwise) {
    const auto* node = table_.get(key);
    if (node == nullptr) return otherwise;
    if (const auto value = node->value_exact<bool>()) return *value;
    complain(*node, "{} = {}: allowed are true and false", full(key), text_of(*node));
    return otherwise;
  }

  [[nodiscard]] bool says(std::string_view key, std::string_view word) const {
    const auto* node = table_.get(key);
    return node != nullptr && node->value_exact<std::string>() == word;
  }

  std::string word(std::string_view key, std::string_view otherwise) {
    const auto* node = table_.get(key);
    if (node == nullptr) return std::string{otherwise};
    if (auto value = node->value_exact<std::string>()) return *value;
    complain(*node, "{} = {}: a text in quotes is wanted", full(key), text_of(*node));
    return std::string{otherwise};
  }

  // A size or an address, in whole frames.
  std::uint64_t frames(std::string_view key, std::uint64_t least) {
    const auto* node = table_.get(key);
    if (node == nullptr) complain(table_, "no \"{}\"", full(key));
    return node == nullptr ? least : frames_of(*node, full(key), least).value_or(least);
  }

  // A length of time from `least` on.
  sim_duration duration(std::string_view key, sim_duration otherwise, sim_duration least) {
    const auto* node = table_.get(key);
    return node == nullptr ? otherwise : duration_of(*node, full(key), least).value_or(otherwise);
  }

  // What a size is drawn from, in frames.
  distribution drawn_frames(std::string_view key, std::uint64_t least) {
    return drawn(key, [&](const toml::node& node, const std::string& name) {
      return frames_of(node, name, least);
    });
  }

  // What a length of time is drawn from, in ns.
  distribution drawn_duration(std::string_view key, sim_duration least) {
    return drawn(key, [&](const toml::node& node, const std::string& name) {
      return duration_of(node, name, least).transform([](sim_duration time) {
        return static_cast<std::uint64_t>(time.count());
      });
    });
  }

  // The value that the text of a key names.
  template <class T, std::size_t N>
  T named(std::string_view key, T otherwise,
          const std::array<std::pair<std::string_view, T>, N>& values) {
    const auto* node = table_.get(key);
    if (node == nullptr) return otherwise;
    const auto text = node->value_exact<std::string>();
    std::vector<std::string_view> names;
    for (const auto& [name, value] : values) {
      if (text && *text == name) return value;
      names.push_back(name);
    }
    complain(*node, "{} = {}: allowed are {}{}", full(key), text_of(*node), fmt::join(names, ", "),
             meant(text.value_or(""), names));
    return otherwise;
  }
  // Likewise, of values that have names.
  template <class T, std::size_t N>
  T named(std::string_view key, T otherwise, const std::array<T, N>& values) {
    std::array<std::pair<std::string_view, T>, N> pairs;
    std::ranges::transform(values, pairs.begin(),
                           [](T value) { return std::pair{name_of(value), value}; });
    return named(key, otherwise, pairs);
  }

  [[nodiscard]] bool is_table(std::string_view key) const {
    const auto* node = table_.get(key);
    return node != nullptr && node->is_table();
  }

  // Calls read(table_reader&) for `[key]`.
  template <class Read>
  void table(std::string_view key, Read read) {
    const auto* node = table_.get(key);
    if (node == nullptr) return;
    if (const auto* table = node->as_table()) {
      const auto path = full(key);
      table_reader inner{*table, file_, path, problem_};
      read(inner);
    } else {
      complain(*node, "{} = {}: a table [{}] is wanted", full(key), text_of(*node), key);
    }
  }

  // Calls read(table_reader&) for each `[[key]]`.
  template <class Read>
  void tables(std::string_view key, Read read) {
    const auto* node = table_.get(key);
    if (node == nullptr) return;
    const auto* array = node->as_array();
    if (array == nullptr || !array->is_array_of_tables()) {
      complain(*node, "{} = {}: tables [[{}]] are wanted", full(key), text_of(*node), key);
      return;
    }
    const auto path = full(key);
    for (const auto& one : *array) {
      table_reader inner{*one.as_table(), file_, path, problem_};
      read(inner);
    }
  }

  template <class... Args>
  void complain(const toml::node& where, fmt::format_string<Args...> text, Args&&... args) {
    if (problem_) return;
    const auto line = where.source().begin.line;  // 0: not from the file
    problem_ = error{
        errc::malformed,
        fmt::format("{}: {}", line == 0 ? std::string{file_} : fmt::format("{}:{}", file_, line),
                    fmt::format(text, std::forward<Args>(args)...))};
  }
  template <class... Args>
  void complain_about(std::string_view key, fmt::format_string<Args...> text, Args&&... args) {
    const auto* node = table_.get(key);
    complain(node == nullptr ? static_cast<const toml::node&>(table_) : *node, text,
             std::forward<Args>(args)...);
  }

 private:
  static std::string meant(std::string_view word, std::span<const std::string_view> known) {
    const auto found = nearest(word, known);
    return found.empty() ? "" : fmt::format("; is \"{}\" meant?", found);
  }

  std::optional<std::uint64_t> frames_of(const toml::node& node, const std::string& name,
                                         std::uint64_t least) {
    std::optional<bytes> size;
    if (const auto value = node.value_exact<std::int64_t>(); value && *value >= 0) {
      size = bytes{static_cast<std::uint64_t>(*value)};
    } else if (const auto text = node.value_exact<std::string>()) {
      size = parse_size(*text);
    }
    if (size && size->value() % page_bytes == 0 && size->frames() >= least &&
        *size <= most_memory) {
      return size->frames();
    }
    complain(node,
             "{} = {}: allowed are multiples of 4 KiB from {} to {}, as a number of bytes or as "
             "\"16 GiB\" (units B, KiB, MiB, GiB, TiB)",
             name, text_of(node), bytes{least * page_bytes}, most_memory);
    return std::nullopt;
  }

  std::optional<sim_duration> duration_of(const toml::node& node, const std::string& name,
                                          sim_duration least) {
    if (const auto text = node.value_exact<std::string>()) {
      if (const auto found = parse_duration(*text); found && *found >= least) return found;
    }
    complain(node, "{} = {}: a time such as \"20 ms\" is wanted (units ns, us, ms, s, min){}", name,
             text_of(node),
             least > sim_duration{0} ? fmt::format(", at least {} ns", least.count()) : "");
    return std::nullopt;
  }

  // A value, or `{ uniform = [A, B] }`, `{ log_uniform = [A, B] }`, `{ exponential = MEAN }`.
  template <class Value>
  distribution drawn(std::string_view key, Value value) {
    const auto* node = table_.get(key);
    if (node == nullptr) {
      complain(table_, "no \"{}\"", full(key));
      return {};
    }
    const auto* table = node->as_table();
    if (table == nullptr) return value(*node, full(key)).value_or(0);
    const auto first = table->begin();
    const auto kind = table->size() == 1 ? first->first.str() : std::string_view{};
    const auto name = fmt::format("{}.{}", full(key), kind);
    if (kind == name_of(distribution_kind::exponential)) {
      const auto mean = value(first->second, name);
      if (mean && *mean == 0) complain(first->second, "{}: the mean is 0", name);
      return mean.value_or(0) == 0 ? distribution{} : distribution::exponential(*mean);
    }
    const bool is_uniform = kind == name_of(distribution_kind::uniform);
    if (!is_uniform && kind != name_of(distribution_kind::log_uniform)) {
      complain(*node,
               "{}: a value is wanted, or one of {{ uniform = [A, B] }}, {{ log_uniform = [A, B] "
               "}}, {{ exponential = MEAN }}",
               full(key));
      return {};
    }
    const auto* both = first->second.as_array();
    if (both == nullptr || both->size() != 2) {
      complain(first->second, "{} = {}: two values [A, B] are wanted", name,
               text_of(first->second));
      return {};
    }
    const auto least = value(*both->get(0), name);
    const auto most = value(*both->get(1), name);
    if (!least || !most) return {};
    if (*least > *most || (!is_uniform && *least == 0)) {
      complain(first->second, "{}: the first value may not be {}", name,
               *least == 0 ? "0" : "above the second");
      return {};
    }
    return is_uniform ? distribution::uniform(*least, *most)
                      : distribution::log_uniform(*least, *most);
  }

  static std::string text_of(const toml::node& node) {
    if (const auto text = node.value_exact<std::string>()) {
      return fmt::format("\"{}\"", escaped(*text, shown_text));
    }
    if (const auto value = node.value_exact<std::int64_t>()) return fmt::to_string(*value);
    if (const auto value = node.value_exact<double>()) return fmt::format("{:#}", *value);
    if (const auto value = node.value_exact<bool>()) return *value ? "true" : "false";
    if (node.is_table()) return "a table";
    return node.is_array() ? "an array" : "a date or time";
  }

  const toml::table& table_;
  std::string_view file_;
  std::string_view path_;
  std::optional<error>& problem_;
};

struct no_edit {
  void operator()(toml::table&) const {}
};

/// Parses a text and hands its top table to read(table_reader&), whose result is returned.
/// \param edit  what is done to the table before
template <class Read, class Edit = no_edit>
auto read_toml(std::string_view text, std::string_view name, Read read, Edit edit = {})
    -> std::expected<decltype(read(std::declval<table_reader&>())), error> {
  std::optional<error> problem;
  try {
    const toml_text readable{text};
    toml::table table = toml::parse(readable.text(), name);
    edit(table);
    table_reader top{table, name, "", problem};
    auto result = read(top);
    if (problem) return std::unexpected{std::move(*problem)};
    return result;
  } catch (const toml::parse_error& e) {
    return fail(errc::malformed, "{}:{}: {}", name, e.source().begin.line,
                escaped(e.description(), 2 * shown_text));
  } catch (const std::runtime_error& e) {
    return fail(errc::malformed, "{}: {}", name, e.what());
  } catch (const usage_error& e) {
    // What was read so far is complained of first.
    if (problem) return std::unexpected{std::move(*problem)};
    return fail(errc::inconsistent, "{}: {}", name, e.what());
  }
}

}  // namespace memsim::detail
