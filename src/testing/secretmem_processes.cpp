// SPDX-License-Identifier: Apache-2.0
#include "testing/secretmem_processes.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace memsim::testing {
namespace {

using detail::field_cursor;

// Modelling assumption: where files are mapped, and how large a file may be. Nothing that is
// recorded depends on it.
constexpr vpn first_slot{1 << 24};
constexpr frame_count most_pages = 1 << 24;
constexpr std::uint64_t default_content = 7;
constexpr std::uint64_t close_on_exec = 0x80000;

std::string errno_of(const error& e) {
  switch (e.code()) {
    case errc::invalid: return "EINVAL";
    case errc::no_memory: return "ENOMEM";
    case errc::again: return "EAGAIN";
    case errc::not_permitted: return "EPERM";
    case errc::unsupported: return "ENOSYS";
    case errc::bus_error: return "SIGBUS";
    case errc::bad_address: return "SIGSEGV";
    case errc::killed: return "KILLED";
    default: return to_text(e);
  }
}

std::string result_of(const std::expected<void, error>& done) {
  return done ? "ok" : errno_of(done.error());
}

// What the kernel itself is told that reaches for a page, and what other calls come to.
struct refusal {
  std::string_view operation;
  std::string_view result;
};
constexpr std::array refusals{refusal{"vmreadv", "EFAULT"}, refusal{"vmwritev", "EFAULT"},
                              refusal{"vmsplice", "EFAULT"}, refusal{"iouring", "EFAULT"},
                              refusal{"procmem", "E5"}};

std::string advise(std::uint64_t advice) {
  constexpr std::uint64_t remove = 9;
  constexpr std::uint64_t populate_read = 22;
  constexpr std::uint64_t populate_write = 23;
  constexpr std::uint64_t collapse = 25;
  // MADV_FREE is for anonymous memory; 5 to 7 have no meaning.
  if ((advice >= 5 && advice <= 8) || advice > collapse) return "EINVAL";
  if (advice == remove) return "EOPNOTSUPP";
  return advice == populate_read || advice == populate_write ? "EINVAL" : "ok";
}

}  // namespace

secretmem_processes::secretmem_processes(const kernel_profile& profile, bytes memory, bool enabled)
    : machine_{{.memory = memory_map::x86_64(memory), .profile = profile}},
      vm_{machine_.memory()},
      secrets_{vm_, machine_.map(), [&] {
                 auto how = secretmem_6_1;
                 how.enabled = enabled;
                 return how;
               }()} {
  machine_.memory().add_observer(*this);
  processes_[0].space = &vm_.add_process({.ipc_lock = true});
}

secretmem_processes::~secretmem_processes() {
  machine_.memory().remove_observer(*this);
  for (auto& process : processes_) end(process);
}

void secretmem_processes::on_free(const free_event& e) {
  recorded_.erase(recorded_.lower_bound(e.block),
                  recorded_.lower_bound(e.block + e.order.frames()));
}

vpn secretmem_processes::page_at(std::size_t slot, std::uint64_t index) {
  return first_slot + slot * most_pages + index;
}

// F I
vpn secretmem_processes::read_page(field_cursor& in) {
  const auto slot = in.number<std::size_t>(0, slots - 1);
  return page_at(slot, in.number<std::uint64_t>(0, most_pages - 1));
}

std::string secretmem_processes::step(field_cursor& in, std::optional<pfn> frame) {
  const auto operation = in.word();
  auto& process = processes_[in.number<std::size_t>(0, most_processes - 1)];
  if (!in.ok()) return {};
  if (operation == "spawn") {
    end(process);
    process.space = &vm_.add_process({.ipc_lock = true});
    return "ok";
  }
  if (process.space == nullptr) {
    in.cut('\n');
    return "noproc";
  }
  auto result = perform(operation, in, process, frame);
  // One that was killed for another's sake, too.
  for (auto& other : processes_) {
    if (other.space != nullptr && other.space->was_killed()) end(other);
  }
  return result;
}

