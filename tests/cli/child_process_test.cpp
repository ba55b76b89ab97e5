// SPDX-License-Identifier: Apache-2.0
#include "cli/child_process.hpp"

#include <unistd.h>

#include "catch.hpp"

using namespace memsim;
using namespace memsim::cli;
using namespace std::chrono_literals;

namespace {

/// Attends to signals until the command has ended.
int run_to_end(child_process& child, const held_signals& signals) {
  for (int i = 0; i < 1000 && !child.exit_status(); ++i) {
    if (const auto signal = signals.wait(10ms)) child.handle(*signal);
  }
  return child.exit_status().value_or(-1);
}

int run(const std::vector<std::string>& command) {
  const held_signals signals;
  auto child = child_process::start(command, signals);
  REQUIRE(child);
  return run_to_end(*child, signals);
}

}  // namespace

TEST_CASE("a command's exit status is told as a shell tells it", "[cli]") {
  CHECK(run({"true"}) == 0);
  CHECK(run({"sh", "-c", "exit 7"}) == 7);
  CHECK(run({"sh", "-c", "kill -9 $$"}) == 128 + SIGKILL);
}

TEST_CASE("a command that cannot be run is an error", "[cli]") {
  const held_signals signals;
  const auto child = child_process::start({"/no/such/program"}, signals);
  REQUIRE_FALSE(child);
  CHECK(child.error().message() == "/no/such/program: cannot be run: No such file or directory");
}

TEST_CASE("a signal sent to memsim reaches the command", "[cli]") {
  const int number = GENERATE(SIGTERM, SIGHUP);
  const held_signals signals;
  auto child = child_process::start({"sleep", "60"}, signals);
  REQUIRE(child);
  kill(getpid(), number);
  CHECK(run_to_end(*child, signals) == 128 + number);
}

TEST_CASE("an interrupt ends a command also where its starter has interrupts ignored", "[cli]") {
  const bool ignored = GENERATE(false, true);
  struct sigaction former{};
  struct sigaction wanted{};
  wanted.sa_handler = ignored ? SIG_IGN : SIG_DFL;
  sigaction(SIGINT, &wanted, &former);
  {
    const held_signals signals;
    auto child = child_process::start({"sleep", "60"}, signals);
    REQUIRE(child);
    kill(getpid(), SIGINT);
    CHECK(run_to_end(*child, signals) == 128 + (ignored ? SIGTERM : SIGINT));
  }
  sigaction(SIGINT, &former, nullptr);
}

TEST_CASE("the signals of the terminal are not sent to the command a second time", "[cli]") {
  const held_signals signals;
  auto child = child_process::start({"sh", "-c", "sleep 0.2; exit 3"}, signals);
  REQUIRE(child);
  siginfo_t interrupt{};
  interrupt.si_signo = SIGINT;
  interrupt.si_code = SI_KERNEL;
  child->handle(interrupt);
  CHECK(run_to_end(*child, signals) == 3);
}
