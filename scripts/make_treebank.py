"""Make the small treebank of English, Hindi, Ukrainian and Chinese that ships with the package.

A hand-written grammar and lexicon a language build sentences together with their trees, so that the parser
can be taught and tried without fetching anything. Nothing is taken from other treebanks. Trees follow
https://universaldependencies.org/guidelines.html (version 2), with universal relations only.

Words marked "*" in the lexicons are kept for the dev and test files: a parser has to generalise to them. The
same command always makes the same bytes.

    python scripts/make_treebank.py [--output FOLDER] [--stats]
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).resolve().parents[1] / "src" / "pixel_m4" / "assets" / "treebank"
SIZES = {"train": 400, "dev": 50, "test": 50}  # sentences a language
SHORTEST, LONGEST = 3, 14  # words, punctuation included
LONG = 10  # most sentences from here on are passed over, to keep the files small
HELD_OUT_RATE = 0.17  # how often dev and test prefer a word that train never has, where there is one


# --- Trees and choices ------------------------------------------------------------------------------------


@dataclass
class Node:
    """A word with its dependents in the order they are read, before and after it."""

    form: str
    upos: str
    before: list[tuple[str, Node]] = field(default_factory=list)
    after: list[tuple[str, Node]] = field(default_factory=list)

    def pre(self, *dependents: tuple[str, Node] | None) -> Node:
        """Put dependents in front of all others; the first is the leftmost."""
        self.before = [d for d in dependents if d] + self.before
        return self

    def post(self, *dependents: tuple[str, Node] | None) -> Node:
        """Put dependents behind all others."""
        self.after += [d for d in dependents if d]
        return self


Item = Sequence[Any]  # an entry of a lexicon: whether it is held out, then its columns


def table(text: str) -> list[list[str]]:
    """Entries a line; the first column tells "held" or "". Underscores stand for nothing."""
    rows = []
    for line in text.strip().splitlines():
        for entry in line.split("|"):
            cells = entry.split()
            rows.append(["held" if cells[0][0] == "*" else "", cells[0].lstrip("*"), *cells[1:]])
    return rows


class Chooser:
    """All the chance in one place. Only `random()` is used: its stream is the same in every Python."""

    def __init__(self, seed: str, held_out: bool):
        self._random = random.Random(seed).random
        self._held_out = held_out
        self._used: set[str] = set()
        self.past = False  # whether the sentence tells of the past, so that its clauses agree in time

    def new_sentence(self) -> None:
        """Forget the words used so far and choose a time."""
        self._used.clear()
        self.past = self.chance(0.45)

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return self._random() < probability

    def pick(self, options: Sequence[Any]) -> Any:
        """One of the options, all alike."""
        return options[int(self._random() * len(options))]

    def weighted(self, options: Sequence[tuple[float, Any]]) -> Any:
        """One of the options by weight."""
        at = self._random() * sum(weight for weight, _ in options)
        for weight, option in options:
            at -= weight
            if at < 0:
                return option
        return options[-1][1]

    def entry(self, items: Sequence[Item]) -> Any:
        """An entry not yet in this sentence, held out or not as the split demands."""
        fresh = [item for item in items if item[1] not in self._used] or list(items)
        held = [item for item in fresh if item[0]]
        known = [item for item in fresh if not item[0]]
        if held and self._held_out and (not known or self.chance(HELD_OUT_RATE)):
            item = self.pick(held)
        else:
            item = self.pick(known)
        self._used.add(item[1])
        return item


def punct(form: str) -> tuple[str, Node]:
    return "punct", Node(form, "PUNCT")


def of_class(items: Sequence[Item], classes: str, column: int = -1) -> list[Item]:
    """Entries whose class letter, or one of them, is among the classes."""
    return [item for item in items if set(item[column]) & set(classes)]


# --- English ----------------------------------------------------------------------------------------------
# Classes: P person, A animal, F food, R something to read, T thing, L place (with a preposition), S surface.

EN_NOUNS = table("""
teacher teachers P | doctor doctors P | student students P | boy boys P | girl girls P | child children P
woman women P | farmer farmers P | neighbour neighbours P | friend friends P | artist artists P
guest guests P | *nurse nurses P | *driver drivers P | *baker bakers P | dog dogs A | cat cats A
bird birds A | horse horses A | *rabbit rabbits A | *goat goats A | apple apples F | cake cakes F
egg eggs F | sandwich sandwiches F | orange oranges F | *pear pears F | *pancake pancakes F | book books R
letter letters R | poem poems R | story stories R | message messages R | *novel novels R | box boxes T
lamp lamps T | chair chairs T | bag bags T | key keys T | picture pictures T | bottle bottles T
hat hats T | cup cups T | toy toys T | *clock clocks T | *basket baskets T | *umbrella umbrellas T
""")
EN_PLACES = table("""
garden in L | kitchen in L | school at L | park in L | market at L | house in L | library in L
station at L | room in L | *museum in L | *village in L | *cellar in L | table on S | shelf on S
floor on S | roof on S | bed on S | *bench on S | *carpet on S
""")
EN_NAMES = table("Anna she|Peter he|Maria she|David he|Laura she|Thomas he|*Sophie she|*Martin he")
EN_SURNAMES = table("Miller|Brown|Carter|*Fisher")
# base, third person, past, participle, -ing, classes of the subject, classes of the object
EN_TRANSITIVE = table("""
read reads read read reading P R | write writes wrote written writing P R | eat eats ate eaten eating PA F
buy buys bought bought buying P FTR | sell sells sold sold selling P FTR
find finds found found finding PA FTR | meet meets met met meeting P P
carry carries carried carried carrying P FT | follow follows followed followed following PA PA
help helps helped helped helping P P | hide hides hid hidden hiding P FTR
watch watches watched watched watching PA PA | clean cleans cleaned cleaned cleaning P T
bring brings brought brought bringing P FTR | paint paints painted painted painting P PAT
*chase chases chased chased chasing PA PA | *borrow borrows borrowed borrowed borrowing P RT
*feed feeds fed fed feeding P PA
""")
EN_INTRANSITIVE = table("""
sleep sleeps slept slept sleeping PA | run runs ran run running PA | wait waits waited waited waiting PA
laugh laughs laughed laughed laughing P | sing sings sang sung singing P
work works worked worked working P | play plays played played playing PA | sit sits sat sat sitting PA
*dance dances danced danced dancing P | *rest rests rested rested resting PA
""")
EN_GIVE = table("""
give gives gave given giving | send sends sent sent sending | show shows showed shown showing
*lend lends lent lent lending
""")
EN_THINK = table("""
think thinks thought thought thinking | say says said said saying | know knows knew known knowing
hear hears heard heard hearing | *believe believes believed believed believing
""")
EN_WANT = table("""
want wants wanted wanted wanting | try tries tried tried trying | decide decides decided decided deciding
*hope hopes hoped hoped hoping
""")
EN_ADJECTIVES = table("""
old PATLS | young PA | tired PA | happy PA | kind P | hungry PA | *brave PA | *polite P | new TRS
small ATFLS | big ATFLS | red TF | heavy T | clean TLS | beautiful TRL | fresh F | sweet F | *ripe F
long R | short R | interesting R | *famous R | quiet PAL | *blue T | *strange TR | warm LF
""")
EN_OFTEN = table("often|always|sometimes|rarely|*usually")
EN_SLOWLY = table("slowly|quietly|carefully|quickly|*gently")
EN_HERE = table("here|outside|there|upstairs|*downstairs")
EN_NUMBERS = table("two|three|four|five|*seven")
EN_OPPOSITES = [{"old", "young"}, {"old", "new"}, {"small", "big"}, {"long", "short"}]
EN_VERB_COLUMNS = {"base": 1, "3sg": 2, "past": 3, "participle": 4, "ing": 5}
EN_BE = {"1sg": ("am", "was"), "3sg": ("is", "was"), "pl": ("are", "were")}


def en_verb(item: Item, form: str) -> Node:
    return Node(item[EN_VERB_COLUMNS[form]], "VERB")


def en_adjective(g: Chooser, classes: str) -> Node:
    form = g.entry(of_class(EN_ADJECTIVES, classes))[1]
    return Node(form, "ADJ")


def en_place(g: Chooser, classes: str = "L") -> Node:
    item = g.entry(of_class(EN_PLACES, classes))
    noun = Node(item[1], "NOUN")
    if g.chance(0.2):
        noun.pre(("amod", en_adjective(g, item[3])))
    return noun.pre(("case", Node(item[2], "ADP")), ("det", Node("the", "DET")))


def en_noun_phrase(
    g: Chooser, classes: str, rich: float = 1.0, plural: bool | None = None
) -> tuple[Node, str]:
    """A noun phrase and its agreement; `rich` scales the odds of modifiers."""
    item = g.entry(of_class(EN_NOUNS, classes))
    plural = g.chance(0.25) if plural is None else plural
    noun = Node(item[2] if plural else item[1], "NOUN")
    if g.chance(0.3 * rich):
        noun.pre(("amod", en_adjective(g, item[3])))
    kind = g.weighted(
        [(4, "the"), (0 if plural else 3, "a"), (1.5, "poss"), (1, "this"), (1.5 * plural, "number"),
         (1, "gen"), (1.2 * plural, "bare"), (0 if plural else 0.7 * rich, "every"),
         (0.7 * plural * rich, "some")]
    )  # fmt: skip
    if item[1] == "woman" and kind in ("poss", "gen"):
        kind = "the"
    if kind == "number":
        number = g.entry(EN_NUMBERS)[1]
        noun.pre(("det", Node("the", "DET")) if g.chance(0.3) else None, ("nummod", Node(number, "NUM")))
    elif kind == "poss":
        form = g.pick(["my", "your", "his", "her", "our", "their"])
        noun.pre(("nmod", Node(form, "PRON")))
    elif kind == "gen":
        name = g.entry(EN_NAMES)[1]
        noun.pre(("nmod", Node(name, "PROPN").post(("case", Node("'s", "PART")))))
    elif kind == "this":
        form = g.pick(["these", "those"] if plural else ["this", "that"])
        noun.pre(("det", Node(form, "DET")))
    elif kind != "bare":
        noun.pre(("det", Node(kind, "DET")))
    if rich >= 1 and item[3] != "A" and g.chance(0.15):
        if item[3] == "P":
            inner = en_noun_phrase(g, "T", 0, plural=False)[0].pre(("case", Node("with", "ADP")))
        else:
            inner = en_place(g, "LS")
            if inner.before[0][1].form != "on":
                inner.before[0] = ("case", Node("from", "ADP"))
        noun.post(("nmod", inner))
    elif rich >= 1 and g.chance(0.1):
        noun.post(("acl", en_relative(g, item[3], "pl" if plural else "3sg")))
    return noun, "pl" if plural else "3sg"


def en_relative(g: Chooser, classes: str, agreement: str) -> Node:
    pronoun = Node("who" if classes == "P" else "that", "PRON")
    if classes in "PA":
        return en_predicate(g, ("nsubj", pronoun), classes, agreement, rich=0)
    item = g.entry(of_class(of_class(EN_TRANSITIVE, classes), "P", 6))
    subject, agreement = en_subject(g, "P", rich=0)
    auxiliaries, form = en_tense(g, agreement, negative=False)
    return en_verb(item, form).pre(("obj", pronoun), ("nsubj", subject), *auxiliaries)


def en_subject(g: Chooser, classes: str, rich: float = 1.0) -> tuple[Node, str]:
    kind = g.weighted(
        [
            (6, "noun"),
            (1.5 * ("P" in classes), "name"),
            (2 * ("P" in classes), "pronoun"),
            (0.8 * rich, "and"),
        ]
    )
    if kind == "name":
        name = g.entry(EN_NAMES)[1]
        node = Node(name, "PROPN")
        if g.chance(0.25):
            surname = g.entry(EN_SURNAMES)[1]
            node.post(("flat", Node(surname, "PROPN")))
        return node, "3sg"
    if kind == "pronoun":
        form, agreement = g.pick(
            [("I", "1sg"), ("he", "3sg"), ("she", "3sg"), ("we", "pl"), ("they", "pl"), ("you", "pl")]
        )
        return Node(form, "PRON"), agreement
    one_class = g.pick(classes)
    node, agreement = en_noun_phrase(g, one_class, rich)
    if kind == "and" and not node.after:
        other, _ = en_noun_phrase(g, one_class, 0)
        return node.post(("conj", other.pre(("cc", Node("and", "CCONJ"))))), "pl"
    return node, agreement


def en_be(g: Chooser, agreement: str) -> str:
    return EN_BE[agreement][g.past]


def en_tense(
    g: Chooser, agreement: str, negative: bool | None = None, emphatic: bool = False
) -> tuple[list[tuple[str, Node]], str]:
    """Auxiliaries and negation in their order, and the form of the verb; `emphatic` demands an auxiliary."""
    negative = not emphatic and g.chance(0.14) if negative is None else negative
    if g.past:
        tense = g.weighted([(5, "past"), (2, "progressive")])
    else:
        tense = g.weighted(
            [(4, "present"), (2, "will"), (3, "progressive"), (1.5, "perfect"), (1, "can"), (0.7, "must")]
        )
    if tense in ("present", "past") and not negative and not emphatic:
        return [], "past" if tense == "past" else "3sg" if agreement == "3sg" else "base"
    if tense in ("present", "past"):
        auxiliary, form = "did" if tense == "past" else "does" if agreement == "3sg" else "do", "base"
    elif tense == "progressive":
        auxiliary, form = en_be(g, agreement), "ing"
    elif tense == "perfect":
        auxiliary, form = "has" if agreement == "3sg" else "have", "participle"
    else:
        auxiliary, form = tense, "base"
    nodes = [("aux", Node(auxiliary, "AUX"))]
    if negative:
        nodes.append(("advmod", Node("not", "PART")))
    return nodes, form


def en_complements(g: Chooser, verb: Node, item: Item | None, rich: float) -> Node:
    if item is not None:
        thing, _ = en_noun_phrase(g, g.pick(item[7]), rich)
        verb.post(("obj", thing))
    if g.chance(0.35 if rich else 0.15):
        verb.post(("obl", en_place(g)))
    elif g.chance(0.2):
        adverb = g.entry(EN_SLOWLY if g.chance(0.6) else EN_HERE)[1]
        verb.post(("advmod", Node(adverb, "ADV")))
    return verb


def en_predicate(
    g: Chooser, subject: tuple[str, Node] | None, classes: str, agreement: str, rich: float = 1.0
) -> Node:
    """A verb with its objects and adverbials behind a subject of one class."""
    transitive = g.chance(0.65)
    item = g.entry(of_class(EN_TRANSITIVE if transitive else EN_INTRANSITIVE, classes, 6))
    auxiliaries, form = en_tense(g, agreement)
    verb = en_verb(item, form)
    if not any(node.form == "not" for _, node in auxiliaries) and form != "ing" and g.chance(0.12):
        adverb = g.entry(EN_OFTEN)[1] if g.chance(0.8) else "never"
        verb.pre(("advmod", Node(adverb, "ADV")))
    verb.pre(subject, *auxiliaries)
    return en_complements(g, verb, item if transitive else None, rich)


def en_clause(g: Chooser, rich: float = 1.0) -> Node:
    classes = "P" if g.chance(0.75) else "A"
    subject, agreement = en_subject(g, classes, rich)
    return en_predicate(g, ("nsubj", subject), classes, agreement, rich)


def en_give(g: Chooser) -> Node:
    subject, agreement = en_subject(g, "P")
    item = g.entry(EN_GIVE)
    auxiliaries, form = en_tense(g, agreement)
    verb = en_verb(item, form).pre(("nsubj", subject), *auxiliaries)
    thing, _ = en_noun_phrase(g, g.pick("FTR"), 0.9)
    person, _ = en_noun_phrase(g, "P", 0.5)
    if g.chance(0.5):
        return verb.post(("iobj", person), ("obj", thing))
    return verb.post(("obj", thing), ("obl", person.pre(("case", Node("to", "ADP")))))


def en_copula(g: Chooser) -> Node:
    classes = g.pick("PPAFTRT")
    subject, agreement = en_subject(g, classes) if classes in "PA" else en_noun_phrase(g, classes)
    be = "cop", Node(en_be(g, agreement), "AUX")
    negation = ("advmod", Node("not", "PART")) if g.chance(0.2) else None
    kind = g.weighted(
        [(3, "adjective"), (2, "place"), (1.5 * (classes == "P" and agreement != "pl"), "noun")]
    )
    if kind == "adjective":
        predicate = en_adjective(g, classes)
        if not negation and g.chance(0.4):
            predicate.pre(("advmod", Node(g.pick(["very", "too", "so"]), "ADV")))
        elif g.chance(0.2):
            other = en_adjective(g, classes)
            if {predicate.form, other.form} not in EN_OPPOSITES:
                predicate.post(("conj", other.pre(("cc", Node("and", "CCONJ")))))
    elif kind == "place":
        predicate = en_place(g, "L" if classes in "PA" else "LS")
    else:
        form = g.entry(of_class(EN_NOUNS, "P"))[1]
        predicate = Node(form, "NOUN").pre(("det", Node("a", "DET")))
        if g.chance(0.4):
            adjective = en_adjective(g, "P")
            predicate.before = [predicate.before[0], ("amod", adjective)]
    return predicate.pre(("nsubj", subject), be, negation)


def en_there(g: Chooser) -> Node:
    plural = g.chance(0.4)
    classes = g.pick("PAFTR")
    noun, _ = en_noun_phrase(g, classes, 0.6, plural=plural)
    noun.before = [d for d in noun.before if d[0] in ("amod", "nummod")]
    if plural:
        if not any(rel == "nummod" for rel, _ in noun.before):
            noun.pre(("det", Node("some", "DET")))
    else:
        noun.pre(("det", Node("a", "DET")))
    be = Node(en_be(g, "pl" if plural else "3sg"), "VERB")
    return be.pre(("expl", Node("there", "PRON"))).post(
        ("nsubj", noun), ("obl", en_place(g, "L" if classes in "PA" else "LS"))
    )


def en_question(g: Chooser) -> Node:
    kind = g.weighted([(3, "yes-no"), (1.5, "who"), (1.5, "what"), (1.5, "where")])
    transitive = kind in ("who", "what") or g.chance(0.6)
    item = g.entry(of_class(EN_TRANSITIVE if transitive else EN_INTRANSITIVE, "P", 6))
    if kind == "who":
        who = "nsubj", Node("who", "PRON")
        auxiliaries, form = en_tense(g, "3sg", negative=False)
        return en_complements(g, en_verb(item, form).pre(who, *auxiliaries), item, 1)
    subject, agreement = en_subject(g, "P", 0.6)
    auxiliaries, form = en_tense(g, agreement, emphatic=True)
    verb = en_verb(item, form).pre(*auxiliaries, ("nsubj", subject))
    if kind == "what":
        if "R" in item[7] or "F" in item[7] or "T" in item[7]:
            return verb.pre(("obj", Node("what", "PRON"))).post(
                ("obl", en_place(g)) if g.chance(0.4) else None
            )
        return verb.pre(("obj", Node("who", "PRON")))
    if kind == "where":
        if transitive:
            verb.post(("obj", en_noun_phrase(g, g.pick(item[7]), 0.5)[0]))
        return verb.pre(("advmod", Node("where", "ADV")))
    return en_complements(g, verb, item if transitive else None, 1)


def en_that(g: Chooser) -> Node:
    subject, agreement = en_subject(g, "P", 0.5)
    item = g.entry(EN_THINK)
    verb = en_verb(item, "past" if g.past else "3sg" if agreement == "3sg" else "base").pre(
        ("nsubj", subject)
    )
    inner = en_clause(g, 0.5) if g.chance(0.7) else en_copula(g)
    if g.chance(0.8):
        inner.pre(("mark", Node("that", "SCONJ")))
    return verb.post(("ccomp", inner))


def en_want(g: Chooser) -> Node:
    subject, agreement = en_subject(g, "P", 0.7)
    item = g.entry(EN_WANT)
    form = "past" if g.past else "3sg" if agreement == "3sg" else "base"
    verb = en_verb(item, form).pre(("nsubj", subject))
    transitive = g.chance(0.7)
    inner = g.entry(of_class(EN_TRANSITIVE if transitive else EN_INTRANSITIVE, "P", 6))
    node = en_verb(inner, "base").pre(("mark", Node("to", "PART")))
    return verb.post(("xcomp", en_complements(g, node, inner if transitive else None, 0.8)))


def en_because(g: Chooser) -> Node:
    word, upos, rel = g.pick(
        [
            ("because", "SCONJ", "mark"),
            ("when", "ADV", "advmod"),
            ("if", "SCONJ", "mark"),
            ("while", "SCONJ", "mark"),
        ]
    )
    inner = en_clause(g, 0.3) if g.chance(0.75) else en_copula(g)
    main = en_clause(g, 0.3)
    inner.pre((rel, Node(word, upos)))
    if g.chance(0.5):
        return main.pre(("advcl", inner.post(punct(","))))
    return main.post(("advcl", inner))


def en_coordination(g: Chooser) -> Node:
    first = en_clause(g, 0.4)
    conjunction = g.pick(["and", "but"])
    if g.chance(0.5):
        second = en_clause(g, 0.4).pre(punct(","), ("cc", Node(conjunction, "CCONJ")))
        return first.post(("conj", second))
    subject, agreement = en_subject(g, "P", 0.5)
    verbs = []
    for _ in range(2):
        transitive = g.chance(0.6)
        item = g.entry(of_class(EN_TRANSITIVE if transitive else EN_INTRANSITIVE, "P", 6))
        verb = en_verb(item, "past" if g.past else "3sg" if agreement == "3sg" else "base")
        verbs.append(en_complements(g, verb, item if transitive else None, 0.5))
    verbs[1].pre(("cc", Node("and", "CCONJ")))
    return verbs[0].pre(("nsubj", subject)).post(("conj", verbs[1]))


def en_imperative(g: Chooser) -> Node:
    item = g.entry(of_class(of_class(EN_TRANSITIVE, "P", 6), "FTR", 7))
    verb = en_verb(item, "base")
    thing, _ = en_noun_phrase(g, g.pick([c for c in item[7] if c in "FTR"]), 0.6)
    verb.post(("obj", thing), ("obl", en_place(g)) if g.chance(0.2) else None)
    if g.chance(0.25):
        verb.pre(("aux", Node("do", "AUX")), ("advmod", Node("not", "PART")))
    elif g.chance(0.3):
        verb.pre(("discourse", Node("please", "INTJ")))
    if g.chance(0.5):
        name = g.entry(EN_NAMES)[1]
        verb.pre(("vocative", Node(name, "PROPN").post(punct(","))))
    return verb


def en_passive(g: Chooser) -> Node:
    item = g.entry([item for item in of_class(EN_TRANSITIVE, "FTR", 7) if item[1] != "watch"])
    thing, agreement = en_noun_phrase(g, g.pick([c for c in item[7] if c in "FTR"]), 0.8)
    verb = en_verb(item, "participle")
    auxiliaries = [("aux", Node(en_be(g, agreement), "AUX"))]
    if not g.past and g.chance(0.4):
        auxiliaries = [("aux", Node("will", "AUX")), ("aux", Node("be", "AUX"))]
    verb.pre(("nsubj", thing), *auxiliaries)
    if g.chance(0.6):
        agent, _ = en_noun_phrase(g, "P", 0.6)
        verb.post(("obl", agent.pre(("case", Node("by", "ADP")))))
    else:
        verb.post(("obl", en_place(g)))
    return verb


def en_interjection(g: Chooser) -> Node:
    word = g.pick(["yes", "no", "well"])
    return en_clause(g, 0.5).pre(("discourse", Node(word, "INTJ").post(punct(","))))


def english(g: Chooser) -> Node:
    """One English sentence with its final mark."""
    build, mark = g.weighted(
        [(30, (en_clause, ".")), (8, (en_give, ".")), (12, (en_copula, ".")), (5, (en_there, ".")),
         (12, (en_question, "?")), (7, (en_that, ".")), (6, (en_want, ".")), (6, (en_because, ".")),
         (6, (en_coordination, ".")), (5, (en_imperative, "!")), (6, (en_passive, ".")),
         (2, (en_interjection, "."))]
    )  # fmt: skip
    return build(g).post(punct(mark))


def english_spelling(nodes: list[Node]) -> None:
    for node, following in pairwise(nodes):
        if node.form == "a" and following.form[0] in "aeiou":
            node.form = "an"


# --- Hindi ------------------------------------------------------------------------------------------------
# Nouns decline by gender and ending, for number and for the oblique case before a postposition.

HI_NOUNS = table("""
लड़का m P | लड़की f P | शिक्षक m P | डॉक्टर m P | किसान m P | बच्चा m P | औरत f P | आदमी m P | छात्र m P
छात्रा f P | पड़ोसी m P | बहन f P | भाई m P | दोस्त m P | मेहमान m P | *नर्स f P | *दर्जी m P | *गायक m P
*मज़दूर m P | कुत्ता m A | बिल्ली f A | घोड़ा m A | चिड़िया f A | गाय f A | *बकरी f A | *तोता m A
*खरगोश m A | सेब m F | आम m F | रोटी f F | मिठाई f F | केला m F | अंडा m F | *संतरा m F | *अमरूद m F
किताब f R | चिट्ठी f R | कहानी f R | कविता f R | अख़बार m R | *उपन्यास m R | *पत्रिका f R | बक्सा m T
कुर्सी f T | थैला m T | चाबी f T | तस्वीर f T | बोतल f T | कपड़ा m T | खिलौना m T | गिलास m T | *टोपी f T
*घड़ी f T | *छाता m T
""")
HI_PLACES = table("""
घर m में L | बगीचा m में L | कमरा m में L | स्कूल m में L | बाज़ार m में L | गाँव m में L | शहर m में L
रसोई f में L | *पुस्तकालय m में L | *अस्पताल m में L | *दुकान f में L | मेज़ f पर S | छत f पर S
बिस्तर m पर S | सड़क f पर S | *चटाई f पर S | *अलमारी f पर S
""")
HI_NAMES = table("राम m|सीता f|मोहन m|राधा f|अमित m|नेहा f|*विजय m|*गीता f")
HI_SURNAMES = table("शर्मा|वर्मा|गुप्ता|*सिंह")
# stem, the word that makes a compound with it (word, part of speech, gender), subjects, objects
HI_TRANSITIVE = table("""
पढ़ _ P R | लिख _ P R | खा _ PA F | ख़रीद _ P FTR | बेच _ P FTR | देख _ PA PAFTR | ढूँढ _ P AFTR
उठा _ P FTR | छिपा _ P FTR | बुला _ P P | माँग _ P FTR | चुन _ P FTR | धो _ P T
पसंद+कर पसंद/NOUN/f P PAFTR | साफ़+कर साफ़/ADJ/m P T | *पकड़ _ P AT | *फेंक _ P FT
*तैयार+कर तैयार/ADJ/m P F
""")
HI_INTRANSITIVE = table("""
सो _ PA _ | दौड़ _ PA _ | हँस _ P _ | बैठ _ PA _ | रो _ P _ | चल _ PA _ | घूम _ PA _ | जाग _ PA _
*नाच _ P _ | *रुक _ PA _ | *भाग _ PA _
""")
HI_WORK = table("काम+कर काम/NOUN/m P _|बात+कर बात/NOUN/f P _|*आराम+कर आराम/NOUN/m P _")
HI_GIVE = table("दे _|भेज _|दिखा _|*सौंप _")
HI_THINK = table("सोच _|जान _|*मान _")
HI_SAY = table("कह _|बता _|*समझा _")
HI_ADJECTIVES = table("""
बड़ा ATFLS | छोटा PATFLS | नया TR | पुराना TRLS | अच्छा PAR | लाल TF | भारी T | साफ़ TLS | सुंदर PTRL
ताज़ा F | मीठा F | लंबा PR | दिलचस्प R | भूखा PA | बूढ़ा PA | ईमानदार P | बीमार PA | शांत PAL | मेहनती P
चालाक PA | प्यारा PA | *पका F | *मशहूर R | *बहादुर PA | *नीला T | *अजीब TR
""")
HI_ADVERBS = table("अब|अक्सर|हमेशा|यहाँ|वहाँ|बाहर|*अंदर|*आजकल")
HI_MANNER = table("धीरे-धीरे|चुपचाप|जल्दी|*झटपट")
HI_NUMBERS = table("दो|तीन|चार|पाँच|*सात")
HI_PERFECTIVE = {
    "कर": ("किया", "किए", "की", "कीं"),
    "दे": ("दिया", "दिए", "दी", "दीं"),
    "ले": ("लिया", "लिए", "ली", "लीं"),
    "जा": ("गया", "गए", "गई", "गईं"),
}
HI_FUTURE = {"दे": ("देगा", "देंगे", "देगी", "देंगी", "दूँगा", "दूँगी")}
HI_PAST_BE = {"ms": "था", "mp": "थे", "fs": "थी", "fp": "थीं"}
HI_SLOTS = ("ms", "mp", "fs", "fp")


def hi_noun_forms(noun: str, gender: str) -> tuple[str, str, str, str]:
    """Direct and oblique singular, direct and oblique plural."""
    stem = noun[:-1]
    if gender == "m":
        if noun[-1] == "ा":
            return noun, stem + "े", stem + "े", stem + "ों"
        if noun[-1] in "ीई":
            return noun, noun, noun, stem + ("ियों" if noun[-1] == "ी" else "इयों")
        return noun, noun, noun, noun + "ों"
    if noun.endswith("िया"):
        return noun, noun, noun + "ँ", stem + "ों"
    if noun[-1] == "ी":
        return noun, noun, stem + "ियाँ", stem + "ियों"
    if noun[-1] == "ई":
        return noun, noun, stem + "इयाँ", stem + "इयों"
    if noun[-1] == "ा":
        return noun, noun, noun + "एँ", noun + "ओं"
    return noun, noun, noun + "ें", noun + "ों"


def hi_adjective_form(word: str, gender: str, plural: bool, oblique: bool) -> str:
    """Adjectives, possessives and the genitive postposition agree alike."""
    if word == "नया":  # written with a vowel sign of its own
        return "नई" if gender == "f" else "नए" if plural or oblique else word
    if word[-1] != "ा":
        return word
    return word[:-1] + ("ी" if gender == "f" else "े" if plural or oblique else "ा")


def hi_perfective(stem: str, slot: str) -> str:
    if stem in HI_PERFECTIVE:
        return HI_PERFECTIVE[stem][HI_SLOTS.index(slot)]
    endings = ("या", "ए", "ई", "ईं") if stem[-1] in "ाो" else ("ा", "े", "ी", "ीं")
    return stem + endings[HI_SLOTS.index(slot)]


def hi_future(stem: str, slot: str, first: bool) -> str:
    index = HI_SLOTS.index(slot) if not first or slot[1] == "p" else 4 + (slot[0] == "f")
    if stem in HI_FUTURE:
        return HI_FUTURE[stem][index]
    after_vowel = ("एगा", "एँगे", "एगी", "एँगी", "ऊँगा", "ऊँगी")
    after_consonant = ("ेगा", "ेंगे", "ेगी", "ेंगी", "ूँगा", "ूँगी")
    return stem + (after_vowel if stem[-1] in "ाो" else after_consonant)[index]


@dataclass
class HiPhrase:
    """A noun phrase with what verbs agree with: gender and number ("ms" … "fp") and person."""

    node: Node
    slot: str
    first: bool = False


def hi_case(node: Node, postposition: str) -> Node:
    words = postposition.split()
    case = Node(words[0], "ADP").post(*(("fixed", Node(word, "ADP")) for word in words[1:]))
    return node.post(("case", case))


def hi_noun_phrase(
    g: Chooser,
    classes: str,
    oblique: bool = False,
    rich: float = 1.0,
    plural: bool | None = None,
    own: bool = False,
) -> HiPhrase:
    """A noun phrase; `own` lets it belong to the subject (अपना)."""
    item = g.entry(of_class(HI_NOUNS, classes))
    noun, gender = item[1], item[2]
    plural = g.chance(0.25) if plural is None else plural
    node = Node(hi_noun_forms(noun, gender)[2 * plural + oblique], "NOUN")
    if g.chance(0.3 * rich):
        adjective = g.entry(of_class(HI_ADJECTIVES, item[3]))[1]
        node.pre(("amod", Node(hi_adjective_form(adjective, gender, plural, oblique), "ADJ")))
    kind = g.weighted(
        [(5, "bare"), (1.5, "this"), (1.5, "poss"), (1.2, "gen"), (0 if plural else 1, "one"),
         (1.5 * plural, "number"), (0.8 * plural, "many"), (0 if plural else 0.5, "every")]
    )  # fmt: skip
    if noun in ("औरत", "आदमी") and kind in ("poss", "gen"):
        kind = "bare"
    if kind == "this":
        forms = g.pick([("यह", "इस", "ये", "इन"), ("वह", "उस", "वे", "उन")])
        node.pre(("det", Node(forms[2 * plural + oblique], "DET")))
    elif kind == "poss":
        lemma = "अपना" if own else g.pick(["मेरा", "हमारा", "तुम्हारा", "उसका", "उनका"])
        node.pre(("nmod", Node(hi_adjective_form(lemma, gender, plural, oblique), "PRON")))
    elif kind == "gen":
        owner = (
            hi_name(g).node
            if g.chance(0.6)
            else hi_noun_phrase(g, "P", oblique=True, rich=0, plural=False).node
        )
        node.pre(("nmod", hi_case(owner, hi_adjective_form("का", gender, plural, oblique))))
    elif kind in ("one", "every", "many"):
        form = {"one": "एक", "every": "हर", "many": "कई"}[kind]
        node.pre(("det", Node(form, "DET")))
    elif kind == "number":
        number = g.entry(HI_NUMBERS)[1]
        node.pre(("nummod", Node(number, "NUM")))
    return HiPhrase(node, gender + ("p" if plural else "s"))


def hi_name(g: Chooser, surname: bool = False) -> HiPhrase:
    item = g.entry(HI_NAMES)
    node = Node(item[1], "PROPN")
    if surname and g.chance(0.25):
        last = g.entry(HI_SURNAMES)[1]
        node.post(("flat", Node(last, "PROPN")))
    return HiPhrase(node, item[2] + "s")


def hi_subject(
    g: Chooser, classes: str, ergative: bool, rich: float = 1.0, relative: bool = False
) -> HiPhrase:
    kind = g.weighted(
        [
            (6, "noun"),
            (2.5 * ("P" in classes), "name"),
            (2 * ("P" in classes), "pronoun"),
            (0.8 * rich, "and"),
        ]
    )
    if kind == "name":
        phrase = hi_name(g, surname=True)
        return HiPhrase(hi_case(phrase.node, "ने"), phrase.slot) if ergative else phrase
    if kind == "pronoun":
        direct, by, number, first = g.pick(
            [("मैं", "मैंने", "s", True), ("हम", "हमने", "p", True), ("वह", "उसने", "s", False),
             ("वे", "उन्होंने", "p", False)]
        )  # fmt: skip
        gender = "m" if number == "p" else g.pick("mf")
        return HiPhrase(Node(by if ergative else direct, "PRON"), gender + number, first)
    one_class = g.pick(classes)
    phrase = hi_noun_phrase(g, one_class, ergative, rich)
    if kind == "and":
        other = hi_noun_phrase(g, one_class, ergative, 0)
        phrase.node.post(("conj", other.node.pre(("cc", Node("और", "CCONJ")))))
        phrase.slot = ("f" if phrase.slot[0] == other.slot[0] == "f" else "m") + "p"
    elif relative and not ergative and g.chance(0.12):
        phrase.node.post(("acl", hi_relative(g, one_class, phrase.slot)))
    if ergative:
        hi_case(phrase.node, "ने")
    return phrase


def hi_relative(g: Chooser, classes: str, slot: str) -> Node:
    verb = hi_predicate(g, classes, HiPhrase(Node("जो", "PRON"), slot), rich=0)
    return verb.pre(punct(",")).post(punct(","))


def hi_place(g: Chooser, classes: str = "L") -> Node:
    item = g.entry(of_class(HI_PLACES, classes))
    node = Node(hi_noun_forms(item[1], item[2])[1], "NOUN")
    if g.chance(0.2):
        adjective = g.entry(of_class(HI_ADJECTIVES, item[4]))[1]
        node.pre(("amod", Node(hi_adjective_form(adjective, item[2], False, True), "ADJ")))
    return hi_case(node, item[3])


def hi_is(phrase: HiPhrase, past: bool = False) -> Node:
    if past:
        return Node(HI_PAST_BE[phrase.slot], "AUX")
    return Node("हैं" if phrase.slot[1] == "p" else "हूँ" if phrase.first else "है", "AUX")


def hi_participle(stem: str, slot: str) -> str:
    """The habitual participle: ता, ते, ती."""
    return stem + {"ms": "ता", "mp": "ते", "fs": "ती", "fp": "ती"}[slot]


def hi_finite(g: Chooser, stem: str, tense: str, target: HiPhrase) -> Node:
    """The verb with its auxiliaries, agreeing with the target."""
    slot = target.slot
    stem_node = Node(stem, "VERB")
    if tense == "habitual":
        return Node(hi_participle(stem, slot), "VERB").post(("aux", hi_is(target, g.past)))
    if tense == "progressive":
        rahi = {"ms": "रहा", "mp": "रहे", "fs": "रही", "fp": "रही"}[slot]
        return stem_node.post(("aux", Node(rahi, "AUX")), ("aux", hi_is(target, g.past)))
    if tense == "can":
        return stem_node.post(("aux", Node(hi_participle("सक", slot), "AUX")), ("aux", hi_is(target)))
    if tense == "future":
        return Node(hi_future(stem, slot, target.first), "VERB")
    if tense.startswith("vector"):
        vector = tense.split("-")[1]
        return stem_node.post(("aux", Node(hi_perfective(vector, slot), "AUX")))
    if not g.past or g.chance(0.35):  # before an auxiliary the feminine plural is not marked
        form = hi_perfective(stem, "fs" if slot == "fp" else slot)
        return Node(form, "VERB").post(("aux", hi_is(target, g.past)))
    return Node(hi_perfective(stem, slot), "VERB")


def hi_stem(item: Item) -> str:
    return item[1].split("+")[-1]


def hi_light(item: Item) -> tuple[str, Node] | None:
    if item[2] == "_":
        return None
    word, upos, _ = item[2].split("/")
    return "compound", Node(word, upos)


def hi_tense(g: Chooser, transitive: bool, negative: bool, stem: str) -> str:
    vector = "vector-दे" if stem in ("बेच", "फेंक") else "vector-ले"
    if not transitive:
        vector = "vector-जा" if stem in ("सो", "बैठ", "जाग", "रुक", "भाग") else "progressive"
    if g.past:
        return g.weighted(
            [(2, "habitual"), (2, "progressive"), (5, "perfective"), (0 if negative else 1.5, vector)]
        )
    return g.weighted([(4, "habitual"), (3, "progressive"), (1, "perfective"), (2, "future"), (1, "can")])


def hi_object(g: Chooser, classes: str, rich: float = 1.0) -> tuple[HiPhrase, bool]:
    """An object, and whether it is marked by को: animate ones are."""
    one_class = g.pick(classes)
    marked = one_class in "PA"
    phrase = hi_noun_phrase(g, one_class, oblique=marked, rich=rich, own=True)
    if marked:
        hi_case(phrase.node, "को")
    return phrase, marked


def hi_predicate(g: Chooser, classes: str, subject: HiPhrase | None = None, rich: float = 1.0) -> Node:
    """A clause; a subject that is given stays in the direct case."""
    kind = g.weighted([(6, "transitive"), (3.2, "intransitive"), (1.2 * (classes == "P"), "work")])
    lexicon = {"transitive": HI_TRANSITIVE, "intransitive": HI_INTRANSITIVE, "work": HI_WORK}[kind]
    item = g.entry(of_class(lexicon, classes, 3))
    stem = hi_stem(item)
    negative = g.chance(0.13)
    ergative_verb = kind != "intransitive"
    tense = hi_tense(g, ergative_verb, negative, stem)
    ergative = ergative_verb and tense in ("perfective", "vector-ले", "vector-दे")
    if subject is not None and ergative:
        tense, ergative = "progressive", False
    given = subject is not None
    if subject is None:
        subject = hi_subject(g, classes, ergative, rich, relative=rich >= 1)
    target = subject
    middle: list[tuple[str, Node] | None] = []
    if kind == "transitive":
        phrase, marked = hi_object(g, item[4], rich)
        middle.append(("obj", phrase.node))
        if ergative:
            target = HiPhrase(phrase.node, "ms" if marked else phrase.slot)
    elif kind == "work":
        if item[1] == "बात+कर":
            other = hi_noun_phrase(g, "P", oblique=True, rich=0.6, own=True)
            middle.append(("obl", hi_case(other.node, "से")))
        if ergative:
            target = HiPhrase(subject.node, item[2][-1] + "s")
    verb = hi_finite(g, stem, tense, target)
    early: list[tuple[str, Node] | None] = []
    if g.chance(0.3 if rich else 0.15):
        early.append(("obl", hi_place(g)))
    elif g.chance(0.15) and not given:
        adverb = g.entry(HI_ADVERBS)[1]
        early.append(("advmod", Node(adverb, "ADV")))
    late = None
    if g.chance(0.12) and kind != "work" and not negative:
        adverb = g.entry(HI_MANNER)[1]
        late = "advmod", Node(adverb, "ADV")
    negation = ("advmod", Node("नहीं", "PART")) if negative else None
    return verb.pre(("nsubj", subject.node), *early, *middle, late, hi_light(item), negation)


def hi_clause(g: Chooser, rich: float = 1.0) -> Node:
    return hi_predicate(g, "P" if g.chance(0.75) else "A", rich=rich)


def hi_give(g: Chooser) -> Node:
    item = g.entry(HI_GIVE)
    tense = "perfective" if g.past else g.pick(["habitual", "progressive", "perfective", "future"])
    subject = hi_subject(g, "P", tense == "perfective", 0.7)
    person = hi_noun_phrase(g, "P", oblique=True, rich=0.5, own=True)
    thing = hi_noun_phrase(g, g.pick("FTR"), rich=0.8)
    verb = hi_finite(g, item[1], tense, thing if tense == "perfective" else subject)
    return verb.pre(("nsubj", subject.node), ("iobj", hi_case(person.node, "को")), ("obj", thing.node))


def hi_copula(g: Chooser) -> Node:
    classes = g.pick("PPAFTR")
    subject = hi_subject(g, classes, False) if classes in "PA" else hi_noun_phrase(g, classes)
    gender, plural = subject.slot[0], subject.slot[1] == "p"
    kind = g.weighted([(3, "adjective"), (2, "place"), (1.5 * (classes == "P" and not plural), "noun")])
    negative = g.chance(0.2)
    if kind == "adjective":
        adjective = g.entry(of_class(HI_ADJECTIVES, classes))[1]
        predicate = Node(hi_adjective_form(adjective, gender, plural, False), "ADJ")
        if not negative and g.chance(0.4):
            predicate.pre(("advmod", Node("बहुत", "ADV")))
    elif kind == "place":
        predicate = hi_place(g, "L" if classes in "PA" else "LS")
    else:
        item = g.entry([item for item in of_class(HI_NOUNS, "P") if item[2] == gender])
        predicate = Node(item[1], "NOUN")
        if g.chance(0.5):
            adjective = g.entry(of_class(HI_ADJECTIVES, "P"))[1]
            predicate.pre(("amod", Node(hi_adjective_form(adjective, gender, False, False), "ADJ")))
        if g.chance(0.5):
            predicate.pre(("det", Node("एक", "DET")))
    negation = ("advmod", Node("नहीं", "PART")) if negative else None
    return predicate.pre(("nsubj", subject.node)).post(negation, ("cop", hi_is(subject, g.past)))


def hi_has(g: Chooser) -> Node:
    owner = hi_name(g).node if g.chance(0.5) else hi_noun_phrase(g, "P", oblique=True, rich=0.5).node
    thing = hi_noun_phrase(g, g.pick("FTRA"), rich=0.8)
    be = hi_is(thing, g.past)
    be.upos = "VERB"
    return be.pre(("obl", hi_case(owner, "के पास")), ("nsubj", thing.node))


def hi_question(g: Chooser) -> Node:
    kind = g.weighted([(4, "yes-no"), (2, "who"), (2, "what"), (2, "where")])
    if kind == "yes-no":
        clause = hi_clause(g, 0.6) if g.chance(0.7) else hi_copula(g)
        return clause.pre(("discourse", Node("क्या", "PART")))
    if kind == "who":
        return hi_predicate(g, "P", HiPhrase(Node("कौन", "PRON"), "ms"), rich=0.7)
    tense = g.pick(["habitual", "progressive"] if g.past else ["habitual", "progressive", "future"])
    subject = hi_subject(g, "P", False, 0.7)
    if kind == "what":
        item = g.entry([item for item in of_class(HI_TRANSITIVE, "FTR", 4) if "P" in item[3]])
        verb = hi_finite(g, hi_stem(item), tense, subject)
        place = ("obl", hi_place(g)) if g.chance(0.4) else None
        return verb.pre(("nsubj", subject.node), place, ("obj", Node("क्या", "PRON")), hi_light(item))
    item = g.entry([*HI_INTRANSITIVE, HI_WORK[0]])
    verb = hi_finite(g, hi_stem(item), tense, subject)
    return verb.pre(("nsubj", subject.node), ("advmod", Node("कहाँ", "ADV")), hi_light(item))


def hi_that(g: Chooser) -> Node:
    if g.chance(0.5):
        item, subject = g.entry(HI_SAY), hi_subject(g, "P", True, 0.5)
        verb = hi_finite(g, item[1], "perfective", HiPhrase(subject.node, "ms"))
    else:
        item, subject = g.entry(HI_THINK), hi_subject(g, "P", False, 0.5)
        verb = hi_finite(g, item[1], "habitual", subject)
    inner = hi_clause(g, 0.3) if g.chance(0.7) else hi_copula(g)
    return verb.pre(("nsubj", subject.node)).post(("ccomp", inner.pre(("mark", Node("कि", "SCONJ")))))


def hi_want(g: Chooser) -> Node:
    subject = hi_subject(g, "P", False, 0.7)
    verb = (
        hi_finite(g, "चाह", "habitual", subject)
        if g.chance(0.7)
        else hi_finite(g, "सीख", "progressive", subject)
    )
    transitive = g.chance(0.7)
    item = g.entry(of_class(HI_TRANSITIVE if transitive else HI_INTRANSITIVE, "P", 3))
    inner = Node(hi_stem(item) + "ना", "VERB").pre(hi_light(item))
    if transitive:
        inner.pre(("obj", hi_object(g, item[4])[0].node))
    place = ("obl", hi_place(g)) if g.chance(0.25) else None
    return verb.pre(("nsubj", subject.node), ("xcomp", inner.pre(place)))


def hi_having(g: Chooser) -> Node:
    """One does something after another: खाकर, करके."""
    item = g.entry(of_class(HI_TRANSITIVE, "P", 3))
    stem = hi_stem(item)
    first = Node(stem + ("के" if stem == "कर" else "कर"), "VERB").pre(hi_light(item))
    first.pre(("obj", hi_object(g, item[4])[0].node))
    subject = hi_subject(g, "P", False, 0.7)
    second = g.entry(HI_INTRANSITIVE)
    tense = hi_tense(g, False, False, second[1])
    verb = hi_finite(g, second[1], tense, subject)
    place = ("obl", hi_place(g)) if g.chance(0.3) else None
    return verb.pre(("nsubj", subject.node), ("advcl", first), place)


def hi_because(g: Chooser) -> Node:
    if g.chance(0.5):
        inner, main = hi_clause(g, 0.3), hi_clause(g, 0.3)
        inner.pre(punct(","), ("mark", Node("क्योंकि", "SCONJ")))
        return main.post(("advcl", inner))
    inner, main = hi_clause(g, 0.3), hi_clause(g, 0.3)
    inner.pre(("mark", Node(g.pick(["अगर", "जब"]), "SCONJ"))).post(punct(","))
    return main.pre(
        ("advcl", inner), ("advmod", Node("तो" if inner.before[0][1].form == "अगर" else "तब", "ADV"))
    )


def hi_coordination(g: Chooser) -> Node:
    first, second = hi_clause(g, 0.4), hi_clause(g, 0.4)
    conjunction = g.pick(["और", "लेकिन"])
    comma = punct(",") if conjunction == "लेकिन" else None
    return first.post(("conj", second.pre(comma, ("cc", Node(conjunction, "CCONJ")))))


def hi_imperative(g: Chooser) -> Node:
    item = g.entry(
        [item for item in of_class(HI_TRANSITIVE, "FTR", 4) if "P" in item[3] and item[1] != "पसंद+कर"]
    )
    stem = hi_stem(item)
    form = stem + ("ओ" if stem[-1] in "ाो" else "ो")
    thing = hi_noun_phrase(g, g.pick([c for c in item[4] if c in "FTR"]), rich=0.6, own=True)
    negation = ("advmod", Node("मत", "PART")) if g.chance(0.25) else None
    verb = Node(form, "VERB").pre(("obj", thing.node), hi_light(item), negation)
    if g.chance(0.6):
        verb.pre(("vocative", hi_name(g).node.post(punct(","))))
    return verb


def hindi(g: Chooser) -> Node:
    """One Hindi sentence with its final mark."""
    build, mark = g.weighted(
        [(34, (hi_clause, "।")), (8, (hi_give, "।")), (12, (hi_copula, "।")), (5, (hi_has, "।")),
         (11, (hi_question, "?")), (7, (hi_that, "।")), (7, (hi_want, "।")), (5, (hi_having, "।")),
         (4, (hi_because, "।")), (4, (hi_coordination, "।")), (5, (hi_imperative, "!"))]
    )  # fmt: skip
    return build(g).post(punct(mark))


# --- Ukrainian --------------------------------------------------------------------------------------------
# Nouns: gender, class, then genitive, dative, accusative, instrumental singular, nominative, genitive plural.

UK_NOUNS = table("""
вчитель m P вчителя вчителеві вчителя вчителем вчителі вчителів
лікар m P лікаря лікареві лікаря лікарем лікарі лікарів
хлопець m P хлопця хлопцеві хлопця хлопцем хлопці хлопців
студент m P студента студентові студента студентом студенти студентів
сусід m P сусіда сусідові сусіда сусідом сусіди сусідів | брат m P брата братові брата братом брати братів
друг m P друга другові друга другом друзі друзів | онук m P онука онукові онука онуком онуки онуків
студентка f P студентки студентці студентку студенткою студентки студенток
дівчинка f P дівчинки дівчинці дівчинку дівчинкою дівчинки дівчаток
сестра f P сестри сестрі сестру сестрою сестри сестер | жінка f P жінки жінці жінку жінкою жінки жінок
бабуся f P бабусі бабусі бабусю бабусею бабусі бабусь
подруга f P подруги подрузі подругу подругою подруги подруг
*художник m P художника художникові художника художником художники художників
*кухар m P кухаря кухареві кухаря кухарем кухарі кухарів
*лікарка f P лікарки лікарці лікарку лікаркою лікарки лікарок
*художниця f P художниці художниці художницю художницею художниці художниць
кіт m A кота котові кота котом коти котів | пес m A пса псові пса псом пси псів
кінь m A коня коневі коня конем коні коней | корова f A корови корові корову коровою корови корів
птах m A птаха птахові птаха птахом птахи птахів | *коза f A кози козі козу козою кози кіз
*кролик m A кролика кроликові кролика кроликом кролики кроликів
яблуко n F яблука яблуку яблуко яблуком яблука яблук | груша f F груші груші грушу грушею груші груш
пиріг m F пирога пирогу пиріг пирогом пироги пирогів
цукерка f F цукерки цукерці цукерку цукеркою цукерки цукерок
*слива f F сливи сливі сливу сливою сливи слив | *огірок m F огірка огірку огірок огірком огірки огірків
книга f R книги книзі книгу книгою книги книг | лист m R листа листу лист листом листи листів
казка f R казки казці казку казкою казки казок | вірш m R вірша віршу вірш віршем вірші віршів
оповідання n R оповідання оповіданню оповідання оповіданням оповідання оповідань
*роман m R роману роману роман романом романи романів | ключ m T ключа ключу ключ ключем ключі ключів
лампа f T лампи лампі лампу лампою лампи ламп | сумка f T сумки сумці сумку сумкою сумки сумок
стілець m T стільця стільцю стілець стільцем стільці стільців
картина f T картини картині картину картиною картини картин
дзеркало n T дзеркала дзеркалу дзеркало дзеркалом дзеркала дзеркал
м'яч m T м'яча м'ячу м'яч м'ячем м'ячі м'ячів | відро n T відра відру відро відром відра відер
*годинник m T годинника годиннику годинник годинником годинники годинників
*парасолька f T парасольки парасольці парасольку парасолькою парасольки парасольок
""")
# gender, genitive, locative, its preposition, class
UK_PLACES = table("""
сад m саду саду у L | школа f школи школі у L | парк m парку парку у L
бібліотека f бібліотеки бібліотеці у L | село n села селі у L | кімната f кімнати кімнаті у L
кухня f кухні кухні у L | будинок m будинку будинку у L | ринок m ринку ринку на L
вокзал m вокзалу вокзалі на L | вулиця f вулиці вулиці на L | *музей m музею музеї у L
*місто n міста місті у L | *крамниця f крамниці крамниці у L | стіл m стола столі на S
полиця f полиці полиці на S | підлога f підлоги підлозі на S | дах m даху даху на S
*лавка f лавки лавці на S | *шафа f шафи шафі на S
""")
UK_NAMES = table("""
Олена f Олени Олені Олену Оленою Олено | Іван m Івана Іванові Івана Іваном Іване
Марія f Марії Марії Марію Марією Маріє | Тарас m Тараса Тарасові Тараса Тарасом Тарасе
Оксана f Оксани Оксані Оксану Оксаною Оксано | Петро m Петра Петрові Петра Петром Петре
*Софія f Софії Софії Софію Софією Софіє | *Андрій m Андрія Андрієві Андрія Андрієм Андрію
""")
UK_SURNAMES = table("Шевченко|Коваленко|*Бондаренко")
# infinitive, first and third person singular, third plural, past masculine ("_": as the infinitive tells),
# imperative, subjects, objects; perfective verbs have only the infinitive and what follows the present
UK_TRANSITIVE = table("""
читати читаю читає читають _ читай P R | писати пишу пише пишуть _ пиши P R
їсти їм їсть їдять їв їж PA F | купувати купую купує купують _ купуй P FTR
продавати продаю продає продають _ продавай P FTR | бачити бачу бачить бачать _ _ PA PAFTR
шукати шукаю шукає шукають _ шукай PA PAFTR | малювати малюю малює малюють _ малюй P PAT
любити люблю любить люблять _ люби P PAFR | знати знаю знає знають _ _ P P
ховати ховаю ховає ховають _ ховай P FTR | мити мию миє миють _ мий P FT
слухати слухаю слухає слухають _ слухай P P | *годувати годую годує годують _ годуй P A
*фарбувати фарбую фарбує фарбують _ фарбуй P T
""")
UK_PERFECTIVE = table("""
прочитати _ прочитай P R | написати _ напиши P R | з'їсти з'їв з'їж PA F | купити _ купи P FTR
продати _ продай P FTR | побачити _ _ PA PAFTR | знайти знайшов знайди PA PAFTR | загубити _ _ P TR
намалювати _ намалюй P PAT | принести приніс принеси P FTR | *позичити _ позич P TR
*сховати _ сховай P FTR
""")
UK_INTRANSITIVE = table("""
спати сплю спить сплять PA | працювати працюю працює працюють P | бігати бігаю бігає бігають PA
сміятися сміюся сміється сміються P | співати співаю співає співають P | сидіти сиджу сидить сидять PA
стояти стою стоїть стоять PA | чекати чекаю чекає чекають PA | *танцювати танцюю танцює танцюють P
*відпочивати відпочиваю відпочиває відпочивають PA
""")
UK_GIVE = table("""
давати даю дає дають | показувати показую показує показують | дарувати дарую дарує дарують
*пропонувати пропоную пропонує пропонують
""")
UK_THINK = table("""
думати думаю думає думають | казати кажу каже кажуть | знати знаю знає знають | *вірити вірю вірить вірять
""")
UK_WANT = table("""
хотіти хочу хоче хочуть _ | починати починаю починає починають _ | вчитися вчуся вчиться вчаться _
*намагатися намагаюся намагається намагаються _
""")
UK_ADJECTIVES = table("""
новий TRLS | старий PATRLS | великий ATFLS | маленький PATFLS | добрий PA | гарний PATRL | молодий PA
цікавий R | червоний TF | важкий T | чистий TLS | веселий PA | втомлений PA | голодний PA | смачний F
довгий R | короткий R | стиглий F | *мудрий P | *дивний PATR | *зелений T | *солодкий F
""")
UK_ADVERBS = table("завжди F|часто F|тут A|там A|іноді F|знову A|сьогодні A|*зазвичай F|*щодня F|*нині A")
UK_MANNER = table("тихо|повільно|уважно|швидко|*обережно")
UK_NUMBERS = table("три|чотири")
UK_STATES = ("знати", "бачити", "любити", "побачити")
UK_ACTIONS = ("читати", "писати", "їсти", "малювати", "мити", "працювати", "співати", "шукати", "танцювати")
UK_CASES = ("nom", "gen", "dat", "acc", "ins", "loc")
UK_ENDINGS = {  # hard adjectives, by gender or plural; the accusative of m and pl depends on animacy
    "m": dict(zip(UK_CASES, ("ий", "ого", "ому", "", "им", "ому"), strict=True)),
    "f": dict(zip(UK_CASES, ("а", "ої", "ій", "у", "ою", "ій"), strict=True)),
    "n": dict(zip(UK_CASES, ("е", "ого", "ому", "е", "им", "ому"), strict=True)),
    "p": dict(zip(UK_CASES, ("і", "их", "им", "", "ими", "их"), strict=True)),
}
UK_DETERMINERS = {
    "мій": {"m": "мій мого моєму _ моїм моєму", "f": "моя моєї моїй мою моєю моїй",
            "n": "моє мого моєму моє моїм моєму", "p": "мої моїх моїм _ моїми моїх"},
    "твій": {"m": "твій твого твоєму _ твоїм твоєму", "f": "твоя твоєї твоїй твою твоєю твоїй",
             "n": "твоє твого твоєму твоє твоїм твоєму", "p": "твої твоїх твоїм _ твоїми твоїх"},
    "свій": {"m": "свій свого своєму _ своїм своєму", "f": "своя своєї своїй свою своєю своїй",
             "n": "своє свого своєму своє своїм своєму", "p": "свої своїх своїм _ своїми своїх"},
    "наш": {"m": "наш нашого нашому _ нашим нашому", "f": "наша нашої нашій нашу нашою нашій",
            "n": "наше нашого нашому наше нашим нашому", "p": "наші наших нашим _ нашими наших"},
    "цей": {"m": "цей цього цьому _ цим цьому", "f": "ця цієї цій цю цією цій",
            "n": "це цього цьому це цим цьому", "p": "ці цих цим _ цими цих"},
    "який": {"m": "який якого якому _ яким якому", "f": "яка якої якій яку якою якій",
             "n": "яке якого якому яке яким якому", "p": "які яких яким _ якими яких"},
}  # fmt: skip
UK_PAST = {"m": "", "f": "ла", "n": "ло", "p": "ли"}


@dataclass
class UkPhrase:
    """A noun phrase with what verbs agree with: gender or "p" for plural, and whether it speaks."""

    node: Node
    gender: str
    first: bool = False


def uk_agreeing(lemma: str, gender: str, case: str, animate: bool) -> str:
    """The form of an adjective or determiner."""
    if gender in "mp" and case == "acc":
        case = "gen" if animate else "nom"
    if lemma in UK_DETERMINERS:
        return UK_DETERMINERS[lemma][gender].split()[UK_CASES.index(case)]
    ending = UK_ENDINGS[gender][case]
    return lemma[:-2] + ending


def uk_noun_form(item: Item, plural: bool, case: str) -> str:
    if plural:
        if case == "acc":
            case = "gen" if item[3] in "PA" else "nom"
        return item[{"nom": 8, "gen": 9}[case]]
    return item[{"nom": 1, "gen": 4, "dat": 5, "acc": 6, "ins": 7}[case]]


def uk_past(infinitive: str, masculine: str, gender: str) -> str:
    reflexive = infinitive.endswith("ся")
    bare = infinitive[:-2] if reflexive else infinitive
    if masculine == "знайшов":
        form = {"m": "знайшов", "f": "знайшла", "n": "знайшло", "p": "знайшли"}[gender]
    elif masculine == "приніс":
        form = {"m": "приніс", "f": "принесла", "n": "принесло", "p": "принесли"}[gender]
    elif masculine != "_":
        form = masculine if gender == "m" else masculine[:-1] + UK_PAST[gender]
    else:
        form = bare[:-2] + ("в" if gender == "m" else UK_PAST[gender])
    return form + ("ся" if reflexive else "")


def uk_noun_phrase(
    g: Chooser, classes: str, case: str, rich: float = 1.0, plural: bool | None = None, own: bool = False
) -> UkPhrase:
    """A noun phrase in a case; plurals are nominative or accusative. `own`: maybe the subject's (свій)."""
    item = g.entry(of_class(UK_NOUNS, classes, 3))
    animate = item[3] in "PA"
    plural = (g.chance(0.25) and case in ("nom", "acc")) if plural is None else plural
    gender = "p" if plural else item[2]
    node = Node(uk_noun_form(item, plural, case), "NOUN")
    if g.chance(0.3 * rich):
        lemma = g.entry(of_class(UK_ADJECTIVES, item[3]))[1]
        node.pre(("amod", Node(uk_agreeing(lemma, gender, case, animate), "ADJ")))
    countable = plural and (case == "nom" or not animate) and not node.before
    kind = g.weighted([(6, "bare"), (1.5, "this"), (2, "poss"), (2.5 * countable, "number")])
    if item[1] == "жінка" and kind == "poss":
        kind = "bare"
    if kind == "number":
        number = g.entry(UK_NUMBERS)[1] if g.chance(0.6) else "дві" if item[2] == "f" else "два"
        node.pre(("nummod", Node(number, "NUM")))
    elif kind == "this":
        node.pre(("det", Node(uk_agreeing("цей", gender, case, animate), "DET")))
    elif kind == "poss":
        if g.chance(0.3) and not own:
            form = g.pick(["його", "її"])
            node.pre(("det", Node(form, "DET")))
        else:
            lemma = "свій" if own else g.pick(["мій", "твій", "наш"])
            node.pre(("det", Node(uk_agreeing(lemma, gender, case, animate), "DET")))
    elif item[1] != "жінка" and g.chance(0.12 * rich):
        node.post(("nmod", uk_name(g, "gen").node))
    if rich >= 1 and not node.after and g.chance(0.12):
        if item[3] == "P":
            inner = uk_noun_phrase(g, "T", "ins", 0, plural=False)
            node.post(("nmod", inner.node.pre(("case", Node("з", "ADP")))))
        elif not animate:
            place = g.entry(of_class(UK_PLACES, "L"))
            node.post(("nmod", Node(place[3], "NOUN").pre(("case", Node("з", "ADP")))))
    elif rich >= 1 and not node.after and g.chance(0.12):
        node.post(("acl", uk_relative(g, item[3], gender)))
    return UkPhrase(node, gender)


