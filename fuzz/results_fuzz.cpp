// SPDX-License-Identifier: Apache-2.0
// Results of any bytes: results.json, a zero byte, samples.csv. Of what can be read the tables and
// files are written again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <memsim/metrics/experiment.hpp>
#include <memsim/metrics/results.hpp>

namespace {

using namespace memsim;

void require(bool holds) {
  if (!holds) std::abort();
}

void check_error(const error& why) {
  require(!why.message().empty() && why.message().size() < 2000);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const auto end = input.find('\0');
  const auto text = input.substr(0, end);
  const auto samples = end == std::string_view::npos ? std::string_view{} : input.substr(end + 1);
  if (const auto results = parse_results(text, samples)) {
    require(!json_of(*results).empty() && !csv_of(results->samples).empty());
  } else {
    check_error(results.error());
  }
  if (const auto results = parse_experiment(text, samples)) {
    require(!json_of(*results).empty() && !table_of(*results).empty());
    require(!csv_of(*results).empty());
  } else {
    check_error(results.error());
  }
  return 0;
}
