// SPDX-License-Identifier: Apache-2.0
// Prices of a server of about 2020, each with its source. Where nobody has published a figure that
// could be used here, it says "modelling assumption" and how it was arrived at.
#include <memsim/arch/cost_model.hpp>

namespace memsim {
namespace {

using std::chrono::nanoseconds;

cost_model make_default_costs() {
  cost_model costs{"default"};
  costs
      .set("pages_zeroed", nanoseconds{200},
           "modelling assumption: 4 KiB at 20 GB/s, one core's streaming stores")
      .set("pages_copied", nanoseconds{500},
           "modelling assumption: 4 KiB read from memory and written, 0.3 to 1 us")
      .set("page_moves", nanoseconds{2500},
           "modelling assumption: with its copy a move of 2 to 10 us, unmapping and remapping")
      .set("pages_scanned", nanoseconds{5},
           "modelling assumption: a descriptor in sequence, prefetched")
      .set("list_insertions", nanoseconds{10},
           "modelling assumption: one line of a neighbouring descriptor, mostly from L3")
      .set("list_removals", nanoseconds{20}, "modelling assumption: two such lines")
      .set("blocks_split", nanoseconds{5},
           "modelling assumption: besides the list insertion, a descriptor is written")
      .set("blocks_merged", nanoseconds{10},
           "modelling assumption: besides the list removal, the buddy's descriptor is read")
      .set("pcp_refills", nanoseconds{50}, "modelling assumption")
      .set("pcp_drains", nanoseconds{50}, "modelling assumption")
      .set("zone_lock_acquisitions", nanoseconds{20},
           "modelling assumption: an uncontended atomic operation on a line of another core's")
      .set("entries_written", nanoseconds{1},
           "modelling assumption: eight entries of 8 bytes to a line, in sequence")
      .set("entries_scanned", picoseconds{500}, "modelling assumption: likewise, read only")
      .set("mappings_split", nanoseconds{1000},
           "modelling assumption: a split is 1.5 us, of which 0.5 us are its 513 entries")
      .set("mappings_collapsed", nanoseconds{500}, "modelling assumption")
      .set("tlb_page_flushes", nanoseconds{100},
           "modelling assumption: INVLPG, some 100 to 300 cycles on x86")
      .set(
          "tlb_full_flushes", nanoseconds{150},
          "modelling assumption: a write of CR4 twice; refilling is paid by the misses that follow")
      .set("remote_page_flushes", nanoseconds{0},
           "modelling assumption: others flush while this CPU flushes and waits, which is paid for "
           "by flush_rounds and ipis; the time that they lose is nobody's")
      .set("remote_full_flushes", nanoseconds{0}, "modelling assumption: likewise")
      .set("flush_rounds", nanoseconds{2000},
           "modelling assumption: an interrupt to another CPU and back, 2 us")
      .set("ipis", nanoseconds{200}, "modelling assumption: 0.2 us for each CPU more")
      .set("tlb_lower_hits", picoseconds{2800},
           "modelling assumption: 7 cycles at 2.5 GHz, as for the second-level TLB of Skylake")
      .set(
          "page_walks", nanoseconds{8},
          "modelling assumption: 20 cycles at 2.5 GHz, so that a walk of cached tables takes 20 to "
          "40 with its references")
      .set("walk_pte_references", nanoseconds{4},
           "modelling assumption: 10 cycles more, a line of the L2 cache; from memory it is 80 ns")
      .set("walk_pde_references", nanoseconds{2}, "modelling assumption: 5 cycles, the L1 cache")
      .set("walk_upper_references", nanoseconds{1}, "modelling assumption: likewise, overlapped")
      .set("walk_host_references", nanoseconds{2}, "modelling assumption: as a PDE")
      .set("lru_pages_scanned", nanoseconds{100},
           "modelling assumption: a descriptor and its reverse map, seldom cached")
      .set("pages_reclaimed", nanoseconds{300},
           "modelling assumption: unmapped, and off its owner's index")
      .set("pages_read", nanoseconds{1000},
           "modelling assumption: the CPU's part of a request; the device's is the device's")
      .set("pages_written_back", nanoseconds{1000}, "modelling assumption: likewise")
      .set("pages_swapped_in", nanoseconds{1000}, "modelling assumption: likewise")
      .set("pages_swapped_out", nanoseconds{1000}, "modelling assumption: likewise")
      .set("objects_shrunk", nanoseconds{200}, "modelling assumption")
      .set("page_faults", nanoseconds{400},
           "modelling assumption: 1000 cycles at 2.5 GHz to enter and leave the kernel, with the "
           "usual mitigations, and to find the area");
  return costs;
}

}  // namespace

const cost_model& default_costs() {
  static const cost_model costs = make_default_costs();
  return costs;
}

const cost_model& no_costs() {
  static const cost_model costs{"none"};
  return costs;
}

}  // namespace memsim
