// SPDX-License-Identifier: Apache-2.0
#include "worker_processes.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

namespace memsim::cli {
namespace {

constexpr int between_looks_ms = 200;

/// How a child says what the text is that it wrote.
enum child_status : int { wrote_result = 0, wrote_error = 1 };

job_result guarded(const job_functions& functions, std::size_t job) try {
  return functions.run(job);
} catch (const std::bad_alloc&) {
  return fail(errc::no_memory, "this host has not the memory for that");
} catch (const std::exception& e) {
  return fail(errc::inconsistent, "{}", e.what());
}

bool write_all(int pipe, std::string_view text) {
  while (!text.empty()) {
    const auto count = ::write(pipe, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

[[noreturn]] void be_child(const job_functions& functions, std::size_t job, int pipe,
                           pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(wrote_error);  // it died before it could be asked for
  const auto result = guarded(functions, job);
  const auto text = result ? *result : result.error().message();
  if (!write_all(pipe, text)) _exit(wrote_error);
  _exit(result ? wrote_result : wrote_error);
}

/// A child at work.
struct worker {
  std::size_t job = 0;
  pid_t process = -1;
  int pipe = -1;
  std::string text{};  ///< what it has written so far
};

class worker_processes {
 public:
  worker_processes(std::span<const std::size_t> jobs, unsigned at_once,
                   const job_functions& functions)
      : waiting_{jobs}, at_once_{std::max(1U, at_once)}, functions_{functions} {}
  worker_processes(const worker_processes&) = delete;
  worker_processes& operator=(const worker_processes&) = delete;

  /// Those that are still at work are not wanted any more.
  ~worker_processes() {
    for (const auto& w : workers_) {
      kill(w.process, SIGKILL);
      close(w.pipe);
      waitpid(w.process, nullptr, 0);
    }
  }

  std::expected<void, error> run() {
    while (!waiting_.empty() || !workers_.empty()) {
      if (auto started = start_waiting(); !started) return started;
      if (auto ended = look(); !ended) return ended;
      functions_.meanwhile();
    }
    return {};
  }

 private:
  // Who has at least one child will try again when one has ended.
  std::expected<void, error> start_waiting() {
    while (!waiting_.empty() && workers_.size() < at_once_) {
      if (start(waiting_.front())) {
        waiting_ = waiting_.subspan(1);
      } else if (workers_.empty()) {
        return fail(errc::io, "no process can be started: {}", std::strerror(errno));
      } else {
        break;
      }
    }
    return {};
  }

  bool start(std::size_t job) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) return false;
    const auto parent = getpid();
    const auto process = fork();
    if (process == 0) {
      close(ends[0]);
      be_child(functions_, job, ends[1], parent);
    }
    close(ends[1]);
    if (process < 0) {
      close(ends[0]);
      return false;
    }
    workers_.push_back({.job = job, .process = process, .pipe = ends[0]});
    return true;
  }

  std::expected<void, error> look() {
    std::vector<pollfd> polled;
    for (const auto& w : workers_) polled.push_back({.fd = w.pipe, .events = POLLIN, .revents = 0});
    if (poll(polled.data(), polled.size(), between_looks_ms) <= 0) return {};
    for (const auto& p : polled) {
      if (p.revents == 0) continue;
      const auto w = std::ranges::find(workers_, p.fd, &worker::pipe);
      if (read_more(*w)) continue;
      auto ended = std::move(*w);
      workers_.erase(w);
      if (auto done = functions_.done(ended.job, outcome_of(ended)); !done) return done;
    }
    return {};
  }

  static bool read_more(worker& w) {
    std::array<char, 1 << 16> buffer{};
    const auto count = read(w.pipe, buffer.data(), buffer.size());
    if (count < 0) return errno == EINTR;
    w.text.append(buffer.data(), static_cast<std::size_t>(count));
    return count > 0;
  }

  static job_result outcome_of(worker& w) {
    close(w.pipe);
    int status = 0;
    while (waitpid(w.process, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
      return fail(errc::io, "its process was ended by signal {} ({})", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    }
    if (WEXITSTATUS(status) == wrote_result) return std::move(w.text);
    if (WEXITSTATUS(status) == wrote_error && !w.text.empty()) return fail(errc::io, "{}", w.text);
    return fail(errc::io, "its process ended with status {}", WEXITSTATUS(status));
  }

  std::span<const std::size_t> waiting_;
  std::size_t at_once_;
  const job_functions& functions_;
  std::vector<worker> workers_;
};

}  // namespace

std::expected<void, error> run_in_processes(std::span<const std::size_t> jobs, unsigned at_once,
                                            const job_functions& functions) {
  return worker_processes{jobs, at_once, functions}.run();
}

}  // namespace memsim::cli
