"""voices.py: the instruments of the synthesizer: pitch and length in, the sound of one note out.

Three families carry all of them: strings that are plucked or hammered, bars and bells that are
struck, and everything that is blown, bowed or fed by bellows. Each note is a sum of partials below
the 3.4 kHz that a telephone passes, so that nothing aliases at 8 kHz and what is computed is heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

RATE_HZ = 8000
HIGHEST_HZ = 3500.0
Samples = NDArray[np.float64]


class Voice(Protocol):
    """An instrument."""

    @property
    def tremolo_hz(self) -> float:
        """How often a long note is struck again; 0 for never."""

    def sound(
        self, hertz: float, seconds: float, glide: float, rng: np.random.Generator
    ) -> Samples:
        """Return one note of `seconds` and what rings after it, at a peak of about 1.

        `glide` is by how many semitones the player slides into it from the note before.
        """


@dataclass(frozen=True, slots=True)
class Plucked:
    """A string that is plucked or hammered: an ideal string's partials, each decaying.

    `position` is where along the string it is plucked (that partial's comb), `brightness` the slope
    of the partials, `decay_s` the time to fall by 60 dB at 440 Hz, `damping` how much faster each
    higher partial goes, `ring_s` how long it sounds on after its note, `pair_cents` the detuning of
    a second string, `bend_cents` how sharp it is struck.
    """

    position: float
    brightness: float
    decay_s: float
    damping: float
    ring_s: float
    pair_cents: float = 0.0
    bend_cents: float = 0.0
    pick: float = 0.02
    tremolo_hz: float = 0.0

    def sound(
        self,
        hertz: float,
        seconds: float,
        glide: float,  # noqa: ARG002  a string that is struck does not slide
        rng: np.random.Generator,
    ) -> Samples:
        """Return the note; see Voice."""
        time = _time(seconds + self.ring_s)
        fall = 6.9 / self.decay_s * (hertz / 440.0) ** 0.5
        partial = _partials(hertz)
        amplitudes = np.sin(np.pi * partial * self.position) / partial**self.brightness
        bend = self.bend_cents * np.exp(-time / 0.04)
        envelope, damping = np.exp(-fall * time), np.exp(-fall * self.damping * time)
        sound = _sum(_phase(hertz, bend), amplitudes, envelope, damping)
        if self.pair_cents:
            sound += _sum(_phase(hertz, bend + self.pair_cents), amplitudes, envelope, damping)
        click = rng.standard_normal(64) * np.hanning(64) * self.pick * np.abs(sound).max()
        sound[: click.size] += click
        return _finish(sound, 0.003, seconds)


@dataclass(frozen=True, slots=True)
class Struck:
    """A bar, a bell or a comb: a few partials as `(ratio, amplitude, decay_s at 880 Hz)`."""

    partials: tuple[tuple[float, float, float], ...]
    ring_s: float
    tremolo_hz: float = 0.0

    def sound(
        self,
        hertz: float,
        seconds: float,
        glide: float,  # noqa: ARG002  nor does a bar
        rng: np.random.Generator,
    ) -> Samples:
        """Return the note; see Voice."""
        time = _time(seconds + self.ring_s)
        sound = np.zeros_like(time)
        for ratio, amplitude, decay_s in self.partials:
            if hertz * ratio < HIGHEST_HZ:
                fall = 6.9 / decay_s * (hertz / 880.0) ** 0.5
                sound += amplitude * np.exp(-fall * time) * np.sin(2 * np.pi * hertz * ratio * time)
        tap = rng.standard_normal(80) * np.hanning(80) * 0.04
        sound[: tap.size] += tap
        return _finish(sound, 0.002, seconds)


@dataclass(frozen=True, slots=True)
class Sustained:
    """What is blown, bowed or fed by bellows.

    `harmonics` are the amplitudes of the first ones; where there are none they fall as
    1/n**`slope`. `body` are the resonances as `(hertz, width, gain)`. The pitch swings by
    `vibrato_cents` at `vibrato_hz` once the note has stood `vibrato_after_s`; `choir_cents` are the
    detunings of several players; `breath` is the noise of air or bow beside the tone.
    """

    harmonics: tuple[float, ...] = ()
    slope: float = 1.0
    body: tuple[tuple[float, float, float], ...] = ()
    attack_s: float = 0.04
    release_s: float = 0.08
    vibrato_cents: float = 0.0
    vibrato_hz: float = 5.5
    vibrato_after_s: float = 0.25
    choir_cents: tuple[float, ...] = (0.0,)
    breath: float = 0.0
    swell: float = 0.0
    slides: bool = False
    tremolo_hz: float = 0.0

    def sound(
        self, hertz: float, seconds: float, glide: float, rng: np.random.Generator
    ) -> Samples:
        """Return the note; see Voice."""
        time = _time(seconds + self.release_s)
        envelope = self._envelope(time, seconds)
        grown = np.clip((time - self.vibrato_after_s) / 0.3, 0.0, 1.0)
        cents = self.vibrato_cents * grown * np.sin(2 * np.pi * self.vibrato_hz * time)
        if self.slides and glide:
            cents = cents - 100 * glide * np.exp(-time / 0.022)
        amplitudes = self._amplitudes(hertz)
        sound = np.zeros_like(time)
        for player, detune in enumerate(self.choir_cents):
            phase = _phase(hertz, cents + detune) + player * 1.7
            sound += _sum(phase, amplitudes, envelope, envelope**0.12)
        if self.breath:
            sound += self.breath * np.abs(sound).max() * _air(hertz, time, envelope, rng)
        return _finish(sound, 0.004, seconds)

    def _envelope(self, time: Samples, seconds: float) -> Samples:
        rise = np.sin(np.clip(time / self.attack_s, 0, 1) * np.pi / 2) ** 2
        fall = np.cos(np.clip((time - seconds) / self.release_s, 0, 1) * np.pi / 2) ** 2
        middle = np.sin(np.pi * np.clip(time / max(seconds, 0.05), 0, 1))
        return np.asarray(rise * fall * (1 - self.swell + self.swell * middle))

    def _amplitudes(self, hertz: float) -> Samples:
        partial = _partials(hertz)
        if self.harmonics:
            amplitudes = np.array(self.harmonics[: partial.size])
            partial = partial[: amplitudes.size]
        else:
            amplitudes = partial**-self.slope
        gain = np.full(partial.size, 0.25 if self.body else 1.0)
        for centre, width, height in self.body:
            gain += height / (1 + ((partial * hertz - centre) / width) ** 2)
        return np.asarray(amplitudes * gain)


def _time(seconds: float) -> Samples:
    return np.arange(int(seconds * RATE_HZ)) / RATE_HZ


def _partials(hertz: float) -> Samples:
    """Return the numbers of the partials a telephone passes, 24 at the most."""
    return np.arange(1.0, max(1, min(24, int(HIGHEST_HZ / hertz))) + 1)


def _phase(hertz: float, cents: Samples) -> Samples:
    """Return the fundamental's phase in radians when its pitch is off by `cents` along the way."""
    return np.asarray(2 * np.pi * hertz / RATE_HZ * np.cumsum(np.exp2(cents / 1200)))


def _sum(phase: Samples, amplitudes: Samples, envelope: Samples, damping: Samples) -> Samples:
    """Return the sum of all partials, each under `envelope` and one `damping` more than the last.

    sin((n+1)x) = 2 cos(x) sin(nx) - sin((n-1)x) makes each partial out of the two before it, ten
    times as fast as a sine for each.
    """
    single = np.float32  # half the memory to go through; its error stays 80 dB below
    double_cosine = (2 * np.cos(phase)).astype(single)
    before, now = np.zeros(phase.size, single), np.sin(phase).astype(single)
    weight, fall = envelope.astype(single), damping.astype(single)
    sound = single(amplitudes[0]) * weight * now
    for amplitude in amplitudes[1:].astype(single):
        before *= -1
        before += double_cosine * now
        before, now = now, before
        weight *= fall
        sound += amplitude * weight * now
    return sound.astype(np.float64)


def _air(hertz: float, time: Samples, envelope: Samples, rng: np.random.Generator) -> Samples:
    """Return noise around the tone and its octave, stronger while the note begins."""
    radius, angle = 0.9, 2 * np.pi * min(hertz * 2, 2800) / RATE_HZ
    resonator = [1.0, -2 * radius * np.cos(angle), radius * radius]
    noise = lfilter([1.0, 0.0, -1.0], resonator, rng.standard_normal(time.size))
    noise /= np.abs(noise).max()
    return np.asarray(noise * envelope * (1 + 2 * np.exp(-time / 0.05)))


def _finish(sound: Samples, attack_s: float, seconds: float) -> Samples:
    """Return the sound without a click at either end, at a peak of 1."""
    rise = int(attack_s * RATE_HZ)
    sound[:rise] *= np.linspace(0, 1, rise)
    ringing = sound.size - int(seconds * RATE_HZ)
    sound[-ringing:] *= np.cos(np.linspace(0, np.pi / 2, ringing)) ** 2
    return np.asarray(sound / np.abs(sound).max())


VOICES: Mapping[str, Voice] = {
    "guzheng": Plucked(0.11, 0.9, 3.2, 0.16, 1.4, bend_cents=14, pick=0.05),
    "pipa": Plucked(0.08, 0.7, 1.1, 0.20, 0.25, bend_cents=22, pick=0.12, tremolo_hz=11.0),
    "yangqin": Plucked(0.13, 0.8, 1.9, 0.22, 0.6, pair_cents=7, pick=0.10, tremolo_hz=9.0),
    "guitar": Plucked(0.22, 1.1, 2.6, 0.30, 0.5, pick=0.03),
    "harp": Plucked(0.35, 1.5, 3.0, 0.30, 1.2, pick=0.02),
    "piano": Plucked(0.12, 1.25, 3.4, 0.25, 0.22, pair_cents=2, pick=0.03),
    "musicbox": Struck(((1, 1.0, 2.2), (2, 0.35, 1.4), (3.01, 0.25, 0.8), (5.4, 0.12, 0.3)), 1.2),
    "bells": Struck(((1, 1.0, 3.0), (2.0, 0.5, 2.0), (2.76, 0.5, 1.2), (4.1, 0.2, 0.6)), 1.1),
    "marimba": Struck(((1, 1.0, 1.1), (2, 0.2, 0.5), (3.93, 0.45, 0.25), (9.2, 0.1, 0.1)), 0.5),
    "dizi": Sustained(
        (0.8, 1.0, 0.55, 0.45, 0.25, 0.18, 0.10, 0.06), attack_s=0.03, release_s=0.06,
        vibrato_cents=16, breath=0.07, swell=0.25,
    ),
    "xiao": Sustained(
        (1.0, 0.45, 0.5, 0.12, 0.14, 0.05), attack_s=0.06, release_s=0.12, vibrato_cents=18,
        vibrato_hz=4.8, breath=0.11, swell=0.35,
    ),
    "flute": Sustained(
        (1.0, 0.6, 0.25, 0.12, 0.06), attack_s=0.05, release_s=0.09, vibrato_cents=14,
        vibrato_hz=5.2, breath=0.06, swell=0.2,
    ),
    "erhu": Sustained(
        slope=0.9, body=((520, 220, 0.9), (1250, 350, 1.2), (2400, 500, 1.4)), attack_s=0.05,
        release_s=0.09, vibrato_cents=24, vibrato_hz=5.9, breath=0.03, swell=0.25, slides=True,
    ),
    "strings": Sustained(
        slope=1.15, body=((500, 300, 0.7), (1500, 600, 0.8), (2800, 700, 0.5)), attack_s=0.14,
        release_s=0.3, vibrato_cents=8, choir_cents=(-9, 0, 8), swell=0.1,
    ),
    "violins": Sustained(
        slope=1.0, body=((480, 200, 0.8), (1400, 500, 0.9), (2700, 600, 0.8)), attack_s=0.05,
        release_s=0.12, vibrato_cents=14, choir_cents=(-6, 5), breath=0.02, swell=0.15,
    ),
    "cello": Sustained(
        slope=0.8, body=((250, 150, 0.8), (600, 250, 1.4), (1500, 500, 1.3)), attack_s=0.07,
        release_s=0.15, vibrato_cents=18, vibrato_hz=5.2, breath=0.03, swell=0.3, slides=True,
    ),
    "organ": Sustained(
        (1.0, 0.7, 0.3, 0.5, 0.08, 0.22, 0.0, 0.25), attack_s=0.025, release_s=0.09,
        choir_cents=(0.0, 3.0),
    ),
    "harmonica": Sustained(
        slope=0.75, body=((900, 400, 0.6), (2200, 700, 0.8)), attack_s=0.035, release_s=0.07,
        choir_cents=(-5, 6), vibrato_cents=8, vibrato_hz=5.0, breath=0.03, swell=0.1,
    ),
    "accordion": Sustained(
        slope=0.8, body=((700, 400, 0.6), (1800, 700, 0.6)), attack_s=0.03, release_s=0.06,
        choir_cents=(-8, 0, 7),
    ),
}  # fmt: skip
