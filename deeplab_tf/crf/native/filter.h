// What one thread does to the rows of a lattice, compiled once per instruction set (filter_*.cpp) and chosen at run time.
#pragma once
#include "lattice.h"

namespace crf {

// The unaries as they come, and which classes take part; the others keep their unaries and get no messages.
struct Reading {
  const float* values = nullptr;     // [pixels, all]
  bool probabilities = true;         // or energies
  int all = 0;                       // classes of the picture
  int classes = 0;                   // that take part
  const int32_t* columns = nullptr;  // [classes] ascending; nullptr: all
  const int32_t* left_out = nullptr; // [all, padded to Vecs] -1 where a class takes no part, else 0
};

// One kernel in the middle of inference: rows of `vectors` Vecs.
struct Kernel {
  const Lattice* lattice = nullptr;
  float weight = 0;                // multiplies what is sliced
  const float* cost = nullptr;     // nullptr: Potts, or the compatibility in rows of `channels`
  bool diagonal = false;           // cost is one row, the cost of each label beside itself; else [classes, channels], row l'
                                   // being column l' of the matrix
  const float* before = nullptr;   // [positions] normalisation in front of the filter, or nullptr: 1
  const float* after = nullptr;    // [positions] behind it, or nullptr: 1
  float* filtered = nullptr;       // [rows, channels] that the last iteration left
  float* splat = nullptr;          // [rows, channels] to add into, cleared
};

// Scores are kept as logarithms to the base 2.
struct PixelPass {
  const Walk* walk = nullptr;
  const Kernel* kernels = nullptr;
  int kernel_count = 0;
  int classes = 0, vectors = 0;    // vectors = classes / 8 rounded up, or 0: two classes in the Potts model, in rows of one
                                   // float, their difference
  const float* logits = nullptr;   // [positions, channels] -unary, -1e30 in the padding; nullptr: zeros
  const float* rest = nullptr;     // [positions] of all classes left out together; nullptr: none is
  const float* start = nullptr;    // [pixels, classes] to splat instead of the softmax of the logits
  bool slice = false, splat = false;
  const Reading* reading = nullptr;
  float* beliefs = nullptr;        // [pixels, all] or nullptr
  float* scores = nullptr;         // [pixels, all] or nullptr
  float score_unit = 1;            // multiplies them
};

struct Filter {
  const char* name;
  size_t scratch_rows;             // that `pixels` and `peaks` need
  // -> logits, and rest where classes are left out; false where a probability is NaN, negative or above 1.001.
  bool (*read)(const Reading&, const Walk&, int vectors, float* logits, float* rest, Range positions);
  // The largest probability of each class, [vectors of all], and whether all are probabilities.
  bool (*peaks)(const Reading&, float* peaks, float* scratch, Range pixels);
  // Each row of the chains plus half of its neighbours there, in place; `vectors` 0 means rows of one float.
  void (*blur)(const int32_t* chains, const int32_t* end, float* rows, int vectors);
  // Slice, update, softmax and splat of each position.
  void (*pixels)(const PixelPass&, Range positions, float* scratch);
};

const Filter& baseline_filter();
const Filter& avx2_filter();       // only where supports_avx2()
bool supports_avx2();
const Filter& best_filter();

constexpr float kPadding = -1e30f;
constexpr float kLeast = 1e-8f;    // a probability counts at least as this
constexpr float kLog2E = 1.44269504088896341f, kLn2 = 0.69314718055994531f;

}  // namespace crf