def uk_relative(g: Chooser, classes: str, gender: str) -> Node:
    if classes in "PA":
        pronoun = Node(uk_agreeing("який", gender, "nom", True), "DET")
        verb = uk_predicate(g, UkPhrase(pronoun, gender), classes, rich=0)
    else:
        pronoun = Node(uk_agreeing("який", gender, "acc", False), "DET")
        subject = uk_subject(g, "P", 0)
        item = g.entry([item for item in of_class(UK_PERFECTIVE, classes) if "P" in item[4]])
        verb = Node(uk_past(item[1], item[2], subject.gender), "VERB")
        verb.pre(("obj", pronoun), ("nsubj", subject.node))
    return verb.pre(punct(",")).post(punct(","))


def uk_place(g: Chooser, classes: str = "L") -> Node:
    item = g.entry(of_class(UK_PLACES, classes))
    if item[6] == "S" or g.chance(0.75):
        case, form, preposition = "loc", item[4], item[5]
    else:
        case, form, preposition = "gen", item[3], "біля"
    node = Node(form, "NOUN")
    if g.chance(0.2):
        lemma = g.entry(of_class(UK_ADJECTIVES, item[6]))[1]
        node.pre(("amod", Node(uk_agreeing(lemma, item[2], case, False), "ADJ")))
    return node.pre(("case", Node(preposition, "ADP")))


