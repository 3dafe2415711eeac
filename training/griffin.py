"""Griffin in PyTorch: what does the model compute?

One forward pass over whole documents, written from the formulas of Griffin (arXiv 2402.19427) and RecurrentGemma
(arXiv 2404.07839). It is read from a Hugging Face `config.json`, and its parameters carry the Hugging Face names, so
that `model.state_dict()` is the checkpoint.

Letters in shape comments:  T time   B batch   D model width   E recurrent width   F MLP width   V vocabulary
                            N heads  H head width   W window   K gate blocks
Activations are time-major, [T, B, ...]: the scan, the convolution and the window then cut contiguous slices.

Every row of a batch is one document and starts at position 0. A shorter document is padded on the right, where nothing
before it can see the padding. So documents never mix, without any mask.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DECAY_SCALE = 8.0  # c in the Griffin paper
MAX_ROOT_SLOPE = 1000.0  # bound on the slope of the square root in the RG-LRU, which is infinite at a = 1


@dataclass(frozen=True)
class Config:
    vocab_size: int  # V
    width: int  # D
    mlp_width: int  # F, half of Hugging Face's intermediate_size
    layers: tuple[str, ...]  # "recurrent" or "attention", one per layer
    heads: int  # N, also the number of gate blocks K
    kv_heads: int
    head_width: int  # H
    lru_width: int  # E
    conv_width: int
    window: int  # W: a query sees itself and the W keys before it
    soft_cap: float  # 0 = none
    scale_embeddings: bool
    rope_base: float
    rope_fraction: float
    norm_epsilon: float

    @staticmethod
    def from_hugging_face(raw: dict) -> "Config":
        pattern = raw.get("block_types") or raw["_block_types"]
        depth = raw["num_hidden_layers"]
        heads = raw["num_attention_heads"]
        rope = raw.get("rope_parameters", {})
        if raw.get("hidden_activation", "gelu_pytorch_tanh") != "gelu_pytorch_tanh":
            raise ValueError(f"hidden_activation is {raw['hidden_activation']}, only gelu_pytorch_tanh is known")
        return Config(
            vocab_size=raw["vocab_size"],
            width=raw["hidden_size"],
            mlp_width=raw["intermediate_size"] // 2,
            layers=tuple(pattern[i % len(pattern)] for i in range(depth)),
            heads=heads,
            kv_heads=raw.get("num_key_value_heads") or heads,
            head_width=raw.get("head_dim") or raw["hidden_size"] // heads,
            lru_width=raw.get("lru_width") or raw["hidden_size"],
            conv_width=raw.get("conv1d_width", 4),
            window=raw["attention_window_size"],
            soft_cap=raw.get("logits_soft_cap") or 0.0,
            scale_embeddings=raw.get("embeddings_scale_by_sqrt_dim", True),
            rope_base=rope.get("rope_theta", raw.get("rope_theta", 10000.0)),
            rope_fraction=rope.get("partial_rotary_factor", raw.get("partial_rotary_factor", 0.5)),
            norm_epsilon=raw.get("rms_norm_eps", 1e-6),
        )

    @staticmethod
    def load(path: Path) -> "Config":
        return Config.from_hugging_face(json.loads(path.read_text()))


# ---------------------------------------------------------------------------------------------- the recurrence


class Scan(torch.autograd.Function):
    """h[t] = a[t] · h[t-1] + u[t],  h[-1] = 0.   a, u, h: [T, B, E] f32.

    A plain loop over time. On a CPU a log-depth scan only adds memory traffic; each step here is one fused
    multiply-add over B·E numbers.
    """

    @staticmethod
    def forward(ctx, a: Tensor, u: Tensor) -> Tensor:
        h = torch.empty_like(u)
        h[0] = u[0]
        a_steps, u_steps, h_steps = a.unbind(), u.unbind(), h.unbind()
        for t in range(1, len(h_steps)):
            torch.addcmul(u_steps[t], a_steps[t], h_steps[t - 1], out=h_steps[t])
        ctx.save_for_backward(a, h)
        return h

    @staticmethod
    def backward(ctx, grad_h: Tensor) -> tuple[Tensor, Tensor]:
        # g[t] = ∂L/∂h[t] in full = grad_h[t] + a[t+1] · g[t+1];   ∂L/∂u[t] = g[t];   ∂L/∂a[t] = g[t] · h[t-1]
        a, h = ctx.saved_tensors
        g = torch.empty_like(grad_h)
        g[-1] = grad_h[-1]
        a_steps, grad_steps, g_steps = a.unbind(), grad_h.unbind(), g.unbind()
        for t in range(len(g_steps) - 2, -1, -1):
            torch.addcmul(grad_steps[t], a_steps[t + 1], g_steps[t + 1], out=g_steps[t])
        grad_a = torch.zeros_like(a)
        torch.mul(g[1:], h[:-1], out=grad_a[1:])
        return grad_a, g


class InputScale(torch.autograd.Function):
    """m = √(1 − a²) from log a, as √(−expm1(2 log a)), exact for a near 1.  Its slope is bounded by MAX_ROOT_SLOPE."""

    @staticmethod
    def forward(ctx, log_a: Tensor) -> Tensor:
        m = torch.sqrt(-torch.expm1(2.0 * log_a))
        ctx.save_for_backward(m)
        return m

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        # ∂m/∂log a = −a² / m,  and  a² = 1 − m²
        (m,) = ctx.saved_tensors
        return grad * (m * m - 1.0) / m.clamp(min=1.0 / MAX_ROOT_SLOPE)


class RgLru(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        K, E = config.heads, config.lru_width
        B = E // K
        self.recurrent_param = nn.Parameter(torch.empty(E))
        self.input_gate_weight = nn.Parameter(torch.empty(K, B, B))  # [block, in, out]
        self.input_gate_bias = nn.Parameter(torch.zeros(K, B))
        self.recurrent_gate_weight = nn.Parameter(torch.empty(K, B, B))
        self.recurrent_gate_bias = nn.Parameter(torch.zeros(K, B))

    def forward(self, v: Tensor) -> Tensor:  # [T, B, E] -> [T, B, E] f32
        i = torch.sigmoid(block_linear(v, self.input_gate_weight, self.input_gate_bias).float())
        r = torch.sigmoid(block_linear(v, self.recurrent_gate_weight, self.recurrent_gate_bias).float())
        log_a = -DECAY_SCALE * r * F.softplus(self.recurrent_param)
        u = i * v.float()
        # Position 0 takes its input whole, (m = 1), and keeps nothing of a state before it (Scan starts from 0).
        u = torch.cat([u[:1], InputScale.apply(log_a[1:]) * u[1:]])
        return Scan.apply(torch.exp(log_a), u)


def block_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [T, B, K·b] with a block-diagonal matrix, weight [K, b, b] as [block, in, out], bias [K, b]."""
    K, b = bias.shape
    blocks = x.reshape(-1, K, b).transpose(0, 1)  # [K, T·B, b]
    return (torch.matmul(blocks, weight) + bias[:, None]).transpose(0, 1).reshape(x.shape)


