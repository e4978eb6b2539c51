from __future__ import annotations

import csv
import json
from pathlib import Path
from statistics import stdev

import pytest

from pixel_m4.console.screen import plain_console
from pixel_m4.sweep.grid import Sweep, read_sweep
from pixel_m4.sweep.tables import Table, write_runs, write_tables

YAML = """
task: parsing
data_dir: "{name}"
name: {A_1: {group: Latin}, B: {group: Thai}}
model: {scratch: null, four: folder}
learning_rate: [1.0e-5, 5.0e-5]
seed: [0, 1]
table: {difference: [four, scratch]}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Sweep:
    file = tmp_path / "sweep.yaml"
    file.write_text(YAML)
    return read_sweep(file)


def score(run) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Dev prefers the higher rate for "four" only, although test says otherwise everywhere."""
    high, four = run.axes["learning_rate"] == "5e-05", run.axes["model"] == "four"
    seed, thai = int(run.axes["seed"]), run.axes["name"] == "B"
    test = 40 + 10 * four + 5 * thai + (3 if thai and four else 1) * seed + (-2 if high == four else 2)
    return {"eval_las": 50 + (high == four) + seed, "test_las": test, "test_baseline_las": 12.5}


def test_rate_is_chosen_on_dev_and_the_rest_is_averaged_over_seeds(plan: Sweep) -> None:
    (table,) = Table.make(plan, [score(run) for run in plan.runs])
    assert list(table.columns) == ["scratch", "four", "four − scratch"]
    latin, thai = table.rows
    assert (latin.labels, latin.group, latin.baseline) == (("A_1",), "Latin", 12.5)
    four, scratch = latin.cells["four"], latin.cells["scratch"]
    assert (four.chosen, scratch.chosen) == ({"learning_rate": "5e-05"}, {"learning_rate": "1e-05"})
    assert four.mean == 48.5
    assert four.std == pytest.approx(stdev([48, 49]))
    assert four.dev == 51.5
    assert scratch.mean == 38.5
    difference = thai.cells["four − scratch"]
    assert dict(difference.by_seed) == {("0",): 10, ("1",): 12}
    assert difference.std == pytest.approx(stdev([10, 12]))
    assert [row.labels[0] for row in table.means] == ["mean of 2, all"]  # groups of one have none
    overall = table.means[-1].cells["four"]
    assert dict(overall.by_seed) == {("0",): (48 + 53) / 2, ("1",): (49 + 56) / 2}


def test_runs_that_are_missing_leave_dashes_and_lower_counts(plan: Sweep) -> None:
    scores = [
        None
        if run.axes["name"] == "B" and (run.axes["model"] == "four" or run.axes["seed"] == "1")
        else score(run)
        for run in plan.runs
    ]
    (table,) = Table.make(plan, scores)
    thai = table.rows[1]
    assert set(thai.cells) == {"scratch"}
    assert thai.cells["scratch"].std is None
    assert table.means == []  # only one row has every column
    assert Table.make(plan, [None] * len(plan.runs)) == []


def test_settings_are_compared_on_the_seeds_that_they_share(plan: Sweep) -> None:
    """A rate whose only seed was a lucky one was chosen."""
    dev = {("1e-05", "0"): 50.0, ("1e-05", "1"): 76.0, ("5e-05", "1"): 74.0}

    def scores(dev: dict[tuple[str, str], float]) -> list[dict[str, float] | None]:
        keys = [(run.axes["learning_rate"], run.axes["seed"]) for run in plan.runs]
        return [{"eval_las": dev[key], "test_las": dev[key] - 1} if key in dev else None for key in keys]

    cell = Table.make(plan, scores(dev))[0].rows[0].cells["four"]
    assert (cell.chosen, cell.mean, cell.dev) == ({"learning_rate": "1e-05"}, 62, 63)
    apart = {("1e-05", "0"): 50.0, ("5e-05", "1"): 74.0}  # no seed in common: the best of what there is
    assert Table.make(plan, scores(apart))[0].rows[0].cells["four"].mean == 73
    diverged = {**dev, ("1e-05", "1"): float("nan")}
    assert Table.make(plan, scores(diverged))[0].rows[0].cells["four"].mean == 73


