from __future__ import annotations

import csv
from pathlib import Path

import pytest

from audio.formats import SoundUnreadable, duration_ms, level, read_sound, to_wav
from audio.prompts import title_file
from audio.voices import VOICES
from catalog.branches import BRANCHES, PROVINCE, read_branches
from catalog.catalogue_file import read_catalogue
from catalog.values import damm_digit
from toneline.demo import SAMPLE, SAMPLE_SP, prepare_sample

HEADER = (
    "code,title,artist,sp,style,price_fen,member_price_fen,senior_price_fen,licence_until,audio"
)
SCORE = """
title = "{title}"
source = "a test"
key = "D4"
tempo = 240
bar = 4
form = ["A"]
[sections.A]
melody = "{melody}"
[[parts]]
voice = "piano"
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A sample catalogue of two short tones."""
    folder = tmp_path / "sample"
    (folder / "scores").mkdir(parents=True)
    for code, title, melody in (("1029", "茉莉花", "3 3 5 6"), ("1032", "小星星", "1 1 5 5")):
        score = SCORE.format(title=title, melody=melody)
        (folder / "scores" / f"{code}-song.toml").write_text(score, "utf-8")
    (folder / "tones.csv").write_text(
        f"{HEADER}\n1029,茉莉花,古筝,示例曲库,民歌,200,150,100,2027-12-31,\n"
        "1032,小星星,音乐盒,示例曲库,儿歌,100,80,0,,\n",
        "utf-8",
    )
    return folder


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Rendered prompts that have the title of one of the two tones."""
    titles = tmp_path / "speech" / "titles"
    titles.mkdir(parents=True)
    (titles / title_file("茉莉花")).write_bytes(to_wav(b"\1\0" * 800))
    return titles.parent


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_first_run_renders_every_tone_and_installs_its_title(
    tmp_path: Path, sample: Path, speech: Path
) -> None:
    said: list[str] = []
    jasmine, star = prepare_sample(tmp_path, speech, "zh_CN", said.append, sample)
    pcm = read_sound(tmp_path / f"{jasmine.sound}.wav")
    assert duration_ms(pcm) == jasmine.duration_ms
    assert level(pcm) == pytest.approx(-19, abs=1)
    for ending in (".alaw", ".ulaw", "-first.wav"):
        assert (tmp_path / f"{jasmine.sound}{ending}").is_file()
    assert jasmine.sound.startswith("tones/1029-")
    assert jasmine.sound != star.sound
    assert jasmine.title_sound == f"titles/zh_CN/{title_file('茉莉花')[:12]}"
    assert read_sound(tmp_path / f"{jasmine.title_sound}.alaw")
    assert star.title_sound is None
    assert (jasmine.prices.senior, star.prices.senior) == (100, 0)
    assert jasmine.state == "published"
    assert said[-1] == "sample tones: 2 of 2 rendered"


def test_the_second_run_changes_nothing_and_says_nothing(
    tmp_path: Path, sample: Path, speech: Path
) -> None:
    sounds = tmp_path / "sounds"
    said: list[str] = []
    first = prepare_sample(sounds, speech, "zh_CN", lambda _: None, sample)
    before = contents(sounds)
    assert prepare_sample(sounds, speech, "zh_CN", said.append, sample) == first
    assert contents(sounds) == before
    assert said == []


def test_an_interrupted_run_goes_on_where_it_stopped(
    tmp_path: Path, sample: Path, speech: Path
) -> None:
    sounds = tmp_path / "sounds"
    jasmine, star = prepare_sample(sounds, speech, "zh_CN", lambda _: None, sample)
    kept = (sounds / f"{jasmine.sound}.wav").stat().st_mtime_ns
    (sounds / f"{star.sound}.wav").unlink()
    said: list[str] = []
    prepare_sample(sounds, speech, "zh_CN", said.append, sample)
    assert said == ["sample tones: 1 of 1 rendered"]
    assert (sounds / f"{star.sound}.wav").is_file()
    assert (sounds / f"{jasmine.sound}.wav").stat().st_mtime_ns == kept


def test_a_changed_score_becomes_a_new_sound_beside_the_old(
    tmp_path: Path, sample: Path, speech: Path
) -> None:
    before, _ = prepare_sample(tmp_path, speech, "zh_CN", lambda _: None, sample)
    score = sample / "scores" / "1029-song.toml"
    score.write_text(SCORE.format(title="茉莉花", melody="3 3 5 1'"), "utf-8")
    after, _ = prepare_sample(tmp_path, speech, "zh_CN", lambda _: None, sample)
    assert after.sound != before.sound
    assert (tmp_path / f"{before.sound}.wav").is_file()


def test_a_title_that_was_spoken_anew_replaces_the_old_one(
    tmp_path: Path, sample: Path, speech: Path
) -> None:
    jasmine, _ = prepare_sample(tmp_path, speech, "zh_CN", lambda _: None, sample)
    title = speech / "titles" / title_file("茉莉花")
    title.write_bytes(to_wav(b"\2\0" * 900))
    prepare_sample(tmp_path, speech, "zh_CN", lambda _: None, sample)
    assert read_sound(tmp_path / f"{jasmine.title_sound}.wav") == b"\2\0" * 900


def test_a_score_that_cannot_be_played_is_named(tmp_path: Path, sample: Path) -> None:
    score = sample / "scores" / "1029-song.toml"
    score.write_text(SCORE.format(title="茉莉花", melody="3 3 5 8"), "utf-8")
    with pytest.raises(SoundUnreadable, match=r"1029-song\.toml: section A, melody, bar 1: '8'"):
        prepare_sample(tmp_path, tmp_path, "zh_CN", lambda _: None, sample)


def test_a_tone_without_score_is_named(tmp_path: Path, sample: Path) -> None:
    (sample / "scores" / "1032-song.toml").unlink()
    with pytest.raises(SoundUnreadable, match=r"there is no score 1032-\*\.toml"):
        prepare_sample(tmp_path, tmp_path, "zh_CN", lambda _: None, sample)


# ------------------------------------------------------------ what is shipped


def test_the_shipped_catalogue_can_be_imported_as_it_is() -> None:
    rows = read_catalogue((SAMPLE / "tones.csv").read_text("utf-8"), "tones.csv")
    assert len(rows) >= 40
    assert {row.code: row.title for row in rows}["1029"] == "茉莉花"
    assert len({row.title for row in rows}) == len(rows)
    for row in rows:
        assert row.code[-1] == damm_digit(row.code[:-1])
        assert row.sp == SAMPLE_SP
        assert row.prices.senior < row.prices.member < row.prices.visitor


def test_every_shipped_tone_has_a_score_of_its_title() -> None:
    with (SAMPLE / "tones.csv").open(encoding="utf-8") as file:
        titles = {row["code"]: row["title"] for row in csv.DictReader(file)}
    scores = {path.stem.partition("-")[0]: path for path in (SAMPLE / "scores").glob("*.toml")}
    assert scores.keys() == titles.keys()
    for code, path in scores.items():
        assert f'title = "{titles[code]}"' in path.read_text("utf-8"), path


def test_every_voice_has_its_place_in_some_score() -> None:
    scores = "".join(path.read_text("utf-8") for path in (SAMPLE / "scores").glob("*.toml"))
    assert [voice for voice in VOICES if f'voice = "{voice}"' not in scores] == []


def test_the_shipped_branch_table_knows_area_codes_and_mobile_prefixes() -> None:
    file = SAMPLE.parent / "branches.csv"
    table = read_branches(file.read_text("utf-8"), str(file))
    assert file.stat().st_size < 400_000
    assert set(table.area_codes.values()) == set(BRANCHES)
    assert set(table.prefixes.values()) == set(BRANCHES)
    assert table.branch_of("8613905250001") == "yangzhou"
    assert table.branch_of(None, "0514") == "yangzhou"
    assert table.branch_of("8613905250001", "025") == "nanjing"
    assert table.branch_of("8613800100500") is None


def test_the_province_and_every_branch_have_a_directory_of_their_own() -> None:
    files = list((SAMPLE.parent / "directories").glob("*.yaml"))
    assert {file.stem for file in files} == {PROVINCE, *BRANCHES}
    assert len({file.read_text("utf-8").partition("editions:")[2] for file in files}) == len(files)
