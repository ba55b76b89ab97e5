// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/report.hpp>

#include <cstdlib>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "metrics/gnuplot.hpp"
#include "metrics/hand_made_zone.hpp"
#include "metrics/html.hpp"
#include "metrics/report_charts.hpp"
#include "metrics/report_picture.hpp"
#include "metrics/units.hpp"

using namespace memsim;
using namespace memsim::detail;
using namespace std::chrono_literals;

namespace {

run_results results_of_seven_pageblocks() {
  const auto memory = test::machine_of({test::seven_pageblocks()});
  run_results r;
  r.run = {.title = "replay of a<b>&c.trace",
           .command = "memsim replay 'a<b>&c.trace' --machine \"m\"",
           .input = "a<b>&c.trace",
           .machine = "m.zoneinfo.before",
           .profile = "linux_6_1",
           .seed = 7,
           .state = memory.state_digest(),
           .duration = 1500ms};
  r.statistics = {{"frees", "blocks", "blocks given back", 12'345}};
  r.before = r.after = measure(memory);
  r.picture_before = r.picture_after = take_picture(memory);
  r.samples = time_series{columns_of(default_metrics())};
  r.samples.add(0s, values_of(default_metrics(), memory));
  r.samples.add(1500ms, values_of(default_metrics(), memory));

  recording_comparison c;
  c.fallbacks[0][1] = 3;
  c.recorded_fallbacks[0][1] = 2;
  c.recorded_fallbacks[1][2] = 5;
  c.fallback_events = {
      {250ms, pfn{512}, order{0}, order{9}, migratetype::unmovable, migratetype::movable}};
  c.buddyinfo = buddyinfo_of(r.after);
  c.recorded_buddyinfo = c.buddyinfo;
  c.recorded_buddyinfo[0].free_blocks[0] = 42;
  r.recorded = c;
  return r;
}

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("results as JSON hold the run, its statistics, memory, and both sides", "[metrics]") {
  const auto document = nlohmann::json::parse(json_of(results_of_seven_pageblocks()));
  CHECK(document["schema"] == "memsim.results/1");
  CHECK(document["run"]["seed"] == 7);
  CHECK(document["run"]["profile"] == "linux_6_1");
  CHECK(document["run"]["duration_s"] == 1.5);
  CHECK(document["run"]["digest"].get<std::string>().size() == 16);
  CHECK(document["units"]["duration_s"] == "seconds by the clock of the trace");
  CHECK(document["statistics"]["frees"]["value"] == 12'345);
  CHECK(document["statistics"]["frees"]["unit"] == "blocks");
  CHECK(document["statistics"]["frees"]["description"] == "blocks given back");
  CHECK(document["after"]["machine"]["frames"]["free"] == 2049);
  const auto& comparison = document["comparison"];
  CHECK(comparison["memsim"]["fallbacks"]["Unmovable"]["Movable"] == 3);
  CHECK(comparison["memsim"]["first_fallbacks"][0]["pfn"] == 512);
  CHECK(comparison["recorded"]["fallbacks"]["Movable"]["Reclaimable"] == 5);
  CHECK(comparison["recorded"]["buddyinfo"]["DMA"][0] == 42);
}

TEST_CASE("a recorded machine whose end was not captured is null in the JSON", "[metrics]") {
  auto results = results_of_seven_pageblocks();
  results.recorded->recorded_buddyinfo.clear();
  const auto document = nlohmann::json::parse(json_of(results));
  CHECK(document["comparison"]["recorded"]["buddyinfo"].is_null());
}

TEST_CASE("names that are not UTF-8 do not keep results from being written", "[metrics]") {
  auto results = results_of_seven_pageblocks();
  results.run.input = "\xff.trace";
  CHECK_NOTHROW(nlohmann::json::parse(json_of(results)));
}

TEST_CASE("both sides of a comparison stand side by side in a table", "[metrics]") {
  auto c = *results_of_seven_pageblocks().recorded;
  CHECK(table_of(c) ==
        "Fallbacks                   memsim  recorded\n"
        "  Unmovable from Movable         3         2\n"
        "  Movable from Reclaimable       0         5\n"
        "  all                            3         7\n"
        "\n"
        "Free blocks at the end   0  1  2  3  4  5  6  7  8  9  10\n"
        "  DMA memsim             1  0  0  0  0  0  0  0  2  1   1\n"
        "  DMA recorded          42  0  0  0  0  0  0  0  2  1   1\n");
  c.fallbacks = {};
  c.recorded_fallbacks = {};
  CHECK_THAT(table_of(c), ContainsSubstring("none here, none in the recording"));
}

TEST_CASE("text from outside is escaped in the report", "[metrics]") {
  CHECK(html_escaped("<a href=\"x\">'&'</a>") ==
        "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
  const auto page = report_html(results_of_seven_pageblocks());
  CHECK_THAT(page, !ContainsSubstring("a<b>"));
  CHECK_THAT(page, ContainsSubstring("<title>memsim: replay of a&lt;b&gt;&amp;c.trace</title>"));
}

TEST_CASE("the report stands alone: it loads nothing", "[metrics]") {
  const auto page = report_html(results_of_seven_pageblocks());
  CHECK(page.starts_with("<!DOCTYPE html>"));
  CHECK_THAT(page, !ContainsSubstring("<script"));
  CHECK_THAT(page, !ContainsSubstring("<link"));
  CHECK_THAT(page, !ContainsSubstring("src=\"http"));
  CHECK_THAT(page, !ContainsSubstring("url("));
  CHECK(count_of(page, "src=\"") == count_of(page, "src=\"data:image/png;base64,"));
  CHECK(count_of(page, "<img") == 2);
}

TEST_CASE("the report shows both sides, the digest and how it was made", "[metrics]") {
  const auto results = results_of_seven_pageblocks();
  const auto page = report_html(results);
  CHECK_THAT(page, ContainsSubstring(to_text(results.run.state)));
  CHECK_THAT(page, ContainsSubstring("memsim replay &#39;a&lt;b&gt;&amp;c.trace&#39;"));
  CHECK_THAT(page, ContainsSubstring(
                       R"(<th scope="row">Unmovable from Movable</th><td>3</td><td>2</td>)"));
  CHECK_THAT(page, ContainsSubstring(R"(<th scope="row">difference</th><td>-41</td><td>0</td>)"));
  CHECK_THAT(page, ContainsSubstring("12 345"));
}

TEST_CASE("charts are drawn by gnuplot, or the report says that they are missing", "[metrics]") {
  const auto results = results_of_seven_pageblocks();
  const auto page = report_html(results);
  if (run_gnuplot("")) {
    CHECK(count_of(page, "<figure class=\"chart\">") == 6);
    CHECK(count_of(page, "<svg role=\"img\"") == 6);
    CHECK_THAT(page, !ContainsSubstring("rgb( 10,"));
    CHECK_THAT(page, !ContainsSubstring("charts are missing"));
  } else {
    CHECK_THAT(page, ContainsSubstring("charts are missing"));
  }

  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  const auto without = report_html(results);
  setenv("PATH", path.c_str(), 1);
  CHECK_THAT(without, ContainsSubstring("charts are missing: cannot run gnuplot"));
  CHECK(count_of(without, "<img") == 2);
}

TEST_CASE("what gnuplot complains of is an error", "[metrics]") {
  if (!run_gnuplot("")) return;
  CHECK(run_gnuplot("print 1\n").has_value());
  const auto wrong = run_gnuplot("set nonsense\n");
  REQUIRE_FALSE(wrong);
  CHECK_THAT(wrong.error().message(), ContainsSubstring("nonsense"));
}

TEST_CASE("a chart of many samples draws a part of them, the last one too", "[metrics]") {
  time_series series{{{"free", "MiB", ""}}};
  for (int i = 0; i <= 10'005; ++i) {
    series.add(std::chrono::seconds{i}, std::array{static_cast<double>(i)});
  }
  const auto charts = charts_of(series);
  REQUIRE(charts.size() == 1);
  const auto script = gnuplot_script(charts[0], series);
  CHECK(count_of(script, "\n") < 700);
  CHECK_THAT(script, ContainsSubstring("\n10005.000000 10005\nEND\n"));
}

TEST_CASE("an axis has a range though its line never changes", "[metrics]") {
  time_series series{{{"fallbacks", "events", ""}}};
  series.add(0s, std::array{0.0});
  CHECK_THAT(gnuplot_script(charts_of(series).at(0), series),
             ContainsSubstring("set yrange [0:1]"));
}

TEST_CASE("a long hole takes one line of the picture", "[metrics]") {
  memory_picture picture;
  const picture_cell memory{migratetype::movable, true, 0};
  picture.cells.assign(32 * 30, {});
  std::fill_n(picture.cells.begin(), 32, memory);
  std::fill_n(picture.cells.begin() + 32 * 3, 32, memory);
  std::fill_n(picture.cells.begin() + 32 * 29, 32, memory);
  const auto layout = lay_out(picture);
  CHECK(layout.width == 32);
  // Two lines of hole are drawn as they are, twenty-five are not.
  CHECK(layout.lines == std::vector<std::size_t>{0, 32, 64, 96, picture_layout::gap, 32 * 29});
}

TEST_CASE("a picture is not much higher than wide, but for a terabyte and more", "[metrics]") {
  memory_picture picture;
  picture.cells.assign(std::size_t{1} << 19, {migratetype::movable, true, 512});
  const auto layout = lay_out(picture);
  CHECK(layout.width == 512);
  CHECK(layout.lines.size() == 1024);

  picture.cells.resize(12'288);  // 24 GiB
  CHECK(lay_out(picture).width == 128);
}

TEST_CASE("numbers are written with three digits and a unit", "[metrics]") {
  CHECK(human_size(0) == "0");
  CHECK(human_size(1) == "4 KiB");
  CHECK(human_size(256) == "1.00 MiB");
  CHECK(human_size(3994) == "15.6 MiB");
  CHECK(human_size(262144 * 130) == "130 GiB");
  CHECK(human_size(frame_count{1} << 28) == "1.00 TiB");
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1'812'830) == "1 812 830");
  CHECK(percent(0.1234) == "12.3 %");
}
