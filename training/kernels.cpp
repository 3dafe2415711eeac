// The element-wise parts of a training step, each in one pass over memory: on a CPU with fast bfloat16 matrix products
// they are what takes the time. Forward and backward by hand; fused.py joins them to autograd.
//
// Activations are bfloat16, time-major [T, B, ...] and contiguous; N = T·B rows. The residual stream, the state of the
// recurrence and all sums are f32.

#include <torch/extension.h>
#include <cmath>
#include <cstring>
#include <vector>

using torch::Tensor;
using u16 = uint16_t;

static inline float up(u16 x) { uint32_t bits = uint32_t(x) << 16; float f; std::memcpy(&f, &bits, 4); return f; }
static inline u16 down(float f) { uint32_t bits; std::memcpy(&bits, &f, 4); return u16((bits + 0x7fff + ((bits >> 16) & 1)) >> 16); }

// eˣ to 2e-7, in operations that a compiler turns into vectors: 2ⁿ · eᶠ with |f| ≤ ln 2 / 2
static inline float exp_(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  const float n = rintf(x * 1.44269504f);
  const float f = x - n * 0.693359375f + n * 2.12194440e-4f;
  const float p = 1 + f * (1 + f * (0.5f + f * (0.16666667f + f * (0.041666668f + f * (0.0083333310f + f * 0.0013888889f)))));
  const int32_t power = (int32_t(n) + 127) << 23;
  float scale; std::memcpy(&scale, &power, 4);
  return p * scale;
}
static inline float sigmoid(float x) { return 1.0f / (1.0f + exp_(-x)); }

// GELU by tanh, gelu(x) = x·s with s = σ(2k(x + c x³)), since (1 + tanh z) / 2 = σ(2z)
static constexpr float GELU_K = 1.5957691216f, GELU_C = 0.044715f;
static inline float gelu_gate(float x) { return sigmoid(GELU_K * (x + GELU_C * x * x * x)); }
static inline float gelu_slope(float x, float s) { return s + x * s * (1.0f - s) * GELU_K * (1.0f + 3.0f * GELU_C * x * x); }

static u16* bf(const Tensor& t) { TORCH_CHECK(t.is_contiguous() && t.scalar_type() == torch::kBFloat16); return reinterpret_cast<u16*>(t.data_ptr()); }
static float* fl(const Tensor& t) { TORCH_CHECK(t.is_contiguous() && t.scalar_type() == torch::kFloat); return t.data_ptr<float>(); }
static Tensor like(const Tensor& t, std::vector<int64_t> shape, torch::ScalarType type) { return torch::empty(shape, t.options().dtype(type)); }

// x' = x + delta;  y = x' / rms(x') · (1 + w).    x, x' f32; delta, y bf16
std::vector<Tensor> add_norm(const Tensor& x, const Tensor& delta, const Tensor& w, double eps) {
  const int64_t D = x.size(-1), N = x.numel() / D;
  Tensor sum = torch::empty_like(x), y = like(x, x.sizes().vec(), torch::kBFloat16), scale = like(x, {N}, torch::kFloat);
  const float *px = fl(x), *pw = fl(w); const u16* pd = bf(delta);
  float *ps = fl(sum), *pr = fl(scale); u16* py = bf(y);
  for (int64_t n = 0; n < N; n++) {
    const float* xr = px + n * D; const u16* dr = pd + n * D; float* sr = ps + n * D; u16* yr = py + n * D;
    float squares = 0;
#pragma GCC ivdep
    for (int64_t d = 0; d < D; d++) { sr[d] = xr[d] + up(dr[d]); squares += sr[d] * sr[d]; }
    const float r = pr[n] = 1.0f / sqrtf(squares / D + float(eps));
#pragma GCC ivdep
    for (int64_t d = 0; d < D; d++) yr[d] = down(sr[d] * r * (1.0f + pw[d]));
  }
  return {sum, y, scale};
}

