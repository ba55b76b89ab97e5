// SPDX-License-Identifier: Apache-2.0
// memsim record: what does this machine's kernel do with its memory while a command runs?
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>

#include <memsim/core/error.hpp>

#include "child_process.hpp"
#include "commands.hpp"
#include "option_values.hpp"
#include "tracefs.hpp"

namespace memsim::cli {
namespace {

namespace fs = std::filesystem;

struct options {
  std::string directory;
  std::vector<std::string> command;
  std::uint64_t buffer_mib = 0;  // 0: default_buffer_kib()
  std::string tracefs;           // empty: where it is mounted
};

// Without the first two there is nothing to replay; older kernels may lack some of the others.
constexpr std::array needed_events{"kmem/mm_page_alloc", "kmem/mm_page_free"};
constexpr std::array other_events{"kmem/mm_page_free_batched", "kmem/mm_page_alloc_extfrag",
                                  "kmem/mm_page_pcpu_drain", "kmem/mm_page_alloc_zone_locked"};

constexpr std::array machine_files{"zoneinfo", "buddyinfo", "pagetypeinfo"};

template <class... Args>
void say(fmt::format_string<Args...> text, Args&&... args) {
  fmt::print(stderr, "memsim record: {}\n", fmt::format(text, std::forward<Args>(args)...));
}

// ---- the machine's description --------------------------------------------------------------

using machine_texts = std::array<std::string, machine_files.size()>;

// Held in memory at first: writing files would change what they describe.
std::expected<machine_texts, error> read_machine() {
  machine_texts texts;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto text = read_text(fs::path{"/proc"} / machine_files[i]);
    if (!text) return std::unexpected{text.error()};
    texts[i] = std::move(*text);
  }
  return texts;
}

std::expected<void, error> write_machine(const machine_texts& texts, const fs::path& directory,
                                         std::string_view when) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const fs::path file = directory / fmt::format("recording.{}.{}", machine_files[i], when);
    if (!(std::ofstream{file} << texts[i] << std::flush)) {
      return fail(errc::io, "{}: cannot be written", file.string());
    }
  }
  return {};
}

/// 64 MiB a CPU hold a million events; all together at most an eighth of what is available.
std::uint64_t default_buffer_kib(std::size_t cpus) {
  std::uint64_t available_kib = 0;
  std::ifstream meminfo{"/proc/meminfo"};
  for (std::string key; meminfo >> key;) {
    if (key == "MemAvailable:") meminfo >> available_kib;
    meminfo.ignore(256, '\n');
  }
  const std::uint64_t share = available_kib / 8 / std::max<std::size_t>(cpus, 1);
  return std::clamp<std::uint64_t>(share, 1 << 10, 64 << 10);
}

// ---- the trace ------------------------------------------------------------------------------

std::expected<std::unique_ptr<trace_instance>, error> prepare_tracing(const options& chosen) {
  fs::path tracefs = chosen.tracefs;
  if (tracefs.empty()) {
    auto found = find_tracefs();
    if (!found) return std::unexpected{found.error()};
    tracefs = *found;
  }
  auto made = trace_instance::make(tracefs, fmt::format("memsim-{}", getpid()));
  if (!made) return made;
  auto& instance = **made;

  for (const char* const event : needed_events) {
    if (!instance.has_event(event)) {
      return fail(errc::unsupported, "{}: this kernel has no event {} (CONFIG_EVENT_TRACING?)",
                  tracefs.string(), event);
    }
  }
  const std::uint64_t buffer_kib =
      chosen.buffer_mib != 0 ? chosen.buffer_mib << 10 : default_buffer_kib(instance.cpus().size());
  if (auto done = instance.prepare(buffer_kib); !done) return std::unexpected{done.error()};
  for (const char* const event : needed_events) {
    if (auto done = instance.enable(event); !done) return std::unexpected{done.error()};
  }
  for (const char* const event : other_events) {
    if (!instance.has_event(event)) {
      say("note: this kernel has no event {}", event);
    } else if (auto done = instance.enable(event); !done) {
      return std::unexpected{done.error()};
    }
  }
  return made;
}

