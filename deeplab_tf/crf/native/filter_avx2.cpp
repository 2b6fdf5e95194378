// The same for x86-64 with AVX2 and fused multiply-add (2013 on). Every standard header is read before the switch, so
// that no shared inline function is compiled with instructions another processor lacks.
#include "filter.h"

#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#pragma clang fp contract(fast)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace crf {
namespace avx2 {
#define CRF_LARGER(a, b) Vec(_mm256_max_ps(__m256(a), __m256(b)))
#include "filter.inl"
#undef CRF_LARGER
}
}  // namespace crf
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace crf {
bool supports_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
const Filter& avx2_filter() {
  static const Filter filter{"avx2", avx2::kScratchRows, avx2::read, avx2::peaks, avx2::blur, avx2::pixels};
  return filter;
}
}  // namespace crf

#else

namespace crf {
bool supports_avx2() { return false; }
const Filter& avx2_filter() { return baseline_filter(); }
}  // namespace crf

#endif
