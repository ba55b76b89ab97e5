// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/cost_file.hpp>

#include <memsim/arch/cpu_presets.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

std::string message(std::string_view text) {
  const auto costs = parse_costs(text, "c.toml");
  return costs ? std::string{"accepted"} : costs.error().message();
}

}  // namespace

SCENARIO("a cost file sets prices and says where they come from", "[workload][cost_file]") {
  const auto costs = parse_costs(
      "name = \"mine\"\n"
      "[price]\n"
      "ipis = 250\n"
      "entries_written = 0.5\n"
      "tlb_page_flushes = { ns = 81.5, source = \"perf\" }\n"
      "tlb_full_flushes = { ns = 1 }\n",
      "c.toml");
  REQUIRE(costs);
  CHECK(costs->name() == "mine");
  CHECK(costs->of("ipis") == price{picoseconds{250'000}, "c.toml"});
  CHECK(costs->of("entries_written") == price{picoseconds{500}, "c.toml"});
  CHECK(costs->of("tlb_page_flushes") == price{picoseconds{81'500}, "perf"});
  CHECK(costs->of("tlb_full_flushes") == price{picoseconds{1000}, "c.toml"});
  CHECK(costs->of("pages_zeroed") == default_costs().of("pages_zeroed"));
}

SCENARIO("a cost file may start from nothing", "[workload][cost_file]") {
  const auto costs = parse_costs("base = \"none\"\n[price]\nipis = 1\n", "c.toml");
  REQUIRE(costs);
  CHECK(costs->name() == "c.toml");
  CHECK(costs->price_of({.pages_zeroed = 5, .ipis = 2}) == picoseconds{2000});
  CHECK(parse_costs("", "c.toml")->prices() == default_costs().prices());
}

SCENARIO("a cost file that does not fit is refused with its line", "[workload][cost_file]") {
  CHECK_THAT(
      message("[price]\npage_zeroed = 1\n"),
      ContainsSubstring("c.toml:2: unknown key \"price.page_zeroed\"; there are pages_zeroed"));
  CHECK_THAT(message("[price]\nipis = -1\n"),
             ContainsSubstring("c.toml:2: price.ipis = -1: allowed are 0 to 1000000000"));
  CHECK_THAT(message("[price]\nipis = nan\n"), ContainsSubstring("c.toml:2: price.ipis = nan"));
  CHECK_THAT(message("[price]\nipis = \"1\"\n"), ContainsSubstring("price.ipis = \"1\": allowed"));
  CHECK_THAT(message("[price]\nipis = { source = \"x\" }\n"),
             ContainsSubstring("c.toml:2: no \"price.ipis.ns\""));
  CHECK_THAT(message("[price]\nipis = { ns = 1, by = \"x\" }\n"),
             ContainsSubstring("unknown key \"price.ipis.by\""));
  CHECK_THAT(
      message("base = \"intel\"\n"),
      ContainsSubstring("c.toml:1: base = \"intel\": allowed are default, none, skylake_sp"));
  const auto zen = parse_costs("base = \"zen4\"\nname = \"mine\"\n", "c.toml");
  REQUIRE(zen);
  CHECK(*zen == presets::zen4().costs.named("mine"));
  CHECK_THAT(message("price = 3\n"), ContainsSubstring("c.toml:1: price = 3: a table [price]"));
  CHECK_THAT(message("= 3\n"), ContainsSubstring("c.toml:1: "));
  CHECK(load_costs("/nonexistent/c.toml").error().code() == errc::io);
}
