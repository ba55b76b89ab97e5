// SPDX-License-Identifier: Apache-2.0
// memsim run: a scenario's policies side by side.
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <memsim/core/text.hpp>
#include <memsim/metrics/experiment.hpp>
#include <memsim/workload/scenario.hpp>

#include "commands.hpp"
#include "option_values.hpp"
#include "output_files.hpp"
#include "progress.hpp"

namespace memsim::cli {
namespace {

struct run_arguments {
  std::string scenario;
  std::string directory;
  std::optional<std::uint64_t> seed{};
  std::vector<std::string> settings;
  bool check = false;
  bool as_json = false;
};

error in_file(const run_arguments& args, const error& why) {
  return {why.code(), fmt::format("{}: {}", args.scenario, why.message())};
}

int complain(const error& why) {
  fmt::print(stderr, "memsim run: {}\n", why);
  return bad_input;
}

std::expected<scenario, error> read(const run_arguments& args) {
  std::vector<scenario_setting> settings;
  for (const auto& option : args.settings) {
    const auto equals = option.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(errc::malformed, "--set {}: KEY=VALUE is wanted", escaped(option, 80));
    }
    settings.push_back({option.substr(0, equals), option.substr(equals + 1)});
  }
  if (args.seed) settings.push_back({"seed", fmt::to_string(*args.seed)});
  auto read = load_scenario(args.scenario, settings);
  if (read && read->actors.empty()) {
    return fail(errc::malformed,
                "{}: no [[actor]]: there is nothing to run; memsim sweep ages "
                "the machine",
                args.scenario);
  }
  return read;
}

/// That makes the run again.
std::string command_of(const run_arguments& args) {
  auto command = fmt::format("memsim run {}", shell_word(args.scenario));
  if (args.seed) command += fmt::format(" --seed {}", *args.seed);
  for (const auto& setting : args.settings) {
    command += fmt::format(" --set {}", shell_word(setting));
  }
  if (!args.directory.empty()) command += fmt::format(" -o {}", shell_word(args.directory));
  return command;
}

int run(const run_arguments& args) {
  const auto s = read(args);
  if (!s) return complain(s.error());
  if (args.check) {
    // Also what only shows when the machines are made.
    if (const auto possible = check_experiment(*s); !possible) {
      return complain(in_file(args, possible.error()));
    }
    fmt::print("{}: {} policies, {} actors: valid\n", args.scenario, s->policies.size(),
               s->actors.size());
    return success;
  }
  if (!args.directory.empty()) {
    if (auto possible = check_directory(args.directory); !possible) {
      return complain(possible.error());
    }
  }
  auto results = [&] {
    progress shown;
    return run_experiment(*s, [&](double part) {
      shown.say(fmt::format("running {}: {:.0f} %", args.scenario, part * 100));
    });
  }();
  if (!results) return complain(in_file(args, results.error()));
  results->command = command_of(args);
  for (const auto& p : results->policies) {
    if (p.background_error.empty()) continue;
    fmt::print(stderr, "memsim run: warning: {}: {}: the background load ended early: {}\n",
               args.scenario, p.name, p.background_error);
  }
  if (!args.directory.empty()) {
    const auto written = write_files(args.directory, {{"results.json", json_of(*results)},
                                                      {"samples.csv", csv_of(*results)},
                                                      {"report.html", report_html(*results)}});
    if (!written) return complain(written.error());
  }
  fmt::print("{}", args.as_json ? json_of(*results) : table_of(*results));
  return success;
}

}  // namespace

void add_run(CLI::App& app, int& outcome) {
  auto* const command =
      app.add_subcommand("run",
                         "Runs a scenario: the same actors on the same machine under each of its\n"
                         "policies. Prints who was refused, and what became of the direct map.\n"
                         "Exit status: 0, 2 a file or an option that cannot be used.");
  auto args = std::make_shared<run_arguments>();
  command->add_option("SCENARIO", args->scenario, "what to run (TOML)")->required();
  command->add_option("-o,--output", args->directory,
                      "write results.json, samples.csv and report.html to this directory");
  command->add_option("--seed", args->seed, "of every random stream, instead of the scenario's")
      ->type_name("N")
      ->transform(whole_number(0, std::numeric_limits<std::int64_t>::max()));
  command->add_option("--set", args->settings, "KEY=VALUE instead of what the scenario says")
      ->expected(1)
      ->take_all();
  command->add_flag("--check", args->check, "only say whether the scenario is valid");
  command->add_flag("--json", args->as_json, "print results.json instead of tables");
  command->callback([args, &outcome] { outcome = run(*args); });
}

}  // namespace memsim::cli
