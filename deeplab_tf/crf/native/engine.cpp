#include "engine.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace crf {

namespace {

int usable_threads(int threads, int height, int width) {
  const long long by_work = 1 + (long long)height * width / 2048;  // below, a thread costs more than it brings
  return int(std::max(1LL, std::min({(long long)threads, (long long)height, by_work})));
}

void clear(float* rows, size_t row_floats, const Lattice& lattice, int thread, int threads) {
  const Range range = share(lattice.rows, thread, threads);
  std::memset(rows + range.begin * row_floats, 0, (range.end - range.begin) * row_floats * sizeof(float));
}

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

// Blurs rows (and spare, of the same size) along all axes; returns which of the two holds the result.
float* blur(const Filter& filter, const Lattice& lattice, float* rows, float* spare, int vectors, int thread,
            Team& team) {
  const size_t row_floats = vectors ? size_t(vectors) * kLanes : 1;
  gather_ghosts(lattice, rows, row_floats, thread, team.size());
  if (thread == 0) std::memset(spare + lattice.points * row_floats, 0, row_floats * sizeof(float));
  team.barrier();
  const int apart = lattice.corners == 6 ? 3 : lattice.corners;
  for (int axis = 0; axis < apart; ++axis) {
    filter.blur(lattice, axis, rows, spare, vectors, share(lattice.points, thread, team.size()));
    std::swap(rows, spare);
    team.barrier();
  }
  if (lattice.corners == 6) {
    // The last three axes stay inside a run: do them run by run while it is in the cache.
    const auto& starts = lattice.run_starts;
    const Range range = share(lattice.points, thread, team.size());
    size_t run = std::lower_bound(starts.begin(), starts.end(), range.begin) - starts.begin();
    for (; run + 1 < starts.size() && starts[run] < range.end; ++run) {
      const Range points{starts[run], starts[run + 1]};
      filter.blur(lattice, 3, rows, spare, vectors, points);
      filter.blur(lattice, 4, spare, rows, vectors, points);
      filter.blur(lattice, 5, rows, spare, vectors, points);
    }
    std::swap(rows, spare);
    team.barrier();
  }
  scatter_ghosts(lattice, rows, row_floats, thread);
  return rows;
}

}  // namespace

Kernels::Kernels(const uint8_t* image, int height, int width, float sigma_alpha, float sigma_beta, float sigma_gamma,
                 Normalization normalization, int threads, std::shared_ptr<Pool> pool)
    : pool_(std::move(pool)), threads_(usable_threads(threads, height, width)), walk_(height, width, threads_), normalization_(normalization) {
  Team team(threads_);
  LatticeBuilder bilateral(side_[0].lattice, walk_, image, sigma_alpha, sigma_beta, team, *pool_);
  LatticeBuilder position(side_[1].lattice, walk_, nullptr, sigma_gamma, 1.0f, team, *pool_);
  Buffer<float> rows;
  team.run([&](int thread) {
    bilateral.build(thread);
    position.build(thread);
    if (normalization_ == Normalization::kNone) return;
    for (Side& side : side_) normalise(side, rows, thread, team);
  });
}

// The kernel's row sums: the filter applied to ones.
void Kernels::normalise(Side& side, Buffer<float>& rows, int thread, Team& team) {
  Lattice& lattice = side.lattice;
  if (thread == 0) {
    rows.allocate(*pool_, 2 * lattice.rows);
    side.norm.allocate(*pool_, walk_.pixel.size());
  }
  team.barrier();
  float* values = rows.data();
  clear(values, 1, lattice, thread, team.size());
  team.barrier();
  const int corners = lattice.corners;
  const size_t begin = walk_.first[thread], end = walk_.first[thread + 1];
  for (size_t i = begin * corners; i < end * corners; ++i) values[lattice.offsets[i]] += lattice.weights[i];
  team.barrier();
  values = blur(best_filter(), lattice, values, values + lattice.rows, 0, thread, team);
  team.barrier();
  const float alpha = lattice.alpha();
  for (size_t at = begin; at < end; ++at) {
    float sum = 0;
    for (int c = 0; c < corners; ++c) sum += lattice.weights[at * corners + c] * values[lattice.offsets[at * corners + c]];
    sum *= alpha;
    if (normalization_ == Normalization::kSymmetric) sum = 1.0f / std::sqrt(sum + 1e-20f);
    else sum = 1.0f / (sum + 1e-20f);
    side.norm[at] = sum;
  }
  team.barrier();
}

