// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Plain data to bytes and back.
///
/// One function for each type, describe(), names its members; a writer and a reader walk it alike,
/// so that what is written is what is read. Numbers take as many bytes as they need, seven bits a
/// byte. What is read may be anything: nothing that does not fit is let in, and the first such
/// thing ends the reading.

#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <memsim/core/types.hpp>

namespace memsim::detail {

/// The last value of an enumeration whose values are 0 to that one; specialised beside describe().
/// No default: with one, an enumeration that was forgotten could be written but not read.
template <class Enum>
struct last_value_of;

class state_writer {
 public:
  template <class... T>
  void operator()(T&... members) {
    (put(members), ...);
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void put_number(std::uint64_t value) {
    for (; value > 0x7f; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  template <class T>
  void put(T& value) {
    if constexpr (std::is_enum_v<T> || std::unsigned_integral<T>) {
      put_number(static_cast<std::uint64_t>(value));
    } else if constexpr (std::signed_integral<T>) {
      // The sign goes into the lowest bit: small numbers are short on both sides of zero.
      const auto wide = static_cast<std::int64_t>(value);
      put_number((static_cast<std::uint64_t>(wide) << 1) ^ static_cast<std::uint64_t>(wide >> 63));
    } else {
      describe(*this, value);
    }
  }
  void put(std::string& text) {
    put_number(text.size());
    bytes_ += text;
  }
  template <class T>
  void put(std::vector<T>& items) {
    put_number(items.size());
    for (auto& item : items) put(item);
  }
  template <class T, std::size_t N>
  void put(std::array<T, N>& items) {
    for (auto& item : items) put(item);
  }
  template <class T>
  void put(std::optional<T>& maybe) {
    put_number(maybe ? 1 : 0);
    if (maybe) put(*maybe);
  }

  std::string bytes_;
};

class state_reader {
 public:
  explicit state_reader(std::string_view bytes) : rest_{bytes} {}

  template <class... T>
  void operator()(T&... members) {
    (get(members), ...);
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  void refuse() {
    ok_ = false;
    rest_ = {};
  }

 private:
  std::uint64_t get_number(std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      const std::uint64_t bits = byte & 0x7f;
      if (shift == 63 && bits > 1) break;
      value |= bits << shift;
      if ((byte & 0x80) == 0) {
        if (value > most) break;
        return value;
      }
    }
    refuse();
    return 0;
  }

  template <class T>
  void get(T& value) {
    if constexpr (std::same_as<T, bool>) {
      value = get_number(1) == 1;
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(get_number(last_value_of<T>::value));
    } else if constexpr (std::unsigned_integral<T>) {
      value = static_cast<T>(get_number(std::numeric_limits<T>::max()));
    } else if constexpr (std::signed_integral<T>) {
      const auto number = get_number();
      const auto wide = static_cast<std::int64_t>((number >> 1) ^ (~(number & 1) + 1));
      if (!std::in_range<T>(wide)) return refuse();
      value = static_cast<T>(wide);
    } else {
      describe(*this, value);
    }
  }
  // Each item takes a byte at least, so that no length can ask for more than the file is worth.
  std::size_t get_size() { return static_cast<std::size_t>(get_number(rest_.size())); }
  void get(std::string& text) {
    const auto size = get_size();
    if (size > rest_.size()) return refuse();
    text = rest_.substr(0, size);
    rest_.remove_prefix(size);
  }
  template <class T>
  void get(std::vector<T>& items) {
    const auto size = get_size();
    items.clear();
    for (std::size_t i = 0; i < size && ok_; ++i) get(items.emplace_back());
  }
  template <class T, std::size_t N>
  void get(std::array<T, N>& items) {
    for (auto& item : items) get(item);
  }
  template <class T>
  void get(std::optional<T>& maybe) {
    maybe.reset();
    if (get_number(1) == 1) get(maybe.emplace());
  }

  std::string_view rest_;
  bool ok_ = true;
};

/// A type that holds one number.
template <class Archive, class T>
void describe_number(Archive& archive, T& value) {
  std::uint64_t number = value.value();
  archive(number);
  if (number != value.value()) value = T{number};
}

template <class Archive>
void describe(Archive& archive, pfn& value) {
  describe_number(archive, value);
}
template <class Archive>
void describe(Archive& archive, bytes& value) {
  describe_number(archive, value);
}
template <class Archive>
void describe(Archive& archive, order& value) {
  auto number = static_cast<std::uint8_t>(value.value());
  archive(number);
  if constexpr (requires { archive.refuse(); }) {
    if (number >= 64) return archive.refuse();
  }
  value = order{number};
}

}  // namespace memsim::detail
