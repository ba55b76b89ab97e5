// SPDX-License-Identifier: Apache-2.0
#include "metrics/gnuplot.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memsim/core/text.hpp>

namespace memsim::detail {
namespace {

struct file_closer {
  // The owner of the file is the unique_ptr that calls this.
  void operator()(std::FILE* file) const {
    std::fclose(file);  // NOLINT(cppcoreguidelines-owning-memory)
  }
};
/// A file without a name, gone when closed. Unlike a pipe it never fills up, so neither side waits
/// for the other.
using scratch_file = std::unique_ptr<std::FILE, file_closer>;

scratch_file open_scratch() {
  scratch_file file{std::tmpfile()};
  if (file) fcntl(fileno(file.get()), F_SETFD, FD_CLOEXEC);
  return file;
}

std::string contents_of(std::FILE* file) {
  std::string text;
  if (std::fseek(file, 0, SEEK_SET) != 0) return text;
  std::array<char, 65536> part{};
  while (const auto count = std::fread(part.data(), 1, part.size(), file)) {
    text.append(part.data(), count);
  }
  return text;
}

class spawn_actions {
 public:
  spawn_actions() { posix_spawn_file_actions_init(&actions_); }
  ~spawn_actions() { posix_spawn_file_actions_destroy(&actions_); }
  spawn_actions(const spawn_actions&) = delete;
  spawn_actions& operator=(const spawn_actions&) = delete;

  void connect(std::FILE* file, int descriptor) {
    posix_spawn_file_actions_adddup2(&actions_, fileno(file), descriptor);
  }
  [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

/// \return the exit status, or -1 if it did not exit by itself
int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

std::expected<std::string, error> run_gnuplot(std::string_view script) {
  const auto input = open_scratch();
  const auto output = open_scratch();
  const auto complaints = open_scratch();
  if (!input || !output || !complaints ||
      std::fwrite(script.data(), 1, script.size(), input.get()) != script.size() ||
      std::fseek(input.get(), 0, SEEK_SET) != 0) {
    return fail(errc::io, "cannot write a temporary file: {}", std::strerror(errno));
  }

  spawn_actions actions;
  actions.connect(input.get(), STDIN_FILENO);
  actions.connect(output.get(), STDOUT_FILENO);
  actions.connect(complaints.get(), STDERR_FILENO);
  std::string program = "gnuplot";
  std::string plain = "--default-settings";
  std::array<char*, 3> arguments{program.data(), plain.data(), nullptr};
  pid_t child = 0;
  if (const int code = posix_spawnp(&child, program.c_str(), actions.get(), nullptr,
                                    arguments.data(), environ)) {
    return fail(errc::io, "cannot run gnuplot: {}", std::strerror(code));
  }
  // Until glibc 2.24 a program that cannot be started shows as one that exits with 127.
  const int status = wait_for(child);
  if (status == 127) return fail(errc::io, "cannot run gnuplot");
  if (status != 0) {
    return fail(errc::unsupported, "gnuplot failed: {}",
                escaped(contents_of(complaints.get()), 300));
  }
  return contents_of(output.get());
}

}  // namespace memsim::detail
