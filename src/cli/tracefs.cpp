// SPDX-License-Identifier: Apache-2.0
#include "tracefs.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <ostream>
#include <span>
#include <sstream>
#include <system_error>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace memsim::cli {
namespace {

namespace fs = std::filesystem;

struct trace_option {
  std::string_view name;
  std::string_view value;
};

// An instance starts with the options that the host has chosen for itself. These make the text the
// documented one: name, process, CPU, flags, time, event.
constexpr std::array text_layout{
    trace_option{"annotate", "0"},
    trace_option{"bin", "0"},
    trace_option{"context-info", "1"},
    trace_option{"fields", "0"},
    trace_option{"hex", "0"},
    trace_option{"irq-info", "1"},
    trace_option{"latency-format", "0"},
    trace_option{"raw", "0"},
    trace_option{"record-tgid", "0"},
    trace_option{"stacktrace", "0"},
    trace_option{"userstacktrace", "0"},
    trace_option{"verbose", "0"},
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return text;
}

/// The number at the front of a text; 0 without one.
std::uint64_t leading_number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// The value of a `key: value` line; 0 without one.
std::uint64_t field(std::string_view text, std::string_view key) {
  std::istringstream lines{std::string{text}};
  for (std::string line; std::getline(lines, line);) {
    const std::string_view view = line;
    if (view.starts_with(key) && view.substr(key.size()).starts_with(':')) {
      return leading_number(trimmed(view.substr(key.size() + 1)));
    }
  }
  return 0;
}

/// Undoes the octal escapes of /proc/mounts.
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace

void unique_fd::close() {
  if (is_open()) ::close(std::exchange(fd_, -1));
}

std::string explain(int error_number) {
  std::string said = std::generic_category().message(error_number);
  if (error_number != EACCES && error_number != EPERM) return said;
  if (geteuid() != 0) return said + " (memsim record needs root: try sudo)";
  return said + " (although root: a container, or a kernel locked down by Secure Boot?)";
}

std::expected<std::string, error> read_text(const fs::path& file) {
  const unique_fd in{open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!in.is_open()) return fail(errc::io, "{}: {}", file.string(), explain(errno));
  std::string text;
  std::array<char, 65536> chunk{};
  for (;;) {
    const ssize_t got = read(in.get(), chunk.data(), chunk.size());
    if (got == 0) return text;
    if (got > 0) {
      text.append(chunk.data(), static_cast<std::size_t>(got));
    } else if (errno != EINTR) {
      return fail(errc::io, "{}: {}", file.string(), explain(errno));
    }
  }
}

std::expected<fs::path, error> find_tracefs(const fs::path& proc) {
  const auto mounts = read_text(proc / "mounts");
  if (!mounts) return std::unexpected{mounts.error()};
  std::istringstream lines{*mounts};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words{line};
    std::string device;
    std::string where;
    std::string type;
    words >> device >> where >> type;
    if (type == "tracefs") return fs::path{unescaped(where)};
  }

  const auto types = read_text(proc / "filesystems");
  if (types && types->find("\ttracefs\n") == std::string::npos) {
    return fail(errc::unsupported,
                "this kernel has no tracefs: it was built without tracing (CONFIG_FTRACE)");
  }
  return fail(errc::unsupported,
              "tracefs is not mounted; as root: mount -t tracefs nodev /sys/kernel/tracing");
}

/// A process that makes the instance, and then does nothing but wait for its parent's end, to take
/// it away if the parent could not. So there is no moment in which nobody would. It leads a session
/// of its own so that no signal meant for the parent ends it.
class trace_instance::guard {
 public:
  explicit guard(const fs::path& directory) {
    auto life = make_pipe();
    auto answer = make_pipe();
    write_end_ = std::move(life.write);
    process_ = fork();
    if (process_ < 0) throw std::system_error{errno, std::generic_category()};
    if (process_ == 0) {
      write_end_.close();
      answer.read.close();
      make_and_remove(life.read.get(), answer.write.get(), directory.c_str());
    }
    answer.write.close();
    while (read(answer.read.get(), &why_not_, sizeof why_not_) < 0 && errno == EINTR) {
    }
  }
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;
  ~guard() {
    write_end_.close();
    while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  /// Why it could not make the instance: errno; 0: it has.
  [[nodiscard]] int why_not() const { return why_not_; }

 private:
  struct pipe_ends {
    unique_fd read;
    unique_fd write;
  };

  static pipe_ends make_pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error{errno, std::generic_category()};
    return {unique_fd{ends[0]}, unique_fd{ends[1]}};
  }

  // Only async-signal-safe calls: this runs between fork and exit.
  [[noreturn]] static void make_and_remove(int read_end, int answer, const char* directory) {
    setsid();
    // The parent may have ended before it could listen.
    signal(SIGPIPE, SIG_IGN);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) close(fd);
    const int why_not = mkdir(directory, 0700) == 0 ? 0 : errno;
    while (write(answer, &why_not, sizeof why_not) < 0 && errno == EINTR) {
    }
    if (why_not != 0) _exit(0);
    char byte = 0;
    while (read(read_end, &byte, 1) < 0 && errno == EINTR) {
    }
    // The parent's own files in the instance may close after the pipe: busy for a moment.
    for (int tries = 0; rmdir(directory) != 0 && errno == EBUSY && tries < 200; ++tries) {
      const timespec moment{.tv_sec = 0, .tv_nsec = 10'000'000};
      nanosleep(&moment, nullptr);
    }
    _exit(0);
  }

  unique_fd write_end_;
  pid_t process_ = -1;
  int why_not_ = ECHILD;  // unless it says something else
};

