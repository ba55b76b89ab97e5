// SPDX-License-Identifier: Apache-2.0
#include "workload/recipe_memory.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include <memsim/alloc/page_allocator.hpp>

namespace memsim::detail {
namespace {

/// Pages that are evicted at a time when memory runs out.
constexpr frame_count eviction_batch = 32;

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

recipe_memory::recipe_memory(machine& m, const ageing_plan& plan)
    : machine_{m},
      plan_{plan},
      values_{with_defaults(plan)},
      managed_{managed_frames(m.memory())},
      cpus_{stream("cpus")},
      kernel_stream_{stream("kernel")} {
  const auto in_use = part_of(managed_, plan.occupancy);
  set_targets(std::max(in_use, part_of(usable_frames(m.memory()), plan.peak)));
}

void recipe_memory::set_targets(frame_count in_use) {
  kernel_target_ = part_of(in_use, plan_.unmovable_share);
  user_target_ = in_use - kernel_target_;
}

void recipe_memory::note_full() {
  if (!due_) due_ = allocated_ + part_of(managed_, plan_.turnover);
}

void recipe_memory::come_down() {
  set_targets(part_of(managed_, plan_.occupancy));
  shrink_kernel_to_target();
}

double recipe_memory::parameter(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw_usage("recipe {} has no parameter {}", plan_.recipe, name);
  return found->second;
}

random_stream recipe_memory::stream(std::string_view name) const {
  return {plan_.seed, fmt::format("ageing.{}.{}", plan_.recipe, name)};
}

void recipe_memory::change_cpu() {
  const auto cpus = machine_.config().cpus;
  if (cpus > 1) cpu_ = static_cast<unsigned>(cpus_.below(cpus));
}

std::optional<held_block> recipe_memory::take(order size, gfp flags, page_use use) {
  const auto block = machine_.memory().alloc(machine_.cpu(cpu_), size, flags);
  if (!block) return std::nullopt;
  (use == page_use::user ? user_ : kernel_) += size.frames();
  (use == page_use::user ? counts_.user_pages_allocated : counts_.kernel_pages_allocated) +=
      size.frames();
  allocated_ += size.frames();
  // Parameters may be such that memory is never full.
  if (user_ + kernel_ >= user_target_ + kernel_target_ || allocated_ >= 4 * managed_) note_full();
  return held_block{.frame = static_cast<std::uint32_t>(block->value()),
                    .size = static_cast<std::uint8_t>(size.value()),
                    .use = use};
}

// The one place where memory becomes a user's: whatever makes a page movable is said here.
std::optional<held_block> recipe_memory::allocate_user(order size, gfp flags) {
  const auto block = take(size, flags, page_use::user);
  if (block) machine_.memory().set_movable(block->first(), rule::on);
  return block;
}

std::expected<held_block, error> recipe_memory::take_evicting(gfp flags, page_use use) {
  for (;;) {
    const auto block =
        use == page_use::user ? allocate_user(order{0}, flags) : take(order{0}, flags, use);
    if (block) return *block;
    note_full();
    if (!lru_.empty()) {
      evict(eviction_batch);
    } else if (!make_room_ || !make_room_()) {
      return std::unexpected{no_memory()};
    }
  }
}

std::expected<held_block, error> recipe_memory::user_page() {
  return take_evicting(gfp_highuser_movable, page_use::user);
}

std::optional<held_block> recipe_memory::user_block(order size, gfp flags) {
  const auto block = allocate_user(size, flags);
  if (!block) ++counts_.large_requests_failed;
  return block;
}

std::expected<held_block, error> recipe_memory::kernel_block(order size, gfp flags) {
  if (size > order{0}) {
    if (const auto block = take(size, lightly(flags), page_use::kernel)) return *block;
    ++counts_.large_requests_failed;
  }
  return take_evicting(flags, page_use::kernel);
}

std::optional<held_block> recipe_memory::atomic_block(order size) {
  return take(size, gfp_atomic, page_use::kernel);
}

void recipe_memory::free(held_block block) {
  machine_.memory().free(machine_.cpu(cpu_), block.first(), order{block.size});
  (block.use == page_use::user ? user_ : kernel_) -= block.frames();
}

std::vector<held_block> recipe_memory::split(held_block block) {
  machine_.memory().split(block.first(), order{block.size}, order{0});
  std::vector<held_block> pages(block.frames(),
                                {.frame = block.frame, .size = 0, .use = block.use});
  for (std::uint32_t i = 0; i < pages.size(); ++i) pages[i].frame += i;
  return pages;
}

std::expected<void, error> recipe_memory::cache_page(std::uint32_t owner) {
  const auto page = user_page();
  if (!page) return std::unexpected{page.error()};
  lru_.push_back({*page, owner});
  return {};
}

bool recipe_memory::cache_block(order size, gfp flags) {
  const auto block = allocate_user(size, flags);
  if (block) lru_.push_back({*block, 0});
  return block.has_value();
}

void recipe_memory::evict_oldest() {
  auto oldest = lru_.front();
  lru_.pop_front();
  while (judge_ && judge_(oldest.owner) == verdict::keep) {
    lru_.push_back(oldest);
    oldest = lru_.front();
    lru_.pop_front();
  }
  counts_.pages_evicted += oldest.block.frames();
  free(oldest.block);
}

void recipe_memory::evict(frame_count frames) {
  const auto enough = user_ - std::min(user_, frames);
  while (user_ > enough && !lru_.empty()) evict_oldest();
}

void recipe_memory::evict_to_target() {
  if (user_ > user_target_) evict(user_ - user_target_);
}

void recipe_memory::evict_any(random_stream& random) {
  if (lru_.empty()) return;
  std::swap(lru_.front(), lru_[random.below(lru_.size())]);
  evict_oldest();
}

std::expected<void, error> recipe_memory::add_kernel_object(order largest) {
  const auto flags =
      kernel_stream_.chance(reclaimable_objects) ? gfp_kernel | gfp_flag::reclaimable : gfp_kernel;
  const auto block = kernel_block(object_order(kernel_stream_, largest), flags);
  if (!block) return std::unexpected{block.error()};
  objects_.push_back(*block);
  return {};
}

std::expected<void, error> recipe_memory::keep_kernel_share() {
  while (static_cast<double>(kernel_) <
         plan_.unmovable_share * static_cast<double>(user_ + kernel_)) {
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
  while (user_ < user_target_) {
    if (!cache_block(order{0}, gfp_highuser_movable)) return std::unexpected{no_memory()};
  }
  return {};
}

error recipe_memory::no_memory() const {
  return {errc::no_memory,
          fmt::format("{}: occupancy {} of {} frames is not reached: there is no memory with {} "
                      "frames of processes and files and {} of the kernel in use",
                      plan_.recipe, plan_.occupancy, managed_, user_, kernel_)};
}

std::uint64_t log_uniform(random_stream& random, std::uint64_t least, std::uint64_t most) {
  const auto octaves = static_cast<unsigned>(std::bit_width(most / least));
  const auto low = least << random.below(octaves);
  const auto high = std::min(most, 2 * low - 1);
  return low + random.below(high - low + 1);
}

}  // namespace memsim::detail
