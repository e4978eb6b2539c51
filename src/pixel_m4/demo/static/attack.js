// An attack on the text, and what becomes of its pixels and of a prediction.

import { ask } from "./api.js";
import { make, percent, places } from "./parts.js";
import { showPrediction } from "./prediction.js";
import { state } from "./state.js";

const out = places("attack");
let before = null;

export const depends = ["text", "model", "attack", "strength", "seed"];

export async function update() {
  if (!state.model) return void (out.moved.textContent = "No model of this server is fine-tuned.");
  const options = { attack: state.attack, strength: Number(state.strength), seed: Number(state.seed) || 0 };
  const attacked = await ask("attack", state.text, { model: state.model, ...options });
  if (before?.text !== state.text || before.model !== state.model) {
    const said = await ask("predict", state.text, { model: state.model }, "before");
    before = { text: state.text, model: state.model, said };
  }
  const after = await ask("predict", attacked.text, { model: state.model }, "after");
  const changed = compare(before.said, after);
  out.text.replaceChildren(...marked(state.text, attacked.text));
  out.moved.textContent = [
    `${percent(attacked.words)} of the words and ${percent(attacked.patches)} of their patches are changed`,
    attacked.missing ? `${percent(attacked.missing)} of the characters are missing glyphs` : "",
    changed.told,
  ].filter(Boolean).join("; ") + ".";
  showPrediction(out.before, before.said, { name: "before" });
  showPrediction(out.after, after, { changed, name: "after" });
}

// Words of the attacked text, with those marked that an attack has changed.
function marked(text, attacked) {
  const [old, now] = [text.trim().split(/\s+/), attacked.trim().split(/\s+/)];
  return now.flatMap((word, number) => {
    const same = old.length === now.length && old[number] === word;
    return [make(same ? "span" : "mark", { textContent: word }), " "];
  });
}

function compare(one, other) {
  const none = { heads: new Set(), tags: new Set(), told: "" };
  if (!one.words) return { ...none, told: one.label === other.label ? "the label stays" : `the label was ${one.label}` };
  if (one.words.length !== other.words.length) return { ...none, told: "the words are cut in another way, so predictions are not compared" };
  const differ = (...names) => new Set(one.words.flatMap((_, word) =>
    names.some((name) => one[name] && one[name][word] !== other[name]?.[word]) ? [word] : []));
  const [heads, tags] = [differ("heads", "relations"), differ("upos", "tags")];
  const told = [one.heads && `${heads.size} of ${one.words.length} arcs`, (one.upos || one.tags) && `${tags.size} of ${one.words.length} tags`];
  return { heads, tags, told: `${told.filter(Boolean).join(" and ")} are others` };
}
