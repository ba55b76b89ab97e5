// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/scenario.hpp>

#include <string>
#include <vector>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr std::string_view smallest =
    "[machine]\nmemory = \"1 GiB\"\n[ageing]\nrecipe = \"build_farm\"\n";

scenario parse(std::string_view text, const std::vector<scenario_setting>& settings = {}) {
  auto read = parse_scenario(text, "s.toml", settings);
  INFO(text);
  if (!read) FAIL(read.error().message());
  return *read;
}

std::string complaint(std::string_view text, const std::vector<scenario_setting>& settings = {}) {
  const auto read = parse_scenario(text, "s.toml", settings);
  INFO(text);
  REQUIRE_FALSE(read);
  return read.error().message();
}

}  // namespace

TEST_CASE("a scenario needs a machine's memory and a recipe only", "[workload]") {
  const auto s = parse(smallest);
  CHECK(s.machine.memory == memory_map::x86_64(1_GiB));
  CHECK(s.machine.seed == 1);
  CHECK(s.ageing == ageing_plan{.recipe = "build_farm"});
}

TEST_CASE("a scenario sets all of a machine and of its ageing", "[workload]") {
  const auto s = parse(R"(
seed = 7
[machine]
memory = "2 GiB"
cpus = 3
profile = "linux_6_1"
[machine.tuning]
watermark_scale_factor = 100
[ageing]
recipe = "build_farm"
occupancy = 0.5
peak = 1
unmovable_share = 0.25
turnover = 3
[recipe.build_farm]
jobs = 12
output = 1
[recipe.unmovable_burst]
burst = 0.5
)");
  CHECK(s.machine.memory == memory_map::x86_64(2_GiB));
  CHECK(s.machine.cpus == 3);
  CHECK(s.machine.profile == linux_6_1);
  CHECK(s.machine.settings.watermark_scale_factor == 100);
  CHECK(s.machine.seed == 7);
  CHECK(s.ageing == ageing_plan{.recipe = "build_farm",
                                .occupancy = 0.5,
                                .peak = 1,
                                .unmovable_share = 0.25,
                                .turnover = 3,
                                .parameters = {{"jobs", 12}, {"output", 1}},
                                .seed = 7});
}

TEST_CASE("what does not belong in a scenario is named with its place and what may be there",
          "[workload]") {
  const std::string text{smallest};
  CHECK(complaint("sede = 1\n" + text) ==
        "s.toml:1: unknown key \"sede\"; there are question, seed, machine, ageing, recipe, "
        "duration, sample_interval, policy, actor, background; is \"seed\" meant?");
  CHECK(complaint(text + "ocupancy = 0.5") ==
        "s.toml:5: unknown key \"ageing.ocupancy\"; there are recipe, occupancy, peak, "
        "unmovable_share, turnover; is \"occupancy\" meant?");
  CHECK(complaint(text + "occupancy = 1.5") ==
        "s.toml:5: ageing.occupancy = 1.5: allowed are 0.01 to 0.98");
  CHECK_THAT(complaint(text + "occupancy = nan"), ContainsSubstring("allowed are 0.01 to 0.98"));
  CHECK(complaint(text + "[recipe.build_farm]\njob = 1") ==
        "s.toml:6: unknown key \"recipe.build_farm.job\"; there are jobs, process_share, output, "
        "kernel_churn; is \"jobs\" meant?");
  CHECK(complaint(text + "[recipe.build_farm]\njobs = 1.5") ==
        "s.toml:6: recipe.build_farm.jobs = 1.5: allowed are whole numbers, 1 to 4096");
  CHECK_THAT(complaint(text + "[recipe.farm]"), ContainsSubstring("unknown key \"recipe.farm\""));
  CHECK_THAT(complaint("[machine]\nmemory = \"1 GiB\"\nseed = 3\n[ageing]\nrecipe = \"x\""),
             ContainsSubstring("s.toml:3: machine.seed: a scenario has one seed, at its top"));
  CHECK_THAT(
      complaint("[machine]\nmemory = \"1 GiB\"\n[ageing]\nrecipe = \"farm\""),
      ContainsSubstring("s.toml:4: ageing.recipe: no recipe \"farm\"; there are build_farm"));
  CHECK_THAT(complaint("[machine]\nmemory = \"1 GiB\"\n[ageing]\n"),
             ContainsSubstring("no \"ageing.recipe\""));
  CHECK_THAT(complaint("[machine]\nmemory = \"1 GiB\"\n"), ContainsSubstring("no table [ageing]"));
  CHECK_THAT(complaint("[ageing]\nrecipe = \"build_farm\"\n"),
             ContainsSubstring("no table [machine]"));
  CHECK_THAT(complaint("machine = 3\nageing = 4"), ContainsSubstring("machine = 3: a table"));
  CHECK_THAT(complaint("[machine]\nmemory = \"1 GiB\"\ncores = 1\n[ageing]\nrecipe = \"x\""),
             ContainsSubstring("s.toml:3: unknown key \"machine.cores\""));
}

TEST_CASE("parameters of recipes that are not run are looked at, and unused", "[workload]") {
  const std::string text{smallest};
  CHECK(parse(text + "[recipe.unmovable_burst]\nburst = 0.5").ageing->parameters.empty());
  CHECK_THAT(complaint(text + "[recipe.unmovable_burst]\nburst = 2"),
             ContainsSubstring("recipe.unmovable_burst.burst = 2: allowed are 0.01 to 0.8"));
}

TEST_CASE("settings say a file's values anew, or add some", "[workload]") {
  const auto s = parse(smallest, {{"machine.memory", "2 GiB"},
                                  {"machine.cpus", "4"},
                                  {"machine.tuning.watermark_boost_factor", "0"},
                                  {"ageing.recipe", "unmovable_burst"},
                                  {"recipe.unmovable_burst.burst", "0.5"},
                                  {"seed", "9"}});
  CHECK(s.machine.memory == memory_map::x86_64(2_GiB));
  CHECK(s.machine.cpus == 4);
  CHECK(s.machine.settings.watermark_boost_factor == 0);
  CHECK(s.ageing->recipe == "unmovable_burst");
  CHECK(s.ageing->parameters == recipe_values{{"burst", 0.5}});
  CHECK(s.ageing->seed == 9);
  // In quotes, as in the file, is the same.
  CHECK(parse(smallest, {{"ageing.recipe", "\"unmovable_burst\""}}).ageing->recipe ==
        "unmovable_burst");
}

TEST_CASE("a setting that does not fit is named", "[workload]") {
  CHECK(complaint(smallest, {{"ageing.occupancy", "2"}}) ==
        "s.toml: ageing.occupancy = 2: allowed are 0.01 to 0.98 (with ageing.occupancy=2)");
  CHECK_THAT(complaint(smallest, {{"ageing.recpie", "x"}}),
             ContainsSubstring("unknown key \"ageing.recpie\""));
  CHECK_THAT(complaint(smallest, {{"ageing.recipe.jobs", "3"}}),
             ContainsSubstring("ageing.recipe.jobs: recipe is no table"));
  CHECK_THAT(complaint(smallest, {{"ageing", "3"}}), ContainsSubstring("ageing = 3: a table"));
  CHECK_THAT(complaint(smallest, {{"", "3"}}), ContainsSubstring("unknown key \"\""));
  // A value is one value: it cannot bring further keys along.
  CHECK_THAT(complaint(smallest, {{"machine.cpus", "1\nseed = 5"}}),
             ContainsSubstring("machine.cpus = \"1\\nseed = 5\""));
}
