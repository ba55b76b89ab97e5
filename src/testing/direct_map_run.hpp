// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A direct map that follows a recording, and its counters as the recorded kernel counts them.

#include <optional>
#include <span>
#include <string>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/direct_map.hpp>
#include <memsim/arch/tlb_flusher.hpp>
#include <memsim/core/context.hpp>

namespace memsim::testing {

/// Entries of each size, and splits since boot.
struct recorded_mappings {
  std::uint64_t k4 = 0;
  std::uint64_t m2 = 0;
  std::uint64_t g1 = 0;
  std::uint64_t m2_splits = 0;
  std::uint64_t g1_splits = 0;

  friend bool operator==(const recorded_mappings&, const recorded_mappings&) = default;
};

class direct_map_run {
 public:
  /// \param memory    RAM of the machine; page tables are taken from it
  /// \param recorded  what the kernel counted with this layout. It counts mappings that are not the
  ///                  direct map's, too: from here on their number does not change
  /// \throws usage_error if the layout is impossible
  direct_map_run(std::span<const mapped_run> layout, bytes memory,
                 const recorded_mappings& recorded);
  direct_map_run(const direct_map_run&) = delete;  // the map refers to its neighbours
  direct_map_run& operator=(const direct_map_run&) = delete;
  ~direct_map_run() = default;

  /// What the kernel would count.
  [[nodiscard]] recorded_mappings counters() const;
  /// Takes over what the kernel counted, when it is known to have done what was not recorded.
  void assume(const recorded_mappings& recorded);
  [[nodiscard]] const direct_map& map() const { return map_; }
  /// \throws usage_error if a frame is not mapped
  [[nodiscard]] std::expected<void, error> change(pfn first, frame_count count, mapping_change how,
                                                  change_calls calls);
  [[nodiscard]] digest state_digest() const;

 private:
  page_allocator memory_;
  counting_flusher tlbs_{1};
  context ctx_;
  direct_map map_;
  recorded_mappings beside_;  // what the kernel counts besides; modulo 2^64
};

}  // namespace memsim::testing
