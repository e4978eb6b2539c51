"""How maps are shown: as pictures, and as a page in which a point tells its text and what the model sees.

Dimensions: N texts.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pixel_m4.analysis.figures import COLOURS, FORMS, save
from pixel_m4.render import TextRenderer
from pixel_m4.render.images import data_url

_SIDE = 640
_STRIP = 40  # patches of a strip that the page shows at most
_GREYS = 16  # of a strip in the page: enough for eyes, and half as many bytes


def draw(places: Mapping[int, np.ndarray], groups: Sequence[str], path: Path) -> list[Path]:
    """Write the maps of layers side by side as ``path`` with .png and .svg.

    Raises:
        ImportError: matplotlib, of the extra ``plots``, is not there.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 + 3.6 * len(places), 4.0), layout="constrained")
    names = np.asarray(groups)
    panels = figure.subplots(1, len(places), squeeze=False)[0]
    for axes, (layer, points) in zip(panels, places.items(), strict=True):
        for number, group in enumerate(dict.fromkeys(groups)):
            chosen = points[names == group]
            form = FORMS[number // len(COLOURS) % len(FORMS)]
            colour = COLOURS[number % len(COLOURS)]
            axes.scatter(
                chosen[:, 0], chosen[:, 1], s=6, c=colour, marker=form, linewidths=0, alpha=0.7, label=group
            )
        axes.set_title(f"layer {layer}")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", "datalim")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right", markerscale=2, fontsize="small"
    )
    return save(figure, path)


def strip_urls(renderer: TextRenderer, texts: Sequence[str]) -> list[str]:
    """What the model sees of each text, its first patches, as pictures for a page."""
    found = []
    for text in texts:
        encoding = renderer(text)
        size = renderer.pixels_per_patch
        pixels = encoding.pixel_values[:, : size * max(1, min(encoding.num_text_patches, _STRIP))]
        grey = pixels if pixels.ndim == 2 else pixels.mean(-1)
        levels = np.round(grey / 255 * (_GREYS - 1)) * (255 // (_GREYS - 1))
        found.append(data_url(Image.fromarray(levels.astype(np.uint8)).quantize(_GREYS)))
    return found


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem 2rem 9rem; color: #111; background: #fff; }}
svg {{ border: 1px solid #ccc; max-width: 100%; }}
circle {{ fill-opacity: .7; }}
circle:hover, circle.shown {{ stroke: #000; stroke-width: 2; }}
li {{ display: inline; margin-right: 1.5rem; }}
#told {{ position: fixed; inset: auto 0 0 0; min-height: 6rem; padding: .5rem 2rem; background: #f2f2f2;
  border-top: 1px solid #999; }}
#told img {{ display: block; height: 32px; max-width: 100%; object-fit: cover; object-position: left;
  image-rendering: pixelated; }}
#told p {{ margin: .2rem 0; }}
</style></head><body>
<h1>{title}</h1>
<p>A point is a text; rest on it to read it below. It is marked in every layer.</p>
<ul>{legend}</ul>
{maps}
<div id="told" role="status"><p id="group"></p><p id="text" dir="auto"></p></div>
<script type="application/json" id="texts">{texts}</script>
<script>
const [texts, groups, strips] = JSON.parse(document.getElementById("texts").textContent);
const told = document.getElementById("told");
document.addEventListener("mouseover", (event) => {{
  const number = event.target.dataset?.n;
  if (number === undefined) return;
  document.querySelectorAll(".shown").forEach((point) => point.classList.remove("shown"));
  document.querySelectorAll(`[data-n="${{number}}"]`).forEach((point) => point.classList.add("shown"));
  document.getElementById("group").textContent = groups[number];
  document.getElementById("text").textContent = texts[number];
  told.querySelector("img")?.remove();
  if (strips) {{
    const image = document.createElement("img");
    image.alt = "what the model sees of its beginning";
    image.src = strips[number];
    told.append(image);
  }}
}});
</script>
</body></html>
"""


def page(
    places: Mapping[int, np.ndarray],
    groups: Sequence[str],
    texts: Sequence[str],
    title: str,
    strips: Sequence[str] | None = None,
) -> str:
    """One HTML page that needs nothing else, in which a point tells its text.

    Args:
        places: By layer, float [N, 2].
        groups: N names.
        texts: N of them.
        title: Of the page.
        strips: N pictures, see `strip_urls`; None: there are none, as of text models.
    """
    colours = {group: COLOURS[number % len(COLOURS)] for number, group in enumerate(dict.fromkeys(groups))}
    legend = "".join(
        f'<li><span style="color:{colour}">●</span> {html.escape(group)}</li>'
        for group, colour in colours.items()
    )
    maps = []
    for layer, points in places.items():
        low, size = points.min(0), np.ptp(points, axis=0).max() or 1.0
        scaled = 10 + (_SIDE - 20) * (points - low) / size
        circles = "\n".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colours[group]}" data-n="{n}"/>'
            for n, ((x, y), group) in enumerate(zip(scaled, groups, strict=True))
        )
        box = f'viewBox="0 0 {_SIDE} {_SIDE}" width="{_SIDE}"'
        maps.append(
            f'<h2>Layer {layer}</h2>\n<svg xmlns="http://www.w3.org/2000/svg" {box}>\n{circles}\n</svg>'
        )
    # The end of a script inside a text must not end the page's.
    content = json.dumps([list(texts), list(groups), strips], ensure_ascii=False).replace("<", "\\u003c")
    return _PAGE.format(title=html.escape(title), legend=legend, maps="\n".join(maps), texts=content)
