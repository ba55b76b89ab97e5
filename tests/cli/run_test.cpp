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
  CHECK(json["policies"][0]["actors"][0]["first_failure_s"].is_null());
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
  CHECK_THAT(run_program(scratch, "run s.toml --seed -1").complaints, ContainsSubstring("--seed"));
  CHECK_THAT(run_program(scratch, "run .").complaints, ContainsSubstring("memsim run: .: "));
  // Of what only the machine shows the file is named, too.
  scratch.write("area.toml", small + "[[machine.cma]]\nbase = \"1 GiB\"\nsize = \"4 MiB\"\n");
  const auto area = run_program(scratch, "run --check area.toml");
  CHECK(area.status == 2);
  CHECK_THAT(area.complaints, ContainsSubstring("memsim run: area.toml"));
  scratch.write("zero.toml", small + "[background]\ntrace = \"/dev/zero\"\n");
  CHECK_THAT(run_program(scratch, "run --check zero.toml").complaints,
             ContainsSubstring("/dev/zero: cannot be read: it is no regular file"));
  // An event that no machine can do.
  scratch.write("order.trace",
                "a-1 [000] ..... 1.0: mm_page_alloc: page=0x1 pfn=0x1000 order=12 migratetype=0 "
                "gfp_flags=GFP_KERNEL\n");
  scratch.write("order.toml", small + "[background]\ntrace = \"order.trace\"\n");
  const auto checked = run_program(scratch, "run --check order.toml");
  CHECK(checked.status == 2);
  CHECK_THAT(checked.complaints, ContainsSubstring("order.toml: ") && ContainsSubstring("12"));
  const auto ran = run_program(scratch, "run order.toml");
  CHECK(ran.status == 0);
  CHECK_THAT(ran.complaints, ContainsSubstring("memsim run: warning: order.toml: merged: the "
                                               "background load ended early: "));
  CHECK_THAT(ran.out, ContainsSubstring("merged: the background load ended early: "));
}

SCENARIO("a report is drawn anew", "[cli][report]") {
  temporary_directory scratch;
  scratch.write("s.toml", "question = \"Who?\"\n" + small);
  REQUIRE(run_program(scratch, "run s.toml -o out").status == 0);
  const auto page = scratch.read("out/report.html");
  scratch.write("out/report.html", "");
  const auto drawn = run_program(scratch, "report out");
  CHECK(drawn.status == 0);
  CHECK(drawn.complaints == "");
  CHECK(drawn.out == "Written to out: report.html\n");
  CHECK(scratch.read("out/report.html") == page);
  THEN("but not of what is no result") {
    CHECK_THAT(run_program(scratch, "report none").complaints,
               ContainsSubstring("none/results.json: "));
    const auto refused = [&](const std::string& results) {
      scratch.write("out/results.json", results);
      const auto done = run_program(scratch, "report out");
      CHECK(done.status == 2);
      CHECK(done.out == "");
      return done.complaints;
    };
    const auto good = scratch.read("out/results.json");
    CHECK_THAT(refused("{"), ContainsSubstring("memsim report: ") &&
                                 ContainsSubstring("out/results.json: not what memsim run"));
    CHECK_THAT(refused("[]"), ContainsSubstring("not what memsim run"));
    CHECK_THAT(refused(R"({"schema": "memsim.sweep/1"})"), ContainsSubstring("not what memsim"));
    CHECK_THAT(refused(R"({"schema": "memsim.experiment/1"})"), ContainsSubstring("question"));
    auto json = nlohmann::json::parse(good);
    json["policies"][0]["memory_map"]["cells"] = "U1*99999999999";
    CHECK_THAT(refused(json.dump()), ContainsSubstring("a picture of more than"));
    json = nlohmann::json::parse(good);
    json["samples"].erase("stranded_pages");
    CHECK_THAT(refused(json.dump()), ContainsSubstring("no column \"stranded_pages\" of samples"));
    auto csv = scratch.read("out/samples.csv");
    scratch.write("out/samples.csv", csv.replace(csv.rfind(',') + 1, 1, "nan"));
    CHECK_THAT(refused(good), ContainsSubstring("nan: a number is wanted"));
    json = nlohmann::json::parse(good);
    json["policies"] = nlohmann::json::array();
    CHECK_THAT(refused(json.dump()), ContainsSubstring("there are no policies"));
    scratch.write("out/samples.csv", "policy,time [s]\nother,0\n");
    CHECK_THAT(refused(good), ContainsSubstring("a row of one of the policies is wanted"));
    CHECK(scratch.read("out/report.html") == page);
  }
}