std::vector<Tensor> add_norm_backward(const Tensor& gsum, const Tensor& gy, const Tensor& sum, const Tensor& w, const Tensor& scale) {
  const int64_t D = sum.size(-1), N = sum.numel() / D;
  Tensor gx = torch::empty_like(sum), gdelta = like(sum, sum.sizes().vec(), torch::kBFloat16), gw = torch::zeros_like(w);
  const float *pg = fl(gsum), *ps = fl(sum), *pw = fl(w), *pr = fl(scale); const u16* py = bf(gy);
  float *px = fl(gx), *pgw = fl(gw); u16* pd = bf(gdelta);
  for (int64_t n = 0; n < N; n++) {
    const float *gr = pg + n * D, *sr = ps + n * D; const u16* yr = py + n * D; float* xr = px + n * D; u16* dr = pd + n * D;
    const float r = pr[n];
    float dot = 0;
#pragma GCC ivdep
    for (int64_t d = 0; d < D; d++) { const float g = up(yr[d]); dot += g * (1.0f + pw[d]) * sr[d]; pgw[d] += g * sr[d] * r; }
    const float back = dot * r * r * r / D;
#pragma GCC ivdep
    for (int64_t d = 0; d < D; d++) { xr[d] = gr[d] + up(yr[d]) * (1.0f + pw[d]) * r - sr[d] * back; dr[d] = down(xr[d]); }
  }
  return {gx, gdelta, gw};
}

// gelu(gate) · up, both halves of one matrix product [N, 2F]
Tensor geglu(const Tensor& both) {
  const int64_t F = both.size(-1) / 2, N = both.numel() / (2 * F);
  auto shape = both.sizes().vec(); shape.back() = F;
  Tensor out = like(both, shape, torch::kBFloat16);
  const u16* p = bf(both); u16* o = bf(out);
  for (int64_t n = 0; n < N; n++) {
    const u16 *g = p + n * 2 * F, *u = g + F; u16* r = o + n * F;
#pragma GCC ivdep
    for (int64_t f = 0; f < F; f++) { const float x = up(g[f]); r[f] = down(x * gelu_gate(x) * up(u[f])); }
  }
  return out;
}

Tensor geglu_backward(const Tensor& grad, const Tensor& both) {
  const int64_t F = both.size(-1) / 2, N = both.numel() / (2 * F);
  Tensor out = torch::empty_like(both);
  const u16 *p = bf(both), *go = bf(grad); u16* o = bf(out);
  for (int64_t n = 0; n < N; n++) {
    const u16 *g = p + n * 2 * F, *u = g + F, *gr = go + n * F; u16 *og = o + n * 2 * F, *ou = og + F;
#pragma GCC ivdep
    for (int64_t f = 0; f < F; f++) {
      const float x = up(g[f]), s = gelu_gate(x), gf = up(gr[f]);
      og[f] = down(gf * up(u[f]) * gelu_slope(x, s));
      ou[f] = down(gf * x * s);
    }
  }
  return out;
}

// v[t] = bias + Σ_k tap[last − k] · x[t − k].   xy [T, B, 2E], x is its first half; taps [K, E] f32
Tensor conv(const Tensor& xy, const Tensor& taps, const Tensor& bias) {
  const int64_t T = xy.size(0), B = xy.size(1), E = xy.size(2) / 2, K = taps.size(0);
  Tensor v = like(xy, {T, B, E}, torch::kBFloat16);
  const u16* px = bf(xy); const float *pt = fl(taps), *pb = fl(bias); u16* pv = bf(v);
  std::vector<float> row(E);
  for (int64_t t = 0; t < T; t++)
    for (int64_t b = 0; b < B; b++) {
#pragma GCC ivdep
      for (int64_t e = 0; e < E; e++) row[e] = pb[e];
      for (int64_t k = 0; k < K && k <= t; k++) {
        const u16* x = px + ((t - k) * B + b) * 2 * E; const float* tap = pt + (K - 1 - k) * E;
#pragma GCC ivdep
        for (int64_t e = 0; e < E; e++) row[e] += tap[e] * up(x[e]);
      }
      u16* out = pv + (t * B + b) * E;
#pragma GCC ivdep
      for (int64_t e = 0; e < E; e++) out[e] = down(row[e]);
    }
  return v;
}

