// SPDX-License-Identifier: Apache-2.0
// Source: the PNG specification (ISO/IEC 15948), RFC 1950 (zlib) and RFC 1951 (deflate).
#include "metrics/png.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <memsim/core/error.hpp>

namespace memsim::detail {
namespace {

std::string big_endian(std::uint32_t number) {
  return {static_cast<char>(number >> 24), static_cast<char>(number >> 16),
          static_cast<char>(number >> 8), static_cast<char>(number)};
}

std::uint32_t crc32_of(std::string_view data) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

std::uint32_t adler32_of(std::string_view data) {
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  for (const char c : data) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

std::string chunk(std::string_view type, std::string_view data) {
  const std::string body = std::string{type}.append(data);
  return big_endian(static_cast<std::uint32_t>(data.size())) + body + big_endian(crc32_of(body));
}

/// Bits from the lowest of a byte to its highest, as deflate packs them.
class bit_writer {
 public:
  void bits(std::uint32_t value, unsigned count) {
    for (unsigned i = 0; i < count; ++i) bit(value >> i & 1);
  }
  /// Huffman codes go from their highest bit to their lowest.
  void code(std::uint32_t value, unsigned count) {
    for (unsigned i = count; i-- > 0;) bit(value >> i & 1);
  }
  [[nodiscard]] std::string bytes() const { return bytes_; }

 private:
  void bit(std::uint32_t value) {
    if (used_ == 0) bytes_.push_back(0);
    bytes_.back() = static_cast<char>(bytes_.back() | static_cast<char>(value << used_));
    used_ = (used_ + 1) % 8;
  }

  std::string bytes_;
  unsigned used_ = 0;
};

// The largest entry that is not above the number: lengths and distances are said as such an entry
// and a few bits more.
template <std::size_t N>
unsigned entry_of(const std::array<std::uint16_t, N>& table, unsigned number) {
  return static_cast<unsigned>(std::ranges::upper_bound(table, number) - table.begin()) - 1;
}

constexpr std::array<std::uint16_t, 29> first_lengths{3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                                      15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                                      67, 83, 99, 115, 131, 163, 195, 227, 258};
constexpr std::array<std::uint16_t, 30> first_distances{
    1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
    193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};

constexpr unsigned shortest_match = 3;
constexpr unsigned longest_match = 258;
constexpr unsigned end_of_block = 256;

/// Deflate's fixed code.
class deflate_writer {
 public:
  deflate_writer() {
    out_.bits(1, 1);  // the last block
    out_.bits(1, 2);  // of the fixed code
  }
  void literal(std::uint8_t byte) { symbol(byte); }
  void match(unsigned length, unsigned distance) {
    const unsigned l = entry_of(first_lengths, length);
    symbol(257 + l);
    if (l >= 8 && l < 28) out_.bits(length - first_lengths[l], (l / 4) - 1);
    const unsigned d = entry_of(first_distances, distance);
    out_.code(d, 5);
    if (d >= 4) out_.bits(distance - first_distances[d], (d / 2) - 1);
  }
  [[nodiscard]] std::string finish() {
    symbol(end_of_block);
    return out_.bytes();
  }

 private:
  void symbol(unsigned s) {
    if (s < 144) {
      out_.code(0x30 + s, 8);
    } else if (s < 256) {
      out_.code(0x190 + s - 144, 9);
    } else if (s < 280) {
      out_.code(s - 256, 7);
    } else {
      out_.code(0xc0 + s - 280, 8);
    }
  }

  bit_writer out_;
};

unsigned match_length(std::string_view data, std::size_t at, std::size_t distance) {
  if (distance > at) return 0;
  unsigned length = 0;
  while (length < longest_match && at + length < data.size() &&
         data[at + length] == data[at + length - distance]) {
    ++length;
  }
  return length;
}

std::string zlib_of(std::string_view data, unsigned stride) {
  deflate_writer out;
  for (std::size_t at = 0; at < data.size();) {
    const unsigned repeats = match_length(data, at, 1);
    const unsigned as_above = match_length(data, at, stride);
    const unsigned length = std::max(repeats, as_above);
    if (length < shortest_match) {
      out.literal(static_cast<std::uint8_t>(data[at++]));
    } else {
      out.match(length, repeats == length ? 1 : stride);
      at += length;
    }
  }
  // 32 KiB window, no dictionary.
  return "\x78\x01" + out.finish() + big_endian(adler32_of(data));
}

// Each row after a byte that says it is not filtered.
std::string rows_of(std::span<const std::uint8_t> pixels, std::uint32_t width) {
  std::string rows;
  rows.reserve(pixels.size() + pixels.size() / width);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    if (i % width == 0) rows.push_back(0);
    rows.push_back(static_cast<char>(pixels[i]));
  }
  return rows;
}

constexpr std::uint32_t widest = 32'000;  // a row fits deflate's window

}  // namespace

std::string png_of(std::span<const std::uint8_t> pixels, std::uint32_t width,
                   std::span<const rgba> palette) {
  if (width == 0 || width > widest || pixels.empty() || pixels.size() % width != 0 ||
      palette.empty() || palette.size() > 256) {
    throw_usage("a picture of {} pixels in rows of {}, with {} colours", pixels.size(), width,
                palette.size());
  }
  std::string colours;
  std::string alphas;
  for (const auto& c : palette) {
    colours += {static_cast<char>(c.red), static_cast<char>(c.green), static_cast<char>(c.blue)};
    alphas += static_cast<char>(c.alpha);
  }
  const auto height = static_cast<std::uint32_t>(pixels.size() / width);
  // 8 bits, colours by number, deflate, no filters, not interlaced.
  const auto header = big_endian(width) + big_endian(height) + std::string{"\x08\x03\0\0\0", 5};
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunk("PLTE", colours) +
         chunk("tRNS", alphas) + chunk("IDAT", zlib_of(rows_of(pixels, width), width + 1)) +
         chunk("IEND", "");
}

std::string base64_of(std::string_view data) {
  static constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < data.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (i + k < data.size() ? static_cast<unsigned char>(data[i + k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text += i + k <= data.size() ? digits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

}  // namespace memsim::detail
