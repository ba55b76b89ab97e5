// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The TLBs of a machine's CPUs as processes use them: translations of one address space each, on
/// the CPUs on which it has run.
///
///     machine m{{.memory = memory_map::x86_64(1_GiB), .cpus = 4}};
///     user_tlbs user{m.tlbs()};
///     virtual_memory vm{m.memory(), {.tlbs = &user}};
///     auto& process = vm.add_process();
///     const auto heap = *process.mmap(m.cpu(0), 33);
///     process.access(m.cpu(0), heap, memory_access::write);   // a walk, and a minor fault
///     process.access(m.cpu(1), heap, memory_access::read);    // CPU 1's own walk
///     process.munmap(m.cpu(0), heap, 33);                     // an interrupt to CPU 1 alone
///     fmt::print("{}", to_text(m.costs(), m.done()));         // walks, flushes and all
///
/// A TLB says of what size an entry is. What frame it leads to and what it allows is kept here, as
/// it was when the entry was made; so who forgets a flush is served a page that is not his.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include <memsim/arch/tlb_system.hpp>
#include <memsim/arch/virtual_page.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/vm/memory_access.hpp>
#include <memsim/vm/page_entry.hpp>
#include <memsim/vm/page_table.hpp>
#include <memsim/vm/stale_range.hpp>

namespace memsim {

/// What a flush does about a CPU that keeps translations of an address space while another runs.
enum class absent_flush : unsigned char {
  interrupt,  ///< interrupts it, as if the address space ran there
  on_return,  ///< leaves it alone: it flushes when it comes back to the address space
};

struct user_tlbs_config {
  /// The most single flushes of a range; above, all of the address space is flushed.
  frame_count flush_ceiling = default_flush_ceiling;
  /// Address spaces whose translations a CPU keeps apart (PCID). The one that has waited longest
  /// makes room. 0: every switch flushes all that is not global.
  /// Source: Linux uses 6 of x86's 4096 (TLB_NR_DYN_ASIDS).
  unsigned tags = 6;
  /// Linux has on_return (F12).
  absent_flush absent = absent_flush::interrupt;
  /// Who flushes when migration moves a page. Modelling assumption: always this CPU, whoever
  /// asked for the migration.
  cpu_id migration_cpu{};
};

struct user_tlb_counts {
  std::uint64_t accesses = 0;
  std::uint64_t minor_faults = 0;
  std::uint64_t spurious_faults = 0;
  std::uint64_t switches = 0;
  std::uint64_t flushes = 0;
  std::uint64_t flushes_on_return = 0;

  friend bool operator==(const user_tlb_counts&, const user_tlb_counts&) = default;
};

inline constexpr std::array user_tlb_statistics{
    statistic<user_tlb_counts>{"user_accesses", "accesses", "accesses of processes that were made",
                               &user_tlb_counts::accesses},
    statistic<user_tlb_counts>{"user_minor_faults", "faults",
                               "accesses for which a page table was changed",
                               &user_tlb_counts::minor_faults},
    statistic<user_tlb_counts>{"user_spurious_faults", "faults",
                               "faults at an entry of a TLB that allowed less than the page table",
                               &user_tlb_counts::spurious_faults},
    statistic<user_tlb_counts>{"user_switches", "switches",
                               "times a CPU went from one address space to another",
                               &user_tlb_counts::switches},
    statistic<user_tlb_counts>{"user_flushes", "flushes",
                               "changes of page tables for which some CPU flushed at once",
                               &user_tlb_counts::flushes},
    statistic<user_tlb_counts>{"user_flushes_on_return", "flushes",
                               "flushes that a CPU made up for when it came back",
                               &user_tlb_counts::flushes_on_return},
};

/// What a TLB serves.
struct served_page {
  translation found{};
  page_entry entry{};  ///< as it was when the TLB read it
  page_size size{};    ///< of the entry in the page table

  /// The frame of 4 KiB; none for the zero page.
  [[nodiscard]] std::optional<pfn> frame_of(vpn page) const {
    if (!entry.is_present() || entry.is_zero()) return std::nullopt;
    return entry.frame() + (page.value() - page.base(size).value());
  }
};

/// Flushes go into the ledger of who makes them; what translations took is counted by the TLBs, as
/// translation_work() says.
///
/// Nothing is flushed for an entry that mapped nothing, nor for one that a fault makes writable:
/// the fault drops what its own CPU had, and other CPUs fault in vain once (spurious).
/// Source: docs/linux-rules/user-tlb.md.
class user_tlbs {
 public:
  /// \param tlbs  must outlive this, and this the processes that use it
  /// \throws usage_error if there is no CPU `migration_cpu`
  explicit user_tlbs(tlb_system& tlbs, const user_tlbs_config& how = {});
  user_tlbs(const user_tlbs&) = delete;
  user_tlbs& operator=(const user_tlbs&) = delete;

