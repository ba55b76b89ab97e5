// SPDX-License-Identifier: Apache-2.0
// What a request does that found nothing above the low mark: it wakes the daemons, looks at the min
// mark, and if it may wait, compacts, reclaims, tries again as long as there is hope, and at the
// end has somebody killed.
#include <algorithm>

#include "alloc/hot_path.hpp"
#include "alloc/watermark_test.hpp"

namespace memsim::detail {
namespace {

// Rounds of reclaim without any page before a request gives up.
constexpr unsigned most_fruitless_rounds = 16;
// Compactions that succeed and leave nothing for the request, before it gives up.
constexpr unsigned most_compactions = 16;
constexpr unsigned most_costly_compactions = 4;

class slow_request {
 public:
  slow_request(allocator_core& core, context& ctx, const request& wanted, std::size_t preferred)
      : core_{core},
        ctx_{ctx},
        wanted_{wanted},
        preferred_{preferred},
        how_{later_attempt(wanted)} {}

  frame_index serve() {
    wake_kswapd();
    if (look() || (compacts_first() && compact_first())) return found_;
    if (gives_up_) return no_frame;
    how_ = last_attempt(wanted_);
    do {
      wake_kswapd();
      if (look() || reclaim() || compact(priority_)) return found_;
    } while (is_worth_another_round() || kill());
    return found_;
  }

 private:
  [[nodiscard]] bool has(gfp flag) const { return wanted_.flags.has_any(flag); }
  [[nodiscard]] bool is_costly() const { return wanted_.order > costly_order; }
  // Without I/O compaction cannot move what it would have to.
  [[nodiscard]] bool may_compact() const { return wanted_.order > 0 && has(gfp_flag::io); }

  void wake_kswapd() {
    if (wanted_.wakes_kswapd) {
      core_.wake_kswapd({memsim::order{wanted_.order}, wanted_.highest}, true);
    }
  }

  bool look() { return look_with(how_); }
  bool look_with(attempt how) {
    found_ = core_.walk_zones(ctx_, wanted_, how, preferred_);
    return found_ != no_frame;
  }

  // Where reclaim would not help as much as compaction does.
  [[nodiscard]] bool compacts_first() const {
    return may_compact() && !has(gfp_flag::memalloc) &&
           (is_costly() || wanted_.type != migratetype::movable);
  }

  bool compact_first() {
    if (compact(compact_priority::async)) return true;
    if (is_costly() && has(gfp_flag::noretry)) {
      gives_up_ = compacted_ == compact_result::skipped || compacted_ == compact_result::deferred ||
                  has(gfp_flag::thisnode);
      priority_ = compact_priority::async;
    }
    return false;
  }

  bool compact(compact_priority priority) {
    compacted_ = compact_result::skipped;
    if (!may_compact()) return false;
    const auto outcome = core_.compact_directly(ctx_, wanted_, has(gfp_flag::fs), priority);
    compacted_ = outcome.result;
    if (!outcome.block) return false;
    found_ = static_cast<frame_index>(outcome.block->value());
    return true;
  }

  // What was reclaimed may be on the CPUs' lists, or reserved.
  bool reclaim() {
    progress_ = core_.reclaim_directly(ctx_, wanted_) > 0;
    if (!progress_) return false;
    if (look()) return true;
    core_.unreserve_highatomic(ctx_, wanted_, keep_last::yes);
    for (auto& z : core_.zones_) core_.drain_zone_everywhere(ctx_, z);
    return look();
  }

  [[nodiscard]] bool is_worth_another_round() {
    if (has(gfp_flag::noretry)) return false;
    if (is_costly() && !has(gfp_flag::retry_mayfail)) return false;
    return is_reclaim_worth_it() || (progress_ && is_compaction_worth_it());
  }

  // Whether there would be enough if all that can be reclaimed were.
  bool is_reclaim_worth_it() {
    fruitless_ = progress_ && !is_costly() ? 0 : fruitless_ + 1;
    if (fruitless_ <= most_fruitless_rounds && any_zone([this](const zone& z) {
          const auto mark = z.marks.min + z.boost;
          const auto available = margin_if_reclaimed(z, wanted_.highest, how_, mark);
          return available > (std::int64_t{1} << wanted_.order) - 1 &&
                 (wanted_.order == 0 || has_block(z, wanted_.order, how_));
        })) {
      return true;
    }
    return core_.unreserve_highatomic(ctx_, wanted_, keep_last::no);
  }

