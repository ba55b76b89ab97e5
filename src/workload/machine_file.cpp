// SPDX-License-Identifier: Apache-2.0
// The parser of machine files.
#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <limits>
#include <span>
#include <stdexcept>
#include <utility>

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
#include <toml++/toml.h>
#pragma GCC diagnostic pop

#include <memsim/core/text.hpp>
#include <memsim/workload/machine.hpp>

#include "workload/scan.hpp"

namespace memsim {
namespace {

constexpr std::size_t shown_text = 80;

constexpr bytes most_memory{max_frame_end.address()};

// `16 GiB`, `16GiB`, `4096`.
std::optional<bytes> parse_size(std::string_view text) {
  struct unit {
    std::string_view name;
    unsigned shift;
  };
  static constexpr std::array units{unit{"", 0},     unit{"B", 0},    unit{"KiB", 10},
                                    unit{"MiB", 20}, unit{"GiB", 30}, unit{"TiB", 40}};
  const auto number = detail::take_number<std::uint64_t>(text);
  if (!number) return std::nullopt;
  detail::skip_blanks(text);
  for (const auto& [name, shift] : units) {
    if (text != name) continue;
    if (*number > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
    return bytes{*number << shift};
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
      complain(node, "unknown key \"{}\"; there are {}", full(escaped(key.str(), shown_text)),
               fmt::join(known, ", "));
    }
  }

  [[nodiscard]] bool has(std::string_view key) const { return table_.contains(key); }

  std::uint64_t number(std::string_view key, std::uint64_t otherwise, std::uint64_t least,
                       std::uint64_t most) {
    const auto* node = table_.get(key);
    if (node == nullptr) return otherwise;
    const auto value = node->value_exact<std::int64_t>();
    if (value && *value >= 0 && std::cmp_greater_equal(*value, least) &&
        std::cmp_less_equal(*value, most)) {
      return static_cast<std::uint64_t>(*value);
    }
    complain(*node, "{} = {}: allowed are {} to {}", full(key), text_of(*node), least, most);
    return otherwise;
  }

  bool truth(std::string_view key, bool otherwise) {
    const auto* node = table_.get(key);
    if (node == nullptr) return otherwise;
    if (const auto value = node->value_exact<bool>()) return *value;
    complain(*node, "{} = {}: allowed are true and false", full(key), text_of(*node));
    return otherwise;
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
    if (node == nullptr) {
      complain(table_, "no \"{}\"", full(key));
      return least;
    }
    std::optional<bytes> size;
    if (const auto value = node->value_exact<std::int64_t>(); value && *value >= 0) {
      size = bytes{static_cast<std::uint64_t>(*value)};
    } else if (const auto text = node->value_exact<std::string>()) {
      size = parse_size(*text);
    }
    if (size && size->value() % page_bytes == 0 && size->frames() >= least &&
        *size <= most_memory) {
      return size->frames();
    }
    complain(*node,
             "{} = {}: allowed are multiples of 4 KiB from {} to {}, as a number of bytes or as "
             "\"16 GiB\" (units B, KiB, MiB, GiB, TiB)",
             full(key), text_of(*node), bytes{least * page_bytes}, most_memory);
    return least;
  }

  // Calls read(table_reader&) for `[key]`.
  template <class Read>
  void table(std::string_view key, Read read) {
    const auto* node = table_.get(key);
    if (node == nullptr) return;
    if (const auto* table = node->as_table()) {
      table_reader inner{*table, file_, key, problem_};
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
    for (const auto& one : *array) {
      table_reader inner{*one.as_table(), file_, key, problem_};
      read(inner);
    }
  }

  template <class... Args>
  void complain(const toml::node& where, fmt::format_string<Args...> text, Args&&... args) {
    if (problem_) return;
    problem_ = error{errc::malformed, fmt::format("{}:{}: {}", file_, where.source().begin.line,
                                                  fmt::format(text, std::forward<Args>(args)...))};
  }
  template <class... Args>
  void complain_about(std::string_view key, fmt::format_string<Args...> text, Args&&... args) {
    const auto* node = table_.get(key);
    complain(node == nullptr ? static_cast<const toml::node&>(table_) : *node, text,
             std::forward<Args>(args)...);
  }

 private:
  [[nodiscard]] std::string full(std::string_view key) const {
    return path_.empty() ? std::string{key} : fmt::format("{}.{}", path_, key);
  }

  static std::string text_of(const toml::node& node) {
    if (const auto text = node.value_exact<std::string>()) {
      return fmt::format("\"{}\"", escaped(*text, shown_text));
    }
    if (const auto value = node.value_exact<std::int64_t>()) return fmt::to_string(*value);
    if (const auto value = node.value_exact<double>()) return fmt::to_string(*value);
    if (const auto value = node.value_exact<bool>()) return *value ? "true" : "false";
    if (node.is_table()) return "a table";
    return node.is_array() ? "an array" : "a date or time";
  }

  const toml::table& table_;
  std::string_view file_;
  std::string_view path_;
  std::optional<error>& problem_;
};

memory_map read_memory(table_reader& top) {
  constexpr frame_count least_memory = (2_MiB).frames();
  if (top.has("memory") == top.has("region")) {
    top.complain_about("memory", "a machine file has either \"memory\" or [[region]] tables");
    return memory_map::x86_64(2_MiB);
  }
  if (top.has("memory")) {
    return memory_map::x86_64(bytes{top.frames("memory", least_memory) * page_bytes});
  }
  std::vector<memory_region> regions;
  top.tables("region", [&](table_reader& region) {
    static constexpr std::array<std::string_view, 3> keys{"start", "size", "kind"};
    region.allow_only(keys);
    memory_region r{.first = pfn{region.frames("start", 0)}, .count = region.frames("size", 1)};
    const auto kind = region.word("kind", "ram");
    constexpr std::array kinds{region_kind::ram, region_kind::reserved, region_kind::undescribed};
    const auto* const found =
        std::ranges::find(kinds, kind, static_cast<std::string (*)(region_kind)>(&to_text));
    if (found == kinds.end()) {
      region.complain_about("kind", "region.kind = \"{}\": allowed are ram, reserved, undescribed",
                            escaped(kind, shown_text));
    } else {
      r.kind = *found;
    }
    regions.push_back(r);
  });
  return memory_map{std::move(regions)};
}

tuning read_tuning(table_reader& table) {
  static constexpr std::array<std::string_view, 6> keys{
      "min_free_kbytes",        "transparent_hugepages",         "watermark_scale_factor",
      "watermark_boost_factor", "percpu_pagelist_high_fraction", "pcp_batch_scale_max"};
  constexpr std::uint64_t most = std::numeric_limits<std::int32_t>::max();
  table.allow_only(keys);
  tuning t;
  const auto set = [&](unsigned& member, std::string_view key, std::uint64_t least,
                       std::uint64_t limit) {
    member = static_cast<unsigned>(table.number(key, member, least, limit));
  };
  if (table.has("min_free_kbytes")) {
    t.min_free_kbytes = table.number("min_free_kbytes", 1, 1, most);
  }
  t.transparent_hugepages = table.truth("transparent_hugepages", t.transparent_hugepages);
  set(t.watermark_scale_factor, "watermark_scale_factor", 1, 3000);
  set(t.watermark_boost_factor, "watermark_boost_factor", 0, most);
  set(t.percpu_pagelist_high_fraction, "percpu_pagelist_high_fraction", 0, most);
  set(t.pcp_batch_scale_max, "pcp_batch_scale_max", 0, 6);
  return t;
}

page_allocator_config read_config(table_reader& top) {
  static constexpr std::array<std::string_view, 7> keys{
      "memory", "region", "cpus", "profile", "movable_zone", "cma", "tuning"};
  constexpr std::uint64_t most_cpus = 4096;
  top.allow_only(keys);
  page_allocator_config config{.memory = read_memory(top)};
  config.cpus = static_cast<unsigned>(top.number("cpus", 1, 1, most_cpus));
  const auto profile = find_profile(top.word("profile", config.profile.name));
  if (profile) {
    config.profile = *profile;
  } else {
    top.complain_about("profile", "profile: {}", profile.error());
  }
  if (top.has("movable_zone")) config.movable_zone = top.frames("movable_zone", 0);
  top.tables("cma", [&](table_reader& area) {
    static constexpr std::array<std::string_view, 2> area_keys{"base", "size"};
    area.allow_only(area_keys);
    config.cma_areas.push_back({pfn{area.frames("base", 0)}, area.frames("size", 1)});
  });
  top.table("tuning", [&](table_reader& table) { config.settings = read_tuning(table); });
  return config;
}

// The text with a question mark for every byte that is not ASCII. Only a comment may have one, and
// toml++ 3.3 reaches a __builtin_unreachable() on some characters where it looks for blanks.
std::string ascii_only(std::string_view text) {
  std::string ascii{text};
  std::ranges::replace_if(ascii, [](char c) { return static_cast<unsigned char>(c) > 127; }, '?');
  return ascii;
}

}  // namespace

std::expected<page_allocator_config, error> parse_machine(std::string_view text,
                                                          std::string_view name) {
  std::optional<error> problem;
  try {
    const auto table = toml::parse(ascii_only(text), name);
    table_reader top{table, name, "", problem};
    auto config = read_config(top);
    if (!problem) validate(config.settings);
    if (problem) return std::unexpected{std::move(*problem)};
    return config;
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

}  // namespace memsim
