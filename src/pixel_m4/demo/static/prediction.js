// A prediction of a fine-tuned model over the words and over the patches that it read.

import { drawBrackets, drawTags, drawTree } from "./arcs.js";
import { make, percent, scroller } from "./parts.js";
import { showPicture } from "./strip.js";

// Show a prediction (see the schema Prediction) in an element.
//   changed.heads, changed.tags   numbers of words that are marked
//   name                          what screen readers call it
export function showPrediction(place, said, { changed = { heads: new Set(), tags: new Set() }, name = "" } = {}) {
  const { list, cells } = showPicture(said.strip, `${said.strip.patches} patches`);
  if (!said.words) {
    place.replaceChildren(bars(said), scroller(`${name} the text as pixels`.trim(), list));
    return;
  }
  const words = make("div", { className: "words", dir: "auto" });
  const spans = said.words.map((word) => make("span", { className: "word", textContent: word }));
  words.append(...spans);
  const groups = said.words.map((_, word) => cells.filter((_, patch) => said.strip.patch_word[patch] === word));
  const overText = over(words, () => spans.map((span) => [span]), said, changed);
  const overPixels = over(list, () => groups, said, changed);
  place.replaceChildren(
    scroller(`${name} over text`.trim(), overText), scroller(`${name} over pixels`.trim(), overPixels), note(words),
    make("details", {}, make("summary", { textContent: "As a table" }), table(said)));
}

// Words of right-to-left text stand in another order on the canvas than on the page.
function note(words) {
  const told = "The model gets these words one by one: on its canvas they stand from left to right, each drawn right-to-left.";
  const hint = make("p", { className: "hint", textContent: told });
  queueMicrotask(() => {
    const rtl = getComputedStyle(words).direction === "rtl";
    hint.hidden = !rtl;
    if (rtl) requestAnimationFrame(() => { words.closest(".scroll").scrollLeft = words.scrollWidth; }); // where it begins
  });
  return hint;
}

// A row of words with what is said of them above and below; drawn again when its size changes.
function over(row, elements, said, changed) {
  const frame = make("div", { className: "over" }, row);
  const redraw = () => {
    const left = row.getBoundingClientRect().left;
    const boxes = elements().map((own) => {
      const rects = own.map((each) => each.getBoundingClientRect());
      return rects.length
        ? [Math.min(...rects.map((rect) => rect.left)) - left, Math.max(...rects.map((rect) => rect.right)) - left]
        : [0, 0];
    });
    frame.replaceChildren(...[above(row.offsetWidth, boxes, said, changed), row, below(row.offsetWidth, boxes, said, changed)].filter(Boolean));
  };
  new ResizeObserver(redraw).observe(row);
  return frame;
}

function above(width, boxes, said, changed) {
  if (said.heads) return drawTree(width, boxes, said.heads, said.relations, changed.heads);
  return said.entities?.length ? drawBrackets(width, boxes, said.entities) : null;
}

function below(width, boxes, said, changed) {
  return said.upos ? drawTags(width, boxes, said.upos, changed.tags) : null;
}

function table(said) {
  const columns = [
    ["word", (word) => said.words[word]],
    said.upos && ["part of speech", (word) => said.upos[word]],
    said.heads && ["head", (word) => (said.heads[word] ? said.words[said.heads[word] - 1] : "–")],
    said.relations && ["relation", (word) => said.relations[word]],
    said.tags && ["entity", (word) => said.tags[word]],
  ].filter(Boolean);
  const rows = said.words.map((_, word) =>
    make("tr", {}, ...columns.map(([, value]) => make("td", {}, make("bdi", { textContent: value(word) })))));
  const head = columns.map(([name]) => make("th", { scope: "col", textContent: name }));
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}

function bars(said) {
  if (said.label === null) return make("p", { className: "text", textContent: `score ${said.score.toFixed(3)}` });
  const ordered = Object.entries(said.probabilities).sort(([, one], [, other]) => other - one);
  const rows = ordered.map(([label, share]) => {
    const bar = make("span", { className: "bar" });
    bar.style.width = `${100 * share}%`;
    return make("li", {}, make("span", { textContent: `${label} ${percent(share)}` }), bar);
  });
  return make("ul", { className: "bars" }, ...rows);
}