  /// The CPUs that may have translations of an address space, in the order in which it came to
  /// them.
  /// \throws usage_error if no address space has this number
  [[nodiscard]] std::span<const cpu_id> cpus_of(asid space) const {
    return spaces_[index_of(space)].cpus;
  }
  /// What flushes for pages that migration moved came to: nobody's ledger has it.
  [[nodiscard]] const work& migration_work() const { return migrator_.done; }

  [[nodiscard]] const tlb_system& tlbs() const { return *tlbs_; }
  [[nodiscard]] const user_tlbs_config& config() const { return how_; }
  [[nodiscard]] const user_tlb_counts& counts() const { return counts_; }
  [[nodiscard]] std::vector<statistic_value> statistics() const {
    return values_of(counts_, user_tlb_statistics);
  }

  // What follows is for address spaces.

  /// A number for an address space.
  /// \throws usage_error if all 65535 are in use
  [[nodiscard]] asid add_space();
  /// Takes it back. What is left of its translations goes, at no cost: where the number is used
  /// again, the kernel would flush as it comes to run.
  void remove_space(asid space);

  /// Lets a CPU run an address space. The one before keeps its translations if there are tags.
  void load(context& ctx, asid space);
  /// Whether a CPU has a translation of a page. Changes and counts nothing.
  [[nodiscard]] bool holds(cpu_id cpu, asid space, vpn page) const {
    return tlbs_->cpu(cpu).holds(space, page);
  }
  /// Translates; `table` is read on a miss alone, and must map the page then. The walk marks the
  /// entry as accessed, and for a write as dirty.
  [[nodiscard]] served_page translate(cpu_id cpu, asid space, vpn page, page_table& table,
                                      memory_access how);
  /// A CPU drops what it has of a page, of itself and at no cost: a page fault does so.
  /// Source: Intel SDM 3, 4.10.4.1.
  void drop(cpu_id cpu, asid space, vpn page);

  /// Flushes a range, or nothing if it is empty.
  void flush(context& ctx, asid space, const stale_range& stale);
  /// Flushes all of an address space.
  void flush_all(context& ctx, asid space);
  /// Flushes a range for migration.
  void flush_moved(asid space, const stale_range& stale) { flush(migrator_, space, stale); }

  void count_access() { ++counts_.accesses; }
  void count_minor_fault() { ++counts_.minor_faults; }
  void count_spurious_fault() { ++counts_.spurious_faults; }

 private:
  struct cached_entry {
    page_entry entry{};
    page_size size{};
  };
  struct space_state {
    bool in_use = false;
    std::vector<cpu_id> cpus{};
    /// By CPU, page and size of the TLB's entry. What a TLB has dropped since is never asked for
    /// before a walk has made it anew.
    std::unordered_map<std::uint64_t, cached_entry> cached{};
  };
  /// An address space that a CPU keeps translations of.
  struct tag {
    asid space{};           // 0: free
    bool is_stale = false;  // to be flushed before it runs again
  };
  struct cpu_state {
    asid running{};  // 0: none
    std::vector<tag> tags{};
    std::size_t next = 0;  // tag to be given up
  };

  [[nodiscard]] static std::uint64_t key_of(cpu_id cpu, vpn page, page_size size);
  [[nodiscard]] std::size_t index_of(asid space) const;
  [[nodiscard]] space_state& of(asid space) { return spaces_[index_of(space)]; }
  [[nodiscard]] cpu_state& of(cpu_id cpu) { return cpus_[cpu.value()]; }
  [[nodiscard]] static tag* find_tag(cpu_state& cpu, asid space);
  void switch_without_tags(context& ctx, cpu_state& cpu);
  void give_up(context& ctx, tag& old);
  void flush(context& ctx, asid space, const tlb_flush& what);

  tlb_system* tlbs_;
  user_tlbs_config how_;
  page_size largest_entry_ = page_size::g1;  // that a TLB keeps
  context migrator_;
  std::vector<cpu_state> cpus_;
  std::vector<space_state> spaces_;  // by number
  std::vector<asid> unused_;
  user_tlb_counts counts_;
};

}  // namespace memsim