std::string secretmem_processes::perform(std::string_view operation, field_cursor& in,
                                         process_record& process, std::optional<pfn> frame) {
  auto& ctx = machine_.cpu(0);
  auto& space = *process.space;
  if (operation == "memfd") return memfd(in, process);
  if (operation == "mmap") return mmap(in, process);
  if (operation == "touch") return touch(in, process, frame);
  if (operation == "fill") return fill(in, process);
  if (operation == "fork") return fork(in, process);
  if (operation == "rlimit") {
    const auto limit = in.word();
    space.set_memlock_limit(limit == "inf" ? ~frame_count{0} : in.parse<frame_count>(limit));
    return "ok";
  }
  if (operation == "setuid") {
    space.set_user(in.number<std::uint32_t>());
    return "ok";
  }
  if (operation == "exit") {
    end(process);
    return "ok";
  }
  if (operation == "noise") return make_noise(process, in.number<frame_count>(0, most_pages));
  if (operation == "hog") {
    return make_noise(process, (1_MiB * in.number<std::uint64_t>(0, 1 << 20)).frames());
  }
  if (operation == "quiet") {
    for (const auto& [at, pages] : std::exchange(process.noise, {})) {
      static_cast<void>(space.munmap(ctx, at, pages));
    }
    return "ok";
  }
  if (operation == "status") {
    return fmt::format("ok vmlck={} mlocked=0 unevictable>0=0",
                       space.locked_pages() * page_bytes / 1024);
  }
  if (operation == "ftruncate" || operation == "close" || operation == "fallocate") {
    auto*& file = process.open[in.number<std::size_t>(0, slots - 1)];
    const auto size = operation == "close" ? 0 : in.number<frame_count>(0, most_pages);
    if (!in.ok()) return {};
    if (file == nullptr) return "EBADF";
    if (operation == "fallocate") return "EOPNOTSUPP";
    if (operation == "ftruncate") return result_of(file->resize(size));
    std::exchange(file, nullptr)->close(ctx);
    return "ok";
  }
  if (operation == "read" || operation == "write") {
    const auto slot = in.number<std::size_t>(0, slots - 1);
    return process.open[slot] == nullptr ? "EBADF" : "E29";
  }
  const auto page = read_page(in);
  if (operation == "writefrom") {
    // The kernel faults in the process's name, and sends no signal.
    const auto done = space.read(ctx, page);
    if (done) return "ok";
    return done.error().code() == errc::killed ? "KILLED" : "EFAULT";
  }
  if (operation == "mprotectx") return space.find(page) == nullptr ? "ENOMEM" : "EACCES";
  if (operation == "madvise") {
    const auto advice = in.number<std::uint64_t>();
    if (space.find(page) == nullptr && advise(advice) != "EINVAL") return "ENOMEM";
    constexpr std::uint64_t dont_need = 4;
    if (advice == dont_need) return result_of(space.discard(ctx, page, 1));
    return advise(advice);
  }
  if (operation == "guptest") {
    const auto kind = in.word() == "p" ? hold_kind::pin : hold_kind::reference;
    const auto held = space.hold(ctx, page, 1, {kind, memory_access::read});
    return fmt::format("ok size={}", held ? page_bytes : 0);
  }
  if (operation == "munmap" || operation == "mlock" || operation == "mremap") {
    const auto pages = in.at_end() ? 1 : in.number<frame_count>(1, most_pages);
    if (!in.ok()) return {};
    if (operation == "munmap") return result_of(space.munmap(ctx, page, pages));
    if (operation == "mlock") return result_of(space.mlock(ctx, page, pages));
    // To the size that it has.
    return space.find(page) == nullptr ? "EFAULT" : "ok";
  }
  const auto* const known = std::ranges::find(refusals, operation, &refusal::operation);
  if (known == refusals.end()) {
    in.refuse(fmt::format("no operation '{}'", operation));
    return {};
  }
  return std::string{known->result};
}

std::string secretmem_processes::memfd(field_cursor& in, process_record& process) {
  auto*& file = process.open[in.number<std::size_t>(0, slots - 1)];
  std::uint64_t flags = 0;
  if (!in.at_end()) {
    const auto word = in.word();
    const bool is_hex = word.starts_with("0x");
    const auto digits = is_hex ? word.substr(2) : word;
    const auto [end, code] =
        std::from_chars(digits.data(), digits.data() + digits.size(), flags, is_hex ? 16 : 10);
    if (code != std::errc{} || end != digits.data() + digits.size()) {
      in.refuse(fmt::format("'{}' is no number", word));
    }
  }
  if (!in.ok()) return {};
  auto made = secrets_.create(*process.space);
  if (!made) return errno_of(made.error());
  if ((flags & ~close_on_exec) != 0) {
    (*made)->close(machine_.cpu(0));
    return "EINVAL";
  }
  if (file != nullptr) file->close(machine_.cpu(0));
  file = *made;
  return "ok";
}

