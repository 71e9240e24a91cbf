"""A larger sentence encoder that training leans on: what words and sentences mean, beyond the labelled texts.

Rule: only its vectors are learned from, as targets of a loss; nothing of it is in the weights. Any BERT folder whose
vectors are means over tokens will do (all-MiniLM-L6-v2 was used, arXiv 1908.10084). Vectors are cached in a folder.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

Vectors = NDArray[np.float16]
BATCH = 128
LONGEST = 128  # tokens


class Teacher:
    """`cache`: a folder that vectors are kept in between runs."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder, self._cache = folder, cache

    def vectors(self, texts: Sequence[str]) -> Mapping[str, Vectors]:
        """Each text's vector, of length 1."""
        known = self._kept()
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            known |= dict(zip(missing, self._embed(missing), strict=True))
            self._keep(known)
        return known

    def _kept(self) -> dict[str, Vectors]:
        if not (self._cache / "texts.json").exists():
            return {}
        texts = json.loads((self._cache / "texts.json").read_text(encoding="utf-8"))
        return dict(zip(texts, np.load(self._cache / "vectors.npy", mmap_mode="r"), strict=True))

    def _keep(self, known: Mapping[str, Vectors]) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        vectors = np.stack(list(known.values()))
        np.save(self._cache / "vectors.npy", vectors)
        (self._cache / "texts.json").write_text(json.dumps(list(known)), encoding="utf-8")

    def _embed(self, texts: Sequence[str]) -> Vectors:
        read, model = AutoTokenizer.from_pretrained(self._folder), AutoModel.from_pretrained(self._folder).eval()
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        found = np.zeros((len(texts), model.config.hidden_size), np.float16)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for start in range(0, len(order), BATCH):
                part = order[start : start + BATCH]
                tokens = read(
                    [texts[n] for n in part], padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
                )
                there = tokens["attention_mask"][..., None].float()
                mean = (model(**tokens).last_hidden_state.float() * there).sum(1) / there.sum(1)
                found[part] = torch.nn.functional.normalize(mean, dim=-1).numpy()
        return found
