"""The tokenizer: byte-level BPE, its special tokens, the chat template, and dialogues as token ids with weights.

Rule: any bytes survive encode and decode; the ids of the special tokens never change between versions of the starter.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
RESERVED = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<|image|>")
SPECIAL = (END, START, STOP, *RESERVED)
BLANK = "Ġ"  # a blank, as byte-level tokens write it
SPLIT = r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CHAT_TEMPLATE = (Path(__file__).parent / "template.jinja").read_text(encoding="utf-8")


def train(texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer of `size` tokens and the bare names; digits are one token each, every byte has a token."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return with_bare_names(tokenizer)


def with_bare_names(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, and beside each token of a blank and a capital (` Par`) the one without its blank (`Par`).

    A name is then cut alike in a question (` Paris`) and in a call (`"Paris`), so that it can be copied token by token.
    """
    state = json.loads(tokenizer.to_str())
    vocabulary, merges = state["model"]["vocab"], []
    known = {(one, other) for one, other in state["model"]["merges"]}
    for one, other in state["model"]["merges"]:
        merges.append([one, other])
        bare = (one[1:], other)
        if one[:1] == BLANK and one[1:2].isupper() and bare not in known:
            merges.append(list(bare))
            vocabulary.setdefault("".join(bare), len(vocabulary))
    state["model"]["merges"] = merges
    return Tokenizer.from_str(json.dumps(state))


def save(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "bos_token": None,
        "eos_token": STOP,
        "pad_token": END,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def prompt(turns: Iterable[tuple[str, str]]) -> str:
    """What the chat template renders for these (role, text) turns and a generation prompt."""
    return "".join(f"{START}{role}\n{text}{STOP}\n" for role, text in map(heard, turns)) + f"{START}assistant\n"


def heard(turn: tuple[str, str]) -> tuple[str, str]:
    """The turn as the model is given it: a tool's result comes from the user, in tags."""
    role, text = turn
    return ("user", f"<tool_response>\n{text}\n</tool_response>") if role == "tool" else turn


def pieces(turns: Iterable[tuple[str, str]]) -> list[tuple[str, bool]]:
    """The rendered dialogue in (text, whether the model has to say it) pieces; an answer includes its end token."""
    said: list[tuple[str, bool]] = []
    for role, text in map(heard, turns):
        said.append((f"{START}{role}\n", False))
        answer = role == "assistant"
        said.extend([(text + STOP, True), ("\n", False)] if answer else [(text + STOP + "\n", False)])
    return [*said, (END, False)]


def encode(tokenizer: Tokenizer, turns: Iterable[tuple[str, str]], unsaid: float) -> tuple[list[int], list[float]]:
    """Token ids and loss weights of one dialogue: 1 for what the assistant says, `unsaid` for the rest."""
    ids: list[int] = []
    weights: list[float] = []
    for text, said in pieces(turns):
        new = tokenizer.encode(text).ids
        ids += new
        weights += [1.0 if said else unsaid] * len(new)
    return ids, weights
