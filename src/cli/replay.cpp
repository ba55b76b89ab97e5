// SPDX-License-Identifier: Apache-2.0
// memsim replay: what would this machine have done with that workload?
#include <memsim/workload/replay.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <CLI/CLI.hpp>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/metrics/report.hpp>
#include <memsim/metrics/results.hpp>
#include <memsim/workload/machine.hpp>
#include <memsim/workload/trace_hints.hpp>

#include "bounded_series.hpp"
#include "commands.hpp"
#include "option_values.hpp"
#include "output_files.hpp"
#include "progress.hpp"
#include "replay_input.hpp"

namespace memsim::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::nanoseconds;

struct replay_arguments {
  std::string trace;
  std::string machine;
  std::string directory;  // empty: default_directory, or none
  std::string profile;
  std::uint64_t seed = 1;
  bool lenient = false;
  bool as_json = false;
  std::optional<double> sample_every{};

  /// Where files go. Who asked for JSON alone did not ask for files.
  [[nodiscard]] std::string output() const {
    if (!directory.empty() || as_json) return directory;
    return "memsim-results";
  }
  [[nodiscard]] strictness mode() const {
    return lenient ? strictness::lenient : strictness::strict;
  }
};

/// Samples of a whole trace, where no interval is asked for.
constexpr int default_samples = 100;
/// By the clock of the trace, where its length is not known beforehand.
constexpr nanoseconds blind_interval = std::chrono::milliseconds{100};

/// Samples at most, unless an interval is asked for: what comes through standard input may never
/// end.
constexpr std::size_t most_samples = 2000;

/// In the report and results.json; all are counted.
constexpr std::size_t kept_fallbacks = 1000;

/// The command that makes this run again, with what was left to be found out spelled out.
std::string command_of(const replay_arguments& args, const std::string& machine,
                       const kernel_profile& profile) {
  std::string command =
      fmt::format("memsim replay {} --machine {} --profile {} --seed {}", shell_word(args.trace),
                  shell_word(machine), profile.name, args.seed);
  if (args.sample_every) command += fmt::format(" --sample-every {}", *args.sample_every);
  if (args.lenient) command += " --lenient";
  return command;
}

std::expected<std::string, error> machine_path(const replay_arguments& args) {
  if (!args.machine.empty()) return args.machine;
  if (const auto found = find_machine(args.trace)) return found->string();
  return fail(
      errc::io,
      "{}: there is no captured machine beside it (NAME.zoneinfo.before beside NAME.trace): "
      "give one with --machine",
      args.trace);
}

std::expected<std::optional<kernel_profile>, error> chosen_profile(const replay_arguments& args) {
  if (args.profile.empty()) return std::nullopt;
  auto profile = find_profile(args.profile);
  if (!profile) return std::unexpected{profile.error()};
  return *profile;
}

/// What a look through the trace gave.
struct prelude {
  std::optional<trace_hints> hints{};  ///< for a captured machine
  nanoseconds sample_interval{};
};

nanoseconds interval_of(const replay_arguments& args, std::optional<nanoseconds> length) {
  if (args.sample_every) return nanoseconds{std::llround(*args.sample_every * 1e9)};
  if (!length) return blind_interval;
  return std::max(nanoseconds{1}, *length / default_samples);
}

std::expected<prelude, error> look_ahead(const replay_arguments& args, trace_source& trace,
                                         const machine_source& machine, progress& meter) {
  prelude result;
  const auto* captured = std::get_if<machine_description>(&machine);
  std::optional<nanoseconds> length;
  if (trace.rereadable() && (captured != nullptr || !args.sample_every)) {
    if (captured != nullptr) result.hints.emplace(*captured);
    const auto read =
        read_ahead(trace, args.mode(), result.hints ? &*result.hints : nullptr, meter);
    if (!read) return std::unexpected{read.error()};
    length = *read;
  }
  result.sample_interval = interval_of(args, length);
  return result;
}

/// What is read off at each sample: the machine's state, and beside memsim's own fallbacks how many
/// the recording had by then.
std::vector<series_column> sampled_columns() {
  auto columns = columns_of(default_metrics());
  columns.push_back({"recorded_fallbacks", "events", "fallbacks so far in the recording"});
  return columns;
}

std::vector<double> sampled_values(const page_allocator& memory, const replay_counts& counts) {
  auto values = values_of(default_metrics(), memory);
  values.push_back(static_cast<double>(counts.recorded_fallbacks));
  return values;
}

template <class T>
std::vector<T> first_of(const std::vector<T>& all, std::size_t count) {
  return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(count, all.size()))};
}

std::vector<statistic_value> all_statistics(const replay_summary& summary,
                                            const page_allocator& memory) {
  auto statistics = values_of(summary);
  const auto allocator = memory.statistics();
  const auto work = values_of(summary.done);
  // The two count some of the same things under one name; the replay's own go before.
  for (const auto* more : {&allocator, &work}) {
    for (const auto& s : *more) {
      if (std::ranges::find(statistics, s.name, &statistic_value::name) == statistics.end()) {
        statistics.push_back(s);
      }
    }
  }
  return statistics;
}

