"""Does the fast training step compute what griffin.py computes?  Run with `python -m pytest`."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import fused
from griffin import Config, Griffin


@pytest.mark.parametrize("window", [16, 64])
def test_loss_and_gradients_are_those_of_the_plain_model(window: int) -> None:
    torch.manual_seed(0)
    model = Griffin(Config.load(Path(__file__).parent / "fledgling-4m.json"))
    model.initialise(seed=0)
    model.window = window
    tokens, targets = torch.randint(0, 2048, (2, 3, 192))
    weights = (torch.rand(3, 192) < 0.5) * torch.rand(3, 192)
    plain = (F.cross_entropy(model(tokens).transpose(1, 2), targets, reduction="none") * weights).sum() / weights.sum()
    expected = torch.autograd.grad(plain, list(model.parameters()))
    found, _, _ = fused.loss(model, tokens, targets, weights)
    found.backward()
    assert abs(float(found - plain)) < 0.02
    for (name, parameter), gradient in zip(model.named_parameters(), expected):
        likeness = F.cosine_similarity(parameter.grad.flatten(), gradient.flatten(), dim=0)
        assert likeness > 0.99, (name, float(likeness))
        assert 0.95 < float(parameter.grad.norm() / gradient.norm()) < 1.05, name
