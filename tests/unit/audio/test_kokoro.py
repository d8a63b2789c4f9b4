from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio import english, mandarin
from audio.formats import RATE_HZ, SPEECH_LUFS, duration_ms, level, to_samples, true_peak_dbfs
from audio.kokoro import SpeechUnavailable, Unspeakable, Voice, open_voice

SILENCE_S, WORD_S = 0.4, 0.5


class BeepingModel:
    """Instead of speech: silence, a beep, silence; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, NDArray[Any]]] = []

    def run(self, outputs: None, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.asked.append(inputs)
        silence = np.zeros(int(24_000 * SILENCE_S))
        times = np.arange(int(24_000 * WORD_S)) / 24_000
        beep = 0.05 * np.sin(2 * np.pi * 500 * times)
        return [np.concatenate([silence, beep, silence]).astype(np.float32)[np.newaxis]]


def voice(model: BeepingModel, spoken: list[str] | None = None) -> Voice:
    def phonemes(text: str) -> str:
        if spoken is not None:
            spoken.append(text)
        return text.replace("？", "")

    tokens = {character: number for number, character in enumerate("零一二三幺八六按请拨打再见。")}
    styles = np.arange(12 * 256, dtype=np.float32).reshape(12, 256)
    return Voice(model, mandarin.sentences, phonemes, tokens, styles)


def test_speech_begins_and_ends_without_the_models_silence() -> None:
    pcm = voice(BeepingModel()).render("再见。")
    assert duration_ms(pcm) == pytest.approx(WORD_S * 1000 + 80, abs=15)
    assert level(pcm) == pytest.approx(SPEECH_LUFS, abs=0.3)
    assert true_peak_dbfs(pcm) < -3


def test_sentences_are_spoken_one_by_one_with_a_pause_between() -> None:
    model = BeepingModel()
    pcm = voice(model).render("请按1。再见。")
    assert len(model.asked) == 2
    assert duration_ms(pcm) == pytest.approx(2 * (WORD_S * 1000 + 80) + 300, abs=30)
    middle = to_samples(pcm)[len(pcm) // 4 - RATE_HZ // 20 : len(pcm) // 4 + RATE_HZ // 20]
    assert np.abs(middle).max() < 0.001


def test_a_long_number_is_read_digit_by_digit_and_a_single_digit_as_a_number() -> None:
    spoken: list[str] = []
    voice(BeepingModel(), spoken).render("请按1。请拨打10086。")
    assert spoken == ["请按一。", "请拨打幺零零八六。"]


@pytest.mark.parametrize(
    ("text", "respelled"),
    [
        ("下一首请按2。", "下亿首请按二。"),
        ("第一首，", "第一首，"),
        ("一元", "亿元"),
        ("二十一元", "二十一元"),
        ("再一遍", "再宜遍"),
        ("一月", "衣月"),
        ("十一月", "十一月"),
        ("小步舞曲", "小步舞取"),
        ("摇篮曲", "摇篮曲"),
        ("两只老虎", "两支老虎"),
    ],
)
def test_what_would_be_read_in_the_wrong_tone_is_respelled(text: str, respelled: str) -> None:
    spoken: list[str] = []
    with contextlib.suppress(Unspeakable):
        voice(BeepingModel(), spoken).render(text)
    assert spoken == [respelled]


def test_the_model_gets_padded_tokens_and_the_style_for_their_number() -> None:
    model = BeepingModel()
    voice(model).render("再见。")
    [asked] = model.asked
    assert asked["tokens"].tolist() == [[0, 11, 12, 13, 0]]
    assert asked["style"][0, 0] == 2 * 256
    assert asked["speed"].tolist() == [pytest.approx(0.9)]


@pytest.mark.parametrize("text", ["", "。", "？！", "天", "请" * 13])
def test_a_text_without_words_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(Unspeakable):
        voice(BeepingModel()).render(text)


def test_english_is_spoken_sentence_by_sentence_with_long_numbers_in_digits() -> None:
    spoken = list(english.sentences("Sorry, no agent. Please call 10086. ... For help, press 0!"))
    assert spoken == ["Sorry, no agent.", "Please call 1, 0, 0, 8, 6.", "For help, press 0!"]


@pytest.mark.parametrize(
    ("sentence", "phonemes"),
    [
        ("The top songs in Yangzhou, now.", "<The top songs in> jˌɑŋʤˈO, <now.>"),
        ("Huai'an,", "hwˌI ˈɑn,"),
        ("Mo Li Hua: two yuan fifty", "mˌO lˌi hwˈɑ: <two> jˌuˈɑn <fifty>"),
        ("Yangzhous", "<Yangzhous>"),
    ],
)
def test_chinese_names_in_english_are_spoken_by_a_table(sentence: str, phonemes: str) -> None:
    assert english.with_names(sentence, lambda words: f"<{words}>") == phonemes


def test_a_language_the_voice_does_not_speak_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpeechUnavailable, match="no language 'xx', only en, zh_CN"):
        open_voice(tmp_path / "voice.bin", "xx")


def test_without_the_extra_or_the_voice_a_sentence_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SpeechUnavailable, match=r"pip install '\.\[speech\]'|no-voice\.bin"):
        open_voice(tmp_path / "no-voice.bin")
