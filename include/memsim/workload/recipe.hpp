// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Ageing recipes: named, seeded ways to use a machine until its memory looks used.
///
///     machine m{{.memory = memory_map::x86_64(16_GiB)}};
///     const auto counts = age(m, {.recipe = "build_farm", .occupancy = 0.8});
///     if (!counts) fmt::print("{}\n", counts.error());
///
///     machine branch = m;   // or m.save(path): age once, branch as often as you like
///     for (const auto& page : blocks_in_use(branch.memory()).movable) ...
///
/// A recipe fills memory, and keeps it full until it has allocated so many times the machine's
/// memory. At its end a given part of memory is in use, and a given part of that is the kernel's.
/// What a recipe models and what it leaves is in docs/ageing.md, with numbers.
///
/// A recipe says who asks for what and gives back what. Where a page lies, what reclaim takes and
/// what goes to swap is decided by the page allocator; kswapd and kcompactd have their turns while
/// a recipe runs.

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/alloc/allocator_state.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

class machine;
class page_allocator;

/// A number that shapes a recipe.
struct recipe_parameter {
  std::string_view name;  ///< as in scenario files: `snake_case`
  std::string_view unit;  ///< `pages`, `processes`, `1` for a share
  double otherwise;       ///< the value where none is given
  double least;
  double most;
  rule whole;                    ///< whether only whole numbers make sense
  std::string_view description;  ///< one sentence, no full stop
};

/// A way to age a machine.
struct recipe {
  std::string_view name;
  std::string_view models;  ///< one sentence, no full stop
  std::string_view leaves;  ///< likewise: the state at the end
  std::span<const recipe_parameter> parameters;
};

/// In alphabetical order.
[[nodiscard]] std::span<const recipe> recipes();

/// \return errc::unsupported with the names that there are
[[nodiscard]] std::expected<recipe, error> find_recipe(std::string_view name);

/// Parameters of a recipe by name.
using recipe_values = std::map<std::string, double, std::less<>>;

/// What is asked of a recipe.
struct ageing_plan {
  std::string recipe = "fill_shuffle_free";
  /// The part of the managed memory that is in use at the end, 0.01 to 0.98.
  double occupancy = 0.7;
  /// How full memory is while the machine ages: a part of what is above the zones' high watermarks
  /// and reserves, 0.01 to 1, and at least the occupancy; at 1, files and swapped memory grow until
  /// reclaim makes room. What is too much in the end goes in the recipe's own way. A recipe that
  /// fills memory anyway pays no heed to it.
  double peak = 1;
  /// The part of what is in use that is the kernel's and cannot be moved, 0 to 0.9.
  double unmovable_share = 0.1;
  /// How long after memory was full for the first time, or four times as much as there is was
  /// allocated: what is allocated from then on as a multiple of the managed memory, 0 to 1000.
  double turnover = 2;
  /// Those that are not given have their own values.
  recipe_values parameters{};
  std::uint64_t seed = 1;

  friend bool operator==(const ageing_plan&, const ageing_plan&) = default;
};

/// A number of a plan, and what it may be.
struct ageing_number {
  std::string_view name;  ///< as in scenario files
  double least;
  double most;
  double ageing_plan::* member;
};

inline constexpr std::array ageing_numbers{
    ageing_number{"occupancy", 0.01, 0.98, &ageing_plan::occupancy},
    ageing_number{"peak", 0.01, 1, &ageing_plan::peak},
    ageing_number{"unmovable_share", 0, 0.9, &ageing_plan::unmovable_share},
    ageing_number{"turnover", 0, 1000, &ageing_plan::turnover},
};

/// \return errc::unsupported or errc::inconsistent; the message names the value and what is allowed
[[nodiscard]] std::expected<void, error> check(const ageing_plan&);

/// What a recipe did.
struct ageing_counts {
  std::uint64_t user_pages_allocated = 0;
  std::uint64_t kernel_pages_allocated = 0;
  std::uint64_t pages_evicted = 0;
  std::uint64_t swapped_in = 0;
  std::uint64_t large_requests_failed = 0;
  std::uint64_t packets_dropped = 0;
  std::uint64_t huge_pages_split = 0;

  friend bool operator==(const ageing_counts&, const ageing_counts&) = default;
};

inline constexpr std::array ageing_statistics{
    statistic<ageing_counts>{"ageing_user_pages", "pages",
                             "pages allocated for processes and files while ageing",
                             &ageing_counts::user_pages_allocated},
    statistic<ageing_counts>{"ageing_kernel_pages", "pages",
                             "pages allocated for the kernel while ageing",
                             &ageing_counts::kernel_pages_allocated},
    statistic<ageing_counts>{"ageing_evicted", "pages",
                             "pages that reclaim took back from files or swapped out",
                             &ageing_counts::pages_evicted},
    statistic<ageing_counts>{"ageing_swapped_in", "pages",
                             "pages read back after they were evicted", &ageing_counts::swapped_in},
    statistic<ageing_counts>{"ageing_large_failed", "requests",
                             "requests for more than one page that had to do with less",
                             &ageing_counts::large_requests_failed},
    statistic<ageing_counts>{"ageing_packets_dropped", "requests",
                             "atomic requests of the network that failed",
                             &ageing_counts::packets_dropped},
    statistic<ageing_counts>{"ageing_huge_pages_split", "splits",
                             "huge pages of processes that were split into small ones",
                             &ageing_counts::huge_pages_split},
};

/// Ages a machine. Its CPUs do the work, which is in their ledgers; simulated time stands still.
/// What is in use before stays, and is not counted; reclaim may take of it, though. In the end what
/// is movable is nobody's: it can be moved, and reclaim may drop what is of files.
///
/// \return errc::no_memory if so much memory cannot be in use, or the kernel cannot have its part;
///         the machine is somewhere on the way then. What check() returns, with nothing done
[[nodiscard]] std::expected<ageing_counts, error> age(machine& m, const ageing_plan& plan);

/// A recipe that goes on for as long as one likes, beside whatever else uses the machine:
/// background load.
///
/// It keeps itself to `occupancy` of the machine's memory, as far as the recipe heeds that; `peak`
/// and `turnover` do not matter. kswapd and kcompactd are the machine's own (reclaim_daemon). When
/// it is destroyed what it has in use stays so, and is nobody's.
class recipe_load {
 public:
  /// \param on  must stay where it is, and outlive this
  /// \throws usage_error for what check() refuses
  recipe_load(machine& on, const ageing_plan& plan);
  recipe_load(const recipe_load&) = delete;
  recipe_load& operator=(const recipe_load&) = delete;
  ~recipe_load();

  /// Does a little: some ten to some hundred requests, by CPUs drawn at random.
  /// \return the pages that it allocated; errc::no_memory if it cannot go on
  [[nodiscard]] std::expected<frame_count, error> turn();
  [[nodiscard]] ageing_counts counts() const;

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

/// Blocks in use that can be freed, ascending.
struct used_blocks {
  std::vector<allocated_block> movable{};
  std::vector<allocated_block> unmovable{};

  friend bool operator==(const used_blocks&, const used_blocks&) = default;
};

/// What a machine that was aged, copied or loaded holds: what an experiment frees next.
[[nodiscard]] used_blocks blocks_in_use(const page_allocator& memory);

}  // namespace memsim
