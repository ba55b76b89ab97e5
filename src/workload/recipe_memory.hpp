// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What all recipes stand on: memory of a machine, divided into what can be evicted, what processes
/// hold and what the kernel holds, and how much of each there is to be.

#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include <memsim/alloc/gfp.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/random.hpp>
#include <memsim/core/types.hpp>
#include <memsim/machine.hpp>
#include <memsim/workload/recipe.hpp>

namespace memsim::detail {

enum class page_use : unsigned char { user, kernel };

/// A block in use. Eight bytes: a machine has millions.
struct held_block {
  std::uint32_t frame = 0;
  std::uint8_t size = 0;  ///< its order
  page_use use = page_use::user;

  [[nodiscard]] pfn first() const { return pfn{frame}; }
  [[nodiscard]] frame_count frames() const { return frame_count{1} << size; }
};

/// A machine's memory in the hands of a recipe.
class recipe_memory {
 public:
  recipe_memory(machine& m, const ageing_plan& plan);

  // How much there is, and is to be: while the machine ages as much as at its peak, and what the
  // plan says from come_down() on.
  void come_down();
  [[nodiscard]] frame_count managed() const { return managed_; }
  [[nodiscard]] frame_count user() const { return user_; }
  [[nodiscard]] frame_count kernel() const { return kernel_; }
  [[nodiscard]] frame_count user_target() const { return user_target_; }
  [[nodiscard]] frame_count kernel_target() const { return kernel_target_; }
  /// Whether as much has been allocated since memory was full as the plan asks for.
  [[nodiscard]] bool aged() const { return due_ && allocated_ >= *due_; }
  [[nodiscard]] frame_count allocated() const { return allocated_; }

  [[nodiscard]] const ageing_plan& plan() const { return plan_; }
  [[nodiscard]] double parameter(std::string_view name) const;
  [[nodiscard]] std::uint64_t whole(std::string_view name) const {
    return static_cast<std::uint64_t>(parameter(name));
  }
  /// A stream of this recipe's own.
  [[nodiscard]] random_stream stream(std::string_view name) const;
  [[nodiscard]] ageing_counts& counts() { return counts_; }

  /// Everything from now on is done by another CPU, drawn at random.
  void change_cpu();

  /// A page that a process holds and gives back by itself. When there is no memory, the oldest
  /// pages of the LRU list make room.
  [[nodiscard]] std::expected<held_block, error> user_page();
  /// A larger block of a process, or nothing; nothing is evicted for it.
  [[nodiscard]] std::optional<held_block> user_block(order size, gfp flags);
  /// A block of the kernel's that the recipe gives back by itself. A large one that there is not
  /// becomes a single page, as a slab does; for a page the LRU list makes room.
  [[nodiscard]] std::expected<held_block, error> kernel_block(order size, gfp flags);
  /// A block for which nothing waits, or nothing.
  [[nodiscard]] std::optional<held_block> atomic_block(order size);
  void free(held_block block);
  /// Makes a block in use single pages.
  [[nodiscard]] std::vector<held_block> split(held_block block);

  // Pages that can be evicted, in the order of their use.
  struct lru_entry {
    held_block block{};
    std::uint32_t owner = 0;  ///< what the recipe likes: a file, a page of a process
  };
  enum class verdict : unsigned char { evict, keep };

  /// Adds a page; when there is no memory, the oldest make room.
  [[nodiscard]] std::expected<void, error> cache_page(std::uint32_t owner = 0);
  /// Adds a block, or does nothing; nothing is evicted for it.
  [[nodiscard]] bool cache_block(order size, gfp flags);
  /// Who is asked before a page is evicted; one to be kept becomes the newest, and must not be kept
  /// for ever.
  void ask_before_eviction(std::function<verdict(std::uint32_t owner)> judge) {
    judge_ = std::move(judge);
  }
  /// What makes room when nothing is left to evict, and says whether it could.
  void ask_for_room(std::function<bool()> make_room) { make_room_ = std::move(make_room); }
  /// Evicts the oldest pages until that many are free; fewer, if there are none left.
  void evict(frame_count frames);
  /// Evicts the oldest until no more user memory is held than the target.
  void evict_to_target();
  /// Evicts one that is drawn from all.
  void evict_any(random_stream& random);
  [[nodiscard]] const std::deque<lru_entry>& lru() const { return lru_; }

  // Kernel objects that live long: caches, drivers' tables, metadata. Four of ten are reclaimable.

  /// Adds one of the usual sizes, up to a largest.
  [[nodiscard]] std::expected<void, error> add_kernel_object(order largest = order{3});
  /// Adds objects until the kernel has its part of what is in use now.
  [[nodiscard]] std::expected<void, error> keep_kernel_share();
  /// Replaces objects drawn at random, at a rate of so many pages for a thousand pages allocated
  /// since the last call, and keeps the kernel's share.
  [[nodiscard]] std::expected<void, error> churn_kernel(double rate);
  /// Frees objects drawn at random until no more are held than the target.
  void shrink_kernel_to_target();

  /// Brings what is in use to the plan's numbers.
  [[nodiscard]] std::expected<void, error> settle();

 private:
  [[nodiscard]] std::optional<held_block> take(order size, gfp flags, page_use use);
  [[nodiscard]] std::optional<held_block> allocate_user(order size, gfp flags);
  [[nodiscard]] std::expected<held_block, error> take_evicting(gfp flags, page_use use);
  void set_targets(frame_count in_use);
  void note_full();
  void evict_oldest();
  void free_kernel_object();
  [[nodiscard]] error no_memory() const;

  machine& machine_;
  ageing_plan plan_;
  recipe_values values_;
  frame_count managed_ = 0;
  frame_count user_target_ = 0;
  frame_count kernel_target_ = 0;
  std::optional<frame_count> due_{};  // what allocated_ is when it is enough; none: not yet full

  unsigned cpu_ = 0;
  frame_count user_ = 0;
  frame_count kernel_ = 0;
  frame_count allocated_ = 0;
  std::uint64_t churned_at_ = 0;  // user pages allocated when kernel objects were last replaced
  double churn_owed_ = 0;
  ageing_counts counts_{};
  std::deque<lru_entry> lru_;
  std::vector<held_block> objects_;
  std::function<verdict(std::uint32_t)> judge_;
  std::function<bool()> make_room_;
  random_stream cpus_;
  random_stream kernel_stream_;
};

/// A number between the two, every factor as likely as any other. At least `least`.
[[nodiscard]] std::uint64_t log_uniform(random_stream& random, std::uint64_t least,
                                        std::uint64_t most);

/// A recipe and what it does. It comes down by itself, and need not hit the targets: settle() comes
/// after.
struct recipe_entry {
  recipe description;
  std::expected<void, error> (*run)(recipe_memory&);
};

extern const recipe_entry build_farm;
extern const recipe_entry fill_shuffle_free;
extern const recipe_entry huge_page_churn;
extern const recipe_entry memory_pressure;
extern const recipe_entry network_server;
extern const recipe_entry order_mixed_churn;
extern const recipe_entry page_cache_churn;
extern const recipe_entry unmovable_burst;

}  // namespace memsim::detail