// Writes the gradient of x into the first half of gxy.
std::vector<Tensor> conv_backward(const Tensor& gv, const Tensor& xy, const Tensor& taps, const Tensor& gxy) {
  const int64_t T = xy.size(0), B = xy.size(1), E = xy.size(2) / 2, K = taps.size(0);
  Tensor gtaps = torch::zeros_like(taps), gbias = torch::zeros({E}, taps.options());
  const u16 *px = bf(xy), *pg = bf(gv); const float* pt = fl(taps); float *gt = fl(gtaps), *gb = fl(gbias); u16* po = bf(gxy);
  std::vector<float> row(E);
  for (int64_t t = 0; t < T; t++)
    for (int64_t b = 0; b < B; b++) {
      const u16* x = px + (t * B + b) * 2 * E;
#pragma GCC ivdep
      for (int64_t e = 0; e < E; e++) row[e] = 0;
      for (int64_t k = 0; k < K && t + k < T; k++) {
        const u16* g = pg + ((t + k) * B + b) * E; const float* tap = pt + (K - 1 - k) * E; float* gtap = gt + (K - 1 - k) * E;
#pragma GCC ivdep
        for (int64_t e = 0; e < E; e++) { const float ge = up(g[e]); row[e] += tap[e] * ge; gtap[e] += ge * up(x[e]); }
      }
      const u16* g0 = pg + (t * B + b) * E; u16* out = po + (t * B + b) * 2 * E;
#pragma GCC ivdep
      for (int64_t e = 0; e < E; e++) { gb[e] += up(g0[e]); out[e] = down(row[e]); }
    }
  return {gtaps, gbias};
}

// The RG-LRU and the gate after it: h[t] = a h[t−1] + m i v,  out = h · gelu(y).
// gates [T, B, 2E] are the pre-activations of i and r; y is the second half of xy; decay = 8 softplus(p) [E]
struct Step { float i, r, a, m; };
static inline Step step_of(float gi, float gr, float decay) {
  const float i = sigmoid(gi), r = sigmoid(gr), log_a = -r * decay, a = exp_(log_a), z = 2 * log_a;
  const float series = -z * (1 + z * (0.5f + z * (1 / 6.0f + z * (1 / 24.0f))));  // 1 − eᶻ for z near 0, where a² is near 1
  const float square = z > -0.1f ? series : 1 - a * a;
  return {i, r, a, sqrtf(square)};
}

std::vector<Tensor> lru(const Tensor& gates, const Tensor& v, const Tensor& xy, const Tensor& decay) {
  const int64_t T = v.size(0), B = v.size(1), E = v.size(2);
  Tensor out = torch::empty_like(v), h = like(v, {T, B, E}, torch::kFloat);
  const u16 *pg = bf(gates), *pv = bf(v), *pxy = bf(xy); const float* pd = fl(decay); u16* po = bf(out); float* ph = fl(h);
  std::vector<float> nothing(E, 0.0f);
  for (int64_t t = 0; t < T; t++)
    for (int64_t b = 0; b < B; b++) {
      const int64_t n = t * B + b;
      const u16 *gi = pg + n * 2 * E, *gr = gi + E, *vr = pv + n * E, *y = pxy + n * 2 * E + E;
      float* hr = ph + n * E; u16* o = po + n * E;
      const float* before = t ? hr - B * E : nothing.data();
      const float first = t ? 0.0f : 1.0f;
#pragma GCC ivdep
      for (int64_t e = 0; e < E; e++) {
        const Step s = step_of(up(gi[e]), up(gr[e]), pd[e]);
        const float m = first + (1 - first) * s.m, x = up(y[e]);
        const float now = s.a * before[e] + m * s.i * up(vr[e]);
        hr[e] = now;
        o[e] = down(now * x * gelu_gate(x));
      }
    }
  return {out, h};
}

