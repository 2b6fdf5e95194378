// A few threads that run one function together and meet at barriers; an exception in one ends them all.
#pragma once
#include <atomic>
#include <condition_variable>
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
        std::lock_guard<std::mutex> lock(mutex_);
        turn_.fetch_add(1, std::memory_order_release);
        changed_.notify_all();
      } else {
        wait(turn);
      }
    }
    if (stop_.load()) throw Stopped();
  }

 private:
  struct Stopped {};
  // Spins for some 50 microseconds, about what waking up would take, then sleeps: where others work on the machine, time
  // spent spinning is taken from the work that comes after.
  void wait(unsigned turn) {
    for (int spins = 0; spins < 20000; ++spins)
      if (turn_.load(std::memory_order_acquire) != turn || stop_.load(std::memory_order_relaxed)) return;
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return turn_.load(std::memory_order_acquire) != turn || stop_.load(); });
  }
  void fail(std::exception_ptr error) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!error_) error_ = error;
    stop_.store(true);
    changed_.notify_all();
  }
  const int size_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> turn_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::exception_ptr error_;
};

struct Range {
  size_t begin, end;
};

inline Range share(size_t count, int thread, int threads) {
  return {count * thread / threads, count * (thread + 1) / threads};
}

}  // namespace crf
