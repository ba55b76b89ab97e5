// SPDX-License-Identifier: Apache-2.0
// memsim sweep: one scenario at many points, in as many processes as there are cores, or in the
// ranks that mpirun started.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <memsim/core/digest.hpp>
#include <memsim/metrics/scenario_run.hpp>
#include <memsim/workload/recipe.hpp>
#include <memsim/workload/scenario.hpp>

#include "commands.hpp"
#include "input_file.hpp"
#include "jobs.hpp"
#include "mpi_launch.hpp"
#include "option_values.hpp"
#include "output_files.hpp"
#include "progress.hpp"
#include "rank_group.hpp"
#include "sweep_journal.hpp"
#include "sweep_plan.hpp"
#include "sweep_results.hpp"
#include "worker_processes.hpp"
#include "worker_ranks.hpp"

namespace memsim::cli {
namespace {

struct sweep_arguments {
  std::string scenario;
  std::vector<std::string> vary;
  std::string directory = "memsim-sweep";
  std::optional<unsigned> jobs{};
  bool as_json = false;

  [[nodiscard]] unsigned at_once_alone() const {
    return jobs.value_or(std::max(1U, std::thread::hardware_concurrency()));
  }
  // mpirun starts a rank for each core.
  [[nodiscard]] unsigned at_once_in_a_rank() const { return jobs.value_or(1); }
};

std::expected<std::string, error> read_text(const std::string& path) {
  auto file = open_input(path);
  if (!file) return std::unexpected{file.error()};
  std::string text{std::istreambuf_iterator<char>{*file}, {}};
  if (file->bad()) return fail(errc::io, "{}: cannot be read", path);
  return text;
}

// Which memsim this is: its version, and its program's contents, which change with every change of
// the model.
std::string program_id() {
  digest contents;
  std::ifstream self{"/proc/self/exe", std::ios::binary};
  std::array<char, 1 << 16> part{};
  while (self.read(part.data(), part.size()), self.gcount() > 0) {
    contents.add(std::string_view{part.data(), static_cast<std::size_t>(self.gcount())});
  }
  return fmt::format("{} {}", MEMSIM_VERSION, contents);
}

std::expected<sweep_plan, error> make_plan(std::string text, const sweep_arguments& args) {
  std::vector<sweep_axis> axes;
  for (const auto& option : args.vary) {
    auto axis = parse_axis(option);
    if (!axis) return std::unexpected{axis.error()};
    axes.push_back(std::move(*axis));
  }
  return sweep_plan::make(std::move(text), std::move(axes), program_id());
}

std::expected<sweep_plan, error> read_plan(const sweep_arguments& args) {
  auto text = read_text(args.scenario);
  if (!text) return std::unexpected{text.error()};
  return make_plan(std::move(*text), args);
}

/// Only the first rank reads the scenario: other hosts need not have the file, or have the same.
std::string briefing(const sweep_plan& plan) {
  return fmt::format("{}\n{}", plan.run_id(), plan.text());
}

std::expected<sweep_plan, error> read_briefing(const std::string& text,
                                               const sweep_arguments& args) {
  const auto end = text.find('\n');
  auto plan = make_plan(text.substr(end + 1), args);
  if (plan && text.substr(0, end) != to_text(plan->run_id())) {
    return fail(errc::inconsistent,
                "runs another version of memsim, or was started with other options");
  }
  return plan;
}

std::expected<scenario, error> read_point(const sweep_plan& plan, std::size_t point,
                                          const std::string& name) {
  return parse_scenario(plan.text(), name, plan.settings(point));
}

/// Every point's scenario: none is run if one cannot be read.
std::expected<std::vector<scenario>, error> read_points(const sweep_plan& plan,
                                                        const std::string& name) {
  std::vector<scenario> scenarios;
  for (std::size_t point = 0; point < plan.points(); ++point) {
    auto read = read_point(plan, point, name);
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

/// What a rank that is not the first does with its points.
std::expected<job_function, error> prepare(const std::string& text, const sweep_arguments& args) {
  auto plan = read_briefing(text, args);
  if (!plan) return std::unexpected{plan.error()};
  return [plan = std::move(*plan), &args](std::size_t point) -> job_result {
    const auto s = read_point(plan, point, args.scenario);
    if (!s) return std::unexpected{s.error()};
    return run_point(*s);
  };
}

/// Messages of points that failed.
using failures = std::map<std::size_t, std::string>;

/// Has run what is not in the journal yet.
std::expected<failures, error> run_points(std::size_t points, sweep_journal& journal, workers& by) {
  using clock = std::chrono::steady_clock;
  std::vector<std::size_t> left;
  for (std::size_t point = 0; point < points; ++point) {
    if (!is_finished(journal, point)) left.push_back(point);
  }
  failures failed;
  progress meter;
  std::size_t ended = 0;
  const auto begin = clock::now();
  const job_functions functions{
      .done = [&](std::size_t point, job_result result) -> std::expected<void, error> {
        ++ended;
        if (result) return keep(journal, point, *result);
        failed[point] = result.error().message();
        return {};
      },
      .meanwhile =
          [&] {
            meter.say(
                fmt::format("{} of {} points{}", points - left.size() + ended, points,
                            time_left_text(clock::now() - begin, ended, left.size() - ended)));
          }};
  if (auto ran = run_jobs(left, by, functions); !ran) return std::unexpected{ran.error()};
  return failed;
}

struct finished_sweep {
  std::vector<output_file> files;
  std::string table;
  std::size_t points = 0;
  std::size_t failed = 0;
};

/// \param all  the ranks, of which this is the first, or nullptr
std::expected<finished_sweep, error> sweep(const sweep_arguments& args, rank_group* all) {
  const auto plan = read_plan(args);
  if (!plan) return std::unexpected{plan.error()};
  const auto scenarios = read_points(*plan, args.scenario);
  if (!scenarios) return std::unexpected{scenarios.error()};
  auto journal = sweep_journal::open(args.directory, plan->run_id());
  if (!journal) return std::unexpected{journal.error()};

  worker_processes processes{all == nullptr ? args.at_once_alone() : args.at_once_in_a_rank(),
                             [&](std::size_t point) { return run_point((*scenarios)[point]); }};
  std::optional<worker_ranks> everybody;
  if (all != nullptr) everybody.emplace(*all, processes, briefing(*plan));
  const auto failed = everybody ? run_points(plan->points(), *journal, *everybody)
                                : run_points(plan->points(), *journal, processes);
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

int complain(const error& why) {
  fmt::print(stderr, "memsim sweep: {}\n", why);
  return bad_input;
}

int sweep_and_print(const sweep_arguments& args, rank_group* all) {
  const auto done = sweep(args, all);
  if (!done) return complain(done.error());
  print(*done, args);
  return done->failed == 0 ? success : point_failed;
}

/// Lets the other ranks go when the first one does, however it does.
struct dismissal {
  rank_group& all;
  int status = bad_input;

  explicit dismissal(rank_group& others) : all{others} {}
  dismissal(const dismissal&) = delete;
  dismissal& operator=(const dismissal&) = delete;
  ~dismissal() { dismiss(all, status); }
};

int sweep_in_ranks(const sweep_arguments& args, const mpi_launch& launch) {
  const auto all = join_ranks(launch);
  if (!all) {
    if (speaks_for_all_ranks()) return complain(all.error());
    let_first_rank_speak();
    return bad_input;
  }
  if ((*all)->rank() != 0) {
    return serve(**all, args.at_once_in_a_rank(),
                 [&](const std::string& text) { return prepare(text, args); });
  }
  dismissal at_end{**all};
  at_end.status = sweep_and_print(args, all->get());
  // When a rank has failed mpirun ends the others, with what they have not yet printed.
  if (std::fflush(stdout) != 0) at_end.status = bad_input;
  return at_end.status;
}

int sweep_command(const sweep_arguments& args) {
  const auto launch = find_mpi_launch();
  return launch && launch->ranks > 1 ? sweep_in_ranks(args, *launch)
                                     : sweep_and_print(args, nullptr);
}

std::string description() {
  std::string text =
      "One scenario at the product of all values that are given for some of its keys: ages a\n"
      "machine and says what became of its memory, or runs actors and says what became of them\n"
      "under each policy. Prints a table and writes results.csv and results.json, a row a point\n"
      "with all metrics.\n"
      "\n"
      "Each finished point is on the disk before the next begins: a sweep that was killed goes on\n"
      "where it was when it is started again with the same scenario, values and directory. What\n"
      "is written in the end depends neither on that nor on the number of processes.\n"
      "\n"
      "Under mpirun the points are spread over the ranks, on one host or on many. Only the first\n"
      "rank reads the scenario, writes and prints.\n"
      "\n"
      "  memsim sweep farm.toml --vary ageing.occupancy=0.5,0.7,0.9 \\\n"
      "      --vary machine.profile=linux_6_1,linux_6_12 -o farm\n"
      "  memsim sweep tenants.toml --vary actor.tenant.processes=1,10,100\n"
      "  mpirun -n 64 memsim sweep ...\n"
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
      ->add_option(
          "-j,--jobs", args->jobs,
          "Points that run at one time (default: as many as this host has cores); under mpirun, "
          "in each rank (default: 1)")
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
