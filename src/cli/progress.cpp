// SPDX-License-Identifier: Apache-2.0
#include "progress.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

namespace memsim::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto patience = 2s;
constexpr auto between_lines = 200ms;

}  // namespace

progress::progress() : enabled_{isatty(STDERR_FILENO) == 1}, next_look_{clock::now() + patience} {}

void progress::begin(std::string what, std::optional<std::uint64_t> total) {
  what_ = std::move(what);
  total_ = total;
  show(0);
}

progress::~progress() {
  if (shown_) fmt::print(stderr, "\r\033[K");
}

bool progress::is_time() {
  if (!enabled_) return false;
  const auto now = clock::now();
  if (now < next_look_) return false;
  next_look_ = now + between_lines;
  shown_ = true;
  return true;
}

void progress::say(const std::string& line) {
  if (!is_time()) return;
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
}

void progress::show(std::uint64_t done) {
  if (!is_time()) return;
  constexpr std::uint64_t mebibyte = 1 << 20;
  if (total_ && *total_ > 0) {
    fmt::print(stderr, "\r\033[K{}: {} %", what_,
               std::min<std::uint64_t>(100, done * 100 / *total_));
  } else {
    fmt::print(stderr, "\r\033[K{}: {} MiB", what_, done / mebibyte);
  }
  std::fflush(stderr);
}

std::string time_left_text(std::chrono::nanoseconds elapsed, std::uint64_t done,
                           std::uint64_t left) {
  if (done == 0) return {};
  const auto whole = std::chrono::duration<double>(elapsed).count() / static_cast<double>(done) *
                     static_cast<double>(left);
  const auto seconds = static_cast<std::uint64_t>(whole) + 1;
  if (seconds < 60) return fmt::format(", {} s left", seconds);
  if (seconds < 3600) return fmt::format(", {} min {} s left", seconds / 60, seconds % 60);
  return fmt::format(", {} h {} min left", seconds / 3600, seconds % 3600 / 60);
}

}  // namespace memsim::cli
