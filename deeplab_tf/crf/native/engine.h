// Mean field inference in a dense CRF with two Gaussian kernels (section 3.3 of the paper).
#pragma once
#include <cstdint>
#include <memory>
#include "filter.h"

namespace crf {

enum class Normalization { kSymmetric, kAfter, kBefore, kNone };

// The kernels of one picture: lattices and normalisation, without their weights. Usable from several threads at once.
class Kernels {
 public:
  Kernels(const uint8_t* image, int height, int width, float sigma_alpha, float sigma_beta, float sigma_gamma,
          Normalization normalization, int threads, std::shared_ptr<Pool> pool);

  struct Request {
    const float* values = nullptr;         // [pixels, classes]
    bool probabilities = true;             // or unary energies
    int classes = 0;
    float w1 = 0, w2 = 0;
    int iterations = 0;
    const float* compatibility = nullptr;  // [classes, classes] or nullptr: Potts
    float* beliefs = nullptr;              // [pixels, classes]
    float* score_trace = nullptr;          // [iterations + 1, pixels, classes] or nullptr, with belief_trace
    float* belief_trace = nullptr;
  };
  // False where a probability is NaN, negative or above 1.001; the output is then undefined.
  bool infer(const Request& request) const;

  int threads() const { return threads_; }
  size_t points(int kernel) const { return side_[kernel].lattice.points; }

 private:
  struct Side {
    Lattice lattice;
    Buffer<float> norm;                    // [positions], unless there is no normalisation
  };
  void normalise(Side& side, Buffer<float>& rows, int thread, Team& team);

  std::shared_ptr<Pool> pool_;             // first in, last out: the buffers below return their blocks to it
  int threads_;
  Walk walk_;
  Normalization normalization_;
  Side side_[2];                           // bilateral, position
};

}  // namespace crf