std::expected<std::unique_ptr<trace_instance>, error> trace_instance::make(
    const fs::path& tracefs, const std::string& name) {
  const fs::path instances = tracefs / "instances";
  const fs::path directory = instances / name;
  std::unique_ptr<guard> made_by;
  try {
    made_by = std::make_unique<guard>(directory);
  } catch (const std::system_error& e) {
    return fail(errc::io, "the process that guards {} cannot be made: {}", directory.string(),
                e.code().message());
  }
  if (const int why = made_by->why_not(); why != 0) {
    if (why == ENOENT || why == ENOTDIR) {
      return fail(errc::unsupported, "{}: not a tracefs with instances", tracefs.string());
    }
    return fail(errc::io, "{}: the instance cannot be made: {}", directory.string(), explain(why));
  }
  auto made = std::make_unique<trace_instance>(directory);
  made->guard_ = std::move(made_by);
  return made;
}

trace_instance::trace_instance(fs::path directory) : directory_{std::move(directory)} {}

trace_instance::~trace_instance() {
  if (!removed_) static_cast<void>(remove());
}

std::vector<unsigned> trace_instance::cpus() const {
  std::vector<unsigned> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator{directory_ / "per_cpu", ignored}) {
    const std::string name = entry.path().filename();
    if (name.starts_with("cpu")) {
      found.push_back(static_cast<unsigned>(leading_number(std::string_view{name}.substr(3))));
    }
  }
  std::ranges::sort(found);
  return found;
}

bool trace_instance::has_event(std::string_view event) const {
  std::error_code ignored;
  return fs::exists(directory_ / "events" / event / "enable", ignored);
}

std::expected<void, error> trace_instance::set(const fs::path& file, std::string_view value) const {
  const fs::path path = directory_ / file;
  const unique_fd out{open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC)};
  if (!out.is_open()) return fail(errc::io, "{}: {}", path.string(), explain(errno));
  if (write(out.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    return fail(errc::io, "{}: {} was not accepted: {}", path.string(), value, explain(errno));
  }
  return {};
}

std::expected<void, error> trace_instance::prepare(std::uint64_t buffer_kib) {
  for (const auto& [file, value] :
       {std::pair{"tracing_on", "0"}, {"trace_clock", "mono"}, {"options/overwrite", "0"}}) {
    if (auto done = set(file, value); !done) return done;
  }
  for (const auto& [name, value] : text_layout) {
    const fs::path file = fs::path{"options"} / name;
    // Kernels differ in the options that they have.
    if (std::error_code ignored; !fs::exists(directory_ / file, ignored)) continue;
    if (auto done = set(file, value); !done) return done;
  }
  if (auto done = set("buffer_size_kb", std::to_string(buffer_kib)); !done) {
    return fail(errc::io, "a buffer of {} KiB for each CPU cannot be had: {}", buffer_kib,
                done.error());
  }

  const fs::path pipe = directory_ / "trace_pipe";
  pipe_ = unique_fd{open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (!pipe_.is_open()) return fail(errc::io, "{}: {}", pipe.string(), explain(errno));
  return {};
}

std::expected<void, error> trace_instance::enable(std::string_view event) {
  return set(fs::path{"events"} / event / "enable", "1");
}

std::expected<void, error> trace_instance::start() { return set("tracing_on", "1"); }
std::expected<void, error> trace_instance::stop() { return set("tracing_on", "0"); }

std::expected<trace_instance::drained, error> trace_instance::drain(std::ostream& out) {
  constexpr int most_reads = 512;  // of a page or two each: then signals want to be looked at
  drained result;
  std::array<char, 16384> chunk{};
  for (int reads = 0; reads < most_reads; ++reads) {
    const ssize_t got = read(pipe_.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || (got < 0 && errno == EAGAIN)) {
      result.empty = true;
      break;
    }
    if (got < 0) {
      return fail(errc::io, "{}: {}", (directory_ / "trace_pipe").string(), explain(errno));
    }
    const std::span text{chunk.data(), static_cast<std::size_t>(got)};
    result.events += static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
    out.write(text.data(), got);
  }
  return result;
}

std::expected<std::vector<lost_on_cpu>, error> trace_instance::lost() const {
  std::vector<lost_on_cpu> all;
  for (const unsigned cpu : cpus()) {
    const auto stats = read_text(directory_ / "per_cpu" / ("cpu" + std::to_string(cpu)) / "stats");
    if (!stats) return std::unexpected{stats.error()};
    const std::uint64_t events = field(*stats, "overrun") + field(*stats, "commit overrun") +
                                 field(*stats, "dropped events");
    if (events > 0) all.push_back({.cpu = cpu, .events = events});
  }
  return all;
}

std::expected<void, error> trace_instance::remove() {
  removed_ = true;
  static_cast<void>(stop());
  pipe_.close();  // an instance with a reader cannot be removed
  const bool gone = rmdir(directory_.c_str()) == 0;
  const int why = errno;
  guard_.reset();
  if (!gone) {
    return fail(errc::io, "{}: cannot be removed: {}", directory_.string(), explain(why));
  }
  return {};
}

}  // namespace memsim::cli
