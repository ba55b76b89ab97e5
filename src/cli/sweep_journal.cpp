// SPDX-License-Identifier: Apache-2.0
#include "sweep_journal.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace memsim::cli {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds patience = 2s;
constexpr std::chrono::milliseconds between_tries = 50ms;

std::string heading_of(digest sweep) { return fmt::format("memsim sweep journal 1 {}\n", sweep); }

std::string line_of(std::string_view key, std::string_view text) {
  const auto record = fmt::format("{} {}", key, text);
  return fmt::format("{} {}\n", digest{}.add(record), record);
}

struct record {
  std::string_view key;
  std::string_view text;
};

/// A line without its end, if it says what was written.
std::optional<record> parse(std::string_view line) {
  const auto first = line.find(' ');
  if (first == std::string_view::npos) return std::nullopt;
  const auto rest = line.substr(first + 1);
  const auto second = rest.find(' ');
  if (second == std::string_view::npos) return std::nullopt;
  if (line.substr(0, first) != to_text(digest{}.add(rest))) return std::nullopt;
  return record{rest.substr(0, second), rest.substr(second + 1)};
}

std::optional<std::string> read_all(int file) {
  std::string text;
  std::array<char, 1 << 16> buffer{};
  for (;;) {
    const auto count = ::pread(file, buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

// A lock of this kind is not a child's, and goes with the process that has it. A rank whose mpirun
// was killed takes a moment to go.
bool lock(int file) {
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  for (auto left = patience; ::fcntl(file, F_SETLK, &whole) != 0; left -= between_tries) {
    if (left <= 0ms) return false;
    std::this_thread::sleep_for(between_tries);
  }
  return true;
}

// So that the file is found in its directory whatever happens next.
void sync_directory(const fs::path& directory) {
  const int file = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return;
  ::fsync(file);
  ::close(file);
}

}  // namespace

std::expected<sweep_journal, error> sweep_journal::open(const fs::path& directory, digest sweep) {
  std::error_code code;
  fs::create_directories(directory, code);
  if (code) return fail(errc::io, "{}: cannot be made: {}", directory.string(), code.message());
  auto path = directory / "journal";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) {
    return fail(errc::io, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  }
  sweep_journal journal{file, std::move(path)};
  if (!lock(file)) {
    return fail(errc::io, "{}: another memsim sweep is at work in this directory",
                journal.path_.string());
  }
  if (auto read = journal.read(sweep); !read) return std::unexpected{read.error()};
  sync_directory(directory);
  return journal;
}

sweep_journal::sweep_journal(sweep_journal&& other) noexcept
    : file_{std::exchange(other.file_, -1)},
      path_{std::move(other.path_)},
      length_{other.length_},
      records_{std::move(other.records_)} {}

sweep_journal::~sweep_journal() {
  if (file_ >= 0) ::close(file_);
}

const std::string* sweep_journal::find(std::string_view key) const {
  const auto found = records_.find(key);
  return found == records_.end() ? nullptr : &found->second;
}

std::expected<void, error> sweep_journal::add(const std::string& key, const std::string& text) {
  if (auto written = append(line_of(key, text)); !written) return written;
  records_.emplace(key, text);
  return {};
}

std::expected<void, error> sweep_journal::read(digest sweep) {
  const auto text = read_all(file_);
  if (!text) return complain("cannot be read");
  const auto heading = heading_of(sweep);
  if (heading.starts_with(*text) && *text != heading) {  // killed before it began, or new
    if (::ftruncate(file_, 0) != 0) return complain("cannot be written");
    return append(heading);
  }
  if (!text->starts_with(heading)) {
    if (!text->starts_with(heading.substr(0, heading.size() - 17))) {
      return fail(errc::malformed, "{}: is no journal of memsim sweep: choose another directory",
                  path_.string());
    }
    return fail(errc::inconsistent,
                "{}: is of another sweep: the scenario, what is varied, or memsim itself was "
                "different. Choose another directory with -o, or remove this one",
                path_.string());
  }
  length_ = heading.size();
  for (auto end = text->find('\n', length_); end != std::string::npos;
       end = text->find('\n', length_)) {
    const auto found = parse(std::string_view{*text}.substr(length_, end - length_));
    if (!found) break;
    records_.emplace(found->key, found->text);
    length_ = end + 1;
  }
  if (length_ == text->size()) return {};
  return ::ftruncate(file_, static_cast<off_t>(length_)) == 0 ? std::expected<void, error>{}
                                                              : complain("cannot be written");
}

std::expected<void, error> sweep_journal::append(const std::string& line) {
  errno = 0;
  const auto written = ::write(file_, line.data(), line.size());
  if (written == static_cast<ssize_t>(line.size()) && ::fsync(file_) == 0) {
    length_ += line.size();
    return {};
  }
  const auto failure = complain("cannot be written");
  // What there is of the line does not count: it goes now, or when the journal is next opened.
  if (::ftruncate(file_, static_cast<off_t>(length_)) != 0) return failure;
  return failure;
}

std::unexpected<error> sweep_journal::complain(std::string_view what) const {
  return fail(errc::io, "{}: {}: {}", path_.string(), what,
              errno == 0 ? "the disk is full" : std::strerror(errno));
}

}  // namespace memsim::cli
