// SPDX-License-Identifier: Apache-2.0
#include "worker_processes.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
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

/// How a child says what the text is that it wrote.
enum child_status : std::uint8_t { wrote_result = 0, wrote_error = 1 };

job_result guarded(const job_function& run, std::size_t job) try {
  return run(job);
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

[[noreturn]] void be_child(const job_function& run, std::size_t job, int pipe, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(wrote_error);  // it died before it could be asked for
  const auto result = guarded(run, job);
  const auto text = result ? *result : result.error().message();
  if (!write_all(pipe, text)) _exit(wrote_error);
  _exit(result ? wrote_result : wrote_error);
}

std::unexpected<error> cannot_start() {
  return fail(errc::io, "no process can be started: {}", std::strerror(errno));
}

}  // namespace

worker_processes::worker_processes(unsigned at_once, job_function run)
    : at_once_{std::max(1U, at_once)}, run_{std::move(run)} {}

worker_processes::~worker_processes() {
  for (const auto& c : children_) {
    kill(c.process, SIGKILL);
    close(c.pipe);
    waitpid(c.process, nullptr, 0);
  }
}

std::expected<void, error> worker_processes::start(std::size_t job) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return cannot_start();
  const auto parent = getpid();
  const auto process = fork();
  if (process == 0) {
    close(ends[0]);
    be_child(run_, job, ends[1], parent);
  }
  const auto started =
      process > 0 ? std::expected<void, error>{} : std::expected<void, error>{cannot_start()};
  close(ends[1]);
  if (!started) {
    close(ends[0]);
    return started;
  }
  children_.push_back({.job = job, .process = process, .pipe = ends[0]});
  return {};
}

std::expected<std::vector<ended_job>, error> worker_processes::wait(
    std::chrono::milliseconds longest) {
  std::vector<pollfd> polled;
  for (const auto& c : children_) polled.push_back({.fd = c.pipe, .events = POLLIN, .revents = 0});
  std::vector<ended_job> ended;
  if (poll(polled.data(), polled.size(), static_cast<int>(longest.count())) <= 0) return ended;
  for (const auto& p : polled) {
    if (p.revents == 0) continue;
    const auto c = std::ranges::find(children_, p.fd, &child::pipe);
    if (read_more(*c)) continue;
    auto gone = std::move(*c);
    children_.erase(c);
    ended.push_back({.job = gone.job, .result = outcome_of(gone)});
  }
  return ended;
}

bool worker_processes::read_more(child& c) {
  std::array<char, 1 << 16> buffer{};
  const auto count = read(c.pipe, buffer.data(), buffer.size());
  if (count < 0) return errno == EINTR;
  c.text.append(buffer.data(), static_cast<std::size_t>(count));
  return count > 0;
}

job_result worker_processes::outcome_of(child& c) {
  close(c.pipe);
  int status = 0;
  while (waitpid(c.process, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    return fail(errc::io, "its process was ended by signal {} ({})", WTERMSIG(status),
                strsignal(WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) == wrote_result) return std::move(c.text);
  if (WEXITSTATUS(status) == wrote_error && !c.text.empty()) return fail(errc::io, "{}", c.text);
  return fail(errc::io, "its process ended with status {}", WEXITSTATUS(status));
}

}  // namespace memsim::cli
