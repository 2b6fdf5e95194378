#include "lattice.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace crf {

namespace {

constexpr int kTile = 64;

// Numbers keys in the order of their first appearance.
class Numbering {
 public:
  Numbering(std::vector<uint64_t>& keys, Pool& pool, size_t expected) : keys_(keys), pool_(pool) {
    while (capacity_ < 2 * expected) capacity_ *= 2;
    clear();
  }
  void prefetch(uint64_t key) const { CRF_PREFETCH(&slots_[place(key)]); }
  uint32_t number(uint64_t key) {
    for (size_t at = place(key);; at = (at + 1) & (capacity_ - 1)) {
      if (slots_[at].key == key) return slots_[at].number;
      if (slots_[at].key == kEmpty) return insert(at, key);
    }
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t(0);
  struct Slot { uint64_t key; uint32_t number; };
  void clear() {
    slots_.allocate(pool_, capacity_);
    std::fill(slots_.data(), slots_.data() + capacity_, Slot{kEmpty, 0});
    shift_ = 64;
    for (size_t size = 1; size < capacity_; size *= 2) --shift_;
  }
  size_t place(uint64_t key) const { return size_t((key * 0x9E3779B97F4A7C15ull) >> shift_); }
  uint32_t insert(size_t at, uint64_t key) {
    uint32_t number = uint32_t(keys_.size());
    slots_[at] = Slot{key, number};
    keys_.push_back(key);
    if (2 * keys_.size() > capacity_) grow();
    return number;
  }
  void grow() {
    capacity_ *= 2;
    clear();
    for (size_t number = 0; number < keys_.size(); ++number) {
      size_t at = place(keys_[number]);
      while (slots_[at].key != kEmpty) at = (at + 1) & (capacity_ - 1);
      slots_[at] = Slot{keys_[number], uint32_t(number)};
    }
  }
  std::vector<uint64_t>& keys_;
  Pool& pool_;
  Buffer<Slot> slots_;
  size_t capacity_ = 1024;
  int shift_ = 0;
};

// Sorts keys below `span` by counting, 11 bits at a time, carrying their numbers along.
void radix_sort(std::vector<uint64_t>& keys, std::vector<uint32_t>& numbers, uint64_t span) {
  constexpr int kBits = 11;
  std::vector<uint64_t> other_keys(keys.size());
  std::vector<uint32_t> other_numbers(keys.size());
  for (int shift = 0; shift < 64 && (span >> shift) > 0; shift += kBits) {
    size_t starts[(1 << kBits) + 1] = {0};
    constexpr uint64_t mask = (1 << kBits) - 1;
    for (uint64_t key : keys) ++starts[((key >> shift) & mask) + 1];
    for (int digit = 0; digit < (1 << kBits); ++digit) starts[digit + 1] += starts[digit];
    for (size_t i = 0; i < keys.size(); ++i) {
      size_t to = starts[(keys[i] >> shift) & mask]++;
      other_keys[to] = keys[i];
      other_numbers[to] = numbers[i];
    }
    keys.swap(other_keys);
    numbers.swap(other_numbers);
  }
}

}  // namespace

Walk Walk::over_picture(int height, int width, int threads) {
  Walk walk;
  walk.height = height;
  walk.width = width;
  walk.pixel.reserve(size_t(height) * width);
  for (int thread = 0; thread < threads; ++thread) {
    walk.first.push_back(walk.pixel.size());
    Range band = share(height, thread, threads);
    for (size_t top = band.begin; top < band.end; top += kTile)
      for (int left = 0; left < width; left += kTile)
        for (size_t y = top; y < std::min(top + kTile, band.end); ++y)
          for (int x = left; x < std::min(left + kTile, width); ++x) walk.pixel.push_back(int32_t(y * width + x));
  }
  walk.first.push_back(walk.pixel.size());
  return walk;
}

Walk Walk::over_samples(size_t samples, int threads) {
  Walk walk;
  walk.pixel.resize(samples);
  for (size_t i = 0; i < samples; ++i) walk.pixel[i] = int32_t(i);
  for (int thread = 0; thread <= threads; ++thread) walk.first.push_back(share(samples, thread, threads).begin);
  return walk;
}

namespace {

constexpr const char* kTooSmall =
    "CRF sigmas are too small for this picture: the lattice has too many places; use larger sigma_alpha, sigma_beta or "
    "sigma_gamma, or divide the features by larger widths.";

// What a unit of each feature is after the lattice's linear map.
std::vector<float> scales(int dims) {
  std::vector<float> scale(dims);
  for (int i = 0; i < dims; ++i)
    scale[i] = float(1.0 / std::sqrt((i + 2.0) * (i + 1.0)) * double(float(std::sqrt(2.0 / 3.0) * (dims + 1))));
  return scale;
}

// Weights of c_0 .. c_{d-1} in the digits of a key, leading first. From three dimensions on the digits in front,
// c0 + c1 - 2 c2 and c0 - c1, are what the first two features (y and x of a picture) alone move.
std::vector<std::vector<int>> digits_of(int dims) {
  std::vector<std::vector<int>> digits(dims, std::vector<int>(dims, 0));
  for (int i = 0; i < dims; ++i) digits[i][i] = 1;
  if (dims == 2) digits = {{1, 1}, {1, 0}};
  if (dims > 2) {
    digits[0][0] = digits[0][1] = 1;
    digits[0][2] = -2;
    digits[1][0] = 1;
    digits[1][1] = -1;
  }
  return digits;
}

}  // namespace

// Coordinates c_i = (e_i - e_d) / (d + 1), i < d, number the lattice points, e being the elevated position; a step along
// axis i < d adds 1 to c_i, one along axis d takes 1 from all.
LatticeBuilder::LatticeBuilder(Lattice& lattice, const Walk& walk, const Features& features, Team& team, Pool& pool)
    : lattice_(lattice), walk_(walk), features_(features), team_(team), pool_(pool), local_(team.size()) {
  const int dims = features.dims;
  lattice_.corners = dims + 1;
  const auto digits = digits_of(dims);
  const std::vector<Reach> reach = reach_of_digits(digits);
  steps_.assign(dims + 1, 0);
  double span = 1;
  int64_t origin = 0;
  for (int digit = dims - 1; digit >= 0; --digit) {
    // Corners lie within 2 of their sample in each c, and a neighbour 1 further.
    double margin = 1;
    for (int weight : digits[digit]) margin += 3 * std::abs(weight);
    const double low = std::floor(reach[digit].low - margin), extent = std::ceil(reach[digit].high + margin) - low + 1;
    if (!(span * extent < 4e18)) throw std::invalid_argument(kTooSmall);
    for (int i = 0; i < dims; ++i) steps_[i] += int64_t(span) * digits[digit][i];
    origin -= int64_t(low) * int64_t(span);
    span = double(int64_t(span) * int64_t(extent));
    if (digit == std::min(2, dims - 1)) run_span_ = uint64_t(span);
  }
  for (int i = 0; i < dims; ++i) steps_[dims] -= steps_[i];
  base_ = origin;
  span_ = uint64_t(span);
}

// The range of each digit over all samples.
std::vector<LatticeBuilder::Reach> LatticeBuilder::reach_of_digits(const std::vector<std::vector<int>>& digits) const {
  const int dims = features_.dims;
  const std::vector<float> scale = scales(dims);
  std::vector<Reach> reach(dims);
  double farthest = 0;
  std::vector<double> elevated(dims + 1);
  auto take_in = [&](const float* feature) {
    double total = 0;
    for (int i = dims; i > 0; --i) {
      const double scaled = double(feature[i - 1]) * scale[i - 1];
      elevated[i] = total - i * scaled;
      total += scaled;
      farthest = std::max(farthest, std::fabs(elevated[i]));
    }
    elevated[0] = total;
    farthest = std::max(farthest, std::fabs(total));
    for (int digit = 0; digit < dims; ++digit) {
      double value = 0;
      for (int i = 0; i < dims; ++i)
        if (digits[digit][i]) value += digits[digit][i] * (elevated[i] - elevated[dims]) / (dims + 1);
      reach[digit].low = std::min(reach[digit].low, value);
      reach[digit].high = std::max(reach[digit].high, value);
    }
  };
  if (features_.values) {
    for (size_t pixel = 0; pixel < walk_.pixel.size(); ++pixel) take_in(features_.values + pixel * dims);
  } else {  // linear: the ends of all features are enough
    for (int corner = 0; corner < 1 << dims; ++corner) {
      std::vector<float> feature(dims);
      for (int i = 0; i < dims; ++i) {
        const float most = i == 0 ? (walk_.width - 1) / features_.sigma_position
                           : i == 1 ? (walk_.height - 1) / features_.sigma_position
                                    : 255.0f / features_.sigma_colour;
        feature[i] = corner >> i & 1 ? most : 0.0f;
      }
      take_in(feature.data());
    }
  }
  if (!(farthest < double(1 << 22))) throw std::invalid_argument(kTooSmall);  // else float32 cannot tell simplices apart
  return reach;
}

void LatticeBuilder::build(int thread) {
  if (thread == 0) {
    lattice_.positions = walk_.pixel.size();
    lattice_.offsets.allocate(pool_, lattice_.positions * lattice_.corners);
    lattice_.weights.allocate(pool_, walk_.pixel.size() * lattice_.corners);
  }
  team_.barrier();
  dispatch<kMostDims>(thread);
  sort_local(thread);
  team_.barrier();
  unite(thread);
  rank_local(thread);
  team_.barrier();
  if (thread == 0) place_ghosts();
  if (thread == team_.size() - 1) find_runs();
  team_.barrier();
  rename(thread);
  for (int axis = thread; axis < lattice_.corners; axis += team_.size()) link(axis);
  team_.barrier();
}

template <int D> void LatticeBuilder::dispatch(int thread) {
  if (features_.dims == D) return embed<D>(thread);
  if constexpr (D > 1) dispatch<D - 1>(thread);
}

// Numerically as pydensecrf (no fused multiply-add here), so that the same points come into being.
template <int D> void LatticeBuilder::embed(int thread) {
  constexpr int kBlock = kLanes;
  const std::vector<float> scale = scales(D);
  const float down = 1.0f / (D + 1);
  const size_t begin = walk_.first[thread], end = walk_.first[thread + 1];
  Local& local = local_[thread];
  Numbering numbering(local.keys, pool_, (end - begin) / 4 + 16);
  uint64_t last_key[D + 1];
  uint32_t last_number[D + 1] = {0};
  std::fill(last_key, last_key + D + 1, ~uint64_t(0));
  for (size_t block = begin; block < end; block += kBlock) {
    const int count = int(std::min(size_t(kBlock), end - block));
    float feature[D][kBlock] = {}, elevated[D + 1][kBlock], above[D + 1][kBlock];
    int rank[D + 1][kBlock], nearest[D + 1][kBlock];
    for (int k = 0; k < count; ++k) {
      const int32_t pixel = walk_.pixel[block + k];
      if (features_.values) {
        for (int c = 0; c < D; ++c) feature[c][k] = features_.values[size_t(pixel) * D + c];
      } else if constexpr (D == 2 || D == 5) {
        feature[0][k] = float(pixel % walk_.width) / features_.sigma_position;
        feature[1][k] = float(pixel / walk_.width) / features_.sigma_position;
        for (int c = 2; c < D; ++c) feature[c][k] = float(features_.image[size_t(pixel) * 3 + c - 2]) / features_.sigma_colour;
      }
    }
    float total[kBlock] = {};
    for (int i = D; i > 0; --i)
      for (int k = 0; k < kBlock; ++k) {
        const float scaled = feature[i - 1][k] * scale[i - 1];
        elevated[i][k] = total[k] - float(i) * scaled;
        total[k] += scaled;
      }
    int excess[kBlock] = {};
    for (int k = 0; k < kBlock; ++k) elevated[0][k] = total[k];
    for (int i = 0; i <= D; ++i)
      for (int k = 0; k < kBlock; ++k) {
        // Adding and taking 1.5 * 2^23 rounds to nearest even.
        const float v = down * elevated[i][k];
        const float rounded = std::fabs(v) < 4194304.0f ? (v + 12582912.0f) - 12582912.0f : v;
        nearest[i][k] = int(rounded);
        excess[k] += nearest[i][k];
        above[i][k] = elevated[i][k] - rounded * (D + 1);
        rank[i][k] = 0;
      }
    for (int i = 0; i < D; ++i)
      for (int j = i + 1; j <= D; ++j)
        for (int k = 0; k < kBlock; ++k) {
          const int below = above[i][k] < above[j][k];
          rank[i][k] += below;
          rank[j][k] += 1 - below;
        }
    for (int i = 0; i <= D; ++i)
      for (int k = 0; k < kBlock; ++k) {
        const int r = rank[i][k] + excess[k];
        const int wrap = (r < 0) - (r > D);
        rank[i][k] = r + wrap * (D + 1);
        nearest[i][k] += wrap;
      }
    uint64_t keys[kBlock][D + 1];
    for (int k = 0; k < count; ++k) {
      float by_rank[D + 1];
      int64_t step[D + 1], key = base_;
      for (int i = 0; i <= D; ++i) {
        by_rank[rank[i][k]] = (elevated[i][k] - float(nearest[i][k] * (D + 1))) * down;
        step[rank[i][k]] = steps_[i];
        key += steps_[i] * nearest[i][k];
      }
      float* weight = &lattice_.weights[(block + k) * (D + 1)];
      weight[0] = by_rank[D] + (1.0f - by_rank[0]);
      for (int corner = 1; corner <= D; ++corner) weight[corner] = by_rank[D - corner] - by_rank[D - corner + 1];
      keys[k][0] = uint64_t(key);
      for (int corner = 1; corner <= D; ++corner) keys[k][corner] = uint64_t(key -= step[D + 1 - corner]);
      for (int corner = 0; corner <= D; ++corner) numbering.prefetch(keys[k][corner]);
    }
    for (int k = 0; k < count; ++k) {
      int32_t* offset = &lattice_.offsets[(block + k) * (D + 1)];
      for (int corner = 0; corner <= D; ++corner) {
        if (keys[k][corner] != last_key[corner]) {
          last_key[corner] = keys[k][corner];
          last_number[corner] = numbering.number(keys[k][corner]);
        }
        offset[corner] = int32_t(last_number[corner]);
      }
    }
  }
}

void LatticeBuilder::sort_local(int thread) {
  Local& local = local_[thread];
  local.order.resize(local.keys.size());
  for (size_t i = 0; i < local.order.size(); ++i) local.order[i] = uint32_t(i);
  radix_sort(local.keys, local.order, span_);
}

// The union of all threads' sorted keys, by pairs: thread 0 waits for the last one.
void LatticeBuilder::unite(int thread) {
  if (thread == 0) {
    united_.resize(team_.size());
    if (team_.size() == 1) keys_ = local_[0].keys;
  }
  team_.barrier();
  auto keys_of = [&](int t) -> std::vector<uint64_t>& { return united_[t].empty() ? local_[t].keys : united_[t]; };
  for (int stride = 1; stride < team_.size(); stride *= 2) {
    if (thread % (2 * stride) == 0 && thread + stride < team_.size()) {
      const auto &a = keys_of(thread), &b = keys_of(thread + stride);
      std::vector<uint64_t> both;
      both.reserve(a.size() + b.size());
      std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
      united_[thread].swap(both);
    }
    team_.barrier();
  }
  if (thread == 0) {
    if (team_.size() > 1) keys_.swap(keys_of(0));
    united_.clear();
    lattice_.points = keys_.size();
    lattice_.chains.resize(lattice_.corners);
  }
  team_.barrier();
}

// The row of each local number: its key's place among all keys.
void LatticeBuilder::rank_local(int thread) {
  Local& local = local_[thread];
  local.row.resize(local.keys.size());
  size_t at = 0;
  for (size_t i = 0; i < local.keys.size(); ++i) {
    while (keys_[at] < local.keys[i]) ++at;
    local.row[local.order[i]] = uint32_t(at);
  }
  std::vector<uint64_t>().swap(local.keys);
}

void LatticeBuilder::place_ghosts() {
  size_t next = lattice_.points;
  std::vector<bool> taken(lattice_.points);
  lattice_.ghosts.assign(team_.size(), Lattice::Ghosts());
  for (int thread = 0; thread < team_.size(); ++thread) {
    Lattice::Ghosts& ghosts = lattice_.ghosts[thread];
    Local& local = local_[thread];
    ghosts.row = next;
    for (uint32_t number : local.order) {
      uint32_t& row = local.row[number];
      if (taken[row]) {
        ghosts.points.push_back(int32_t(row));
        row = uint32_t(next++);
      } else {
        taken[row] = true;
      }
    }
  }
  lattice_.rows = next;
}

void LatticeBuilder::find_runs() {
  uint64_t end = 0;
  size_t longest = 0;
  lattice_.apart = lattice_.corners;
  lattice_.run_starts.clear();
  if (lattice_.corners < 4) return;
  for (size_t i = 0; i < keys_.size(); ++i)
    if (keys_[i] >= end) {
      lattice_.run_starts.push_back(i);
      end = (keys_[i] / run_span_ + 1) * run_span_;
    }
  lattice_.run_starts.push_back(keys_.size());
  for (size_t run = 1; run < lattice_.run_starts.size(); ++run)
    longest = std::max(longest, lattice_.run_starts[run] - lattice_.run_starts[run - 1]);
  // A long run fits no cache and leaves the other threads idle.
  if (longest * 4 * team_.size() <= keys_.size() || longest <= 1024) lattice_.apart = 3;
}

// From local numbers to rows.
void LatticeBuilder::rename(int thread) {
  const Local& local = local_[thread];
  const size_t begin = walk_.first[thread] * lattice_.corners, end = walk_.first[thread + 1] * lattice_.corners;
  for (size_t i = begin; i < end; ++i) lattice_.offsets[i] = int32_t(local.row[lattice_.offsets[i]]);
}

// The chains of an axis: who follows whom, then every chain from its lowest row on.
void LatticeBuilder::link(int axis) {
  const size_t points = lattice_.points;
  const uint64_t step = uint64_t(std::abs(steps_[axis]));
  Buffer<int32_t> next;
  next.allocate(pool_, points);
  std::vector<bool> follows(points);
  size_t at = 0;
  for (size_t i = 0; i < points; ++i) {
    const uint64_t wanted = keys_[i] + step;
    while (at < points && keys_[at] < wanted) ++at;
    const bool found = at < points && keys_[at] == wanted;
    next[i] = found ? int32_t(at) : -1;
    if (found) follows[at] = true;
  }
  Chains& chains = lattice_.chains[axis];
  chains.rows.allocate(pool_, points);
  const bool by_runs = axis >= lattice_.apart;
  const auto& runs = lattice_.run_starts;
  size_t count = 0;
  for (size_t i = 0; i < points; ++i) {
    if (by_runs && i == runs[chains.parts.size()]) chains.parts.push_back(count);
    if (follows[i] || next[i] < 0) continue;
    int32_t row = int32_t(i);
    for (; next[row] >= 0; row = next[row]) chains.rows[count++] = row;
    chains.rows[count++] = ~row;
  }
  for (int thread = 0; !by_runs && thread < team_.size(); ++thread) {
    size_t part = share(count, thread, team_.size()).begin;
    while (part > 0 && part < count && chains.rows[part - 1] >= 0) ++part;
    chains.parts.push_back(part);
  }
  chains.parts.push_back(count);
}

}  // namespace crf
