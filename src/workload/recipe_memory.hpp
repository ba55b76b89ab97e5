// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What all recipes stand on: memory of a machine, divided into files, what processes hold and what
/// the kernel holds, and how much of each there is to be.

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <memsim/alloc/gfp.hpp>
#include <memsim/alloc/page_owner.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/random.hpp>
#include <memsim/core/types.hpp>
#include <memsim/machine.hpp>
#include <memsim/vm/anonymous_memory.hpp>
#include <memsim/vm/page_cache.hpp>
#include <memsim/workload/recipe.hpp>

namespace memsim::detail {

/// A block that the kernel holds: it stays where it is. Eight bytes, for a machine has millions.
struct kernel_block {
  std::uint32_t frame = 0;
  std::uint8_t size = 0;  ///< its order

  [[nodiscard]] pfn first() const { return pfn{frame}; }
  [[nodiscard]] frame_count frames() const { return frame_count{1} << size; }
};

/// A block that a process holds, by a number: it may be moved.
enum class user_block : std::uint32_t {};

/// A machine's memory in the hands of a recipe. Files and swapped memory are given up as reclaim
/// decides; what processes hold besides, the recipe gives back.
class recipe_memory final : public page_owner {
 public:
  /// Whose memory it is: of a machine that ages, where the daemons have their turns as memory is
  /// taken, or of one that lives in simulated time, and has its own daemons.
  enum class time : bool { stands_still, passes };

  recipe_memory(machine& m, const ageing_plan& plan, time how = time::stands_still);
  recipe_memory(const recipe_memory&) = delete;
  recipe_memory& operator=(const recipe_memory&) = delete;
  /// What is in use is nobody's from then on, and swap is empty again.
  ~recipe_memory() override;

  // How much there is, and is to be: while the machine ages as much as at its peak, and what the
  // plan says from come_down() on.
  void come_down();
  [[nodiscard]] frame_count managed() const { return managed_; }
  [[nodiscard]] frame_count user() const;
  [[nodiscard]] frame_count kernel() const { return kernel_; }
  [[nodiscard]] frame_count user_target() const { return user_target_; }
  [[nodiscard]] frame_count kernel_target() const { return kernel_target_; }
  /// Whether as much has been allocated since memory was full as the plan asks for.
  [[nodiscard]] bool aged() const { return due_ && allocated_ >= *due_; }

  [[nodiscard]] const ageing_plan& plan() const { return plan_; }
  [[nodiscard]] double parameter(std::string_view name) const;
  [[nodiscard]] std::uint64_t whole(std::string_view name) const {
    return static_cast<std::uint64_t>(parameter(name));
  }
  /// A stream of this recipe's own.
  [[nodiscard]] random_stream stream(std::string_view name) const;
  /// What was done so far.
  [[nodiscard]] ageing_counts counts() const;
  [[nodiscard]] frame_count allocated() const { return allocated_; }
  /// What only the recipe knows of.
  [[nodiscard]] ageing_counts& own_counts() { return counts_; }

  /// Everything from now on is done by another CPU, drawn at random. The daemons have their turn.
  void change_cpu();

  // What processes hold.

  /// A page that a process holds until the recipe gives it back.
  [[nodiscard]] std::expected<user_block, error> user_page();
  /// Likewise a block, or nothing: nobody but the kernel makes room for it.
  [[nodiscard]] std::optional<user_block> try_user_block(order size, gfp flags);
  [[nodiscard]] order size_of(user_block block) const;
  void free(user_block block);
  /// Makes a block single pages.
  [[nodiscard]] std::vector<user_block> split(user_block block);
  /// What makes room when the kernel cannot, and says whether it could.
  void ask_for_room(std::function<bool()> make_room) { make_room_ = std::move(make_room); }

  /// Memory that goes to swap, of which there is as much as for so many pages.
  void give_swap(frame_count slots);
  [[nodiscard]] bool is_in_memory(std::uint64_t page) const {
    return heap_->find(page).has_value();
  }
  [[nodiscard]] std::expected<void, error> touch(std::uint64_t page);

