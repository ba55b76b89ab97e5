// SPDX-License-Identifier: Apache-2.0
// A recording of contiguous ranges or of compaction: every migration, every scanner step, every
// result, every snapshot.
#include <algorithm>
#include <deque>
#include <map>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/text.hpp>

#include "testing/golden_lines.hpp"
#include "testing/golden_score.hpp"
#include "workload/golden_snapshot.hpp"

namespace memsim::testing {
namespace {

using detail::field_cursor;
using detail::line_source;

// What a page of the script becomes, besides plain kernel memory.
struct kind {
  char letter;
  page_kind use;
  bool pinned;
  bool lends;      // its driver lets it be taken off
  bool lets_move;  // and moved
};
constexpr std::array kinds{
    kind{'l', page_kind::shmem, false, true, true},
    kind{'a', page_kind::anonymous, true, true, true},
    kind{'p', page_kind::shmem, true, true, true},
    kind{'v', page_kind::driver, false, true, true},
    kind{'b', page_kind::driver, false, false, true},
    kind{'w', page_kind::driver, false, true, false},
};

// What an ID of the script stands for.
struct holding {
  enum class what : unsigned char { nothing, block, claim, range };
  what is = what::nothing;
  pfn first{};
  order size{};
  frame_count count = 0;
  const kind* how = nullptr;
};

class contig_run final : public allocator_observer, public page_owner {
 public:
  contig_run(page_allocator& memory, golden_score score)
      : memory_{memory}, score_{score}, owner_{memory.add_owner(*this)} {
    memory_.add_observer(*this);
  }
  ~contig_run() override { memory_.remove_observer(*this); }
  contig_run(const contig_run&) = delete;
  contig_run& operator=(const contig_run&) = delete;

  // What happens, in the words of the recording.
  void on_fallback(const fallback_event& e) override { ours_.push_back(golden_line(e)); }
  void on_migration(const migration_event& e) override {
    const char letter = e.result == migration_result::moved ? 'm' : 'n';
    ours_.push_back(fmt::format("{} {} {}", letter, e.from, e.to));
  }
  void on_scan(const scan_event& e) override {
    const char letter = e.which == scan_event::scanner::migrate ? 'i' : 'j';
    ours_.push_back(fmt::format("{} {} {} {}", letter, e.first, e.last, e.taken));
  }
  void on_suitability(const suitability_event& e) override {
    const int o = e.order ? static_cast<int>(e.order->value()) : -1;
    ours_.push_back(fmt::format("t {} {} {}", e.zone, o, static_cast<unsigned>(e.result)));
  }
  void on_compaction_start(const compaction_start_event& e) override {
    const int sync = e.mode == migration_mode::async ? 0 : 1;
    ours_.push_back(fmt::format("g {} {} {} {}", e.zone, e.migrate, e.free, sync));
  }
  void on_compaction_end(const compaction_end_event& e) override {
    ours_.push_back(
        fmt::format("e {} {} {} {}", e.zone, e.migrate, e.free, static_cast<unsigned>(e.result)));
  }

  bool lends(pfn, std::uint32_t id) override { return how(id).lends; }
  bool lets_move(pfn, pfn, std::uint32_t id) override { return how(id).lets_move; }
  void moved(pfn, pfn to, std::uint32_t id) override { held_[id].first = to; }

  // A line before an operation that tells what happened during it. SCANNED counts loop steps, and
  // is no decision.
  bool take_event(char letter, const std::string& line, std::uint64_t number) {
    constexpr std::string_view letters = "xmnijtge";
    if (letters.find(letter) == std::string_view::npos) return false;
    std::string text = line;
    if (letter == 'i' || letter == 'j') {
      const auto last = text.rfind(' ');
      const auto before = last == std::string::npos ? last : text.rfind(' ', last - 1);
      if (before != std::string::npos && last != before) text.erase(before, last - before);
    }
    theirs_.push_back({number, std::move(text)});
    return true;
  }