def uk_name(g: Chooser, case: str) -> UkPhrase:
    item = g.entry(UK_NAMES)
    form = item[{"nom": 1, "gen": 3, "dat": 4, "acc": 5, "ins": 6, "voc": 7}[case]]
    return UkPhrase(Node(form, "PROPN"), item[2])


def uk_subject(g: Chooser, classes: str, rich: float = 1.0) -> UkPhrase:
    kind = g.weighted(
        [
            (6, "noun"),
            (2.5 * ("P" in classes), "name"),
            (2 * ("P" in classes), "pronoun"),
            (0.8 * rich, "and"),
        ]
    )
    if kind == "name":
        phrase = uk_name(g, "nom")
        if g.chance(0.25):
            surname = g.entry(UK_SURNAMES)[1]
            phrase.node.post(("flat", Node(surname, "PROPN")))
        return phrase
    if kind == "pronoun":
        form, gender, first = g.pick(
            [
                ("я", "m", True),
                ("я", "f", True),
                ("він", "m", False),
                ("вона", "f", False),
                ("вони", "p", False),
            ]
        )
        return UkPhrase(Node(form, "PRON"), gender, first)
    one_class = g.pick(classes)
    phrase = uk_noun_phrase(g, one_class, "nom", rich)
    if kind == "and" and not phrase.node.after:
        other = uk_noun_phrase(g, one_class, "nom", 0)
        conjunction = g.pick(["і", "та"])
        phrase.node.post(("conj", other.node.pre(("cc", Node(conjunction, "CCONJ")))))
        phrase.gender = "p"
    return phrase


