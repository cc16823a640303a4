"""How far one comes without a language model: what the tuned model has to beat where answers are labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from lorasdk.builtin.choice import MOST_LABELS
from lorasdk.builtin.unspaced_scripts import SCRIPTS
from lorasdk.contracts import Example
from lorasdk.eval_report import Baseline
from lorasdk.evaluation.bootstrap import interval_of_means
from lorasdk.evaluation.guest_imports import leaving_no_trace
from lorasdk.evaluation.labelling import label_of
from lorasdk.evaluation.statistics import verdict_of

MOST_ROWS = 50_000
"""Training rows that a baseline learns from; of more, a sample is drawn."""
MOST_TERMS = 50_000
"""Terms that it counts, the most frequent ones: with 100 labels, 40 MB of numbers."""
NEARLY_EVERY = 0.95
"""A term in a larger share of the training rows, such as an instruction that all share, tells nothing of their labels;
counted as often as it occurs, it would speak for the labels whose rows are short."""
TERM = rf"(?P<run>[{SCRIPTS}][{SCRIPTS}\p{{M}}]*)|[^\W{SCRIPTS}]+"


def baselines(
    test: Sequence[Example], training: Sequence[Example], tuned_right: Sequence[float], *, seed: int
) -> tuple[Baseline, ...]:
    """Learn from the training rows, answer the test rows, and compare with the tuned model.

    ``majority`` gives every row the most frequent label. ``bag of words`` is multinomial naive Bayes (scikit-learn)
    over the words of all turns before the answer, since that is what the model is given; it is left out when the rows
    have no words to tell them apart by. Scripts that write no spaces count by characters and pairs of them.

    Args:
        test: rows whose references are labels, at least two.
        training: at most 50,000 of them are used, drawn with `seed`, and of them those with the 100 most frequent
            labels; none leave nothing to compare with.
        tuned_right: 1 for each test row whose label the tuned model gives, otherwise 0.
        seed: of that sample and of the intervals.
    """
    rows = _known(training, seed)
    if not rows:
        return ()
    texts, labels = [_asked(row) for row in rows], [label_of(row.reference) for row in rows]
    ((majority, _),) = Counter(labels).most_common(1)
    guesses = {"majority": [majority] * len(test)}
    by_words = _by_words(texts, labels, [_asked(row) for row in test])
    if by_words is not None:
        guesses["bag of words"] = by_words
    truth = [label_of(row.reference) for row in test]
    return tuple(
        _compared(name, [float(guess == label) for guess, label in zip(guessed, truth, strict=True)], tuned_right, seed)
        for name, guessed in guesses.items()
    )


def _compared(name: str, right: Sequence[float], tuned_right: Sequence[float], seed: int) -> Baseline:
    interval = interval_of_means(right, tuned_right, seed=seed)
    return Baseline(name, sum(right) / len(right), interval, verdict_of(interval, higher_is_better=True))


def _known(training: Sequence[Example], seed: int) -> list[Example]:
    import numpy as np

    places: Sequence[int] = range(len(training))
    if len(training) > MOST_ROWS:
        drawn = np.random.default_rng(seed).choice(len(training), MOST_ROWS, replace=False)
        places = np.sort(drawn).tolist()
    rows = [row for row in (training[place] for place in places) if row.text is None]
    frequent = dict(Counter(label_of(row.reference) for row in rows).most_common(MOST_LABELS))
    return [row for row in rows if label_of(row.reference) in frequent]


def _asked(row: Example) -> str:
    return "\n".join(turn.content for turn in row.prompt)


def _by_words(texts: Sequence[str], labels: Sequence[str], asked: Sequence[str]) -> list[str] | None:
    with leaving_no_trace():
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.naive_bayes import MultinomialNB
    counting = CountVectorizer(analyzer=_terms, max_df=NEARLY_EVERY, max_features=MOST_TERMS)
    try:
        counts = counting.fit_transform(texts)
    except ValueError:  # scikit-learn's word for a vocabulary that is empty, or is so without what nearly all rows have
        return None
    guessed: list[str] = MultinomialNB().fit(counts, labels).predict(counting.transform(asked)).tolist()
    return guessed


def _terms(text: str) -> Iterator[str]:
    """Words; of a script that writes no spaces between them, characters and pairs of neighbours."""
    import regex

    for found in regex.finditer(TERM, text.casefold(), flags=regex.VERSION0):
        run = found["run"]
        if run is None:
            yield found[0]
        else:
            yield from run
            yield from (first + second for first, second in pairwise(run))
