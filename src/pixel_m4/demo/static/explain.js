// Which patches a decision rests on.

import { ask } from "./api.js";
import { make, places } from "./parts.js";
import { set, state } from "./state.js";
import { showStrip } from "./strip.js";

const out = places("explain");

export const depends = ["text", "model", "decision", "method"];

export function start() {
  out.decisions.addEventListener("input", () => set({ decision: out.decisions.value }));
}

export async function update(info) {
  if (!state.model) return void (out.about.textContent = "No model of this server is fine-tuned.");
  const most = info.limits.characters_explained;
  if ([...state.text].length > most) throw new Error(`A text of at most ${most} characters can be explained.`);
  const options = { model: state.model, method: state.method, decision: Number(state.decision) };
  const said = await ask("saliency", state.text, options);
  out.decisions.replaceChildren(...said.decisions.map((name, number) =>
    make("option", { value: String(number), textContent: name, selected: number === said.decision })));
  showWords(said);
  const cells = showStrip(out.strip, said.strip, { label: "what the decision rests on" });
  cells.forEach((cell, patch) => {
    const value = said.relevance[patch] ?? 0;
    cell.classList.add(value > 0 ? "for" : "against");
    cell.style.setProperty("--weight", Math.abs(value));
    cell.ariaLabel += `, ${value.toFixed(2)}`;
  });
  out.about.textContent = `Score of the decision above the mean of its alternatives: ${said.score.toFixed(2)}.`;
}

// The words in colours; those that a decision is about choose it.
function showWords(said) {
  const most = Math.max(...said.word_relevance.map(Math.abs)) || 1;
  out.text.dir = "auto";
  const byWord = said.decisions.length === said.words.length && said.about_word !== null;
  out.text.replaceChildren(...said.words.flatMap((word, number) => {
    const value = said.word_relevance[number] / most;
    const part = byWord
      ? make("button", { type: "button", ariaPressed: String(number === said.decision), title: said.decisions[number] })
      : make("span");
    part.className = `weighed ${value > 0 ? "for" : "against"}`;
    part.textContent = word;
    part.style.setProperty("--weight", Math.abs(value));
    if (byWord) part.addEventListener("click", () => set({ decision: String(number) }));
    return [part, " "];
  }));
}
