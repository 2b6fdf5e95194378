#include "rows.h"

#include <algorithm>

namespace crf {

void clear(float* rows, size_t row_floats, const Lattice& lattice, int thread, int threads) {
  const Range range = share(lattice.rows, thread, threads);
  std::memset(rows + range.begin * row_floats, 0, (range.end - range.begin) * row_floats * sizeof(float));
}

namespace {

// Adds the ghosts' rows to the points they stand for, in the threads' order.
void gather_ghosts(const Lattice& lattice, float* rows, size_t row_floats, int thread, int threads) {
  const Range range = share(lattice.points, thread, threads);
  for (const Lattice::Ghosts& ghosts : lattice.ghosts) {
    const auto& points = ghosts.points;
    size_t i = std::lower_bound(points.begin(), points.end(), int32_t(range.begin)) - points.begin();
    for (; i < points.size() && size_t(points[i]) < range.end; ++i) {
      const float* from = rows + (ghosts.row + i) * row_floats;
      float* to = rows + points[i] * row_floats;
      for (size_t c = 0; c < row_floats; ++c) to[c] += from[c];
    }
  }
}

void scatter_ghosts(const Lattice& lattice, float* rows, size_t row_floats, int thread) {
  const Lattice::Ghosts& ghosts = lattice.ghosts[thread];
  for (size_t i = 0; i < ghosts.points.size(); ++i)
    std::memcpy(rows + (ghosts.row + i) * row_floats, rows + ghosts.points[i] * row_floats, row_floats * sizeof(float));
}

}  // namespace

void blur(const Filter& filter, const Lattice& lattice, float* rows, int vectors, bool reverse, int thread, Team& team) {
  gather_ghosts(lattice, rows, vectors ? size_t(vectors) * kLanes : 1, thread, team.size());
  team.barrier();
  auto part = [&](int axis, size_t number) {
    const Chains& chains = lattice.chains[axis];
    filter.blur(chains.rows.data() + chains.parts[number], chains.rows.data() + chains.parts[number + 1], rows, vectors);
  };
  // The axes that stay inside a run: run by run, while it is in the cache.
  auto inside_runs = [&] {
    if (lattice.apart == lattice.corners) return;
    const auto& starts = lattice.run_starts;
    const Range range = share(lattice.points, thread, team.size());
    const int first = lattice.apart, last = lattice.corners - 1;
    size_t run = std::lower_bound(starts.begin(), starts.end(), range.begin) - starts.begin();
    for (; run + 1 < starts.size() && starts[run] < range.end; ++run)
      for (int axis = first; axis <= last; ++axis) part(reverse ? last + first - axis : axis, run);
    team.barrier();
  };
  if (reverse) inside_runs();
  for (int axis = 0; axis < lattice.apart; ++axis) {
    part(reverse ? lattice.apart - 1 - axis : axis, thread);
    team.barrier();
  }
  if (!reverse) inside_runs();
  scatter_ghosts(lattice, rows, vectors ? size_t(vectors) * kLanes : 1, thread);
}

}  // namespace crf
