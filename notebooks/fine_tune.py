# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Fine-tune on your language
#
# A parser for Tatar, from 103 sentences, in about a minute of one core. `pixel-m4-ud` has learned to parse 75 languages, and Tatar is none of
# them. For your own language put your CoNLL-U files in the place of the folder `tatar`.

# %%
import gzip
import json
from importlib.resources import files
from pathlib import Path

import pixel_m4
from pixel_m4.cli.main import main

# %% [markdown]
# ## The data
#
# A treebank is a folder with three files whose names end in `train.conllu`, `dev.conllu` and `test.conllu`. The package holds a small one of four
# languages; we take the Tatar sentences out of it.

# %%
folder = Path("tatar")
folder.mkdir(exist_ok=True)
for split in ("train", "dev", "test"):
    embedded = files("pixel_m4") / "assets" / "treebank" / f"{split}.conllu.gz"
    sentences = gzip.decompress(embedded.read_bytes()).decode().strip().split("\n\n")
    tatar = [sentence for sentence in sentences if "# treebank = Tatar-NMCTT" in sentence]
    (folder / f"tt-ud-{split}.conllu").write_text("\n\n".join(tatar) + "\n\n", encoding="utf-8")
    print(split, len(tatar), "sentences")

# %%
print(tatar[0])

# %% [markdown]
# ## Before
#
# `las` is the share of words with the right head and relation, `upos` that of the right parts of speech, in percent.

# %%
before = pixel_m4.load("pixel-m4-ud").evaluate(folder)
{name: round(before[name], 1) for name in ("uas", "las", "upos")}

# %% [markdown]
# ## Train
#
# `main` runs the command `pixel-m4` in this process; in a terminal the same words stand after `pixel-m4`. Muon trains the matrices of the layers, and AdamW all
# else. An evaluation on dev comes every 30 steps, and the best checkpoint is kept.

# %%
settings = {
    "--model_name_or_path": "pixel-m4-ud",
    "--data_dir": "tatar",
    "--output_dir": "runs/tatar",
    "--max_steps": 60,
    "--eval_steps": 30,
    "--per_device_train_batch_size": 16,
    "--muon_learning_rate": 0.01,
    "--learning_rate": 5e-4,
    "--warmup_steps": 0.1,
    "--dropout_prob": 0.0,
    "--seed": 1,
}
main(["finetune", "parsing", *(str(word) for pair in settings.items() for word in pair)])

# %% [markdown]
# ## After

# %%
results = json.loads(Path("runs/tatar/all_results.json").read_text())
for score in ("uas", "las", "upos"):
    print(f"{score:5} before {before[score]:5.1f}   after {results[f'test_{score}']:5.1f}")

# %% [markdown]
# ## Use it
#
# The folder is a model like any other: `pixel-m4 predict runs/tatar text.txt` annotates a file.

# %%
parser = pixel_m4.load("runs/tatar")
(parsed,) = parser.predict(["Мин яңа китап укыйм."])
for word, tag, head, relation in zip(
    parsed.tree.words, parsed.tree.upos, parsed.tree.heads, parsed.tree.deprels, strict=True
):
    print(f"{word:8} {tag:6} {relation:10} ← {parsed.tree.words[head - 1] if head else 'root'}")

# %% [markdown]
# More training sentences help more than anything else; then more steps (`--max_steps 600`). Other tasks, from the same start: named entities,
# classification and question answering.
