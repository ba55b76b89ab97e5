// SPDX-License-Identifier: Apache-2.0
// Scenario files of any bytes, and settings for them: lines `KEY=VALUE` after a zero byte. What can
// be read and is small is run.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/metrics/experiment.hpp>
#include <memsim/metrics/scenario_run.hpp>

namespace {

using namespace memsim;

void require(bool holds) {
  if (!holds) std::abort();
}

std::vector<scenario_setting> settings_of(std::string_view text) {
  std::vector<scenario_setting> settings;
  constexpr std::size_t most = 16;
  while (!text.empty() && settings.size() < most) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    settings.push_back({std::string{line.substr(0, equals)}, std::string{line.substr(equals + 1)}});
  }
  return settings;
}

bool is_small(const scenario& s) {
  if (s.machine.memory.end() > pfn{(64_MiB).frames()} || s.machine.cpus > 4) return false;
  return !s.ageing || s.ageing->turnover <= 0.5;
}

// What can be run in a moment.
bool is_short(const scenario& s) {
  using namespace std::chrono_literals;
  std::uint64_t processes = 0;
  bool modest = true;
  for (const auto& a : s.actors) {
    processes += a.processes;
    modest = modest && !a.greedy && a.size.most() <= 1024 && a.accesses_per_second <= 1e5;
  }
  if (const auto* load = s.background ? std::get_if<recipe_background>(&*s.background) : nullptr) {
    modest = modest && load->pages_per_second <= 1e6;
  } else {
    modest = modest && !s.background;
  }
  return modest && processes <= 8 && s.policies.size() <= 2 && s.duration <= 10ms &&
         s.duration / s.sample_interval <= 100;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const auto end = input.find('\0');
  const auto text = input.substr(0, end);
  const auto settings = settings_of(end == std::string_view::npos ? "" : input.substr(end + 1));
  const auto read = parse_scenario(text, "scenario.toml", settings);
  if (!read) {
    require(!read.error().message().empty() && read.error().message().size() < 8000);
    return 0;
  }
  require(!read->ageing || check(*read->ageing).has_value());
  if (!is_small(*read)) return 0;
  if (read->actors.empty()) {
    const auto result = run_scenario(*read);
    require(result || !result.error().message().empty());
  } else if (is_short(*read)) {
    const auto results = run_experiment(*read);
    if (!results) {
      require(!results.error().message().empty());
    } else {
      // What was written can be read.
      const auto back = parse_experiment(json_of(*results), csv_of(*results));
      require(back && json_of(*back) == json_of(*results));
    }
  }
  return 0;
}
