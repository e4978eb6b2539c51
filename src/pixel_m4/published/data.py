"""The published scripts that prepare data: what they write lies where the published training scripts look."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from pixel_m4.analysis.attacks import ATTACKS, attack
from pixel_m4.console.errors import UserError
from pixel_m4.fetch.download import download
from pixel_m4.fetch.run import DOWNLOADS, fetch
from pixel_m4.files import DataError, read_lines, refuse_existing, writing
from pixel_m4.formats.conllu import read_conllu, with_words, write_conllu
from pixel_m4.formats.folders import find_split
from pixel_m4.formats.iob import parse_iob
from pixel_m4.formats.tables import read_table
from pixel_m4.published.flags import Flags, asked

SPLITS = ("train", "dev", "test")
SEVERITIES = (20, 50, 80)
TREEBANK = Path("ud-treebanks-v2.10/UD_English-EWT")
SNLI = Path("snli_1.0")
_SEED = 42
TOPICS = (
    *("arz_Arab", "ben_Beng", "bod_Tibt", "deu_Latn", "ell_Grek", "eng_Latn", "est_Latn", "fin_Latn"),
    *("fra_Latn", "heb_Hebr", "hin_Deva", "hye_Armn", "jpn_Jpan", "kir_Cyrl", "kor_Hang", "rus_Cyrl"),
    *("tam_Taml", "tel_Telu", "tur_Latn", "uig_Arab", "ukr_Cyrl", "urd_Arab", "uzn_Latn", "zho_Hans"),
)
ENTITIES = ("hi", "bn", "ta", "te")
FONT_LIST = "https://notofonts.github.io/noto.json"
_CJK = "https://github.com/notofonts/noto-cjk/raw/main/Sans/OTF"
FONTS = (
    *(f"{_CJK}/{place}-Regular.otf" for place in (
        "Japanese/NotoSansCJKjp", "Korean/NotoSansCJKkr", "SimplifiedChinese/NotoSansCJKsc",
        "TraditionalChinese/NotoSansCJKtc", "TraditionalChineseHK/NotoSansCJKhk",
    )),
    "https://github.com/googlefonts/noto-emoji/raw/main/fonts/NotoColorEmoji.ttf",
)  # fmt: skip


def _needed(flags: Flags, name: str) -> Path:
    value = flags.get(name)
    if not value:
        raise UserError(f"the following flags are needed: --{name}")
    return Path(value).expanduser()


def convert_entities(flags: Flags) -> None:
    """Universal NER as lines of word and tag: ``train.txt``, ``dev.txt`` and ``test.txt``."""
    source, target = _needed(flags, "input_path"), _needed(flags, "output_path")
    files = {split: find_split(source, split, ["*-{split}.iob2"]) for split in SPLITS}
    for split in SPLITS:
        refuse_existing(target / f"{split}.txt", False)
    target.mkdir(parents=True, exist_ok=True)
    for split, file in files.items():
        sentences = parse_iob(read_lines(file), str(file))
        with writing(target / f"{split}.txt") as stream:
            for sentence in sentences:
                rows = zip(sentence.words, sentence.tags, strict=True)
                stream.writelines([*(f"{word} {tag}\n" for word, tag in rows), "\n"])
        print(target / f"{split}.txt")


def save_korean_entities(flags: Flags) -> None:
    """KLUE's named entities, in the folder itself."""
    target = _needed(flags, "save_dir")
    _fetch_into("klue", ["ner"], target, {"klue/ner": target}, overwrite=asked(flags, "overwrite"))


def save_indian_entities(flags: Flags) -> None:
    """Naamapadam in the published languages, a folder each."""
    _save(flags, "naamapadam", ENTITIES)


def save_topics(flags: Flags) -> None:
    """SIB-200 in the published languages, a folder each."""
    _save(flags, "sib200", TOPICS)


def _save(flags: Flags, name: str, parts: Sequence[str]) -> None:
    target = _needed(flags, "save_dir")
    missing = [part for part in parts if not (target / part).is_dir()]
    places = {f"{name}/{part}": target / part for part in missing}
    if missing:
        _fetch_into(name, missing, target, places)
    else:
        print(f"{target}: everything is there")


def _fetch_into(
    name: str, parts: Sequence[str], target: Path, places: dict[str, Path], *, overwrite: bool = False
) -> None:
    """Fetch beside, and move what came to its places when all of it is here."""
    scratch = target / DOWNLOADS
    if not overwrite:
        for place in places.values():
            if any(file.name != DOWNLOADS for file in place.glob("*")):
                raise UserError(f"{place} holds something already; move it away, or give another --save-dir")
    fetch(name, parts, scratch)
    for inner, place in places.items():
        place.mkdir(parents=True, exist_ok=True)
        for file in (scratch / inner).iterdir():
            file.replace(place / file.name)
        print(place)
    shutil.rmtree(scratch)


