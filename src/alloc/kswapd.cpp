// SPDX-License-Identifier: Apache-2.0
// The reclaim daemon: when it is woken, what a run of it does, when it rests.
#include <algorithm>

#include "alloc/checks.hpp"
#include "alloc/hot_path.hpp"
#include "alloc/reclaim.hpp"
#include "alloc/watermark_test.hpp"

namespace memsim {
namespace detail {
namespace {

// Runs without any page after which the daemon leaves reclaim to the requests.
constexpr std::uint32_t hopeless = 16;

bool is_above(const zone& z, daemon_wish wish) { return z.extent.type > wish.highest; }

void add(daemon_wish& sum, bool& wanted, daemon_wish wish) {
  sum = wanted ? daemon_wish{std::max(sum.order, wish.order), std::max(sum.highest, wish.highest)}
               : wish;
  wanted = true;
}

// One run, and the boosts that it works off.
class balancing {
 public:
  balancing(allocator_core& core, context& ctx, daemon_wish wish)
      : core_{core}, wish_{wish}, run_{core, ctx, scan_of(core, wish)} {
    for (const auto& z : core.zones_) boosts_.push_back(is_above(z, wish) ? 0 : z.boost);
  }

  balance_result run() {
    for (const auto boost : boosts_) boost_left_ += boost;
    const bool was_boosted = boost_left_ > 0;
    set_active(true);
    const bool balanced = reclaim();
    set_active(false);
    if (run_.reclaimed() == 0 && !balanced) ++core_.reclaim_.kswapd_failures;
    if (run_.reclaimed() > 0) core_.reclaim_.kswapd_failures = 0;
    if (was_boosted) end_boosts();
    return {run_.scanned(), run_.reclaimed(), wish_.order, is_balanced()};
  }

 private:
  // As much as all zones lack of being full to the high mark, were they empty.
  static reclaim_scan scan_of(const allocator_core& core, daemon_wish wish) {
    frame_count wanted = 0;
    for (const auto& z : core.zones_) {
      if (!is_above(z, wish)) wanted += std::max(z.marks.high + z.boost, reclaim_batch);
    }
    return {.by = reclaimer::kswapd, .wanted = wanted, .highest = wish.highest};
  }

  [[nodiscard]] bool is_balanced() { return core_.is_balanced(wish_); }

  void set_active(bool active) {
    for (auto& z : core_.zones_) {
      if (!is_above(z, wish_)) core_.set_reclaim_active(z, active);
    }
  }

  // \return whether it ended because nothing was left to do
  bool reclaim() {
    for (unsigned priority = first_priority; priority >= 1;) {
      const bool balanced = is_balanced();
      if (!balanced && boost_left_ > 0) {
        // Memory is short in earnest: never mind the boost, and begin anew.
        boost_left_ = 0;
        priority = first_priority;
        continue;
      }
      if (balanced && boost_left_ == 0) return true;
      // For a boost alone nothing is written, and little is tried.
      run_.set_may_swap(boost_left_ == 0);
      run_.set_may_write(boost_left_ == 0 || priority < troubled_priority);
      const bool at_its_limit = boost_left_ > 0 && priority == troubled_priority;
      const bool met_enough = pass(priority);
      const auto got = run_.reclaimed() - seen_;
      seen_ = run_.reclaimed();
      if (boost_left_ > 0 && got == 0) return false;
      boost_left_ -= std::min(boost_left_, got);
      if (got == 0 || (!met_enough && !at_its_limit)) --priority;
    }
    return false;
  }

  // \return whether as many pages were looked at as are wanted
  bool pass(unsigned priority) {
    const auto scanned = run_.scanned();
    const auto reclaimed = run_.reclaimed();
    run_.pass(priority);
    // Higher orders are compaction's business once there is room for it.
    if (wish_.order > order{0} && run_.reclaimed() - reclaimed >= 2 * wish_.order.frames()) {
      wish_.order = order{0};
    }
    return run_.scanned() - scanned >= run_.wanted();
  }

  void end_boosts() {
    for (std::size_t i = 0; i < boosts_.size(); ++i) {
      auto& z = core_.zones_[i];
      z.boost -= std::min(z.boost, boosts_[i]);
      z.margins.forget();
    }
    core_.wake_kcompactd({pageblock_order, wish_.highest});
  }

  allocator_core& core_;
  daemon_wish wish_;
  lru_reclaim run_;
  std::vector<std::uint64_t> boosts_;  // of each zone, as they were
  frame_count boost_left_ = 0;         // pages still to be reclaimed for them
  frame_count seen_ = 0;
};

}  // namespace

bool allocator_core::is_balanced(daemon_wish wish) {
  const request wanted{.order = wish.order.value(), .highest = wish.highest};
  return std::ranges::any_of(zones_, [&](zone& z) {
    return !is_above(z, wish) &&
           passes(profile_, z, wanted, {.mark = watermark::high}, watermark::high);
  });
}

void allocator_core::set_reclaim_active(zone& z, bool active) const {
  z.reclaim_active = active;
  for (auto& pcp : z.cpus) derive_trim(z, pcp);
}

balance_result allocator_core::balance(context& ctx, daemon_wish wish) {
  ++reclaim_counts_.kswapd_runs;
  return balancing{*this, ctx, wish}.run();
}

// A daemon that can do nothing, or need not, is left asleep; memory may be in pieces then.
void allocator_core::wake_kswapd(daemon_wish wish, bool waits) {
  if (settings_.slow_path == rule::off) return;
  const bool is_boosted =
      std::ranges::any_of(zones_, [&](const zone& z) { return !is_above(z, wish) && z.boost > 0; });
  if (reclaim_.kswapd_failures >= hopeless || (!is_boosted && is_balanced(wish))) {
    if (!waits) wake_kcompactd(wish);
    return;
  }
  add(reclaim_.kswapd, reclaim_.kswapd_wanted, wish);
  if (waker_ != nullptr) waker_->wake_kswapd();
}

void allocator_core::wake_kcompactd(daemon_wish wish) {
  if (wish.order == order{0}) return;
  add(reclaim_.kcompactd, reclaim_.kcompactd_wanted, wish);
  if (waker_ != nullptr) waker_->wake_kcompactd();
}

void allocator_core::rest_kswapd(daemon_wish wish) {
  for (auto& z : zones_) reset_skip_hints(z);
  wake_kcompactd(wish);
}

}  // namespace detail

namespace {

std::optional<daemon_wish> take(daemon_wish& wish, bool& wanted) {
  if (!wanted) return std::nullopt;
  wanted = false;
  return std::exchange(wish, {});
}

}  // namespace

balance_result page_allocator::balance(context& ctx, daemon_wish wish) {
  detail::check_order(wish.order);
  detail::check_cpu(*core_, ctx.cpu);
  return core_->balance(ctx, wish);
}

std::optional<daemon_wish> page_allocator::take_kswapd_wish() {
  return take(core_->reclaim_.kswapd, core_->reclaim_.kswapd_wanted);
}

std::optional<daemon_wish> page_allocator::take_kcompactd_wish() {
  return take(core_->reclaim_.kcompactd, core_->reclaim_.kcompactd_wanted);
}

bool page_allocator::is_kswapd_hopeless() const {
  return core_->reclaim_.kswapd_failures >= detail::hopeless;
}

void page_allocator::rest_kswapd(daemon_wish wish) { core_->rest_kswapd(wish); }
void page_allocator::set_daemon_waker(daemon_waker* waker) { core_->waker_ = waker; }

}  // namespace memsim