  // What files have in memory.

  [[nodiscard]] page_cache& files() { return files_; }
  /// Reads a page of a file, if it is not there.
  [[nodiscard]] std::expected<void, error> read(file_id file, std::uint64_t index);
  /// Reads a page that nobody reads again.
  [[nodiscard]] std::expected<void, error> read_once();
  /// Pages that reclaim has taken from files.
  [[nodiscard]] std::uint64_t evicted() const { return files_.counts().reclaimed; }
  /// Reclaims until no more user memory is held than is to be. At a peak of 1 it is the kernel's
  /// business until the machine comes down.
  void evict_to_target();

  // What the kernel holds.

  /// A block that the recipe gives back by itself. A large one that there is not becomes a single
  /// page, as a slab does.
  [[nodiscard]] std::expected<kernel_block, error> kernel_memory(order size, gfp flags);
  /// A block for which nothing waits, or nothing.
  [[nodiscard]] std::optional<kernel_block> atomic_block(order size);
  void free(kernel_block block);
  void add_shrinker(shrinker& cache) { machine_.memory().add_shrinker(cache); }
  void remove_shrinker(shrinker& cache) { machine_.memory().remove_shrinker(cache); }

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

  // page_owner, of what processes hold
  void moved(pfn from, pfn to, std::uint32_t tag) override;

 private:
  [[nodiscard]] context& cpu() { return machine_.cpu(cpu_); }
  [[nodiscard]] std::optional<kernel_block> take_for_kernel(order size, gfp flags);
  void note_user(frame_count frames);
  void note_allocated(frame_count frames);
  void note_full();
  /// Whether memory could be had after all.
  [[nodiscard]] bool make_room();
  void run_daemons();
  void set_targets(frame_count in_use);
  void free_kernel_object();
  user_block hold(pfn frame, order size);
  [[nodiscard]] error no_memory() const;

  machine& machine_;
  ageing_plan plan_;
  time how_;
  recipe_values values_;
  frame_count managed_ = 0;
  frame_count user_target_ = 0;
  frame_count kernel_target_ = 0;
  bool coming_down_ = false;
  std::optional<frame_count> due_{};  // what allocated_ is when it is enough; none: not yet full

  unsigned cpu_ = 0;
  frame_count held_ = 0;  // by processes, without what goes to swap
  frame_count kernel_ = 0;
  frame_count allocated_ = 0;
  frame_count daemons_due_ = 0;   // what allocated_ is when they have their turn
  std::uint64_t churned_at_ = 0;  // user pages allocated when kernel objects were last replaced
  double churn_owed_ = 0;
  ageing_counts counts_{};
  owner_id id_;
  std::vector<kernel_block> blocks_;  // of processes, by number
  std::vector<user_block> unused_numbers_;
  frame_count swap_before_ = 0;
  std::optional<anonymous_memory> heap_{};  // that goes to swap
  page_cache files_;
  file_id read_once_;
  std::uint64_t read_once_pages_ = 0;
  std::vector<kernel_block> objects_;
  std::function<bool()> make_room_;
  random_stream cpus_;
  random_stream kernel_stream_;
};

/// What may come after a turn.
enum class turn_end : unsigned char {
  goes_on,  ///< in the middle of something
  may_end,
  is_over,  ///< another turn would do nothing
};

/// A recipe that is carried out: turns of some ten to a few hundred pages.
class recipe_course {
 public:
  recipe_course() = default;
  recipe_course(const recipe_course&) = delete;
  recipe_course& operator=(const recipe_course&) = delete;
  virtual ~recipe_course() = default;
  [[nodiscard]] virtual std::expected<turn_end, error> turn() = 0;
  /// Comes down. It need not hit the targets: settle() comes after.
  virtual void end() = 0;
};

template <class Course>
std::unique_ptr<recipe_course> begin_course(recipe_memory& memory) {
  return std::make_unique<Course>(memory);
}

struct recipe_entry {
  recipe description;
  std::unique_ptr<recipe_course> (*begin)(recipe_memory&);
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
