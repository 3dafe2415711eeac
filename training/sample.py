"""What does the model say?

    python sample.py FOLDER ["a prompt" ...] [--temperature 0.8] [--tokens 200] [--plain]

FOLDER is a training run (with checkpoint.pt) or an export (with model.safetensors). A prompt is a chat message, or with
--plain the beginning of a text. Every token costs a whole forward pass: simple, and fast enough for looking.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from grammar import END, START
from griffin import Config, Griffin
from tokenizer import BOS, END_OF_TURN, EOS

PROMPTS = [
    "Hello!",
    "Tell me a story about a fox.",
    "My name is Anna. What is my name?",
    "What can you do?",
    "Tell me a story about a brave girl and a kite.",
    "What is your favorite color?",
]


def load(folder: Path) -> tuple[Griffin, Tokenizer]:
    model = Griffin(Config.load(folder / "config.json"))
    if (folder / "model.safetensors").exists():
        weights = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    else:
        weights = torch.load(folder / "checkpoint.pt")["model"]
    model.load_state_dict(weights)
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


def chat_prompt(message: str, tokenizer: Tokenizer) -> list[int]:
    text = f"{START}user\n{message}{END}\n{START}model\n"
    return [BOS, *tokenizer.encode(text, add_special_tokens=False).ids]


@torch.no_grad()
def generate(model: Griffin, prompt: list[int], tokens: int, temperature: float = 0.0, seed: int = 0) -> list[int]:
    """New ids after the prompt, up to and without <eos> or <end_of_turn>. Temperature 0 takes the likeliest token."""
    generator = torch.Generator().manual_seed(seed)
    ids = list(prompt)
    for _ in range(tokens):
        logits = model.logits(model.features(torch.tensor([ids]))[-1, 0])  # [V]
        if temperature > 0:
            chosen = int(torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator))
        else:
            chosen = int(logits.argmax())
        if chosen in (EOS, END_OF_TURN):
            break
        ids.append(chosen)
    return ids[len(prompt) :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("prompts", nargs="*", default=PROMPTS)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load(options.folder)
    for text in options.prompts:
        prompt = [BOS, *tokenizer.encode(text, add_special_tokens=False).ids] if options.plain else chat_prompt(text, tokenizer)
        ids = generate(model, prompt, options.tokens, options.temperature, options.seed)
        print(f"> {text}\n{tokenizer.decode(ids)}\n({len(ids)} tokens, {len(set(ids[:64]))} different ones in the first 64)\n")


if __name__ == "__main__":
    main()
