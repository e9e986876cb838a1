"""The report: figures derived from counts, and a self-contained page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from typer.testing import CliRunner

from gesture_maze.cli.evaluate import evaluate
from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.evaluation import calibration_error
from gesture_maze.models.judged import Judged, compare, judge, mcnemar, reliability
from gesture_maze.models.report.drawing import gallery_svg, hand_svg, matrix_svg, reliability_svg
from gesture_maze.models.report.page import Subject, report_html
from gesture_maze.wire.gestures import GESTURES
from tests.support.hands import hands, write_csv


def judged(right_share: float = 0.8, seed: int = 0, n: int = 400, users: bool = True) -> Judged:
    """Return answers for the same n hands, of which about `right_share` are right."""
    truth = np.random.default_rng(99).integers(0, len(GESTURES), n)
    rng = np.random.default_rng(seed)
    predicted = np.where(rng.random(n) < right_share, truth, (truth + 1) % len(GESTURES))
    confidence = rng.uniform(0.3, 1.0, n)
    probabilities = np.tile(((1 - confidence) / (len(GESTURES) - 1))[:, None], (1, len(GESTURES)))
    probabilities[np.arange(n), predicted] = confidence
    names = np.array([f"u{row // 4}" if users else "" for row in range(n)])
    return Judged(f"mlp-{seed:010x}", 0.7, rng.normal(size=(n, 21, 2)), truth, names, probabilities)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_equals_binomial_test(first: int, second: int) -> None:
    wanted = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(wanted, rel=1e-9)


def test_mcnemar_with_large_counts_does_not_overflow() -> None:
    assert 0 <= mcnemar(10_000, 9_000) < 1e-10


def test_compare_of_two_models_is_paired_by_hand() -> None:
    good, bad = judged(0.9), judged(0.6, seed=1)
    found = compare(good, bad)
    assert found.only_first + found.only_second + found.both + found.neither == 400
    assert found.difference == pytest.approx(good.right.mean() - bad.right.mean())
    assert found.interval[0] < found.difference < found.interval[1]
    assert found.p_value < 1e-6
    assert found.p_text() == "p < 0.000001"
    assert found.by_user
    same = compare(good, good)
    assert (same.p_value, same.difference, same.interval) == (1.0, 0.0, (0.0, 0.0))
    assert same.p_text() == "p = 1"


def test_compare_with_repeated_users_widens_interval() -> None:
    first, second = judged(0.5, users=False), judged(0.5, users=False)
    rows = np.repeat(np.arange(20), 20)  # each hand repeated 20 times
    together = [
        Judged(one.model, 0.7, one.points[rows], one.labels[rows], users, one.probabilities[rows])
        for one, users in (
            (first, np.char.add("u", rows.astype(str))),
            (judged(0.7, seed=3), np.char.add("u", rows.astype(str))),
        )
    ]
    apart = [
        Judged(one.model, 0.7, one.points, one.labels, np.full(len(rows), ""), one.probabilities)
        for one in together
    ]
    wide, narrow = compare(*together), compare(*apart)
    assert not narrow.by_user
    assert np.ptp(wide.interval) > 2 * np.ptp(narrow.interval)
    assert compare(first, second).p_value == 1.0


def test_reliability_bins_sum_to_calibration_error() -> None:
    one = judged()
    bins = reliability(one)
    assert sum(b.n for b in bins) == 400
    gaps = sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / 400
    assert gaps == pytest.approx(calibration_error(one.labels, one.probabilities))


def test_worst_mistakes_are_sorted_by_confidence() -> None:
    one = judged()
    worst = one.worst(3, 5)
    assert (one.labels[worst] == 3).all()
    assert not one.right[worst].any()
    assert (np.diff(one.confidence[worst]) <= 0).all()
    assert one.right[one.typical(3, 2)].all()
    assert one.confusion().sum() == 400
    assert np.trace(one.confusion()) == one.right.sum()


def test_pictures_are_well_formed_svg() -> None:
    one = judged()
    pictures = (
        hand_svg(one.points[0]),
        hand_svg(np.zeros((21, 2))),
        matrix_svg(one.confusion(), one.gestures),
        reliability_svg(reliability(one)),
        gallery_svg([(one.points[0], "a < b")] * 7),
        gallery_svg([]),
    )
    for picture in pictures:
        assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert "nan" not in "".join(pictures)


class Page(HTMLParser):
    """Record what a browser would fetch, and check that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        assert tag not in ("script", "link", "img", "iframe")
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_report_page_is_self_contained() -> None:
    bundle, data = load_bundle(bundled_path()), hands()
    first = Subject(judge(bundle, data), bundle.manifest)
    page = report_html(data, first, Subject(judged(n=len(data)), bundle.manifest))
    reader = Page()
    reader.feed(page)
    assert not reader.links
    assert not reader.open
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page)
    for words in ("accuracy", "Confusion matrix", "Reliability", "McNemar", "By gesture", bundle.version):
        assert words in page


def test_report_page_with_hostile_file_name_escapes_it() -> None:
    bundle, data = load_bundle(bundled_path()), hands(10)
    sly = type(data)(
        data.points, data.labels, data.users, data.sources, ("<script>x</script>.csv",), "0" * 64
    )
    page = report_html(sly, Subject(judge(bundle, sly), bundle.manifest))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_report_page_with_training_rows_names_them_as_such() -> None:
    bundle, data = load_bundle(bundled_path()), hands(10)
    assert bundle.manifest.training_data is not None
    own = type(data)(
        data.points, data.labels, data.users, data.sources, data.names, bundle.manifest.training_data.sha256
    )
    subject = Subject(judge(bundle, data), bundle.manifest)
    assert "these very rows" in report_html(own, subject)
    assert "these very rows" not in report_html(data, subject)


def test_evaluate_command_with_report_and_against_writes_page(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(evaluate)
    source, page = write_csv(tmp_path / "hands.csv", hands(10)), tmp_path / "out.html"
    words = [str(source), "--report", str(page), "--against", str(bundled_path())]
    found = CliRunner().invoke(app, [*words, "--json"])
    assert found.exit_code == 0, found.output
    against = json.loads(found.stdout)["against"]
    assert against["paired"]["p_value"] == 1.0
    assert against["model"] == load_bundle(bundled_path()).version
    assert "Against mlp-" in CliRunner(env={"COLUMNS": "200"}).invoke(app, words).stdout
    assert page.read_text().startswith("<!doctype html>")
