"""The FAST action tokenizer: chunk -> cosine transform over time -> integers -> characters -> byte-level BPE, and back.

Same token ids as the released FAST+ for the same normalised chunk. What the released decoder turns into silent zeros
or huge numbers (a cut sequence, bytes that are no text, a character outside the fitted range) has a status here.
Facts and formulas: FAST (arXiv:2501.09747), https://huggingface.co/physical-intelligence/fast.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..envs.errors import InputError
from ..envs.safe_io import read_object
from ..envs.types import Array

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILES = ("processor_config.json", "tokenizer.json")
"""Files of a tokenizer folder."""
LARGEST_TOKEN = 1 << 24
"""Beyond every vocabulary and every quantised coefficient."""
LAST_CHARACTER = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)
"""Codes that are halves of characters: no text can hold them."""
REPLACEMENT = 0xFFFD
"""Character that a UTF-8 decoder writes for bytes that are no character."""


PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
"""Bytes that stand for themselves in a byte-level vocabulary; the others follow from U+0100 on, in order."""
_OTHERS = (byte for byte in range(0x100) if byte not in PRINTABLE)
_BYTES = {**{chr(byte): byte for byte in PRINTABLE}, **{chr(0x100 + index): byte for index, byte in enumerate(_OTHERS)}}
"""Letter of a byte-level vocabulary -> byte."""


class FastError(InputError, ValueError):
    """A tokenizer folder that is none, or data that cannot be fitted."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Meaning of a token sequence."""

    status: str
    """`ok`; `malformed`: not as many coefficients as the chunk has, bytes that are no text, or an id that is no token's (all
    coefficients are dropped then); `out_of_range`: a coefficient that the fitted range does not hold."""
    coefficients: Array
    """[however many there were] int64, before division by the scale."""
    actions: Array | None
    """[horizon, action size] float64, normalised; None where the number of coefficients is wrong."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Token ids to learn: every row decodes to a chunk, with status `ok`."""

    tokens: list[list[int]]
    cut: Array
    """[batch] int: coefficients of each chunk that the tokenizer cannot say, and that the nearest it can took the place of."""


