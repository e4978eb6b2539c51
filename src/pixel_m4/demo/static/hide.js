// Hidden patches: what a pretrained model paints there, and how that reads.

import { ask } from "./api.js";
import { make, percent, places } from "./parts.js";
import { set, state } from "./state.js";
import { showStrip } from "./strip.js";

const out = places("hide");
const SHARE = 0.25;
let strip = null;

export const depends = ["text", "painter", "hidden"];

const hiddenPatches = () => new Set(state.hidden ? state.hidden.split(",").map(Number) : []);
const store = (patches) => set({ hidden: [...patches].sort((one, other) => one - other).join(",") });

export function start() {
  const panel = document.getElementById("hide");
  panel.querySelector("[data-do=none]").addEventListener("click", () => store([]));
  panel.querySelector("[data-do=random]").addEventListener("click", () => {
    const shown = strip ? strip.patch_chars.flatMap((span, patch) => (span ? [patch] : [])) : [];
    const drawn = shown.map((patch) => [Math.random(), patch]).sort(([one], [other]) => one - other);
    store(drawn.slice(0, Math.ceil(SHARE * shown.length)).map(([, patch]) => patch));
  });
}

export async function update() {
  if (!state.painter) return complain("No model of this server reconstructs: start it with a pretraining checkpoint.");
  if (strip?.text !== state.text || strip.model !== state.painter)
    strip = { ...(await ask("render", state.text, { model: state.painter })), model: state.painter };
  const chosen = new Set([...hiddenPatches()].filter((patch) => patch < strip.patches - 1));
  show(strip.png, chosen);
  const asksHoles = /\[MASK(:\d+)?\]/.test(state.text);
  if (!chosen.size && !asksHoles) return complain("Nothing is hidden yet.");
  const options = { model: state.painter, patches: [...chosen] };
  showPainted(await ask("fill", state.text, { ...options, read: false }, "paint"));
  const read = await ask("fill", state.text, options, "read");
  showPainted(read);
  out.filled.textContent = read.filled;
  out.gaps.replaceChildren(table(read));
}

function show(png, chosen) {
  showStrip(out.strip, strip, {
    png,
    chosen,
    label: "original, to pick what is hidden",
    onPick: (patch) => {
      if (patch >= strip.patches - 1) return;
      const now = hiddenPatches();
      if (!now.delete(patch)) now.add(patch);
      store(now);
    },
  });
}

// With holes the text has other patches than without: what each shows is not told then.
function showPainted(painted) {
  const masked = new Set(painted.masked_patches);
  const same = painted.patches === strip.patches;
  const shown = same ? strip : { ...strip, patches: painted.patches, patch_chars: Array(painted.patches).fill(null), word_starts: [], black: [painted.patches - 1], missing: [] };
  const marks = Object.fromEntries([...masked].map((patch) => [patch, "painted"]));
  showStrip(out.painted, shown, { png: painted.reconstructed, label: "reconstructed", marks });
}

function complain(message) {
  out.painted.replaceChildren(make("p", { className: "hint", textContent: message }));
  out.filled.textContent = "";
  out.gaps.replaceChildren();
}

function table(read) {
  const rows = read.gaps.map((gap) =>
    make("tr", {},
      make("td", { textContent: gap.patches[1] - gap.patches[0] > 1 ? `${gap.patches[0]}–${gap.patches[1] - 1}` : `${gap.patches[0]}` }),
      make("td", { dir: "auto", textContent: gap.truth ?? "?" }),
      make("td", {}, ...gap.readings.map(reading))));
  const head = ["patches", "was", "reads as"].map((name) => make("th", { scope: "col", textContent: name }));
  const caption = make("caption", { textContent: read.loss === null ? "Readings" : `Readings (pretraining loss of the hidden patches ${read.loss.toFixed(2)})` });
  return make("table", {}, caption, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}

function reading({ text, probability }) {
  return make("span", { className: "reading" },
    make("bdi", { textContent: text }), make("small", { textContent: ` ${percent(probability)}` }));
}