// Writes the gradient of y into the second half of gxy.
std::vector<Tensor> lru_backward(const Tensor& grad, const Tensor& gates, const Tensor& v, const Tensor& xy, const Tensor& decay, const Tensor& h, const Tensor& gxy) {
  const int64_t T = v.size(0), B = v.size(1), E = v.size(2);
  Tensor ggates = torch::empty_like(gates), gv = torch::empty_like(v), gdecay = torch::zeros_like(decay);
  const u16 *pgo = bf(grad), *pg = bf(gates), *pv = bf(v), *pxy = bf(xy); const float *pd = fl(decay), *ph = fl(h);
  u16 *pgg = bf(ggates), *pgv = bf(gv), *pgxy = bf(gxy); float* pgd = fl(gdecay);
  std::vector<float> carried(B * E, 0.0f), nothing(E, 0.0f);  // a[t+1] · ∂L/∂h[t+1]
  for (int64_t t = T - 1; t >= 0; t--)
    for (int64_t b = 0; b < B; b++) {
      const int64_t n = t * B + b;
      const u16 *gi = pg + n * 2 * E, *gr = gi + E, *vr = pv + n * E, *y = pxy + n * 2 * E + E, *go = pgo + n * E;
      const float* hr = ph + n * E; const float* before = t ? hr - B * E : nothing.data();
      u16 *ogi = pgg + n * 2 * E, *ogr = ogi + E, *ogv = pgv + n * E, *ogy = pgxy + n * 2 * E + E;
      float* c = carried.data() + b * E;
      const float first = t ? 0.0f : 1.0f;
#pragma GCC ivdep
      for (int64_t e = 0; e < E; e++) {
        const Step s = step_of(up(gi[e]), up(gr[e]), pd[e]);
        const float x = up(y[e]), gate = gelu_gate(x), out = up(go[e]), ve = up(vr[e]), m = first + (1 - first) * s.m;
        ogy[e] = down(out * hr[e] * gelu_slope(x, gate));
        const float g = out * x * gate + c[e];
        c[e] = g * s.a;
        ogv[e] = down(g * m * s.i);
        ogi[e] = down(g * m * ve * s.i * (1 - s.i));
        // ∂m/∂log a = −a² / m, whose size is bounded
        const float glog = (1 - first) * g * (before[e] * s.a - s.i * ve * s.a * s.a / std::max(s.m, 1e-3f));
        ogr[e] = down(-glog * pd[e] * s.r * (1 - s.r));
        pgd[e] -= glog * s.r;
      }
    }
  return {ggates, gv, gdecay};
}

// Window attention. qkv [T, B, (N + 2)·H] with one key and value head; T a multiple of W. Chunks of W: the keys of a chunk
// are its own and those of the chunk before it, so that Q is [C·B, N·W, H] and K, V are [C·B, 2W, H].
// cosine and sine [T, R] turn the first 2R dimensions. Q is multiplied by H^−½.
std::vector<Tensor> pack(const Tensor& qkv, const Tensor& cosine, const Tensor& sine, int64_t N, int64_t W) {
  const int64_t T = qkv.size(0), B = qkv.size(1), H = qkv.size(2) / (N + 2), R = cosine.size(1), C = T / W;
  TORCH_CHECK(T % W == 0);
  Tensor q = like(qkv, {C * B, N * W, H}, torch::kBFloat16), k = torch::zeros({C * B, 2 * W, H}, qkv.options()), v = torch::zeros_like(k);
  const u16* p = bf(qkv); const float *pc = fl(cosine), *psin = fl(sine); u16 *pq = bf(q), *pk = bf(k), *pv = bf(v);
  const float scale = 1.0f / sqrtf(float(H));
  auto turn = [&](const u16* in, u16* out, int64_t t, float by) {
    const float *c = pc + t * R, *s = psin + t * R;
#pragma GCC ivdep
    for (int64_t j = 0; j < R; j++) {
      const float x = up(in[j]), y = up(in[R + j]);
      out[j] = down(by * (x * c[j] - y * s[j]));
      out[R + j] = down(by * (y * c[j] + x * s[j]));
    }
#pragma GCC ivdep
    for (int64_t j = 2 * R; j < H; j++) out[j] = down(by * up(in[j]));
  };
  for (int64_t t = 0; t < T; t++)
    for (int64_t b = 0; b < B; b++) {
      const u16* row = p + (t * B + b) * (N + 2) * H;
      const int64_t c = t / W, w = t % W;
      for (int64_t n = 0; n < N; n++) turn(row + n * H, pq + (((c * B + b) * N + n) * W + w) * H, t, scale);
      u16* key = pk + ((c * B + b) * 2 * W + W + w) * H;
      u16* value = pv + ((c * B + b) * 2 * W + W + w) * H;
      turn(row + N * H, key, t, 1.0f);
      std::memcpy(value, row + (N + 1) * H, 2 * H);
      if (c + 1 < C) {
        std::memcpy(pk + (((c + 1) * B + b) * 2 * W + w) * H, key, 2 * H);
        std::memcpy(pv + (((c + 1) * B + b) * 2 * W + w) * H, value, 2 * H);
      }
    }
  return {q, k, v};
}