std::string header(const std::vector<std::string>& command) {
  utsname host{};
  uname(&host);
  std::string line = fmt::format("# {} {} {}: {}", host.sysname, host.release, host.machine,
                                 fmt::join(command, " "));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return "# tracer: nop\n#\n" + line + "\n#\n";
}

/// In the kernel's own form, so that whoever reads the trace learns of it.
void write_lost(std::ostream& out, const std::vector<lost_on_cpu>& all) {
  for (const auto& lost : all) {
    out << fmt::format("CPU:{} [LOST {} EVENTS]\n", lost.cpu, lost.events);
  }
}

// ---- the recording --------------------------------------------------------------------------

using std::chrono::steady_clock;

fs::path trace_file(const fs::path& directory) { return directory / "recording.trace"; }

std::expected<std::ofstream, error> create_trace(const fs::path& directory) {
  const fs::path file = trace_file(directory);
  std::error_code why;
  if (fs::exists(file, why)) {
    return fail(errc::io, "{}: there is a recording already; choose another directory",
                file.string());
  }
  fs::create_directories(directory, why);
  if (why) return fail(errc::io, "{}: {}", directory.string(), why.message());
  std::ofstream trace{file, std::ios::binary};
  if (!trace) return fail(errc::io, "{}: cannot be written", file.string());
  return trace;
}

/// Moves what the buffers hold to the file.
std::expected<trace_instance::drained, error> drain(trace_instance& tracing, std::ofstream& trace) {
  auto moved = tracing.drain(trace);
  if (moved && !trace) return fail(errc::io, "the trace cannot be written: is the disk full?");
  return moved;
}

/// Empties the buffers again and again until the command has ended. A recording that fails does not
/// take the command with it.
std::expected<std::uint64_t, error> follow(child_process& child, const held_signals& signals,
                                           trace_instance& tracing, std::ofstream& trace) {
  constexpr std::chrono::milliseconds pause{20};
  std::expected<std::uint64_t, error> events = 0;
  while (!child.exit_status()) {
    bool empty = true;
    if (events) {
      if (const auto moved = drain(tracing, trace)) {
        *events += moved->events;
        empty = moved->empty;
      } else {
        events = std::unexpected{moved.error()};
      }
    }
    using namespace std::chrono_literals;
    if (const auto signal = signals.wait(empty ? pause : 0ms)) child.handle(*signal);
  }
  return events;
}

struct recorded {
  std::uint64_t events = 0;
  std::vector<lost_on_cpu> lost{};
};

/// What there is to do once the command has ended, the machine's description first: it ages.
std::expected<recorded, error> finish(const options& chosen, trace_instance& tracing,
                                      std::ofstream& trace, std::uint64_t events) {
  if (auto done = tracing.stop(); !done) return std::unexpected{done.error()};
  const auto after = read_machine();
  if (!after) return std::unexpected{after.error()};
  for (bool empty = false; !empty;) {
    const auto moved = drain(tracing, trace);
    if (!moved) return std::unexpected{moved.error()};
    events += moved->events;
    empty = moved->empty;
  }
  const auto lost = tracing.lost();
  if (!lost) return std::unexpected{lost.error()};
  write_lost(trace, *lost);
  if (!trace.flush()) return fail(errc::io, "the trace cannot be written: is the disk full?");
  if (auto done = write_machine(*after, chosen.directory, "after"); !done) {
    return std::unexpected{done.error()};
  }
  if (auto done = tracing.remove(); !done) return std::unexpected{done.error()};
  return recorded{.events = events, .lost = *lost};
}