def test_files(plan: Sweep, tmp_path: Path) -> None:
    scores = [score(run) for run in plan.runs]
    tables = Table.make(plan, scores)
    markdown = write_tables(tables, tmp_path)
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == markdown
    lines = markdown.splitlines()
    assert lines[2] == "| name | baseline | scratch | four | four − scratch | seeds |"
    assert lines[4] == "| A_1 | 12.5 | 38.5 ± 0.7 | **48.5 ± 0.7** | 10.0 ± 0.0 | 2 |"
    latex = (tmp_path / "table.tex").read_text(encoding="utf-8")
    assert r"A\_1 & 12.5 & $38.5 \pm 0.7$ & $\mathbf{48.5} \pm 0.7$ & $10.0 \pm 0.0$ & 2 \\" in latex
    assert r"four $-$ scratch" in latex
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as stream:
        cells = list(csv.DictReader(stream))
    assert len(cells) == 3 * 3
    assert (cells[1]["name"], cells[1]["column"], cells[1]["chosen"]) == (
        "A_1",
        "four",
        "learning_rate=5e-05",
    )
    assert float(cells[1]["mean"]) == 48.5
    write_runs(plan, [*scores[:-1], None], tmp_path / "runs.csv")
    with (tmp_path / "runs.csv").open(encoding="utf-8", newline="") as stream:
        runs = list(csv.DictReader(stream))
    assert len(runs) == 16
    assert float(runs[0]["test"]) == scores[0]["test_las"]
    assert runs[-1]["test"] == ""


def test_lower_is_better_for_losses(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("task: pos\nmetric: loss\nlearning_rate: [1.0e-5, 5.0e-5]\nseed: 3\n")
    plan = read_sweep(file)
    scores = [{"eval_loss": 0.2, "test_loss": 0.5}, {"eval_loss": 0.3, "test_loss": 0.1}]
    (table,) = Table.make(plan, scores)
    assert table.rows[0].cells["loss"].mean == 0.5


def test_plots(plan: Sweep, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from pixel_m4.sweep.figures import plot

    files = plot(Table.make(plan, [score(run) for run in plan.runs]), tmp_path)
    assert [file.name for file in files] == ["plot.png", "plot.svg", "groups.png", "groups.svg"]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in files[3].read_bytes()
    for name in (b"scratch", b"four", b"baseline"):
        assert b"<!-- " + name in files[1].read_bytes()
    for name in (b"Latin", b"Thai"):  # also groups of one
        assert b"<!-- " + name in files[3].read_bytes()


ODD = {
    "task": "parsing",
    "data_dir": "x",
    "name": {name: {} for name in ("a$b$c | d", r"[b]x[/x] ^ $\frac$", "_e\n:cat:")},
    "model": {"_one$": None, "[/two]": "folder"},
    "split_seed": [0, 1],
    "table": {"average": ["split_seed"]},
}


def test_odd_names_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(json.dumps(ODD))
    plan = read_sweep(file)
    tables = Table.make(plan, [{"eval_las": 1.0, "test_las": 2.0} for _ in plan.runs])
    markdown = write_tables(tables, tmp_path)
    assert "over split_seed." in markdown
    assert len({line.replace("\\|", "").count("|") for line in markdown.splitlines()[2:]}) == 1
    plain_console().print(markdown)
    assert capsys.readouterr().out.strip() == markdown.strip()
    assert r"[b]x[/x] ^ $\frac$" in markdown
    pytest.importorskip("matplotlib")
    from pixel_m4.sweep.figures import plot

    plot(tables, tmp_path)
    drawn = (tmp_path / "plot.svg").read_text(encoding="utf-8").replace(r"\$", "$")
    for name in (r"[b]x[/x] ^ $\frac$", " _one$", "[/two]"):
        assert f"<!-- {name} -->" in drawn


def test_a_caption_tells_what_the_mean_is_over(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("task: pos\ndata_dir: x\nmodel: {one: null, two: folder}\n")
    plan = read_sweep(file)
    (table,) = Table.make(plan, [{"eval_accuracy": 1.0, "test_accuracy": 2.0}] * 2)
    assert "of one run each" in write_tables([table], tmp_path)


def test_the_lowest_error_is_chosen_and_marked(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "task: classification\ndataset_name: x\nmetric: mse\n"
        "model: {one: null, two: folder}\nlearning_rate: [1.0e-5, 5.0e-5]\n"
    )
    plan = read_sweep(file)
    scores = [{"eval_mse": e, "test_mse": t} for e, t in ((0.2, 0.5), (0.3, 0.1), (0.4, 0.6), (0.2, 0.7))]
    (table,) = Table.make(plan, scores)
    assert [cell.mean for cell in table.rows[0].cells.values()] == [0.5, 0.7]
    assert "**0.5**" in write_tables([table], tmp_path)


def test_nothing_is_chosen_without_dev_scores(plan: Sweep) -> None:
    scores = [{"test_las": 40.0} for _ in plan.runs]
    with pytest.raises(ValueError, match=r"a choice of learning_rate needs dev scores: .* lack eval_las"):
        Table.make(plan, scores)
