// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A sweep of 24 points on small machines, and the tables that it leaves.

#include <algorithm>
#include <string>
#include <string_view>

#include "temporary_directory.hpp"

namespace memsim::test {

inline constexpr std::string_view scenario_text = R"(
[machine]
memory = "64 MiB"
cpus = 2
[ageing]
recipe = "build_farm"
turnover = 1
)";

inline const std::string points =
    " --vary ageing.recipe=build_farm,fill_shuffle_free,memory_pressure,order_mixed_churn"
    " --vary ageing.occupancy=0.4,0.6,0.8"
    " --vary machine.profile=linux_6_1,linux_6_12";

struct tables {
  std::string csv;
  std::string json;

  friend bool operator==(const tables&, const tables&) = default;
};

inline tables read_tables(const temporary_directory& scratch, const std::string& directory) {
  return {.csv = scratch.read(directory + "/results.csv"),
          .json = scratch.read(directory + "/results.json")};
}

inline std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

}  // namespace memsim::test
