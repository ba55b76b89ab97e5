// SPDX-License-Identifier: Apache-2.0
#include "sim/task_set.hpp"

#include <utility>

namespace memsim::detail {

void task_set::resume(waiter& w) {
  spawned& root = w.root();
  const auto keep = root.self_;
  running_ = &root;
  w.resume();
  running_ = nullptr;
  if (root.at_its_end_) {
    finish(root);
  } else if (root.to_be_cancelled_) {
    end(root, task_state::cancelled);
  }
}

void task_set::finish(spawned& root) {
  root.error_ = root.promise_->error();
  if (!root.error_) {
    try {
      root.take_result();
    } catch (...) {
      root.error_ = std::current_exception();
    }
  }
  const std::exception_ptr unseen = root.joining_.empty() ? root.error_ : nullptr;
  end(root, root.error_ ? task_state::failed : task_state::returned);
  if (unseen) std::rethrow_exception(unseen);
}

// The state is final before anything is destroyed, because destructors may ask.
void task_set::end(spawned& root, task_state how) {
  const auto keep = std::exchange(root.self_, nullptr);
  root.state_ = how;
  active_.erase(active_.iterator_to(root));
  std::exchange(root.frame_, nullptr).destroy();
  root.joining_.wake_all();
}

void task_set::cancel_all() {
  while (!active_.empty()) end(active_.back(), task_state::cancelled);
}

void spawned::start(std::coroutine_handle<> frame, promise_base& promise, event_priority priority) {
  frame_ = frame;
  promise_ = &promise;
  promise.belong(frame, *this);
  self_ = shared_from_this();
  task_set::of(*sim_).add(*this);
  promise.waits().sleep_until(sim_->now(), priority);
}

bool spawned::cancel() {
  if (state_ != task_state::active) return false;
  task_set& tasks = task_set::of(*sim_);
  if (tasks.is_running(*this)) {
    to_be_cancelled_ = true;
  } else {
    tasks.end(*this, task_state::cancelled);
  }
  return true;
}

void spawned::join(waiter& w) {
  w.require(*sim_);
  if (&w.root() == this) throw_usage("a task cannot wait for its own end");
  joining_.add(w);
}

void spawned::require_returned() const {
  switch (state_) {
    case task_state::active: throw_usage("a task has no result before it has ended");
    case task_state::returned: return;
    case task_state::failed: std::rethrow_exception(error_);
    case task_state::cancelled: throw task_cancelled{};
  }
}

}  // namespace memsim::detail
