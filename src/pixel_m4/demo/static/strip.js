// A strip of patches: cells with their part of the picture, which wrap like text.
// It is a listbox with one tab stop: arrow keys move, Space and Enter pick, pointing and focus tell.

import { codePoints, make } from "./parts.js";

// Show a strip (see the schema Strip of the API) in an element.
//   options.png       another picture of the same patches
//   options.label     what it is, for those who do not see it
//   options.chosen    numbers of the patches that are picked
//   options.onPick    called with the number of a patch that is picked
//   options.onPoint   called with the number of a patch that is pointed at, or null
//   options.marks     classes by the number of the patch
export function showStrip(place, strip, options = {}) {
  const { label = "patches", png = strip.png, chosen = new Set(), onPick, onPoint, marks = {} } = options;
  const list = make("div", { className: "strip", role: "listbox", ariaLabel: `${label}: ${strip.patches} patches` });
  if (onPick) list.ariaMultiSelectable = "true";
  list.classList.toggle("rtl", strip.rtl);
  picture(list, png, strip.patches);
  const cells = Array.from({ length: strip.patches }, (_, patch) => cell(strip, patch, chosen.has(patch), marks[patch]));
  // The first patch is the leftmost: of a right-to-left text its end.
  list.append(...(strip.rtl ? cells.toReversed() : cells));
  const focused = Number(place.querySelector(".patch:focus")?.dataset.patch ?? -1);
  place.replaceChildren(list);
  const first = cells[focused] ?? cells[strip.rtl ? cells.length - 1 : 0];
  first.tabIndex = 0;
  if (cells[focused]) first.focus({ preventScroll: true });
  listen(list, cells, strip, onPick, onPoint);
  return cells;
}

// The same without a choice of patches, as one picture; in a single line, for arcs.
export function showPicture(strip, label, marks = {}) {
  const list = make("div", { className: "strip line", role: "img", ariaLabel: label });
  picture(list, strip.png, strip.patches);
  const cells = Array.from({ length: strip.patches }, (_, patch) => {
    const part = make("span", { className: `patch ${classes(strip, patch)} ${marks[patch] ?? ""}` });
    part.style.setProperty("--patch", patch);
    return part;
  });
  list.append(...cells);
  return { list, cells };
}

function picture(list, png, patches) {
  list.style.setProperty("--png", `url(data:image/png;base64,${png})`);
  list.style.setProperty("--patches", patches);
}

function classes(strip, patch) {
  const span = strip.patch_chars[patch];
  const missing = span && strip.missing.some((char) => char >= span[0] && char < span[1]);
  return [strip.word_starts.includes(patch) && "start", missing && "missing"].filter(Boolean).join(" ");
}

// What a patch shows, in words.
export function tell(strip, patch) {
  if (strip.black.includes(patch)) return `patch ${patch}: black, the end of the text`;
  const span = strip.patch_chars[patch];
  const shown = span ? `“${codePoints(strip.text).slice(...span).join("")}”` : "nothing";
  return `patch ${patch}: ${shown}${classes(strip, patch).includes("missing") ? ", no font has it" : ""}`;
}

function cell(strip, patch, chosen, mark) {
  const part = make("span", { className: `patch ${classes(strip, patch)} ${mark ?? ""}`, role: "option", tabIndex: -1 });
  part.ariaLabel = tell(strip, patch);
  part.ariaSelected = String(chosen);
  part.dataset.patch = patch;
  part.style.setProperty("--patch", patch);
  return part;
}

function listen(list, cells, strip, onPick, onPoint) {
  const numberOf = (event) => event.target.closest(".patch")?.dataset.patch;
  const right = strip.rtl ? -1 : 1;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: right * perRow(cells), ArrowUp: -right * perRow(cells) };
  list.addEventListener("keydown", (event) => {
    const patch = Number(numberOf(event));
    const ends = { Home: strip.rtl ? cells.length - 1 : 0, End: strip.rtl ? 0 : cells.length - 1 };
    const next = ends[event.key] ?? (event.key in steps ? patch + steps[event.key] : null);
    if (next !== null) {
      event.preventDefault();
      if (!cells[next]) return;
      cells[patch].tabIndex = -1;
      cells[next].tabIndex = 0;
      cells[next].focus();
    } else if (onPick && (event.key === " " || event.key === "Enter")) {
      event.preventDefault();
      onPick(patch);
    }
  });
  if (onPick) list.addEventListener("click", (event) => numberOf(event) && onPick(Number(numberOf(event))));
  if (!onPoint) return;
  for (const name of ["pointerover", "focusin"])
    list.addEventListener(name, (event) => onPoint(numberOf(event) ? Number(numberOf(event)) : null));
  for (const name of ["pointerleave", "focusout"]) list.addEventListener(name, () => onPoint(null));
}

// How many patches stand in a row of a strip that wraps.
function perRow(cells) {
  const tops = cells.map((each) => each.offsetTop);
  return tops.filter((top) => top === tops[0]).length || 1;
}
