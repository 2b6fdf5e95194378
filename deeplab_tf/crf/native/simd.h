// Eight floats at a time, written once: GCC and Clang vector types, or a plain array where neither is the compiler.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define CRF_INLINE inline __attribute__((always_inline))
#define CRF_UNROLL _Pragma("GCC unroll 8")
#define CRF_PREFETCH(address) __builtin_prefetch(address)
#if defined(__clang__) || __GNUC__ >= 12
#define CRF_SHUFFLE __builtin_shufflevector
#endif
#else
#define CRF_INLINE inline
#define CRF_UNROLL
#define CRF_PREFETCH(address)
#endif

namespace crf {

constexpr int kLanes = 8;

#if (defined(__GNUC__) || defined(__clang__)) && !defined(CRF_PLAIN_VECTORS)  // the macro tries the other branch
typedef float Vec __attribute__((vector_size(32)));
typedef int32_t IntVec __attribute__((vector_size(32)));
#else
#undef CRF_SHUFFLE
template <class T> struct Eight {
  T x[kLanes];
  T& operator[](int i) { return x[i]; }
  T operator[](int i) const { return x[i]; }
};
typedef Eight<float> Vec;
typedef Eight<int32_t> IntVec;
#define CRF_BINARY(type, op)                                                         \
  inline type operator op(const type& a, const type& b) {                            \
    type r;                                                                          \
    for (int i = 0; i < kLanes; ++i) r.x[i] = a.x[i] op b.x[i];                      \
    return r;                                                                        \
  }                                                                                  \
  inline type& operator op##=(type& a, const type& b) { return a = a op b; }
CRF_BINARY(Vec, +) CRF_BINARY(Vec, -) CRF_BINARY(Vec, *) CRF_BINARY(Vec, /)
CRF_BINARY(IntVec, +) CRF_BINARY(IntVec, -) CRF_BINARY(IntVec, *) CRF_BINARY(IntVec, &) CRF_BINARY(IntVec, |)
#undef CRF_BINARY
#define CRF_COMPARE(op)                                                              \
  inline IntVec operator op(const Vec& a, const Vec& b) {                            \
    IntVec r;                                                                        \
    for (int i = 0; i < kLanes; ++i) r.x[i] = a.x[i] op b.x[i] ? -1 : 0;             \
    return r;                                                                        \
  }
CRF_COMPARE(<) CRF_COMPARE(>)
#undef CRF_COMPARE
#endif

// Denormal numbers cost a hundred cycles each and the beliefs are full of them: flush them to zero while this lives.
class FlushDenormals {
 public:
#if defined(__SSE2__) || defined(_M_X64)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"(saved_ | (uint64_t(1) << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }

 private:
  uint64_t saved_;
#else
  FlushDenormals() {}
#endif
};

}  // namespace crf
