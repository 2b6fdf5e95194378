#include "engine.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

namespace crf {

int usable_threads(int threads, size_t pixels, size_t parts) {
  const size_t by_work = 1 + pixels / 2048;  // below, a thread costs more than it brings
  return int(std::max(size_t(1), std::min({size_t(threads), parts, by_work})));
}

namespace {

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

// Blurs rows (and spare, of the same size) along all axes, or along all in the reverse order; returns which of the two
// holds the result.
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

// A compatibility in rows of `channels`, each label's column as a row, zeros in the padding.
void pad_cost(const Kernels::Term& term, int classes, size_t channels, float* padded) {
  std::fill(padded, padded + (term.diagonal ? 1 : classes) * channels, 0.0f);
  for (int c = 0; c < classes; ++c)
    for (int l = 0; l < (term.diagonal ? 1 : classes); ++l)
      padded[l * channels + c] = term.cost[size_t(c) * (term.diagonal ? 1 : classes) + l];
}

}  // namespace

Kernels::Kernels(Walk walk, const std::vector<Kind>& kinds, std::shared_ptr<Pool> pool)
    : pool_(std::move(pool)), walk_(std::move(walk)), threads_(int(walk_.first.size()) - 1) {
  Team team(threads_);
  std::deque<LatticeBuilder> builders;
  for (const Kind& kind : kinds) {
    sides_.emplace_back();
    sides_.back().normalization = kind.normalization;
    builders.emplace_back(sides_.back().lattice, walk_, kind.features, team, *pool_);
  }
  Buffer<float> rows;
  team.run([&](int thread) {
    for (LatticeBuilder& builder : builders) builder.build(thread);
    for (Side& side : sides_)
      if (side.normalization != Normalization::kNone) normalise(side, rows, thread, team);
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
  values = blur(best_filter(), lattice, values, values + lattice.rows, 0, false, thread, team);
  team.barrier();
  const float alpha = lattice.alpha();
  for (size_t at = begin; at < end; ++at) {
    float sum = 0;
    for (int c = 0; c < corners; ++c) sum += lattice.weights[at * corners + c] * values[lattice.offsets[at * corners + c]];
    sum *= alpha;
    if (side.normalization == Normalization::kSymmetric) sum = 1.0f / std::sqrt(sum + 1e-20f);
    else sum = 1.0f / (sum + 1e-20f);
    side.norm[at] = sum;
  }
  team.barrier();
}

Kernel Kernels::kernel_of(const Side& side, bool transpose) const {
  const bool symmetric = side.normalization == Normalization::kSymmetric;
  const Normalization before = transpose ? Normalization::kAfter : Normalization::kBefore;
  const Normalization after = transpose ? Normalization::kBefore : Normalization::kAfter;
  Kernel kernel;
  kernel.lattice = &side.lattice;
  if (symmetric || side.normalization == before) kernel.before = side.norm.data();
  if (symmetric || side.normalization == after) kernel.after = side.norm.data();
  return kernel;
}

bool Kernels::read_norm(int kernel, float* norm) const {
  const Side& side = sides_[kernel];
  if (side.normalization == Normalization::kNone) return false;
  for (size_t at = 0; at < walk_.pixel.size(); ++at) norm[walk_.pixel[at]] = side.norm[at];
  return true;
}

void Kernels::filter(int index, const float* values, int channels, bool transpose, float* result) const {
  const Filter& filter = best_filter();
  const int vectors = (channels + kLanes - 1) / kLanes;
  const size_t row_floats = size_t(vectors) * kLanes;
  Kernel kernel = kernel_of(sides_[index], transpose);
  const Lattice& lattice = *kernel.lattice;
  Buffer<float> rows[2], scratch;
  for (int side = 0; side < 2; ++side) rows[side].allocate(*pool_, lattice.rows * row_floats, 21 * side);
  const size_t scratch_floats = filter.scratch_rows * row_floats;
  scratch.allocate(*pool_, threads_ * scratch_floats);
  kernel.weight = 1;
  kernel.splat = rows[0].data();
  Team team(threads_);
  team.run([&](int thread) {
    const Range positions{walk_.first[thread], walk_.first[thread + 1]};
    Kernel mine = kernel;
    PixelPass pass;
    pass.walk = &walk_;
    pass.kernels = &mine;
    pass.kernel_count = 1;
    pass.classes = channels;
    pass.vectors = vectors;
    pass.start = values;
    pass.splat = true;
    clear(mine.splat, row_floats, lattice, thread, threads_);
    team.barrier();
    filter.pixels(pass, positions, scratch.data() + thread * scratch_floats);
    team.barrier();
    mine.filtered = blur(filter, lattice, mine.splat, rows[1].data(), vectors, transpose, thread, team);
    team.barrier();
    pass.start = nullptr;
    pass.splat = false;
    pass.slice = true;
    pass.scores = result;
    filter.pixels(pass, positions, scratch.data() + thread * scratch_floats);
  });
}

bool Kernels::infer(const Request& request) const {
  const Filter& filter = best_filter();
  const int vectors = (request.classes + kLanes - 1) / kLanes;
  const size_t channels = size_t(vectors) * kLanes;
  Buffer<float> logits, scratch;
  logits.allocate(*pool_, walk_.pixel.size() * channels);
  const size_t scratch_floats = filter.scratch_rows * channels;
  scratch.allocate(*pool_, threads_ * scratch_floats);
  std::vector<Kernel> kernels;
  std::deque<Buffer<float>> rows[2];
  std::map<const float*, Buffer<float>> costs;
  for (size_t k = 0; k < request.terms.size(); ++k) {
    const Term& term = request.terms[k];
    if (term.weight == 0) continue;
    Kernel kernel = kernel_of(sides_[k], false);
    kernel.weight = term.weight;
    kernel.diagonal = term.diagonal;
    if (term.cost) {
      Buffer<float>& padded = costs[term.cost];
      if (!padded.data()) {
        padded.allocate(*pool_, (term.diagonal ? 1 : request.classes) * channels);
        pad_cost(term, request.classes, channels, padded.data());
      }
      kernel.cost = padded.data();
    }
    for (int side = 0; side < 2; ++side) {
      rows[side].emplace_back();
      rows[side].back().allocate(*pool_, kernel.lattice->rows * channels, 21 * ((2 * kernels.size() + side) % 4));
    }
    kernels.push_back(kernel);
  }
  const int used = int(kernels.size());
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
    std::vector<Kernel> mine = kernels;
    pass.walk = &walk_;
    pass.kernels = mine.data();
    pass.kernel_count = used;
    pass.classes = request.classes;
    pass.vectors = vectors;
    pass.logits = logits.data();
    std::vector<float*> spare(used);
    for (int k = 0; k < used; ++k) {
      mine[k].splat = rows[0][k].data();
      spare[k] = rows[1][k].data();
    }
    const size_t picture = walk_.pixel.size() * request.classes;
    for (int iteration = 0; iteration <= request.iterations; ++iteration) {
      const bool last = iteration == request.iterations;
      pass.slice = iteration > 0;
      pass.start = iteration > 0 ? nullptr : request.start;
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
        float* result = blur(filter, *mine[k].lattice, mine[k].splat, spare[k], vectors, false, thread, team);
        float* other = result == rows[0][k].data() ? rows[1][k].data() : rows[0][k].data();
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
