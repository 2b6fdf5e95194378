// Body of filter_*.cpp: included inside a namespace of its own, with the instruction set already chosen.

CRF_INLINE Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
CRF_INLINE void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }
CRF_INLINE Vec splat(float x) { return Vec{x, x, x, x, x, x, x, x}; }
CRF_INLINE IntVec splat_int(int32_t x) { return IntVec{x, x, x, x, x, x, x, x}; }
CRF_INLINE Vec as_float(IntVec v) {
  Vec r;
  std::memcpy(&r, &v, sizeof r);
  return r;
}
CRF_INLINE IntVec as_int(Vec v) {
  IntVec r;
  std::memcpy(&r, &v, sizeof r);
  return r;
}
// Where mask is -1 take a, where 0 take b.
CRF_INLINE Vec choose(IntVec mask, Vec a, Vec b) {
  return as_float((as_int(a) & mask) | (as_int(b) & (splat_int(-1) - mask)));
}
#ifndef CRF_LARGER
CRF_INLINE Vec larger(Vec a, Vec b) { return choose(a > b, a, b); }
#else
CRF_INLINE Vec larger(Vec a, Vec b) { return CRF_LARGER(a, b); }
#endif
CRF_INLINE float largest(Vec v) {
  float x[kLanes];
  std::memcpy(x, &v, sizeof v);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x[i] = x[i] > x[i + half] ? x[i] : x[i + half];
  return x[0];
}

