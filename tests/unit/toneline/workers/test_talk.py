from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toneline.workers.talk import Begun, Drain, Drained, End, Hearing, Word, said

WORDS = st.one_of(
    st.just(Begun()),
    st.just(End()),
    st.builds(Drain, st.floats(0, 3600)),
    st.builds(Drained, st.integers()),
)


@given(st.lists(WORDS), st.integers(1, 40))
def test_words_are_heard_whole_and_in_order_however_they_are_cut(
    words: list[Word], size: int
) -> None:
    stream = b"".join(map(said, words))
    hearing = Hearing()
    heard: list[Word] = []
    for start in range(0, len(stream), size):
        heard += hearing.hear(stream[start : start + size])
    assert heard == words
