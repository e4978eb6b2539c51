// What the page shows, kept in the address after #, so that a link holds it.
// Every control with data-state is bound to the entry of that name; other entries are set by the views.

const OTHERS = { tab: "see", hidden: "", decision: "0" };
const controls = () => [...document.querySelectorAll("[data-state]")];
const valueOf = (control) => (control.type === "checkbox" ? (control.checked ? "1" : "") : control.value);
let defaults = {};
let changed = () => {};
export const state = {};

// Begin: the controls have their options and their defaults now.
export function bind(text, onChange) {
  changed = onChange;
  defaults = { ...OTHERS, ...Object.fromEntries(controls().map((each) => [each.dataset.state, valueOf(each)])), text };
  for (const control of controls())
    control.addEventListener("input", () => set({ [control.dataset.state]: valueOf(control) }));
  addEventListener("hashchange", read);
  read();
}

function read() {
  Object.assign(state, defaults);
  for (const [name, value] of new URLSearchParams(location.hash.slice(1)))
    if (name in defaults && isPossible(name, value)) state[name] = value;
  show();
  changed(Object.keys(defaults));
}

// A link may come from a server with other models; whatever is not possible here stays at its default.
function isPossible(name, value) {
  const control = controls().find((each) => each.dataset.state === name);
  if (control?.tagName === "SELECT") return [...control.options].some((option) => option.value === value);
  if (control?.type === "range" || control?.type === "number") return value !== "" && value >= +control.min && value <= +control.max;
  if (name === "hidden") return /^(\d{1,4}(,\d{1,4})*)?$/.test(value);
  if (name === "decision") return /^\d{1,4}$/.test(value);
  return name !== "text" || value.length <= control.maxLength;
}

function show() {
  for (const control of controls()) {
    const value = state[control.dataset.state];
    if (control.type === "checkbox") control.checked = value === "1";
    else if (control.value !== value) control.value = value;
  }
}

// Change entries, and the address with them.
export function set(entries) {
  Object.assign(state, entries);
  show();
  const shown = Object.entries(state).filter(([name, value]) => value !== defaults[name]);
  history.replaceState(null, "", shown.length ? `#${new URLSearchParams(shown)}` : location.pathname);
  changed(Object.keys(entries));
}
