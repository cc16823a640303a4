from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lorasdk.inference.beginnings import PASS_COST, Family, find_families

LONG = tuple(range(100, 100 + PASS_COST + 1))


def shared(prompts) -> dict[int, int]:
    return {row: family.shared for family in find_families(prompts) for row in family.members}


def test_what_all_prompts_begin_with_is_shared():
    assert find_families([(*LONG, 1, 2), (*LONG, 3), (*LONG, 4, 5, 6)]) == [Family(len(LONG), (1, 0, 2))]


def test_prompts_without_anything_worth_it_in_common_share_nothing():
    short = LONG[: PASS_COST // 2]
    assert find_families([(*short, 1), (*short, 2)]) == [Family(0, (0, 1))]
    assert find_families([LONG]) == [Family(0, (0,))]


def test_the_last_token_of_a_prompt_is_its_own():
    assert shared([LONG, LONG, LONG]) == dict.fromkeys(range(3), len(LONG) - 1)
    assert shared([LONG, (*LONG, 1), (*LONG, 2)]) == dict.fromkeys(range(3), len(LONG) - 1)


def test_prompts_that_begin_otherwise_are_families_of_their_own():
    other = tuple(-i for i in LONG)
    rows = [(*LONG, 1), (*other, 1), (*LONG, 2), (*other, 2), (7, 8)]
    assert shared(rows) == {0: len(LONG), 1: len(LONG), 2: len(LONG), 3: len(LONG), 4: 0}


def test_of_nested_beginnings_those_that_save_most_are_taken():
    deep = [(*LONG, *range(k, k + 400), i) for k in (1000, 2000) for i in range(3)]
    assert set(shared(deep).values()) == {len(LONG) + 400}
    shallow = [(*LONG, *range(k, k + 10), i) for k in range(1000, 2000, 100) for i in range(2)]
    assert set(shared(shallow).values()) == {len(LONG)}


def test_families_come_by_what_is_left_to_read():
    rows = [(*LONG, *range(50)), (*LONG, 1), *((5, i) for i in range(3))]
    assert [family.shared for family in find_families(rows)] == [0, len(LONG)]


def test_prompts_that_each_begin_the_next_are_no_matter_of_depth():
    assert sum(len(family.members) for family in find_families([LONG[:1] * n for n in range(1, 1500)])) == 1499


TREES = st.lists(
    st.lists(st.integers(0, 1), min_size=1, max_size=6).map(lambda ks: tuple(k for k in ks for _ in "x" * 40))
)


def best(prompts, depth=0) -> int:
    """Most tokens saved, by trying every depth for every group."""
    groups: dict = {}
    for prompt in prompts:
        if len(prompt) > depth + 1:
            groups.setdefault(prompt[depth], []).append(prompt)
    deeper = sum(best(group, depth + 1) for group in groups.values())
    return max(deeper, (len(prompts) - 1) * depth - PASS_COST if depth else 0, 0)


@given(TREES)
def test_every_prompt_has_one_family_and_no_choice_saves_more(prompts):
    families = find_families(prompts)
    assert sorted(row for family in families for row in family.members) == list(range(len(prompts)))
    for family in families:
        rows = [prompts[row] for row in family.members]
        assert all(a[: family.shared] == b[: family.shared] for a, b in pairwise(rows))
        assert all(family.shared < len(row) for row in rows)
    saved = sum((len(family.members) - 1) * family.shared - PASS_COST for family in families if family.shared)
    assert saved == best(prompts)