def uk_finite(g: Chooser, item: Item, subject: UkPhrase, masculine: str = "_", tense: str = "") -> Node:
    """An imperfective verb in some tense; the future has an auxiliary."""
    if not tense:
        future = not g.past and item[1] not in UK_STATES and g.chance(0.25)
        tense = "past" if g.past else "future" if future else "present"
    if tense == "past":
        return Node(uk_past(item[1], masculine, subject.gender), "VERB")
    if tense == "future":
        form = "буду" if subject.first else "будуть" if subject.gender == "p" else "буде"
        return Node(item[1], "VERB").pre(("aux", Node(form, "AUX")))
    return Node(item[2 if subject.first else 4 if subject.gender == "p" else 3], "VERB")


def uk_negate(verb: Node) -> Node:
    return verb.pre(("advmod", Node("не", "PART")))


def uk_predicate(g: Chooser, subject: UkPhrase, classes: str, rich: float = 1.0, order: bool = False) -> Node:
    """A clause about the subject; `order` lets other parts come before it."""
    kind = g.weighted([(4, "transitive"), (4 if g.past else 0, "perfective"), (3, "intransitive")])
    negative = g.chance(0.13)
    thing: Node | None = None
    if kind == "intransitive":
        item = g.entry(of_class(UK_INTRANSITIVE, classes, 5))
        verb = uk_finite(g, item, subject)
    else:
        if kind == "transitive":
            item = g.entry(of_class(UK_TRANSITIVE, classes, 7))
            verb = uk_finite(g, item, subject, item[5])
        else:
            item = g.entry(of_class(UK_PERFECTIVE, classes, 4))
            verb = Node(uk_past(item[1], item[2], subject.gender), "VERB")
        one_class = g.pick(item[-1])
        case = "gen" if negative and one_class in "FTR" else "acc"
        thing = uk_noun_phrase(
            g, one_class, case, rich, own=True, plural=False if case == "gen" else None
        ).node
    if negative:
        uk_negate(verb)
    place = ("obl", uk_place(g)) if g.chance(0.3 if rich else 0.15) else None
    adverb: tuple[str, Node] | None = None
    if not place and item[1] not in UK_STATES and g.chance(0.3):
        form = g.entry(of_class(UK_ADVERBS, "A" if kind == "perfective" else "AF"))[1]
        adverb = "advmod", Node(form, "ADV")
    if not (place or adverb or negative) and item[1] in UK_ACTIONS and g.chance(0.4):
        form = g.entry(UK_MANNER)[1]
        verb.pre(("advmod", Node(form, "ADV")))
    obj = ("obj", thing) if thing else None
    topic = "nsubj", subject.node
    if order and place and not thing and not negative and g.chance(0.5):
        return verb.pre(place).post(topic)
    if order and place and g.chance(0.3):
        return verb.pre(place, topic).post(obj)
    if order and thing and not place and not negative and subject.node.upos != "PRON" and g.chance(0.15):
        return verb.pre(obj, adverb).post(topic)
    return verb.pre(topic, adverb).post(obj, place)


