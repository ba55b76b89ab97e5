// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The front door: a configuration in, a whole machine out.
///
///     machine m{{.memory = memory_map::x86_64(16_GiB), .cpus = 8}};
///     const auto page = m.memory().alloc(m.cpu(0), order{0}, gfp_kernel);
///     m.map().change(m.cpu(0), *page, 1, make_invalid);
///     fmt::print("{}", to_text(m.costs(), m.done()));
///
///     machine branch = m;   // age once, branch as often as you like
///
/// In simulated time, with tasks:
///
///     task<> unmap(machine& m, unsigned cpu, pfn page) {
///       const auto turn = co_await m.cpu_time(cpu).acquire();   // a CPU does one thing at a time
///       const auto done = m.map().change(m.cpu(cpu), page, 1, make_invalid);
///       co_await m.charge(cpu);                                 // takes as long as that costs
///     }

#include <cstdint>
#include <expected>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/cpu_presets.hpp>
#include <memsim/arch/direct_map.hpp>
#include <memsim/arch/kernel_tlbs.hpp>
#include <memsim/arch/tlb_flusher.hpp>
#include <memsim/arch/tlb_geometry.hpp>
#include <memsim/arch/tlb_system.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/sim/resource.hpp>
#include <memsim/sim/simulator.hpp>
#include <memsim/sim/task.hpp>

namespace memsim {

class merge_policy;

/// Everything that makes one machine another. Checked when a machine is made of it.
struct machine_config {
  memory_map memory = memory_map::x86_64(4_GiB);
  unsigned cpus = 1;  ///< 1 to 4096
  cpu_preset cpu = presets::skylake_sp();
  std::optional<nested_paging> nested{};  ///< set: the machine is a guest
  kernel_profile profile = linux_6_12;
  tuning settings{};
  frame_count movable_zone = 0;               ///< frames at the top that become ZONE_MOVABLE
  std::vector<cma_area> cma_areas{};          ///< pageblock-aligned, disjoint, each within one zone
  page_size largest_mapping = page_size::g1;  ///< of the direct map, if the CPU has such pages
  frame_count flush_ceiling = default_flush_ceiling;  ///< pages; a longer range is flushed whole
  const merge_policy* merging = nullptr;  ///< must outlive the machine; nullptr: nothing merges
  std::uint64_t seed = 1;                 ///< of every random stream
};

/// The part of a configuration that the page allocator is made of.
[[nodiscard]] page_allocator_config allocator_config(const machine_config& config);

/// CPUs with their TLBs, memory, the page allocator, the direct map, and a clock.
///
/// A copy is a fork: everything is as it was, and the two go on independently. What was scheduled
/// on the simulator stays with the original: the copy's has its time and nothing to do, and nobody
/// has waited for its CPUs. Observers and gates of the page allocator are not copied either.
class machine {
 public:
  /// Boots.
  /// \throws usage_error if the configuration is out of range; the message names the field
  explicit machine(const machine_config& config);
  machine(const machine& other);
  /// \throws usage_error if called by an event of this machine's simulator
  machine& operator=(const machine& other);
  machine(machine&&) noexcept;
  machine& operator=(machine&&) noexcept;
  ~machine();

  [[nodiscard]] const machine_config& config() const;

  /// A CPU at work, with its ledger.
  /// \throws usage_error if the machine has no such CPU
  [[nodiscard]] context& cpu(unsigned number);
  [[nodiscard]] const context& cpu(unsigned number) const;

  [[nodiscard]] page_allocator& memory();
  [[nodiscard]] const page_allocator& memory() const;
  [[nodiscard]] direct_map& map();
  [[nodiscard]] const direct_map& map() const;
  [[nodiscard]] tlb_system& tlbs();
  [[nodiscard]] const tlb_system& tlbs() const;

  [[nodiscard]] simulator& sim();
  [[nodiscard]] const simulator& sim() const;
  /// A CPU as something that tasks take turns at.
  /// \throws usage_error if there is no such CPU
  [[nodiscard]] resource& cpu_time(unsigned number);
  /// What those who claim frames of a CMA area take turns at: the kernel's mutex, one for all areas
  /// or one for each (kernel_profile::cma_mutex_per_area).
  /// \throws usage_error if there is no such area
  [[nodiscard]] resource& cma_mutex(std::size_t area);
  /// A claim on a CMA area in simulated time: waits for the mutex and for the CPU, and keeps both
  /// for as long as the work takes. The machine stays where it is meanwhile.
  /// \return as page_allocator::cma_alloc()
  /// \throws usage_error if there is no such CPU or area, or `count` is 0
  [[nodiscard]] task<std::expected<pfn, error>> cma_alloc(unsigned number, std::size_t area,
                                                          frame_count count,
                                                          order align = order{0});
  /// `co_await m.charge(2);` waits for as long as it takes what CPU 2 did since it was last
  /// charged.
  /// \throws usage_error if there is no such CPU, or no task has its cpu_time()
  [[nodiscard]] auto charge(unsigned number) {
    require_turn(number);
    return delay(take_charge(number));
  }
  /// The same as a duration, for who counts time by himself.
  /// \throws usage_error if there is no such CPU
  [[nodiscard]] sim_duration take_charge(unsigned number);

  /// One access of a CPU to a frame through the direct map. What its TLB still has is served,
  /// whatever has become of the mapping.
  /// \throws usage_error if a walk finds the frame not mapped, or not present; or there is no such
  ///         CPU
  translation access(unsigned cpu, pfn frame);

  /// What a CPU has done, its translations included; without a number, what all have.
  /// \throws usage_error if there is no such CPU
  [[nodiscard]] work done(unsigned number) const;
  [[nodiscard]] work done() const;
  [[nodiscard]] const cost_model& costs() const;

  /// Every counter of every part, each under a name of its own: the allocator's, the direct map's
  /// as in /proc/meminfo and /proc/vmstat, those of the ledgers and TLBs summed over all CPUs, and
  /// how long tasks waited for a CPU. Only the ledgers' are kept in files.
  [[nodiscard]] std::vector<statistic_value> statistics() const;
  /// A digest of all that bears on what happens next: memory, the direct map, TLBs, ledgers, time.
  [[nodiscard]] digest state_digest() const;

  /// Writes the whole state, with a version and a checksum.
  ///
  /// TLBs are not in it: they come back empty, as after a resume, so that the digest is the same
  /// only if they were. Nor is what is scheduled, nor are observers and gates.
  /// \return errc::io if the file cannot be written
  [[nodiscard]] std::expected<void, error> save(const std::filesystem::path& path) const;
  void save(std::ostream& output) const;

  /// Reads what save() wrote.
  /// \param merging  the merge policy: a file does not hold one
  /// \return errc::io if the file cannot be read; errc::malformed if it is truncated, damaged or no
  ///         saved machine; errc::unsupported if it is of another version; errc::inconsistent if
  ///         its parts contradict each other
  [[nodiscard]] static std::expected<machine, error> load(const std::filesystem::path& path,
                                                          const merge_policy* merging = nullptr);
  [[nodiscard]] static std::expected<machine, error> load(std::istream& input,
                                                          std::string_view name,
                                                          const merge_policy* merging = nullptr);

 private:
  struct parts;
  explicit machine(std::unique_ptr<parts> made);
  [[nodiscard]] static std::expected<machine, error> read(std::string_view text,
                                                          std::string_view name,
                                                          const merge_policy* merging);
  void require_turn(unsigned cpu) const;

  std::unique_ptr<parts> parts_;
};

}  // namespace memsim
