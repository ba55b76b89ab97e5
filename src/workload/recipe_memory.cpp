// SPDX-License-Identifier: Apache-2.0
#include "workload/recipe_memory.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <memsim/alloc/page_allocator.hpp>

namespace memsim::detail {
namespace {

/// Pages that are reclaimed at a time when a request fails all the same.
constexpr frame_count reclaimed_for_a_request = 32;

/// Modelling assumption: the daemons have their turn whenever so many pages have been allocated, as
/// on a machine where they run beside the requests.
constexpr frame_count pages_between_daemons = 64;

/// Pages of the files that are read once. A modelling assumption that bears on nothing but time.
constexpr std::uint64_t read_once_file_pages = 1024;

/// What long-lived objects of the kernel are made of, of a hundred. Modelling assumptions: slabs of
/// one to eight pages, and what is cached of files' names and inodes beside what drivers hold.
constexpr std::array<unsigned, 4> objects_of_order{70, 15, 10, 5};
constexpr double reclaimable_objects = 0.4;

order object_order(random_stream& random, order largest) {
  auto draw = random.below(100);
  unsigned size = 0;
  while (draw >= objects_of_order[size]) draw -= objects_of_order[size++];
  return std::min(order{size}, largest);
}

frame_count managed_frames(const page_allocator& memory) {
  frame_count sum = 0;
  for (const auto& z : memory.zones()) sum += z.extent.managed;
  return sum;
}

/// What ordinary requests can have without touching the watermarks and what lower zones reserve.
frame_count usable_frames(const page_allocator& memory) {
  frame_count sum = 0;
  for (const auto& z : memory.zones()) {
    const auto kept = z.marks.high + std::ranges::max(z.reserve);
    sum += z.extent.managed - std::min(z.extent.managed, kept);
  }
  return sum;
}

frame_count part_of(frame_count frames, double part) {
  return static_cast<frame_count>(static_cast<double>(frames) * part);
}

recipe_values with_defaults(const ageing_plan& plan) {
  auto values = plan.parameters;
  const auto known = find_recipe(plan.recipe);
  if (!known) throw_usage("{}", known.error());
  for (const auto& p : known->parameters) {
    values.try_emplace(std::string{p.name}, p.otherwise);
  }
  return values;
}

/// What a slab cache asks for when a larger slab would be nice to have.
constexpr gfp lightly(gfp flags) {
  return (flags | gfp_flag::comp | gfp_flag::noretry | gfp_flag::nowarn | gfp_flag::nomemalloc) -
         gfp_flag::direct_reclaim;
}

}  // namespace

recipe_memory::recipe_memory(machine& m, const ageing_plan& plan, time how)
    : machine_{m},
      plan_{plan},
      how_{how},
      values_{with_defaults(plan)},
      managed_{managed_frames(m.memory())},
      id_{m.memory().add_owner(*this)},
      files_{m.memory()},
      read_once_{files_.add_file()},
      cpus_{stream("cpus")},
      kernel_stream_{stream("kernel")} {
  const auto in_use = part_of(managed_, plan.occupancy);
  set_targets(std::max(in_use, part_of(usable_frames(m.memory()), plan.peak)));
}

recipe_memory::~recipe_memory() {
  auto& memory = machine_.memory();
  memory.remove_owner(id_);
  files_.detach();
  if (heap_) {
    heap_->detach();
    memory.set_swap(std::max(swap_before_, memory.swap_size() - memory.free_swap()));
  }
  memory.flush_lru_batches();
}

frame_count recipe_memory::user() const {
  return held_ + files_.cached() + (heap_ ? heap_->resident() : 0);
}

ageing_counts recipe_memory::counts() const {
  auto all = counts_;
  all.pages_evicted = files_.counts().reclaimed;
  if (heap_) {
    all.pages_evicted += heap_->counts().swap_outs;
    all.swapped_in = heap_->counts().major_faults;
  }
  return all;
}

void recipe_memory::set_targets(frame_count in_use) {
  kernel_target_ = part_of(in_use, plan_.unmovable_share);
  user_target_ = in_use - kernel_target_;
}

void recipe_memory::note_full() {
  if (!due_) due_ = allocated_ + part_of(managed_, plan_.turnover);
}

void recipe_memory::come_down() {
  coming_down_ = true;
  set_targets(part_of(managed_, plan_.occupancy));
  shrink_kernel_to_target();
}

double recipe_memory::parameter(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw_usage("recipe {} has no parameter {}", plan_.recipe, name);
  return found->second;
}

random_stream recipe_memory::stream(std::string_view name) const {
  const auto* const use = how_ == time::passes ? "background" : "ageing";
  return {plan_.seed, fmt::format("{}.{}.{}", use, plan_.recipe, name)};
}

void recipe_memory::change_cpu() {
  const auto cpus = machine_.config().cpus;
  if (cpus > 1) cpu_ = static_cast<unsigned>(cpus_.below(cpus));
  run_daemons();
}

void recipe_memory::run_daemons() {
  if (how_ == time::passes) return;
  daemons_due_ = allocated_ + pages_between_daemons;
  auto& memory = machine_.memory();
  if (const auto wish = memory.take_kswapd_wish()) {
    auto todo = *wish;
    for (;;) {
      const auto result = memory.balance(cpu(), todo);
      if (result.balanced || result.reclaimed == 0) break;
      todo.order = result.reached;
    }
    memory.rest_kswapd(*wish);
  }
  if (const auto wish = memory.take_kcompactd_wish()) {
    memory.compact_in_background(cpu(), wish->order, wish->highest);
  }
}

void recipe_memory::note_allocated(frame_count frames) {
  allocated_ += frames;
  // Parameters may be such that memory is never full.
  if (user() + kernel_ >= user_target_ + kernel_target_ || allocated_ >= 4 * managed_) note_full();
  if (allocated_ >= daemons_due_) run_daemons();
}

void recipe_memory::note_user(frame_count frames) {
  counts_.user_pages_allocated += frames;
  note_allocated(frames);
}

bool recipe_memory::make_room() {
  note_full();
  if (machine_.memory().reclaim(cpu(), reclaimed_for_a_request) > 0) return true;
  return make_room_ && make_room_();
}

user_block recipe_memory::hold(pfn frame, order size) {
  if (unused_numbers_.empty()) {
    unused_numbers_.push_back(user_block{static_cast<std::uint32_t>(blocks_.size())});
    blocks_.emplace_back();
  }
  const auto number = unused_numbers_.back();
  unused_numbers_.pop_back();
  const auto tag = static_cast<std::uint32_t>(number);
  blocks_[tag] = {.frame = static_cast<std::uint32_t>(frame.value()),
                  .size = static_cast<std::uint8_t>(size.value())};
  held_ += size.frames();
  machine_.memory().assign(cpu(), frame, {.kind = page_kind::anonymous, .owner = id_, .tag = tag});
  return number;
}

std::optional<user_block> recipe_memory::try_user_block(order size, gfp flags) {
  const auto frame = machine_.memory().alloc(cpu(), size, flags);
  if (!frame) return std::nullopt;
  const auto block = hold(*frame, size);
  note_user(size.frames());
  return block;
}

std::expected<user_block, error> recipe_memory::user_page() {
  for (;;) {
    if (const auto page = try_user_block(order{0}, gfp_highuser_movable)) return *page;
    if (!make_room()) return std::unexpected{no_memory()};
  }
}

order recipe_memory::size_of(user_block block) const {
  return order{blocks_[static_cast<std::uint32_t>(block)].size};
}

void recipe_memory::free(user_block block) {
  const auto [frame, size] = blocks_[static_cast<std::uint32_t>(block)];
  machine_.memory().free(cpu(), pfn{frame}, order{size});
  held_ -= order{size}.frames();
  unused_numbers_.push_back(block);
}

std::vector<user_block> recipe_memory::split(user_block block) {
  const auto [frame, size] = blocks_[static_cast<std::uint32_t>(block)];
  const auto frames = order{size}.frames();
  machine_.memory().split(pfn{frame}, order{size}, order{0});
  held_ -= frames;
  unused_numbers_.push_back(block);
  std::vector<user_block> pages;
  for (frame_count i = 0; i < frames; ++i) pages.push_back(hold(pfn{frame} + i, order{0}));
  return pages;
}

void recipe_memory::moved(pfn, pfn to, std::uint32_t tag) {
  blocks_[tag].frame = static_cast<std::uint32_t>(to.value());
}

// Nobody is killed for it: what is too much is to go to swap.
void recipe_memory::give_swap(frame_count slots) {
  auto& memory = machine_.memory();
  swap_before_ = memory.swap_size();
  memory.set_swap(swap_before_ + slots);
  heap_.emplace(memory, anonymous_memory_config{.score_adjustment = oom_candidate::never});
}

std::expected<void, error> recipe_memory::touch(std::uint64_t page) {
  const bool is_new = !is_in_memory(page);
  while (!heap_->touch(cpu(), page)) {
    if (!make_room()) return std::unexpected{no_memory()};
  }
  if (is_new) note_user(1);
  return {};
}

std::expected<void, error> recipe_memory::read(file_id file, std::uint64_t index) {
  const bool is_new = !files_.find(file, index);
  while (!files_.read(cpu(), file, index)) {
    if (!make_room()) return std::unexpected{no_memory()};
  }
  if (is_new) note_user(1);
  return {};
}

std::expected<void, error> recipe_memory::read_once() {
  if (read_once_pages_ == read_once_file_pages) {
    read_once_ = files_.add_file();
    read_once_pages_ = 0;
  }
  return read(read_once_, read_once_pages_++);
}

void recipe_memory::evict_to_target() {
  if (!coming_down_ && plan_.peak >= 1) return;
  if (user() > user_target_) machine_.memory().reclaim(cpu(), user() - user_target_);
}

std::optional<kernel_block> recipe_memory::take_for_kernel(order size, gfp flags) {
  const auto block = machine_.memory().alloc(cpu(), size, flags);
  if (!block) return std::nullopt;
  kernel_ += size.frames();
  counts_.kernel_pages_allocated += size.frames();
  note_allocated(size.frames());
  return kernel_block{.frame = static_cast<std::uint32_t>(block->value()),
                      .size = static_cast<std::uint8_t>(size.value())};
}

std::expected<kernel_block, error> recipe_memory::kernel_memory(order size, gfp flags) {
  if (size > order{0}) {
    if (const auto block = take_for_kernel(size, lightly(flags))) return *block;
    ++counts_.large_requests_failed;
  }
  for (;;) {
    if (const auto page = take_for_kernel(order{0}, flags)) return *page;
    if (!make_room()) return std::unexpected{no_memory()};
  }
}

std::optional<kernel_block> recipe_memory::atomic_block(order size) {
  return take_for_kernel(size, gfp_atomic);
}

void recipe_memory::free(kernel_block block) {
  machine_.memory().free(cpu(), block.first(), order{block.size});
  kernel_ -= block.frames();
}

std::expected<void, error> recipe_memory::add_kernel_object(order largest) {
  const auto flags =
      kernel_stream_.chance(reclaimable_objects) ? gfp_kernel | gfp_flag::reclaimable : gfp_kernel;
  const auto block = kernel_memory(object_order(kernel_stream_, largest), flags);
  if (!block) return std::unexpected{block.error()};
  objects_.push_back(*block);
  return {};
}

std::expected<void, error> recipe_memory::keep_kernel_share() {
  while (static_cast<double>(kernel_) <
         plan_.unmovable_share * static_cast<double>(user() + kernel_)) {
    if (auto added = add_kernel_object(); !added) return added;
  }
  return {};
}

void recipe_memory::free_kernel_object() {
  std::swap(objects_[kernel_stream_.below(objects_.size())], objects_.back());
  free(objects_.back());
  objects_.pop_back();
}

std::expected<void, error> recipe_memory::churn_kernel(double rate) {
  churn_owed_ += static_cast<double>(counts_.user_pages_allocated - churned_at_) * rate / 1000;
  churned_at_ = counts_.user_pages_allocated;
  while (churn_owed_ >= 1 && !objects_.empty()) {
    const auto before = kernel_;
    free_kernel_object();
    churn_owed_ -= static_cast<double>(before - kernel_);
    if (auto added = add_kernel_object(); !added) return added;
  }
  return keep_kernel_share();
}

void recipe_memory::shrink_kernel_to_target() {
  while (kernel_ > kernel_target_ && !objects_.empty()) free_kernel_object();
}

std::expected<void, error> recipe_memory::settle() {
  shrink_kernel_to_target();
  evict_to_target();
  while (kernel_ < kernel_target_) {
    const auto missing = kernel_target_ - kernel_;
    if (auto added = add_kernel_object(missing < 8 ? order{0} : order{3}); !added) return added;
  }
  const auto evicted = counts().pages_evicted;
  while (user() < user_target_) {
    // Where for what is read other pages go, what is missing is memory of processes.
    if (counts().pages_evicted == evicted) {
      if (auto read = read_once(); !read) return read;
    } else if (!user_page()) {
      return std::unexpected{no_memory()};
    }
  }
  return {};
}

error recipe_memory::no_memory() const {
  return {errc::no_memory,
          fmt::format("{}: occupancy {} of {} frames is not reached: there is no memory with {} "
                      "frames of processes and files and {} of the kernel in use",
                      plan_.recipe, plan_.occupancy, managed_, user(), kernel_)};
}

}  // namespace memsim::detail
