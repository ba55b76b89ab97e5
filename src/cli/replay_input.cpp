// SPDX-License-Identifier: Apache-2.0
#include "replay_input.hpp"

#include <algorithm>
#include <array>
#include <iostream>
#include <sstream>
#include <system_error>
#include <utility>

#include <memsim/workload/trace_hints.hpp>

#include "input_file.hpp"
#include "progress.hpp"

namespace memsim::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view standard_input = "-";

/// The file of this name that belongs to a trace: beside `small.trace` the file `small.NAME`, else
/// `NAME`.
std::optional<fs::path> find_beside(const std::string& trace, std::string_view name) {
  if (trace == standard_input) return std::nullopt;
  const fs::path path{trace};
  const auto directory = path.parent_path();
  const std::array candidates{directory / fmt::format("{}.{}", path.stem().string(), name),
                              directory / name};
  for (const auto& candidate : candidates) {
    std::error_code ignored;
    if (fs::is_regular_file(candidate, ignored)) return candidate;
  }
  return std::nullopt;
}

}  // namespace

std::expected<trace_source, error> trace_source::open(const std::string& path) {
  trace_source source;
  source.name_ = path;
  if (path == standard_input) {
    source.name_ = "standard input";
    return source;
  }
  auto file = open_input(path);
  if (!file) return std::unexpected{std::move(file).error()};
  source.file_ = std::move(*file);
  std::error_code code;
  // A named pipe has no size, and cannot be read twice.
  if (fs::is_regular_file(path, code)) source.size_ = fs::file_size(path, code);
  return source;
}

ftrace_reader trace_source::read(strictness mode) {
  if (!file_.is_open()) return {std::cin, name_, mode};
  if (rereadable()) {
    file_.clear();
    file_.seekg(0);
  }
  return {file_, name_, mode};
}

std::expected<std::chrono::nanoseconds, error> read_ahead(trace_source& trace, strictness mode,
                                                          trace_hints* hints, progress& meter) {
  meter.begin(fmt::format("reading {}", trace.name()), trace.size());
  auto reader = trace.read(mode);
  std::optional<std::chrono::nanoseconds> first;
  std::chrono::nanoseconds last{};
  for (;;) {
    const auto event = reader.next();
    if (!event) return std::unexpected{event.error()};
    if (!*event) break;
    if (hints != nullptr) hints->add(**event);
    if (!first) first = (*event)->time;
    last = std::max(last, (*event)->time);
    meter.update(reader.bytes_read());
  }
  return last - first.value_or(last);
}

std::optional<fs::path> find_machine(const std::string& trace) {
  for (const auto* name : {"zoneinfo.before", "zoneinfo"}) {
    if (auto found = find_beside(trace, name)) return found;
  }
  return std::nullopt;
}

std::expected<std::vector<zone_order_counts>, error> recorded_buddyinfo(const std::string& trace) {
  const auto path = find_beside(trace, "buddyinfo.after");
  if (!path) return std::vector<zone_order_counts>{};
  std::ifstream file{*path, std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return fail(errc::io, "{}: cannot be read", path->string());
  return parse_buddyinfo(text.view(), path->string());
}

}  // namespace memsim::cli