def uk_clause(g: Chooser, rich: float = 1.0) -> Node:
    classes = "P" if g.chance(0.75) else "A"
    return uk_predicate(g, uk_subject(g, classes, rich), classes, rich, order=True)


def uk_give(g: Chooser) -> Node:
    subject = uk_subject(g, "P", 0.7)
    verb = uk_finite(g, g.entry(UK_GIVE), subject)
    person = uk_noun_phrase(g, "P", "dat", 0.5, own=True) if g.chance(0.7) else uk_name(g, "dat")
    thing = uk_noun_phrase(g, g.pick("FTR"), "acc", 0.9)
    if g.chance(0.2):
        return verb.pre(("nsubj", subject.node)).post(("obj", thing.node), ("iobj", person.node))
    return verb.pre(("nsubj", subject.node)).post(("iobj", person.node), ("obj", thing.node))


def uk_copula(g: Chooser) -> Node:
    classes = g.pick("PPAFTR")
    subject = uk_subject(g, classes) if classes in "PA" else uk_noun_phrase(g, classes, "nom")
    kind = g.weighted(
        [(3, "adjective"), (1.5 * (classes == "P" and subject.gender in "mf"), "noun"), (2, "place")]
    )
    past = g.past
    be = Node({"m": "був", "f": "була", "n": "було", "p": "були"}[subject.gender], "AUX")
    if kind == "adjective":
        lemma = g.entry(of_class(UK_ADJECTIVES, classes))[1]
        predicate = Node(uk_agreeing(lemma, subject.gender, "nom", False), "ADJ")
        if g.chance(0.35):
            predicate.pre(("advmod", Node("дуже", "ADV")))
        elif g.chance(0.25):
            uk_negate(predicate)
    elif kind == "place":
        predicate, past = uk_place(g, "L" if classes in "PA" else "LS"), True
        g.past = True
    else:
        item = g.entry([item for item in of_class(UK_NOUNS, "P", 3) if item[2] == subject.gender])
        predicate, past = Node(item[7], "NOUN"), True
        g.past = True
        if g.chance(0.4):
            lemma = g.entry(of_class(UK_ADJECTIVES, "P"))[1]
            predicate.pre(("amod", Node(uk_agreeing(lemma, subject.gender, "ins", True), "ADJ")))
    return predicate.pre(("nsubj", subject.node), ("cop", be) if past else None)


