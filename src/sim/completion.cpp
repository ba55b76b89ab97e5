// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/completion.hpp>

#include <exception>

namespace memsim {

completion::~completion() {
  if (waiting_.empty()) return;
  waiting_.fail_all(std::make_exception_ptr(
      usage_error{"a completion was destroyed while a task waited for it"}));
}

bool completion::enqueue(detail::waiter* w) {
  w->require(*sim_);
  if (set_) return false;
  waiting_.add(*w);
  return true;
}

}  // namespace memsim
