"""Is griffin.py right?  Run with `python -m pytest`."""

from pathlib import Path

import pytest
import torch

import check_golden
from griffin import Config, Griffin, InputScale, Scan

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def model() -> Griffin:
    torch.manual_seed(0)
    model = Griffin(Config.load(HERE / "fledgling-4m.json"))
    model.initialise(seed=0)
    with torch.no_grad():  # trained values are not zero, so none shall be here
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("case", check_golden.CASES)
@pytest.mark.skipif(not check_golden.GOLDEN.exists(), reason="no golden data in test/golden")
def test_equals_the_reference(case: str) -> None:
    assert check_golden.difference(check_golden.GOLDEN / case) <= check_golden.TOLERANCE


@torch.no_grad()
def test_a_padded_document_gives_the_logits_it_gives_alone(model: Griffin) -> None:
    long, short = torch.randint(0, 1024, (1, 200)), torch.randint(0, 1024, (1, 70))
    together = model(torch.cat([long, torch.nn.functional.pad(short, (0, 130))]))
    torch.testing.assert_close(together[:1], model(long), atol=1e-5, rtol=0)
    torch.testing.assert_close(together[1:, :70], model(short), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 3, 63, 64, 65, 128, 129, 190])
def test_a_prefix_does_not_see_what_follows(model: Griffin, length: int) -> None:
    tokens = torch.randint(0, 1024, (1, 200))
    torch.testing.assert_close(model(tokens)[:, :length], model(tokens[:, :length]), atol=1e-5, rtol=0)


def test_the_gradient_of_the_scan() -> None:
    a = torch.rand(5, 2, 3, dtype=torch.float64, requires_grad=True)
    u = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Scan.apply, (a, u))


def test_the_gradient_of_the_input_scale_is_right_and_finite() -> None:
    log_a = -torch.rand(20, dtype=torch.float64) - 0.01
    assert torch.autograd.gradcheck(InputScale.apply, (log_a.requires_grad_(),))
    closed = torch.zeros(3, requires_grad=True)  # a = 1: the slope is infinite there
    InputScale.apply(closed).sum().backward()
    assert torch.isfinite(closed.grad).all()
