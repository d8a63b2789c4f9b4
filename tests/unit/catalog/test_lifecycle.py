from __future__ import annotations

import pytest

from catalog.lifecycle import MOVES, imported, refusal
from tests.fakes.catalogue import a_snapshot, a_tone
from tests.fakes.line import NOON

STATES = ("draft", "published", "suspended", "retired")
ALLOWED = {
    ("draft", "publish"), ("published", "suspend"), ("suspended", "resume"),
    ("draft", "retire"), ("published", "retire"), ("suspended", "retire"),
}  # fmt: skip


def test_only_the_steps_of_a_tones_life_are_possible() -> None:
    possible = {
        (state, verb) for state in STATES for verb in MOVES if refusal("1029", state, verb) is None
    }
    assert possible == ALLOWED


@pytest.mark.parametrize(
    ("state", "verb", "said"),
    [
        ("retired", "publish", "tone 1029 is retired: import it again to bring it back"),
        ("suspended", "publish", "tone 1029 is suspended: `toneline tones resume` ends a suspensi"),
        ("draft", "suspend", "tone 1029 is draft: only a published tone can be suspended"),
        ("retired", "retire", "tone 1029 is retired: only a draft or published or suspended tone"),
    ],
)
def test_other_steps_are_refused_in_a_sentence(state: str, verb: str, said: str) -> None:
    assert (refusal("1029", state, verb) or "").startswith(said)


@pytest.mark.parametrize(
    ("before", "as_draft", "after"),
    [
        (None, False, "published"),
        (None, True, "draft"),
        ("retired", False, "published"),
        ("draft", False, "published"),
        ("draft", True, "draft"),
        ("published", True, "published"),
        ("suspended", False, "suspended"),
    ],
)
def test_an_import_undoes_no_suspension_and_hides_nothing(
    before: str | None, as_draft: bool, after: str
) -> None:
    assert imported(before, as_draft=as_draft) == after


@pytest.mark.parametrize("state", ["draft", "suspended", "retired"])
def test_only_a_published_tone_is_heard_found_or_listed(state: str) -> None:
    snapshot = a_snapshot([a_tone(state=state), a_tone("1032", "别的")])
    assert snapshot.tone("1029") is None
    assert snapshot.find("1029", NOON) == ()
    assert not snapshot.is_code_prefix("102")
    assert snapshot.next_of_style(a_tone("1032", "别的"), NOON) is None
