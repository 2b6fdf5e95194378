// Mean field inference in a dense CRF with Gaussian kernels (section 3.3 of the paper).
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>
#include "filter.h"

namespace crf {

enum class Normalization { kSymmetric, kAfter, kBefore, kNone };

// The kernels over one set of samples: lattices and normalisation, without their weights. Usable from several threads at
// once.
class Kernels {
 public:
  struct Kind {
    Features features;
    Normalization normalization = Normalization::kSymmetric;
  };
  // `walk` gives the samples' order, as many threads as it has stretches. What the features point to is read here only.
  // Where more than `memory_limit` bytes would be needed, here or later, std::invalid_argument tells so instead.
  Kernels(Walk walk, const std::vector<Kind>& kinds, std::shared_ptr<Pool> pool, double memory_limit);

  struct Term {                            // what one kernel adds to the energy
    float weight = 0;
    const float* cost = nullptr;           // nullptr: Potts
    bool diagonal = false;                 // cost is [classes] instead of [classes, classes]
  };
  struct Request {
    const float* values = nullptr;         // [pixels, classes]
    bool probabilities = true;             // or unary energies
    int classes = 0;
    std::vector<Term> terms;               // one for each kernel
    int iterations = 0;
    double prune = 0;                      // share of a pixel's probability that leaving classes out may move
    const float* start = nullptr;          // [pixels, classes] beliefs to go on from, or nullptr: the values'
    float* beliefs = nullptr;              // [pixels, classes]
    float* score_trace = nullptr;          // [iterations + 1, pixels, classes] or nullptr, with belief_trace
    float* belief_trace = nullptr;
  };
  // False where a probability is NaN, negative or above 1.001; the output is then undefined.
  bool infer(const Request& request) const;

  // The normalised matrix of one kernel, or its transpose, times values [pixels, channels].
  void filter(int kernel, const float* values, int channels, bool transpose, float* result) const;

  // Factors [pixels] that the kernel's normalisation applies; false where there is none.
  bool read_norm(int kernel, float* norm) const;

  int count() const { return int(sides_.size()); }
  size_t pixels() const { return walk_.pixel.size(); }
  float reach(int kernel) const;           // largest row sum of the normalised matrix
  size_t points(int kernel) const { return sides_[kernel].lattice.points; }

 private:
  struct Side {
    Lattice lattice;
    Normalization normalization;
    Buffer<float> norm;                    // [positions], unless there is no normalisation
    mutable std::once_flag measured;
    mutable float reach = 0;               // once measured
  };
  void normalise(Side& side, Buffer<float>& rows, int thread, Team& team);
  bool choose_classes(const Request& request, std::vector<int32_t>& columns) const;
  Kernel kernel_of(const Side& side, bool transpose) const;

  // rows: [rows, channels] floats of all buffers together; maps: [pixels, classes] ones of the caller.
  void check_memory(double row_floats, double maps, int classes) const;

  std::shared_ptr<Pool> pool_;             // first in, last out: the buffers below return their blocks to it
  Walk walk_;
  int threads_;
  double memory_limit_;
  double built_ = 0;                       // bytes of the lattices
  std::deque<Side> sides_;
};

// A lattice's bytes a sample while it is built, at most about.
double building_bytes(int dims);

int usable_threads(int threads, size_t pixels, size_t parts);

}  // namespace crf
