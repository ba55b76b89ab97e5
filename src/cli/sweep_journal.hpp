// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a sweep has finished, so that it can be killed at any moment and taken up again.

#include <cstddef>
#include <expected>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>

namespace memsim::cli {

/// A file of records, each a line with a checksum, appended by one write and on the disk before it
/// counts.
///
///     memsim sweep journal 1 SWEEP
///     CHECKSUM KEY TEXT
///
/// What follows the last line that is whole was being written when somebody pulled the plug, and is
/// cut off. One process at a time has a journal open.
class sweep_journal {
 public:
  /// Opens the journal of a directory, which is made if it is not there.
  /// \param sweep  whose journal it must be
  /// \return errc::io if it cannot be read or written, or another process has it open;
  ///         errc::inconsistent if it is another sweep's; errc::malformed if it is no journal
  [[nodiscard]] static std::expected<sweep_journal, error> open(
      const std::filesystem::path& directory, digest sweep);

  sweep_journal(sweep_journal&& other) noexcept;
  sweep_journal& operator=(sweep_journal&&) = delete;
  sweep_journal(const sweep_journal&) = delete;
  sweep_journal& operator=(const sweep_journal&) = delete;
  ~sweep_journal();

  /// The text of a record, or nullptr.
  [[nodiscard]] const std::string* find(std::string_view key) const;
  /// Records by key.
  [[nodiscard]] const auto& records() const { return records_; }

  /// \param key   without blanks, not yet there
  /// \param text  a line
  /// \return errc::io; then the file is as it was
  [[nodiscard]] std::expected<void, error> add(const std::string& key, const std::string& text);

 private:
  sweep_journal(int file, std::filesystem::path path) : file_{file}, path_{std::move(path)} {}
  std::expected<void, error> read(digest sweep);
  std::expected<void, error> append(const std::string& line);
  [[nodiscard]] std::unexpected<error> complain(std::string_view what) const;

  int file_;
  std::filesystem::path path_;
  std::size_t length_ = 0;  // of the file, in whole lines
  std::map<std::string, std::string, std::less<>> records_;
};

}  // namespace memsim::cli
