// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Scenarios given as text, run.

#include <string>

#include <memsim/metrics/experiment.hpp>

#include "catch.hpp"

namespace memsim::test {

inline scenario parse_or_fail(const std::string& text) {
  auto read = parse_scenario(text, "s.toml");
  if (!read) FAIL(read.error().message());
  return *read;
}

inline experiment_results run_or_fail(const std::string& text) {
  auto results = run_experiment(parse_or_fail(text));
  if (!results) FAIL(results.error().message());
  return *results;
}

}  // namespace memsim::test
