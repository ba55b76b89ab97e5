// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A large array of zeroes that costs only what is touched.

#include <cstddef>
#include <type_traits>
#include <utility>

namespace memsim::detail {

/// Zero-filled bytes, taken from the operating system page by page as they are first written.
/// \throws std::bad_alloc if the address space cannot be had
[[nodiscard]] void* map_zero_pages(std::size_t size);
void unmap_zero_pages(void* address, std::size_t size) noexcept;

/// A fixed number of trivially copyable elements, all zero at first.
///
/// Not copyable: who knows which parts were touched copies those.
template <class T>
class lazy_array {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  lazy_array() = default;
  explicit lazy_array(std::size_t size)
      : data_{static_cast<T*>(map_zero_pages(size * sizeof(T)))}, size_{size} {}
  lazy_array(lazy_array&& other) noexcept
      : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}
  lazy_array& operator=(lazy_array&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~lazy_array() {
    if (data_ != nullptr) unmap_zero_pages(data_, size_ * sizeof(T));
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] T* data() { return data_; }
  [[nodiscard]] const T* data() const { return data_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace memsim::detail