std::string secretmem_processes::mmap(field_cursor& in, process_record& process) {
  const auto slot = in.number<std::size_t>(0, slots - 1);
  const auto first = in.number<std::uint64_t>(0, most_pages - 1);
  const auto pages = in.number<frame_count>(1, most_pages - first);
  mapping_request how{.at = page_at(slot, first), .with = sharing::shared_pages, .offset = first};
  bool executable = false;
  while (in.ok() && !in.at_end()) {
    const auto word = in.word();
    if (word == "private") {
      how.with = sharing::private_copies;
    } else if (word == "exec") {
      executable = true;
    } else if (word == "locked") {
      how.locked = true;
    } else if (word != "populate") {
      in.refuse(fmt::format("no way '{}' to map", word));
    }
  }
  if (!in.ok()) return {};
  how.source = process.open[slot];
  if (how.source == nullptr) return "EBADF";
  // memsim's mappings have no right to execute.
  if (executable) return "EPERM";
  const auto mapped = process.space->mmap(machine_.cpu(0), pages, how);
  return mapped ? "ok" : errno_of(mapped.error());
}

// The page is named by the frame that the recording has for it, as long as it lives.
std::string secretmem_processes::touch(field_cursor& in, process_record& process,
                                       std::optional<pfn> frame) {
  const auto page = read_page(in);
  const auto how = in.word();
  const auto content = in.at_end() ? default_content : in.number<std::uint64_t>();
  if (!in.ok()) return {};
  auto& ctx = machine_.cpu(0);
  auto& space = *process.space;
  std::string result;
  if (how == "w") {
    result = result_of(space.write(ctx, page, content));
  } else {
    const auto found = space.read(ctx, page);
    result = found ? fmt::format("ok={}", *found) : errno_of(found.error());
  }
  const auto mapped = space.translate(page);
  if (!mapped) return result + " pfn=0";
  const auto named = recorded_.try_emplace(*mapped, frame.value_or(pfn{})).first;
  return fmt::format("{} pfn={}", result, named->second);
}

std::string secretmem_processes::fill(field_cursor& in, process_record& process) {
  const auto page = read_page(in);
  const auto pages = in.number<frame_count>(0, most_pages);
  if (!in.ok()) return {};
  for (frame_count i = 0; i < pages; ++i) {
    const auto done = process.space->write(machine_.cpu(0), page + i, default_content);
    if (done) continue;
    if (done.error().code() == errc::killed) return "KILLED";
    return fmt::format("{} n={}", errno_of(done.error()), i);
  }
  return fmt::format("ok n={}", pages);
}

std::string secretmem_processes::fork(field_cursor& in, const process_record& parent) {
  auto& child = processes_[in.number<std::size_t>(0, most_processes - 1)];
  if (!in.ok()) return {};
  if (child.space != nullptr) return "busy";
  const auto made = parent.space->fork(machine_.cpu(0));
  if (!made) return errno_of(made.error());
  child = parent;
  child.space = *made;
  for (auto* const file : child.open) {
    if (file != nullptr) file->open();
  }
  return "ok";
}

std::string secretmem_processes::make_noise(process_record& process, frame_count pages) {
  auto& ctx = machine_.cpu(0);
  if (pages == 0) return "ok";
  const auto at = process.space->mmap(ctx, pages);
  if (!at) return errno_of(at.error());
  process.noise.push_back({*at, pages});
  for (frame_count i = 0; i < pages; ++i) {
    if (auto done = process.space->write(ctx, *at + i, 1); !done) return errno_of(done.error());
  }
  return "ok";
}

void secretmem_processes::end(process_record& process) {
  if (process.space == nullptr) return;
  auto& ctx = machine_.cpu(0);
  const auto gone = std::exchange(process, {});
  vm_.exit(ctx, *gone.space);
  for (auto* const file : gone.open) {
    if (file != nullptr) file->close(ctx);
  }
}

}  // namespace memsim::testing
