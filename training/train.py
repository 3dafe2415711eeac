"""How is the model trained?

    python train.py --minutes 15 [--run runs/fledgling-2m] [--config fledgling-2m.json]

AdamW on text that the grammar makes on the way, so that no document is seen twice. The learning rate follows the compute
spent: it warms up, then falls along a cosine until the minutes are over. Minutes are processor time, so that a run on a
busy machine takes longer but learns the same. The run's folder holds the tokenizer, the
config, a log and `checkpoint.pt`; started again, training goes on from there (within the same number of minutes).
"""

import argparse
import json
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

import tokenizer as bpe
from batches import LONGEST, LONGEST_AT_FIRST, Batch, pool
from griffin import Config, Griffin

HERE = Path(__file__).parent
PEAK_RATE, LAST_RATE = 3e-3, 1e-4
WARM_UP = 0.02  # of the time
SHORT_DOCUMENTS = 0.3  # of the time, at its beginning
WEIGHT_DECAY = 0.05  # of matrices only
CLIP = 1.0
VALIDATION_SEED = -1  # training pools count from 0
LOG_SECONDS, VALIDATE_SECONDS, SAVE_SECONDS = 10, 120, 60


@dataclass
class Progress:
    seconds: float = 0.0  # of processor time in training so far, over all starts
    step: int = 0
    tokens: int = 0
    next_pool: int = 0


def processor_seconds() -> float:
    return time.process_time() / torch.get_num_threads()


def loss_of(model: Griffin, batch: Batch) -> Tensor:
    """Mean cross-entropy over the tokens that the model is to predict. Logits are computed for these only."""
    inputs, targets, learned = batch
    with torch.autocast("cpu", torch.bfloat16):  # the matrix products; norms, scan and logits stay in f32
        features = model.features(inputs)[learned.t()]  # [n, D]
        logits = model.logits(features)  # [n, V]
    return F.cross_entropy(logits, targets.t()[learned.t()])


@torch.no_grad()
def validation_loss(model: Griffin, batches: list[Batch]) -> float:
    counts = [int(learned.sum()) for _, _, learned in batches]
    return sum(float(loss_of(model, batch)) * n for batch, n in zip(batches, counts)) / sum(counts)


def learning_rate(done: float) -> float:
    """done: the part of the time that is over, 0 … 1."""
    if done < WARM_UP:
        return PEAK_RATE * (done + 0.001) / WARM_UP
    falling = min(1.0, (done - WARM_UP) / (1.0 - WARM_UP))
    return LAST_RATE + (PEAK_RATE - LAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * falling))


def new_optimizer(model: Griffin) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98), fused=True)


def save(path: Path, model: Griffin, optimizer: torch.optim.AdamW, progress: Progress) -> None:
    unfinished = path.with_suffix(".tmp")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "progress": vars(progress)}, unfinished)
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
    optimizer, progress = new_optimizer(model), Progress()
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        progress = Progress(**saved["progress"])
    validation = pool(tokenizer, VALIDATION_SEED, size=128)
    log = (run / "log.txt").open("a")

    def report(line: str) -> None:
        print(line, flush=True)
        print(line, file=log, flush=True)

    parameters = sum(p.numel() for p in model.parameters())
    report(f"{parameters:,} parameters; {progress.seconds:.0f} of {minutes * 60:.0f} s done")
    clock = processor_seconds()
    logged = validated = saved_at = time.monotonic()
    losses: list[float] = []
    tokens_before = progress.tokens
    while True:
        # Pool after pool of new text, each with its number as the seed.
        short = progress.seconds < SHORT_DOCUMENTS * minutes * 60
        batches = pool(tokenizer, progress.next_pool, longest=LONGEST_AT_FIRST if short else LONGEST)
        progress.next_pool += 1
        for batch in batches:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(progress.seconds / (minutes * 60))
            loss = loss_of(model, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            progress.step += 1
            progress.tokens += batch[0].numel()
            progress.seconds += processor_seconds() - clock
            clock = processor_seconds()
            now = time.monotonic()
            if now - logged > LOG_SECONDS:
                rate = (progress.tokens - tokens_before) / (now - logged)
                left = minutes * 60 - progress.seconds
                report(f"{progress.seconds:6.0f} s  step {progress.step:5}  {progress.tokens / 1e6:6.2f} M tokens  "
                       f"loss {sum(losses) / len(losses):.4f}  {rate:6.0f} tokens/s  {left:5.0f} s left")
                losses, tokens_before, logged = [], progress.tokens, now
            over = progress.seconds >= minutes * 60
            if over or now - validated > VALIDATE_SECONDS:
                report(f"{progress.seconds:6.0f} s  validation loss {validation_loss(model, validation):.4f}")
                clock = processor_seconds()  # validation is not training time
                validated = logged = time.monotonic()
                tokens_before = progress.tokens
            if over or now - saved_at > SAVE_SECONDS:
                save(checkpoint, model, optimizer, progress)
                saved_at = time.monotonic()
            if over:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--run", type=Path, default=HERE / "runs" / "fledgling-2m")
    parser.add_argument("--config", type=Path, default=HERE / "fledgling-2m.json")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options.run, options.config, options.minutes)


if __name__ == "__main__":
    main()
