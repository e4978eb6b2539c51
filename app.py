"""The demo as a hosted Space: `python app.py`. The host tells its name in SPACE_HOST."""

import os

from pixel_m4.console.threads import settle
from pixel_m4.demo.run import Settings, demo

settle()
demo(
    Settings(
        models=os.environ.get("PIXEL_M4_MODELS", "pixel-m4-ud pixel-m4-tiny").split(),
        host="0.0.0.0",
        port=int(os.environ.get("PORT", "7860")),
        allow_hosts=os.environ.get("SPACE_HOST", "").split(),
        frame_ancestors=["https://huggingface.co"],
        behind_proxy=True,
    )
)
