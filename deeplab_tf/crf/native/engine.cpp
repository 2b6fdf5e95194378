#include "engine.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <stdexcept>

#include "prune.h"
#include "rows.h"

namespace crf {

int usable_threads(int threads, size_t pixels, size_t parts) {
  const size_t by_work = 1 + pixels / 2048;  // below, a thread costs more than it brings
  return int(std::max(size_t(1), std::min({size_t(threads), parts, by_work})));
}

namespace {

// The lattice's matrix times one value for each position (nullptr: ones); done(position, sum) takes the results. Every
// position is read by the thread that wrote it.
template <class Done>
void filter_scalar(const Lattice& lattice, const Buffer<float>& rows, Range positions, const float* value, int thread, Team& team,
                   const Done& done) {
  float* values = rows.data();
  clear(values, 1, lattice, thread, team.size());
  team.barrier();
  const int corners = lattice.corners;
  for (size_t at = positions.begin; at < positions.end; ++at)
    for (size_t i = at * corners; i < (at + 1) * corners; ++i)
      values[lattice.offsets[i]] += value ? lattice.weights[i] * value[at] : lattice.weights[i];
  team.barrier();
  blur(best_filter(), lattice, values, 0, false, thread, team);
  team.barrier();
  const float alpha = lattice.alpha();
  for (size_t at = positions.begin; at < positions.end; ++at) {
    float sum = 0;
    for (size_t i = at * corners; i < (at + 1) * corners; ++i) sum += lattice.weights[i] * values[lattice.offsets[i]];
    done(at, sum * alpha);
  }
  team.barrier();
}

// A compatibility in rows of `channels`, each label's column as a row, zeros in the padding.
void pad_cost(const Kernels::Term& term, const Reading& reading, size_t channels, float* padded) {
  std::fill(padded, padded + (term.diagonal ? 1 : reading.classes) * channels, 0.0f);
  for (int c = 0; c < reading.classes; ++c)
    for (int l = 0; l < (term.diagonal ? 1 : reading.classes); ++l)
      padded[l * channels + c] = term.diagonal ? term.cost[reading.columns ? reading.columns[c] : c]
                                               : term.cost[size_t(c) * reading.classes + l];
}

}  // namespace

double building_bytes(int dims) { return (dims + 1) * 40.0; }  // offset, weight, hash slots, keys; far less where points are shared

void Kernels::check_memory(double row_floats, double maps, int classes) const {
  const double need = built_ + sizeof(float) * (row_floats + maps * double(walk_.pixel.size()) * classes);
  if (need <= memory_limit_) return;
  char text[300];
  std::snprintf(text, sizeof text,
                "CRF memory: %.0f pixels with %d classes need about %.3g GiB, and the limit is %.3g GiB; refine the picture in "
                "windows (python -m deeplab_tf.refine), give fewer classes, or raise memory_limit.",
                double(walk_.pixel.size()), classes, need / (1 << 30), memory_limit_ / (1 << 30));
  throw std::invalid_argument(text);
}

Kernels::Kernels(Walk walk, const std::vector<Kind>& kinds, std::shared_ptr<Pool> pool, double memory_limit)
    : pool_(std::move(pool)), walk_(std::move(walk)), threads_(int(walk_.first.size()) - 1), memory_limit_(memory_limit) {
  for (const Kind& kind : kinds) built_ += building_bytes(kind.features.dims) * double(walk_.pixel.size());
  check_memory(0, 1, 1);
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
    for (Side& side : sides_) normalise(side, rows, thread, team);
  });
  built_ = 0;
  const double positions = double(walk_.pixel.size());
  for (const Side& side : sides_)
    built_ += 4.0 * (side.lattice.corners * (2.0 * positions + double(side.lattice.points)) + positions);
}

