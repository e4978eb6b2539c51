"""Put many treebanks together into one data set of train, dev and test.

python scripts/mix_treebanks.py scripts/pixel-m4-ud-treebanks.yaml DATA [DATA …] --output_dir data/ud-mixture

DATA holds folders UD_…, as `pixel-m4 data fetch ud` leaves them.  Every sentence gets a comment
`# treebank = …`.  A treebank without train lends its dev to train; one with a test file only is divided, 70 %
train, 10 % dev and 20 % test, copies of a sentence together.  What test holds, word by word, is left out of
train and dev, whatever treebank it comes from; so is all of the unseen treebanks.  Relations are cut to their
universal part.  The YAML file names the treebanks, and those that are unseen.  The output folder has
`treebanks.tsv`: sentences by split, what was left out, and the checksum of each file that was read.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from pixel_m4.formats.conllu import UD_RELATIONS, UPOS, Sentence, read_conllu, strip_subtype, write_conllu
from pixel_m4.formats.folders import MissingSplitError, find_split
from pixel_m4.formats.rows import folded
from pixel_m4.tasks.parsing import CONLLU_FILES
from pixel_m4.tasks.splits import divide, evenly

SPLITS = ("train", "dev", "test")
DEV_SHARE, TEST_SHARE = 0.1, 0.2


@dataclass
class Treebank:
    """What one treebank gives.

    Attributes:
        name: without ``UD_``.
        splits: sentences by split.
        checksums: of the files that were read.
        dropped: sentences that were left out, by reason.
    """

    name: str
    splits: dict[str, list[Sentence]] = field(default_factory=dict)
    checksums: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, count: int) -> None:
        """Count sentences that are left out."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


def fold(sentence: Sentence) -> str:
    """What two copies of a sentence have in common."""
    return folded(" ".join(sentence.words))


def usable(sentence: Sentence) -> bool:
    """Whether all words are there and all labels are universal ones."""
    relations = {strip_subtype(relation) for relation in sentence.deprels}
    return "_" not in sentence.words and relations <= set(UD_RELATIONS) and set(sentence.upos) <= set(UPOS)


def read_treebank(name: str, folder: Path, seed: int) -> Treebank:
    """Read and divide one treebank.

    Raises:
        SystemExit: the folder holds no file of a split.
    """
    found = Treebank(name)
    for split in SPLITS:
        try:
            file = find_split(folder, split, CONLLU_FILES)
        except MissingSplitError:
            continue
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        found.checksums.append(f"{file.name} {digest}")
        sentences = read_conllu(file)
        kept = [sentence for sentence in sentences if usable(sentence)]
        found.drop("not universal", len(sentences) - len(kept))
        found.splits[split] = kept
    if not found.splits:
        raise SystemExit(f"{folder} holds no CoNLL-U file of train, dev or test; fetch the treebank again")
    if set(found.splits) == {"test"}:
        sentences = found.splits["test"]
        groups = [fold(sentence) for sentence in sentences]
        found.splits = divide(sentences, groups, seed=seed, dev=DEV_SHARE, test=TEST_SHARE)
    elif "train" not in found.splits:
        found.splits["train"] = found.splits.pop("dev")
    return found


def without_test(banks: Iterable[Treebank], unseen: Sequence[Treebank]) -> None:
    """Take what tests and unseen treebanks hold out of train and dev, and what dev holds out of train."""
    banks = list(banks)
    held = {fold(s) for bank in banks for s in bank.splits.get("test", [])}
    held |= {fold(s) for bank in unseen for sentences in bank.splits.values() for s in sentences}
    for split in ("dev", "train"):
        for bank in banks:
            before = bank.splits.get(split, [])
            bank.splits[split] = [sentence for sentence in before if fold(sentence) not in held]
            bank.drop(f"{split}, also held out", len(before) - len(bank.splits[split]))
        held |= {fold(s) for bank in banks for s in bank.splits[split]}


def marked(sentence: Sentence, treebank: str) -> Sentence:
    """The sentence with its treebank as a comment and relations without subtypes."""
    lines = [f"# treebank = {treebank}"]
    for line in sentence.lines:
        columns = line.split("\t")
        if len(columns) == 10 and columns[7] != "_":
            columns[7] = strip_subtype(columns[7])
        lines.append("\t".join(columns))
    return replace(sentence, lines=tuple(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("treebanks", type=Path, help="YAML file with the lists `mixed` and `unseen`")
    parser.add_argument("data", type=Path, nargs="+", help="folders that hold the treebanks")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write; it must not exist")
    parser.add_argument("--seed", type=int, default=0, help="for dividing test-only treebanks (default 0)")
    for split in SPLITS:
        parser.add_argument(
            f"--{split}_sentences",
            type=int,
            help=f"keep so many {split} sentences of a treebank, evenly taken; default: all",
        )
    arguments = parser.parse_args()
    if arguments.output_dir.exists():  # told now, since reading takes minutes
        raise SystemExit(f"--output_dir {arguments.output_dir} exists; delete it, or give another name")
    names = yaml.safe_load(arguments.treebanks.read_text(encoding="utf-8"))

    def read(name: str) -> Treebank:
        for data in arguments.data:
            if (data / f"UD_{name}").is_dir():
                return read_treebank(name, data / f"UD_{name}", arguments.seed)
        raise SystemExit(f"no folder UD_{name} in {', '.join(map(str, arguments.data))}")

    mixed, unseen = ([read(name) for name in names[kind]] for kind in ("mixed", "unseen"))
    without_test(mixed, unseen)
    for split in SPLITS:
        if (count := getattr(arguments, f"{split}_sentences")) is not None:
            for bank in mixed:
                bank.splits[split] = evenly(bank.splits.get(split, []), count)
    arguments.output_dir.mkdir(parents=True)
    for split in SPLITS:
        sentences = [marked(s, bank.name) for bank in mixed for s in bank.splits.get(split, [])]
        write_conllu(sentences, arguments.output_dir / f"{split}.conllu.gz")
    every = [marked(s, bank.name) for bank in unseen for split in SPLITS for s in bank.splits.get(split, [])]
    if unseen:
        write_conllu(every, arguments.output_dir / "unseen.conllu.gz")
    with (arguments.output_dir / "treebanks.tsv").open("w", encoding="utf-8") as stream:
        print("treebank", "kind", *SPLITS, "left out", "files", sep="\t", file=stream)
        for kind, bank in [*(("mixed", bank) for bank in mixed), *(("unseen", bank) for bank in unseen)]:
            counts = [len(bank.splits.get(split, [])) for split in SPLITS]
            dropped = "; ".join(f"{count} {reason}" for reason, count in bank.dropped.items())
            print(bank.name, kind, *counts, dropped, "; ".join(bank.checksums), sep="\t", file=stream)
    total = [sum(len(bank.splits.get(split, [])) for bank in mixed) for split in SPLITS]
    print(f"{len(mixed)} treebanks: " + ", ".join(f"{n:,} {s}" for n, s in zip(total, SPLITS, strict=True)))


if __name__ == "__main__":
    main()
