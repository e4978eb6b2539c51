// The sentences of the server that are nearest to the text, across languages.

import { ask } from "./api.js";
import { make, places } from "./parts.js";
import { set, state } from "./state.js";

const out = places("nearest");

export const depends = ["text", "embedder"];

export async function update(info) {
  const said = await ask("nearest", state.text, { model: state.embedder });
  out.about.textContent = `Searched: ${info.sentences} sentences in ${info.languages.length} languages.`;
  out.list.replaceChildren(...said.sentences.map(({ language, text, similarity }) => {
    const take = make("button", { type: "button", className: "take", dir: "auto", textContent: text });
    take.addEventListener("click", () => set({ text, hidden: "" }));
    return make("li", {}, make("span", { className: "near", textContent: `${language}, ${similarity.toFixed(2)}` }), take);
  }));
}
