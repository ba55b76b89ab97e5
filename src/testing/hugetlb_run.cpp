// SPDX-License-Identifier: Apache-2.0
#include "testing/hugetlb_run.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace memsim::testing {
namespace {

using detail::field_cursor;

// Modelling assumption: where regions begin, and what memory there is beside the pool. Nothing that
// is recorded depends on it.
constexpr vpn first_region{1 << 20};
constexpr frame_count region_distance = 1024 * 1_GiB .frames();
constexpr bytes room = 8_GiB;

std::string errno_of(const error& e) {
  switch (e.code()) {
    case errc::invalid: return "EINVAL";
    case errc::no_memory: return "ENOMEM";
    case errc::no_space: return "ENOSPC";
    case errc::busy: return "EBUSY";
    case errc::bus_error: return "SIGBUS";
    case errc::bad_address: return "SIGSEGV";
    default: return to_text(e);
  }
}

std::string result_of(const std::expected<void, error>& done) {
  return done ? "ok" : errno_of(done.error());
}

hugetlb_config rules_of(const kernel_profile& profile, page_size size) {
  auto rules = hugetlb_rules(profile);
  rules.size = size;
  return rules;
}

}  // namespace

hugetlb_run::hugetlb_run(const kernel_profile& profile, page_size size, std::uint64_t start_pages)
    : frames_{frames_of(size)},
      memory_{{.memory = memory_map::x86_64(room), .profile = profile}},
      vm_{memory_},
      pool_{vm_, rules_of(profile, size)} {
  processes_[0].space = &vm_.add_process();
  pool_.resize(ctx_, start_pages);
}

vpn hugetlb_run::page_at(std::size_t region, std::uint64_t index) const {
  return first_region + region * region_distance + index * frames_;
}

hugetlb_run::process_record* hugetlb_run::read_process(field_cursor& in) {
  auto& process = processes_[in.number<std::size_t>(0, most_processes - 1)];
  return process.space == nullptr ? nullptr : &process;
}

hugetlb_run::range hugetlb_run::read_range(field_cursor& in, bool one_page) {
  range where{.region = in.number<std::size_t>(0, regions - 1),
              .first = in.number<std::uint64_t>(0, most_pages - 1)};
  if (!one_page) where.pages = in.number<std::uint64_t>(1, most_pages - where.first);
  return where;
}

hugetlb_run::file_name hugetlb_run::read_file(field_cursor& in) {
  return parse_file(in, in.word());
}

hugetlb_run::file_name hugetlb_run::parse_file(field_cursor& in, std::string_view word) {
  if (!in.ok()) return {};
  const auto slash = word.find('/');
  if (slash != 1 || word[0] < '0' || word[0] >= static_cast<char>('0' + most_mounts)) {
    in.refuse(fmt::format("expected MOUNT/FILE, not '{}'", word));
    return {};
  }
  return {static_cast<std::size_t>(word[0] - '0'), std::string{word.substr(2)}};
}

hugetlb_file* hugetlb_run::find(const file_name& name) const {
  const auto* const mount = mounts_[name.mount];
  return mount == nullptr ? nullptr : mount->find(name.name);
}

std::string hugetlb_run::step(field_cursor& operation, std::uint64_t step) {
  auto result = perform(operation, step);
  if (!operation.ok()) return {};
  return result + describe();
}

std::string hugetlb_run::perform(field_cursor& in, std::uint64_t step) {
  const auto operation = in.word();
  if (operation == "start") return "ok";
  if (operation == "pool" || operation == "overcommit" || operation == "umount") {
    return change_pool(operation, in);
  }
  if (operation == "mount") return mount(in);
  if (operation == "unlink") {
    const auto name = read_file(in);
    if (!in.ok() || find(name) == nullptr) return "ENOENT";
    return result_of(mounts_[name.mount]->unlink(ctx_, name.name));
  }
  auto* const process = read_process(in);
  if (!in.ok()) return {};
  if (process == nullptr) {
    in.cut('\n');
    return "noproc";
  }
  if (operation == "creat" || operation == "ftruncate" || operation == "punch" ||
      operation == "falloc") {
    return change_file(operation, in);
  }
  auto& space = *process->space;
  if (operation == "mmap") return mmap(in, *process);
  if (operation == "touch") return touch(in, space, step);
  if (operation == "fork") return fork(in, *process);
  if (operation == "exit") {
    vm_.exit(ctx_, space);
    *process = {};
    return "ok";
  }
  const auto where = read_range(in);
  if (!in.ok()) return {};
  const auto first = page_at(where.region, where.first);
  const auto pages = where.pages * frames_;
  if (operation == "munmap") {
    const auto done = space.munmap(ctx_, first, pages);
    auto& length = process->lengths[where.region];
    if (done && where.first == 0 && where.pages >= length) length = 0;
    return result_of(done);
  }
  if (operation == "dontneed") return result_of(space.discard(ctx_, first, pages));
  if (operation == "mprotect") {
    const auto allowed = in.word() == "rw" ? protection::read_write : protection::read;
    return result_of(space.mprotect(ctx_, first, pages, allowed));
  }
  in.refuse(fmt::format("no operation '{}'", operation));
  return {};
}

std::string hugetlb_run::change_pool(std::string_view operation, field_cursor& in) {
  if (operation == "umount") {
    const auto number = in.number<std::size_t>(0, most_mounts - 1);
    if (!in.ok() || mounts_[number] == nullptr) return "EINVAL";
    const auto done = pool_.unmount(ctx_, *mounts_[number]);
    if (done) mounts_[number] = nullptr;
    return result_of(done);
  }
  const auto pages = in.number<std::uint64_t>(0, most_pages);
  if (!in.ok()) return {};
  if (operation == "overcommit") return result_of(pool_.set_overcommit(pages));
  pool_.resize(ctx_, pages);
  return "ok";
}

