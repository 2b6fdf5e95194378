#include "prune.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "simd.h"

namespace crf {

namespace {

// What leaving out the messages of a class with this peak takes from a pixel's sum, at most, as a share of it.
double error_of(double peak, double reach) {
  if (!(peak * reach * std::exp(1.0) < 1)) return INFINITY;  // it may rise
  double most = peak;
  for (int i = 0; i < 100; ++i) most = peak * std::exp(reach * most);
  return peak * std::expm1(reach * most);
}

}  // namespace

std::vector<int32_t> contenders(const std::vector<float>& peaks, double reach, double tolerance) {
  std::vector<int32_t> order(peaks.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return peaks[a] < peaks[b]; });
  size_t dropped = 0;
  for (double error = 0; dropped + 1 < order.size(); ++dropped) {
    error += error_of(peaks[order[dropped]], reach);
    if (!(error <= tolerance)) break;
  }
  // Whole vectors are filtered: let the strongest of those left out fill the last one.
  const size_t all = order.size(), vectors = (all - dropped + kLanes - 1) / kLanes;
  if (vectors * kLanes >= all) return {};
  order.erase(order.begin(), order.begin() + (all - vectors * kLanes));
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace crf