Tensor pack_backward(const Tensor& gq, const Tensor& gk, const Tensor& gv, const Tensor& cosine, const Tensor& sine, int64_t N, int64_t W, int64_t T) {
  const int64_t C = T / W, B = gq.size(0) / C, H = gq.size(2), R = cosine.size(1);
  Tensor out = like(gq, {T, B, (N + 2) * H}, torch::kBFloat16);
  const float *pc = fl(cosine), *psin = fl(sine); const u16 *pq = bf(gq), *pk = bf(gk), *pv = bf(gv); u16* po = bf(out);
  const float scale = 1.0f / sqrtf(float(H));
  std::vector<float> sum(H);
  auto turn_back = [&](const float* in, u16* to, int64_t t, float by) {
    const float *c = pc + t * R, *s = psin + t * R;
#pragma GCC ivdep
    for (int64_t j = 0; j < R; j++) {
      to[j] = down(by * (in[j] * c[j] + in[R + j] * s[j]));
      to[R + j] = down(by * (in[R + j] * c[j] - in[j] * s[j]));
    }
#pragma GCC ivdep
    for (int64_t j = 2 * R; j < H; j++) to[j] = down(by * in[j]);
  };
  auto both = [&](const u16* of, int64_t c, int64_t b, int64_t w) {
    const u16* own = of + ((c * B + b) * 2 * W + W + w) * H;
#pragma GCC ivdep
    for (int64_t j = 0; j < H; j++) sum[j] = up(own[j]);
    if (c + 1 < C) {
      const u16* later = of + (((c + 1) * B + b) * 2 * W + w) * H;
#pragma GCC ivdep
      for (int64_t j = 0; j < H; j++) sum[j] += up(later[j]);
    }
  };
  for (int64_t t = 0; t < T; t++)
    for (int64_t b = 0; b < B; b++) {
      u16* row = po + (t * B + b) * (N + 2) * H;
      const int64_t c = t / W, w = t % W;
      for (int64_t n = 0; n < N; n++) {
        const u16* in = pq + (((c * B + b) * N + n) * W + w) * H;
#pragma GCC ivdep
        for (int64_t j = 0; j < H; j++) sum[j] = up(in[j]);
        turn_back(sum.data(), row + n * H, t, scale);
      }
      both(pk, c, b, w);
      turn_back(sum.data(), row + N * H, t, 1.0f);
      both(pv, c, b, w);
#pragma GCC ivdep
      for (int64_t j = 0; j < H; j++) row[(N + 1) * H + j] = down(sum[j]);
    }
  return out;
}

// Softmax of the scores [C·B, N·W, 2W] in place: query w sees the keys w … w + W, in the first chunk only those from W on.
void masked_softmax(const Tensor& scores, int64_t B, int64_t W) {
  const int64_t rows = scores.size(0) * scores.size(1), per = scores.size(1);
  u16* p = bf(scores);
  std::vector<float> x(2 * W);
  for (int64_t n = 0; n < rows; n++) {
    const int64_t w = n % W, from = n / per < B ? W : w, to = w + W;
    u16* row = p + n * 2 * W;
    float most = -INFINITY, sum = 0;
#pragma GCC ivdep
    for (int64_t j = from; j <= to; j++) { x[j] = up(row[j]); most = std::max(most, x[j]); }
#pragma GCC ivdep
    for (int64_t j = from; j <= to; j++) { x[j] = exp_(x[j] - most); sum += x[j]; }
#pragma GCC ivdep
    for (int64_t j = 0; j < from; j++) row[j] = 0;
#pragma GCC ivdep
    for (int64_t j = from; j <= to; j++) row[j] = down(x[j] / sum);
#pragma GCC ivdep
    for (int64_t j = to + 1; j < 2 * W; j++) row[j] = 0;
  }
}

