// A few threads that run one function together and meet at barriers; an exception in one ends them all.
#pragma once
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>
#include "simd.h"

namespace crf {

class Team {
 public:
  explicit Team(int size) : size_(size) {}
  int size() const { return size_; }

  // Calls work(thread) on every thread of the team, the caller being thread 0; rethrows what one of them threw.
  template <class Work> void run(const Work& work) {
    std::vector<std::thread> others;
    auto guarded = [&](int thread) {
      FlushDenormals flush;
      try {
        work(thread);
      } catch (const Stopped&) {
      } catch (...) {
        fail(std::current_exception());
      }
    };
    try {
      for (int thread = 1; thread < size_; ++thread) others.emplace_back(guarded, thread);
    } catch (...) {
      fail(std::current_exception());
    }
    guarded(0);
    for (auto& other : others) other.join();
    if (error_) std::rethrow_exception(error_);
  }

  void barrier() {
    if (size_ > 1) {
      unsigned turn = turn_.load(std::memory_order_acquire);
      if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
        arrived_.store(0, std::memory_order_relaxed);
        turn_.fetch_add(1, std::memory_order_release);
      } else {
        for (int spins = 0; turn_.load(std::memory_order_acquire) == turn && !stop_.load(); ++spins)
          if (spins > 4000) std::this_thread::yield();
      }
    }
    if (stop_.load()) throw Stopped();
  }

 private:
  struct Stopped {};
  void fail(std::exception_ptr error) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!error_) error_ = error;
    stop_.store(true);
  }
  const int size_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> turn_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::exception_ptr error_;
};

struct Range {
  size_t begin, end;
};

inline Range share(size_t count, int thread, int threads) {
  return {count * thread / threads, count * (thread + 1) / threads};
}

}  // namespace crf
