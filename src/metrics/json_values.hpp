// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Values as JSON, for documents that hold several, and back. Keys keep the order they are given
/// in.
///
/// What reads throws nlohmann::json::exception or usage_error where a document is not what it
/// should be (read_document()).

#include <array>
#include <chrono>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/core/text.hpp>
#include <memsim/metrics/fragmentation.hpp>
#include <memsim/metrics/memory_picture.hpp>
#include <memsim/metrics/time_series.hpp>

namespace memsim::detail {

using json = nlohmann::ordered_json;

/// What the numbers of a measurement are counted in.
[[nodiscard]] json measurement_units();
[[nodiscard]] json to_json(const memory_measurement&);
[[nodiscard]] json to_json(const std::vector<statistic_value>&);
inline constexpr std::string_view picture_unit =
    "pageblocks from frame 0 on: the first letter of the migratetype and the frames in use, of "
    "512; "
    "a dot is a hole, *n means n times";
/// Cells from the first on, `U17` an unmovable pageblock with 17 frames in use, `M512*40` forty
/// movable ones that are full, `.` a hole.
[[nodiscard]] json to_json(const memory_picture&);
/// Unit and description of each column.
[[nodiscard]] json to_json(const std::vector<series_column>&);

[[nodiscard]] std::vector<statistic_value> statistics_from(const json&);
[[nodiscard]] memory_measurement measurement_from(const json&);
[[nodiscard]] memory_picture picture_from(const json&);
[[nodiscard]] std::vector<series_column> columns_from(const json&);
/// A line of csv_of(time_series) after its first.
void add_csv_row(time_series& into, std::string_view line);
/// Calls use(std::string_view) with each line after the first.
void for_each_row(std::string_view csv, auto use) {
  for (auto end = csv.find('\n'); end != std::string_view::npos;) {
    csv.remove_prefix(end + 1);
    end = csv.find('\n');
    if (!csv.empty()) use(csv.substr(0, end));
  }
}
/// Sixteen hexadecimal digits.
[[nodiscard]] digest digest_from(const json&);
[[nodiscard]] std::chrono::nanoseconds seconds_from(const json&);
/// The value that has the name.
template <class T, std::size_t N>
[[nodiscard]] T named_from(const json& name, const std::array<T, N>& all) {
  const auto text = name.get<std::string>();
  for (const auto value : all) {
    if (to_text(value) == text) return value;
  }
  throw_usage("\"{}\" is none of {} names", escaped(text, 80), N);
}

/// Calls read(const json&) with the document.
/// \return what it returns; errc::malformed if the text is no JSON, or not of this schema, or not
///         what read() makes sense of
template <class Read>
auto read_document(std::string_view text, std::string_view schema, Read read)
    -> std::expected<decltype(read(std::declval<const json&>())), error> {
  try {
    const auto document = json::parse(text);
    const auto found = document.at("schema").get<std::string>();
    if (found != schema) {
      return fail(errc::malformed, "results of schema \"{}\": wanted is \"{}\"", escaped(found, 80),
                  schema);
    }
    return read(document);
  } catch (const json::exception& e) {
    return fail(errc::malformed, "{}", escaped(e.what(), 200));
  } catch (const usage_error& e) {
    return fail(errc::malformed, "{}", escaped(e.what(), 200));
  }
}

}  // namespace memsim::detail