bool Kernels::infer(const Request& request) const {
  const Filter& filter = best_filter();
  const int vectors = (request.classes + kLanes - 1) / kLanes;
  const size_t channels = size_t(vectors) * kLanes;
  Buffer<float> logits, rows[2][2], cost, scratch;
  logits.allocate(*pool_, walk_.pixel.size() * channels);
  const size_t scratch_floats = filter.scratch_rows * channels;
  scratch.allocate(*pool_, threads_ * scratch_floats);
  if (request.compatibility) {
    cost.allocate(*pool_, request.classes * channels);
    for (int l = 0; l < request.classes; ++l)
      for (size_t c = 0; c < channels; ++c)
        cost[l * channels + c] = c < size_t(request.classes) ? request.compatibility[c * request.classes + l] : 0.0f;
  }
  Kernel kernels[2];
  int used = 0;
  for (int k = 0; k < 2; ++k) {
    const float weight = k == 0 ? request.w1 : request.w2;
    if (weight == 0) continue;
    Kernel& kernel = kernels[used];
    kernel.lattice = &side_[k].lattice;
    kernel.weight = weight;
    if (normalization_ == Normalization::kSymmetric || normalization_ == Normalization::kBefore)
      kernel.before = side_[k].norm.data();
    if (normalization_ == Normalization::kSymmetric || normalization_ == Normalization::kAfter)
      kernel.after = side_[k].norm.data();
    for (int side = 0; side < 2; ++side)
      rows[used][side].allocate(*pool_, kernel.lattice->rows * channels, 21 * (2 * used + side));
    ++used;
  }
  std::atomic<bool> good{true};
  Team team(threads_);
  team.run([&](int thread) {
    const Range positions{walk_.first[thread], walk_.first[thread + 1]};
    if (request.probabilities) {
      if (!filter.read_probabilities(walk_, request.values, request.classes, vectors, logits.data(), positions))
        good = false;
    } else {
      filter.read_unary(walk_, request.values, request.classes, vectors, logits.data(), positions);
    }
    PixelPass pass;
    Kernel mine[2] = {kernels[0], kernels[1]};
    pass.walk = &walk_;
    pass.kernels = mine;
    pass.kernel_count = used;
    pass.classes = request.classes;
    pass.vectors = vectors;
    pass.logits = logits.data();
    pass.cost = request.compatibility ? cost.data() : nullptr;
    float* spare[2];
    for (int k = 0; k < used; ++k) {
      mine[k].splat = rows[k][0].data();
      spare[k] = rows[k][1].data();
    }
    const size_t picture = walk_.pixel.size() * request.classes;
    for (int iteration = 0; iteration <= request.iterations; ++iteration) {
      const bool last = iteration == request.iterations;
      pass.slice = iteration > 0;
      pass.splat = !last;
      pass.beliefs = last ? request.beliefs : nullptr;
      if (request.score_trace) {
        pass.scores = request.score_trace + iteration * picture;
        pass.beliefs = request.belief_trace + iteration * picture;
      }
      if (!last)
        for (int k = 0; k < used; ++k) clear(mine[k].splat, channels, *mine[k].lattice, thread, threads_);
      team.barrier();
      if (!good) return;
      filter.pixels(pass, positions, scratch.data() + thread * scratch_floats);
      team.barrier();
      if (last) break;
      for (int k = 0; k < used; ++k) {
        float* result = blur(filter, *mine[k].lattice, mine[k].splat, spare[k], vectors, thread, team);
        float* other = result == rows[k][0].data() ? rows[k][1].data() : rows[k][0].data();
        mine[k].filtered = result;
        mine[k].splat = other;
        spare[k] = result;
      }
      team.barrier();
    }
  });
  if (request.score_trace && good)
    std::memcpy(request.beliefs, request.belief_trace + size_t(request.iterations) * walk_.pixel.size() * request.classes,
                walk_.pixel.size() * request.classes * sizeof(float));
  return good;
}

}  // namespace crf
