"""The notebooks run from their first cell to the last, and say what their text promises."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbclient
import pytest

import documents

NOTEBOOKS = documents.ROOT / "notebooks"
# What is printed or shown, by notebook.
SAYS = {
    "render_and_fill": ["12 patches of text", "['Їж', 'ак'", "covers ґ: True", "hidden: 'the', loss 0."],
    "fine_tune": ["train 103 sentences", "las   before  24", "root"],
    "look_inside": ["random weights", "are of its language", "cat ← sleeps (nsubj)"],
}
PICTURES = {"render_and_fill": 6, "fine_tune": 0, "look_inside": 3}


def test_all_are_known() -> None:
    assert {file.stem for file in NOTEBOOKS.glob("*.py")} == set(SAYS)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_a_notebook_runs(name: str, tmp_path: Path) -> None:
    notebook = jupytext.read(NOTEBOOKS / f"{name}.py")
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "\n".join(
        str(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in outputs
    )
    for words in SAYS[name]:
        assert words in printed
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES[name]