  // One operation.
  void apply(char letter, field_cursor& in, std::uint64_t line) {
    line_ = line;
    switch (letter) {
      case 'a': return allocate(in);
      case 'f': return release(in, holding::what::block);
      case 'k': return change_kind(in);
      case 'D': return memory_.drain_all(ctx_);
      case 'c': return claim(in);
      case 'C': return release(in, holding::what::claim);
      case 'r': return take_range(in);
      case 'P': return take_pages(in);
      case 'F': return release(in, holding::what::range);
      case 'z': memory_.compact_everything(ctx_); break;
      case 'd': return compact_for(in);
      case 'w': {
        const auto o = in.number<unsigned>(0, page_orders - 1);
        const auto highest = in.number<unsigned>(0, zone_types - 1);
        if (in.ok()) {
          memory_.compact_in_background(ctx_, order{o}, static_cast<zone_type>(highest));
        }
        break;
      }
      case 'b': memory_.reset_skip_hints(); break;
      default: return in.refuse("no such record");
    }
    compare_events();
  }

  void end_operation() { memory_.flush_lru_batches(); }

  void compare_snapshot(const std::vector<std::string>& theirs, std::uint64_t first_line,
                        snapshot_form form) {
    compare_events();
    const auto ours = contig_lines(memory_.state(), memory_.profile().pcp, form);
    static const std::string missing = "(no such line)";
    for (std::size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
      score_.compare(first_line + i, i < theirs.size() ? theirs[i] : missing,
                     i < ours.size() ? ours[i] : missing);
    }
  }

 private:
  struct recorded_line {
    std::uint64_t number;
    std::string text;
  };

  [[nodiscard]] const kind& how(std::uint32_t id) const { return *held_.at(id).how; }

  holding& new_holding(field_cursor& in) {
    id_ = in.number<std::uint32_t>();
    auto& h = held_[id_];
    if (in.ok() && h.is != holding::what::nothing) in.refuse("the ID is not new");
    return h;
  }

  void set_kind(holding& h, std::uint32_t id, const kind* how) {
    if (h.how != nullptr && h.how->pinned) memory_.unpin(h.first);
    h.how = how;
    if (how == nullptr) return;
    memory_.assign(ctx_, h.first, {.kind = how->use, .owner = owner_, .tag = id});
    if (how->pinned) memory_.pin(h.first);
  }

  const kind* read_kind(field_cursor& in) {
    const auto word = in.word();
    if (!in.ok() || word == "-") return nullptr;
    const auto* const found = std::ranges::find(kinds, word.front(), &kind::letter);
    if (word.size() != 1 || found == kinds.end()) {
      in.refuse("no such kind of page");
      return nullptr;
    }
    return found;
  }

  static std::optional<pfn> read_result(field_cursor& in) {
    const auto word = in.word();
    if (!in.ok() || word == "-") return std::nullopt;
    return pfn{in.parse<std::uint64_t>(word)};
  }

  gfp read_flags(field_cursor& in) {
    const auto letters = in.word();
    const auto flags = detail::parse_gfp_letters(letters);
    if (!flags) in.refuse(fmt::format("GFP letters '{}'", escaped(letters, detail::shown_word)));
    return flags.value_or(gfp{});
  }

  void compare_result(std::optional<pfn> theirs, std::optional<pfn> ours) {
    compare_events();
    const auto text = [](std::optional<pfn> p) { return p ? fmt::format("{}", *p) : "-"; };
    score_.compare(line_, text(theirs), text(ours));
  }

