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

Walk::Walk(int height, int width, int threads) : height(height), width(width) {
  pixel.reserve(size_t(height) * width);
  for (int thread = 0; thread < threads; ++thread) {
    first.push_back(pixel.size());
    Range band = share(height, thread, threads);
    for (size_t top = band.begin; top < band.end; top += kTile)
      for (int left = 0; left < width; left += kTile)
        for (size_t y = top; y < std::min(top + kTile, band.end); ++y)
          for (int x = left; x < std::min(left + kTile, width); ++x) pixel.push_back(int32_t(y * width + x));
  }
  first.push_back(pixel.size());
}

// Coordinates c_i = (e_i - e_d) / (d + 1), i < d, number the lattice points; a step along axis i < d adds 1 to c_i, one
// along axis d takes 1 from all. Digits, leading first, for d = 5: c0 + c1 - 2 c2 (y), c0 - c1 (x), c2, c3, c4; for
// d = 2: c0 + c1 (y), c0.
LatticeBuilder::LatticeBuilder(Lattice& lattice, const Walk& walk, const uint8_t* image, float sigma_position,
                               float sigma_colour, Team& team, Pool& pool)
    : lattice_(lattice), walk_(walk), image_(image), sigma_position_(sigma_position), sigma_colour_(sigma_colour),
      team_(team), pool_(pool), local_(team.size()) {
  const int dims = image ? 5 : 2;
  lattice_.corners = dims + 1;
  const std::vector<std::vector<int>> digits =
      image ? std::vector<std::vector<int>>{{1, 1, -2, 0, 0}, {1, -1, 0, 0, 0}, {0, 0, 1, 0, 0}, {0, 0, 0, 1, 0},
                                            {0, 0, 0, 0, 1}}
            : std::vector<std::vector<int>>{{1, 1}, {1, 0}};
  // Elevated position of each feature's largest value; the smallest is 0.
  std::vector<std::vector<double>> reach(dims, std::vector<double>(dims + 1, 0.0));
  for (int feature = 0; feature < dims; ++feature) {
    const double extent = feature == 0 ? (walk.width - 1) / double(sigma_position)
                          : feature == 1 ? (walk.height - 1) / double(sigma_position)
                                         : 255.0 / sigma_colour;
    const double scaled = extent * std::sqrt(2.0 / 3.0) * (dims + 1) / std::sqrt((feature + 1.0) * (feature + 2.0));
    for (int i = 0; i <= feature; ++i) reach[feature][i] = scaled;
    reach[feature][feature + 1] = -(feature + 1) * scaled;
  }
  const char* too_small =
      "CRF sigmas are too small for this picture: the lattice has too many places; use larger sigma_alpha, sigma_beta "
      "or sigma_gamma.";
  double largest = 0;
  for (const auto& feature : reach)
    for (double end : feature) largest += std::fabs(end);
  if (!(largest < double(1 << 22))) throw std::invalid_argument(too_small);  // else float32 cannot tell simplices apart
  steps_.assign(dims + 1, 0);
  double span = 1;
  int64_t origin = 0;
  for (int digit = dims - 1; digit >= 0; --digit) {
    double low = -16, high = 16;  // corners lie within 2 of their sample in each c, and a neighbour within 2 more
    for (int feature = 0; feature < dims; ++feature) {
      double end = 0;
      for (int i = 0; i < dims; ++i) end += digits[digit][i] * (reach[feature][i] - reach[feature][dims]) / (dims + 1);
      (end < 0 ? low : high) += end;
    }
    low = std::floor(low);
    const double extent = std::ceil(high) - low + 1;
    if (!(span * extent < 4e18)) throw std::invalid_argument(too_small);
    for (int i = 0; i < dims; ++i) steps_[i] += int64_t(span) * digits[digit][i];
    origin -= int64_t(low) * int64_t(span);
    if (digit == (image ? 1 : 0)) run_span_ = uint64_t(span);
    span = double(int64_t(span) * int64_t(extent));
  }
  for (int i = 0; i < dims; ++i) steps_[dims] -= steps_[i];
  base_ = origin;
  span_ = uint64_t(span);
}

void LatticeBuilder::build(int thread) {
  if (thread == 0) {
    lattice_.offsets.allocate(pool_, walk_.pixel.size() * lattice_.corners);
    lattice_.weights.allocate(pool_, walk_.pixel.size() * lattice_.corners);
  }
  team_.barrier();
  image_ ? embed<5>(thread) : embed<2>(thread);
  sort_local(thread);
  team_.barrier();
  unite(thread);
  rank_local(thread);
  team_.barrier();
  if (thread == 0) place_ghosts();
  if (thread == team_.size() - 1) find_runs();
  team_.barrier();
  rename(thread);
  link(thread);
  team_.barrier();
}

// Numerically as pydensecrf (no fused multiply-add here), so that the same points come into being.
template <int D> void LatticeBuilder::embed(int thread) {
  constexpr int kBlock = kLanes;
  float scale[D];
  for (int i = 0; i < D; ++i)
    scale[i] = float(1.0 / std::sqrt((i + 2.0) * (i + 1.0)) * double(float(std::sqrt(2.0 / 3.0) * (D + 1))));
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
      feature[0][k] = float(pixel % walk_.width) / sigma_position_;
      feature[1][k] = float(pixel / walk_.width) / sigma_position_;
      for (int c = 2; c < D; ++c) feature[c][k] = float(image_[size_t(pixel) * 3 + c - 2]) / sigma_colour_;
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
    lattice_.neighbours.allocate(pool_, keys_.size() * lattice_.corners * 2);
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
  size_t next = lattice_.points + 1;
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
  lattice_.run_starts.clear();
  for (size_t i = 0; i < keys_.size(); ++i)
    if (keys_[i] >= end) {
      lattice_.run_starts.push_back(i);
      end = (keys_[i] / run_span_ + 1) * run_span_;
    }
  lattice_.run_starts.push_back(keys_.size());
}

// From local numbers to rows.
void LatticeBuilder::rename(int thread) {
  const Local& local = local_[thread];
  const size_t begin = walk_.first[thread] * lattice_.corners, end = walk_.first[thread + 1] * lattice_.corners;
  for (size_t i = begin; i < end; ++i) lattice_.offsets[i] = int32_t(local.row[lattice_.offsets[i]]);
}

void LatticeBuilder::link(int thread) {
  const size_t points = lattice_.points;
  const Range range = share(points, thread, team_.size());
  for (int axis = 0; axis < lattice_.corners; ++axis) {
    int32_t* neighbours = &lattice_.neighbours[axis * points * 2];
    for (int side = 0; side < 2; ++side) {
      const uint64_t step = uint64_t(side ? -steps_[axis] : steps_[axis]);
      if (range.begin == range.end) continue;
      size_t at = std::lower_bound(keys_.begin(), keys_.end(), keys_[range.begin] + step) - keys_.begin();
      for (size_t i = range.begin; i < range.end; ++i) {
        const uint64_t wanted = keys_[i] + step;
        while (at < points && keys_[at] < wanted) ++at;
        neighbours[2 * i + side] = at < points && keys_[at] == wanted ? int32_t(at) : int32_t(points);
      }
    }
  }
}

}  // namespace crf
