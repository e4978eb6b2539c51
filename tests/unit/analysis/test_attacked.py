"""Examples under attack: what changes and what stays, in words and in how they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import uharfbuzz as hb
from fontTools.ttLib import TTFont
from scipy.stats import binomtest

from pixel_m4.analysis.attacked import (
    LookAlikes,
    RendererAttack,
    Shown,
    TextAttack,
    aligned,
    annotate,
    attacked,
    means_of,
    moved,
    other_fonts,
    other_sizes,
    words_of,
)
from pixel_m4.console.errors import UserError
from pixel_m4.formats.conllu import Sentence, parse_conllu
from pixel_m4.formats.iob import TaggedSentence
from pixel_m4.formats.squad import Answer, Question
from pixel_m4.render import MissingGlyphWarning, TextRenderer
from pixel_m4.tasks.classification import LabelledText

TEXT = LabelledText(place="x:1", text=" The  little\tchildren sleep ", pair="They wake", label="yes")


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=64)


@pytest.fixture(scope="module")
def font(tmp_path_factory: pytest.TempPathFactory, renderer: TextRenderer) -> Path:
    """A font of the letters a, b and c, of which a and b have each other's glyphs."""
    folder = tmp_path_factory.mktemp("font")
    wanted = hb.SubsetInput()
    wanted.unicode_set.update(map(ord, "abc"))
    blob = hb.subset(hb.Face(hb.Blob.from_file_path(str(renderer.font_file))), wanted).blob
    (folder / "abc.ttf").write_bytes(blob.data)
    changed = TTFont(folder / "abc.ttf")
    for table in changed["cmap"].tables:
        if table.isUnicode():
            names = table.cmap
            names[ord("a")], names[ord("b")] = names[ord("b")], names[ord("a")]
    changed.save(folder / "bac.ttf")
    return folder / "bac.ttf"


def shown(renderer: TextRenderer, *sentences: str) -> Shown:
    examples = [
        TaggedSentence(words=tuple(text.split()), tags=("O",) * len(text.split()), source="x")
        for text in sentences
    ]
    return Shown(examples, [renderer] * len(examples))


def test_words_of_texts_are_attacked_and_spaces_and_labels_stay() -> None:
    assert words_of(TEXT) == ["The", "little", "children", "sleep", "They", "wake"]
    (changed,) = attacked([TEXT], "truncate", 1)
    assert (changed.text, changed.pair) == (" The  littl\tchildre slee ", "The wak")
    assert (changed.label, changed.place) == ("yes", "x:1")
    alone = LabelledText(place="x:2", text="two words", label="no")
    assert attacked([TEXT, alone], "truncate", 0) == [TEXT, alone]
    assert attacked([TEXT, alone], "truncate", 1)[1].pair is None


def test_spaces_are_deleted_in_texts_only() -> None:
    (changed,) = attacked([TEXT], "segmentation", 1)
    assert (changed.text, changed.pair) == (" Thelittlechildrensleep ", "Theywake")
    assert attacked([TEXT], "segmentation", 0) == [TEXT]
    sentence = TaggedSentence(words=("two", "words"), tags=("O", "O"), source="x")
    with pytest.raises(UserError, match=r"segmentation makes one word of two.*data for classification"):
        attacked([sentence], "segmentation", 0.5)


def test_examples_without_words_are_refused() -> None:
    question = Question(
        id="1", question="Who?", context="I.", answers=(Answer(text="I", start=0),), place="x:1"
    )
    with pytest.raises(UserError, match=r"attacks are on words: .* these examples are a Question"):
        attacked([question], "truncate", 0.5)


def test_a_sentence_is_written_with_its_new_words() -> None:
    lines = "# text = Don't sleep\n1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
    lines += "1\tDo\tdo\tAUX\t_\t_\t3\taux\t_\t_\n2\tn't\tnot\tPART\t_\t_\t3\tadvmod\t_\t_\n"
    lines += "3\tsleep\tsleep\tVERB\t_\t_\t0\troot\t_\t_\n"
    (sentence,) = parse_conllu(lines)
    (changed,) = attacked([sentence], "truncate", 1)
    assert isinstance(changed, Sentence)
    assert changed.words == ("Do", "n't", "slee")
    assert changed.lines[-1] == "3\tslee\tsleep\tVERB\t_\t_\t0\troot\t_\t_"
    assert (changed.heads, changed.upos) == (sentence.heads, sentence.upos)


