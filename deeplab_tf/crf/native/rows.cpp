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

float* blur(const Filter& filter, const Lattice& lattice, float* rows, float* spare, int vectors, bool reverse, int thread,
            Team& team) {
  const size_t row_floats = vectors ? size_t(vectors) * kLanes : 1;
  gather_ghosts(lattice, rows, row_floats, thread, team.size());
  if (thread == 0) std::memset(spare + lattice.points * row_floats, 0, row_floats * sizeof(float));
  team.barrier();
  auto apart = [&](int axis) {
    filter.blur(lattice, axis, rows, spare, vectors, share(lattice.points, thread, team.size()));
    std::swap(rows, spare);
    team.barrier();
  };
  // The axes that stay inside a run: run by run, while it is in the cache.
  auto inside_runs = [&] {
    if (lattice.apart == lattice.corners) return;
    const auto& starts = lattice.run_starts;
    const Range range = share(lattice.points, thread, team.size());
    const int first = lattice.apart, last = lattice.corners - 1;
    size_t run = std::lower_bound(starts.begin(), starts.end(), range.begin) - starts.begin();
    for (; run + 1 < starts.size() && starts[run] < range.end; ++run) {
      float* from = rows;
      float* to = spare;
      for (int i = 0; i <= last - first; ++i, std::swap(from, to))
        filter.blur(lattice, reverse ? last - i : first + i, from, to, vectors, {starts[run], starts[run + 1]});
    }
    if ((last - first) % 2 == 0) std::swap(rows, spare);
    team.barrier();
  };
  if (reverse) inside_runs();
  for (int i = 0; i < lattice.apart; ++i) apart(reverse ? lattice.apart - 1 - i : i);
  if (!reverse) inside_runs();
  scatter_ghosts(lattice, rows, row_floats, thread);
  return rows;
}

}  // namespace crf
