from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lorasdk.data.encoding import TokenRow
from lorasdk.data.packs import pack
from lorasdk.data.prefix_tree import PrefixTree


def row(*ids: int, start: int = 1, number: int = 1) -> TokenRow:
    return TokenRow(number, ids, ((start, len(ids)),))


@st.composite
def rows(draw: st.DrawFn) -> list[TokenRow]:
    """Rows of few different tokens, so that many begin alike; with supervised spans anywhere."""
    found = []
    for number in range(draw(st.integers(1, 12))):
        ids = draw(st.lists(st.integers(0, 2), min_size=2, max_size=12))
        cuts = sorted(draw(st.sets(st.integers(1, len(ids)), min_size=2, max_size=4)))
        spans = tuple(zip(cuts[::2], cuts[1::2], strict=False))
        found.append(TokenRow(number + 1, tuple(ids), spans))
    return found


def rebuilt(tree: PrefixTree, number: int) -> tuple[int, ...]:
    return tuple(i for segment in tree.path(number) for i in tree.segments[segment].ids)


@given(rows=rows(), worth=st.integers(1, 9))
def test_a_path_through_the_tree_is_the_row(rows: list[TokenRow], worth: int):
    tree = PrefixTree.of(rows, worth=worth)
    for number, row in enumerate(rows):
        assert rebuilt(tree, number) == row.ids
        segments = [tree.segments[i] for i in tree.path(number)]
        assert [s.position for s in segments] == [sum(len(t.ids) for t in segments[:i]) for i in range(len(segments))]


@given(rows=rows(), worth=st.integers(1, 9))
def test_segments_lie_one_after_another_and_what_continues_one_right_behind_it(rows: list[TokenRow], worth: int):
    tree = PrefixTree.of(rows, worth=worth)
    assert [s.start for s in tree.segments] == [
        sum(len(t.ids) for t in tree.segments[:i]) for i in range(len(tree.segments))
    ]
    ends = [segment.start + len(segment.ids) for segment in tree.segments]
    for number, segment in enumerate(tree.segments):
        below = {number}
        for other, candidate in enumerate(tree.segments):
            if candidate.parent in below:
                below.add(other)
        assert below == set(range(number, number + len(below)))
        assert segment.parent is None or ends[segment.parent] <= segment.start


@given(rows=rows(), worth=st.integers(1, 9))
def test_each_supervised_token_is_predicted_from_the_token_before_it(rows: list[TokenRow], worth: int):
    tree = PrefixTree.of(rows, worth=worth)
    flat = [i for segment in tree.segments for i in segment.ids]
    counted = [0] * len(tree.targets)
    for number, row in enumerate(rows):
        wanted = [i for start, end in row.spans for i in range(start, end)]
        assert len(tree.row_targets[number]) == len(wanted)
        for i, target in zip(wanted, tree.row_targets[number], strict=True):
            counted[target] += 1
            assert tree.targets[target].label == row.ids[i]
            assert flat[tree.targets[target].index] == row.ids[i - 1]
    assert counted == [target.weight for target in tree.targets]


@given(rows=rows())
def test_with_everything_worth_it_no_two_branches_begin_alike(rows: list[TokenRow]):
    tree = PrefixTree.of(rows, worth=1)
    firsts = [(segment.parent, segment.ids[0]) for segment in tree.segments]
    assert len(firsts) == len(set(firsts))


def test_nested_beginnings_are_shared_at_each_level():
    common, deeper = tuple(range(100, 140)), tuple(range(200, 240))
    tree = PrefixTree.of([row(*common, 1), row(*common, *deeper, 2), row(*common, *deeper, 3, 4)])
    assert [(s.ids[0], s.parent, s.position) for s in tree.segments] == [
        (100, None, 0),
        (1, 0, 40),
        (200, 0, 40),
        (2, 2, 80),
        (3, 2, 80),
    ]
    assert tree.tokens == 40 + 40 + 1 + 1 + 2


def test_what_saves_little_is_repeated():
    tree = PrefixTree.of([row(*range(20), 50), row(*range(20), 60)])
    assert [len(segment.ids) for segment in tree.segments] == [21, 21]
    tree = PrefixTree.of([row(*range(20), 50 + i) for i in range(3)])
    assert [len(segment.ids) for segment in tree.segments] == [20, 1, 1, 1]


@given(rows=rows(), max_tokens=st.integers(1, 60), max_rows=st.one_of(st.none(), st.integers(1, 5)))
def test_packs_hold_every_row_once_and_keep_their_limits(rows: list[TokenRow], max_tokens: int, max_rows: int | None):
    packs = pack(rows, max_tokens=max_tokens, max_rows=max_rows)
    assert sorted(row.row for part in packs for row in part) == sorted(row.row for row in rows)
    for part in packs:
        assert len(part) <= (max_rows or len(part))
        assert len(part) == 1 or PrefixTree.of(part).tokens <= max_tokens


def test_rows_that_begin_alike_meet_in_a_pack():
    ones, twos = ([row(*[first] * 40, i, number=first) for i in range(5)] for first in (1, 2))
    mixed = [row for pair in zip(ones, twos, strict=True) for row in pair]
    packs = pack(mixed, max_tokens=50)
    assert sorted({row.row for row in part} == {1} for part in packs) == [False, True]
    assert [len(part) for part in packs] == [5, 5]


def test_packs_are_about_equally_full():
    packs = pack([row(*range(100 * i, 100 * i + 60)) for i in range(10)], max_tokens=500)
    assert [len(part) for part in packs] == [5, 5]