// The normalisation: from the kernel's row sums, the filter applied to ones.
void Kernels::normalise(Side& side, Buffer<float>& rows, int thread, Team& team) {
  if (side.normalization == Normalization::kNone) return;
  const bool symmetric = side.normalization == Normalization::kSymmetric;
  if (thread == 0) {
    rows.allocate(*pool_, side.lattice.rows);
    side.norm.allocate(*pool_, walk_.pixel.size());
  }
  team.barrier();
  filter_scalar(side.lattice, rows, {walk_.first[thread], walk_.first[thread + 1]}, nullptr, thread, team,
                [&](size_t at, float sum) { side.norm[at] = symmetric ? 1.0f / std::sqrt(sum + 1e-20f) : 1.0f / (sum + 1e-20f); });
}

// Only who leaves classes out needs it, so it is found when first asked for.
float Kernels::reach(int kernel) const {
  const Side& side = sides_[kernel];
  if (side.normalization == Normalization::kAfter) return 1;
  std::call_once(side.measured, [&] {
    Buffer<float> rows;
    rows.allocate(*pool_, side.lattice.rows);
    std::vector<float> largest(threads_, 0.0f);
    Team team(threads_);
    team.run([&](int thread) {
      filter_scalar(side.lattice, rows, {walk_.first[thread], walk_.first[thread + 1]}, side.norm.data(), thread, team,
                    [&](size_t at, float sum) {
                      if (side.normalization == Normalization::kSymmetric) sum *= side.norm[at];
                      largest[thread] = std::max(largest[thread], sum);
                    });
    });
    side.reach = *std::max_element(largest.begin(), largest.end());
  });
  return side.reach;
}

Kernel Kernels::kernel_of(const Side& side, bool transpose) const {
  const bool symmetric = side.normalization == Normalization::kSymmetric;
  const Normalization before = transpose ? Normalization::kAfter : Normalization::kBefore;
  const Normalization after = transpose ? Normalization::kBefore : Normalization::kAfter;
  Kernel kernel;
  kernel.lattice = &side.lattice;
  kernel.weight = side.lattice.alpha();
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
  Reading reading;
  reading.all = reading.classes = channels;
  Kernel kernel = kernel_of(sides_[index], transpose);
  const Lattice& lattice = *kernel.lattice;
  check_memory(double(lattice.rows * row_floats), 2, channels);
  Buffer<float> rows, scratch;
  rows.allocate(*pool_, lattice.rows * row_floats);
  const size_t scratch_floats = filter.scratch_rows * row_floats;
  scratch.allocate(*pool_, threads_ * scratch_floats);
  kernel.splat = rows.data();
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
    pass.reading = &reading;
    pass.start = values;
    pass.splat = true;
    clear(mine.splat, row_floats, lattice, thread, threads_);
    team.barrier();
    filter.pixels(pass, positions, scratch.data() + thread * scratch_floats);
    team.barrier();
    blur(filter, lattice, mine.splat, vectors, transpose, thread, team);
    mine.filtered = mine.splat;
    team.barrier();
    pass.start = nullptr;
    pass.splat = false;
    pass.slice = true;
    pass.scores = result;
    filter.pixels(pass, positions, scratch.data() + thread * scratch_floats);
  });
}

// Classes that take part, ascending; all of them where leaving some out would save nothing. False where the values are no
// probabilities.
bool Kernels::choose_classes(const Request& request, std::vector<int32_t>& columns) const {
  columns.clear();
  if (!(request.prune > 0) || request.start || request.classes <= kLanes) return true;
  for (const Term& term : request.terms)
    if (term.weight && term.cost && !term.diagonal) return true;  // a message of other labels' beliefs has no such bound
  double reach = 0;
  for (size_t k = 0; k < request.terms.size(); ++k) {
    const Term& term = request.terms[k];
    float most = term.cost ? 0.0f : 1.0f;
    if (term.cost)
      for (int c = 0; c < request.classes; ++c) most = std::max(most, std::fabs(term.cost[c]));
    if (term.weight) reach += std::fabs(term.weight * most) * this->reach(int(k));
  }
  const Filter& filter = best_filter();
  const size_t padded = size_t((request.classes + kLanes - 1) / kLanes) * kLanes;
  Buffer<float> found, scratch;
  found.allocate(*pool_, threads_ * padded);
  scratch.allocate(*pool_, threads_ * filter.scratch_rows * padded);
  Reading reading;
  reading.values = request.values;
  reading.probabilities = request.probabilities;
  reading.all = reading.classes = request.classes;
  std::atomic<bool> good{true};
  Team team(threads_);
  team.run([&](int thread) {
    if (!filter.peaks(reading, found.data() + thread * padded, scratch.data() + thread * filter.scratch_rows * padded,
                      share(walk_.pixel.size(), thread, threads_)))
      good = false;
  });
  std::vector<float> peaks(found.data(), found.data() + request.classes);
  for (int thread = 1; thread < threads_; ++thread)
    for (int c = 0; c < request.classes; ++c) peaks[c] = std::max(peaks[c], found[thread * padded + c]);
  columns = contenders(peaks, reach, request.prune);
  return good;
}

