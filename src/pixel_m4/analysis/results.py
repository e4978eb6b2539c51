"""What an analysis leaves: a tidy table, figures, the settings, and the command that makes them again."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixel_m4.analysis.figures import PICTURES
from pixel_m4.console.redact import redact_command
from pixel_m4.console.screen import plain_console
from pixel_m4.files import refuse_existing, replacing
from pixel_m4.version import __version__

SETTINGS = "settings.json"


class Results:
    """The folder that an analysis writes to.

    Args:
        folder: It is made when something is written.
        name: Of the analysis: what its files are called.
        overwrite: Replace the results of an earlier analysis.
        also: Names of further tables and figures.

    Raises:
        UserError: A file is there that the analysis would replace unasked.
    """

    def __init__(self, folder: Path, name: str, overwrite: bool, also: Sequence[str] = ()) -> None:
        self.folder = folder
        self.name = name
        for suffix in (".csv", ".html", *PICTURES):
            for part in ("", *(f".{more}" for more in also)):
                refuse_existing(self.file(part + suffix), overwrite)
        refuse_existing(folder / SETTINGS, overwrite)

    def file(self, suffix: str) -> Path:
        """A file of the analysis."""
        return self.folder / f"{self.name}{suffix}"

    def draw(self, picture: Callable[..., Any], *arguments: Any, also: str = "") -> None:
        """Draw a figure, as .png and .svg, if the library for it is there.

        Args:
            picture: Takes the arguments, and the file without its suffix.
            arguments: Of the picture.
            also: The name of a further figure.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            picture(*arguments, self.file(f".{also}" if also else ""))
        except ImportError:
            plain_console().print("PNG and SVG need matplotlib: pip install 'pixel-m4[plots]'")

    def write_page(self, content: str) -> None:
        """Write the page of the analysis."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.file(".html")) as scratch:
            scratch.write_text(content, encoding="utf-8")

    def write(
        self,
        rows: Sequence[Mapping[str, Any]],
        settings: Mapping[str, Any],
        **also: Sequence[Mapping[str, Any]],
    ) -> None:
        """Write the table, and how it came about.

        Args:
            rows: All of the same columns.
            settings: Of the analysis.
            also: Rows of further tables by their names.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_table(rows, self.file(".csv"))
        for name, more in also.items():
            _write_table(more, self.file(f".{name}.csv"))
        write_settings(self.folder / SETTINGS, {"analysis": self.name, **settings})


def write_settings(file: Path, settings: Mapping[str, Any]) -> None:
    """Write settings as JSON, with the version and the command of this process."""
    command = " ".join(redact_command([Path(sys.argv[0]).name, *sys.argv[1:]]).split())
    content = {"version": __version__, "command": command, **settings}
    with replacing(file) as scratch:
        scratch.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_table(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    with replacing(file) as scratch, scratch.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
