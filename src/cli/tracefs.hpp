// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The host kernel's trace buffers, through tracefs.
///
/// All that is set here is set in an instance of its own: buffers, events and options beside the
/// host's. An instance goes when its owner goes, however it goes, and nothing of it remains.

#include <cstdint>
#include <expected>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <memsim/core/error.hpp>

namespace memsim::cli {

/// An open file.
class unique_fd {
 public:
  unique_fd() = default;
  explicit unique_fd(int fd) : fd_{fd} {}
  unique_fd(const unique_fd&) = delete;
  unique_fd& operator=(const unique_fd&) = delete;
  unique_fd(unique_fd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~unique_fd() { close(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  void close();

 private:
  int fd_ = -1;
};

/// What the system said and, where that is the likely cause, what the user lacks.
[[nodiscard]] std::string explain(int error_number);

/// A small file's text, such as one of /proc.
/// \return errc::io with the file and the reason
[[nodiscard]] std::expected<std::string, error> read_text(const std::filesystem::path& file);

/// Where tracefs is mounted.
/// \param proc  /proc, or a tree like it
/// \return errc::unsupported, with what to do about it
[[nodiscard]] std::expected<std::filesystem::path, error> find_tracefs(
    const std::filesystem::path& proc = "/proc");

/// Events of one CPU for which its buffer had no room.
struct lost_on_cpu {
  unsigned cpu = 0;
  std::uint64_t events = 0;

  friend bool operator==(const lost_on_cpu&, const lost_on_cpu&) = default;
};

/// A set of trace buffers.
class trace_instance {
 public:
  /// Makes one. A guard process removes it should this process be killed.
  /// \return errc::io if tracefs does not let us
  [[nodiscard]] static std::expected<std::unique_ptr<trace_instance>, error> make(
      const std::filesystem::path& tracefs, const std::string& name);

  /// Takes over a directory that is laid out like one.
  explicit trace_instance(std::filesystem::path directory);
  trace_instance(const trace_instance&) = delete;
  trace_instance& operator=(const trace_instance&) = delete;
  ~trace_instance();

  /// CPUs that have a buffer, ascending.
  [[nodiscard]] std::vector<unsigned> cpus() const;
  /// \param event  as `kmem/mm_page_alloc`
  [[nodiscard]] bool has_event(std::string_view event) const;

  /// Sets it up to write the kernel's usual text whatever the host has set for itself. What finds
  /// no room is lost; what has been recorded is never overwritten. Records nothing yet.
  /// \param buffer_kib  size of each CPU's buffer
  /// \return errc::io; the message says what could not be set or had
  [[nodiscard]] std::expected<void, error> prepare(std::uint64_t buffer_kib);
  [[nodiscard]] std::expected<void, error> enable(std::string_view event);

  [[nodiscard]] std::expected<void, error> start();
  [[nodiscard]] std::expected<void, error> stop();

  struct drained {
    std::uint64_t events = 0;
    bool empty = false;  ///< there is nothing more for now
  };
  /// Moves text out of the buffers, a few MiB at most. Never waits.
  [[nodiscard]] std::expected<drained, error> drain(std::ostream& out);

  /// CPUs that lost events, ascending.
  [[nodiscard]] std::expected<std::vector<lost_on_cpu>, error> lost() const;

  /// Takes the instance off the host. The destructor does so too, but cannot say if it fails.
  [[nodiscard]] std::expected<void, error> remove();

 private:
  class guard;

  [[nodiscard]] std::expected<void, error> set(const std::filesystem::path& file,
                                               std::string_view value) const;

  std::filesystem::path directory_;
  unique_fd pipe_;
  std::unique_ptr<guard> guard_;
  bool removed_ = false;
};

}  // namespace memsim::cli
