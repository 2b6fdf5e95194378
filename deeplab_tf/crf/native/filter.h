// What one thread does to the rows of a lattice, compiled once per instruction set (filter_*.cpp) and chosen at run time.
#pragma once
#include "lattice.h"

namespace crf {

// One kernel in the middle of inference: rows of `vectors` Vecs.
struct Kernel {
  const Lattice* lattice = nullptr;
  float weight = 0;                // multiplies the message
  const float* cost = nullptr;     // nullptr: Potts, or the compatibility in rows of `channels`
  bool diagonal = false;           // cost is one row, the cost of each label beside itself; else [classes, channels], row l'
                                   // being column l' of the matrix
  const float* before = nullptr;   // [positions] normalisation in front of the filter, or nullptr: 1
  const float* after = nullptr;    // [positions] behind it, or nullptr: 1
  float* filtered = nullptr;       // [rows, channels] that the last iteration left
  float* splat = nullptr;          // [rows, channels] to add into, cleared
};

struct PixelPass {
  const Walk* walk = nullptr;
  const Kernel* kernels = nullptr;
  int kernel_count = 0;
  int classes = 0, vectors = 0;    // vectors = classes / 8 rounded up
  const float* logits = nullptr;   // [positions, channels] -unary, -1e30 in the padding; nullptr: zeros
  const float* start = nullptr;    // [pixels, classes] to splat instead of the softmax of the logits
  bool slice = false, splat = false;
  float* beliefs = nullptr;        // [pixels, classes] or nullptr
  float* scores = nullptr;         // [pixels, classes] or nullptr
};

struct Filter {
  const char* name;
  size_t scratch_rows;               // that `pixels` needs
  // probabilities [pixels, classes] -> logits; false where one is NaN, negative or above 1.001.
  bool (*read_probabilities)(const Walk&, const float* probabilities, int classes, int vectors, float* logits,
                             Range positions);
  void (*read_unary)(const Walk&, const float* unary, int classes, int vectors, float* logits, Range positions);
  // One axis of the blur over `points`; `vectors` 0 means rows of one float.
  void (*blur)(const Lattice&, int axis, const float* from, float* to, int vectors, Range points);
  // Slice, update, softmax and splat of each position; Q stays in registers.
  void (*pixels)(const PixelPass&, Range positions, float* scratch);
};

const Filter& baseline_filter();
const Filter& avx2_filter();       // only where supports_avx2()
bool supports_avx2();
const Filter& best_filter();

constexpr float kPadding = -1e30f;

}  // namespace crf
