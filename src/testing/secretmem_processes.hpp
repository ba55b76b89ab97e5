// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the programs of a recording of secret memory are told: results, contents, and whether a
/// page is the one that it was.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <memsim/alloc/observer.hpp>
#include <memsim/machine.hpp>
#include <memsim/policy/secretmem.hpp>
#include <memsim/vm/virtual_memory.hpp>

#include "workload/line_source.hpp"

namespace memsim::testing {

class secretmem_processes final : public allocator_observer {
 public:
  secretmem_processes(const kernel_profile& profile, bytes memory, bool enabled);
  ~secretmem_processes() override;
  secretmem_processes(const secretmem_processes&) = delete;
  secretmem_processes& operator=(const secretmem_processes&) = delete;

  /// Does one step.
  /// \param frame  that a page has which is touched; a new page is given it
  /// \return its result; what is wrong with the operation is the cursor's problem
  [[nodiscard]] std::string step(detail::field_cursor& in, std::optional<pfn> frame);

  // A frame that is free is nobody's page any more.
  void on_free(const free_event& e) override;

 private:
  static constexpr std::size_t most_processes = 4;
  static constexpr std::size_t slots = 16;

  struct process_record {
    address_space* space = nullptr;
    std::array<secretmem_file*, slots> open{};
    std::vector<std::pair<vpn, frame_count>> noise{};
  };

  std::string perform(std::string_view operation, detail::field_cursor& in, process_record& process,
                      std::optional<pfn> frame);
  std::string memfd(detail::field_cursor& in, process_record& process);
  std::string mmap(detail::field_cursor& in, process_record& process);
  std::string touch(detail::field_cursor& in, process_record& process, std::optional<pfn> frame);
  std::string fill(detail::field_cursor& in, process_record& process);
  std::string fork(detail::field_cursor& in, const process_record& parent);
  std::string make_noise(process_record& process, frame_count pages);
  void end(process_record& process);

  [[nodiscard]] static vpn page_at(std::size_t slot, std::uint64_t index);
  [[nodiscard]] static vpn read_page(detail::field_cursor& in);

  machine machine_;
  virtual_memory vm_;
  secretmem secrets_;
  std::array<process_record, most_processes> processes_{};
  std::map<pfn, pfn> recorded_;  // the frame that the recording has for one of here
};

}  // namespace memsim::testing
