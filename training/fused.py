"""How is a training step made fast on a CPU?

The same function as griffin.py, with the same parameters, in bfloat16: what lies between the matrix products is done by
kernels.cpp, and products with the same input are one. test_fused.py holds both together. Rows must be a multiple of the
window long.
"""

import os
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.utils.cpp_extension import load

from griffin import DECAY_SCALE, AttentionBlock, Griffin, RecurrentBlock, rope_table

os.environ.setdefault("MAX_JOBS", "1")
kernels = load("griffin_kernels", [str(Path(__file__).parent / "kernels.cpp")], extra_cflags=["-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fassociative-math", "-fno-signed-zeros", "-freciprocal-math"])


class AddNorm(Function):
    """(x, delta, weight, epsilon) -> x + delta in f32, and its norm in bf16."""

    @staticmethod
    def forward(ctx, x, delta, weight, epsilon):
        total, y, scale = kernels.add_norm(x, delta.contiguous(), weight, epsilon)
        ctx.save_for_backward(total, weight, scale)
        return total, y

    @staticmethod
    def backward(ctx, grad_total, grad_y):
        total, weight, scale = ctx.saved_tensors
        gx, gdelta, gw = kernels.add_norm_backward(grad_total.contiguous(), grad_y.contiguous(), total, weight, scale)
        return gx, gdelta, gw, None


class GeGlu(Function):
    @staticmethod
    def forward(ctx, both):
        ctx.save_for_backward(both)
        return kernels.geglu(both)

    @staticmethod
    def backward(ctx, grad):
        return kernels.geglu_backward(grad.contiguous(), *ctx.saved_tensors)


class Recurrence(Function):
    """(x and y [T, B, 2E], taps [K, E], bias [E], gates' weight [2E, E] and bias [2E], decay [E]) -> h · gelu(y) [T, B, E]"""

    @staticmethod
    def forward(ctx, xy, taps, bias, gate_weight, gate_bias, decay):
        v = kernels.conv(xy, taps, bias)
        gates = F.linear(v, gate_weight, gate_bias)
        out, h = kernels.lru(gates, v, xy, decay)
        ctx.save_for_backward(xy, taps, gate_weight, decay, v, gates, h)
        return out

    @staticmethod
    def backward(ctx, grad):
        xy, taps, gate_weight, decay, v, gates, h = ctx.saved_tensors
        gxy = torch.empty_like(xy)
        ggates, gv, gdecay = kernels.lru_backward(grad.contiguous(), gates, v, xy, decay, h, gxy)
        rows = ggates.view(-1, ggates.shape[-1])
        gv = torch.addmm(gv.view(-1, v.shape[-1]), rows, gate_weight).view_as(v)
        gtaps, gbias = kernels.conv_backward(gv, xy, taps, gxy)
        return gxy, gtaps, gbias, rows.t() @ v.view(-1, v.shape[-1]), rows.sum(0), gdecay


class Attention(Function):
    @staticmethod
    def forward(ctx, qkv, cosine, sine, heads, window):
        B = qkv.shape[1]
        q, k, v = kernels.pack(qkv, cosine, sine, heads, window)
        weights = torch.bmm(q, k.transpose(1, 2))
        kernels.masked_softmax(weights, B, window)
        ctx.save_for_backward(q, k, v, weights, cosine, sine)
        ctx.shape = qkv.shape[0], heads, window
        return kernels.unpack(torch.bmm(weights, v), B, heads, window)

    @staticmethod
    def backward(ctx, grad):
        q, k, v, weights, cosine, sine = ctx.saved_tensors
        T, heads, window = ctx.shape
        grad = kernels.unpack_backward(grad.contiguous(), heads, window)
        gv = torch.bmm(weights.transpose(1, 2), grad)
        gs = torch.bmm(grad, v.transpose(1, 2))
        kernels.softmax_backward(weights, gs)
        gq, gk = torch.bmm(gs, k), torch.bmm(gs.transpose(1, 2), q)
        return kernels.pack_backward(gq, gk, gv, cosine, sine, heads, window, T), None, None, None, None