def test_how_far_pixels_moved(renderer: TextRenderer) -> None:
    before = shown(renderer, "abcdef gh")
    assert moved(before, before) == (0, 0, 0)
    after = shown(renderer, "abcdxf gh")
    assert moved(before, after) == (0.5, pytest.approx(1 / 4), 0)  # of three patches and one
    with pytest.warns(MissingGlyphWarning):
        missing = moved(before, shown(renderer, "∞bcdef gh"))
    assert missing.missing == pytest.approx(1 / 8)


def test_joined_words_are_compared_with_what_became_of_them(renderer: TextRenderer) -> None:
    assert list(aligned(["a", "b", "c", "d"], ["ab", "c", "d"])) == [
        (("a", "b"), "ab"),
        (("c",), "c"),
        (("d",), "d"),
    ]
    before = Shown([TEXT], [renderer])
    far = moved(before, Shown(attacked([TEXT], "segmentation", 1), [renderer]))
    assert far.words == 1
    assert 0 < far.patches < 1


def test_look_alikes_can_be_limited_to_what_is_drawn(renderer: TextRenderer) -> None:
    pytest.importorskip("confusable_homoglyphs")
    gold = shown(renderer, *["paper rope όρος"] * 20)  # Greek accents are drawn otherwise than Latin ones

    def after(look_alikes: LookAlikes) -> Shown:
        means = means_of(renderer, look_alikes)
        return TextAttack(name="confusable", renderer=renderer, means=means)(gold.examples, 1, 0)

    with pytest.warns(MissingGlyphWarning):
        assert moved(gold, after("all")).missing > 0.1
    drawable = moved(gold, after("drawable"))
    assert (drawable.words, drawable.missing) == (1, 0)
    assert drawable.patches > 0.5
    assert moved(gold, after("identical")) == (1, 0, 0)
    assert set("".join(after("identical").examples[0].words)) & set("раео")


def test_other_fonts_change_pixels_and_no_word(renderer: TextRenderer, font: Path) -> None:
    (other,) = other_fonts(renderer, [font])
    alone = TextRenderer(font, max_seq_length=64)
    np.testing.assert_array_equal(other("ab").pixel_values, alone("ab").pixel_values)
    assert (other("ab").pixel_values != renderer("ab").pixel_values).any()
    np.testing.assert_array_equal(other("xyz жук").pixel_values, renderer("xyz жук").pixel_values)
    change = RendererAttack(name="font_swap", renderer=renderer, others=[other])
    gold = shown(renderer, *["ab cd"] * 2000)
    hits = {p: change(gold.examples, p, 3) for p in (0, 0.2, 0.5, 1)}
    assert hits[0] == gold
    assert set(hits[1].renderers) == {other}
    swapped = {p: [each is other for each in after.renderers] for p, after in hits.items()}
    for share in (0.2, 0.5):
        assert hits[share].examples == gold.examples
        assert binomtest(sum(swapped[share]), 2000, share).pvalue > 0.001
    assert all(more >= less for less, more in zip(swapped[0.2], swapped[0.5], strict=True))
    far = moved(gold, hits[1])
    assert far == (0, pytest.approx(1 / 2), 0)  # the patch of ab, not that of cd


def test_other_sizes_are_drawn_evenly(renderer: TextRenderer) -> None:
    small, large = other_sizes(renderer, [7, 9])
    assert (small.font_size, large.font_size, small.max_seq_length) == (7, 9, 64)
    gold = shown(renderer, *["ab cd"] * 2000)
    after = RendererAttack(name="font_size", renderer=renderer, others=[small, large])(gold.examples, 1, 0)
    assert binomtest(sum(each is small for each in after.renderers), 2000).pvalue > 0.001
    assert moved(gold, after).patches > 0.5


class Echo:
    """A task whose prediction is what it was given and how it was drawn."""

    def __init__(self, renderer: TextRenderer) -> None:
        self.renderer = renderer

    def annotate(self, model: object, examples: list, *, batch_size: int) -> list:
        return [(example, self.renderer) for example in examples]


def test_every_example_is_drawn_by_its_own_renderer(renderer: TextRenderer) -> None:
    (small,) = other_sizes(renderer, [7])
    asked = Shown(list("abc"), [renderer, small, renderer])
    task = Echo(renderer)
    assert annotate(task, None, asked) == [("a", renderer), ("b", small), ("c", renderer)]  # type: ignore[arg-type]
    assert task.renderer is renderer


def test_an_attack_on_words_keeps_the_renderer(renderer: TextRenderer) -> None:
    gold = shown(renderer, "letters words")
    after = TextAttack(name="truncate", renderer=renderer)(gold.examples, 1, 0)
    assert after.examples[0].words == ("letter", "word")
    assert after.renderers == [renderer]