  // a ID ORDER GFP KIND PFN
  void allocate(field_cursor& in) {
    auto& h = new_holding(in);
    const order size{in.number<unsigned>(0, page_orders - 1)};
    const auto flags = read_flags(in);
    const auto* const how = read_kind(in);
    if (how != nullptr && size != order{0}) in.refuse("only single pages have a kind");
    const auto theirs = read_result(in);
    if (!in.ok()) return;
    const auto block = memory_.alloc(ctx_, size, flags);
    compare_result(theirs, block ? std::optional{*block} : std::nullopt);
    if (!block) return;
    h = {.is = holding::what::block, .first = *block, .size = size};
    set_kind(h, id_, how);
  }

  // d ID ORDER GFP PRIO PFN RESULT
  void compact_for(field_cursor& in) {
    auto& h = new_holding(in);
    const order size{in.number<unsigned>(0, page_orders - 1)};
    const auto flags = read_flags(in);
    const auto priority = in.number<unsigned>(0, 2);
    const auto theirs = read_result(in);
    const auto result = in.number<unsigned>(0, 8);
    if (!in.ok()) return;
    const auto ours =
        memory_.compact_for(ctx_, size, flags, static_cast<compact_priority>(2 - priority));
    compare_result(theirs, ours.block);
    score_.compare(line_, fmt::format("result {}", result),
                   fmt::format("result {}", static_cast<unsigned>(ours.result)));
    if (ours.block) h = {.is = holding::what::block, .first = *ours.block, .size = size};
  }

  // k ID KIND
  void change_kind(field_cursor& in) {
    const auto id = in.number<std::uint32_t>();
    const auto* const how = read_kind(in);
    if (!in.ok()) return;
    const auto found = held_.find(id);
    if (found == held_.end() || found->second.is != holding::what::block) {
      return in.refuse("the ID is not an allocated page's");
    }
    if (how == nullptr) return in.refuse("a page cannot become plain kernel memory");
    set_kind(found->second, id, how);
  }

  // c ID PAGES ALIGN PFN
  void claim(field_cursor& in) {
    auto& h = new_holding(in);
    const auto count = in.number<std::uint64_t>(1, max_frame_end.value());
    const order align{in.number<unsigned>(0, 30)};
    const auto theirs = read_result(in);
    if (!in.ok()) return;
    if (memory_.cma_areas().empty()) return in.refuse("there is no CMA area");
    const auto ours = memory_.cma_alloc(ctx_, 0, count, align);
    compare_result(theirs, ours ? std::optional{*ours} : std::nullopt);
    if (ours) h = {.is = holding::what::claim, .first = *ours, .count = count};
  }

  // r ID START PAGES TYPE RESULT
  void take_range(field_cursor& in) {
    auto& h = new_holding(in);
    const pfn first{in.number<std::uint64_t>(0, max_frame_end.value())};
    const auto count = in.number<std::uint64_t>(1, max_frame_end.value());
    const auto type = in.number<unsigned>(0, migratetypes - 1);
    const auto result = in.number<int>();
    if (!in.ok()) return;
    const auto ours =
        memory_.alloc_contig_range(ctx_, first, count, static_cast<migratetype>(type));
    compare_events();
    constexpr int busy = -16;
    constexpr int no_memory = -12;
    const int got = ours ? 0 : ours.error().code() == errc::busy ? busy : no_memory;
    score_.compare(line_, fmt::format("{}", result), fmt::format("{}", got));
    if (ours) h = {.is = holding::what::range, .first = first, .count = count};
  }

  // P ID PAGES PFN
  void take_pages(field_cursor& in) {
    auto& h = new_holding(in);
    const auto count = in.number<std::uint64_t>(1, max_frame_end.value());
    const auto theirs = read_result(in);
    if (!in.ok()) return;
    const auto ours = memory_.alloc_contig_pages(ctx_, count);
    compare_result(theirs, ours ? std::optional{*ours} : std::nullopt);
    if (ours) h = {.is = holding::what::range, .first = *ours, .count = count};
  }

