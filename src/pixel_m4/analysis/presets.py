"""The published protocols of the analyses, as options by their names.

Sources: Kesen et al. 2025; of saliency Rust et al. 2023.  Kept quirks: the sum of CLS, text and black patch
by the number of patches without CLS ("published" pooling), and a classifier whose patience is never given
back.  Published tables leave layer 0 out, search in one direction and have no controls; ours have them, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PROBED_LANGUAGES = ("arabic", "armenian", "modern-greek", "macedonian", "russian")
PROBED_TASKS = (
    *("Case", "Gender", "Mood", "Number", "OddFeat", "POS", "Person", "Possession", "SameFeat", "TagCount"),
    *("Tense", "Voice"),
)
RETRIEVED = ("eng_Latn", "hin_Deva", "ukr_Cyrl", "zho_Hans")
MAPPED = (
    *("arb_Arab", "arb_Latn", "arz_Arab", "azb_Arab", "azj_Latn", "ben_Beng", "deu_Latn", "eng_Latn"),
    *("fin_Latn", "fra_Latn", "hin_Deva", "jpn_Jpan", "kas_Arab", "kas_Deva", "kir_Cyrl", "kor_Hang"),
    *("rus_Cyrl", "tam_Taml", "taq_Latn", "taq_Tfng", "tel_Telu", "tur_Latn", "uig_Arab", "ukr_Cyrl"),
    *("urd_Arab", "uzn_Latn", "zho_Hans", "zho_Hant"),
)

PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "retrieval": {"languages": RETRIEVED, "pooling": "published"},
    "map": {"languages": MAPPED, "pooling": "published"},
    "probe": {
        "languages": PROBED_LANGUAGES,
        "tasks": PROBED_TASKS,
        "pooling": "published",
        "keep_patience": True,
    },
    "saliency": {"methods": ("chefer",), "limit": 50},
}