// p · (g − Σ p g), in place of g. What is masked has p = 0.
void softmax_backward(const Tensor& weights, const Tensor& grad) {
  const int64_t M = weights.size(2), rows = weights.numel() / M;
  const u16* p = bf(weights); u16* g = bf(grad);
  for (int64_t n = 0; n < rows; n++) {
    float dot = 0;
#pragma GCC ivdep
    for (int64_t j = 0; j < M; j++) dot += up(p[n * M + j]) * up(g[n * M + j]);
#pragma GCC ivdep
    for (int64_t j = 0; j < M; j++) g[n * M + j] = down(up(p[n * M + j]) * (up(g[n * M + j]) - dot));
  }
}

// [C·B, N·W, H] <-> [T, B, N·H]
Tensor unpack(const Tensor& heads, int64_t B, int64_t N, int64_t W) {
  const int64_t C = heads.size(0) / B, H = heads.size(2);
  return heads.view({C, B, N, W, H}).permute({0, 3, 1, 2, 4}).reshape({C * W, B, N * H});
}
Tensor unpack_backward(const Tensor& grad, int64_t N, int64_t W) {
  const int64_t T = grad.size(0), B = grad.size(1), H = grad.size(2) / N, C = T / W;
  return grad.view({C, W, B, N, H}).permute({0, 2, 3, 1, 4}).reshape({C * B, N * W, H});
}

// Cross-entropy of soft-capped logits [n, V], weighted. Returns each token's loss and whether it is right; the logits are
// overwritten with the gradient of Σ weight · loss.
std::vector<Tensor> cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& weights, double cap) {
  const int64_t n = logits.size(0), V = logits.size(1);
  Tensor losses = like(logits, {n}, torch::kFloat), right = like(logits, {n}, torch::kBool);
  u16* p = bf(logits); const int64_t* target = targets.data_ptr<int64_t>(); const float* w = fl(weights); float* out = fl(losses);
  bool* is_right = right.data_ptr<bool>();
  std::vector<float> capped(V), shares(V);
  const float C = float(cap);
  for (int64_t r = 0; r < n; r++) {
    u16* row = p + r * V;
    float most = -INFINITY, sum = 0;
#pragma GCC ivdep
    for (int64_t v = 0; v < V; v++) {
      const float x = up(row[v]);
      capped[v] = C > 0 ? C * (2 * sigmoid(2 * x / C) - 1) : x;
      most = std::max(most, capped[v]);
    }
#pragma GCC ivdep
    for (int64_t v = 0; v < V; v++) { shares[v] = exp_(capped[v] - most); sum += shares[v]; }
    const float mine = capped[target[r]];
    out[r] = logf(sum) + most - mine;
    is_right[r] = mine >= most;
    const float by = w[r] / sum;
    shares[target[r]] -= sum;
#pragma GCC ivdep
    for (int64_t v = 0; v < V; v++) {
      const float tanh_ = C > 0 ? capped[v] / C : 0.0f;
      row[v] = down(by * shares[v] * (1 - tanh_ * tanh_));
    }
  }
  return {losses, right};
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("add_norm", &add_norm); m.def("add_norm_backward", &add_norm_backward);
  m.def("geglu", &geglu); m.def("geglu_backward", &geglu_backward);
  m.def("conv", &conv); m.def("conv_backward", &conv_backward);
  m.def("lru", &lru); m.def("lru_backward", &lru_backward);
  m.def("pack", &pack); m.def("pack_backward", &pack_backward);
  m.def("masked_softmax", &masked_softmax); m.def("softmax_backward", &softmax_backward);
  m.def("unpack", &unpack); m.def("unpack_backward", &unpack_backward);
  m.def("cross_entropy", &cross_entropy);
}
