// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A command that runs under memsim as it would run without: same terminal, same signals, same exit
/// status.

#include <chrono>
#include <csignal>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include <memsim/core/error.hpp>

namespace memsim::cli {

/// Keeps the signals that end programs from ending this one: they wait to be asked for.
class held_signals {
 public:
  held_signals();
  held_signals(const held_signals&) = delete;
  held_signals& operator=(const held_signals&) = delete;
  ~held_signals();

  /// The next signal, or nothing within the time.
  [[nodiscard]] std::optional<siginfo_t> wait(std::chrono::milliseconds longest) const;
  /// What this process let through before.
  [[nodiscard]] const sigset_t& former_mask() const { return former_; }
  /// Whether this process was started with interrupts ignored, as a script's background jobs are.
  [[nodiscard]] bool interrupts_were_ignored() const { return interrupts_were_ignored_; }

 private:
  sigset_t held_{};
  sigset_t former_{};
  bool interrupts_were_ignored_ = false;
};

/// A running command.
class child_process {
 public:
  /// \param command  a program, searched for in PATH, and its arguments
  /// \return errc::io with the reason if it cannot be started
  [[nodiscard]] static std::expected<child_process, error> start(
      const std::vector<std::string>& command, const held_signals& signals);

  /// Sees to one signal: passes it on if it was meant for this process alone. The terminal's
  /// signals reach the command by themselves.
  void handle(const siginfo_t& signal);

  /// Once the command has ended, its exit status as a shell reports it: 128 and the number of the
  /// signal that ended it.
  [[nodiscard]] std::optional<int> exit_status() const { return exit_status_; }

 private:
  child_process(pid_t process, int interrupt) : process_{process}, interrupt_{interrupt} {}

  pid_t process_;
  int interrupt_;  // what to send for SIGINT
  std::optional<int> exit_status_{};
};

}  // namespace memsim::cli
