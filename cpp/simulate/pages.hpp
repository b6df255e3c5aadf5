// A row of things that grows by pages: none moves, and none is held twice while it grows.
#pragma once
#include <memory>
#include <vector>

#include "simulate/records.hpp"

namespace tokenroof::simulate {

template <class T> class Pages {
  public:
    T& operator[](i32 k) { return pages_[static_cast<std::size_t>(k) / page][static_cast<std::size_t>(k) % page]; }
    const T& operator[](i32 k) const {
        return pages_[static_cast<std::size_t>(k) / page][static_cast<std::size_t>(k) % page];
    }
    i32 size() const { return size_; }
    // One more, at the end.
    T& add() {
        if (static_cast<std::size_t>(size_) == pages_.size() * page) pages_.push_back(std::make_unique<T[]>(page));
        return (*this)[size_++];
    }

  private:
    static constexpr std::size_t page = 256;
    std::vector<std::unique_ptr<T[]>> pages_;
    i32 size_ = 0;
};

} // namespace tokenroof::simulate
