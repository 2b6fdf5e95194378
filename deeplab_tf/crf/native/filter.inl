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
CRF_INLINE Vec larger(Vec a, Vec b) { return choose(a > b, a, b); }
CRF_INLINE float largest(Vec v) {
  float x[kLanes];
  std::memcpy(x, &v, sizeof v);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x[i] = x[i] > x[i + half] ? x[i] : x[i + half];
  return x[0];
}
CRF_INLINE float sum(Vec v) {
  float x[kLanes];
  std::memcpy(x, &v, sizeof v);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x[i] += x[i + half];
  return x[0];
}

// exp(x) for x <= 0, relative error 2e-7; 0 below -87. Cephes' polynomial on [-ln 2 / 2, ln 2 / 2].
CRF_INLINE Vec exp_negative(Vec x) {
  x = larger(x, splat(-88.0f));
  const Vec magic = splat(12582912.0f);
  const Vec shifted = x * splat(1.44269504088896341f) + magic;  // low bits: the nearest whole power of 2
  const Vec n = shifted - magic;
  const Vec r = (x - n * splat(0.693359375f)) + n * splat(2.12194440e-4f);
  Vec p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  p = p * (r * r) + r + splat(1.0f);
  const IntVec exponent = as_int(shifted) - splat_int(0x4B400000 - 127);
  const Vec power = as_float(exponent * splat_int(1 << 23));
  return choose(x > splat(-87.0f), p * power, splat(0.0f));
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

static bool read_probabilities(const Walk& walk, const float* probabilities, int classes, int vectors, float* logits,
                               Range positions) {
  IntVec good = splat_int(-1), negative = splat_int(0);
  const int whole = classes / kLanes;
  for (size_t at = positions.begin; at < positions.end; ++at) {
    const float* row = probabilities + size_t(walk.pixel[at]) * classes;
    float* out = logits + at * vectors * kLanes;
    for (int v = 0; v < vectors; ++v) {
      alignas(32) float eight[kLanes];
      if (v >= whole) read_padded(row, classes, v, 1.0f, eight);
      const Vec p = v < whole ? load(row + v * kLanes) : load(eight);
      good = good & (p < splat(1.001f));  // false for NaN as well
      negative = negative | (p < splat(0.0f));
      store(out + v * kLanes, log_positive(larger(p, splat(1e-8f))));
    }
    for (int c = classes; c < vectors * kLanes; ++c) out[c] = kPadding;
  }
  for (int i = 0; i < kLanes; ++i)
    if (!good[i] || negative[i]) return false;
  return true;
}

static void read_unary(const Walk& walk, const float* unary, int classes, int vectors, float* logits,
                       Range positions) {
  for (size_t at = positions.begin; at < positions.end; ++at) {
    const float* row = unary + size_t(walk.pixel[at]) * classes;
    float* out = logits + at * vectors * kLanes;
    for (int c = 0; c < vectors * kLanes; ++c) out[c] = c < classes ? -row[c] : kPadding;
  }
}

// V is the number of vectors in a row where it is known at compile time, else 0.
template <int V>
static void blur_rows(const Lattice& lattice, int axis, const float* from, float* to, int vectors, Range points) {
  const int n = V ? V : vectors;
  const int32_t* neighbours = lattice.neighbours.data() + axis * lattice.points * 2;
  for (size_t i = points.begin; i < points.end; ++i) {
    const float* self = from + i * n * kLanes;
    const float* ahead = from + size_t(neighbours[2 * i]) * n * kLanes;
    const float* behind = from + size_t(neighbours[2 * i + 1]) * n * kLanes;
    float* out = to + i * n * kLanes;
    CRF_UNROLL
    for (int v = 0; v < n; ++v)
      store(out + v * kLanes, load(self + v * kLanes) +
                                  splat(0.5f) * (load(ahead + v * kLanes) + load(behind + v * kLanes)));
  }
}

static void blur_scalars(const Lattice& lattice, int axis, const float* from, float* to, Range points) {
  const int32_t* neighbours = lattice.neighbours.data() + axis * lattice.points * 2;
  for (size_t i = points.begin; i < points.end; ++i)
    to[i] = from[i] + 0.5f * (from[neighbours[2 * i]] + from[neighbours[2 * i + 1]]);
}

static void blur(const Lattice& lattice, int axis, const float* from, float* to, int vectors, Range points) {
  switch (vectors) {
    case 0: return blur_scalars(lattice, axis, from, to, points);
    case 1: return blur_rows<1>(lattice, axis, from, to, vectors, points);
    case 2: return blur_rows<2>(lattice, axis, from, to, vectors, points);
    case 3: return blur_rows<3>(lattice, axis, from, to, vectors, points);
    case 4: return blur_rows<4>(lattice, axis, from, to, vectors, points);
    default: return blur_rows<0>(lattice, axis, from, to, vectors, points);
  }
}

// C is the number of corners where it is known at compile time, else 0.
template <int V, int C>
CRF_INLINE void slice_kernel(const Kernel& kernel, size_t at, int n, float* message) {
  const int corners = C ? C : kernel.lattice->corners;
  const int32_t* offset = kernel.lattice->offsets.data() + at * corners;
  const float* weight = kernel.lattice->weights.data() + at * corners;
  const float factor = kernel.weight * kernel.lattice->alpha() * (kernel.after ? kernel.after[at] : 1.0f);
  if (V) {
    Vec sliced[V ? V : 1];
    {
      const float* row = kernel.filtered + size_t(offset[0]) * n * kLanes;
      const Vec share = splat(weight[0] * factor);
      CRF_UNROLL
      for (int v = 0; v < V; ++v) sliced[v] = share * load(row + v * kLanes);
    }
    CRF_UNROLL
    for (int c = 1; c < corners; ++c) {
      const float* row = kernel.filtered + size_t(offset[c]) * n * kLanes;
      const Vec share = splat(weight[c] * factor);
      CRF_UNROLL
      for (int v = 0; v < V; ++v) sliced[v] = sliced[v] + share * load(row + v * kLanes);
    }
    CRF_UNROLL
    for (int v = 0; v < V; ++v) store(message + v * kLanes, load(message + v * kLanes) + sliced[v]);
  } else {
    for (int c = 0; c < corners; ++c) {
      const float* row = kernel.filtered + size_t(offset[c]) * n * kLanes;
      const Vec share = splat(weight[c] * factor);
      for (int v = 0; v < n; ++v) store(message + v * kLanes, load(message + v * kLanes) + share * load(row + v * kLanes));
    }
  }
}

template <int V, int C>
CRF_INLINE void splat_kernel(const Kernel& kernel, size_t at, int n, const float* beliefs) {
  const int corners = C ? C : kernel.lattice->corners;
  const int32_t* offset = kernel.lattice->offsets.data() + at * corners;
  const float* weight = kernel.lattice->weights.data() + at * corners;
  const float factor = kernel.before ? kernel.before[at] : 1.0f;
  CRF_UNROLL
  for (int c = 0; c < corners; ++c) {
    float* row = kernel.splat + size_t(offset[c]) * n * kLanes;
    const Vec share = splat(weight[c] * factor);
    CRF_UNROLL
    for (int v = 0; v < n; ++v) store(row + v * kLanes, load(row + v * kLanes) + share * load(beliefs + v * kLanes));
  }
}

CRF_INLINE void write_tight(float* row, const float* values, int classes) {
  const int whole = classes / kLanes * kLanes;
  for (int c = 0; c < whole; c += kLanes) store(row + c, load(values + c));
  for (int c = whole; c < classes; ++c) row[c] = values[c];
}

CRF_INLINE void softmax(float* values, int n) {
  Vec highest = load(values);
  CRF_UNROLL
  for (int v = 1; v < n; ++v) highest = larger(highest, load(values + v * kLanes));
  const Vec top = splat(largest(highest));
  Vec total = splat(0.0f);
  CRF_UNROLL
  for (int v = 0; v < n; ++v) {
    const Vec power = exp_negative(load(values + v * kLanes) - top);
    total += power;
    store(values + v * kLanes, power);
  }
  const Vec scale = splat(1.0f / sum(total));
  CRF_UNROLL
  for (int v = 0; v < n; ++v) store(values + v * kLanes, load(values + v * kLanes) * scale);
}

// Positions go through in small groups, one step after the other, so that the processor always has several
// independent ones under way: the chain slice, maximum, exp, sum, divide of a single one is long.
constexpr int kGroup = 8;
constexpr size_t kScratchRows = 2 * kGroup;

template <int V>
CRF_INLINE void slice_any(const Kernel& kernel, size_t at, int n, float* into) {
  switch (kernel.lattice->corners) {
    case 6: return slice_kernel<V, 6>(kernel, at, n, into);
    case 3: return slice_kernel<V, 3>(kernel, at, n, into);
    default: return slice_kernel<V, 0>(kernel, at, n, into);
  }
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
  const float* logits = pass.logits + at * n * kLanes;
  CRF_UNROLL
  for (int v = 0; v < n; ++v) store(values + v * kLanes, pass.logits ? load(logits + v * kLanes) : splat(0.0f));
  if (!pass.slice) return;
  const float* cost = nullptr;  // of what is in `message`: kernels in a row with the same cost are added up before it
  for (int k = 0; k < pass.kernel_count; ++k) {
    const Kernel& kernel = pass.kernels[k];
    if (!kernel.cost) {
      slice_any<V>(kernel, at, n, values);
      continue;
    }
    if (kernel.cost != cost)
      for (int v = 0; v < n; ++v) store(message + v * kLanes, splat(0.0f));
    cost = kernel.cost;
    slice_any<V>(kernel, at, n, message);
    if (k + 1 == pass.kernel_count || pass.kernels[k + 1].cost != cost) take_cost(kernel, pass.classes, n, message, values);
  }
}

template <int V, int C>
CRF_INLINE void splat_group(const Kernel& kernel, size_t first, int count, int n, const float* group) {
  for (int i = 0; i < count; ++i) splat_kernel<V, C>(kernel, first + i, n, group + i * n * kLanes);
}

template <int V> static void pixel_rows(const PixelPass& pass, Range positions, float* scratch) {
  const int n = V ? V : pass.vectors;
  alignas(64) float fixed[(V ? V : 1) * kLanes * kScratchRows];
  float* const group = V ? fixed : scratch;
  float* const message = group + kGroup * n * kLanes;
  for (size_t first = positions.begin; first < positions.end; first += kGroup) {
    const int count = int(positions.end - first < kGroup ? positions.end - first : kGroup);
    auto picture = [&](float* map, int i) { return map + size_t(pass.walk->pixel[first + i]) * pass.classes; };
    if (pass.start) {
      for (int i = 0; i < count; ++i)
        for (int v = 0; v < n; ++v)
          read_padded(pass.start + size_t(pass.walk->pixel[first + i]) * pass.classes, pass.classes, v, 0.0f,
                      group + (i * n + v) * kLanes);
    } else {
      for (int i = 0; i < count; ++i) slice_position<V>(pass, first + i, n, group + i * n * kLanes, message);
      if (pass.scores)
        for (int i = 0; i < count; ++i) write_tight(picture(pass.scores, i), group + i * n * kLanes, pass.classes);
      if (!pass.beliefs && !pass.splat) continue;
      for (int i = 0; i < count; ++i) softmax(group + i * n * kLanes, n);
    }
    if (pass.beliefs)
      for (int i = 0; i < count; ++i) write_tight(picture(pass.beliefs, i), group + i * n * kLanes, pass.classes);
    if (!pass.splat) continue;
    for (int k = 0; k < pass.kernel_count; ++k) {
      const Kernel kernel = pass.kernels[k];
      switch (kernel.lattice->corners) {
        case 6: splat_group<V, 6>(kernel, first, count, n, group); break;
        case 3: splat_group<V, 3>(kernel, first, count, n, group); break;
        default: splat_group<V, 0>(kernel, first, count, n, group);
      }
    }
  }
}

static void pixels(const PixelPass& pass, Range positions, float* scratch) {
  switch (pass.vectors) {
    case 1: return pixel_rows<1>(pass, positions, scratch);
    case 2: return pixel_rows<2>(pass, positions, scratch);
    case 3: return pixel_rows<3>(pass, positions, scratch);
    case 4: return pixel_rows<4>(pass, positions, scratch);
    default: return pixel_rows<0>(pass, positions, scratch);
  }
}
