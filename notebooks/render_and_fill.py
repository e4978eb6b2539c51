# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Render and fill
#
# What a pixel model reads, how text and patches belong together, and what a pretrained model makes of text that is hidden.
# Everything comes with the package; nothing is downloaded but the font, once. Takes some seconds on a CPU.

# %%
from pixel_m4 import TextRenderer
from pixel_m4.fill.hiding import Hiding
from pixel_m4.fill.run import fill, load
from pixel_m4.render.images import picture

# %% [markdown]
# ## Text becomes patches
#
# Two characters are drawn from one patch border on (a *bigram*), a blue mark shows where a word starts, and a black patch is the end.

# %%
renderer = TextRenderer(max_seq_length=64)
encoding = renderer("My cat loves oatmeal.")
print(encoding.pixel_values.shape, encoding.pixel_values.dtype, encoding.num_text_patches, "patches of text")
picture(encoding, scale=3)

# %% [markdown]
# Every script goes the same way: the font shapes the characters of a unit together. Right-to-left text ends at the left, as on paper.

# %%
picture(renderer("मेरी बिल्ली को दलिया पसंद है।"), scale=3)

# %%
picture(renderer("قطتي تحب الشوفان."), scale=3)

# %%
picture(renderer("我的猫喜欢燕麦片。"), scale=3)

# %% [markdown]
# ## From patches back to characters
#
# `offsets` says which characters each patch shows, so that a prediction for patches can be told for text.

# %%
text = "Їжак з’їв ґудзик!"
print([text[start:end] for start, end in renderer.offsets(text).spans if start >= 0])

# %% [markdown]
# What the font lacks is drawn as a missing glyph. The renderer counts it; nothing is dropped in silence.

# %%
print("covers ґ:", renderer.covers("ґ"), " covers 鸫:", renderer.covers("鸫"))

# %% [markdown]
# ## Hide text, and let a model paint it
#
# `pixel-m4-tiny` has learned to paint hidden patches. `[MASK:1]` is a hole of one patch. The readings are the units that look most like the paint.

# %%
model, its_renderer = load("pixel-m4-tiny")
filled = fill(model, its_renderer, "My [MASK:1]t loves oatmeal.")
for gap in filled.gaps:
    for reading in gap.readings:
        print(f"{reading.probability:.3f}  {reading.text}")

# %% [markdown]
# Or hide a word of a text that is known. Then the loss can be told, too: 1 is what a constant guess has, and 0 is a perfect picture.

# %%
filled = fill(model, its_renderer, "The children went to the school.", Hiding(words=[5]))
print(f"hidden: {filled.gaps[0].truth!r}, loss {filled.loss:.2f}")
print([reading.text for reading in filled.gaps[0].readings])

# %%
picture(filled.masked, scale=3)

# %%
picture(filled.reconstructed, scale=3)

# %% [markdown]
# Be honest about what you see: two million parameters, trained for an hour on one core, paint plausible letters and not the right words.
# The same commands take any pretraining checkpoint, such as `Team-PIXEL/pixel-m4`.
