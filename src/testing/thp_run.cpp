// SPDX-License-Identifier: Apache-2.0
#include "testing/thp_run.hpp"

#include <fmt/format.h>

namespace memsim::testing {
namespace {

using detail::field_cursor;

// Modelling assumption: where regions begin. Nothing that is recorded depends on it.
constexpr vpn first_region{1 << 20};
constexpr frame_count region_distance = 8_MiB .frames();

constexpr vpn region_at(std::uint64_t region) { return first_region + region * region_distance; }

std::string errno_of(const error& e) {
  switch (e.code()) {
    case errc::bad_address: return "EFAULT";
    case errc::invalid: return "EINVAL";
    case errc::again: return "EAGAIN";
    case errc::no_memory: return "ENOMEM";
    default: return "busy";
  }
}

std::string result_of(const std::expected<void, error>& done) {
  return done ? "ok" : errno_of(done.error());
}

}  // namespace

thp_run::thp_run(const kernel_profile& profile)
    : memory_{{.memory = memory_map::x86_64(1_GiB), .profile = profile}},
      vm_{memory_, {.cow = cow_linux_6_1}} {
  memory_.add_observer(*this);
  processes_[0] = &vm_.add_process();
}

thp_run::~thp_run() { memory_.remove_observer(*this); }

void thp_run::on_free(const free_event& e) {
  names_.erase(names_.lower_bound(e.block), names_.lower_bound(e.block + e.order.frames()));
}

std::size_t thp_run::read_process(field_cursor& in) {
  return in.number<std::size_t>(0, most_processes - 1);
}

// P R, and I N unless it is the whole region.
thp_run::range thp_run::read_range(field_cursor& in, bool whole) {
  const auto process = read_process(in);
  const auto region = in.number<std::uint64_t>(0, regions - 1);
  if (whole) return {process, region_at(region), pageblock_frames};
  const auto first = in.number<std::uint64_t>(0, pageblock_frames - 1);
  const auto pages = in.number<frame_count>(1, pageblock_frames - first);
  return {process, region_at(region) + first, pages};
}

std::string thp_run::step(field_cursor& operation, std::uint64_t step) {
  auto result = perform(operation, step);
  if (!operation.ok()) return {};
  return fmt::format("{} | {}", result, describe());
}

std::string thp_run::perform(field_cursor& in, std::uint64_t step) {
  const auto operation = in.word();
  if (operation == "start") return "ok";
  if (operation == "touch") return touch(in, step);
  if (operation == "pin" || operation == "splice") {
    return take(in, operation == "pin" ? hold_kind::pin : hold_kind::reference);
  }
  if (operation == "unpin" || operation == "unsplice") {
    return put(in, operation == "unpin" ? hold_kind::pin : hold_kind::reference);
  }
  if (operation == "fork") return fork(in);
  if (operation == "shrink") {
    vm_.shrink(ctx_);
    return "ok";
  }
  if (operation == "zeropage") {
    vm_.config().use_huge_zero_page = in.number<unsigned>(0, 1) == 1;
    return "ok";
  }
  if (operation == "exit") {
    const auto process = read_process(in);
    if (!in.ok() || processes_[process] == nullptr) return "noproc";
    vm_.exit(ctx_, *processes_[process]);
    processes_[process] = nullptr;
    return "ok";
  }
  const bool whole = operation == "map" || operation == "collapse" || operation == "split";
  const auto where = read_range(in, whole);
  if (!in.ok()) return {};
  auto* const process = processes_[where.process];
  if (operation == "map") {
    const bool huge = in.at_end();
    if (!huge && in.word() != "nohuge") in.refuse("expected 'nohuge'");
    if (process == nullptr) return "noproc";
    const mapping_request how{.advice = huge ? thp_advice::huge : thp_advice::no_huge,
                              .at = where.first};
    return process->mmap(ctx_, where.pages, how) ? "ok" : "ENOMEM";
  }
  if (operation == "mprotect" || operation == "madv") {
    const auto what = in.word();
    if (process == nullptr) return "noproc";
    if (operation == "mprotect") {
      return result_of(process->mprotect(ctx_, where.first, where.pages,
                                         what == "rw" ? protection::read_write : protection::read));
    }
    return result_of(process->madvise(ctx_, where.first, where.pages,
                                      what == "huge" ? thp_advice::huge : thp_advice::no_huge));
  }
  if (operation == "mremap") {
    const auto region = in.number<std::uint64_t>(0, regions - 1);
    const auto first = in.number<std::uint64_t>(0, pageblock_frames - where.pages);
    if (!in.ok() || process == nullptr) return "noproc";
    return result_of(process->mremap(ctx_, where.first, where.pages, region_at(region) + first));
  }
  if (process == nullptr) return "noproc";
  if (operation == "munmap") {
    return result_of(process->munmap(ctx_, where.first, where.pages));
  }
  if (operation == "dontneed") {
    return result_of(process->discard(ctx_, where.first, where.pages));
  }
  if (operation == "collapse") return result_of(process->collapse(ctx_, where.first));
  if (operation == "split") {
    process->split_huge_pages(ctx_, where.first, where.pages);
    return "ok";
  }
  in.refuse(fmt::format("no operation '{}'", operation));
  return {};
}

std::string thp_run::touch(field_cursor& in, std::uint64_t step) {
  const auto where = read_range(in);
  const auto how = in.word();
  if (!in.ok()) return {};
  auto* const process = processes_[where.process];
  if (process == nullptr) return "noproc";
  std::string read;
  for (frame_count i = 0; i < where.pages; ++i) {
    const auto page = where.first + i;
    const auto fault = [&] { return fmt::format("SIGSEGV@{}", page.value() % region_distance); };
    if (how == "w") {
      if (!process->write(ctx_, page, step)) return fault();
      continue;
    }
    const auto content = process->read(ctx_, page);
    if (!content) return fault();
    if (i == 0) read = fmt::format("={}", *content);
  }
  return fmt::format("ok{}", read);
}

std::string thp_run::take(field_cursor& in, hold_kind kind) {
  const auto where = read_range(in);
  const auto slot = in.number<std::uint64_t>(0, slots - 1);
  if (!in.ok()) return {};
  auto* const process = processes_[where.process];
  if (process == nullptr) return "noproc";
  auto& of_kind = held_[static_cast<unsigned>(kind)];
  if (of_kind.contains(slot)) return "busy";
  auto pages = process->hold(ctx_, where.first, where.pages,
                             kind == hold_kind::pin ? pin_to_write : reference_to_read);
  if (!pages) return errno_of(pages.error());
  const auto count = pages->size();
  of_kind[slot] = {kind, std::move(*pages)};
  return count == where.pages ? "ok" : fmt::format("part{}", count);
}

std::string thp_run::put(field_cursor& in, hold_kind kind) {
  const auto process = read_process(in);
  const auto slot = in.number<std::uint64_t>(0, slots - 1);
  if (!in.ok()) return {};
  if (processes_[process] == nullptr) return "noproc";
  auto& of_kind = held_[static_cast<unsigned>(kind)];
  const auto found = of_kind.find(slot);
  if (found == of_kind.end()) return kind == hold_kind::pin ? "EBADF" : "ok=0";
  const auto pages = std::move(found->second.pages);
  of_kind.erase(found);
  const auto first = pages.front().page;
  const auto content = first ? vm_.content(*first) : 0;
  vm_.release(ctx_, pages, kind);
  return kind == hold_kind::pin ? "ok" : fmt::format("ok={}", content);
}

std::string thp_run::fork(field_cursor& in) {
  const auto parent = read_process(in);
  const auto child = read_process(in);
  if (!in.ok() || processes_[parent] == nullptr) return "noproc";
  if (processes_[child] != nullptr) return "busy";
  const auto made = processes_[parent]->fork(ctx_);
  if (!made) return errno_of(made.error());
  processes_[child] = *made;
  return "ok";
}

std::string thp_run::describe() {
  auto text = describe_events();
  // The names are given out region by region, and held pages are shown before those.
  std::string mapped;
  for (std::size_t p = 0; p < processes_.size(); ++p) {
    for (std::uint64_t r = 0; processes_[p] != nullptr && r < regions; ++r) {
      if (processes_[p]->maps_any(region_at(r), pageblock_frames)) mapped += describe_region(p, r);
    }
  }
  for (const auto kind : {hold_kind::pin, hold_kind::reference}) {
    for (const auto& [slot, h] : held_[static_cast<unsigned>(kind)]) {
      text +=
          fmt::format(" | {}{}{}", kind == hold_kind::pin ? "pin" : "ref", slot, describe_held(h));
    }
  }
  return text + mapped;
}

std::string thp_run::describe_events() {
  struct shown {
    std::string_view name;
    std::uint64_t thp_counts::* member;
  };
  static constexpr std::array events{
      shown{"fa", &thp_counts::fault_alloc},         shown{"ff", &thp_counts::fault_fallback},
      shown{"ca", &thp_counts::collapse_alloc},      shown{"sp", &thp_counts::split_page},
      shown{"ds", &thp_counts::deferred_split_page}, shown{"spm", &thp_counts::split_pmd},
      shown{"zp", &thp_counts::zero_page_alloc}};
  std::string text = "ev";
  const auto now = vm_.counts();
  for (const auto& e : events) {
    if (now.*e.member != seen_.*e.member) {
      text += fmt::format(" {}={}", e.name, now.*e.member - seen_.*e.member);
    }
  }
  seen_ = now;
  return fmt::format("{} thp={}", text, vm_.mapped_huge_pages());
}

thp_run::page_name thp_run::name_of(pfn page) {
  if (const auto found = names_.find(page); found != names_.end()) return found->second;
  const auto huge = vm_.pages()[page].huge();
  if (huge == huge_page_id::none) return names_[page] = {'S', small_names_++, 0};
  const auto first = vm_.pages()[huge].first;
  for (frame_count i = 0; i < pageblock_frames; ++i) names_[first + i] = {'T', huge_names_, i};
  ++huge_names_;
  return names_[page];
}

std::string thp_run::shown(const page_name& name) {
  if (name.kind == 'Z') return {'Z'};
  if (name.kind == 'T') return fmt::format("T{}+{}", name.number, name.part);
  return fmt::format("S{}", name.number);
}

std::string thp_run::describe_region(std::size_t process, std::uint64_t region) {
  const auto& space = *processes_[process];
  const auto first = region_at(region);
  const auto in_memory = space.resident(first, pageblock_frames);
  constexpr unsigned kib = page_bytes / 1024;
  auto text =
      fmt::format(" | p{} r{} pmd={} rss={} priv={} sh={} :", process, region,
                  in_memory.huge / pageblock_frames, in_memory.resident * kib,
                  in_memory.unshared * kib, (in_memory.resident - in_memory.unshared) * kib);
  // A run, and what its next page would be.
  struct run {
    std::uint64_t begin = 0;
    page_name name{};
    std::uint32_t mapcount = 0;
    std::string_view flags{};
  };
  std::optional<run> now;
  std::uint64_t length = 0;
  const auto end_run = [&] {
    if (!now) return;
    text += fmt::format(" {}-{} {} m{} {}", now->begin, now->begin + length - 1, shown(now->name),
                        now->mapcount, now->flags);
    now.reset();
  };
  for (std::uint64_t i = 0; i < pageblock_frames; ++i) {
    const auto at = space.walk(first + i);
    if (at.entry == nullptr || !at.entry->is_present()) {
      end_run();
      continue;
    }
    run here{.begin = i};
    if (at.entry->is_zero()) {
      here.name.kind = 'Z';
      here.flags = at.size == page_size::m2 ? "tcz" : "z";
    } else {
      const auto page = *space.translate(first + i);
      here.name = name_of(page);
      here.mapcount = vm_.pages().mapcount(page);
      here.flags = vm_.pages()[page].huge() == huge_page_id::none ? "a" : "tca";
    }
    const auto continues = [&] {
      if (!now || now->name.kind != here.name.kind || now->mapcount != here.mapcount ||
          now->flags != here.flags) {
        return false;
      }
      if (here.name.kind == 'S') return here.name.number == now->name.number + length;
      return here.name.number == now->name.number &&
             (here.name.kind == 'Z' || here.name.part == now->name.part + length);
    };
    if (!continues()) {
      end_run();
      now = here;
      length = 0;
    }
    ++length;
  }
  end_run();
  return text;
}

std::string thp_run::describe_held(const held& h) {
  std::string text;
  page_name begin;
  std::uint64_t length = 0;
  const auto end_run = [&] {
    if (length == 0) return;
    text += fmt::format(" {}*{}", shown(begin), length);
    length = 0;
  };
  for (const auto& [page] : h.pages) {
    if (!page) {
      end_run();
      text += " Z";
      continue;
    }
    const auto name = name_of(*page);
    const bool continues =
        length > 0 && name.kind == begin.kind &&
        (name.kind == 'S' ? name.number == begin.number + length
                          : name.number == begin.number && name.part == begin.part + length);
    if (!continues) {
      end_run();
      begin = name;
    }
    ++length;
  }
  end_run();
  return text;
}

}  // namespace memsim::testing
