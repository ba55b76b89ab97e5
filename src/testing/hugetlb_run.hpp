// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Does what a recording of hugetlb says, and describes what it came to in its words.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <memsim/policy/hugetlb.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "workload/line_source.hpp"

namespace memsim::testing {

class hugetlb_run {
 public:
  /// \param start_pages  that the pool has from the beginning
  hugetlb_run(const kernel_profile& profile, page_size size, std::uint64_t start_pages);

  /// Does one step.
  /// \param step  its number
  /// \return what comes behind `=>`; what is wrong with the operation is the cursor's problem
  [[nodiscard]] std::string step(detail::field_cursor& operation, std::uint64_t step);

  [[nodiscard]] const page_allocator& memory() const { return memory_; }

 private:
  static constexpr std::size_t most_processes = 4;
  static constexpr std::size_t regions = 8;
  static constexpr std::size_t most_mounts = 8;
  static constexpr std::uint64_t most_pages = 1024;

  struct process_record {
    address_space* space = nullptr;
    /// Pages of a region that were ever mapped at once; 0: it has not been used.
    std::array<std::uint64_t, regions> lengths{};
  };
  // A file as an operation names it; none: there is no such file, or mount.
  struct file_name {
    std::size_t mount = 0;
    std::string name{};
  };
  struct range {
    std::size_t region = 0;
    std::uint64_t first = 0;
    std::uint64_t pages = 1;
  };

  std::string perform(detail::field_cursor& in, std::uint64_t step);
  std::string change_pool(std::string_view operation, detail::field_cursor& in);
  std::string mount(detail::field_cursor& in);
  std::string change_file(std::string_view operation, detail::field_cursor& in);
  std::string mmap(detail::field_cursor& in, process_record& process);
  std::string touch(detail::field_cursor& in, address_space& space, std::uint64_t step);
  std::string fork(detail::field_cursor& in, process_record& parent);

  [[nodiscard]] process_record* read_process(detail::field_cursor& in);
  [[nodiscard]] static file_name read_file(detail::field_cursor& in);
  [[nodiscard]] static file_name parse_file(detail::field_cursor& in, std::string_view word);
  [[nodiscard]] hugetlb_file* find(const file_name& name) const;
  [[nodiscard]] range read_range(detail::field_cursor& in, bool one_page = false);
  [[nodiscard]] vpn page_at(std::size_t region, std::uint64_t index) const;

  [[nodiscard]] std::string describe() const;

  frame_count frames_;  // of a huge page
  page_allocator memory_;
  virtual_memory vm_;
  hugetlb pool_;
  context ctx_;
  std::array<process_record, most_processes> processes_{};
  std::array<hugetlb_mount*, most_mounts> mounts_{};
};

}  // namespace memsim::testing
