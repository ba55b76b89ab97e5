// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What became of an access of a process to a page.

#include <optional>
#include <string>
#include <string_view>

#include <memsim/arch/tlb.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// How the kernel was needed.
enum class fault_kind : unsigned char {
  none,
  /// The page table had long allowed it: the TLB had an entry from before that.
  spurious,
  /// The page table was changed, without a read from a device.
  minor,
};

/// An access that was made.
struct access_result {
  /// How the access came by its translation, after a fault the second time. Without TLBs a walk,
  /// of whose references nothing is known.
  translation found{};
  fault_kind fault = fault_kind::none;
  /// The frame of 4 KiB that was accessed: what the TLB says, not the page table. None: zeroes.
  std::optional<pfn> frame{};

  friend bool operator==(const access_result&, const access_result&) = default;
};

[[nodiscard]] std::string_view name_of(fault_kind);       ///< `minor`
[[nodiscard]] std::string to_text(fault_kind);            ///< `minor`
[[nodiscard]] std::string to_text(const access_result&);  ///< `frame 17, 4K walk of 4, minor fault`

}  // namespace memsim
