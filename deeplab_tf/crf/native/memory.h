// Memory that outlives a call: a fresh page costs more than the work done on it, so blocks are handed on.
#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace crf {

class Pool {
 public:
  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { release_idle(); }

  // A block of at least `bytes`; sizes are powers of two, what is never touched takes no memory. Throws std::bad_alloc, and
  // has then changed nothing.
  void* take(size_t bytes, size_t* size) {
    *size = kAlignment;
    while (*size < bytes) *size *= 2;
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = free_.find(*size);
    void* block;
    if (found != free_.end()) {
      block = found->second;
      free_.erase(found);
      idle_ -= *size;
      count_in(*size);
    } else {
      block = fresh(*size);
      count_in(*size);
      trim();
    }
    return block;
  }

  size_t in_use() {
    std::lock_guard<std::mutex> lock(mutex_);
    return in_use_;
  }

  // Takes a block back.
  void give(void* block, size_t size) {
    std::lock_guard<std::mutex> lock(mutex_);
    in_use_ -= size;
    try {
      free_.emplace(size, block);
      idle_ += size;
    } catch (const std::bad_alloc&) {  // no room to remember it
      ::operator delete(block, std::align_val_t(kAlignment));
    }
    trim();
  }

 private:
  void count_in(size_t size) {
    in_use_ += size;
    peak_ = std::max(peak_, in_use_);
  }

  void* fresh(size_t size) {
    void* block = ::operator new(size, std::align_val_t(kAlignment), std::nothrow);
    if (!block) {  // idle blocks may be in the way
      release_idle();
      block = ::operator new(size, std::align_val_t(kAlignment));
    }
#if defined(__linux__)
    if (size >= (size_t(1) << 22)) madvise(block, size, MADV_HUGEPAGE);
#endif
    return block;
  }

  void release_idle() {
    for (auto& block : free_) ::operator delete(block.second, std::align_val_t(kAlignment));
    free_.clear();
    idle_ = 0;
  }

  // Lets go of idle blocks, so that no more is held than was once in use at a time.
  void trim() {
    while (!free_.empty() && in_use_ + idle_ > peak_) {
      auto block = free_.lower_bound(in_use_ + idle_ - peak_);
      if (block == free_.end()) --block;
      idle_ -= block->first;
      ::operator delete(block->second, std::align_val_t(kAlignment));
      free_.erase(block);
    }
  }

  static constexpr size_t kAlignment = size_t(1) << 16;
  std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  size_t in_use_ = 0, idle_ = 0, peak_ = 0;
};

template <class T> class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release(); }
  // `skew` shifts the start by so many cache lines: rows of the same number in two buffers should not share the low
  // 12 bits of their address, or loads from one wait for stores to the other.
  void allocate(Pool& pool, size_t count, size_t skew = 0) {
    release();
    pool_ = &pool;
    block_ = pool.take((count + 8) * sizeof(T) + skew * 64, &bytes_);
    data_ = reinterpret_cast<T*>(static_cast<char*>(block_) + skew * 64);
  }
  void release() {
    if (block_) pool_->give(block_, bytes_);
    block_ = nullptr;
    data_ = nullptr;
  }
  void swap(Buffer& other) {
    std::swap(pool_, other.pool_);
    std::swap(block_, other.block_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  T* data() const { return data_; }
  T& operator[](size_t i) const { return data_[i]; }

 private:
  Pool* pool_ = nullptr;
  void* block_ = nullptr;
  T* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace crf
