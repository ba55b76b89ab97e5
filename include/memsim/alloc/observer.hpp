// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a page allocator tells those who listen, and how a test makes it refuse.

#include <optional>
#include <string>

#include <memsim/alloc/compaction.hpp>
#include <memsim/alloc/gfp.hpp>
#include <memsim/alloc/migratetype.hpp>
#include <memsim/alloc/migration.hpp>
#include <memsim/alloc/reclaim.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {

struct context;

/// A request, and the block that it got, if any.
struct allocation_event {
  cpu_id cpu{};
  memsim::order order{};
  gfp flags{};
  std::optional<pfn> block{};
};

/// A block that was given back.
struct free_event {
  cpu_id cpu{};
  pfn block{};
  memsim::order order{};
};

/// A request had to take memory of another migratetype.
///
/// As the tracepoint mm_page_alloc_extfrag: under fallback_rule::move_then_retry `block` is the
/// free block that was taken from the other type's list, under claim_or_steal the block handed out.
struct fallback_event {
  zone_type zone{};
  pfn block{};
  memsim::order requested{};
  memsim::order found{};  ///< order of the free block that was found
  migratetype wanted{};
  migratetype found_type{};      ///< the list that it was found on
  migratetype pageblock_type{};  ///< type of its pageblock afterwards

  friend bool operator==(const fallback_event&, const fallback_event&) = default;
};

[[nodiscard]] std::string to_text(const fallback_event&);

/// Pages given back in bulk from a per-CPU page set to the free lists.
struct pcp_drain_event {
  zone_type zone{};
  cpu_id cpu{};
  frame_count frames = 0;
};

/// A page was taken back from its owner.
struct reclaim_event {
  pfn page{};
  memsim::order order{};
  reclaimer by{};
};

/// Listens to a page allocator. Called after the fact, in the order of events; it must not call
/// back into the allocator's non-const functions.
class allocator_observer {
 public:
  virtual ~allocator_observer() = default;
  virtual void on_allocation(const allocation_event&) {}
  virtual void on_free(const free_event&) {}
  virtual void on_fallback(const fallback_event&) {}
  virtual void on_pcp_drain(const pcp_drain_event&) {}
  virtual void on_migration(const migration_event&) {}
  virtual void on_scan(const scan_event&) {}
  virtual void on_suitability(const suitability_event&) {}
  virtual void on_compaction_start(const compaction_start_event&) {}
  virtual void on_compaction_end(const compaction_end_event&) {}
  virtual void on_reclaim(const reclaim_event&) {}
};

/// Decides before each request whether it is refused out of hand, with errc::injected.
class allocation_gate {
 public:
  virtual ~allocation_gate() = default;
  [[nodiscard]] virtual bool refuses(const context&, order, gfp) = 0;
};

}  // namespace memsim