class CrossEntropy(Function):
    """(logits before the cap [n, V], targets, weights, cap) -> Σ weight · loss, each loss, whether it is right."""

    @staticmethod
    def forward(ctx, logits, targets, weights, cap):
        losses, right = kernels.cross_entropy(logits, targets, weights, cap)
        ctx.save_for_backward(logits)  # now the gradient
        ctx.mark_non_differentiable(losses, right)
        return (losses * weights).sum(), losses, right

    @staticmethod
    def backward(ctx, grad, *_):
        return ctx.saved_tensors[0] * grad.bfloat16(), None, None, None


def half(*tensors: Tensor) -> Tensor:
    return torch.cat([t.bfloat16() for t in tensors]) if len(tensors) > 1 else tensors[0].bfloat16()


def features(model: Griffin, tokens: Tensor) -> Tensor:
    """tokens [B, T] -> [T, B, D] bf16, as Griffin.features. T must be a multiple of the window."""
    config = model.config
    x = F.embedding(tokens.t().contiguous(), model.model["embed_tokens"].weight) * model.embedding_scale
    delta = torch.zeros_like(x, dtype=torch.bfloat16)
    cos, sin = rope_table(tokens.shape[1], int(config.head_width * config.rope_fraction), config.rope_base)
    rope = cos.flatten(1).contiguous(), sin.flatten(1).contiguous()
    for layer in model.model["layers"]:
        x, y = AddNorm.apply(x, delta, layer.temporal_pre_norm.weight, config.norm_epsilon)
        block = layer.temporal_block
        delta = recurrent(block, y) if isinstance(block, RecurrentBlock) else attention(block, y, rope)
        x, y = AddNorm.apply(x, delta, layer.channel_pre_norm.weight, config.norm_epsilon)
        mlp = layer.mlp_block
        both = F.linear(y, half(mlp.gate_proj.weight, mlp.up_proj.weight), half(mlp.gate_proj.bias, mlp.up_proj.bias))
        delta = F.linear(GeGlu.apply(both), half(mlp.down_proj.weight), half(mlp.down_proj.bias))
    return AddNorm.apply(x, delta, model.model["final_norm"].weight, config.norm_epsilon)[1]


def recurrent(block: RecurrentBlock, y: Tensor) -> Tensor:
    lru = block.rg_lru
    xy = F.linear(y, half(block.linear_x.weight, block.linear_y.weight), half(block.linear_x.bias, block.linear_y.bias))
    # The blocks of the gates' matrices [K, in, out] as one matrix [2E, E]: on fast matrix units the zeros cost little.
    weights = [torch.block_diag(*w.transpose(1, 2)) for w in (lru.input_gate_weight, lru.recurrent_gate_weight)]
    taps = block.conv_1d.weight[:, 0].t().contiguous()
    gate_bias = half(lru.input_gate_bias.flatten(), lru.recurrent_gate_bias.flatten())
    decay = DECAY_SCALE * F.softplus(lru.recurrent_param)
    out = Recurrence.apply(xy, taps, block.conv_1d.bias, half(*weights), gate_bias, decay)
    return F.linear(out, half(block.linear_out.weight), half(block.linear_out.bias))


def attention(block: AttentionBlock, y: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    if block.config.kv_heads != 1:
        raise ValueError(f"only one key head is fused, the config has {block.config.kv_heads}")
    qkv = F.linear(y, half(block.q_proj.weight, block.k_proj.weight, block.v_proj.weight))
    mixed = Attention.apply(qkv, *rope, block.config.heads, block.window)
    return F.linear(mixed, half(block.o_proj.weight), half(block.o_proj.bias))


def loss(model: Griffin, tokens: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted mean of the cross-entropy over tokens [B, T]; then each counted token's loss, and whether it is right, in
    time-major order. Logits are computed only where the weight is not 0."""
    weights = weights.t()
    counts = weights > 0
    counted = weights[counts]
    logits = F.linear(features(model, tokens)[counts], half(model.model["embed_tokens"].weight))
    total, losses, right = CrossEntropy.apply(logits, targets.t()[counts], counted / counted.sum(), model.config.soft_cap)
    return total, losses, right
