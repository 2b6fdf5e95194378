// The filter in the instruction set that the compiler targets anyway (SSE2 on x86-64, NEON on arm64).
#include "filter.h"

namespace crf {
namespace baseline {
#include "filter.inl"
}

const Filter& baseline_filter() {
  static const Filter filter{"baseline", baseline::kScratchRows, baseline::read, baseline::peaks, baseline::blur, baseline::pixels};
  return filter;
}

const Filter& best_filter() { return supports_avx2() ? avx2_filter() : baseline_filter(); }

}  // namespace crf
