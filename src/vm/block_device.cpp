// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/block_device.hpp>

#include <algorithm>

#include <memsim/core/error.hpp>

namespace memsim {

block_device::block_device(simulator& sim, const block_device_config& how)
    : sim_{&sim}, how_{how}, in_flight_{std::make_shared<std::uint32_t>(0)} {
  constexpr sim_duration none{0};
  if (how.latency < none || how.transfer < none) {
    throw_usage("a device with a latency of {} ns and a transfer of {} ns: neither can be negative",
                how.latency.count(), how.transfer.count());
  }
  if (how.queue == 0) throw_usage("a device with a queue of 0: it must take a request");
}

// When a request that comes now is over.
sim_time block_device::take_turn() {
  free_at_ = std::max(free_at_, sim_->now()) + how_.transfer;
  counts_.busy_ns += static_cast<std::uint64_t>(how_.transfer.count());
  return free_at_ + how_.latency;
}

write_outcome block_device::write(std::move_only_function<void()> done) {
  if (*in_flight_ >= how_.queue) {
    ++counts_.refused;
    return write_outcome::refused;
  }
  ++counts_.writes;
  ++*in_flight_;
  sim_->schedule_at(take_turn(),
                    [alive = std::weak_ptr{in_flight_}, done = std::move(done)]() mutable {
                      const auto in_flight = alive.lock();
                      if (in_flight == nullptr) return;
                      --*in_flight;
                      done();
                    });
  return write_outcome::started;
}

task<> block_device::read() {
  ++counts_.reads;
  const auto in_flight = in_flight_;
  ++*in_flight;
  co_await delay_until(take_turn());
  --*in_flight;
}

std::vector<statistic_value> block_device::statistics() const {
  return values_of(counts_, block_device_statistics);
}

}  // namespace memsim