def uk_lies(g: Chooser) -> Node:
    """A place first, then what lies or stands there."""
    plural = g.chance(0.35)
    subject = uk_noun_phrase(g, g.pick("FTR"), "nom", 1.0, plural=plural)
    present, past = g.pick([(("лежить", "лежать"), "лежати"), (("є", "є"), "бути")])
    if not g.past:
        form = present[plural]
    else:
        form = (
            uk_past(past, "_", subject.gender)
            if past != "бути"
            else "бу" + {"m": "в", "f": "ла", "n": "ло", "p": "ли"}[subject.gender]
        )
    return Node(form, "VERB").pre(("obl", uk_place(g, "LS"))).post(("nsubj", subject.node))


def uk_has(g: Chooser) -> Node:
    """У Олени є книга: whose it is stands in the genitive."""
    owner = uk_name(g, "gen").node if g.chance(0.5) else uk_noun_phrase(g, "P", "gen", 0.5, plural=False).node
    thing = uk_noun_phrase(g, g.pick("FTRA"), "nom", 0.7)
    thing.node.before = [d for d in thing.node.before if d[0] in ("amod", "nummod")]
    thing.node.after = []
    verb = Node("є", "VERB").pre(("obl", owner.pre(("case", Node("у", "ADP")))))
    return verb.post(("nsubj", thing.node))


def uk_question(g: Chooser) -> Node:
    kind = g.weighted([(4, "yes-no"), (2, "who"), (2, "what"), (2, "where")])
    if kind == "yes-no":
        return uk_clause(g, 0.6).pre(("discourse", Node("чи", "PART")))
    if kind == "who":
        return uk_predicate(g, UkPhrase(Node("хто", "PRON"), "m"), "P", 0.6)
    subject = uk_subject(g, "P", 0.6)
    if kind == "what":
        item = g.entry(
            [item for item in of_class(UK_TRANSITIVE, "FTR") if "P" in item[7] and item[1] != "мити"]
        )
        verb = uk_finite(g, item, subject, item[5]).pre(("nsubj", subject.node))
        return verb.pre(("obj", Node("що", "PRON"))).post(("obl", uk_place(g)) if g.chance(0.4) else None)
    item = g.entry(of_class(UK_INTRANSITIVE, "P", 5))
    return uk_finite(g, item, subject).pre(("advmod", Node("де", "ADV")), ("nsubj", subject.node))


def uk_that(g: Chooser) -> Node:
    inner = uk_clause(g, 0.4) if g.chance(0.7) else uk_copula(g)
    subject = uk_subject(g, "P", 0.5)
    verb = uk_finite(g, g.entry(UK_THINK), subject, tense="past" if g.past else "present").pre(
        ("nsubj", subject.node)
    )
    return verb.post(("ccomp", inner.pre(punct(","), ("mark", Node("що", "SCONJ")))))


def uk_want(g: Chooser) -> Node:
    subject = uk_subject(g, "P", 0.7)
    verb = uk_finite(g, g.entry(UK_WANT), subject, tense="past" if g.past else "present").pre(
        ("nsubj", subject.node)
    )
    if g.chance(0.15):
        verb.before.append(("advmod", Node("не", "PART")))
    if g.chance(0.65):
        item = g.entry(
            [item for item in of_class(UK_TRANSITIVE, "P", 7) if item[1] not in ("бачити", "знати", "любити")]
        )
        inner = Node(item[1], "VERB")
        inner.post(("obj", uk_noun_phrase(g, g.pick(item[8]), "acc", 0.8, own=True).node))
    else:
        item = g.entry(of_class(UK_INTRANSITIVE, "P", 5))
        inner = Node(item[1], "VERB")
    return verb.post(("xcomp", inner.post(("obl", uk_place(g)) if g.chance(0.25) else None)))


def uk_because(g: Chooser) -> Node:
    word = g.pick(["бо", "коли", "якщо", "тому що"])
    inner = uk_clause(g, 0.3) if g.chance(0.6) else uk_copula(g)
    main = uk_clause(g, 0.3)
    mark = Node(word.split()[0], "SCONJ")
    if " " in word:
        mark = Node("тому", "ADV").post(("fixed", Node("що", "SCONJ")))
    inner.pre(("mark", mark))
    if word in ("коли", "якщо") and g.chance(0.5):
        return main.pre(("advcl", inner.post(punct(","))))
    return main.post(("advcl", inner.pre(punct(","))))


def uk_coordination(g: Chooser) -> Node:
    if g.chance(0.5):
        first, second = uk_clause(g, 0.4), uk_clause(g, 0.4)
        conjunction = g.pick(["а", "але", "і"])
        return first.post(("conj", second.pre(punct(","), ("cc", Node(conjunction, "CCONJ")))))
    subject = uk_subject(g, "P", 0.5)
    verbs = []
    tense = "past" if g.past else "present"
    for _ in range(2):
        if g.chance(0.65):
            item = g.entry(of_class(UK_TRANSITIVE, "P", 7))
            thing = uk_noun_phrase(g, g.pick(item[8]), "acc", 0.4, own=True)
            verbs.append(uk_finite(g, item, subject, item[5], tense).post(("obj", thing.node)))
        else:
            item = g.entry(of_class(UK_INTRANSITIVE, "P", 5))
            place = ("obl", uk_place(g)) if g.chance(0.5) else None
            verbs.append(uk_finite(g, item, subject, tense=tense).post(place))
    conjunction = g.pick(["і", "та"])
    verbs[1].pre(("cc", Node(conjunction, "CCONJ")))
    return verbs[0].pre(("nsubj", subject.node)).post(("conj", verbs[1]))


def uk_imperative(g: Chooser) -> Node:
    negative = g.chance(0.25)
    lexicon, column = (UK_TRANSITIVE, 6) if negative else (UK_PERFECTIVE, 3)
    item = g.entry([item for item in of_class(lexicon, "FTR") if item[column] != "_" and item[1] != "любити"])
    one_class = g.pick([c for c in item[-1] if c in "FTR"])
    thing = uk_noun_phrase(
        g, one_class, "gen" if negative else "acc", 0.6, plural=False if negative else None, own=True
    )
    verb = Node(item[column], "VERB").post(("obj", thing.node))
    if negative:
        uk_negate(verb)
    elif g.chance(0.4):
        verb.post(punct(","), ("discourse", Node("будь", "INTJ").post(("fixed", Node("ласка", "NOUN")))))
    if g.chance(0.5):
        verb.pre(("vocative", uk_name(g, "voc").node.post(punct(","))))
    return verb


def ukrainian(g: Chooser) -> Node:
    """One Ukrainian sentence with its final mark."""
    build, mark = g.weighted(
        [(34, (uk_clause, ".")), (8, (uk_give, ".")), (11, (uk_copula, ".")), (5, (uk_lies, ".")),
         (3, (uk_has, ".")), (11, (uk_question, "?")), (7, (uk_that, ".")), (7, (uk_want, ".")),
         (5, (uk_because, ".")), (5, (uk_coordination, ".")), (5, (uk_imperative, "!"))]
    )  # fmt: skip
    return build(g).post(punct(mark))


