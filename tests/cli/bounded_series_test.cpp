// SPDX-License-Identifier: Apache-2.0
#include "cli/bounded_series.hpp"

#include <array>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

// Offers a row at every multiple of 1 ms up to `last`.
time_series offered(int last, std::size_t most_rows) {
  cli::bounded_series series{{{"value", "1", "the millisecond"}}, 1ms, most_rows};
  for (int i = 0; i <= last; ++i) {
    const std::chrono::milliseconds time{i};
    if (series.is_due(time)) series.add(time, std::array{static_cast<double>(i)});
  }
  return series.rows();
}

}  // namespace

TEST_CASE("a bounded series keeps all rows while there are few", "[cli]") {
  const auto rows = offered(7, 8);
  REQUIRE(rows.rows() == 8);
  CHECK(rows.time(7) == 7ms);
}

TEST_CASE("a bounded series thins itself out evenly, and never grows", "[cli]") {
  const auto rows = offered(100'000, 8);
  CHECK(rows.rows() >= 4);
  REQUIRE(rows.rows() <= 8);
  CHECK(rows.time(0) == 0ms);
  const auto interval = rows.time(1);
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    CHECK(rows.time(row) == static_cast<std::int64_t>(row) * interval);
    CHECK(rows.values(row)[0] * 1e6 == static_cast<double>(rows.time(row).count()));
  }
  CHECK(rows.time(rows.rows() - 1) + interval > 100'000ms);
}

TEST_CASE("the last row of a bounded series may come early, or at the end of time", "[cli]") {
  cli::bounded_series series{{{"value", "1", "nothing"}}, 10ms, 8};
  series.add(0ms, std::array{0.0});
  CHECK_FALSE(series.is_due(3ms));
  series.add(3ms, std::array{1.0});
  CHECK(series.rows().rows() == 2);
  series.add(std::chrono::nanoseconds::max(), std::array{2.0});
  CHECK(series.rows().rows() == 3);
}
