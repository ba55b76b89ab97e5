// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Does what a recording of huge pages says, and describes what it came to in its words.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/alloc/observer.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "workload/line_source.hpp"

namespace memsim::testing {

class thp_run final : public allocator_observer {
 public:
  explicit thp_run(const kernel_profile& profile);
  ~thp_run() override;
  thp_run(const thp_run&) = delete;
  thp_run& operator=(const thp_run&) = delete;

  /// Does one step.
  /// \param step  its number
  /// \return what comes behind `=>`; what is wrong with the operation is the cursor's problem
  [[nodiscard]] std::string step(detail::field_cursor& operation, std::uint64_t step);

  [[nodiscard]] const page_allocator& memory() const { return memory_; }

  // Pages lose their names when they are freed.
  void on_free(const free_event& e) override;

 private:
  static constexpr std::size_t most_processes = 4;
  static constexpr std::uint64_t regions = 8;
  static constexpr std::uint64_t slots = 16;

  // A run of pages of a region, as most operations name it.
  struct range {
    std::size_t process = 0;
    vpn first{};
    frame_count pages = 0;
  };
  struct page_name {
    char kind = 'S';
    std::uint64_t number = 0;
    std::uint64_t part = 0;
  };
  struct held {
    hold_kind kind{};
    std::vector<held_page> pages{};
  };

  std::string perform(detail::field_cursor& in, std::uint64_t step);
  std::string touch(detail::field_cursor& in, std::uint64_t step);
  std::string take(detail::field_cursor& in, hold_kind kind);
  std::string put(detail::field_cursor& in, hold_kind kind);
  std::string fork(detail::field_cursor& in);
  [[nodiscard]] range read_range(detail::field_cursor& in, bool whole = false);
  [[nodiscard]] std::size_t read_process(detail::field_cursor& in);

  [[nodiscard]] std::string describe();
  [[nodiscard]] std::string describe_events();
  [[nodiscard]] std::string describe_region(std::size_t process, std::uint64_t region);
  [[nodiscard]] std::string describe_held(const held& h);
  [[nodiscard]] page_name name_of(pfn page);
  [[nodiscard]] static std::string shown(const page_name& name);

  page_allocator memory_;
  virtual_memory vm_;
  context ctx_;
  std::array<address_space*, most_processes> processes_{};
  std::array<std::map<std::uint64_t, held>, 2> held_;  // by kind and slot
  thp_counts seen_;
  std::map<pfn, page_name> names_;
  std::uint64_t huge_names_ = 0;
  std::uint64_t small_names_ = 0;
};

}  // namespace memsim::testing
