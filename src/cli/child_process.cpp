// SPDX-License-Identifier: Apache-2.0
#include "child_process.hpp"

#include <ctime>
#include <system_error>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace memsim::cli {

held_signals::held_signals() {
  std::signal(SIGCHLD, SIG_DFL);  // whoever started us may have had it ignored: no status then
  struct sigaction interrupt{};
  sigaction(SIGINT, nullptr, &interrupt);
  interrupts_were_ignored_ = interrupt.sa_handler == SIG_IGN;
  sigemptyset(&held_);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD}) sigaddset(&held_, number);
  sigprocmask(SIG_BLOCK, &held_, &former_);
}

held_signals::~held_signals() { sigprocmask(SIG_SETMASK, &former_, nullptr); }

std::optional<siginfo_t> held_signals::wait(std::chrono::milliseconds longest) const {
  const timespec time{.tv_sec = longest.count() / 1000,
                      .tv_nsec = longest.count() % 1000 * 1'000'000};
  siginfo_t signal{};
  if (sigtimedwait(&held_, &signal, &time) < 0) return std::nullopt;
  return signal;
}

std::expected<child_process, error> child_process::start(const std::vector<std::string>& command,
                                                         const held_signals& signals) {
  std::vector<char*> arguments;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigmask(&attributes, &signals.former_mask());
  pid_t process = -1;
  const int refused =
      posix_spawnp(&process, arguments[0], nullptr, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (refused != 0) {
    return fail(errc::io, "{}: cannot be run: {}", command[0],
                std::generic_category().message(refused));
  }
  return child_process{process, signals.interrupts_were_ignored() ? SIGTERM : SIGINT};
}

void child_process::handle(const siginfo_t& signal) {
  if (signal.si_signo == SIGCHLD) {
    int status = 0;
    if (waitpid(process_, &status, WNOHANG) != process_) return;
    exit_status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  } else if (signal.si_code <= 0 && !exit_status_) {  // from a process, not from the kernel
    kill(process_, signal.si_signo == SIGINT ? interrupt_ : signal.si_signo);
  }
}

}  // namespace memsim::cli