std::string hugetlb_run::mount(field_cursor& in) {
  const auto number = in.number<std::size_t>(0, most_mounts - 1);
  subpool_limits limits;
  for (auto* const limit : {&limits.most, &limits.least}) {
    const auto word = in.word();
    if (word != "-") *limit = in.parse<std::uint64_t>(word, 0, most_pages);
  }
  if (!in.ok()) return {};
  if (mounts_[number] != nullptr) return "EBUSY";
  const auto made = pool_.mount(ctx_, limits);
  if (!made) return errno_of(made.error());
  mounts_[number] = *made;
  return "ok";
}

std::string hugetlb_run::change_file(std::string_view operation, field_cursor& in) {
  const auto name = read_file(in);
  if (!in.ok()) return {};
  auto* const file = find(name);
  if (operation == "creat") {
    if (mounts_[name.mount] == nullptr) return "ENOENT";
    if (file != nullptr) return "EEXIST";
    return mounts_[name.mount]->create(name.name) ? "ok" : "EEXIST";
  }
  const auto first = in.number<std::uint64_t>(0, most_pages);
  if (operation == "ftruncate") {
    if (!in.ok() || file == nullptr) return "ENOENT";
    vm_.truncate(ctx_, *file, first * frames_);
    return "ok";
  }
  const auto pages = in.number<std::uint64_t>(1, most_pages);
  const bool keep_size = !in.at_end();
  if (keep_size && in.word() != "keep") in.refuse("expected 'keep'");
  if (!in.ok() || file == nullptr) return "ENOENT";
  if (operation == "falloc") {
    return result_of(file->allocate_range(ctx_, first * frames_, pages * frames_, keep_size));
  }
  vm_.punch_hole(ctx_, *file, first * frames_, pages * frames_);
  return "ok";
}

std::string hugetlb_run::mmap(field_cursor& in, process_record& process) {
  const auto region = in.number<std::size_t>(0, regions - 1);
  const auto source = in.word();
  const bool is_anonymous = source == "anon";
  const auto name = is_anonymous ? file_name{} : parse_file(in, source);
  const auto offset = in.number<std::uint64_t>(0, most_pages);
  const auto pages = in.number<std::uint64_t>(1, most_pages);
  const auto with = in.word() == "shared" ? sharing::shared_pages : sharing::private_copies;
  const bool no_reserve = in.word() == "noreserve";
  const bool read_only = !in.at_end();
  if (read_only && in.word() != "ro") in.refuse("expected 'ro'");
  if (!in.ok()) return {};
  mapping_request how{.allowed = read_only ? protection::read : protection::read_write,
                      .no_reserve = no_reserve,
                      .at = page_at(region, 0),
                      .with = with,
                      .offset = offset * frames_};
  if (!is_anonymous) {
    how.source = find(name);
    if (how.source == nullptr) return "ENOENT";
  }
  if (process.space->maps_any(*how.at, pages * frames_)) return "EEXIST";
  const auto mapped = is_anonymous ? pool_.map_anonymous(ctx_, *process.space, pages * frames_, how)
                                   : process.space->mmap(ctx_, pages * frames_, how);
  if (!mapped) return errno_of(mapped.error());
  process.lengths[region] = std::max(process.lengths[region], pages);
  return "ok";
}

std::string hugetlb_run::touch(field_cursor& in, address_space& space, std::uint64_t step) {
  const auto where = read_range(in, true);
  const auto how = in.word();
  if (!in.ok()) return {};
  const auto page = page_at(where.region, where.first);
  if (how == "w") return result_of(space.write(ctx_, page, step));
  const auto content = space.read(ctx_, page);
  return content ? fmt::format("ok={}", *content) : errno_of(content.error());
}

std::string hugetlb_run::fork(field_cursor& in, process_record& parent) {
  auto& child = processes_[in.number<std::size_t>(0, most_processes - 1)];
  if (!in.ok()) return {};
  if (child.space != nullptr) return "busy";
  const auto made = parent.space->fork(ctx_);
  if (!made) return errno_of(made.error());
  child = {*made, parent.lengths};
  return "ok";
}

std::string hugetlb_run::describe() const {
  const auto& c = pool_.counts();
  auto text = fmt::format(" | nr={} free={} resv={} surp={} oc={}", c.total, c.free, c.reserved,
                          c.surplus, c.overcommit);
  for (std::size_t i = 0; i < mounts_.size(); ++i) {
    if (mounts_[i] == nullptr) continue;
    const auto& limits = mounts_[i]->limits().limits();
    const auto used = mounts_[i]->limits().used();
    const auto shown = [&](std::uint64_t taken) {
      if (limits.most) return static_cast<std::int64_t>(*limits.most - taken);
      return std::int64_t{limits.least ? -1 : 0};
    };
    text += fmt::format(" | fs{} {} {}", i, shown(0), shown(used));
  }
  for (std::size_t p = 0; p < processes_.size(); ++p) {
    for (std::size_t r = 0; processes_[p].space != nullptr && r < regions; ++r) {
      if (processes_[p].lengths[r] == 0) continue;
      text += fmt::format(" | p{} r{}", p, r);
      for (std::uint64_t i = 0; i < processes_[p].lengths[r]; ++i) {
        const auto page = processes_[p].space->translate(page_at(r, i));
        text += page ? fmt::format(" {}/{}", vm_.content(*page), vm_.pages().mapcount(*page))
                     : std::string{" -"};
      }
    }
  }
  return text;
}

}  // namespace memsim::testing
