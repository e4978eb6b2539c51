// What a fine-tuned model says about the text.

import { ask } from "./api.js";
import { make, places } from "./parts.js";
import { showPrediction } from "./prediction.js";
import { state } from "./state.js";

const out = places("predict");

export const depends = ["text", "model"];

export async function update() {
  if (!state.model) {
    out.prediction.replaceChildren(make("p", { className: "hint", textContent: "No model of this server is fine-tuned." }));
    return;
  }
  showPrediction(out.prediction, await ask("predict", state.text, { model: state.model }));
}