@dataclass(frozen=True)
class FastTokenizer:
    """A fitted tokenizer: byte-pair merges, and the quantisation in front of them."""

    backend: Tokenizer
    scale: float
    min_token: int
    """Smallest quantised coefficient of the fitting data; it becomes character 0."""
    vocab_size: int
    """Also bounds the fitted range: its characters are 0 to at most `vocab_size`."""
    max_token: int | None = None
    """Largest quantised coefficient of the fitting data; larger ones are cut to it. None, as released: they are not."""
    _said: dict[int, bool] = field(default_factory=dict, compare=False, repr=False)
    """Code -> whether it survives encoding and decoding; see `_sayable`."""

    def encode(self, chunks: Array) -> list[list[int]]:
        """Token ids per chunk, as released: they decode to `out_of_range` or `malformed` where the chunk lies outside the fit.

        Args:
            chunks: [batch, horizon, action size], normalised. float32 is transformed in float32, as released.

        Raises:
            FastError: a number that is none, or a coefficient so far outside the fit that no character stands for it.
        """
        flat = _rows(self.quantise(chunks))
        codes = np.clip(flat, self.min_token, self.max_token) - self.min_token
        bad = (codes > LAST_CHARACTER) | ((codes >= SURROGATES.start) & (codes < SURROGATES.stop))
        if bad.any():
            raise FastError(
                f"a chunk has the coefficient {flat[bad][0]:g}, far outside the tokenizer's fit, which begins at "
                f"{self.min_token} and holds {self.vocab_size}; normalise the actions with the statistics that it was fitted with"
            )
        return self._tokens(codes.astype(np.int64))

    def label(self, chunks: Array) -> Labels:
        """Token ids per chunk that decode: what the tokenizer cannot say is cut to the nearest that it can, and counted.

        Args:
            chunks: as of `encode`.

        Raises:
            FastError: a number that is none, or a tokenizer that has no words for its own range.
        """
        wanted = _rows(self.quantise(chunks)) - self.min_token
        codes = np.clip(wanted, 0, self._widest()).astype(np.int64)
        for code in np.unique(codes):
            if not self._sayable(int(code)):
                codes[codes == code] = self._nearest(int(code))
        tokens, (batch, horizon, size) = self._tokens(codes), np.shape(chunks)
        if any(answer.status != "ok" for answer in self.decode(tokens, horizon, size)):
            raise FastError(f"the action tokenizer does not decode what it encodes ({batch} chunks of {horizon} x {size})")
        return Labels(tokens, (codes != wanted).sum(axis=1))

    def _tokens(self, codes: Array) -> list[list[int]]:
        """Token ids of each row of codes, all of which are characters."""
        texts = ["".join(map(chr, row)) for row in codes]
        return [encoding.ids for encoding in self.backend.encode_batch(texts)]

    def _widest(self) -> int:
        """The largest code that the fitted range holds."""
        return min(self.vocab_size if self.max_token is None else self.max_token - self.min_token, LAST_CHARACTER)

    def codes(self) -> list[int]:
        """Characters of all coefficients in the fitted range, the least first; those that no text can hold are omitted."""
        return [code for code in range(self._widest() + 1) if code not in SURROGATES and code != REPLACEMENT]

    def token_bytes(self, token: int) -> bytes:
        """Bytes that a token stands for; none for a special token or an id of no token."""
        text = self.backend.id_to_token(token) or ""
        return bytes(_BYTES[letter] for letter in text) if all(letter in _BYTES for letter in text) else b""

    def _sayable(self, code: int) -> bool:
        """Whether a coefficient comes back: merges fitted as released have no token for bytes that the data did not hold."""
        if code not in self._said:
            ids = [] if code in SURROGATES or code == REPLACEMENT else self._tokens(np.array([[code]]))[0]
            self._said[code] = bool(ids) and self.backend.decode(ids) == chr(code)
        return self._said[code]

    def _nearest(self, code: int) -> int:
        """The nearest code that can be said, the one towards no motion first."""
        inwards = -1 if code > -self.min_token else 1
        for distance in range(1, self._widest() + 1):
            for other in (code + inwards * distance, code - inwards * distance):
                if 0 <= other <= self._widest() and self._sayable(other):
                    return other
        raise FastError("the action tokenizer has no token for any coefficient of its range")

    def quantise(self, chunks: Array) -> Array:
        """[batch, horizon (now frequency), action size] rounded coefficients, unclamped, in the type of the chunks."""
        from scipy.fft import dct

        chunks = np.asarray(chunks)
        if chunks.ndim != 3:
            raise FastError(f"chunks must be [batch, horizon, action size], not {list(chunks.shape)}")
        _require_numbers(chunks)
        return np.around(np.asarray(dct(chunks, axis=1, norm="ortho")) * self.scale)

    def decode(self, tokens: Sequence[Sequence[int]], horizon: int, action_size: int) -> list[Decoded]:
        """Decode each token sequence as a chunk of that shape."""
        from scipy.fft import idct

        known = self.backend.get_vocab_size()
        texts = self.backend.decode_batch([list(row) if all(0 <= t < known for t in row) else [] for row in tokens])
        codes = [np.array([ord(character) for character in text], np.int64) for text in texts]
        fits = [row for row in codes if len(row) == horizon * action_size]
        spectra = np.reshape(fits, (len(fits), horizon, action_size)).astype(np.float64) + self.min_token
        chunks = iter(np.asarray(idct(spectra / self.scale, axis=1, norm="ortho")) if fits else ())
        return [
            Decoded(
                self._status(row, horizon * action_size),
                row + self.min_token,
                next(chunks) if len(row) == horizon * action_size else None,
            )
            for row in codes
        ]

    def _status(self, codes: Array, expected: int) -> str:
        if len(codes) != expected or (codes == REPLACEMENT).any():
            return "malformed"
        return "out_of_range" if (codes > self._widest()).any() else "ok"

    @classmethod
    def load(cls, folder: Path) -> FastTokenizer:
        """The tokenizer of a folder laid out like the released one. Reads two JSON files, runs no code. Raises FastError."""
        from tokenizers import Tokenizer

        settings = _settings(folder / FILES[0])
        try:
            backend = Tokenizer.from_file(str(folder / FILES[1]))
        except Exception as error:  # tokenizers raises plain Exception
            raise FastError(f"{folder / FILES[1]} is not a tokenizer file: {error}") from None
        return cls(backend, **settings)

    @classmethod
    def fit(
        cls, chunks: Sequence[Array], *, scale: float = 10, vocab_size: int = 1024, whole_alphabet: bool = True
    ) -> FastTokenizer:
        """A tokenizer fitted on normalised chunks [horizon, action size], whose lengths may differ.

        Args:
            chunks: the training data.
            scale: coefficients are multiplied by it and rounded.
            vocab_size: number of tokens.
            whole_alphabet: give every byte a token, so that no coefficient can disappear, and cut coefficients at both ends of
                the fitted range. False fits as released.

        Raises:
            FastError: the range of the coefficients does not fit the vocabulary.
        """
        quantised = [_quantised(chunk, scale) for chunk in chunks]
        low = int(min(row.min() for row in quantised))
        high = int(max(row.max() for row in quantised))
        if high - low > vocab_size:
            raise FastError(f"coefficients range over {high - low}, more than the vocabulary of {vocab_size}; lower the scale")
        texts = ("".join(map(chr, row - low)) for row in quantised)
        backend = _train(texts, high - low, vocab_size, whole_alphabet=whole_alphabet)
        return cls(backend, scale, low, vocab_size, high if whole_alphabet else None)

    def save(self, folder: Path) -> None:
        """Write the two files that `load` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.texts().items():
            (folder / name).write_text(text, encoding="utf-8")

    def texts(self) -> dict[str, str]:
        """Name -> content of the two files."""
        settings = {"scale": self.scale, "min_token": self.min_token, "vocab_size": self.vocab_size}
        settings |= {} if self.max_token is None else {"max_token": self.max_token}
        text = json.dumps({"action_dim": None, "time_horizon": None, **settings}, indent=2, sort_keys=True) + "\n"
        return {FILES[0]: text, FILES[1]: self.backend.to_str(pretty=True)}


def _settings(path: Path) -> dict[str, Any]:
    try:
        settings = read_object(path)
        whole = ("min_token", "vocab_size", *(["max_token"] if "max_token" in settings else []))
        found = {"scale": float(settings["scale"]), **{key: int(settings[key]) for key in whole}}
        if not 0 < found["scale"] < 1e9 or max(abs(found[key]) for key in whole) > LARGEST_TOKEN:
            raise ValueError(f"numbers out of range: {found}")
        return found
    except OSError as error:
        raise FastError(f"no FAST tokenizer at {path.parent}: {error.strerror}: {path}") from None
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise FastError(f"{path} is not the settings of a FAST tokenizer: {type(error).__name__}: {error}") from None


def _rows(chunks: Array) -> Array:
    """[batch, numbers of a chunk]"""
    return chunks.reshape(len(chunks), chunks.shape[1] * chunks.shape[2])


def _require_numbers(chunks: Array) -> None:
    if chunks.dtype.kind not in "fiub" or not np.isfinite(chunks).all():
        raise FastError("actions hold NaN, infinity or something that is no number; they have no tokens")


def _quantised(chunk: Array, scale: float) -> Array:
    from scipy.fft import dct

    _require_numbers(np.asarray(chunk))
    return np.around(np.asarray(dct(np.asarray(chunk), axis=0, norm="ortho")) * scale).astype(np.int64).ravel()


def _train(texts: Iterator[str], widest: int, vocab_size: int, *, whole_alphabet: bool) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    # As released the alphabet lists code points, although the merges work on printable stand-ins for bytes.
    alphabet = [chr(code) for code in range(widest + 1)]
    if whole_alphabet:
        alphabet = sorted({*alphabet, *pre_tokenizers.ByteLevel.alphabet()})
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        show_progress=False,
        special_tokens=[],
        initial_alphabet=alphabet,
        max_token_length=10_000,
    )
    backend.train_from_iterator(texts, trainer=trainer)
    return backend
