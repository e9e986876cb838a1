"""Every supported layout reads back to the hands it was written from, or is rejected with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesture_maze.capture.convert import Conversion, convert
from gesture_maze.readers.aspects import parse_aspect
from gesture_maze.readers.hands import Recording
from gesture_maze.readers.labels import map_labels, read_label_map
from gesture_maze.readers.read import LAYOUTS, read_labelled, read_recording, read_text
from gesture_maze.readers.text import decoded
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import GESTURES
from tests.support import layouts
from tests.support.layouts import PLANE, WRITERS, Written


def random_hand(seed: int, digits: int, label: str) -> Written:
    """Return a hand drawn from a seed: drawing 63 coordinates through hypothesis takes half a second."""
    return Written(np.random.default_rng(seed).uniform(-0.5, 1.5, (21, 3)).round(digits), label)


hand = st.builds(random_hand, st.integers(0, 2**32), st.integers(1, 17), st.sampled_from(GESTURES))
hands_of = st.lists(hand, min_size=1, max_size=4)


def one(label: str = "like", shift: float = 0.0) -> Written:
    points = np.random.default_rng(5).uniform(0.2, 0.8, (21, 3)).round(6)
    points[:, 2] -= 0.5
    return Written(points + shift, label)


def check(found: Recording, written: list[Written], *, plane: bool) -> None:
    shown = found.shown()
    assert len(shown) == len(written)
    for got, expected in zip(shown, written, strict=True):
        assert got.points is not None
        axes = 2 if plane else 3
        np.testing.assert_array_equal(got.points[:, :axes], expected.points[:, :axes])
        assert not plane or not got.points[:, 2].any()
        assert got.label == expected.label


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=25, deadline=None)
@given(written=hands_of)
def test_layout_written_from_hands_reads_back_equal(name: str, written: list[Written]) -> None:
    layout, write = WRITERS[name]
    found = read_text("a", write(written), aspect=4 / 3)
    assert found.layout == layout
    check(found, written, plane=name in PLANE)
    assert {hand.aspect for hand in found.hands} == {4 / 3}
    assert found.depth == (name not in PLANE)


@settings(max_examples=25, deadline=None)
@given(
    written=hands_of, mark=st.booleans(), semicolon=st.booleans(), windows=st.booleans(), upper=st.booleans()
)
def test_table_in_excel_dialect_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[Written],
    mark: bool,
    semicolon: bool,
    windows: bool,
    upper: bool,
) -> None:
    def number(value: float) -> str:
        return repr(value).replace(".", ",") if semicolon else repr(value)

    text = layouts.xyz(written, number, ";" if semicolon else ",")
    header, _, rest = text.partition("\n")
    text = (header.upper() if upper else header) + "\n" + rest
    text = text.replace("\n", "\r\n") if windows else text
    path = tmp_path_factory.getbasetemp() / "excel.csv"
    path.write_bytes(text.encode("utf-8-sig" if mark else "utf-8"))
    check(read_recording(path, aspect=1.5), written, plane=False)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_table_with_byte_order_mark_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_text(layouts.xyz([one()]), encoding=encoding)
    check(read_recording(tmp_path / "a.csv", aspect=1), [one()], plane=False)


def test_pickle_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "data.pickle").write_bytes(b"\x80\x04\x95")
    with pytest.raises(SettingsError, match="a pickle, which can run code"):
        read_recording(tmp_path / "data.pickle", aspect=1)


def test_description_counts_one_hand_and_one_empty_frame_in_the_singular() -> None:
    table = layouts.xyz([one()]) + ",".join(["like"] + ["0"] * 63) + "\n"
    assert "1 hand, 1 frame without one" in read_text("a.csv", table, aspect=1).describe()


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_compressed_table_is_read(tmp_path: Path, suffix: str) -> None:
    from gesture_maze.capture.files import create

    with create(tmp_path / f"a.csv.{suffix}") as file:
        file.write(layouts.xyz([one()]).encode())
    check(read_recording(tmp_path / f"a.csv.{suffix}", aspect=1), [one()], plane=False)


NORMALISED = [name for name in WRITERS if name != "isotropic"]


@pytest.mark.parametrize("name", NORMALISED)
def test_normalised_coordinates_without_aspect_are_rejected(name: str) -> None:
    with pytest.raises(SettingsError, match="--aspect 640x480"):
        read_text("a", WRITERS[name][1]([one()]))


def test_isotropic_columns_with_normalised_range_warn_unless_aspect_given() -> None:
    text = WRITERS["isotropic"][1]([one()])
    assert any("warning" in note for note in read_text("a", text).notes)
    given = read_text("a", text, aspect=4 / 3)
    assert not any("warning" in note for note in given.notes)
    assert "aspect 1.333 as given" in given.describe()


def scaled(hand: Written) -> Written:
    """Return the hand as in keypoint.csv: wrist at (0, 0), divided by the largest value."""
    points = hand.points - hand.points[0]
    points[:, 2] = 0
    return Written(points / np.abs(points).max(), hand.label)


@pytest.mark.parametrize("name", ["keypoint", "xyz", "point-axis"])
def test_hand_scaled_to_1_around_wrist_is_read_as_isotropic(name: str) -> None:
    found = read_text("a", WRITERS[name][1]([scaled(one()), scaled(one("fist"))]))
    assert {hand.aspect for hand in found.hands} == {1.0}
    assert "scaled to 1" in found.describe()


@pytest.mark.parametrize("name", ["xyz", "tasks-js", "tidy"])
def test_pixel_coordinates_are_read_as_isotropic(name: str) -> None:
    pixels = Written(one().points * 400, "like")
    found = read_text("a", WRITERS[name][1]([pixels]))
    assert {hand.aspect for hand in found.hands} == {1.0}
    assert "pixels" in found.describe()


def test_normalised_hands_with_outlier_are_not_read_as_pixels() -> None:
    text = layouts.xyz([*[one()] * 5, Written(one().points * 400, "like")])
    with pytest.raises(SettingsError, match="--aspect 640x480"):
        read_text("a", text)


def test_image_size_in_file_sets_aspect() -> None:
    text = layouts.xyz([one()])
    header, row = text.splitlines()
    found = read_text("a", f"{header},Image Width,image_height\n{row},640,480\n")
    assert found.hands[0].aspect == 640 / 480
    item = {"landmarks": one().points.tolist(), "imageWidth": 640, "imageHeight": 480}
    assert read_text("a", json.dumps([item])).hands[0].aspect == 640 / 480


def test_aspect_argument_overrides_file() -> None:
    item = {"landmarks": one().points.tolist(), "aspect": 1.0}
    assert read_text("a", json.dumps([item]), aspect=1.5).hands[0].aspect == 1.5
    assert read_text("a", json.dumps([item])).hands[0].aspect == 1.0


def test_hagrid_with_boxes_only_is_rejected() -> None:
    text = json.dumps({"1": {"bboxes": [[0, 0, 1, 1]], "labels": ["like"], "user_id": "u"}})
    with pytest.raises(SettingsError, match="boxes only"):
        read_text("like.json", text, aspect=1)


def test_hagrid_file_yields_label_and_user_per_hand_and_skips_empty_hands() -> None:
    points = one().points[:, :2].tolist()
    text = json.dumps(
        {
            "a": {"labels": ["like", "no_gesture"], "user_id": "u1", "hand_landmarks": [points, points]},
            "b": {"labels": ["fist"], "user_id": "u2", "hand_landmarks": [[]]},
            "c": {"labels": ["fist"], "user_id": "u2", "hand_landmarks": []},
        }
    )
    found = read_text("like.json", text, aspect=0.75)
    assert [(hand.label, hand.user, hand.source) for hand in found.shown()] == [
        ("like", "u1", "a"), ("no_gesture", "u1", "a"),
    ]  # fmt: skip
    assert len(found.hands) == 4
    assert "2 labels without landmarks skipped" in found.describe()


@pytest.mark.parametrize(
    "empty", [{"landmarks": []}, {"hand_landmarks": []}, {"multiHandLandmarks": None}, [], None]
)
def test_item_without_hand_is_read_as_empty_frame(empty: Any) -> None:
    found = read_text("a", json.dumps([empty, one().points.tolist()]), aspect=1)
    assert [hand.points is None for hand in found.hands] == [True, False]


def test_result_with_two_hands_is_split_by_side() -> None:
    item = {
        "landmarks": [layouts.objects(one()), layouts.objects(one(shift=0.1))],
        "handednesses": [[{"categoryName": "Left"}], [{"categoryName": "Right"}]],
    }
    found = read_text("a", json.dumps(item), aspect=1).hands
    assert [(hand.side, hand.frame) for hand in found] == [("left", 0), ("right", 0)]


def test_hand_of_zeros_is_read_as_no_hand() -> None:
    zeros = Written(np.zeros((21, 3)), "like")
    for name in ("isotropic", "xyz", "planar", "keypoint", "two-hands", "tidy", "tasks-js", "legacy"):
        found = read_text("a", WRITERS[name][1]([one(), zeros]), aspect=1)
        assert [hand.points is None for hand in found.hands] == [False, True], name


@pytest.mark.parametrize("count", [84, 126])
def test_two_hand_row_without_header_is_split(count: int) -> None:
    axes = count // 42
    numbers = [repr(value) for value in one().points[:, :axes].reshape(-1).tolist()]
    found = read_text("a", ",".join(["2", *["0"] * (count // 2), *numbers]) + "\n", aspect=1)
    assert [(hand.side, hand.label) for hand in found.hands] == [("right", "2")]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.replace("y20", "y200"), "row 1: column 'y20' is missing"),
        (lambda text: text.replace("x20", "x19"), "row 1: column 'x19' appears more than once"),
        (lambda text: text.replace("like,", "like,,", 1), "row 2: 65 columns, but the header has 64"),
        (
            lambda text: text.replace("like,0", "like,nought", 1),
            r"row 2: column 'x0': 'nought.*' is not a number",
        ),
        (lambda text: text.replace("like,0", "like,1e99", 1), "is not a number"),
        (lambda text: text.splitlines()[0], "no rows below the header"),
        (lambda text: "a,b,c,d\n1,2,3,4\n", "no landmarks found in columns a, b, c, d"),
        (lambda text: "1,2,3,4\n", "4 columns without a header"),
        (lambda text: "", "is empty"),
        (lambda text: '"' + text, "row"),
    ],
)
def test_broken_table_raises_error_naming_row_and_column(change: Any, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read_text("a.csv", change(layouts.xyz([one()])), aspect=1)


def test_tidy_rows_with_missing_or_repeated_landmark_are_rejected() -> None:
    lines = layouts.tidy([one()]).splitlines()
    with pytest.raises(SettingsError, match="has no landmark 7"):
        read_text("a", "\n".join([line for line in lines if not line.startswith("0,0,7,")]), aspect=1)
    with pytest.raises(SettingsError, match="more than once"):
        read_text("a", "\n".join([*lines, lines[5]]), aspect=1)


def test_tidy_rows_with_whole_body_keep_only_hands(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    written = one()
    rows = []
    for kind, count in (("face", 468), ("left_hand", 21), ("pose", 33), ("right_hand", 21)):
        for index in range(count):
            point = written.points[index].tolist() if kind == "right_hand" else [0.5, 0.5, 0.5]
            point = [None] * 3 if kind == "left_hand" else point
            rows.append((12, f"12-{kind}-{index}", kind, index, *point))
    names = ("frame", "row_id", "type", "landmark_index", "x", "y", "z")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    found = read_recording(tmp_path / "a.parquet", aspect=1)
    assert [(hand.points is None, hand.side, hand.frame) for hand in found.hands] == [
        (True, "left", 12), (False, "right", 12),
    ]  # fmt: skip
    check(found, [Written(written.points, "")], plane=False)


def test_layout_argument_overrides_detection() -> None:
    rows = layouts.table(None, [[*map(repr, one().points[:, :2].T.reshape(-1).tolist())]])
    check(read_text("a", rows, layout="planar", aspect=1), [Written(one().points, "")], plane=True)
    odd = layouts.table([f"f{number}" for number in range(42)], [["0.5", "0.25"] * 21])
    with pytest.raises(SettingsError, match="no landmarks found"):
        read_text("a", odd, aspect=1)
    assert len(read_text("a", odd, layout="numbers", aspect=1).shown()) == 1


def test_layout_argument_that_is_unknown_or_does_not_match_is_rejected() -> None:
    with pytest.raises(SettingsError, match="but the file is xyz"):
        read_text("a", layouts.xyz([one()]), layout="joints", aspect=1)
    with pytest.raises(SettingsError, match="--layout must be one of isotropic, "):
        read_text("a", layouts.xyz([one()]), layout="other", aspect=1)


def test_layouts_with_writer_are_listed() -> None:
    assert {layout for layout, _ in WRITERS.values()} <= set(LAYOUTS)


@pytest.mark.parametrize(
    ("text", "aspect"), [("640x480", 4 / 3), ("4:3", 4 / 3), ("16/9", 16 / 9), ("1.5", 1.5)]
)
def test_aspect_accepts_ratio_size_or_number(text: str, aspect: float) -> None:
    assert parse_aspect(text) == pytest.approx(aspect)


@pytest.mark.parametrize("text", ["", "4:0", "wide", "0", "1000", "nan", "-1"])
def test_aspect_with_invalid_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - click names the flag
        parse_aspect(text)


def test_labels_of_other_projects_are_mapped_and_described() -> None:
    names = ["thumbs_up", "Open Palm", "Thumb_Down", "like", "Closed_Fist", "dislke", "swipe", "None"]
    found = map_labels(names, GESTURES)
    assert [found.names[name] for name in names] == [
        "like", "palm", "dislike", "like", "fist", "dislke", "swipe", "no_gesture",
    ]  # fmt: skip
    assert found.own == [("dislke", 1, "dislike"), ("swipe", 1, "")]
    text = "\n".join(found.describe())
    assert "thumbs_up -> like (1)" in text
    assert "did you mean dislike?" in text


def test_label_map_overrides_defaults_and_excludes_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(layouts.xyz([one("thumbs_up"), one("junk"), one("ok")]))
    (tmp_path / "map.csv").write_text("from,to\nthumbs_up,swipe left\njunk,-\n")
    found = read_labelled([tmp_path / "a.csv"], aspect=1, labels=tmp_path / "map.csv")
    assert found.labels == ["swipe_left", "ok"]


def test_numeric_labels_without_names_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "keypoint.csv"
    path.write_text(layouts.keypoint([scaled(one("0")), scaled(one("2"))]))
    with pytest.raises(SettingsError, match=r"numbers without names \(0, 2\)"):
        read_labelled([path])
    (tmp_path / "names.csv").write_text("\ufeffOpen\nClose\nPointer\n")
    assert read_labelled([path], labels=tmp_path / "names.csv").labels == ["palm", "one"]
    (tmp_path / "names.csv").rename(tmp_path / "keypoint_classifier_label.csv")
    found = read_labelled([path])
    assert found.labels == ["palm", "one"]
    assert "names of the numbers from keypoint_classifier_label.csv" in found.report
    lines = [json.loads(line) for line in convert([path], Conversion())]
    assert [line["label"] for line in lines] == ["palm", "one"]


def test_file_without_labels_is_labelled_by_file_name_map(tmp_path: Path) -> None:
    path = tmp_path / "take.json"
    path.write_text(json.dumps([one().points.tolist()]))
    with pytest.raises(SettingsError, match=r"take.json,like"):
        read_labelled([path], aspect=1)
    (tmp_path / "map.csv").write_text("take.json,fist\n")
    assert read_labelled([path], aspect=1, labels=tmp_path / "map.csv").labels == ["fist"]


def test_label_map_with_repeated_label_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("a,like\na,fist\n")
    with pytest.raises(SettingsError, match="more than once"):
        read_label_map(tmp_path / "map.csv")


def test_labelled_points_with_aspect_are_made_isotropic(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(layouts.xyz([one()]))
    found = read_labelled([tmp_path / "a.csv"], aspect=2.0)
    np.testing.assert_allclose(found.points[0], one().points * (2.0, 1.0, 2.0))
    assert found.depth


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_file_raises_settings_error_or_yields_finite_hands(data: st.DataObject) -> None:
    written = [one(), one("fist")]
    text = list(WRITERS[data.draw(st.sampled_from(sorted(WRITERS)))][1](written))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 40))] = data.draw(st.text(max_size=3))
    try:
        found = read_text("a", "".join(text), aspect=1)
    except SettingsError:
        pass
    else:
        assert all(np.isfinite(hand.points).all() for hand in found.shown() if hand.points is not None)


@pytest.mark.parametrize("blank", ["\n", "\r\n", " \t\n"])
def test_text_of_blank_lines_is_refused(blank: str) -> None:
    table = layouts.xyz([one()])
    with pytest.raises(SettingsError, match=r"a\.csv: it has 20,000 blank lines among 20,002"):
        decoded("a.csv", (table + blank * 20_000).encode())
    assert decoded("a.csv", (table + blank * 9000).encode()).startswith(table)