  // f ID, C ID, F ID
  void release(field_cursor& in, holding::what expected) {
    const auto id = in.number<std::uint32_t>();
    if (!in.ok()) return;
    const auto found = held_.find(id);
    if (found == held_.end()) return in.refuse("the ID was never given");
    // What memsim did not get cannot be freed.
    const auto h = found->second;
    held_.erase(found);
    if (h.is == holding::what::nothing) return;
    if (h.is != expected) return in.refuse("the ID is of something else");
    switch (h.is) {
      case holding::what::block:
        if (h.how != nullptr && h.how->pinned) memory_.unpin(h.first);
        memory_.free(ctx_, h.first, h.size);
        break;
      case holding::what::claim: memory_.cma_release(ctx_, 0, h.first, h.count); break;
      case holding::what::range: memory_.free_contig_range(ctx_, h.first, h.count); break;
      case holding::what::nothing: break;
    }
    compare_events();
  }

  void compare_events() {
    static const std::string none = "(no such event)";
    while (!ours_.empty() || !theirs_.empty()) {
      const auto number = theirs_.empty() ? line_ : theirs_.front().number;
      score_.compare(number, theirs_.empty() ? none : theirs_.front().text,
                     ours_.empty() ? none : ours_.front());
      if (!theirs_.empty()) theirs_.pop_front();
      if (!ours_.empty()) ours_.pop_front();
    }
  }

  page_allocator& memory_;
  golden_score score_;
  context ctx_;
  owner_id owner_;
  std::map<std::uint32_t, holding> held_;
  std::uint32_t id_ = 0;
  std::deque<std::string> ours_;
  std::deque<recorded_line> theirs_;
  std::uint64_t line_ = 0;
};

// Lines up to and without `E`.
std::expected<std::vector<std::string>, error> read_snapshot(line_source& lines) {
  std::vector<std::string> snapshot;
  while (lines.next()) {
    if (lines.line() == "E") return snapshot;
    snapshot.push_back(lines.line());
  }
  return lines.ends_early("the line 'E' of a snapshot");
}

std::expected<allocator_state, error> read_start(line_source& lines) {
  if (!lines.next()) return lines.ends_early("the first snapshot");
  if (lines.line() != "S") return lines.malformed("the first record is not a snapshot");
  detail::snapshot_parser parser;
  while (lines.next()) {
    if (lines.line() == "E") return parser.finish();
    if (auto problem = parser.add(lines.line()); !problem.empty()) return lines.malformed(problem);
  }
  return lines.ends_early("the line 'E' of a snapshot");
}

}  // namespace

std::expected<golden_result, error> replay_contig(golden_input input) {
  auto& lines = *input.lines;
  const auto start = read_start(lines);
  if (!start) return std::unexpected{start.error()};
  auto memory = page_allocator::restore(*start, input.profile, input.header.settings);
  if (!memory) return fail(memory.error().code(), "{}: {}", input.name, memory.error());
  golden_result result{.kernel = input.header.kernel, .profile = input.profile};
  contig_run run{*memory, golden_score{result}};
  while (lines.next()) {
    if (lines.line() == "end") {
      result.end_state = memory->state_digest();
      return result;
    }
    if (lines.line() == "S" || lines.line() == "s") {
      const auto form = lines.line() == "S" ? snapshot_form::full : snapshot_form::hashed;
      const auto first = lines.number() + 1;
      const auto snapshot = read_snapshot(lines);
      if (!snapshot) return std::unexpected{snapshot.error()};
      run.compare_snapshot(*snapshot, first, form);
      continue;
    }
    field_cursor in{lines.line()};
    const auto word = in.word();
    const char letter = word.size() == 1 ? word.front() : '\0';
    if (run.take_event(letter, lines.line(), lines.number())) continue;
    try {
      run.apply(letter, in, lines.number());
    } catch (const usage_error& e) {
      return lines.malformed(e.what());
    }
    in.expect_end();
    if (!in.ok()) return lines.malformed(in.problem());
    run.end_operation();
  }
  return lines.ends_early("the line 'end'");
}

}  // namespace memsim::testing
