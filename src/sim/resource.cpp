// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/resource.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace memsim {

resource_guard::resource_guard(resource& held) : held_{&held} { held.guards_.push_back(*this); }

void resource_guard::take(resource_guard& other) {
  if (!other.holds()) return;
  held_ = std::exchange(other.held_, nullptr);
  other.unlink();
  held_->guards_.push_back(*this);
}

void resource_guard::release() {
  if (!holds()) return;
  unlink();
  std::exchange(held_, nullptr)->take_back();
}

resource::resource(simulator& sim, std::string name, std::uint32_t capacity)
    : sim_{&sim}, name_{std::move(name)}, capacity_{capacity} {
  if (capacity == 0) throw_usage("the capacity of {} is 0; it must be at least 1", name_);
}

resource::~resource() {
  while (!guards_.empty()) {
    guards_.front().held_ = nullptr;
    guards_.pop_front();
  }
  if (granted_.empty() && waiting_.empty()) return;
  const auto why = std::make_exception_ptr(
      usage_error{fmt::format("{} was destroyed while a task waited for it", name_)});
  granted_.fail_all(why);
  waiting_.fail_all(why);
}

resource_guard resource::try_acquire() { return is_free() ? take() : resource_guard{}; }

resource_guard resource::take() {
  ++held_;
  ++counts_.acquisitions;
  return resource_guard{*this};
}

// False if there is no need to wait.
bool resource::enqueue(detail::waiter& w) {
  w.require(*sim_);
  if (is_free()) return false;
  waiting_.add(w);
  counts_.max_queue = std::max<std::uint64_t>(counts_.max_queue, waiting_.size());
  return true;
}

resource_guard resource::handed_over(detail::waiter& w, sim_time asked) {
  w.accept();
  const auto waited = static_cast<std::uint64_t>((sim_->now() - asked).count());
  ++counts_.acquisitions;
  ++counts_.contended;
  counts_.total_wait_ns += waited;
  counts_.max_wait_ns = std::max(counts_.max_wait_ns, waited);
  return resource_guard{*this};
}

// The unit stays held if somebody waits for it: from now on by the first of them, although that
// task goes on a little later.
void resource::take_back() {
  if (waiting_.empty()) {
    --held_;
    return;
  }
  detail::waiter& next = waiting_.take_first();
  granted_.add(next);
  next.grant(*this);
}

std::vector<statistic_value> resource::statistics() const {
  return values_of(counts_, resource_statistics);
}

}  // namespace memsim
