"""Print docs/published.md: every published script and flag, from the tables that translate them.

python -m pixel_m4.published.describe > docs/published.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pixel_m4.published.flags import Meaning
from pixel_m4.published.scripts import SCRIPTS, Script
from pixel_m4.published.training import TRAINER

_HEAD = """# Published command lines

Written by `python -m pixel_m4.published.describe` from the tables that translate the flags
(`src/pixel_m4/published`); a test holds the two together.

Every script of PIXEL (xplip/pixel) and PIXEL-M4 (ilkerkesen/pixel-m4) lies here under its own path and
takes its published command line. It becomes a command of `pixel-m4`, with the same checks and messages;
`--help` lists its flags. A flag is

- **ours**: an option of the command;
- **settled**: honoured in another way;
- **accepted**: with one line on the standard error that says why it no longer means anything;
- **refused**: with one line that says what to do, unless its value asks for nothing (false, none, 0, or the
  default).

No flag is dropped in silence; one that nobody knows is an error. Options of ours may stand beside published
flags.

**Defaults** are those of the published scripts. A training that does not say them has those of
transformers' Trainer of that day: learning rate 5e-5, batches of 8, 3 epochs, no warm-up, no evaluation
during training, and the last checkpoint, not the best. What differs: of the checkpoints only one is kept if
`--save_total_limit` does not say otherwise, and with neither of `--do_train`, `--do_eval` and
`--do_predict` all three are done.

**Renderer**: the model's own. Its `text_renderer_config.json` says how it draws: `PyGameTextRenderer` is
continuous text; `PangoCairoTextRenderer` without a strategy is bigrams, with a notice that names
`strategy="continuous"`; names on the hub of PIXEL's own models, without "bigrams" or "m4", are continuous.

**Pooling**: `--pooling_mode` is mean, max, cls or pma1 to pma8. The last are PIXEL's pooling by attention,
where the number is that of the heads (there is one seed, as in its code). Its weights have names of ours,
and padding is not attended to; no published checkpoint has them.

Not there: prerendering (text is rendered as it is needed), `visualize_nli_predictions.py`, and the attacks
that `pixel-m4 analyze robustness` does not have. `--fp16` needs a GPU, as it always has.
"""
_TRAINER = """## Arguments of transformers' Trainer

All training scripts take them, too. Those that are not listed are the same today; those that have no
meaning here are refused with the reason (`pixel-m4 finetune TASK --help_all`).
"""


def describe() -> str:
    """The whole page."""
    parts = [_HEAD, "## Scripts\n\n" + "\n".join(_scripts()), _TRAINER + "\n" + "\n".join(_table(TRAINER))]
    told: dict[tuple[str, ...], str] = {}
    for script in SCRIPTS.values():
        rows = tuple(_table(script.flags, script))
        title = f"### {script.name}\n\n"
        if rows in told:
            parts.append(f"{title}As {told[rows]}.")
        else:
            told[rows] = script.name
            parts.append(title + "\n".join(rows))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _scripts() -> Iterator[str]:
    yield "| script | becomes |"
    yield "|---|---|"
    for script in SCRIPTS.values():
        why = f": {script.refusal}" if script.refusal else ""
        yield f"| `{script.path}` | {script.becomes}{why} |"


def _table(meanings: Mapping[str, Meaning], script: Script | None = None) -> Iterator[str]:
    yield "| flag | default | what becomes of it |"
    yield "|---|---|---|"
    defaults = {} if script is None else script.defaults
    for name, meaning in meanings.items():
        about = f"`--{meaning.about}`" if meaning.kind == "ours" else meaning.about
        flag = name if script is not None and name == script.first else f"--{name}"
        yield f"| `{flag}` | {defaults.get(name, '')} | {meaning.kind}: {about} |"


if __name__ == "__main__":
    print(describe(), end="")