def ukrainian_spelling(nodes: list[Node]) -> None:
    """Prepositions that avoid heaps of consonants or vowels: у or в, з or із or зі."""
    vowels = "аеєиіїоуюя"
    for index, node in enumerate(nodes[:-1]):
        following = nodes[index + 1].form.lower()
        after_vowel = index > 0 and nodes[index - 1].form[-1] in vowels
        if node.upos != "ADP":
            continue
        if node.form == "у" and following[0] not in "вф":
            node.form = "в" if following[0] in vowels or after_vowel else "у"
        elif node.form == "з" and following[0] in "сзшщ":
            node.form = "зі" if following[1] not in vowels else "із"


# --- Chinese ----------------------------------------------------------------------------------------------
# Nouns: classifier and class.

ZH_NOUNS = table("""
老师 位 P | 医生 位 P | 学生 个 P | 孩子 个 P | 朋友 个 P | 农民 个 P | 男孩 个 P | 女孩 个 P | 邻居 个 P
客人 位 P | 画家 位 P | *护士 位 P | *司机 位 P | *厨师 位 P | *工人 个 P | 狗 只 A | 猫 只 A | 马 匹 A
鸟 只 A | *兔子 只 A | *山羊 只 A | 苹果 个 F | 蛋糕 块 F | 鸡蛋 个 F | 面包 块 F | 橘子 个 F | *西瓜 个 F
*饼干 块 F | 书 本 R | 信 封 R | 报纸 份 R | 小说 本 R | 日记 本 R | *诗 首 R | *杂志 本 R | 椅子 把 T
杯子 个 T | 钥匙 把 T | 画 幅 T | 帽子 顶 T | 箱子 个 T | 衣服 件 T | 玩具 个 T | 瓶子 个 T | *雨伞 把 T
*手表 块 T | *篮子 个 T
""")
# localizer ("-": may be without), class
ZH_PLACES = table("""
学校 -里 L | 公园 -里 L | 图书馆 -里 L | 花园 里 L | 厨房 里 L | 房间 里 L | 超市 -里 L | 医院 -里 L
教室 里 L | *博物馆 -里 L | *车站 -里 L | *饭店 -里 L | 桌子 上 S | 床 上 S | 书架 上 S | 沙发 上 S
*地板 上 S | *窗台 上 S
""")
ZH_NAMES = table("小明|小红|王芳|李伟|张丽|*陈静|*刘洋")
# subjects, objects, what the verb becomes when it is finished ("_": nothing)
ZH_TRANSITIVE = table("""
看 P R 看完 | 写 P R 写完 | 吃 PA F 吃完 | 买 P FTR 买好 | 卖 P FTR 卖掉 | 找 P TR 找到 | 拿 P FTR 拿走
洗 P T 洗干净 | 画 P PAT 画好 | 等 P P _ | 帮助 P P _ | 追 PA PA _ | 带 P FTR 带走 | *借 P TR 借走
*修 P T 修好 | *照顾 P PA _
""")
ZH_STATES = table("喜欢 P PAFTR|认识 P P|想念 P P|*害怕 P A")
ZH_INTRANSITIVE = table("""
睡觉 PA | 工作 P | 唱歌 P | 跑步 P | 笑 P | 哭 P | 游泳 P | 玩 PA | *跳舞 P | *休息 PA
""")
ZH_GIVE = table("给|送|还|*递")
ZH_THINK = table("知道|觉得|说|听说|*相信")
ZH_ADJECTIVES = table("""
大 ATFLS | 小 ATFLS | 新 TRS | 旧 TRS | 漂亮 PT | 可爱 PA | 高兴 P | 饿 _ | 累 _ | 聪明 PA | 安静 PAL
红 TF | 甜 F | 好吃 F | 有趣 R | 长 R | 干净 TLS | 重 T | 年轻 P | *勇敢 PA | *奇怪 TR | *热情 P | *新鲜 F
*便宜 TFR
""")
ZH_ADVERBS = table("经常|总是|也|常常|*偶尔")
ZH_MANNER = table("慢慢|悄悄|认真|*静静")
ZH_NUMBERS = table("一|两|三|四|五|*七")


def zh_adjective(g: Chooser, classes: str) -> Node:
    """An attribute: some adjectives of one syllable stand before a noun without 的."""
    form = g.entry(of_class(ZH_ADJECTIVES, classes))[1]
    node = Node(form, "ADJ")
    if form not in "大小新旧红长" or classes in "LS" or g.chance(0.3):
        node.post(("mark", Node("的", "SCONJ")))
    return node


def zh_noun_phrase(
    g: Chooser, classes: str, rich: float = 1.0, definite: bool = False, counted: bool = False
) -> Node:
    """A noun with what comes before it; a definite one has no number of its own, a counted one has."""
    item = g.entry(of_class(ZH_NOUNS, classes))
    noun = Node(item[1], "NOUN")
    if g.chance(0.3 * rich):
        noun.pre(("amod", zh_adjective(g, item[3])))
    elif rich >= 1 and g.chance(0.12):
        noun.pre(("acl", zh_relative(g, item[3])))
    kind = g.weighted(
        [(5, "bare"), (0 if definite else 3, "number"), (2.5, "this"), (0 if noun.before else 2.5, "poss")]
    )
    if counted:
        kind = "number"
    if kind == "number":
        number = g.entry(ZH_NUMBERS)[1]
        noun.pre(("nummod", Node(number, "NUM").post(("clf", Node(item[2], "NOUN")))))
    elif kind == "this":
        form = g.pick(["这", "那"])
        number = Node("些" if g.chance(0.15) else item[2], "NOUN")
        noun.pre(("det", Node(form, "DET").post(("clf", number))))
    elif kind == "poss":
        if g.chance(0.4):
            owner = zh_name(g)
        else:
            form = g.pick(["我", "你", "他", "她", "我们"])
            owner = Node(form, "PRON")
        noun.pre(("nmod", owner.post(("case", Node("的", "PART")))))
    return noun


def zh_relative(g: Chooser, classes: str) -> Node:
    """A clause without its subject or its object, closed by 的."""
    if classes in "PA":
        item = g.entry(of_class(ZH_TRANSITIVE, classes, 2))
        verb = Node(item[1], "VERB").post(("obj", zh_noun_phrase(g, g.pick(item[3]), 0)))
        if g.chance(0.5):
            verb.pre(("advmod", Node("正在", "ADV")))
    else:
        item = g.entry([item for item in of_class(ZH_TRANSITIVE, classes, 3) if "P" in item[2]])
        verb = Node(item[1], "VERB").pre(("nsubj", zh_subject(g, "P", 0)))
    return verb.post(("mark", Node("的", "SCONJ")))


def zh_name(g: Chooser) -> Node:
    form = g.entry(ZH_NAMES)[1]
    return Node(form, "PROPN")


def zh_subject(g: Chooser, classes: str, rich: float = 1.0) -> Node:
    kind = g.weighted(
        [
            (6, "noun"),
            (2 * ("P" in classes), "name"),
            (2.5 * ("P" in classes), "pronoun"),
            (0.8 * rich, "and"),
        ]
    )
    if kind == "name":
        return zh_name(g)
    if kind == "pronoun":
        form = g.pick(["我", "你", "他", "她", "我们", "他们"])
        return Node(form, "PRON")
    one_class = g.pick(classes)
    noun = zh_noun_phrase(g, one_class, rich, definite=True)
    if kind == "and":
        noun.post(("conj", zh_noun_phrase(g, one_class, 0, definite=True).pre(("cc", Node("和", "CCONJ")))))
    return noun


def zh_place(g: Chooser, classes: str = "L") -> Node:
    item = g.entry(of_class(ZH_PLACES, classes))
    noun = Node(item[1], "NOUN")
    if g.chance(0.15):
        noun.pre(("amod", zh_adjective(g, item[3])))
    if item[2][0] != "-" or g.chance(0.5):
        noun.post(("case", Node(item[2][-1], "ADP")))
    return noun


def zh_at(g: Chooser) -> tuple[str, Node]:
    return "obl", zh_place(g).pre(("case", Node("在", "ADP")))


def zh_adverb(g: Chooser, lexicon: list[list[str]]) -> tuple[str, Node]:
    form = g.entry(lexicon)[1]
    return "advmod", Node(form, "ADV")


def zh_aspect(g: Chooser, verb: Node, negative: bool, transitive: bool) -> Node:
    """Aspect and modality of an event; verbs that hold their object (唱歌) do not take 过 behind it."""
    if negative:
        word, upos, rel = g.pick(
            [("不", "ADV", "advmod"), ("没有", "ADV", "advmod"), ("没", "ADV", "advmod")]
        )
        verb.pre((rel, Node(word, upos)))
        if word == "不" and g.chance(0.6):
            modal = g.pick(["会", "想", "能"])
            verb.before.insert(1, ("aux", Node(modal, "AUX")))
        return verb
    kind = g.weighted([(4, "了"), (3, "正在"), (3, "modal"), (2, "adverb"), (1.0 * transitive, "过")])
    if kind in ("了", "过"):
        return verb.post(("aux", Node(kind, "AUX")))
    if kind == "正在":  # with a place, 在 is said once
        placed = any(node.before and node.before[0][1].form == "在" for _, node in verb.before[:1])
        return verb.pre(("advmod", Node("正" if placed else "正在", "ADV")))
    if kind == "adverb":
        return verb.pre(zh_adverb(g, ZH_ADVERBS))
    modal = g.pick(["会", "想", "要", "可以", "应该"])
    return verb.pre(("aux", Node(modal, "AUX")))


def zh_predicate(g: Chooser, subject: Node, classes: str, rich: float = 1.0) -> Node:
    kind = g.weighted(
        [
            (5, "transitive"),
            (1.5 * (classes == "P"), "state"),
            (3, "intransitive"),
            (1.5 * (classes == "P"), "ba"),
        ]
    )
    negative = g.chance(0.14)
    topic = "nsubj", subject
    if kind == "ba":
        item = g.entry([item for item in ZH_TRANSITIVE if item[4] != "_" and set(item[3]) & set("FTR")])
        thing = zh_noun_phrase(g, g.pick([c for c in item[3] if c in "FTR"]), min(rich, 0.9), definite=True)
        verb = Node(item[4], "VERB").pre(("obl", thing.pre(("case", Node("把", "ADP")))))
        if negative:
            verb.pre(("advmod", Node("没有", "ADV")))
        else:
            verb.post(("aux", Node("了", "AUX")))
        return verb.pre(topic)
    if kind == "state":
        item = g.entry(of_class(ZH_STATES, classes, 2))
        verb = Node(item[1], "VERB").post(("obj", zh_noun_phrase(g, g.pick(item[3]), rich, definite=True)))
        if negative:
            verb.pre(("advmod", Node("不", "ADV")))
        elif g.chance(0.3):
            form = "很" if item[1] != "认识" else "也"
            verb.pre(("advmod", Node(form, "ADV")))
        return verb.pre(topic)
    transitive = kind == "transitive"
    item = g.entry(of_class(ZH_TRANSITIVE if transitive else ZH_INTRANSITIVE, classes, 2))
    verb = Node(item[1], "VERB")
    if not negative and g.chance(0.12):
        verb.pre(("advmod", zh_adverb(g, ZH_MANNER)[1].post(("mark", Node("地", "PART")))))
    if g.chance(0.35 if rich else 0.15):
        verb.pre(zh_at(g))
    elif classes == "P" and g.chance(0.12):
        other = zh_noun_phrase(g, "P", 0.3, definite=True).pre(("case", Node("跟", "ADP")))
        verb.pre(("obl", other), ("advmod", Node("一起", "ADV")))
    zh_aspect(g, verb, negative, transitive)
    if transitive:
        verb.post(("obj", zh_noun_phrase(g, g.pick(item[3]), rich)))
    return verb.pre(topic)


def zh_clause(g: Chooser, rich: float = 1.0) -> Node:
    classes = "P" if g.chance(0.78) else "A"
    return zh_predicate(g, zh_subject(g, classes, rich), classes, rich)


def zh_time(g: Chooser) -> Node:
    """A day, and what happened, happens or will happen."""
    day, aspect = g.pick([("昨天", "了"), ("今天", "了"), ("明天", "会"), ("明天", "要"), ("今天", "要")])
    transitive = g.chance(0.7)
    item = g.entry(of_class(ZH_TRANSITIVE if transitive else ZH_INTRANSITIVE, "P", 2))
    verb = Node(item[1], "VERB")
    if g.chance(0.3):
        verb.pre(zh_at(g))
    if aspect == "了":
        verb.post(("aux", Node("了", "AUX")))
    else:
        verb.pre(("aux", Node(aspect, "AUX")))
    if transitive:
        verb.post(("obj", zh_noun_phrase(g, g.pick(item[3]))))
    subject, time = ("nsubj", zh_subject(g, "P", 0.7)), ("obl", Node(day, "NOUN"))
    return verb.pre(*((time, subject) if g.chance(0.5) else (subject, time)))


def zh_give(g: Chooser) -> Node:
    item = g.entry(ZH_GIVE)
    verb = Node(item[1], "VERB")
    if g.chance(0.5):
        verb.post(("aux", Node("了", "AUX")))
    else:
        modal = g.pick(["会", "想", "要"])
        verb.pre(("aux", Node(modal, "AUX")))
    person = zh_noun_phrase(g, "P", 0.4, definite=True) if g.chance(0.6) else zh_name(g)
    verb.pre(("nsubj", zh_subject(g, "P", 0.7)))
    return verb.post(("iobj", person), ("obj", zh_noun_phrase(g, g.pick("FTR"), 0.6, counted=True)))


