"""How is the model trained?

    python train.py --minutes 75 [--run runs/fledgling-4m] [--config fledgling-4m.json]

On text that the grammar makes on the way, so that no document is seen twice, in the stages of curriculum.py. Muon turns
the matrices, AdamW the rest. Minutes are processor time: a run on a busy machine takes longer but learns the same.

The run's folder holds the tokenizer, the config, a log and `checkpoint.pt`; started again, training goes on from there.
The rate falls over the last part of the minutes; with more minutes given later it rises again and training continues.
"""

import argparse
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer

import fused
import recall_score
import tokenizer as bpe
from batches import Batch, pool
from curriculum import STAGES, stage_at
from grammar import COPIED_WEIGHT, DECISION_WEIGHT, REMEMBERED_WEIGHT
from griffin import Config, Griffin

HERE = Path(__file__).parent
MATRIX_RATE = 0.007  # of Muon, whose steps are turned to matrices with singular values near 1
OTHER_RATE = 1.5e-3  # of AdamW: embeddings, gates, norms, biases
WARM_UP_STEPS = 40
FALL = 0.4  # of the time, at its end: the rates fall to a hundredth
WEIGHT_DECAY = 0.01  # of matrices only
CLIP = 1.0
VALIDATION_SEED = -1  # training pools count from 0
VALIDATION_SIZE = 96  # documents
LOG_SECONDS, VALIDATE_SECONDS, SAVE_SECONDS = 20, 1800, 60


class Rights:
    """How many tokens are right, of those that weigh more in the loss."""

    NAMES = {REMEMBERED_WEIGHT: "recalled", COPIED_WEIGHT: "copied", DECISION_WEIGHT: "decided"}

    def __init__(self) -> None:
        self.counts = {weight: [0, 0] for weight in self.NAMES}  # right, all

    def add(self, weights: torch.Tensor, right: torch.Tensor) -> None:
        """weights [B, T]; right of those that count, in time-major order"""
        counted = weights.t()[weights.t() > 0]
        for weight, count in self.counts.items():
            of = right[counted == weight]
            count[0] += int(of.sum())
            count[1] += len(of)

    def __str__(self) -> str:
        return "  ".join(f"{self.NAMES[weight]} {right / max(1, of):4.0%}" for weight, (right, of) in self.counts.items())


@dataclass
class Progress:
    seconds: float = 0.0  # of processor time in training so far, over all starts
    step: int = 0
    tokens: int = 0
    next_pool: int = 0


@torch.no_grad()
def validation_loss(model: Griffin, validation: list[Batch]) -> float:
    """Here every token that counts counts the same."""
    losses = torch.cat([fused.loss(model, inputs, targets, (weights > 0).float())[1] for inputs, targets, weights in validation])
    return float(losses.mean())


def rate_at(step: int, done: float) -> float:
    """The factor of both rates. done: the part of the time that is over, 0 … 1."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return warm * max(0.01, min(1.0, (1.0 - done) / FALL))


def new_optimizers(model: Griffin) -> list[torch.optim.Optimizer]:
    named = list(model.named_parameters())
    is_matrix = lambda name, p: p.dim() == 2 and "embed_tokens" not in name  # noqa: E731
    matrices = [p for name, p in named if is_matrix(name, p)]
    others = [p for name, p in named if not is_matrix(name, p)]
    return [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, momentum=0.95, weight_decay=WEIGHT_DECAY),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def save(path: Path, model: Griffin, optimizers: list[torch.optim.Optimizer], progress: Progress) -> None:
    unfinished = path.with_suffix(".tmp")
    states = [optimizer.state_dict() for optimizer in optimizers]
    torch.save({"model": model.state_dict(), "optimizers": states, "progress": vars(progress)}, unfinished)
    unfinished.replace(path)


def prepare(run: Path, config: Path) -> tuple[Griffin, Tokenizer]:
    run.mkdir(parents=True, exist_ok=True)
    if not (run / "tokenizer.json").exists():
        (run / "tokenizer.json").write_text(json.dumps(bpe.train(), ensure_ascii=False, indent=1) + "\n")
    if not (run / "config.json").exists():
        shutil.copy(config, run / "config.json")
    model = Griffin(Config.load(run / "config.json"))
    model.initialise(seed=0)
    return model, Tokenizer.from_file(str(run / "tokenizer.json"))


def train(run: Path, config: Path, minutes: float) -> None:
    model, tokenizer = prepare(run, config)
    optimizers, progress = new_optimizers(model), Progress()
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        progress = Progress(**saved["progress"])
    validation = pool(tokenizer, Random(VALIDATION_SEED), STAGES[-1], VALIDATION_SIZE)
    log = (run / "log.txt").open("a")

    def report(line: str) -> None:
        print(line, flush=True)
        print(line, file=log, flush=True)

    parameters = sum(p.numel() for p in model.parameters())
    report(f"{parameters:,} parameters; {progress.seconds:.0f} of {minutes * 60:.0f} s done")
    published_window = model.window
    clock = time.process_time()
    logged = validated = saved_at = time.monotonic()
    losses: list[float] = []
    rights = Rights()
    tokens_before = progress.tokens
    while True:
        # Pool after pool of new text, each with its number as the seed.
        stage = stage_at(progress.seconds / (minutes * 60))
        training = pool(tokenizer, Random(progress.next_pool), stage)
        progress.next_pool += 1
        for batch in training:
            done = progress.seconds / (minutes * 60)
            model.window = stage.windows[progress.step % len(stage.windows)]
            for optimizer, rate in zip(optimizers, (MATRIX_RATE, OTHER_RATE)):
                for group in optimizer.param_groups:
                    group["lr"] = rate * rate_at(progress.step, done)
            loss, _, right = fused.loss(model, *batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.item())
            rights.add(batch[2], right)
            progress.step += 1
            progress.tokens += batch[0].numel()
            progress.seconds += time.process_time() - clock
            clock = time.process_time()
            now = time.monotonic()
            if now - logged > LOG_SECONDS:
                rate = (progress.tokens - tokens_before) / (now - logged)
                report(f"{progress.seconds:6.0f} s  step {progress.step:5}  {progress.tokens / 1e6:6.2f} M tokens  "
                       f"loss {sum(losses) / len(losses):.4f}  "
                       f"{rights}  {rate:6.0f} tokens/s")
                losses, rights, tokens_before, logged = [], Rights(), progress.tokens, now
            over = progress.seconds >= minutes * 60
            if over or now - validated > VALIDATE_SECONDS:
                model.window = published_window
                report(f"{progress.seconds:6.0f} s  validation loss {validation_loss(model, validation):.4f}")
                report(recall_score.report(recall_score.score(model, tokenizer, dialogues=8, features=fused.features)))
                clock = time.process_time()  # validation is not training time
                validated = logged = time.monotonic()
                tokens_before = progress.tokens
            if over or now - saved_at > SAVE_SECONDS:
                save(checkpoint, model, optimizers, progress)
                saved_at = time.monotonic()
            if over:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=75.0)
    parser.add_argument("--run", type=Path, default=HERE / "runs" / "fledgling-4m")
    parser.add_argument("--config", type=Path, default=HERE / "fledgling-4m.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    train(options.run, options.config, options.minutes)


if __name__ == "__main__":
    main()
