"""How does a training run become a model that others can load?

    python export.py [--run runs/fledgling-4m] [--out ../models/fledgling-4m]

Writes a Hugging Face folder. The weights are rounded to bfloat16. `trainer-logits.json` holds logits of the forward pass
in griffin.py, in f32 with the rounded weights: what any other implementation must reproduce. `held-out/` holds the text that
`npm run eval:model` measures on, `training-log.txt` how it was trained. card.py then writes the model card.
"""

import argparse
import json
import shutil
from pathlib import Path
from random import Random

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

import examinations
import held_out
from grammar import chat_document
from griffin import Config, Griffin
from recall import far
from sample import load
from tokenizer import BOS, END_OF_TURN, EOS, PAD

HERE = Path(__file__).parent
REFERENCE_LENGTHS = (5, 20, 40, 100, 150)  # the last is longer than two windows
DIALOGUES = 80  # of each distance
REFERENCE_POSITIONS = 8  # of each sequence, spread from the first to the last

# As Gemma 1 does it, but a system message, which Gemma refuses, is put before the first question.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% set first = '' %}"
    "{% set turns = messages %}"
    "{% if messages[0]['role'] == 'system' %}"
    "{% set first = (messages[0]['content'] | trim) + '\n\n' %}"
    "{% set turns = messages[1:] %}"
    "{% endif %}"
    "{% if turns | length == 0 %}{{ raise_exception('The conversation has no user message') }}{% endif %}"
    "{% for message in turns %}"
    "{% if message['role'] != ('user' if loop.index0 % 2 == 0 else 'assistant') %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}"
    "{{ '<start_of_turn>' + ('user' if message['role'] == 'user' else 'model') + '\n' }}"
    "{% if loop.first %}{{ first }}{% endif %}"
    "{{ message['content'] | trim }}"
    "{{ '<end_of_turn>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)

TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "add_bos_token": True,
    "add_eos_token": False,
    "bos_token": "<bos>",
    "eos_token": "<eos>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "clean_up_tokenization_spaces": False,
    "chat_template": CHAT_TEMPLATE,
}


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@torch.no_grad()
def reference_logits(model: Griffin, tokenizer: Tokenizer) -> dict:
    rng = Random(7)
    documents = [chat_document(far(rng, 1000), rng) for _ in REFERENCE_LENGTHS]
    sequences = []
    for length, document in zip(REFERENCE_LENGTHS, documents):
        tokens = [BOS, *tokenizer.encode(document.text, add_special_tokens=False).ids][:length]
        assert len(tokens) == length
        count = min(length, REFERENCE_POSITIONS)
        positions = sorted({round(i * (length - 1) / (count - 1)) for i in range(count)})
        logits = model(torch.tensor([tokens]))[0, positions]  # [positions, V]
        rows = [[float(f"{value:.7g}") for value in row] for row in logits.tolist()]
        sequences.append({"tokens": tokens, "positions": positions, "logits": rows})
    return {"precision": "f32 forward pass, bfloat16-rounded weights, 7 significant digits", "sequences": sequences}


def export(run: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model, tokenizer = load(run)
    rounded = {name: tensor.bfloat16().contiguous() for name, tensor in model.state_dict().items()}
    model.load_state_dict({name: tensor.float() for name, tensor in rounded.items()})
    save_file(rounded, out / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(run / "config.json", out / "config.json")
    shutil.copy(run / "tokenizer.json", out / "tokenizer.json")
    write_json(out / "tokenizer_config.json", TOKENIZER_CONFIG)
    write_json(out / "generation_config.json", {"bos_token_id": BOS, "eos_token_id": [EOS, END_OF_TURN], "pad_token_id": PAD})
    (out / "trainer-logits.json").write_text(json.dumps(reference_logits(model, tokenizer), separators=(",", ":")) + "\n")
    shutil.copy(run / "log.txt", out / "training-log.txt")
    (out / "held-out").mkdir(exist_ok=True)
    write_lines(out / "held-out" / "dialogues.jsonl", examinations.dialogues(tokenizer, DIALOGUES))
    write_lines(out / "held-out" / "documents.jsonl", held_out.documents())
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        print(f"{path.stat().st_size:9,} bytes  {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=HERE / "runs" / "fledgling-4m")
    parser.add_argument("--out", type=Path, default=HERE.parent / "models" / "fledgling-4m")
    options = parser.parse_args()
    torch.set_num_threads(1)
    export(options.run, options.out)


if __name__ == "__main__":
    main()