/// Everything that a replay needs, read and found to be usable.
struct prepared_replay {
  trace_source trace;
  std::string machine_file;
  page_allocator memory;
  nanoseconds sample_interval{};
  bool looked_ahead = false;
  std::optional<rule> cma_row{};  ///< in pagetypeinfo; none: if there is a CMA area
  std::vector<zone_order_counts> recorded_buddyinfo{};
};

std::optional<rule> cma_row_of(const machine_source& machine) {
  const auto* captured = std::get_if<machine_description>(&machine);
  return captured == nullptr ? std::nullopt : captured->cma_row;
}

std::expected<prepared_replay, error> prepare(const replay_arguments& args, progress& meter) {
  const auto profile = chosen_profile(args);
  if (!profile) return std::unexpected{profile.error()};
  if (auto usable = check_directory(args.output()); !usable) {
    return std::unexpected{usable.error()};
  }
  auto trace = trace_source::open(args.trace);
  if (!trace) return std::unexpected{trace.error()};
  const auto machine_file = machine_path(args);
  if (!machine_file) return std::unexpected{machine_file.error()};
  const auto machine = load_machine(*machine_file);
  if (!machine) return std::unexpected{machine.error()};
  auto buddyinfo = recorded_buddyinfo(args.trace);
  if (!buddyinfo) return std::unexpected{buddyinfo.error()};

  const auto ahead = look_ahead(args, *trace, *machine, meter);
  if (!ahead) return std::unexpected{ahead.error()};
  auto memory = make_machine(
      *machine,
      {.profile = *profile, .seed = args.seed, .hints = ahead->hints ? &*ahead->hints : nullptr});
  if (!memory) {
    return fail(memory.error().code(), "{}: {}", *machine_file, memory.error().message());
  }
  return prepared_replay{.trace = std::move(*trace),
                         .machine_file = *machine_file,
                         .memory = std::move(*memory),
                         .sample_interval = ahead->sample_interval,
                         .looked_ahead = ahead->hints.has_value(),
                         .cma_row = cma_row_of(*machine),
                         .recorded_buddyinfo = std::move(*buddyinfo)};
}

struct finished_replay {
  run_results results;
  std::string warning;  // empty: nothing is odd
  std::string summary;
  std::string buddyinfo;
  std::string pagetypeinfo;
};

run_description describe(const replay_arguments& args, const prepared_replay& start,
                         const replay_summary& summary) {
  const auto& profile = start.memory.profile();
  return {.title = fmt::format("replay of {}", fs::path{start.trace.name()}.filename().string()),
          .command = command_of(args, start.machine_file, profile),
          .input = start.trace.name(),
          .machine = start.machine_file,
          .profile = std::string{profile.name},
          .seed = args.seed,
          .state = start.memory.state_digest(),
          .duration = summary.duration,
          .looked_ahead = start.looked_ahead,
          .first_malformed = summary.first_malformed};
}

recording_comparison compare(const replay_summary& summary, const memory_measurement& after,
                             std::vector<zone_order_counts> recorded_buddyinfo) {
  return {.fallbacks = summary.fallbacks_by_type,
          .recorded_fallbacks = summary.recorded_fallbacks_by_type,
          .fallback_events = first_of(summary.fallbacks, kept_fallbacks),
          .recorded_fallback_events = first_of(summary.recorded_fallbacks, kept_fallbacks),
          .buddyinfo = buddyinfo_of(after),
          .recorded_buddyinfo = std::move(recorded_buddyinfo)};
}

std::expected<finished_replay, error> run(const replay_arguments& args, prepared_replay& start,
                                          progress& meter) {
  auto& memory = start.memory;
  finished_replay done;
  auto& results = done.results;
  results.before = measure(memory);
  results.picture_before = take_picture(memory);

  meter.begin(fmt::format("replaying {}", start.trace.name()), start.trace.size());
  auto reader = start.trace.read(args.mode());
  bounded_series samples{
      sampled_columns(), start.sample_interval,
      args.sample_every ? std::numeric_limits<std::size_t>::max() : most_samples};
  bool last_is_kept = false;
  const auto sample = [&](nanoseconds time, const page_allocator& now,
                          const replay_counts& counts) {
    last_is_kept = samples.is_due(time);
    if (last_is_kept) samples.add(time, sampled_values(now, counts));
    meter.show(reader.bytes_read());
  };
  const auto summary =
      replay(reader, memory, {.seed = args.seed, .sample_interval = start.sample_interval}, sample);
  if (!summary) return std::unexpected{summary.error()};

  if (!last_is_kept) samples.add(summary->duration, sampled_values(memory, summary->counts));
  results.samples = samples.rows();
  results.after = measure(memory);
  results.picture_after = take_picture(memory);
  results.statistics = all_statistics(*summary, memory);
  results.recorded = compare(*summary, results.after, std::move(start.recorded_buddyinfo));
  results.run = describe(args, start, *summary);
  done.summary = to_text(*summary);
  if (std::ranges::none_of(summary->events, [](auto count) { return count > 0; })) {
    done.warning = fmt::format("{}: no event of the page allocator in {} lines", start.trace.name(),
                               summary->lines);
  }
  done.buddyinfo = buddyinfo_text(memory);
  done.pagetypeinfo = pagetypeinfo_text(memory, start.cma_row);
  return done;
}