# ---------------------------------------------------------------------------------------------- the two mixers


class RecurrentBlock(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        D, E = config.width, config.lru_width
        self.linear_x = nn.Linear(D, E)
        self.linear_y = nn.Linear(D, E)
        self.linear_out = nn.Linear(E, D)
        self.conv_1d = nn.Conv1d(E, E, config.conv_width, groups=E)  # holds the taps [E, 1, 4]; applied below
        self.rg_lru = RgLru(config)

    def forward(self, x: Tensor) -> Tensor:  # [T, B, D] -> [T, B, D]
        y = F.gelu(self.linear_y(x), approximate="tanh")
        h = self.rg_lru(self.convolve(self.linear_x(x)))
        return self.linear_out(h.to(y.dtype) * y)

    def convolve(self, u: Tensor) -> Tensor:
        """v[t] = bias + Σ_k tap[last − k] · u[t − k]: the last tap weighs the current token.  [T, B, E]"""
        taps = self.conv_1d.weight[:, 0].t().to(u.dtype)  # [4, E]
        last = len(taps) - 1
        padded = F.pad(u, (0, 0, 0, 0, last, 0))  # zeros before the document
        v = padded[: len(u)] * taps[0] + self.conv_1d.bias.to(u.dtype)
        for k in range(1, last + 1):
            v = torch.addcmul(v, padded[k : k + len(u)], taps[k])
        return v


class AttentionBlock(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.window = config.window
        N, H, kv = config.heads, config.head_width, config.kv_heads
        self.q_proj = nn.Linear(config.width, N * H, bias=False)
        self.k_proj = nn.Linear(config.width, kv * H, bias=False)
        self.v_proj = nn.Linear(config.width, kv * H, bias=False)
        self.o_proj = nn.Linear(N * H, config.width)

    def forward(self, x: Tensor) -> Tensor:  # [T, B, D] -> [T, B, D]
        T, B, _ = x.shape
        N, H, kv = self.config.heads, self.config.head_width, self.config.kv_heads
        cos, sin = rope_table(T, int(H * self.config.rope_fraction), self.config.rope_base)
        q = rotate(self.q_proj(x).view(T, B, N, H), cos, sin)
        k = rotate(self.k_proj(x).view(T, B, kv, H), cos, sin)
        v = self.v_proj(x).view(T, B, kv, H)
        return self.o_proj(window_attention(q, k, v, self.window).reshape(T, B, N * H))


def rope_table(T: int, rotated: int, base: float) -> tuple[Tensor, Tensor]:
    """cos and sin [T, 1, 1, rotated / 2] of position · base^(−2j / rotated), angles in f64."""
    frequencies = base ** (-torch.arange(0, rotated, 2, dtype=torch.float64) / rotated)
    angles = torch.outer(torch.arange(T, dtype=torch.float64), frequencies)[:, None, None]
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates the pairs (j, j + half) of the first dimensions of each head; the others pass.  x: [T, B, heads, H]"""
    half = cos.shape[-1]
    x1, x2, rest = x.split([half, half, x.shape[-1] - 2 * half], dim=-1)
    return torch.cat([x1 * cos - x2 * sin, x2 * cos + x1 * sin, rest.to(cos.dtype)], dim=-1)


def window_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """q: [T, B, N, H], k and v: [T, B, kv, H] -> [T, B, N, H].  A query sees itself and `window` earlier keys.

    Time is cut into chunks of W = window, so the keys a query may see lie in its own chunk and the one before:

        keys      |  chunk c−1  |   chunk c   |      query j of chunk c (0 ≤ j < W) sees the
        index     0 …………………………… W …………………………2W     indices j … j + W of these 2W keys
    """
    T, B, N, H = q.shape
    kv, W = k.shape[2], window
    C = -(-T // W)  # chunks
    pad = C * W - T
    q, k, v = (F.pad(t, (0, 0, 0, 0, 0, 0, 0, pad)) for t in (q, k, v))
    # The query heads that share a key head become rows of one matrix.
    q = q.view(C, W, B, kv, N // kv, H).permute(0, 2, 3, 4, 1, 5).reshape(C * B * kv, N // kv * W, H)
    k, v = (with_previous_chunk(t.view(C, W, B, kv, H)).reshape(C * B * kv, 2 * W, H) for t in (k, v))

    scores = torch.bmm(q, k.transpose(1, 2)).float().view(C, B * kv, N // kv, W, 2 * W) * H**-0.5
    query, key = torch.arange(W)[:, None], torch.arange(2 * W)
    visible = (key >= query) & (key <= query + W)  # [W, 2W]
    exists = (torch.arange(C)[:, None, None] > 0) | (key >= W)  # the first chunk has none before it: [C, 1, 2W]
    scores = scores.masked_fill(~(visible & exists)[:, None, None], float("-inf"))
    weights = torch.softmax(scores, dim=-1).to(v.dtype).view(C * B * kv, N // kv * W, 2 * W)

    mixed = torch.bmm(weights, v).view(C, B, kv, N // kv, W, H).permute(0, 4, 1, 2, 3, 5)
    return mixed.reshape(C * W, B, N, H)[:T]


def with_previous_chunk(x: Tensor) -> Tensor:
    """[C, W, B, kv, H] -> [C, B, kv, 2W, H]: each chunk behind the one before it (zeros before the first)."""
    previous = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
    return torch.cat([previous, x], dim=1).permute(0, 2, 3, 1, 4)


# ---------------------------------------------------------------------------------------------- the model


class RmsNorm(nn.Module):
    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.zeros(width))  # stored around zero: the factor is 1 + weight

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), x.shape[-1:], 1.0 + self.weight, self.epsilon)


class Mlp(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.mlp_width)
        self.up_proj = nn.Linear(config.width, config.mlp_width)
        self.down_proj = nn.Linear(config.mlp_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.gelu(self.gate_proj(x), approximate="tanh") * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config: Config, kind: str) -> None:
        super().__init__()
        mixers = {"recurrent": RecurrentBlock, "attention": AttentionBlock}
        self.temporal_pre_norm = RmsNorm(config.width, config.norm_epsilon)
        self.temporal_block = mixers[kind](config)
        self.channel_pre_norm = RmsNorm(config.width, config.norm_epsilon)
        self.mlp_block = Mlp(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.temporal_block(self.temporal_pre_norm(x))
        return x + self.mlp_block(self.channel_pre_norm(x))


class Griffin(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(config.vocab_size, config.width),
                "layers": nn.ModuleList(Layer(config, kind) for kind in config.layers),
                "final_norm": RmsNorm(config.width, config.norm_epsilon),
            }
        )
        # The scale is rounded to bfloat16, as it was in training of the released models.
        self.embedding_scale = float(torch.tensor(config.width**0.5).bfloat16()) if config.scale_embeddings else 1.0

    @property
    def window(self) -> int:
        """W as it is now. A training may begin with a shorter one than the config's."""
        return next(m.window for m in self.modules() if isinstance(m, AttentionBlock))

    @window.setter
    def window(self, window: int) -> None:
        for module in self.modules():
            if isinstance(module, AttentionBlock):
                module.window = window

    def forward(self, tokens: Tensor) -> Tensor:  # [B, T] -> logits [B, T, V] f32
        return self.logits(self.features(tokens)).transpose(0, 1)

    def features(self, tokens: Tensor) -> Tensor:  # [B, T] -> [T, B, D], after the final norm
        x = self.model["embed_tokens"](tokens.t()) * self.embedding_scale
        for layer in self.model["layers"]:
            x = layer(x)
        return self.model["final_norm"](x)

    def logits(self, features: Tensor) -> Tensor:  # [..., D] -> [..., V] f32; the embedding, unscaled, is the head
        logits = F.linear(features, self.model["embed_tokens"].weight).float()
        cap = self.config.soft_cap
        return cap * torch.tanh(logits / cap) if cap else logits

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Random starting weights: matrices by fan-in, those that write to the residual stream smaller with depth."""
        torch.manual_seed(seed)
        depth = len(self.config.layers)
        nn.init.normal_(self.model["embed_tokens"].weight, std=self.config.width**-0.5)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                writes = name.endswith(("linear_out", "o_proj", "down_proj"))
                variance = (2.0 / depth if writes else 1.0) / module.in_features
                nn.init.normal_(module.weight, std=variance**0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv1d):
                nn.init.normal_(module.weight, std=module.kernel_size[0] ** -0.5)
                nn.init.zeros_(module.bias)
            elif isinstance(module, RgLru):
                for weight in (module.input_gate_weight, module.recurrent_gate_weight):
                    nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
                # Half of the channels forget within some 20 tokens. The others are latches: their gates are nearly closed
                # (r = σ(-7) … σ(-3)), so that they hold what they have for hundreds of tokens, and where a gate opens
                # (r = 1), they forget it and take the new input nearly whole, √(1 − a²).
                # a = exp(−8 softplus(p)) at r = 1  ⇒  p = log(expm1(−log a / 8))
                a = torch.empty_like(module.recurrent_param).uniform_(0.05, 0.95)
                module.recurrent_param.copy_(torch.log(torch.expm1(-torch.log(a) / DECAY_SCALE)))
                is_latch = torch.rand_like(module.recurrent_gate_bias) < 0.5
                held = torch.empty_like(module.recurrent_gate_bias).uniform_(-7.0, -3.0)
                module.recurrent_gate_bias.copy_(torch.where(is_latch, held, 0.0))
                module.input_gate_bias.copy_(torch.where(is_latch, -1.0, 0.0))
