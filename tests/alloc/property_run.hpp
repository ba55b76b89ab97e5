// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The allocator and the reference model side by side, driven by random operations.

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include <rapidcheck/Gen.h>

#include <memsim/alloc/observer.hpp>
#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/random.hpp>

#include "alloc/property_machine.hpp"
#include "alloc/reference_model.hpp"

namespace memsim::properties {

enum class action {
  allocate,
  free_any,
  free_newest,
  drain,
  drain_other,
  drain_all,
  mark_movable,
  split,
  adopt,
  misuse,
  fork,
  restore,
};

/// Small integers; what they pick depends on the state in which the operation is performed.
struct operation {
  action what{};
  unsigned repeat = 1;
  unsigned order = 0;
  unsigned flags = 0;  ///< index into the table of GFP flags
  unsigned cpu = 0;
  std::uint32_t pick = 0;
};

[[nodiscard]] rc::Gen<operation> any_operation();
void showValue(const operation&, std::ostream&);

/// Collects the fallbacks of one request.
class fallback_listener final : public allocator_observer {
 public:
  void on_fallback(const fallback_event& event) override { seen.push_back(event); }
  std::vector<fallback_event> seen;
};

/// Performs operations on both and stops at the first difference.
class side_by_side {
 public:
  side_by_side(const machine&, const page_allocator_config&);
  side_by_side(const side_by_side&) = delete;
  side_by_side& operator=(const side_by_side&) = delete;

  /// Performs it as often as it says.
  void perform(const operation&);
  /// Compares the whole states and looks at the invariants.
  void compare();

  /// The first difference; without one the two agree.
  [[nodiscard]] const std::optional<std::string>& difference() const { return difference_; }
  [[nodiscard]] std::uint64_t calls() const { return calls_; }

 private:
  struct live_block {
    pfn block{};
    order size{};
  };

  side_by_side(const machine&, const page_allocator_config&, page_allocator booted);
  side_by_side(const page_allocator_config&, beginning, page_allocator booted);
  void listen();
  void fill(unsigned percent);
  void perform_once(const operation&);
  void allocate(const operation&, gfp flags);
  void free_at(std::size_t index, const operation&);
  void mark_movable(const operation&);
  void split(const operation&);
  void adopt(const operation&);
  void misuse(const operation&);
  void fork();
  void restore();
  void differ(std::string what);
  [[nodiscard]] std::uint32_t draw(std::uint64_t bound);
  [[nodiscard]] context acting(const operation&) const;
  [[nodiscard]] bool is_adoptable(pfn block, order size) const;

  page_allocator memory_;
  reference::reference_model model_;
  fallback_listener listener_;
  bool observed_ = true;
  std::vector<live_block> live_;
  std::vector<memory_region> in_use_;
  std::vector<live_block> adopted_;
  std::uint64_t pick_state_ = 0;
  std::uint64_t calls_ = 0;
  std::optional<std::string> difference_;
};

/// Empty, or the first part of two states that differs, both sides named.
[[nodiscard]] std::optional<std::string> first_difference(allocator_state allocator,
                                                          allocator_state model,
                                                          const kernel_profile&);

}  // namespace memsim::properties
