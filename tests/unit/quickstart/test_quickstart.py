from __future__ import annotations

import pytest

from pixel_m4.console.screen import plain_console
from pixel_m4.formats.conllu import parse_conllu
from pixel_m4.quickstart import run as quickstart
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.parsing import Parsed

ODD = "UD_[b]<script>[/x] {0} & :cat:"
RESULTS = {"train_parameters": 5, "train_steps": 7}


def test_names_with_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    low, high = (dict.fromkeys(("upos", "uas_mst", "las_mst"), score) for score in (25.0, 50.0))
    scores = {ODD: quickstart.Comparison(1, low, high)}
    quickstart._print_scores(plain_console(soft_wrap=False), scores, ODD, 1.0)
    out = " ".join(capsys.readouterr().out.split())
    assert f"Held-out sentences of {ODD}" in out
    assert "25.0 → 50.0" in out
    (gold,) = parse_conllu(f"1\t{ODD}\t_\tX\t_\t_\t0\troot\t_\t_\n\n".splitlines(), "x")
    parsed = Parsed(gold, [], [])
    page = quickstart._report(TextRenderer(), ODD, scores, RESULTS, [(gold, parsed, parsed)])
    assert "<script>" not in page
    assert page.count("UD_[b]&lt;script&gt;[/x] {0} &amp; :cat:") >= 3  # heading, table, tree
    assert "1 of 1 heads as in the gold tree; 1 before training" in page
