// SPDX-License-Identifier: Apache-2.0
// A recording of the page allocator: every block, every fallback, every snapshot.
#include <algorithm>
#include <deque>
#include <map>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/workload/golden_reader.hpp>

#include "testing/golden_score.hpp"

namespace memsim::testing {
namespace {

// One replay: the allocator, the fallbacks that it and the recording told of, the score.
class replay final : public allocator_observer {
 public:
  replay(page_allocator& memory, golden_result& result) : memory_{memory}, score_{result} {
    memory_.add_observer(*this);
  }
  ~replay() override { memory_.remove_observer(*this); }
  replay(const replay&) = delete;
  replay& operator=(const replay&) = delete;

  void on_fallback(const fallback_event& event) override {
    simulated_fallbacks_.push_back(golden_line(event));
  }

  // What is wrong with the record; empty if nothing.
  std::string apply(std::uint64_t line, const golden_allocation& a) {
    if (!blocks_.emplace(a.id, live_block{}).second) return fmt::format("ID {} is not new", a.id);
    const auto block = memory_.alloc(ctx_, a.size, a.flags);
    compare_fallbacks();
    const auto show = [&](bool found, pfn frame) {
      return fmt::format("order {} allocation {}: {}", a.size, a.id,
                         found ? fmt::format("frame {}", frame) : std::string{"failed"});
    };
    const bool same = block ? a.block == *block : !a.block;
    compare(
        line, same, [&] { return show(a.block.has_value(), a.block.value_or(pfn{})); },
        [&] { return show(block.has_value(), block.value_or(pfn{})); });
    blocks_[a.id] = {block ? std::optional{*block} : std::nullopt, a.size};
    return {};
  }

  std::string apply(std::uint64_t, const golden_free& f) {
    const auto found = blocks_.find(f.id);
    if (found == blocks_.end()) return fmt::format("ID {} is not allocated", f.id);
    if (found->second.block) memory_.free(ctx_, *found->second.block, found->second.size);
    blocks_.erase(found);
    return {};
  }

  std::string apply(std::uint64_t line, const golden_fallback& x) {
    recorded_fallbacks_.push_back({line, x.text});
    return {};
  }

  std::string apply(std::uint64_t, const golden_drain&) {
    memory_.drain_all(ctx_);
    return {};
  }

  std::string apply(std::uint64_t, const golden_snapshot& snapshot) {
    // Blocks in use are not part of a snapshot.
    const auto ours = golden_lines(memory_.state(), memory_.profile().pcp);
    const auto& theirs = snapshot.lines;
    for (std::size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
      static const std::string missing = "(no such line)";
      const auto& recorded = i < theirs.size() ? theirs[i] : missing;
      const auto& simulated = i < ours.size() ? ours[i] : missing;
      compare(
          snapshot.first_line + i, recorded == simulated, [&] { return recorded; },
          [&] { return simulated; });
    }
    return {};
  }

  // Fallbacks recorded after the last allocation have nothing to be compared with.
  void finish() { compare_fallbacks(); }

 private:
  struct live_block {
    std::optional<pfn> block{};
    order size{};
  };
  struct recorded_line {
    std::uint64_t line;
    std::string text;
  };

  // The records of one allocation against its events.
  void compare_fallbacks() {
    const std::string none = "(no fallback)";
    while (!recorded_fallbacks_.empty() || !simulated_fallbacks_.empty()) {
      const bool has_recorded = !recorded_fallbacks_.empty();
      const bool has_simulated = !simulated_fallbacks_.empty();
      const std::string& recorded = has_recorded ? recorded_fallbacks_.front().text : none;
      const std::string& simulated = has_simulated ? simulated_fallbacks_.front() : none;
      if (has_recorded) last_line_ = recorded_fallbacks_.front().line;
      compare(
          last_line_, recorded == simulated, [&] { return recorded; }, [&] { return simulated; });
      if (has_recorded) recorded_fallbacks_.pop_front();
      if (has_simulated) simulated_fallbacks_.pop_front();
    }
  }

  template <class Recorded, class Simulated>
  void compare(std::uint64_t line, bool same, Recorded recorded, Simulated simulated) {
    last_line_ = line;
    score_.compare(line, same, recorded, simulated);
  }

  page_allocator& memory_;
  golden_score score_;
  context ctx_;
  std::map<std::uint64_t, live_block> blocks_;
  std::deque<recorded_line> recorded_fallbacks_;
  std::deque<std::string> simulated_fallbacks_;
  std::uint64_t last_line_ = 0;
};

}  // namespace

std::expected<golden_result, error> replay_page_alloc(golden_input input) {
  const auto& name = input.name;
  golden_reader reader{std::move(input.header), std::move(input.lines)};
  const auto start = reader.next();
  if (!start) return std::unexpected{start.error()};
  const auto* const snapshot = *start ? std::get_if<golden_snapshot>(&(*start)->what) : nullptr;
  if (snapshot == nullptr) {
    return fail(errc::malformed, "{}: the first record is not a snapshot", name);
  }
  auto memory = page_allocator::restore(snapshot->state, input.profile, reader.header().settings);
  if (!memory) return fail(memory.error().code(), "{}: {}", name, memory.error());

  golden_result result{.kernel = reader.header().kernel, .profile = input.profile};
  {
    replay run{*memory, result};
    while (true) {
      const auto record = reader.next();
      if (!record) return std::unexpected{record.error()};
      if (!*record) break;
      const auto problem = std::visit(
          [&](const auto& what) { return run.apply((*record)->line, what); }, (*record)->what);
      if (!problem.empty()) {
        return fail(errc::malformed, "{}:{}: {}", name, (*record)->line, problem);
      }
    }
    run.finish();
  }
  result.end_state = memory->state_digest();
  return result;
}

}  // namespace memsim::testing
