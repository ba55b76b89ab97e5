// SPDX-License-Identifier: Apache-2.0
// memsim verify: does memsim decide what a recorded kernel decided?
#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <memsim/core/text.hpp>
#include <memsim/testing/golden_replay.hpp>

#include "commands.hpp"
#include "input_file.hpp"

namespace memsim::cli {
namespace {

struct verdict {
  std::string file;
  std::expected<testing::golden_result, error> result;

  [[nodiscard]] bool passed() const { return result && result->passed(); }
};

/// One bad recording must not keep the others from being verified, whatever is wrong with it.
verdict verify_file(const std::string& file) try {
  auto input = open_input(file);
  if (!input) return {file, std::unexpected{input.error()}};
  return {file, testing::replay_golden(*input, file)};
} catch (const std::bad_alloc&) {
  return {file, fail(errc::unsupported, "{}: this host has not the memory for it", file)};
} catch (const std::exception& e) {
  return {file, fail(errc::malformed, "{}: {}", file, e.what())};
}

// A snapshot's lines can be very long; what differs is worth showing, not the rest.
std::string around(std::string_view line, std::size_t difference) {
  constexpr std::size_t longest = 160;
  constexpr std::size_t before = 60;
  if (line.size() <= longest) return escaped(line, longest);
  const std::size_t start = difference > before ? difference - before : 0;
  return (start > 0 ? "..." : "") + escaped(line.substr(start), longest);
}

std::string describe(const testing::golden_difference& d) {
  std::size_t i = 0;
  while (i < d.recorded.size() && i < d.simulated.size() && d.recorded[i] == d.simulated[i]) ++i;
  return fmt::format(R"(first difference at line {}: recorded "{}", simulated "{}")", d.line,
                     around(d.recorded, i), around(d.simulated, i));
}

/// One line, as scripts read it.
std::string line_of(const verdict& v) {
  if (!v.result) {
    auto why = v.result.error().message();
    if (why.starts_with(v.file + ": ")) why.erase(0, v.file.size() + 2);
    std::ranges::replace(why, '\n', ' ');
    return fmt::format("{}: unreadable: {}", v.file, why);
  }
  auto line = fmt::format("{}: {} decisions compared, {} identical", v.file, v.result->compared,
                          v.result->identical);
  if (v.result->adopted > 0) {
    line += fmt::format(", {} steps adopted (not simulated)", v.result->adopted);
  }
  if (const auto& d = v.result->first_difference) line += ", " + describe(*d);
  return line + fmt::format(" ({}, digest {})", v.result->profile, v.result->end_state);
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
  json["adopted"] = v.result->adopted;
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
      fmt::print("{}\n", line_of(v));
      std::fflush(stdout);
    }
  }
  if (as_json) {
    const nlohmann::ordered_json all{{"schema", "memsim.verify/1"},
                                     {"passed", passed},
                                     {"failed", files.size() - passed},
                                     {"files", results}};
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
      "another migratetype, a page that was moved, a step of one of compaction's scanners, a\n"
      "line of a snapshot of the allocator's whole state, or what the direct map's counters\n"
      "say after a step. What a recording does not tell closely enough to be simulated is\n"
      "adopted from it; such steps are counted apart, and nothing is compared.\n"
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
