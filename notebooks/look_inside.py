# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Look inside
#
# Three questions to a checkpoint: which layer knows what (*probe*), which texts lie near each other (*map*), and what a decision rests on (*saliency*). Needs
# `pip install 'pixel-m4[analysis]'`; takes about a minute on a CPU.

# %%
import csv
import gzip
import random
from importlib.resources import files
from pathlib import Path

from IPython.display import HTML, Image

from pixel_m4.analysis.explanations import analyze_saliency
from pixel_m4.analysis.maps import MapSettings, analyze_map
from pixel_m4.analysis.probing import analyze_probe

embedded = files("pixel_m4") / "assets" / "treebank" / "train.conllu.gz"
blocks = gzip.decompress(embedded.read_bytes()).decode().strip().split("\n\n")

# %% [markdown]
# ## Probe: noun or verb?
#
# A probe is a linear classifier over the states of a layer. It reads words one at a time, with their label in the last column. We take Ukrainian nouns and verbs;
# no word is in two files.

# %%
words = set()
for block in blocks:
    if "# treebank = Ukrainian" in block:
        rows = [line.split("\t") for line in block.splitlines() if not line.startswith("#")]
        words |= {(row[1].lower(), row[3]) for row in rows if row[3] in ("NOUN", "VERB") and row[1].isalpha()}
chosen = sorted(words)
random.Random(0).shuffle(chosen)
folder = Path("probing-data/WordClass/ukrainian")
folder.mkdir(parents=True, exist_ok=True)
for split, part in {"train": chosen[200:], "dev": chosen[:100], "test": chosen[100:200]}.items():
    (folder / f"{split}.txt").write_text("".join(f"{word}\t{tag}\n" for word, tag in part), encoding="utf-8")
    print(split, len(part))

# %%
rows = analyze_probe("pixel-m4-tiny", Path("probing-data"), Path("runs/probing"), overwrite=True)

# %% [markdown]
# Compare each line with its controls before you believe in it: random weights, shuffled labels, and character n-grams, which need no model at all.

# %%
Image("runs/probing/probing.png")

# %% [markdown]
# ## Map: by language, or by what is said?
#
# Sixty sentences of each of four languages, laid out by t-SNE. Azerbaijani and Galician are written in Latin letters, Tatar and Ukrainian in Cyrillic ones.

# %%
languages = {"Azerbaijani": "az", "Galician": "gl", "Tatar": "tt", "Ukrainian": "uk"}
for language, code in languages.items():
    texts = [
        line.removeprefix("# text = ")
        for block in blocks
        if f"# treebank = {language}" in block
        for line in block.splitlines()
        if line.startswith("# text = ")
    ]
    Path("map-data", code).mkdir(parents=True, exist_ok=True)
    with Path("map-data", code, "train.tsv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, delimiter="\t")
        table.writerow(["index_id", "text"])
        table.writerows(enumerate(texts[:60]))

# %%
settings = MapSettings(perplexity=20.0, iterations=500)
analyze_map(
    *("pixel-m4-tiny", Path("map-data"), list(languages.values()), Path("runs/map")),
    layers=[0, 4],
    layout=settings,
    overwrite=True,
)
Image("runs/map/map.png")

# %% [markdown]
# A map shows which texts are near, not how far apart groups are. The line above it is the number to trust: how many of a text's nearest are of its language.
# `runs/map/map.html` is a page on which a point tells its text.

# %% [markdown]
# ## Saliency: what does the head of a word rest on?
#
# `pixel-m4-ud` says that *cat* is the subject of *sleeps*. Orange patches speak for it and blue ones against it.

# %%
analyze_saliency(
    *("pixel-m4-ud", ["The cat sleeps on the warm roof."], None, Path("runs/saliency")),
    methods=["integrated_gradients", "occlusion_words"],
    words=[2],
    overwrite=True,
)
HTML(Path("runs/saliency/saliency.html").read_text(encoding="utf-8"))

# %% [markdown]
# The command also measures how far to trust each method: what the score loses when the patches that it calls relevant are deleted, beside random order.

# %%
Image("runs/saliency/saliency.png")
