// SPDX-License-Identifier: Apache-2.0
// memsim report: draws the report of results that are there.
#include <memsim/metrics/report.hpp>

#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <memsim/metrics/experiment.hpp>
#include <memsim/metrics/results.hpp>

#include "commands.hpp"
#include "input_file.hpp"
#include "output_files.hpp"

namespace memsim::cli {
namespace {

std::expected<std::string, error> read_text(const std::filesystem::path& path) {
  auto file = open_input(path.string());
  if (!file) return std::unexpected{file.error()};
  std::string text{std::istreambuf_iterator<char>{*file}, {}};
  if (file->bad()) return fail(errc::io, "{}: cannot be read", path.string());
  return text;
}

std::expected<std::string, error> drawn(auto results) {
  if (!results) return std::unexpected{results.error()};
  return report_html(*results);
}

/// \return what is wrong with the two, without their names
std::expected<std::string, error> draw(const std::string& results, const std::string& samples) {
  const auto document = nlohmann::json::parse(results, nullptr, false);
  const auto schema =
      document.is_object() ? document.value("schema", nlohmann::json{}) : nlohmann::json{};
  if (schema == schema_of_results) return drawn(parse_results(results, samples));
  if (schema == schema_of_experiments) return drawn(parse_experiment(results, samples));
  return fail(errc::malformed,
              "not what memsim run and memsim replay write with -o (schema \"{}\" or \"{}\")",
              schema_of_experiments, schema_of_results);
}

std::expected<void, error> report(const std::filesystem::path& directory) {
  const auto results = read_text(directory / "results.json");
  if (!results) return std::unexpected{results.error()};
  const auto samples = read_text(directory / "samples.csv");
  if (!samples) return std::unexpected{samples.error()};
  auto page = draw(*results, *samples);
  if (!page) {
    return fail(page.error().code(), "{}: {}", (directory / "results.json").string(),
                page.error().message());
  }
  return write_files(directory, {{"report.html", std::move(*page)}});
}

int report_command(const std::string& directory) {
  if (const auto done = report(directory); !done) {
    fmt::print(stderr, "memsim report: {}\n", done.error());
    return bad_input;
  }
  fmt::print("Written to {}: report.html\n", directory);
  return success;
}

}  // namespace

void add_report(CLI::App& app, int& outcome) {
  auto* const command =
      app.add_subcommand("report",
                         "Draws report.html anew from results.json and samples.csv, as memsim run\n"
                         "and memsim replay wrote them: with gnuplot installed meanwhile, or by\n"
                         "another version of memsim.\n"
                         "Exit status: 0, 2 a file that cannot be used.");
  auto directory = std::make_shared<std::string>();
  command->add_option("DIR", *directory, "where the results are")->type_name("")->required();
  command->callback([directory, &outcome] { outcome = report_command(*directory); });
}

}  // namespace memsim::cli
