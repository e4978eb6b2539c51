// What a model sees: patches, word starts, direction, missing glyphs; character and patch point at each other.

import { ask } from "./api.js";
import { codePoints, letters, make, places } from "./parts.js";
import { state } from "./state.js";
import { showStrip, tell } from "./strip.js";

const out = places("see");

export const depends = ["text", "seen", "strategy", "rtl"];

export async function update() {
  const strip = await ask("render", state.text, {
    model: state.seen,
    strategy: state.strategy || null,
    rtl: state.rtl === "1",
  });
  const spans = letters(strip.text).map((letter) => ({ ...letter, span: spanOf(strip, letter) }));
  out.text.dir = strip.rtl ? "rtl" : "auto";
  out.text.replaceChildren(...spans.map((letter) => letter.span));
  const cells = showStrip(out.strip, strip, { label: "what the model sees", onPoint: (patch) => point(patch) });

  function point(patch) {
    const span = patch === null ? null : strip.patch_chars[patch];
    for (const letter of spans)
      letter.span.classList.toggle("lit", span !== null && letter.start < span[1] && letter.end > span[0]);
    cells.forEach((cell, number) => cell.classList.toggle("lit", number === patch));
    out.about.textContent = patch === null ? "" : tell(strip, patch);
  }
  for (const letter of spans)
    letter.span.addEventListener("pointerenter", () => {
      const own = strip.char_patches.slice(letter.start, letter.end).filter(Boolean);
      cells.forEach((cell, number) =>
        cell.classList.toggle("lit", own.some(([start, end]) => number >= start && number < end)));
      spans.forEach((other) => other.span.classList.toggle("lit", other === letter));
      out.about.textContent = describe(strip, letter, own);
    });
  out.text.onpointerleave = () => point(null);
  out.facts.replaceChildren(...facts(strip));
}

function spanOf(strip, letter) {
  const missing = strip.missing.some((char) => char >= letter.start && char < letter.end);
  return make("span", { className: missing ? "missing" : "", textContent: letter.text });
}

function describe(strip, letter, own) {
  const codes = codePoints(letter.text).map((char) => `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
  const patches = own.length
    ? `patches ${Math.min(...own.map(([start]) => start))} to ${Math.max(...own.map(([, end]) => end)) - 1}`
    : "no patch of its own";
  return `“${letter.text}” (${codes.join(" ")}): ${patches}`;
}

function facts(strip) {
  const lost = new Set(strip.missing.map((char) => codePoints(strip.text)[char]));
  const found = [
    ["patches", `${strip.patches}, the last one black`],
    ["words", `${strip.word_starts.length}`],
    ["drawn", strip.rtl ? "right-to-left: patch 0 is the end of the text" : "left-to-right"],
    ["missing glyphs", lost.size ? [...lost].join(" ") : "none"],
  ];
  if (strip.cut.length) found.push(["not drawn", `${strip.cut.length} characters: the text is too long for the canvas`]);
  return found.flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]);
}
