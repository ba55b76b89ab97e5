// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/time_series.hpp>

#include "catch.hpp"
#include "metrics/hand_made_zone.hpp"

using namespace memsim;
using namespace std::chrono_literals;

TEST_CASE("a series becomes comma-separated values with units in the header", "[metrics]") {
  time_series series{{{"free", "MiB", "memory free"}, {"unusable", "1", "index"}}};
  series.add(0s, std::array{1024.0, 0.1});
  series.add(1500ms, std::array{512.25, 1.0 / 3});
  CHECK(csv_of(series) ==
        "time [s],free [MiB],unusable [1]\n"
        "0.000000000,1024,0.1\n"
        "1.500000000,512.25,0.3333333333333333\n");
}

TEST_CASE("a series refuses what does not fit, and is then as before", "[metrics]") {
  time_series series{{{"a", "1", ""}, {"b", "1", ""}}};
  series.add(2s, std::array{1.0, 2.0});
  const auto before = series;
  CHECK_THROWS_WITH(series.add(3s, std::array{1.0}),
                    ContainsSubstring("1 values in a series of 2"));
  CHECK_THROWS_WITH(series.add(1s, std::array{1.0, 2.0}), ContainsSubstring("after one at 2 s"));
  CHECK_THROWS_AS(series.values(1), usage_error);
  CHECK_THROWS_WITH(series.column("c"), ContainsSubstring("named c"));
  CHECK(series == before);
  CHECK_THROWS_WITH((time_series{{{"a", "1", ""}, {"a", "s", ""}}}),
                    ContainsSubstring("two columns named a"));
}

TEST_CASE("the default metrics are read off the machine", "[metrics]") {
  const auto memory = test::machine_of({test::seven_pageblocks()});
  time_series series{columns_of(default_metrics())};
  series.add(0s, values_of(default_metrics(), memory));
  const auto value = [&](std::string_view name) { return series.values(0)[series.column(name)]; };
  CHECK(value("free") == Approx(2049 * 4.0 / 1024));
  CHECK(value("per_cpu") == Approx(4.0 / 1024));
  CHECK(value("unusable_order_9") == Approx((2049 - 1536) / 2049.0));
  CHECK(value("unusable_order_10") == Approx((2049 - 1024) / 2049.0));
  CHECK(value("fragmentation_order_9") == -1);
  CHECK(value("allocatable_2MiB") == Approx(3.0 / 7));
  CHECK(value("allocatable_2MiB_if_moved") == Approx(5.0 / 7));
  CHECK(value("unmovable_2MiB_blocks") == 2);
  CHECK(value("mixed_pageblocks") == 1);
  CHECK(value("movable_pageblocks") == 5);
  CHECK(value("unmovable_pageblocks") == 2);
  CHECK(value("longest_free_run") == 6);
  CHECK(value("fallbacks") == 0);
}
