// SPDX-License-Identifier: Apache-2.0
// memsim sweep: one scenario at many points, in as many processes as there are cores.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <memsim/metrics/scenario_run.hpp>
#include <memsim/workload/recipe.hpp>
#include <memsim/workload/scenario.hpp>

#include "commands.hpp"
#include "input_file.hpp"
#include "option_values.hpp"
#include "output_files.hpp"
#include "progress.hpp"
#include "sweep_journal.hpp"
#include "sweep_plan.hpp"
#include "sweep_results.hpp"
#include "worker_processes.hpp"

namespace memsim::cli {
namespace {

struct sweep_arguments {
  std::string scenario;
  std::vector<std::string> vary;
  std::string directory = "memsim-sweep";
  std::optional<unsigned> jobs{};
  bool as_json = false;

  [[nodiscard]] unsigned at_once() const {
    return jobs.value_or(std::max(1U, std::thread::hardware_concurrency()));
  }
};

std::expected<std::string, error> read_text(const std::string& path) {
  auto file = open_input(path);
  if (!file) return std::unexpected{file.error()};
  std::string text{std::istreambuf_iterator<char>{*file}, {}};
  if (file->bad()) return fail(errc::io, "{}: cannot be read", path);
  return text;
}

std::expected<sweep_plan, error> read_plan(const sweep_arguments& args) {
  auto text = read_text(args.scenario);
  if (!text) return std::unexpected{text.error()};
  std::vector<sweep_axis> axes;
  for (const auto& option : args.vary) {
    auto axis = parse_axis(option);
    if (!axis) return std::unexpected{axis.error()};
    axes.push_back(std::move(*axis));
  }
  return sweep_plan::make(std::move(*text), std::move(axes), MEMSIM_VERSION);
}

/// Every point's scenario: none is run if one cannot be read.
std::expected<std::vector<scenario>, error> read_points(const sweep_plan& plan,
                                                        const std::string& name) {
  std::vector<scenario> scenarios;
  for (std::size_t point = 0; point < plan.points(); ++point) {
    auto read = parse_scenario(plan.text(), name, plan.settings(point));
    if (!read) return std::unexpected{read.error()};
    scenarios.push_back(std::move(*read));
  }
  return scenarios;
}

job_result run_point(const scenario& s) {
  const auto result = run_scenario(s);
  if (!result) return std::unexpected{result.error()};
  return to_lines(*result);
}

/// Messages of points that failed.
using failures = std::map<std::size_t, std::string>;

/// Runs what is not in the journal yet.
std::expected<failures, error> run_points(const std::vector<scenario>& scenarios,
                                          sweep_journal& journal, unsigned at_once) {
  using clock = std::chrono::steady_clock;
  std::vector<std::size_t> left;
  for (std::size_t point = 0; point < scenarios.size(); ++point) {
    if (!is_finished(journal, point)) left.push_back(point);
  }
  failures failed;
  progress meter;
  std::size_t ended = 0;
  const auto begin = clock::now();
  const job_functions functions{
      .run = [&](std::size_t point) { return run_point(scenarios[point]); },
      .done = [&](std::size_t point, job_result result) -> std::expected<void, error> {
        ++ended;
        if (result) return keep(journal, point, *result);
        failed[point] = result.error().message();
        return {};
      },
      .meanwhile =
          [&] {
            meter.say(fmt::format(
                "{} of {} points{}", scenarios.size() - left.size() + ended, scenarios.size(),
                time_left_text(clock::now() - begin, ended, left.size() - ended)));
          }};
  if (auto ran = run_in_processes(left, at_once, functions); !ran) {
    return std::unexpected{ran.error()};
  }
  return failed;
}

struct finished_sweep {
  std::vector<output_file> files;
  std::string table;
  std::size_t points = 0;
  std::size_t failed = 0;
};

std::expected<finished_sweep, error> sweep(const sweep_arguments& args) {
  const auto plan = read_plan(args);
  if (!plan) return std::unexpected{plan.error()};
  const auto scenarios = read_points(*plan, args.scenario);
  if (!scenarios) return std::unexpected{scenarios.error()};
  auto journal = sweep_journal::open(args.directory, plan->id());
  if (!journal) return std::unexpected{journal.error()};
  const auto failed = run_points(*scenarios, *journal, args.at_once());
  if (!failed) return std::unexpected{failed.error()};

  const sweep_results results{*plan, *journal, *failed};
  finished_sweep done{
      .files = {{"results.json", results.json_text()}, {"results.csv", results.csv_text()}},
      .table = results.table_text(),
      .points = plan->points(),
      .failed = failed->size()};
  if (auto written = write_files(args.directory, done.files); !written) {
    return std::unexpected{written.error()};
  }
  return done;
}

void print(const finished_sweep& done, const sweep_arguments& args) {
  if (args.as_json) {
    fmt::print("{}", done.files.front().contents);
    return;
  }
  fmt::print("{}\n{} points, {} failed\nWritten to {}:", done.table, done.points, done.failed,
             args.directory);
  for (const auto& file : done.files) fmt::print(" {}", file.name);
  fmt::print("\n");
}

int sweep_command(const sweep_arguments& args) {
  const auto done = sweep(args);
  if (!done) {
    fmt::print(stderr, "memsim sweep: {}\n", done.error());
    return bad_input;
  }
  print(*done, args);
  return done->failed == 0 ? success : point_failed;
}

std::string description() {
  std::string text =
      "Ages a machine in many ways and says what became of its memory: one scenario, at the\n"
      "product of all values that are given for some of its keys. Prints a table and writes\n"
      "results.csv and results.json, a row a point with all metrics.\n"
      "\n"
      "Each finished point is on the disk before the next begins: a sweep that was killed goes on\n"
      "where it was when it is started again with the same scenario, values and directory. What\n"
      "is written in the end depends neither on that nor on the number of processes.\n"
      "\n"
      "  memsim sweep farm.toml --vary ageing.occupancy=0.5,0.7,0.9 \\\n"
      "      --vary machine.profile=linux_6_1,linux_6_12 -o farm\n"
      "\n"
      "Recipes (ageing.recipe):\n";
  for (const auto& r : recipes()) text += fmt::format("  {}: {}\n", r.name, r.models);
  return text + "Exit status: 0, 1 if a point failed, or 2 if a file or an option is unusable.";
}

}  // namespace

void add_sweep(CLI::App& app, int& outcome) {
  auto* command = app.add_subcommand("sweep", description());
  const auto args = std::make_shared<sweep_arguments>();
  command->add_option("SCENARIO", args->scenario, "Scenario: a TOML file")
      ->type_name("")
      ->required();
  command
      ->add_option("--vary", args->vary,
                   "A key of the scenario and its values; may be given for several keys. The last "
                   "one varies fastest")
      ->type_name("KEY=A,B,C")
      ->expected(1)
      ->take_all()
      ->required();
  command
      ->add_option("-j,--jobs", args->jobs,
                   "Points that run at one time (default: as many as this host has cores)")
      ->type_name("N")
      ->transform(whole_number(1, 4096));
  command
      ->add_option("-o,--output", args->directory,
                   "Where results go, and the journal of what is finished")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_flag("--json", args->as_json, "Print results.json instead of a table");
  command->callback([args, &outcome] { outcome = sweep_command(*args); });
}

}  // namespace memsim::cli
