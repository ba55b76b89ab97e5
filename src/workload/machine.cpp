// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/machine.hpp>

#include <new>
#include <system_error>

#include <memsim/workload/synthesis.hpp>

#include "core/read_file.hpp"

namespace memsim {
namespace {

// Traces are replayed on these machines, and a trace has what came of the slow path in it: the
// pages that were freed, and the requests that were made again.

std::unexpected<error> too_large() {
  return fail(errc::unsupported, "this host has not the memory to simulate the machine");
}

std::expected<page_allocator, error> boot(page_allocator_config config,
                                          const machine_options& options) {
  if (options.profile) config.profile = *options.profile;
  config.settings.slow_path = rule::off;
  try {
    return page_allocator{config};
  } catch (const usage_error& e) {
    // The configuration came from a file: what is wrong with it is no bug of the caller.
    return fail(errc::inconsistent, "{}", e.what());
  } catch (const std::bad_alloc&) {
    return too_large();
  }
}

std::expected<page_allocator, error> take_over(const machine_description& machine,
                                               const machine_options& options) try {
  const auto profile = options.profile.value_or(machine.profile());
  auto state = synthesise(machine, profile, options.seed, options.hints);
  if (!state) return std::unexpected{std::move(state).error()};
  return page_allocator::restore(*state, profile, {.slow_path = rule::off});
} catch (const std::bad_alloc&) {
  return too_large();
}

// Which of the two kinds of file it is, its name alone says.
error with_hint(const error& e, const std::filesystem::path& path) {
  std::error_code ignored;
  if (e.code() != errc::malformed || !std::filesystem::is_regular_file(path, ignored)) return e;
  return {e.code(),
          fmt::format("{} (read as a captured zoneinfo: names of TOML files end in `.toml`)", e)};
}

}  // namespace

std::expected<machine_source, error> load_machine(const std::filesystem::path& path) {
  if (path.extension() != ".toml") {
    auto machine = load_capture(path);
    if (!machine) return std::unexpected{with_hint(machine.error(), path)};
    return machine_source{std::move(*machine)};
  }
  const auto text = detail::read_file(path);
  if (!text) return std::unexpected{text.error()};
  auto config = parse_machine(*text, path.string());
  if (!config) return std::unexpected{std::move(config).error()};
  return machine_source{std::move(*config)};
}

std::expected<page_allocator, error> make_machine(const machine_source& source,
                                                  const machine_options& options) {
  if (const auto* config = std::get_if<page_allocator_config>(&source)) {
    return boot(*config, options);
  }
  return take_over(std::get<machine_description>(source), options);
}

}  // namespace memsim
