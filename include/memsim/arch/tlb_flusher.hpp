// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Flushing the kernel's translations from the TLBs of all CPUs.

#include <memsim/arch/tlb_flush.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// Whoever keeps translations of kernel addresses, and is told what they may no longer serve.
///
/// An implementation adds what it did to the ledger of the context.
class tlb_flusher {
 public:
  virtual ~tlb_flusher() = default;

  /// Every entry of every CPU, global ones included.
  virtual void flush_all(context& ctx) = 0;
  /// What translates any of these frames' addresses in the direct map, on every CPU.
  virtual void flush_range(context& ctx, pfn first, frame_count count) = 0;
};

/// Counts the flushes that a machine would do, and keeps no translations.
///
/// Source: Linux flushes a range of more pages than the ceiling whole, and else page by page, on
/// the CPU that asks and, by an interrupt each, on every other.
class counting_flusher final : public tlb_flusher {
 public:
  /// \param cpus     at least 1
  /// \param ceiling  pages; a range of more is flushed whole
  /// \throws usage_error if there is no CPU
  explicit counting_flusher(unsigned cpus, frame_count ceiling = default_flush_ceiling);

  void flush_all(context& ctx) override;
  void flush_range(context& ctx, pfn first, frame_count count) override;

 private:
  void interrupt_others(context& ctx) const;

  unsigned cpus_;
  frame_count ceiling_;
};

}  // namespace memsim
