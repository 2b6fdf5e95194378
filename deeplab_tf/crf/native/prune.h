// Which classes take part in the filtering.
#pragma once
#include <cstdint>
#include <vector>

namespace crf {

// Classes that must be filtered so that leaving the others out puts at most `tolerance` of a pixel's probability wrongly in
// one iteration, ascending; none: all of them, as leaving some out would save nothing. The bound is derived in
// `deeplab_tf/crf/dense_crf.py`.
// peaks: each class's largest probability in the picture; reach: the most that a message can be when all beliefs are 1.
std::vector<int32_t> contenders(const std::vector<float>& peaks, double reach, double tolerance);

}  // namespace crf
