// SPDX-License-Identifier: Apache-2.0
// Random changes and collapses: the direct map must agree with a naive one on every frame, and its
// books must balance.
#include <map>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/merge_policy.hpp>
#include <memsim/arch/tlb_flusher.hpp>
#include <memsim/core/random.hpp>
#include <memsim/testing/invariants.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

// Each frame by itself: the rules as they are written, a page at a time.
class naive_map {
 public:
  explicit naive_map(const std::vector<mapped_run>& layout) {
    for (const auto& run : layout) {
      for (pfn frame = run.first; frame < run.end(); ++frame) frames_[frame] = run.how;
    }
  }

  void change(pfn first, frame_count count, mapping_change how, change_calls calls) {
    if (calls == change_calls::per_page) {
      for (pfn page = first; page < first + count; ++page) change_once(page, page + 1, how);
    } else {
      change_once(first, first + count, how);
    }
  }

  // All equal tables below 1 GiB, then 1 GiB, that have a frame of the range.
  void collapse(pfn first, frame_count count, mapping_flags wanted) {
    for (const auto size : {page_size::m2, page_size::g1}) {
      const auto smaller = static_cast<page_size>(static_cast<unsigned>(size) - 1);
      for (auto at = begin_of(first, size); at < first + count; at += frames_of(size)) {
        const auto one = frames_.find(at);
        if (one == frames_.end() || one->second.size != smaller) continue;
        const auto flags = one->second.flags;
        if ((flags | wanted) != flags || flags.has(mapping_flag::keep_small)) continue;
        bool alike = true;
        for (frame_count i = 0; alike && i < frames_of(size); ++i) {
          const auto other = frames_.find(at + i);
          alike = other != frames_.end() && other->second == mapping{smaller, flags};
        }
        if (!alike) continue;
        set_size(at, size);
        ++collapses;
      }
    }
  }

  [[nodiscard]] const std::map<pfn, mapping>& frames() const { return frames_; }
  std::uint64_t splits = 0;
  std::uint64_t collapses = 0;

 private:
  static pfn begin_of(pfn frame, page_size size) {
    return pfn{frame.value() / frames_of(size) * frames_of(size)};
  }

  void set_size(pfn first, page_size size) {
    for (frame_count i = 0; i < frames_of(size); ++i) frames_[first + i].size = size;
  }

  void change_once(pfn at, pfn last, mapping_change how) {
    const bool forced = how.set.has(mapping_flag::keep_small);
    while (at < last) {
      auto& now = frames_[at];
      const auto size = now.size;
      const pfn begin = begin_of(at, size);
      const pfn end = begin + frames_of(size);
      const bool equal = how.applied_to(now.flags) == now.flags;
      if (size != page_size::k4 && (!equal || forced) && (forced || at != begin || end > last)) {
        const auto smaller = static_cast<page_size>(static_cast<unsigned>(size) - 1);
        for (pfn f = begin; f < end; ++f) frames_[f].size = smaller;
        ++splits;
        continue;
      }
      if (!equal) {
        const auto flags = how.applied_to(now.flags);
        for (pfn f = begin; f < end; ++f) frames_[f].flags = flags;
      }
      at = end;
    }
  }

  std::map<pfn, mapping> frames_;
};

void check_equal(const naive_map& expected, const direct_map& map) {
  std::uint64_t frames = 0;
  for (const auto& run : map.runs()) {
    frames += run.count;
    for (pfn f = run.first; f < run.end(); ++f) {
      const auto found = expected.frames().find(f);
      if (found == expected.frames().end() || found->second != run.how) {
        FAIL("frame " << f.value() << " is mapped " << to_text(run.how.flags) << " by "
                      << to_text(run.how.size));
      }
    }
  }
  CHECK(frames == expected.frames().size());
}

}  // namespace

TEST_CASE("a direct map agrees with a naive one", "[arch][direct_map][properties]") {
  const auto seed = GENERATE(1u, 2u, 3u, 4u);
  CAPTURE(seed);
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  counting_flusher tlbs{1};
  // A part of the second gigabyte in 2 MiB pages, the third whole.
  const std::vector<mapped_run> layout{
      {pfn{262144 + 512 * 500 + 7}, 505, {page_size::k4, default_mapping}},
      {pfn{262144 + 512 * 501}, 512 * 11, {page_size::m2, default_mapping}},
      {pfn{524288}, 262144, {page_size::g1, default_mapping}},
  };
  direct_map map{layout, memory, tlbs};
  naive_map naive{layout};
  context ctx;
  random_stream random{seed, "direct_map"};
  const std::array changes{make_invalid, make_default,   make_read_only, make_writable,
                           make_default, make_encrypted, make_decrypted, make_default};
  constexpr pfn first_frame = pfn{262144 + 512 * 500 + 7};

  std::uint64_t collapses = 0;
  for (int i = 0; i < 400; ++i) {
    // Near the places where page sizes meet.
    const auto span = frame_count{1} << random.below(12);
    pfn first = first_frame + random.below(512 * 16);
    if (random.chance(0.4)) first = pfn{first.value() / 512 * 512};
    first = std::max(first, first_frame);
    const auto count = 1 + random.below(span);
    if (random.chance(0.03)) {
      // Once in a while all is well again.
      for (const auto how : {make_default, make_decrypted}) {
        REQUIRE(map.change(ctx, pfn{524288}, 262144, how));
        naive.change(pfn{524288}, 262144, how, change_calls::one_call);
      }
      collapses += map.collapse(ctx, pfn{524288}, 262144, {});
      naive.collapse(pfn{524288}, 262144, {});
    } else if (random.chance(0.2)) {
      const auto wanted = random.chance(0.5) ? mapping_flag::present : mapping_flags{};
      collapses += map.collapse(ctx, first, count, {.wanted = wanted});
      naive.collapse(first, count, wanted);
    } else {
      auto how = changes[random.below(changes.size())];
      if (random.chance(0.003)) how = make_small;
      const auto calls = random.chance(0.3) ? change_calls::per_page : change_calls::one_call;
      const auto whole = random.chance(0.1) ? frame_count{262144} : count;
      const auto from = whole == count ? first : pfn{524288};
      REQUIRE(map.change(ctx, from, whole, how, calls));
      naive.change(from, whole, how, calls);
    }
    // The books.
    REQUIRE(map.mapped().frames() == naive.frames().size());
    REQUIRE(map.counts().m2_splits + map.counts().g1_splits == naive.splits);
    REQUIRE(collapses == naive.collapses);
    REQUIRE(ctx.done.mappings_split == naive.splits);
    REQUIRE(ctx.done.mappings_collapsed == naive.collapses);
    std::uint64_t in_use = 0;
    for (const auto& z : memory.state().zones) in_use += z.allocated.size();
    REQUIRE(map.page_tables() == in_use);
    REQUIRE(map.state().tables.size() == map.page_tables());
    if (i % 40 == 39) check_equal(naive, map);
  }
  CHECK(naive.splits > 20);
  CHECK(collapses > 5);
  CHECK(memsim::testing::check_invariants(memory).empty());
}
