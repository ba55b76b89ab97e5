// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/error.hpp>

#include <utility>

namespace memsim {

std::string_view name_of(errc code) {
  switch (code) {
    case errc::no_memory: return "out of memory";
    case errc::busy: return "busy";
    case errc::injected: return "refused by fault injection";
    case errc::malformed: return "malformed input";
    case errc::unsupported: return "unsupported input";
    case errc::inconsistent: return "inconsistent input";
    case errc::io: return "input/output error";
    case errc::bad_address: return "bad address";
    case errc::invalid: return "invalid";
    case errc::again: return "try again";
    case errc::bus_error: return "bus error";
    case errc::not_permitted: return "not permitted";
    case errc::killed: return "killed";
    case errc::no_space: return "no space";
  }
  std::unreachable();
}

std::string to_text(errc code) { return std::string{name_of(code)}; }

std::string error::message() const { return message_.empty() ? to_text(code_) : message_; }

std::string to_text(const error& e) { return e.message(); }

}  // namespace memsim
