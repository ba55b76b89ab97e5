// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/machine_description.hpp>

#include <algorithm>
#include <system_error>

#include "core/read_file.hpp"

namespace memsim {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view zoneinfo_name = "zoneinfo";

// The captured zoneinfo that a path stands for.
std::expected<fs::path, error> find_zoneinfo(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path;
  for (const auto* name : {"zoneinfo", "zoneinfo.before"}) {
    if (fs::exists(path / name, ignored)) return path / name;
  }
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator{path, ignored}) {
    if (entry.path().filename().string().ends_with(".zoneinfo.before")) {
      found.push_back(entry.path());
    }
  }
  if (found.size() == 1) return found.front();
  return fail(errc::io, "{}: {} in this directory", path.string(),
              found.empty() ? "no zoneinfo, zoneinfo.before or *.zoneinfo.before"
                            : "more than one *.zoneinfo.before");
}

// `X.buddyinfo.before` for `X.zoneinfo.before`; nothing if the name has no `zoneinfo`.
std::optional<fs::path> sibling(const fs::path& zoneinfo, std::string_view kind) {
  auto name = zoneinfo.filename().string();
  const auto at = name.rfind(zoneinfo_name);
  if (at == std::string::npos) return std::nullopt;
  name.replace(at, zoneinfo_name.size(), kind);
  return zoneinfo.parent_path() / name;
}

using add_function = std::expected<void, error> (*)(machine_description&, std::string_view,
                                                    std::string_view);

std::expected<void, error> add_sibling(machine_description& machine, const fs::path& zoneinfo,
                                       std::string_view kind, add_function add) {
  const auto path = sibling(zoneinfo, kind);
  std::error_code ignored;
  if (!path || !fs::exists(*path, ignored)) return {};
  const auto text = detail::read_file(*path);
  if (!text) return std::unexpected{text.error()};
  return add(machine, *text, path->string());
}

}  // namespace

pfn machine_description::end() const { return zones.empty() ? pfn{0} : zones.back().extent.end(); }

unsigned machine_description::cpus() const {
  return zones.empty() ? 0 : static_cast<unsigned>(zones.front().pagesets.size());
}

kernel_profile machine_description::profile() const {
  const bool adaptive = std::ranges::any_of(zones, [](const described_zone& z) {
    return std::ranges::any_of(z.pagesets,
                               [](const described_pageset& p) { return p.high_min.has_value(); });
  });
  return adaptive ? linux_6_12 : linux_6_1;
}

std::expected<machine_description, error> load_capture(const std::filesystem::path& path) {
  const auto zoneinfo = find_zoneinfo(path);
  if (!zoneinfo) return std::unexpected{zoneinfo.error()};
  const auto text = detail::read_file(*zoneinfo);
  if (!text) return std::unexpected{text.error()};
  auto machine = parse_zoneinfo(*text, zoneinfo->string());
  if (!machine) return machine;
  if (auto ok = add_sibling(*machine, *zoneinfo, "buddyinfo", add_buddyinfo); !ok) {
    return std::unexpected{ok.error()};
  }
  if (auto ok = add_sibling(*machine, *zoneinfo, "pagetypeinfo", add_pagetypeinfo); !ok) {
    return std::unexpected{ok.error()};
  }
  return machine;
}

}  // namespace memsim
