// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A disk as far as memory management notices it: a queue, a bandwidth, and a latency.
///
///     block_device disk{m.sim(), {.latency = 80us, .transfer = 2us, .queue = 128}};
///     page_cache files{m.memory(), &disk};
///     if (!files.find(file, 0)) co_await disk.read();
///     const auto page = files.read(m.cpu(0), file, 0);

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <memsim/core/statistics.hpp>
#include <memsim/sim/simulator.hpp>
#include <memsim/sim/task.hpp>
#include <memsim/vm/page_store.hpp>

namespace memsim {

/// Modelling assumption: pages are transferred one after another, in the order in which they were
/// asked for, and each is there a fixed time after its transfer.
struct block_device_config {
  sim_duration latency = std::chrono::microseconds{80};
  sim_duration transfer = std::chrono::microseconds{2};  ///< for a page: 2 us are 2 GB/s
  std::uint32_t queue = 128;                             ///< requests at a time, at least 1
};

struct block_device_counts {
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t refused = 0;
  std::uint64_t busy_ns = 0;

  friend bool operator==(const block_device_counts&, const block_device_counts&) = default;
};

inline constexpr std::array block_device_statistics{
    statistic<block_device_counts>{"device_reads", "pages", "pages that were asked to be read",
                                   &block_device_counts::reads},
    statistic<block_device_counts>{"device_writes", "pages", "pages taken to be written",
                                   &block_device_counts::writes},
    statistic<block_device_counts>{"device_refused", "requests",
                                   "writes that were refused because the queue was full",
                                   &block_device_counts::refused},
    statistic<block_device_counts>{"device_busy", "ns", "time spent on transfers",
                                   &block_device_counts::busy_ns},
};

/// A write that finds the queue full is refused; a read waits. What is under way when the device is
/// destroyed is never over.
class block_device final : public page_store {
 public:
  /// \param sim  must outlive the device
  /// \throws usage_error if a time is negative or there is no queue
  explicit block_device(simulator& sim, const block_device_config& how = {});
  block_device(const block_device&) = delete;
  block_device& operator=(const block_device&) = delete;

  write_outcome write(std::move_only_function<void()> done) override;
  /// `co_await disk.read();` waits until a page has been read.
  [[nodiscard]] task<> read();

  /// Requests that are not over.
  [[nodiscard]] std::uint32_t in_flight() const { return *in_flight_; }
  [[nodiscard]] const block_device_counts& counts() const { return counts_; }
  [[nodiscard]] std::vector<statistic_value> statistics() const;

 private:
  sim_time take_turn();

  simulator* sim_;
  block_device_config how_;
  sim_time free_at_{};                        // when the next transfer can begin
  std::shared_ptr<std::uint32_t> in_flight_;  // gone with the device
  block_device_counts counts_;
};

}  // namespace memsim
