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

void progress::show(std::uint64_t done) {
  if (!enabled_) return;
  const auto now = clock::now();
  if (now < next_look_) return;
  next_look_ = now + between_lines;
  shown_ = true;
  constexpr std::uint64_t mebibyte = 1 << 20;
  if (total_ && *total_ > 0) {
    fmt::print(stderr, "\r\033[K{}: {} %", what_,
               std::min<std::uint64_t>(100, done * 100 / *total_));
  } else {
    fmt::print(stderr, "\r\033[K{}: {} MiB", what_, done / mebibyte);
  }
  std::fflush(stderr);
}

}  // namespace memsim::cli
