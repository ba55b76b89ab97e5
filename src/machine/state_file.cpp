// SPDX-License-Identifier: Apache-2.0
// A machine in a file:
//
//     "memsim machine\n"     what the file is
//     version                4 bytes, the lowest first
//     length                 8 bytes, of what follows the checksum
//     checksum               4 bytes: CRC-32 of that
//     the machine            see describe.hpp
#include <algorithm>
#include <cerrno>
#include <fstream>
#include <istream>
#include <limits>
#include <ostream>
#include <sstream>
#include <system_error>

#include <boost/crc.hpp>

#include "core/read_file.hpp"
#include "machine/describe.hpp"
#include "machine/parts.hpp"

namespace memsim {
namespace {

constexpr std::string_view magic = "memsim machine\n";
constexpr std::uint32_t version = 5;
constexpr std::size_t header_size = magic.size() + 4 + 8 + 4;

struct saved_cpu {
  work done{};
  std::uint64_t charged = 0;  // ns
};

template <class Archive>
void describe(Archive& a, saved_cpu& c) {
  a(c.done, c.charged);
}

// What a file holds.
struct saved_machine {
  machine_config config{};
  allocator_state memory{};
  direct_map_state map{};
  std::vector<saved_cpu> cpus{};
  std::uint64_t now = 0;  // ns
};

template <class Archive>
void describe(Archive& a, saved_machine& m) {
  auto& c = m.config;
  a(c.memory, c.cpus, c.cpu, c.nested, c.profile, c.settings, c.movable_zone, c.cma_areas,
    c.largest_mapping, c.flush_ceiling, c.seed, m.memory, m.map, m.cpus, m.now);
}

constexpr std::uint64_t latest = std::numeric_limits<std::int64_t>::max();

std::uint64_t nanoseconds_of(sim_time t) {
  return static_cast<std::uint64_t>(t.time_since_epoch().count());
}

template <std::unsigned_integral T>
void put(std::string& text, T number) {
  for (unsigned i = 0; i < sizeof(T); ++i) text += static_cast<char>(number >> (8 * i) & 0xff);
}

template <std::unsigned_integral T>
T get(std::string_view text) {
  T number = 0;
  for (unsigned i = 0; i < sizeof(T); ++i) {
    number |= static_cast<T>(static_cast<T>(static_cast<unsigned char>(text[i])) << (8 * i));
  }
  return number;
}

std::uint32_t checksum(std::string_view text) {
  boost::crc_32_type crc;
  crc.process_bytes(text.data(), text.size());
  return crc.checksum();
}

// The part after the header, if the file is whole.
std::expected<std::string_view, error> payload_of(std::string_view text, std::string_view name) {
  const auto begin = text.substr(0, magic.size());
  if (begin != magic.substr(0, begin.size()) || text.empty()) {
    return fail(errc::malformed, "{}: this is not a saved machine", name);
  }
  if (text.size() < header_size) {
    return fail(errc::malformed, "{}: truncated within its header", name);
  }
  text.remove_prefix(magic.size());
  const auto found = get<std::uint32_t>(text);
  if (found != version) {
    return fail(errc::unsupported, "{}: of format version {}, this is memsim for version {}", name,
                found, version);
  }
  const auto length = get<std::uint64_t>(text.substr(4));
  const auto expected = get<std::uint32_t>(text.substr(12));
  text.remove_prefix(16);
  if (text.size() < length) {
    return fail(errc::malformed, "{}: truncated, {} bytes of {} are there", name, text.size(),
                length);
  }
  if (text.size() > length) {
    return fail(errc::malformed, "{}: {} bytes after its end", name, text.size() - length);
  }
  if (checksum(text) != expected) {
    return fail(errc::malformed, "{}: damaged, its checksum is not that of its content", name);
  }
  return text;
}

}  // namespace

void machine::save(std::ostream& output) const {
  saved_machine all{config(), memory().state(), map().state(), {}, nanoseconds_of(sim().now())};
  for (unsigned i = 0; i < config().cpus; ++i) {
    const auto charged = parts_->meters[i].total().count();
    all.cpus.push_back({done(i), static_cast<std::uint64_t>(charged)});
  }
  detail::state_writer writer;
  writer(all);
  std::string header{magic};
  put(header, version);
  put(header, std::uint64_t{writer.bytes().size()});
  put(header, checksum(writer.bytes()));
  output.write(header.data(), static_cast<std::streamsize>(header.size()));
  output.write(writer.bytes().data(), static_cast<std::streamsize>(writer.bytes().size()));
}

std::expected<void, error> machine::save(const std::filesystem::path& path) const {
  std::ofstream output{path, std::ios::binary};
  if (output) save(output);
  output.close();
  if (output) return {};
  return fail(errc::io, "{}: {}", path.string(), std::generic_category().message(errno));
}

std::expected<machine, error> machine::load(std::istream& input, std::string_view name,
                                            const merge_policy* merging) {
  std::ostringstream text;
  if (input.peek() != std::istream::traits_type::eof()) text << input.rdbuf();
  if (input.bad() || !text) return fail(errc::io, "{}: cannot read", name);
  return read(text.view(), name, merging);
}

std::expected<machine, error> machine::load(const std::filesystem::path& path,
                                            const merge_policy* merging) {
  const auto text = detail::read_file(path, std::numeric_limits<std::size_t>::max());
  if (!text) return std::unexpected{text.error()};
  return read(*text, path.string(), merging);
}

std::expected<machine, error> machine::read(std::string_view text, std::string_view name,
                                            const merge_policy* merging) {
  const auto payload = payload_of(text, name);
  if (!payload) return std::unexpected{payload.error()};
  saved_machine all;
  detail::state_reader reader{*payload};
  reader(all);
  if (!reader.ok() || !reader.at_end() || all.cpus.size() != all.config.cpus || all.now > latest) {
    return fail(errc::malformed, "{}: its content is not that of a machine", name);
  }
  all.config.merging = merging;
  try {
    auto made = parts::restore(all.config, all.memory, all.map);
    if (!made) return fail(made.error().code(), "{}: {}", name, made.error());
    for (std::size_t i = 0; i < all.cpus.size(); ++i) {
      const auto& [done, charged] = all.cpus[i];
      (*made)->cpus[i].done = done;
      // Charged before, that is: what it did since is still to pay.
      (*made)->meters[i].resume(std::chrono::nanoseconds{std::min(charged, latest)});
    }
    (*made)->sim.run_until(sim_time{sim_duration{static_cast<std::int64_t>(all.now)}});
    return machine{std::move(*made)};
  } catch (const usage_error& e) {
    return fail(errc::inconsistent, "{}: {}", name, e.what());
  }
}

}  // namespace memsim
