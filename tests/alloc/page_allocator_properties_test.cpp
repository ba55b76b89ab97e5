// SPDX-License-Identifier: Apache-2.0
// Random operations on random machines: the allocator must agree with the reference model on every
// frame, fallback and number, keep its invariants, and refuse misuse without a trace.
//
//     MEMSIM_PROPERTY_OPERATIONS=10000000 memsim_tests '[properties]'
//     RC_PARAMS="seed=42 verbose_progress=1" memsim_tests '[properties]'
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>

#include <rapidcheck.h>

#include <rapidcheck/detail/TestListenerAdapter.h>

#include "alloc/property_run.hpp"
#include "catch.hpp"

using namespace memsim;
using namespace memsim::properties;

namespace {

std::uint64_t wanted_operations() {
  const char* text = std::getenv("MEMSIM_PROPERTY_OPERATIONS");
  return text != nullptr ? std::stoull(text) : 1'000'000;
}

// Operations repeat themselves, so that a case of some 60 makes about 2000 calls.
constexpr int longest_case = 120;
constexpr std::uint64_t calls_per_case = 2000;
constexpr std::uint64_t calls_between_comparisons = 300;

rc::detail::TestParams parameters(std::uint64_t calls) {
  rc::detail::Configuration defaults;
  defaults.testParams.seed = 20'240'601;
  defaults.testParams.maxSuccess = static_cast<int>(calls / calls_per_case + 1);
  const char* text = std::getenv("RC_PARAMS");
  return rc::detail::configFromString(text != nullptr ? text : "", defaults).testParams;
}

// \return the calls made
std::uint64_t check_against_model(const kernel_profile& profile, std::uint64_t wanted_calls) {
  const auto operations =
      rc::gen::resize(longest_case, rc::gen::container<std::vector<operation>>(any_operation()));
  std::uint64_t calls = 0;
  const auto property = [&] {
    const auto m = *any_machine().as("machine");
    const auto todo = *operations.as("operations");
    side_by_side both{m, config_of(m, profile)};
    std::uint64_t compared_at = 0;
    for (const auto& op : todo) {
      both.perform(op);
      if (both.calls() - compared_at >= calls_between_comparisons) {
        compared_at = both.calls();
        both.compare();
      }
      if (both.difference()) RC_FAIL(*both.difference());
    }
    both.compare();
    if (both.difference()) RC_FAIL(*both.difference());
    calls += both.calls();
  };
  const auto params = parameters(wanted_calls);
  rc::detail::TestListenerAdapter listener;
  const auto result =
      rc::detail::checkTestable(property, rc::detail::TestMetadata{}, params, listener);
  std::ostringstream report;
  rc::detail::printResultMessage(result, report);
  std::cout << fmt::format("{}: {} operations, seed {}: {}\n", profile.name, calls, params.seed,
                           result.is<rc::detail::SuccessResult>() ? "all agree" : "a difference");
  INFO(report.str());
  CHECK(result.is<rc::detail::SuccessResult>());
  return calls;
}

}  // namespace

TEST_CASE("random operations under Linux 6.1 agree with the reference model",
          "[alloc][properties]") {
  CHECK(check_against_model(linux_6_1, wanted_operations() / 2) >= wanted_operations() / 2);
}

TEST_CASE("random operations under Linux 6.12 agree with the reference model",
          "[alloc][properties]") {
  CHECK(check_against_model(linux_6_12, wanted_operations() / 2) >= wanted_operations() / 2);
}