std::expected<finished_replay, error> prepare_and_run(const replay_arguments& args) {
  progress meter;
  auto start = prepare(args, meter);
  if (!start) return std::unexpected{start.error()};
  return run(args, *start, meter);
}

void print(const finished_replay& done, const replay_arguments& args,
           const std::vector<output_file>& files) {
  const auto& results = done.results;
  fmt::print("{} on {}, rules of {}, seed {}\n\n{}\n", results.run.title, results.run.machine,
             results.run.profile, results.run.seed, done.summary);
  fmt::print("{}\n{}\n", table_of(results.after), table_of(*results.recorded));
  fmt::print("Digest of the final state: {}\n", results.run.state);
  fmt::print("Written to {}:", args.output());
  for (const auto& file : files) fmt::print(" {}", file.name);
  fmt::print("\n");
}

std::expected<void, error> write(const std::vector<output_file>& files,
                                 const replay_arguments& args) {
  if (args.output().empty()) return {};
  return write_files(args.output(), files);
}

std::vector<output_file> files_of(const finished_replay& done) {
  return {{"results.json", json_of(done.results)},
          {"samples.csv", csv_of(done.results.samples)},
          {"report.html", report_html(done.results)},
          {"buddyinfo", done.buddyinfo},
          {"pagetypeinfo", done.pagetypeinfo}};
}

int complain(const error& e) {
  fmt::print(stderr, "memsim replay: {}\n", e);
  return bad_input;
}

int replay_command(const replay_arguments& args) {
  const auto done = prepare_and_run(args);
  if (!done) return complain(done.error());
  if (!done->warning.empty()) fmt::print(stderr, "memsim replay: warning: {}\n", done->warning);
  const auto files = files_of(*done);
  if (const auto written = write(files, args); !written) return complain(written.error());
  if (args.as_json) {
    fmt::print("{}", files.front().contents);
  } else {
    print(*done, args, files);
  }
  return success;
}

}  // namespace

void add_replay(CLI::App& app, int& outcome) {
  auto* command = app.add_subcommand(
      "replay",
      "Replays a recorded trace of page allocations on a simulated machine.\n"
      "The recorded requests are made again in the recorded order; which frames they get is\n"
      "memsim's decision. Prints what became of memory, beside what the recorded machine did, and\n"
      "writes results.json, samples.csv, report.html, buddyinfo and pagetypeinfo.\n"
      "\n"
      "A trace in a file is read twice. On a captured machine the first reading is a look ahead:\n"
      "where free memory lay and what the per-CPU lists held is laid out by what the whole trace\n"
      "gives away. So the free lists at the end can be those of the recorded machine, and are no\n"
      "prediction. Through standard input nothing is known beforehand.\n"
      "Exit status: 0, or 2 if a file or an option is unusable.");
  const auto args = std::make_shared<replay_arguments>();
  command
      ->add_option("TRACE", args->trace,
                   "Trace as tracefs or `trace-cmd report` print it; - for standard input")
      ->type_name("")
      ->required();
  command
      ->add_option("--machine", args->machine,
                   "Machine to replay on: a TOML file, or a captured zoneinfo with buddyinfo and "
                   "pagetypeinfo beside it (default: NAME.zoneinfo.before beside NAME.trace)")
      ->type_name("FILE");
  command
      ->add_option("-o,--output", args->directory,
                   "Where to write the results (default: memsim-results; with --json nowhere)")
      ->type_name("DIR");
  command
      ->add_option("--profile", args->profile,
                   "Kernel whose rules to follow: linux_6_1 or linux_6_12 (default: the machine's)")
      ->type_name("NAME");
  command
      ->add_option("--seed", args->seed,
                   "Seed of what a trace and /proc leave open: where free memory lies")
      ->type_name("N")
      ->transform(whole_number(0, std::numeric_limits<std::uint64_t>::max()))
      ->capture_default_str();
  command
      ->add_option("--sample-every", args->sample_every,
                   "Time between samples by the clock of the trace (default: a hundredth of its "
                   "length; of standard input 0.1, doubled whenever there are 2000 samples)")
      ->type_name("SECONDS")
      ->transform(real_number(1e-9, 1e9));
  command->add_flag("--lenient", args->lenient,
                    "Count malformed lines and impossible events instead of stopping at one");
  command->add_flag("--json", args->as_json, "Print results.json instead of tables");
  command->callback([args, &outcome] { outcome = replay_command(*args); });
}

}  // namespace memsim::cli