def fetch_fonts(flags: Flags) -> None:
    """All Noto Sans fonts that their project lists, five for Chinese, Japanese and Korean, and emoji.

    The published list has Apple's emoji, which are not free; these are Noto's.
    """
    target = _needed(flags, "output_dir")
    listed = target / f".{Path(FONT_LIST).name}"
    download(FONT_LIST, listed)
    try:
        urls = [*fonts_of(json.loads(listed.read_text(encoding="utf-8"))), *FONTS]
    finally:
        listed.unlink()
    for number, url in enumerate(urls, 1):
        file = target / url.rpartition("/")[2]
        if not file.is_file():
            download(url, file)
        print(f"{number}/{len(urls)} {file}", flush=True)


def fonts_of(content: object) -> list[str]:
    """Where the regular, hinted fonts without serifs are that the list of Noto's project names.

    Raises:
        DataError: it is no such list.
    """
    try:
        assert isinstance(content, dict)
        files = [
            file
            for script in content.values()
            for family in script["families"].values()
            for file in family.get("files", {}).get("hinted", ())
        ]
    except (AssertionError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{FONT_LIST} is no list of fonts as it was ({error!r})") from error
    chosen = [file for file in files if "Regular" in file and "Serif" not in file and "UI-" not in file]
    home = FONT_LIST.rpartition("/")[0]
    return [f"{home}/{file}" for file in dict.fromkeys(chosen) if file.endswith(".ttf")]


def find_attack(name: str) -> str:
    """Our name of a published attack.

    Raises:
        UserError: there is none; names those that there are.
    """
    ours = name.replace("-", "_")
    if ours not in ATTACKS:
        known = ", ".join(each.replace("_", "-") for each in ATTACKS)
        raise UserError(f"there is no attack {name!r} here; there are {known}")
    return ours


def attack_tags(flags: Flags) -> None:
    """English POS data with attacked words, in ``robustness/pos/<attack><severity>``."""
    name, home = find_attack(flags.get("attack") or ""), Path(flags.get("path_to_data_dir") or "data")
    files = {split: home / TREEBANK / f"en_ewt-ud-{split}.conllu" for split in SPLITS}
    targets = _targets(home / "robustness" / "pos", flags, files)
    for (split, severity), target in targets.items():
        sentences = read_conllu(files[split], trees=False)
        words = iter(attack([w for s in sentences for w in s.words], name, severity / 100, _SEED))
        changed = [with_words(s, [next(words) for _ in s.words]) for s in sentences]
        write_conllu(changed, target)
        print(target)


def attack_pairs(flags: Flags) -> None:
    """SNLI with attacked words, in ``robustness/snli/<attack><severity>``, beside the clean ones."""
    name, home = find_attack(flags.get("attack") or ""), Path(flags.get("path_to_data_dir") or "data")
    files = {split: home / SNLI / f"snli_1.0_{split}.txt" for split in SPLITS}
    targets = _targets(home / "robustness" / "snli", flags, files)
    for (split, severity), target in targets.items():
        table = read_table(files[split])
        label, *texts = (table.column(column) for column in ("gold_label", "sentence1", "sentence2"))
        kept = [row for row in table.rows if row[label] in ("contradiction", "neutral", "entailment")]
        with writing(target) as stream:
            stream.write("label\tpremise_org\thypothesis_org\tpremise\thypothesis\n")
            for number, row in enumerate(kept):
                both = [row[text] for text in texts]
                drawn = (_SEED + 2 * number, _SEED + 2 * number + 1)
                attacked = [
                    " ".join(attack(text.split(), name, severity / 100, seed))
                    for text, seed in zip(both, drawn, strict=True)
                ]
                stream.write("\t".join([row[label], *both, *attacked]) + "\n")
        print(target)


def _targets(home: Path, flags: Flags, files: dict[str, Path]) -> dict[tuple[str, int], Path]:
    """The file of each split and severity.

    Raises:
        DataError: a file to attack is not there.
        UserError: a file that would be written is.
    """
    for file in files.values():
        if not file.is_file():
            raise DataError(f"there is no {file}; --path_to_data_dir names the folder that holds it")
    targets = {
        (split, severity): home / f"{flags['attack']}{severity}" / file.name
        for severity in SEVERITIES
        for split, file in files.items()
    }
    for target in targets.values():
        refuse_existing(target, False)
        target.parent.mkdir(parents=True, exist_ok=True)
    return targets
