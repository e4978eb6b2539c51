"""Draw the README's picture: the same sentence in the four languages, as the model sees it.

python scripts/make_picture.py [docs/images/four-languages.png]
"""

import sys

from PIL import Image

from pixel_m4 import TextRenderer
from pixel_m4.quickstart.run import SAME_SENTENCE
from pixel_m4.render.images import picture

renderer = TextRenderer()
strips = [picture(renderer(text), scale=2) for text in SAME_SENTENCE.values()]
margin = 12
size = (
    max(strip.width for strip in strips) + 2 * margin,
    sum(strip.height + margin for strip in strips) + margin,
)
canvas = Image.new("RGB", size, "white")
top = margin
for strip in strips:
    canvas.paste(strip, (margin, top))
    top += strip.height + margin
canvas.save(sys.argv[1] if len(sys.argv) > 1 else "docs/images/four-languages.png", optimize=True)
