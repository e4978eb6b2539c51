"""A dependency parser without pixels: the BiLSTM with biaffine attention of Dozat & Manning (2017), small.

Words are means of hashed character n-gram embeddings (Bojanowski et al. 2017), trained from nothing.
Dimensions: B batch, W words, D width, R relations.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pixel_m4.formats.conllu import Sentence, strip_subtype
from pixel_m4.model.heads import Biaffine
from pixel_m4.tasks.batch import IGNORE, pad
from pixel_m4.tasks.parsing import Parsed, Parsing, Scores

BUCKETS, WIDTH, HIDDEN, ARC, REL = 2**16, 100, 150, 150, 50
BATCH_WORDS, DROPOUT, RATE = 500, 0.33, 4e-3


def ngrams(word: str, longest: int) -> Iterator[str]:
    """Character n-grams of a word between its borders, and the whole word."""
    text = f"^{word}$"
    yield text
    for size in range(1, longest + 1):
        for start in range(len(text) - size + 1):
            yield text[start : start + size]


class BiLSTMParser(nn.Module):
    """Scores of heads and relations.

    Args:
        relations: number of relations, R.
    """

    def __init__(self, relations: int) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(BUCKETS, WIDTH, mode="mean", sparse=True)
        nn.init.normal_(self.words.weight, std=0.3)
        self.root = nn.Parameter(torch.zeros(WIDTH))
        self.lstm = nn.LSTM(WIDTH, HIDDEN, 2, batch_first=True, bidirectional=True, dropout=DROPOUT)
        self.dropout = nn.Dropout(DROPOUT)
        self.sides = nn.ModuleList(nn.Linear(2 * HIDDEN, width) for width in (ARC, ARC, REL, REL))
        self.arcs = Biaffine(ARC, 1, bias_x=True, bias_y=False)
        self.rels = Biaffine(REL, relations, bias_x=True, bias_y=True)

    def forward(self, grams: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
        """Buckets of the n-grams of each word → arcs [B, W, W + 1], words, heads [B, W (+ 1), D]."""
        flat = [word for sentence in grams for word in sentence]
        starts = torch.tensor([0, *map(len, flat[:-1])]).cumsum(0)
        embedded = self.words(torch.cat(flat), starts).split([len(sentence) for sentence in grams])
        padded = nn.utils.rnn.pad_sequence([torch.cat([self.root[None], e]) for e in embedded], True)
        lengths = torch.tensor([len(sentence) + 1 for sentence in grams])
        packed = pack_padded_sequence(self.dropout(padded), lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        states = self.dropout(states)
        arc_dep, arc_head, rel_dep, rel_head = (
            self.dropout(F.leaky_relu(side(states), 0.1)) for side in self.sides
        )
        arcs = self.arcs(arc_dep[:, 1:], arc_head).squeeze(-1)
        beyond = torch.arange(states.shape[1]) >= lengths[:, None]
        return arcs.masked_fill(beyond[:, None], -1e4), rel_dep[:, 1:], rel_head

    def loss(self, grams: Sequence[Sequence[Tensor]], heads: Tensor, rels: Tensor) -> Tensor:
        """Cross-entropy of heads [B, W] and of relations [B, W] to the gold heads."""
        arcs, dependents, candidates = self(grams)
        gold = candidates.gather(1, heads.clamp(min=0)[..., None].expand(-1, -1, candidates.shape[-1]))
        known = rels != IGNORE
        labels = self.rels.paired(dependents[known], gold[known])
        return F.cross_entropy(arcs.flatten(0, 1), heads.flatten(), ignore_index=IGNORE) + F.cross_entropy(
            labels, rels[known]
        )

    @torch.inference_mode()
    def scores(self, grams: Sequence[Sequence[Tensor]]) -> list[Scores]:
        """Log-probabilities of heads and the best relation to each, as the pixel parser decodes them."""
        arcs, dependents, candidates = self(grams)
        heads = arcs.log_softmax(-1).numpy()
        rels = self.rels(dependents, candidates)[..., 1:].argmax(-1).add(1).numpy()
        sizes = map(len, grams)
        return [Scores(heads[i, :w, : w + 1], rels[i, :w, : w + 1]) for i, w in enumerate(sizes)]


def train_and_parse(task: Parsing, data: dict[str, list[Sentence]], seconds: float) -> list[Parsed]:
    """Train for some time on train, take the epoch that is best on dev, and parse test.

    Args:
        task: has the relations and the decoding.
        data: train, dev and test.
        seconds: CPU time of training; evaluation on dev comes on top.
    """
    torch.manual_seed(0)
    rng = random.Random(0)
    numbers = {label: number for number, label in enumerate(task.labels)}
    grams = {split: [buckets(sentence) for sentence in sentences] for split, sentences in data.items()}
    heads = [list(sentence.heads) for sentence in data["train"]]
    rels = [[numbers[strip_subtype(rel)] for rel in sentence.deprels] for sentence in data["train"]]
    model = BiLSTMParser(len(task.labels))
    dense = [parameter for name, parameter in model.named_parameters() if not name.startswith("words.")]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Adam(dense, lr=RATE, betas=(0.9, 0.9)),
        torch.optim.SparseAdam(model.words.parameters(), lr=RATE, betas=(0.9, 0.9)),
    ]
    chosen, best, spent = model.state_dict(), -1.0, 0.0
    while spent < seconds:
        model.train()
        begun = time.process_time()  # others may use the machine too
        batches = list(batched([len(sentence) for sentence in grams["train"]]))
        rng.shuffle(batches)
        for batch in batches:
            left = 1 - (spent + time.process_time() - begun) / seconds
            parts = [grams["train"][i] for i in batch]
            labels = (torch.from_numpy(pad([rows[i] for i in batch])) for rows in (heads, rels))
            loss = model.loss(parts, *labels)
            model.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(dense, 5.0)
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = RATE * max(0.05, left)
                optimizer.step()
        spent += time.process_time() - begun
        score = task.score(data["dev"], parse(model, task, data["dev"], grams["dev"]))[task.metric]
        if score > best:
            best = score
            chosen = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(chosen)
    return parse(model, task, data["test"], grams["test"])


def parse(
    model: BiLSTMParser, task: Parsing, sentences: Sequence[Sentence], grams: Sequence[Sequence[Tensor]]
) -> list[Parsed]:
    """Trees of sentences, decoded as those of the pixel parser."""
    model.eval()
    scores: dict[int, Scores] = {}
    for batch in batched([len(sentence) for sentence in grams]):
        scores |= zip(batch, model.scores([grams[i] for i in batch]), strict=True)
    return [task.parse(sentence, scores[i]) for i, sentence in enumerate(sentences)]


def buckets(sentence: Sentence) -> list[Tensor]:
    """Hashes of the n-grams of every word; the same on every machine."""
    return [
        torch.tensor([zlib.crc32(gram.encode()) % BUCKETS for gram in ngrams(word.lower(), 4)])
        for word in sentence.words
    ]


def batched(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of sentences, like lengths together, some hundred words at once."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[number] > BATCH_WORDS:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