// The sum of each of eight Vecs, as one.
#if defined(CRF_SHUFFLE)
CRF_INLINE Vec sums_of(const Vec* t) {
  Vec pair[4], four[2];
  CRF_UNROLL
  for (int i = 0; i < 4; ++i)
    pair[i] = CRF_SHUFFLE(t[2 * i], t[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13) +
              CRF_SHUFFLE(t[2 * i], t[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  CRF_UNROLL
  for (int i = 0; i < 2; ++i)
    four[i] = CRF_SHUFFLE(pair[2 * i], pair[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13) +
              CRF_SHUFFLE(pair[2 * i], pair[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
  return CRF_SHUFFLE(four[0], four[1], 0, 1, 2, 3, 8, 9, 10, 11) + CRF_SHUFFLE(four[0], four[1], 4, 5, 6, 7, 12, 13, 14, 15);
}
#else
CRF_INLINE Vec sums_of(const Vec* t) {
  Vec total;
  for (int i = 0; i < kLanes; ++i) {
    float x[kLanes];
    std::memcpy(x, &t[i], sizeof x);
    total[i] = ((x[0] + x[2]) + (x[1] + x[3])) + ((x[4] + x[6]) + (x[5] + x[7]));
  }
  return total;
}
#endif

// 2^x for x <= 126, relative error 2e-7; 2^-126 below that. A minimax polynomial on [-1/2, 1/2].
CRF_INLINE Vec exp2_of(Vec x) {
  x = larger(x, splat(-126.0f));
  const Vec magic = splat(12582912.0f);  // its sum's low bits are the nearest whole number
  const Vec shifted = x + magic;
  const Vec r = x - (shifted - magic);
  Vec p = splat(1.3276472028e-3f);
  p = p * r + splat(9.6755414798e-3f);
  p = p * r + splat(5.5507132747e-2f);
  p = p * r + splat(2.4022119721e-1f);
  p = p * r + splat(6.9314696706e-1f);
  p = p * r + splat(1.0f);
  return as_float(as_int(p) + as_int(shifted) * splat_int(1 << 23));
}

// log(x) for normal positive x, absolute error 1e-7 near 1. Cephes' polynomial.
CRF_INLINE Vec log_positive(Vec x) {
  const IntVec bits = as_int(x);
  // Split so that the mantissa lies in [sqrt 1/2, sqrt 2).
  const IntVec offset = bits - splat_int(0x3F3504F3);
  const IntVec high = offset & splat_int(int32_t(0xFF800000));
  const Vec m = as_float(bits - high) - splat(1.0f);
  Vec e;
  for (int i = 0; i < kLanes; ++i) e[i] = float(high[i] >> 23);
  const Vec z = m * m;
  Vec p = splat(7.0376836292e-2f);
  p = p * m + splat(-1.1514610310e-1f);
  p = p * m + splat(1.1676998740e-1f);
  p = p * m + splat(-1.2420140846e-1f);
  p = p * m + splat(1.4249322787e-1f);
  p = p * m + splat(-1.6668057665e-1f);
  p = p * m + splat(2.0000714765e-1f);
  p = p * m + splat(-2.4999993993e-1f);
  p = p * m + splat(3.3333331174e-1f);
  p = p * m * z + e * splat(-2.12194440e-4f) - z * splat(0.5f);
  return m + p + e * splat(0.693359375f);
}

CRF_INLINE void read_padded(const float* row, int classes, int vector, float padding, float* eight) {
  const int count = classes - vector * kLanes < kLanes ? classes - vector * kLanes : kLanes;
  for (int i = 0; i < kLanes; ++i) eight[i] = i < count ? row[vector * kLanes + i] : padding;
}

CRF_INLINE Vec log2_of(Vec p) { return log_positive(larger(p, splat(kLeast))) * splat(kLog2E); }

// Eight classes of a picture's row, `padding` behind the last.
CRF_INLINE Vec load_row(const float* row, int classes, int vector, float padding) {
  if ((vector + 1) * kLanes <= classes) return load(row + vector * kLanes);
  alignas(32) float eight[kLanes];
  read_padded(row, classes, vector, padding, eight);
  return load(eight);
}

// Of the classes left out: their probabilities' sum, or log2 of the sum of 2^-energy.
CRF_INLINE float rest_of(const Reading& reading, const float* row) {
  const int vectors = (reading.all + kLanes - 1) / kLanes;
  auto left_out = [&](int v, Vec x, float otherwise) {
    IntVec mask;
    std::memcpy(&mask, reading.left_out + v * kLanes, sizeof mask);
    return choose(mask, x, splat(otherwise));
  };
  auto total_of = [](Vec total) {
    const Vec totals[kLanes] = {total, total, total, total, total, total, total, total};
    return sums_of(totals)[0];
  };
  Vec total = splat(0.0f), top = splat(kPadding);
  if (reading.probabilities) {
    for (int v = 0; v < vectors; ++v)
      total += left_out(v, larger(load_row(row, reading.all, v, 0.0f), splat(kLeast)), 0.0f);
    return total_of(total);
  }
  auto power = [&](int v) { return left_out(v, load_row(row, reading.all, v, 0.0f) * splat(-kLog2E), kPadding); };
  for (int v = 0; v < vectors; ++v) top = larger(top, power(v));
  const float highest = largest(top);
  for (int v = 0; v < vectors; ++v) total += exp2_of(power(v) - splat(highest));
  return highest + log2_of(splat(total_of(total)))[0];
}

// Two classes: the difference of their logarithms.
static bool read_differences(const Reading& reading, const Walk& walk, float* logits, Range positions) {
  IntVec good = splat_int(-1), negative = splat_int(0);
  for (size_t first = positions.begin; first < positions.end; first += kLanes) {
    const int count = int(positions.end - first < kLanes ? positions.end - first : kLanes);
    alignas(32) float each[2][kLanes];
    for (int i = 0; i < kLanes; ++i)
      for (int c = 0; c < 2; ++c)
        each[c][i] = reading.values[size_t(walk.pixel[first + (i < count ? i : 0)]) * 2 + c];
    Vec x[2] = {load(each[0]), load(each[1])};
    for (int c = 0; c < 2; ++c) {
      if (reading.probabilities) {
        good = good & (x[c] < splat(1.001f));  // false for NaN as well
        negative = negative | (x[c] < splat(0.0f));
        x[c] = log2_of(x[c]);
      } else {
        x[c] = x[c] * splat(-kLog2E);
      }
    }
    alignas(32) float difference[kLanes];
    store(difference, x[0] - x[1]);
    for (int i = 0; i < count; ++i) logits[first + i] = difference[i];
  }
  for (int i = 0; i < kLanes; ++i)
    if (!good[i] || negative[i]) return false;
  return true;
}

static bool read(const Reading& reading, const Walk& walk, int vectors, float* logits, float* rest, Range positions) {
  if (!vectors) return read_differences(reading, walk, logits, positions);
  IntVec good = splat_int(-1), negative = splat_int(0);
  const int classes = reading.classes, whole = reading.columns ? 0 : classes / kLanes;
  for (size_t at = positions.begin; at < positions.end; ++at) {
    const float* row = reading.values + size_t(walk.pixel[at]) * reading.all;
    float* out = logits + at * vectors * kLanes;
    for (int v = 0; v < vectors; ++v) {
      alignas(32) float eight[kLanes];
      if (reading.columns)
        for (int i = 0; i < kLanes; ++i) eight[i] = v * kLanes + i < classes ? row[reading.columns[v * kLanes + i]] : 1.0f;
      else if (v >= whole)
        read_padded(row, classes, v, 1.0f, eight);
      const Vec x = v < whole ? load(row + v * kLanes) : load(eight);
      if (reading.probabilities) {
        good = good & (x < splat(1.001f));  // false for NaN as well
        negative = negative | (x < splat(0.0f));
        store(out + v * kLanes, log2_of(x));
      } else {
        store(out + v * kLanes, x * splat(-kLog2E));
      }
    }
    for (int c = classes; c < vectors * kLanes; ++c) out[c] = kPadding;
    if (reading.columns) rest[at] = rest_of(reading, row);
  }
  if (reading.columns && reading.probabilities)
    for (size_t at = positions.begin; at < positions.end; at += kLanes) {
      const int count = int(positions.end - at < kLanes ? positions.end - at : kLanes);
      const Vec logs = log2_of(load_row(rest + at, count, 0, 1.0f));
      for (int i = 0; i < count; ++i) rest[at + i] = logs[i];
    }
  for (int i = 0; i < kLanes; ++i)
    if (!good[i] || negative[i]) return false;
  return true;
}

// Eight rows at a time, for their sums; what comes behind the last is taken as the last again.
static bool peaks(const Reading& reading, float* peaks, float* scratch, Range pixels) {
  const int vectors = (reading.all + kLanes - 1) / kLanes;
  IntVec good = splat_int(-1), negative = splat_int(0);
  for (int v = 0; v < vectors; ++v) store(peaks + v * kLanes, splat(0.0f));
  for (size_t first = pixels.begin; first < pixels.end; first += kLanes) {
    Vec totals[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      const size_t pixel = first + i < pixels.end ? first + i : pixels.end - 1;
      const float* row = reading.values + pixel * reading.all;
      float* values = scratch + size_t(i) * vectors * kLanes;
      Vec top = splat(kPadding);
      for (int v = 0; v < vectors; ++v) {
        const Vec x = load_row(row, reading.all, v, reading.probabilities ? 0.0f : -kPadding);
        if (reading.probabilities) {
          good = good & (x < splat(1.001f));
          negative = negative | (x < splat(0.0f));
          store(values + v * kLanes, larger(x, splat(kLeast)));
        } else {
          store(values + v * kLanes, x * splat(-kLog2E));
          top = larger(top, x * splat(-kLog2E));
        }
      }
      if (!reading.probabilities) {
        top = splat(largest(top));
        for (int v = 0; v < vectors; ++v) store(values + v * kLanes, exp2_of(load(values + v * kLanes) - top));
      }
      totals[i] = splat(0.0f);
      for (int v = 0; v < vectors; ++v) totals[i] += load(values + v * kLanes);
    }
    const Vec scale = splat(1.0f) / sums_of(totals);
    for (int i = 0; i < kLanes; ++i)
      for (int v = 0; v < vectors; ++v)
        store(peaks + v * kLanes, larger(load(peaks + v * kLanes),
                                         load(scratch + (size_t(i) * vectors + v) * kLanes) * splat(scale[i])));
  }
  for (int i = 0; i < kLanes; ++i)
    if (!good[i] || negative[i]) return false;
  return true;
}

// Calls block<B>(column) over a row of n vectors: all at once where V tells n, else four by four.
template <int V, class Block> CRF_INLINE void by_blocks(int n, const Block& block) {
  if constexpr (V > 0) {
    block(std::integral_constant<int, V>(), 0);
  } else {
    int v = 0;
    for (; v + 4 <= n; v += 4) block(std::integral_constant<int, 4>(), size_t(v) * kLanes);
    for (; v < n; ++v) block(std::integral_constant<int, 1>(), size_t(v) * kLanes);
  }
}

CRF_INLINE size_t row_of(int32_t entry) { return size_t(entry < 0 ? ~entry : entry); }

// B vectors of every row of the chain that begins at `at`; returns where the next begins.
template <int B> CRF_INLINE const int32_t* blur_chain(const int32_t* at, const int32_t* end, float* rows, size_t row_floats) {
  constexpr int kAhead = 16, kLine = 64 / sizeof(float);
  float* row = rows + row_of(*at) * row_floats;
  Vec behind[B], self[B];
  CRF_UNROLL
  for (int v = 0; v < B; ++v) {
    behind[v] = splat(0.0f);
    self[v] = load(row + v * kLanes);
  }
  for (; *at >= 0; ++at) {
    if (end - at > kAhead) {
      const float* later = rows + row_of(at[kAhead]) * row_floats;
      for (int i = 0; i < B * kLanes; i += kLine) CRF_PREFETCH(later + i);
    }
    float* next = rows + row_of(at[1]) * row_floats;
    CRF_UNROLL
    for (int v = 0; v < B; ++v) {
      const Vec ahead = load(next + v * kLanes);
      store(row + v * kLanes, self[v] + splat(0.5f) * (ahead + behind[v]));
      behind[v] = self[v];
      self[v] = ahead;
    }
    row = next;
  }
  CRF_UNROLL
  for (int v = 0; v < B; ++v) store(row + v * kLanes, self[v] + splat(0.5f) * behind[v]);
  return at + 1;
}

// V is the number of vectors in a row where it is known at compile time, else 0.
template <int V> static void blur_rows(const int32_t* at, const int32_t* end, float* rows, int vectors) {
  const int n = V ? V : vectors;
  while (at < end) {
    const int32_t* next = at;
    by_blocks<V>(n, [&](auto block, size_t column) {
      next = blur_chain<decltype(block)::value>(at, end, rows + column, size_t(n) * kLanes);
    });
    at = next;
  }
}

static void blur_scalars(const int32_t* at, const int32_t* end, float* rows) {
  for (; at < end; ++at) {
    float behind = 0;
    for (; *at >= 0; ++at) {
      const float self = rows[*at];
      rows[*at] = self + 0.5f * (rows[row_of(at[1])] + behind);
      behind = self;
    }
    rows[~*at] += 0.5f * behind;
  }
}

static void blur(const int32_t* chains, const int32_t* end, float* rows, int vectors) {
  switch (vectors) {
    case 0: return blur_scalars(chains, end, rows);
    case 1: return blur_rows<1>(chains, end, rows, vectors);
    case 2: return blur_rows<2>(chains, end, rows, vectors);
    case 3: return blur_rows<3>(chains, end, rows, vectors);
    case 4: return blur_rows<4>(chains, end, rows, vectors);
    default: return blur_rows<0>(chains, end, rows, vectors);
  }
}

// Asks for the filtered rows of a position a little further on, where the lattice is larger than a core's own cache.
template <int C> CRF_INLINE void fetch_ahead(const Kernel& kernel, size_t at, int n) {
  constexpr size_t kAhead = 4, kNearCache = 1 << 20;
  constexpr int kLine = 64 / sizeof(float);
  if (kernel.lattice->rows * n * kLanes * sizeof(float) < kNearCache || at + kAhead >= kernel.lattice->positions) return;
  const int corners = C ? C : kernel.lattice->corners;
  const int32_t* offset = kernel.lattice->offsets.data() + (at + kAhead) * corners;
  CRF_UNROLL
  for (int c = 0; c < corners; ++c) {
    const float* row = kernel.filtered + size_t(offset[c]) * n * kLanes;
    for (int i = 0; i < n * kLanes; i += kLine) CRF_PREFETCH(row + i);
  }
}

// B vectors of a row from `column` on, C corners where their number is known at compile time, else 0.
template <int B, int C>
CRF_INLINE void slice_block(const Kernel& kernel, size_t at, size_t row_floats, size_t column, const float* from, float* to) {
  const int corners = C ? C : kernel.lattice->corners;
  const int32_t* offset = kernel.lattice->offsets.data() + at * corners;
  const float* weight = kernel.lattice->weights.data() + at * corners;
  const float* filtered = kernel.filtered + column;
  Vec sum[B];
  {
    const float* row = filtered + size_t(offset[0]) * row_floats;
    const Vec share = splat(weight[0]);
    CRF_UNROLL
    for (int v = 0; v < B; ++v) sum[v] = share * load(row + v * kLanes);
  }
  CRF_UNROLL
  for (int c = 1; c < corners; ++c) {
    const float* row = filtered + size_t(offset[c]) * row_floats;
    const Vec share = splat(weight[c]);
    CRF_UNROLL
    for (int v = 0; v < B; ++v) sum[v] = sum[v] + share * load(row + v * kLanes);
  }
  const Vec factor = splat(kernel.weight * (kernel.after ? kernel.after[at] : 1.0f));
  CRF_UNROLL
  for (int v = 0; v < B; ++v) store(to + column + v * kLanes, load(from + column + v * kLanes) + factor * sum[v]);
}

template <int B, int C>
CRF_INLINE void splat_block(const Kernel& kernel, size_t at, size_t row_floats, size_t column, const float* beliefs, float scale) {
  const int corners = C ? C : kernel.lattice->corners;
  const int32_t* offset = kernel.lattice->offsets.data() + at * corners;
  const float* weight = kernel.lattice->weights.data() + at * corners;
  const Vec factor = splat(kernel.before ? scale * kernel.before[at] : scale);
  Vec belief[B];
  CRF_UNROLL
  for (int v = 0; v < B; ++v) belief[v] = factor * load(beliefs + column + v * kLanes);
  CRF_UNROLL
  for (int c = 0; c < corners; ++c) {
    float* row = kernel.splat + size_t(offset[c]) * row_floats + column;
    const Vec share = splat(weight[c]);
    CRF_UNROLL
    for (int v = 0; v < B; ++v) store(row + v * kLanes, load(row + v * kLanes) + share * belief[v]);
  }
}

template <int V, int C>
CRF_INLINE void slice_kernel(const Kernel& kernel, size_t at, int n, const float* from, float* to) {
  fetch_ahead<C>(kernel, at, V ? V : n);
  by_blocks<V>(n, [&](auto block, size_t column) {
    slice_block<decltype(block)::value, C>(kernel, at, size_t(n) * kLanes, column, from, to);
  });
}

// Kernels without a compatibility: what a group's positions get from each, on top of their unaries.
template <int V, int C>
CRF_INLINE void slice_group(const Kernel& kernel, size_t first, int count, int n, const float* from, float* group) {
  for (int i = 0; i < count; ++i)
    slice_kernel<V, C>(kernel, first + i, n, from + i * n * kLanes, group + i * n * kLanes);
}

template <int V> CRF_INLINE void slice_any(const Kernel& kernel, size_t at, int n, const float* from, float* to) {
  switch (kernel.lattice->corners) {
    case 6: return slice_kernel<V, 6>(kernel, at, n, from, to);
    case 3: return slice_kernel<V, 3>(kernel, at, n, from, to);
    default: return slice_kernel<V, 0>(kernel, at, n, from, to);
  }
}

template <int V, int C>
CRF_INLINE void splat_group(const Kernel& kernel, size_t first, int count, int n, const float* group, const float* scales) {
  for (int i = 0; i < count; ++i)
    by_blocks<V>(n, [&](auto block, size_t column) {
      splat_block<decltype(block)::value, C>(kernel, first + i, size_t(n) * kLanes, column, group + i * n * kLanes, scales[i]);
    });
}

CRF_INLINE void take_cost(const Kernel& kernel, int classes, int n, const float* message, float* values) {
  if (kernel.diagonal) {
    for (int v = 0; v < n; ++v)
      store(values + v * kLanes, load(values + v * kLanes) - load(message + v * kLanes) * load(kernel.cost + v * kLanes));
    return;
  }
  for (int l = 0; l < classes; ++l)
    for (int v = 0; v < n; ++v)
      store(values + v * kLanes,
            load(values + v * kLanes) - splat(message[l]) * load(kernel.cost + (size_t(l) * n + v) * kLanes));
}

template <int V>
CRF_INLINE void slice_position(const PixelPass& pass, size_t at, int n, float* values, float* message) {
  const float* from = pass.logits + at * n * kLanes;
  if (!pass.logits || !pass.slice || !pass.kernel_count || pass.kernels[0].cost) {
    CRF_UNROLL
    for (int v = 0; v < n; ++v) store(values + v * kLanes, pass.logits ? load(from + v * kLanes) : splat(0.0f));
    from = values;
  }
  if (!pass.slice) return;
  const float* cost = nullptr;  // of what is in `message`: kernels in a row with the same cost are added up before it
  for (int k = 0; k < pass.kernel_count; ++k) {
    const Kernel& kernel = pass.kernels[k];
    if (!kernel.cost) {
      slice_any<V>(kernel, at, n, from, values);
      from = values;
      continue;
    }
    if (kernel.cost != cost)
      for (int v = 0; v < n; ++v) store(message + v * kLanes, splat(0.0f));
    cost = kernel.cost;
    slice_any<V>(kernel, at, n, message, message);
    if (k + 1 == pass.kernel_count || pass.kernels[k + 1].cost != cost) take_cost(kernel, pass.classes, n, message, values);
  }
}

// Positions go through in groups of eight, one step after the other, so that the processor always has several independent
// ones under way: the chain slice, exp, sum, divide of a single one is long.
constexpr int kGroup = kLanes;
constexpr size_t kScratchRows = kGroup + 1;

// Scores to powers of 2, in place; their sums' reciprocals to `scales`. False, with the values spoilt, where a score is too
// high or all are too low for that.
CRF_INLINE bool powers(float* group, int count, int n, const float* rest, float* scales) {
  Vec top = splat(kPadding), totals[kGroup];
  CRF_UNROLL
  for (int i = 0; i < kGroup; ++i) {
    totals[i] = splat(1.0f / kLanes);
    if (i >= count) continue;
    float* values = group + i * n * kLanes;
    Vec total = splat(0.0f);
    CRF_UNROLL
    for (int v = 0; v < n; ++v) {
      const Vec x = load(values + v * kLanes);
      top = larger(top, x);
      const Vec power = exp2_of(x);
      total += power;
      store(values + v * kLanes, power);
    }
    totals[i] = total;
  }
  Vec sums = sums_of(totals);
  if (rest) {
    const Vec x = load_row(rest, count, 0, 0.0f);
    top = larger(top, x);
    sums += exp2_of(x);
  }
  store(scales, splat(1.0f) / sums);
  return !(largest(top) > 100.0f || largest(splat(0.0f) - sums) > -1e-18f);
}

// The same by way of each position's highest score, which goes to `tops`.
template <int V>
static void safe_powers(const PixelPass& pass, size_t first, int count, int n, float* group, float* message, float* tops,
                        float* scales) {
  for (int i = 0; i < count; ++i) {
    float* values = group + i * n * kLanes;
    slice_position<V>(pass, first + i, n, values, message);
    Vec top = splat(pass.rest ? pass.rest[first + i] : kPadding);
    for (int v = 0; v < n; ++v) top = larger(top, load(values + v * kLanes));
    tops[i] = largest(top);
    for (int v = 0; v < n; ++v) store(values + v * kLanes, load(values + v * kLanes) - splat(tops[i]));
    const float rest = pass.rest ? pass.rest[first + i] - tops[i] : 0.0f;
    powers(values, 1, n, pass.rest ? &rest : nullptr, message);
    scales[i] = message[0];
  }
}

CRF_INLINE void write_row(const float* values, int classes, float* row) {
  const int whole = classes / kLanes * kLanes;
  for (int c = 0; c < whole; c += kLanes) store(row + c, load(values + c));
  for (int c = whole; c < classes; ++c) row[c] = values[c];
}

// All classes of a picture's row from those that take part, the others from their unaries.
CRF_INLINE void write_among_all(const Reading& reading, const float* values, const float* unary, bool scores, float top,
                                float scale, float* row) {
  for (int v = 0; v * kLanes < reading.all; ++v) {
    const Vec x = load_row(unary, reading.all, v, 0.0f);
    Vec value;
    if (reading.probabilities && !scores && top == 0.0f) {
      value = larger(x, splat(kLeast)) * splat(scale);
    } else {
      const Vec logits = reading.probabilities ? log2_of(x) : x * splat(-kLog2E);
      value = scores ? logits * splat(kLn2) : exp2_of(logits - splat(top)) * splat(scale);
    }
    alignas(32) float eight[kLanes];
    store(eight, value);
    write_row(eight, reading.all - v * kLanes < kLanes ? reading.all - v * kLanes : kLanes, row + v * kLanes);
  }
  for (int c = 0; c < reading.classes; ++c) row[reading.columns[c]] = values[c];
}

// Beliefs or scores of a group to the picture.
CRF_INLINE void write_group(const PixelPass& pass, size_t first, int count, int n, const float* group, const float* tops,
                            const float* scales, bool scores, float* message) {
  const Reading& reading = *pass.reading;
  for (int i = 0; i < count; ++i) {
    const size_t pixel = size_t(pass.walk->pixel[first + i]) * reading.all;
    const float* values = group + i * n * kLanes;
    float* row = (scores ? pass.scores : pass.beliefs) + pixel;
    const Vec factor = splat(scores ? pass.score_unit : scales[i]);
    for (int v = 0; v < n; ++v) store(message + v * kLanes, load(values + v * kLanes) * factor);
    if (reading.columns)
      write_among_all(reading, message, reading.values + pixel, scores, tops[i], scales[i], row);
    else
      write_row(message, reading.classes, row);
  }
}

template <int V> static void pixel_rows(const PixelPass& pass, Range positions, float* scratch) {
  const int n = V ? V : pass.vectors;
  alignas(64) float fixed[(V ? V : 1) * kLanes * kScratchRows];
  alignas(32) float scales[kGroup], tops[kGroup];
  float* const group = V ? fixed : scratch;
  float* const message = group + kGroup * n * kLanes;
  bool plain = pass.logits && pass.slice && pass.kernel_count;
  for (int k = 0; k < pass.kernel_count; ++k) plain = plain && !pass.kernels[k].cost;
  for (size_t first = positions.begin; first < positions.end; first += kGroup) {
    const int count = int(positions.end - first < kGroup ? positions.end - first : kGroup);
    if (pass.start) {
      store(scales, splat(1.0f));
      for (int i = 0; i < count; ++i)
        for (int v = 0; v < n; ++v)
          read_padded(pass.start + size_t(pass.walk->pixel[first + i]) * pass.classes, pass.classes, v, 0.0f,
                      group + (i * n + v) * kLanes);
    } else {
      if (plain) {
        const float* from = pass.logits + first * n * kLanes;
        for (int k = 0; k < pass.kernel_count; ++k, from = group) {
          const Kernel kernel = pass.kernels[k];
          switch (kernel.lattice->corners) {
            case 6: slice_group<V, 6>(kernel, first, count, n, from, group); break;
            case 3: slice_group<V, 3>(kernel, first, count, n, from, group); break;
            default: slice_group<V, 0>(kernel, first, count, n, from, group);
          }
        }
      } else {
        for (int i = 0; i < count; ++i) slice_position<V>(pass, first + i, n, group + i * n * kLanes, message);
      }
      if (pass.scores) write_group(pass, first, count, n, group, tops, scales, true, message);
      if (!pass.beliefs && !pass.splat) continue;
      store(tops, splat(0.0f));
      if (!powers(group, count, n, pass.rest ? pass.rest + first : nullptr, scales))
        safe_powers<V>(pass, first, count, n, group, message, tops, scales);
    }
    if (pass.beliefs) write_group(pass, first, count, n, group, tops, scales, false, message);
    if (!pass.splat) continue;
    for (int k = 0; k < pass.kernel_count; ++k) {
      const Kernel kernel = pass.kernels[k];
      switch (kernel.lattice->corners) {
        case 6: splat_group<V, 6>(kernel, first, count, n, group, scales); break;
        case 3: splat_group<V, 3>(kernel, first, count, n, group, scales); break;
        default: splat_group<V, 0>(kernel, first, count, n, group, scales);
      }
    }
  }
}

template <int C> CRF_INLINE float slice_scalar(const Kernel& kernel, size_t at) {
  const int corners = C ? C : kernel.lattice->corners;
  const int32_t* offset = kernel.lattice->offsets.data() + at * corners;
  const float* weight = kernel.lattice->weights.data() + at * corners;
  float sum = 0;
  CRF_UNROLL
  for (int c = 0; c < corners; ++c) sum += weight[c] * kernel.filtered[offset[c]];
  return kernel.weight * (kernel.after ? kernel.after[at] : 1.0f) * sum;
}

template <int C> CRF_INLINE void splat_scalars(const Kernel& kernel, size_t first, int count, const float* values) {
  const int corners = C ? C : kernel.lattice->corners;
  for (int i = 0; i < count; ++i) {
    const size_t at = first + i;
    const int32_t* offset = kernel.lattice->offsets.data() + at * corners;
    const float* weight = kernel.lattice->weights.data() + at * corners;
    const float value = kernel.before ? values[i] * kernel.before[at] : values[i];
    CRF_UNROLL
    for (int c = 0; c < corners; ++c) kernel.splat[offset[c]] += weight[c] * value;
  }
}

// Two classes in the Potts model: only the difference of their beliefs counts, and is all that is filtered.
static void differences(const PixelPass& pass, Range positions) {
  for (size_t first = positions.begin; first < positions.end; first += kGroup) {
    const int count = int(positions.end - first < kGroup ? positions.end - first : kGroup);
    alignas(32) float x[kGroup] = {}, low[kGroup];
    for (int i = 0; i < count; ++i) x[i] = pass.logits[first + i];
    if (pass.slice)
      for (int k = 0; k < pass.kernel_count; ++k) {
        const Kernel kernel = pass.kernels[k];
        switch (kernel.lattice->corners) {
          case 6: for (int i = 0; i < count; ++i) x[i] += slice_scalar<6>(kernel, first + i); break;
          case 3: for (int i = 0; i < count; ++i) x[i] += slice_scalar<3>(kernel, first + i); break;
          default: for (int i = 0; i < count; ++i) x[i] += slice_scalar<0>(kernel, first + i);
        }
      }
    const Vec odds = exp2_of(splat(0.0f) - larger(splat(0.0f) - load(x), splat(-100.0f)));
    const Vec second = splat(1.0f) / (splat(1.0f) + odds);
    store(x, odds * second);
    store(low, second);
    if (pass.beliefs)
      for (int i = 0; i < count; ++i) {
        pass.beliefs[size_t(pass.walk->pixel[first + i]) * 2] = x[i];
        pass.beliefs[size_t(pass.walk->pixel[first + i]) * 2 + 1] = low[i];
      }
    if (!pass.splat) continue;
    store(x, (odds - splat(1.0f)) * second);
    for (int k = 0; k < pass.kernel_count; ++k) {
      const Kernel kernel = pass.kernels[k];
      switch (kernel.lattice->corners) {
        case 6: splat_scalars<6>(kernel, first, count, x); break;
        case 3: splat_scalars<3>(kernel, first, count, x); break;
        default: splat_scalars<0>(kernel, first, count, x);
      }
    }
  }
}

static void pixels(const PixelPass& pass, Range positions, float* scratch) {
  switch (pass.vectors) {
    case 0: return differences(pass, positions);
    case 1: return pixel_rows<1>(pass, positions, scratch);
    case 2: return pixel_rows<2>(pass, positions, scratch);
    case 3: return pixel_rows<3>(pass, positions, scratch);
    case 4: return pixel_rows<4>(pass, positions, scratch);
    default: return pixel_rows<0>(pass, positions, scratch);
  }
}
