// SPDX-License-Identifier: Apache-2.0
// memsim verify: does memsim decide what a recorded kernel decided?
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <memsim/testing/golden_replay.hpp>

#include "commands.hpp"

namespace memsim::cli {
namespace {

struct verdict {
  std::string file;
  std::expected<testing::golden_result, error> result;

  [[nodiscard]] bool passed() const { return result && result->passed(); }
};

verdict verify_file(const std::string& file) {
  std::ifstream input{file, std::ios::binary};
  if (!input) return {file, fail(errc::io, "{}: cannot be opened", file)};
  return {file, testing::replay_golden(input, file)};
}

// A snapshot's lines can be very long; what differs is worth showing, not the rest.
std::string around(const std::string& line, std::size_t difference) {
  constexpr std::size_t longest = 160;
  constexpr std::size_t before = 60;
  if (line.size() <= longest) return line;
  const std::size_t start = difference > before ? difference - before : 0;
  return fmt::format("{}{}{}", start > 0 ? "..." : "", line.substr(start, longest),
                     start + longest < line.size() ? "..." : "");
}

std::string describe(const testing::golden_difference& d) {
  std::size_t i = 0;
  while (i < d.recorded.size() && i < d.simulated.size() && d.recorded[i] == d.simulated[i]) ++i;
  return fmt::format("  first difference at line {}:\n    recorded:  {}\n    simulated: {}\n",
                     d.line, around(d.recorded, i), around(d.simulated, i));
}

void print(const verdict& v) {
  if (!v.result) {
    fmt::print("{}: unreadable\n  {}\n", v.file, v.result.error());
    return;
  }
  fmt::print("{}: {} decisions compared, {} identical ({}, digest {})\n", v.file,
             v.result->compared, v.result->identical, v.result->profile, v.result->end_state);
  if (const auto& d = v.result->first_difference) fmt::print("{}", describe(*d));
}

nlohmann::ordered_json to_json(const verdict& v) {
  nlohmann::ordered_json json{{"file", v.file}, {"passed", v.passed()}};
  if (!v.result) {
    json["error"] = v.result.error().message();
    return json;
  }
  json["kernel"] = v.result->kernel;
  json["profile"] = to_text(v.result->profile);
  json["compared"] = v.result->compared;
  json["identical"] = v.result->identical;
  json["digest"] = to_text(v.result->end_state);
  if (const auto& d = v.result->first_difference) {
    json["first_difference"] = {
        {"line", d->line}, {"recorded", d->recorded}, {"simulated", d->simulated}};
  }
  return json;
}

int verify(const std::vector<std::string>& files, bool as_json) {
  int exit = success;
  std::size_t passed = 0;
  auto results = nlohmann::ordered_json::array();
  for (const auto& file : files) {
    const auto v = verify_file(file);
    passed += v.passed();
    if (!v.result) {
      exit = bad_input;
    } else if (!v.passed() && exit == success) {
      exit = difference;
    }
    if (as_json) {
      results.push_back(to_json(v));
    } else {
      print(v);
      std::fflush(stdout);
    }
  }
  if (as_json) {
    const nlohmann::ordered_json all{
        {"schema", 1}, {"passed", passed}, {"failed", files.size() - passed}, {"files", results}};
    fmt::print("{}\n", all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } else {
    fmt::print("{} passed, {} failed\n", passed, files.size() - passed);
  }
  return exit;
}

}  // namespace

void add_verify(CLI::App& app, int& outcome) {
  auto* const command = app.add_subcommand(
      "verify",
      "Replays recordings of a real kernel and compares every decision with memsim's.\n"
      "Prints a line for each file: decisions compared, decisions identical, and the first\n"
      "difference with both sides. A decision is the block that a request got, a fallback to\n"
      "another migratetype, or a line of a snapshot of the allocator's whole state.\n"
      "Exit status: 0 all identical, 1 a difference, 2 a file that cannot be read.");
  struct options {
    std::vector<std::string> files;
    bool as_json = false;
  };
  auto chosen = std::make_shared<options>();
  command->add_option("GOLDEN", chosen->files, "recordings (*.trace)")->required();
  command->add_flag("--json", chosen->as_json, "print one JSON document instead");
  command->callback([chosen, &outcome] { outcome = verify(chosen->files, chosen->as_json); });
}

}  // namespace memsim::cli
