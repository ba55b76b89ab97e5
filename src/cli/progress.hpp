// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A line on the terminal that says how far something has come.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace memsim::cli {

/// Silent for the first two seconds, and always where standard error is not a terminal.
class progress {
 public:
  progress();
  /// Removes the line.
  ~progress();
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  /// Names what is being done now.
  /// \param total  bytes that update() counts up to; none where that is not known
  void begin(std::string what, std::optional<std::uint64_t> total);
  /// \param done  bytes of it so far; cheap enough to be called for every event
  void update(std::uint64_t done) {
    if (++calls_ % calls_between_looks == 0) show(done);
  }
  /// Likewise, but looks at the clock each time.
  void show(std::uint64_t done);
  /// Shows a line of the caller's own, if it is time for one.
  void say(const std::string& line);

 private:
  [[nodiscard]] bool is_time();

  using clock = std::chrono::steady_clock;
  static constexpr unsigned calls_between_looks = 1024;

  bool enabled_;
  std::string what_;
  std::optional<std::uint64_t> total_;
  bool shown_ = false;
  unsigned calls_ = 0;
  clock::time_point next_look_;
};

/// How long the rest will take if it takes as long as what is done: `, 3 min 20 s left`. Empty
/// where nothing is done yet.
[[nodiscard]] std::string time_left_text(std::chrono::nanoseconds elapsed, std::uint64_t done,
                                         std::uint64_t left);

}  // namespace memsim::cli
