// The permutohedral lattice of one kernel over one picture (Adams, Baek, Davis 2010).
//
// Lattice points are kept sorted by a 64-bit key that is linear in their coordinates. So the neighbours along an axis
// are a constant away in key, are found by one merge-like walk, and form chains of ascending rows, which the blur goes
// along in place; a point without neighbours stays what it is and is not touched. The key's leading digits are the
// picture's y and x: threads that work on different bands of the picture share only few points, and axes that move in
// colour alone stay inside one short run of points.
#pragma once
#include <cmath>
#include <cstdint>
#include <deque>
#include <vector>
#include "memory.h"
#include "simd.h"
#include "team.h"

namespace crf {

// Pixels in the order of processing, a stretch for every thread.
struct Walk {
  int height = 0, width = 0;       // of the picture; 0 for samples without a grid
  std::vector<int32_t> pixel;      // [pixels]
  std::vector<size_t> first;       // [threads + 1] positions
  static Walk over_picture(int height, int width, int threads);  // bands of rows, small tiles within a band
  static Walk over_samples(size_t samples, int threads);         // as they come
};

// Where the samples of one kernel lie, in units of the kernel's widths: floats, or position and colour in a picture.
struct Features {
  int dims = 0;
  const float* values = nullptr;   // [pixels, dims], or nullptr: x, y and, where dims is 5, r, g, b of the picture
  const uint8_t* image = nullptr;  // RGB rows
  float sigma_position = 1, sigma_colour = 1;
};

constexpr int kMostDims = 12;

// The points along one axis that have a neighbour there.
struct Chains {
  Buffer<int32_t> rows;            // chain after chain, by its lowest row; the last of a chain as ~row
  std::vector<size_t> parts;       // places in rows, [threads + 1], or [runs + 1] of an axis that never leaves a run
};

struct Lattice {
  int corners = 0;                 // dimensions + 1
  size_t points = 0;               // rows 0..points-1
  size_t rows = 0;                 // with the ghosts
  size_t positions = 0;
  Buffer<int32_t> offsets;         // [positions, corners] rows
  Buffer<float> weights;           // [positions, corners]
  std::deque<Chains> chains;       // [corners]
  int apart = 0;                   // axes in front that move from run to run; the others never leave a run of points
  std::vector<size_t> run_starts;
  // A thread adds into ghosts of the points that an earlier thread adds into as well.
  struct Ghosts {
    std::vector<int32_t> points;   // ascending
    size_t row = 0;                // of the first; the others follow
  };
  std::vector<Ghosts> ghosts;      // [threads]

  float alpha() const { return 1.0f / (1.0f + 1.0f / float(1 << (corners - 1))); }
};

// Fills a lattice; every thread of the team calls build(thread) once. Throws std::invalid_argument when the widths are
// so small that points cannot be numbered in 64 bits.
class LatticeBuilder {
 public:
  LatticeBuilder(Lattice& lattice, const Walk& walk, const Features& features, Team& team, Pool& pool);
  void build(int thread);

 private:
  template <int D> void embed(int thread);
  template <int D> void dispatch(int thread);
  struct Reach { double low = INFINITY, high = -INFINITY; };
  std::vector<Reach> reach_of_digits(const std::vector<std::vector<int>>& digits) const;
  void sort_local(int thread);
  void unite(int thread);
  void rank_local(int thread);
  void link(int axis);
  void place_ghosts();
  void find_runs();
  void rename(int thread);

  struct Local {                   // what one thread finds in its band
    std::vector<uint64_t> keys;    // of its points, by local number; sorted later
    std::vector<uint32_t> order;   // local number of the sorted keys
    std::vector<uint32_t> row;     // in the lattice, by local number
  };
  Lattice& lattice_;
  const Walk& walk_;
  const Features features_;
  Team& team_;
  Pool& pool_;
  std::vector<int64_t> steps_;     // key difference of a step along each axis
  int64_t base_ = 0;               // key of the origin
  uint64_t run_span_ = 0, span_ = 0;
  std::vector<Local> local_;
  std::vector<std::vector<uint64_t>> united_;
  std::vector<uint64_t> keys_;
};

}  // namespace crf