void report(const options& chosen, const recorded& result, steady_clock::duration time) {
  say("{} events in {:.1f} s, in {}", result.events, std::chrono::duration<double>(time).count(),
      trace_file(chosen.directory).string());
  for (const auto& lost : result.lost) {
    say("warning: {} events of CPU {} were lost: record again with a larger --buffer", lost.events,
        lost.cpu);
  }
  if (result.lost.empty()) say("no event was lost");
}

std::expected<child_process, error> start_traced(const std::vector<std::string>& command,
                                                 const held_signals& signals,
                                                 trace_instance& tracing) {
  while (const auto signal = signals.wait(std::chrono::milliseconds{0})) {
    if (signal->si_signo != SIGCHLD) {
      return fail(errc::io, "interrupted before {} was run", command[0]);
    }
  }
  if (auto done = tracing.start(); !done) return std::unexpected{done.error()};
  return child_process::start(command, signals);
}

/// Takes away the beginnings of a recording that did not come about.
void discard(const fs::path& directory, bool with_directory) {
  std::error_code ignored;
  fs::remove(trace_file(directory), ignored);
  if (with_directory) fs::remove(directory, ignored);
}

/// \return the command's exit status
std::expected<int, error> record(const options& chosen) {
  const held_signals signals;  // outlives the instance: nothing ends this process before it is gone
  auto tracing = prepare_tracing(chosen);
  if (!tracing) return std::unexpected{tracing.error()};
  const auto before = read_machine();
  if (!before) return std::unexpected{before.error()};
  const bool is_new = !fs::exists(chosen.directory);
  auto trace = create_trace(chosen.directory);
  if (!trace) return std::unexpected{trace.error()};
  *trace << header(chosen.command);

  const auto start = steady_clock::now();
  auto child = start_traced(chosen.command, signals, **tracing);
  if (!child) {
    discard(chosen.directory, is_new);
    return std::unexpected{child.error()};
  }

  const auto described = write_machine(*before, chosen.directory, "before");
  const auto events = follow(*child, signals, **tracing, *trace);
  const auto time = steady_clock::now() - start;
  if (!described) return std::unexpected{described.error()};
  if (!events) return std::unexpected{events.error()};
  const auto result = finish(chosen, **tracing, *trace, *events);
  if (!result) return std::unexpected{result.error()};
  report(chosen, *result, time);
  return *child->exit_status();
}

}  // namespace

void add_record(CLI::App& app, int& outcome) {
  auto* const command = app.add_subcommand(
      "record",
      "Records what this machine's kernel does with its memory while COMMAND runs.\n"
      "Writes to DIR: recording.trace, the page allocator's events of all processes as ftrace "
      "text,\n"
      "and recording.{zoneinfo,buddyinfo,pagetypeinfo}.{before,after}, the machine's description.\n"
      "Replay it with: memsim replay DIR/recording.trace --machine DIR/recording.zoneinfo.before\n"
      "\n"
      "Needs root and tracefs. Uses trace buffers of its own, which are gone afterwards, also "
      "when\n"
      "interrupted; the host's own tracing is neither used nor changed.\n"
      "Exit status: COMMAND's (128 and the number of the signal that ended it); 2 if COMMAND "
      "could\n"
      "not be run or the recording failed.");
  auto chosen = std::make_shared<options>();
  command->add_option("-o,--output", chosen->directory, "where to write; made if it is not there")
      ->type_name("DIR")
      ->required();
  command
      ->add_option("--buffer", chosen->buffer_mib,
                   "trace buffer of each CPU in MiB (default: 64, or less on a small machine)")
      ->type_name("MIB")
      ->transform(whole_number(1, 1 << 16));
  command->add_option("--tracefs", chosen->tracefs, "where tracefs is mounted (default: looked up)")
      ->type_name("DIR");
  command->add_option("COMMAND", chosen->command, "what to run, after --")->required();
  command->callback([chosen, &outcome] {
    const auto status = record(*chosen);
    if (!status) say("{}", status.error());
    outcome = status.value_or(bad_input);
  });
}

}  // namespace memsim::cli