  bool is_compaction_worth_it() {
    if (!may_compact()) return false;
    if (compacted_ == compact_result::skipped) return could_compact_after_reclaim();
    const auto most = is_costly() ? most_costly_compactions : most_compactions;
    if (compacted_ == compact_result::success && ++compactions_ <= most) return true;
    const auto hardest = is_costly() ? compact_priority::sync_light : compact_priority::sync_full;
    if (priority_ == hardest) return false;
    priority_ = static_cast<compact_priority>(static_cast<unsigned>(priority_) + 1);
    compactions_ = 0;
    return true;
  }

  [[nodiscard]] bool could_compact_after_reclaim() const {
    return any_zone([this](const zone& z) {
      const auto mark = (is_costly() ? z.marks.low : z.marks.min) + z.boost;
      const auto gap = std::uint64_t{2} << wanted_.order;
      const auto reclaimable = core_.reclaimable_pages(z) / wanted_.order;
      return margin_above(core_.profile_, z, wanted_.highest, {.cma = true}, mark + gap) +
                 static_cast<std::int64_t>(reclaimable) >
             0;
    });
  }

  // Modelling assumption: where the kernel would go on for ever, because somebody else may free
  // memory meanwhile (without __GFP_FS, or with __GFP_NOFAIL when nobody is left to kill), the
  // request fails: here nobody else can act before it returns.
  bool kill() {
    if (has(gfp_flag::noretry) || (is_costly() && !has(gfp_flag::retry_mayfail))) return false;
    // Modelling assumption: the kernel would let a victim go down to half of the min mark first.
    if (ctx_.is_victim) return false;
    // Somebody may have been killed by another request just now.
    if (look_with({.mark = watermark::high})) return false;
    if (is_costly() || has(gfp_flag::retry_mayfail | gfp_flag::thisnode) ||
        wanted_.highest < zone_type::normal) {
      ++core_.reclaim_counts_.oom_kills_withheld;
      return false;
    }
    // Without __GFP_FS too much may be in use just now to blame anybody.
    const bool blames = has(gfp_flag::fs);
    if (!blames) ++core_.reclaim_counts_.oom_kills_withheld;
    const bool killed = blames && core_.kill_largest(ctx_);
    if (has(gfp_flag::nofail)) {
      auto how = how_;
      how.no_marks = true;
      if (look_with(how)) return false;
    }
    fruitless_ = 0;
    return killed;
  }

  template <class Test>
  [[nodiscard]] bool any_zone(Test test) const {
    return std::ranges::any_of(
        core_.zones_, [&](const zone& z) { return z.extent.type <= wanted_.highest && test(z); });
  }

  [[nodiscard]] std::int64_t margin_if_reclaimed(const zone& z, zone_type highest, attempt how,
                                                 std::uint64_t mark) const {
    return margin_above(core_.profile_, z, highest, how, mark) +
           static_cast<std::int64_t>(core_.reclaimable_pages(z));
  }

  allocator_core& core_;
  context& ctx_;
  const request& wanted_;
  std::size_t preferred_;
  attempt how_;
  frame_index found_ = no_frame;
  bool gives_up_ = false;
  bool progress_ = false;     // the last reclaim got something
  unsigned fruitless_ = 0;    // reclaims in a row that did not
  unsigned compactions_ = 0;  // that succeeded, at this priority
  compact_priority priority_ = compact_priority::sync_light;
  compact_result compacted_ = compact_result::skipped;
};

}  // namespace

frame_index allocator_core::allocate_slowly(context& ctx, const request& wanted,
                                            std::size_t preferred) {
  if (!wanted.non_blocking && settings_.slow_path == rule::on) {
    ++reclaim_counts_.slow_requests;
    return slow_request{*this, ctx, wanted, preferred}.serve();
  }
  if (wanted.wakes_kswapd) {
    wake_kswapd({memsim::order{wanted.order}, wanted.highest}, false);
  }
  // Who may not wait looks twice; what the first look changed may help the second.
  auto frame = no_frame;
  frame = walk_zones(ctx, wanted, later_attempt(wanted), preferred);
  if (frame == no_frame) frame = walk_zones(ctx, wanted, last_attempt(wanted), preferred);
  return frame;
}

}  // namespace memsim::detail
