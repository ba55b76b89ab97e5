// SPDX-License-Identifier: Apache-2.0
// memsim run as a shell runs it.
#include <string>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "run_program.hpp"

using namespace memsim::test;

namespace {

const std::string small = R"(duration = "10 ms"
[machine]
memory = "64 MiB"
[[policy]]
name = "merged"
[[actor]]
name = "tenant"
memory = "secret"
size = "64 KiB"
)";

}  // namespace

SCENARIO("a scenario is run", "[cli][run]") {
  temporary_directory scratch;
  scratch.write("s.toml", small);
  const auto run = run_program(scratch, "run s.toml -o out");
  CHECK(run.status == 0);
  CHECK(run.complaints == "");
  CHECK_THAT(run.out, ContainsSubstring("merged: tenant") && ContainsSubstring("SIGBUS"));
  const auto json = nlohmann::json::parse(scratch.read("out/results.json"));
  CHECK(json["policies"][0]["actors"][0]["pages"] == 16);
  CHECK(scratch.read("out/samples.csv").starts_with("policy,time [s],"));
  THEN("as JSON, with another seed and size") {
    const auto other = run_program(scratch, "run s.toml --json --seed 9 --set machine.cpus=2");
    CHECK(nlohmann::json::parse(other.out)["seed"] == 9);
  }
}

SCENARIO("a scenario is only checked", "[cli][run]") {
  temporary_directory scratch;
  scratch.write("s.toml", small);
  const auto good = run_program(scratch, "run --check s.toml");
  CHECK(good.status == 0);
  CHECK(good.out == "s.toml: 1 policies, 1 actors: valid\n");
  scratch.write("bad.toml", small + "sise = 3\n");
  const auto bad = run_program(scratch, "run --check bad.toml");
  CHECK(bad.status == 2);
  CHECK(bad.out == "");
  CHECK_THAT(bad.complaints,
             ContainsSubstring("memsim run: bad.toml:10: unknown key \"actor.sise\"; there are"));
  scratch.write("area.toml", small +
                                 "[[policy]]\nname = \"v16\"\nsecretmem = \"v16\"\n"
                                 "secretmem_area = \"1 GiB\"\n");
  CHECK(run_program(scratch, "run --check area.toml").status == 2);
}

SCENARIO("what cannot be run is said", "[cli][run]") {
  temporary_directory scratch;
  scratch.write("s.toml", small);
  CHECK(run_program(scratch, "run none.toml").status == 2);
  CHECK_THAT(run_program(scratch, "run s.toml --set duration").complaints,
             ContainsSubstring("--set duration: KEY=VALUE is wanted"));
  CHECK_THAT(run_program(scratch, "run s.toml --set duration=1").complaints,
             ContainsSubstring("duration = 1: a time such as \"20 ms\" is wanted"));
  scratch.write("ageing.toml",
                "[machine]\nmemory = \"64 MiB\"\n[ageing]\nrecipe = \"build_farm\"\n");
  CHECK_THAT(run_program(scratch, "run ageing.toml").complaints,
             ContainsSubstring("no [[actor]]: there is nothing to run"));
  CHECK_THAT(run_program(scratch, "sweep s.toml --vary seed=1,2").complaints,
             ContainsSubstring("it has actors, which a sweep does not run"));
}
