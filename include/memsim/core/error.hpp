// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How memsim says no. Expected failure is a value, misuse is an exception.
///
/// Out of memory, a trace with a torn line, a machine description that lacks a zone: these happen
/// to correct programs and come back as `std::expected<T, memsim::error>`. A frame freed twice, an
/// order of 40, a CPU that the machine does not have: these are bugs of the caller and throw
/// usage_error, with a message that names the value and what was allowed. Either way nothing has
/// changed: no call is ever half done.

#include <expected>
#include <stdexcept>
#include <string>
#include <string_view>

#include <memsim/core/format.hpp>

namespace memsim {

/// Why an operation that was correctly asked for did not succeed.
enum class errc : unsigned char {
  no_memory,      ///< no zone could give a block without breaking its watermark
  busy,           ///< something in use is in the way and cannot be moved now
  injected,       ///< a fault injector refused the request
  malformed,      ///< input is not in the format that it claims to be
  unsupported,    ///< input is well formed and asks for something memsim does not model
  inconsistent,   ///< input contradicts itself
  io,             ///< a file could not be opened, read or written
  bad_address,    ///< nothing is mapped there, or not with the rights that it takes
  invalid,        ///< what is there is not of the kind that it takes
  again,          ///< somebody is at it; it may succeed later
  bus_error,      ///< what is mapped there has no such page, or has lost it (SIGBUS)
  not_permitted,  ///< it takes a right, or a limit, that whoever asked does not have
  killed,         ///< the process that asks has been killed
  no_space,       ///< what is set aside for it is used up, though memory may not be
};

[[nodiscard]] std::string_view name_of(errc);
[[nodiscard]] std::string to_text(errc);

/// A failure: its kind, and a sentence for the person who reads it.
class error {
 public:
  explicit error(errc code) : code_{code} {}
  error(errc code, std::string message) : code_{code}, message_{std::move(message)} {}

  [[nodiscard]] errc code() const { return code_; }
  /// The sentence; without one, the name of the code.
  [[nodiscard]] std::string message() const;

  friend bool operator==(const error&, const error&) = default;

 private:
  errc code_;
  std::string message_;
};

[[nodiscard]] std::string to_text(const error&);

/// The caller broke a contract. The message names the value and what was allowed.
class usage_error : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// `throw_usage("order {} is above {}", o, max_page_order)`
template <class... Args>
[[noreturn]] void throw_usage(fmt::format_string<Args...> text, Args&&... args) {
  throw usage_error{fmt::format(text, std::forward<Args>(args)...)};
}

/// `return fail(errc::malformed, "{}:{}: no such zone", file, line);`
template <class... Args>
[[nodiscard]] std::unexpected<error> fail(errc code, fmt::format_string<Args...> text,
                                          Args&&... args) {
  return std::unexpected{error{code, fmt::format(text, std::forward<Args>(args)...)}};
}

}  // namespace memsim
