"""Does griffin.py compute what DeepMind's reference computes?

    python check_golden.py [folder with golden cases, default ../test/golden]

For each case the prompt and the decode tokens are run as one long sequence. All logits must lie within TOLERANCE of
those of the reference in double precision.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from griffin import Config, Griffin

GOLDEN = Path(__file__).parent.parent / "test" / "golden"
CASES = ("griffin-a", "hawk-c", "griffin-d")
TOLERANCE = 5e-5  # of f32 logits up to about 4; two correct f32 programs differ by some 5e-6
NUMPY_TYPES = {"f32": "<f4", "f64": "<f8", "i32": "<i4"}


def read_tensors(folder: Path, file: str) -> dict[str, np.ndarray]:
    """The arrays of one `.bin` file, by the names the case's manifest gives them."""
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = next(entry for entry in manifest["files"] if entry["file"] == file)
    raw = (folder / file).read_bytes()
    return {
        t["name"]: np.frombuffer(raw[t["offset"] : t["offset"] + t["bytes"]], NUMPY_TYPES[t["dtype"]]).reshape(t["shape"])
        for t in entry["tensors"]
    }


def load_case(folder: Path) -> tuple[Griffin, torch.Tensor, np.ndarray]:
    """The model, its tokens [1, T] and the reference's logits [1, T, V] f64."""
    model = Griffin(Config.load(folder / "hf" / "config.json"))
    model.load_state_dict(load_file(folder / "hf" / "model.safetensors"))
    tokens = read_tensors(folder, "tokens.i32.bin")
    logits = read_tensors(folder, "logits.f64.bin")
    steps = [logits[f"decode.{i}"][:, None] for i in range(tokens["decode"].shape[1])]
    sequence = np.concatenate([tokens["prompt"], tokens["decode"]], axis=1)
    return model, torch.tensor(sequence).long(), np.concatenate([logits["prompt"], *steps], axis=1)


@torch.no_grad()
def difference(folder: Path) -> float:
    model, tokens, expected = load_case(folder)
    return float(np.abs(model(tokens).double().numpy() - expected).max())


def main() -> None:
    golden = Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN
    failed = False
    for case in CASES:
        worst = difference(golden / case)
        ok = worst <= TOLERANCE
        failed |= not ok
        print(f"{case:10}  max |logit - reference| = {worst:.2e}  {'ok' if ok else f'MORE THAN {TOLERANCE:.0e}'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