def zh_copula(g: Chooser) -> Node:
    classes = g.pick("PPAFTR")
    subject = zh_subject(g, classes) if classes in "PA" else zh_noun_phrase(g, classes, definite=True)
    kind = g.weighted([(3, "adjective"), (2 * (classes == "P"), "noun"), (2, "place")])
    if kind == "adjective":
        form = g.entry(
            [
                item
                for item in ZH_ADJECTIVES
                if set(item[2]) & set(classes + "_" * (classes in "PA")) and item[1] != "红"
            ]
        )[1]
        degree = g.pick(["很", "很", "非常", "不", "太"])
        adjective = Node(form, "ADJ").pre(("advmod", Node(degree, "ADV")))
        if degree == "太":
            adjective.post(("discourse", Node("了", "PART")))
        return adjective.pre(("nsubj", subject))
    negation = ("advmod", Node("不", "ADV")) if g.chance(0.2) else None
    if kind == "noun":
        item = g.entry(of_class(ZH_NOUNS, "P"))
        predicate = Node(item[1], "NOUN")
        if g.chance(0.4):
            adjective = g.entry([item for item in of_class(ZH_ADJECTIVES, "P") if len(item[1]) > 1])[1]
            predicate.pre(("amod", Node(adjective, "ADJ").post(("mark", Node("的", "SCONJ")))))
        if g.chance(0.4) and not negation:
            predicate.pre(("nummod", Node("一", "NUM").post(("clf", Node(item[2], "NOUN")))))
        return predicate.pre(("nsubj", subject), negation, ("cop", Node("是", "AUX")))
    return (
        Node("在", "VERB")
        .pre(("nsubj", subject), negation)
        .post(("obj", zh_place(g, "L" if classes in "PA" else "LS")))
    )


def zh_there(g: Chooser) -> Node:
    item = g.entry([item for item in ZH_PLACES if item[2][0] != "-"])
    place = Node(item[1], "NOUN").post(("case", Node(item[2], "ADP")))
    noun = zh_noun_phrase(g, g.pick("PAFTRFTR" if item[3] == "L" else "FTR"), 0.6)
    noun.before = [d for d in noun.before if d[0] in ("amod", "nummod")]
    return Node("有", "VERB").pre(("obl", place)).post(("obj", noun))


def zh_has(g: Chooser) -> Node:
    noun = zh_noun_phrase(g, g.pick("PATR"), 0.8)
    noun.before = [d for d in noun.before if d[0] in ("amod", "nummod")]
    negation = ("advmod", Node("没", "ADV")) if g.chance(0.2) else None
    if negation:
        noun.before = [d for d in noun.before if d[0] != "nummod"]
    return Node("有", "VERB").pre(("nsubj", zh_subject(g, "P")), negation).post(("obj", noun))


def zh_question(g: Chooser) -> Node:
    kind = g.weighted([(4, "吗"), (2, "who"), (2, "what"), (2, "where")])
    if kind == "吗":
        clause = g.pick([zh_clause, zh_clause, zh_has])(g)
        return clause.post(("discourse", Node("吗", "PART")))
    if kind == "who":
        return zh_predicate(g, Node("谁", "PRON"), "P", 0.7)
    subject = "nsubj", zh_subject(g, "P", 0.6)
    if kind == "what":
        item = g.entry([item for item in of_class(ZH_TRANSITIVE, "FTR", 3) if "P" in item[2]])
        verb = Node(item[1], "VERB").post(("obj", Node("什么", "PRON")))
        if g.chance(0.3):
            verb.pre(zh_at(g))
        mode = (
            ("advmod", Node("正", "ADV"))
            if verb.before
            else g.pick(
                [("aux", Node("想", "AUX")), ("advmod", Node("正在", "ADV")), ("aux", Node("要", "AUX"))]
            )
        )
        return verb.pre(subject, mode)
    where = Node("哪里", "PRON")
    if g.chance(0.4):
        thing = zh_noun_phrase(g, g.pick("PAFTR"), 0.7, definite=True)
        return Node("在", "VERB").pre(("nsubj", thing)).post(("obj", where))
    transitive = g.chance(0.5)
    item = g.entry(of_class(ZH_TRANSITIVE if transitive else ZH_INTRANSITIVE, "P", 2))
    verb = Node(item[1], "VERB").pre(subject, ("obl", where.pre(("case", Node("在", "ADP")))))
    return verb.post(("obj", zh_noun_phrase(g, g.pick(item[3]), 0.4)) if transitive else None)


def zh_that(g: Chooser) -> Node:
    item = g.entry(ZH_THINK)
    inner = zh_clause(g, 0.5) if g.chance(0.6) else zh_copula(g)
    return Node(item[1], "VERB").pre(("nsubj", zh_subject(g, "P", 0.5))).post(("ccomp", inner))


def zh_because(g: Chooser) -> Node:
    mark = g.pick(["因为", "虽然"])
    if g.chance(0.5):
        form = g.pick(["累", "饿", "高兴", "忙"])
        reason = Node(form, "ADJ").pre(("nsubj", zh_subject(g, "P", 0.3)), ("advmod", Node("很", "ADV")))
    else:
        reason = zh_clause(g, 0.3)
    reason.pre(("mark", Node(mark, "SCONJ"))).post(punct("，"))
    main = zh_predicate(g, zh_subject(g, "P", 0.4), "P", 0.3)
    if mark == "虽然":
        main.pre(("advmod", Node("但是", "ADV")))
    elif g.chance(0.5):
        main.pre(("advmod", Node("所以", "ADV")))
    return main.pre(("advcl", reason))


def zh_coordination(g: Chooser) -> Node:
    first, second = zh_clause(g, 0.4), zh_clause(g, 0.4)
    if g.chance(0.4):
        second.pre(("cc", Node("但是", "CCONJ")))
    return first.post(("conj", second.pre(punct("，"))))


def zh_passive(g: Chooser) -> Node:
    item = g.entry([item for item in ZH_TRANSITIVE if item[4] != "_" and set(item[3]) & set("FTR")])
    thing = zh_noun_phrase(g, g.pick([c for c in item[3] if c in "FTR"]), 0.9, definite=True)
    verb = Node(item[4], "VERB").post(("aux", Node("了", "AUX")))
    if g.chance(0.4):
        return verb.pre(("nsubj", thing), ("aux", Node("被", "AUX")))
    agent = zh_noun_phrase(g, "P", 0.4, definite=True) if g.chance(0.6) else zh_name(g)
    return verb.pre(("nsubj", thing), ("obl", agent.pre(("case", Node("被", "ADP")))))


def zh_imperative(g: Chooser) -> Node:
    item = g.entry([item for item in of_class(ZH_TRANSITIVE, "FTR", 3) if "P" in item[2]])
    thing = zh_noun_phrase(g, g.pick([c for c in item[3] if c in "FTR"]), 0.7, definite=True)
    if item[4] != "_" and g.chance(0.4):
        verb = Node(item[4], "VERB").pre(("obl", thing.pre(("case", Node("把", "ADP")))))
        if g.chance(0.6):
            verb.pre(("discourse", Node("请", "INTJ")))
    else:
        verb = Node(item[1], "VERB").post(("obj", thing))
        word = g.pick(["别", "不要"])
        verb.pre(("advmod", Node(word, "ADV")))
    if g.chance(0.6):
        verb.pre(("vocative", zh_name(g).post(punct("，"))))
    return verb


def chinese(g: Chooser) -> Node:
    """One Chinese sentence with its final mark."""
    build, mark = g.weighted(
        [(32, (zh_clause, "。")), (7, (zh_time, "。")), (8, (zh_give, "。")),
         (12, (zh_copula, "。")), (5, (zh_there, "。")), (5, (zh_has, "。")),
         (10, (zh_question, "？")), (6, (zh_that, "。")), (4, (zh_because, "。")),
         (4, (zh_coordination, "。")), (5, (zh_passive, "。")), (4, (zh_imperative, "！"))]
    )  # fmt: skip
    return build(g).post(punct(mark))


# --- Files ------------------------------------------------------------------------------------------------

GRAMMARS: dict[str, Callable[[Chooser], Node]] = {"en": english, "hi": hindi, "uk": ukrainian, "zh": chinese}
SPELLING: dict[str, Callable[[list[Node]], None]] = {"en": english_spelling, "uk": ukrainian_spelling}
NOTE = (
    "# synthetic: made by scripts/make_treebank.py from a hand-written grammar, not natural text",
    "# license: CC0 1.0 https://creativecommons.org/publicdomain/zero/1.0/",
)
COMMAS = (",", "，")


def in_order(node: Node) -> list[Node]:
    """The words below and including a node as they are read."""
    return [
        *(word for _, dependent in node.before for word in in_order(dependent)),
        node,
        *(word for _, dependent in node.after for word in in_order(dependent)),
    ]


def drop(root: Node, unwanted: Node) -> None:
    for node in in_order(root):
        node.before = [d for d in node.before if d[1] is not unwanted]
        node.after = [d for d in node.after if d[1] is not unwanted]


def arcs(node: Node) -> list[tuple[Node, str, Node]]:
    """(dependent, relation, head) of all words below a node."""
    return [
        arc
        for rel, dependent in node.before + node.after
        for arc in [(dependent, rel, node), *arcs(dependent)]
    ]


def spell(root: Node, language: str) -> tuple[list[Node], str, list[bool]]:
    """Words, text, and which words have no space after them."""
    words = in_order(root)
    for comma, following in pairwise(words):
        if comma.form in COMMAS and following.upos == "PUNCT":
            drop(root, comma)
    words = in_order(root)
    SPELLING.get(language, lambda _: None)(words)
    words[0].form = words[0].form[0].upper() + words[0].form[1:]
    tight = [language == "zh" or after.upos == "PUNCT" or after.form == "'s" for after in words[1:]] + [False]
    text = "".join(
        node.form + ("" if close else " ") for node, close in zip(words, tight, strict=True)
    ).strip()
    return words, text, tight


def conllu_lines(root: Node, words: list[Node], tight: list[bool]) -> list[str]:
    number = {id(node): index for index, node in enumerate(words, 1)}
    above = {id(dependent): (number[id(head)], rel) for dependent, rel, head in arcs(root)}
    above[id(root)] = (0, "root")
    return [
        f"{index}\t{node.form}\t_\t{node.upos}\t_\t_\t{above[id(node)][0]}\t{above[id(node)][1]}\t_\t"
        + ("SpaceAfter=No" if close else "_")
        for index, (node, close) in enumerate(zip(words, tight, strict=True), 1)
    ]


def make() -> dict[str, str]:
    """The contents of the three files by split; the languages take turns."""
    seen: set[str] = set()
    files: dict[str, str] = {}
    for split, size in SIZES.items():
        by_language: dict[str, list[list[str]]] = {}
        for language, grammar in GRAMMARS.items():
            chooser = Chooser(f"{language}-{split}", held_out=split != "train")
            sentences: list[list[str]] = []
            while len(sentences) < size:
                chooser.new_sentence()
                root = grammar(chooser)
                words, text, tight = spell(root, language)
                if not SHORTEST <= len(words) <= LONGEST or text in seen:
                    continue
                if len(words) >= LONG and chooser.chance(0.8):
                    continue
                seen.add(text)
                comments = [
                    f"# sent_id = {language}-{split}-{len(sentences) + 1}",
                    f"# text = {text}",
                    f"# lang = {language}",
                ]
                sentences.append(comments + conllu_lines(root, words, tight))
            by_language[language] = sentences
        in_turn = [sentence for group in zip(*by_language.values(), strict=True) for sentence in group]
        in_turn[0] = [*NOTE, *in_turn[0]]
        files[split] = "".join("\n".join(sentence) + "\n\n" for sentence in in_turn)
    return files


def statistics(files: dict[str, str]) -> str:
    """Counts a language as a Markdown table."""
    forms: dict[str, set[str]] = {language: set() for language in GRAMMARS}
    rows = [
        "| file | language | sentences | words | words a sentence | new words |",
        "|---|---|---|---|---|---|",
    ]
    for split, content in files.items():
        sentences: Counter[str] = Counter()
        words: Counter[str] = Counter()
        new: Counter[str] = Counter()
        for block in content.strip().split("\n\n"):
            language = next(line for line in block.split("\n") if line.startswith("# lang = "))[-2:]
            sentences[language] += 1
            for line in block.split("\n"):
                if not line.startswith("#"):
                    form = line.split("\t")[1].lower()
                    words[language] += 1
                    new[language] += split != "train" and form not in forms[language]
                    if split == "train":
                        forms[language].add(form)
        for language in GRAMMARS:
            share = f"{100 * new[language] / words[language]:.0f} %" if split != "train" else "–"
            average = f"{words[language] / sentences[language]:.1f}"
            rows.append(
                f"| {split} | {language} | {sentences[language]} | {words[language]} | {average} | {share} |"
            )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the synthetic treebank that ships with the package.")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for the three files")
    parser.add_argument("--stats", action="store_true", help="print counts a language as a Markdown table")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    files = make()
    for split, content in files.items():
        (options.output / f"synthetic-{split}.conllu").write_bytes(content.encode("utf-8"))
    if options.stats:
        print(statistics(files))


if __name__ == "__main__":
    main()