bool Kernels::infer(const Request& request) const {
  const Filter& filter = best_filter();
  std::vector<int32_t> columns, left_out;
  if (!choose_classes(request, columns)) return false;
  Reading reading;
  reading.values = request.values;
  reading.probabilities = request.probabilities;
  reading.all = request.classes;
  reading.classes = columns.empty() ? request.classes : int(columns.size());
  if (!columns.empty()) {
    left_out.assign((request.classes + kLanes - 1) / kLanes * kLanes, 0);
    std::fill(left_out.begin(), left_out.begin() + request.classes, -1);
    for (int32_t column : columns) left_out[column] = 0;
    reading.columns = columns.data();
    reading.left_out = left_out.data();
  }
  const bool difference = reading.all == 2 && !request.start && !request.score_trace &&
                          std::none_of(request.terms.begin(), request.terms.end(), [](const Term& term) { return term.cost; });
  const int vectors = difference ? 0 : (reading.classes + kLanes - 1) / kLanes;
  const size_t channels = difference ? 1 : size_t(vectors) * kLanes;
  double row_floats = double(walk_.pixel.size() * channels);
  for (size_t k = 0; k < request.terms.size(); ++k)
    if (request.terms[k].weight) row_floats += 2.0 * double(sides_[k].lattice.rows * channels);
  check_memory(row_floats, 2, request.classes);
  Buffer<float> logits, rest, scratch;
  logits.allocate(*pool_, walk_.pixel.size() * channels);
  if (reading.columns) rest.allocate(*pool_, walk_.pixel.size());
  const size_t scratch_floats = filter.scratch_rows * channels;
  scratch.allocate(*pool_, threads_ * scratch_floats);
  std::vector<Kernel> kernels;
  std::deque<Buffer<float>> rows[2];
  std::map<const float*, Buffer<float>> costs;
  for (size_t k = 0; k < request.terms.size(); ++k) {
    const Term& term = request.terms[k];
    if (term.weight == 0) continue;
    Kernel kernel = kernel_of(sides_[k], false);
    kernel.weight *= term.weight * kLog2E;
    kernel.diagonal = term.diagonal;
    if (term.cost) {
      Buffer<float>& padded = costs[term.cost];
      if (!padded.data()) {
        padded.allocate(*pool_, (term.diagonal ? 1 : reading.classes) * channels);
        pad_cost(term, reading, channels, padded.data());
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
    if (!filter.read(reading, walk_, vectors, logits.data(), rest.data(), positions)) good = false;
    PixelPass pass;
    std::vector<Kernel> mine = kernels;
    pass.walk = &walk_;
    pass.kernels = mine.data();
    pass.kernel_count = used;
    pass.classes = reading.classes;
    pass.vectors = vectors;
    pass.logits = logits.data();
    pass.rest = rest.data();
    pass.reading = &reading;
    pass.score_unit = kLn2;
    for (int k = 0; k < used; ++k) {
      mine[k].splat = rows[0][k].data();
      mine[k].filtered = rows[1][k].data();
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
        blur(filter, *mine[k].lattice, mine[k].splat, vectors, false, thread, team);
        std::swap(mine[k].filtered, mine[k].splat);
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
