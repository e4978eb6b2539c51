// The page: controls get their options, tabs their views, and the view that is seen is kept up to date.

import { GivenUp, giveUp, info as askInfo } from "./api.js";
import * as attack from "./attack.js";
import * as explain from "./explain.js";
import * as hide from "./hide.js";
import * as nearest from "./nearest.js";
import { make } from "./parts.js";
import * as predict from "./predict.js";
import * as see from "./see.js";
import { bind, set, state } from "./state.js";

const VIEWS = { see, hide, predict, attack, explain, nearest };
const PAUSE = 60; // milliseconds after the last key before anything is asked
const status = document.getElementById("status");
const tabs = [...document.querySelectorAll("[role=tab]")];
const stale = new Set(Object.keys(VIEWS));
let info;
let waiting;

async function begin() {
  info = await askInfo();
  fillControls();
  for (const view of Object.values(VIEWS)) view.start?.();
  for (const tab of tabs) tab.addEventListener("click", () => set({ tab: viewOf(tab) }));
  document.querySelector("[role=tablist]").addEventListener("keydown", moveTab);
  document.getElementById("link").addEventListener("click", copyLink);
  document.getElementById("input").addEventListener("submit", (event) => event.preventDefault());
  // Chromium draws form controls again with a font that came late only when their style changes.
  document.fonts.addEventListener("loadingdone", () => document.documentElement.classList.add("fonts"));
  bind(info.examples[0].text, onChange);
}

function fillControls() {
  const fill = (select, values) => select.append(...values.map((value) => make("option", { value, textContent: value })));
  const kinds = {
    any: () => true,
    annotate: (model) => model.task !== "pretraining",
    decode: (model) => model.task === "pretraining",
  };
  for (const select of document.querySelectorAll("[data-models]"))
    fill(select, info.models.filter(kinds[select.dataset.models]).map((model) => model.name));
  fill(document.querySelector("[data-state=strategy]"), info.strategies);
  fill(document.querySelector("[data-state=attack]"), info.attacks);
  fill(document.querySelector("[data-state=method]"), info.methods);
  const examples = document.getElementById("example");
  examples.append(...info.examples.map(({ language }, number) => make("option", { value: String(number), textContent: language })));
  examples.addEventListener("input", () => {
    if (examples.value) set({ text: info.examples[Number(examples.value)].text, hidden: "", decision: "0" });
    examples.value = "";
  });
}

const viewOf = (tab) => tab.getAttribute("aria-controls");

function onChange(names) {
  if (names.length === 1 && names[0] === "text" && (state.hidden || state.decision !== "0"))
    return set({ hidden: "", decision: "0", text: state.text }); // they were of another text
  for (const [name, view] of Object.entries(VIEWS))
    if (view.depends.some((entry) => names.includes(entry))) stale.add(name);
  document.documentElement.style.setProperty("--zoom", state.zoom);
  if (!(state.tab in VIEWS)) state.tab = "see";
  for (const tab of tabs) {
    const chosen = viewOf(tab) === state.tab;
    tab.ariaSelected = String(chosen);
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(viewOf(tab)).hidden = !chosen;
  }
  clearTimeout(waiting);
  document.body.ariaBusy = String(stale.has(state.tab));
  waiting = setTimeout(refresh, names.includes("text") ? PAUSE : 0);
}

async function refresh() {
  const name = state.tab;
  if (!stale.has(name)) return;
  stale.delete(name);
  giveUp(); // an answer to an earlier question must not come after this one's
  const began = performance.now();
  try {
    if (!state.text.trim()) throw new Error("Type a text.");
    await VIEWS[name].update(info);
    say(`${Math.round(performance.now() - began)} ms`);
  } catch (error) {
    if (error instanceof GivenUp) return void (name !== state.tab && stale.add(name));
    stale.add(name);
    say(error.message, true);
  }
  document.body.ariaBusy = "false";
}

function say(message, isError = false) {
  status.textContent = message;
  status.classList.toggle("error", isError);
}

function moveTab(event) {
  const steps = { ArrowRight: 1, ArrowLeft: -1 };
  const now = tabs.findIndex((tab) => viewOf(tab) === state.tab);
  const next = { Home: 0, End: tabs.length - 1 }[event.key] ?? (event.key in steps ? (now + steps[event.key] + tabs.length) % tabs.length : null);
  if (next === null) return;
  event.preventDefault();
  set({ tab: viewOf(tabs[next]) });
  tabs[next].focus();
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link is copied.");
  } catch {
    say("The browser does not let the page copy; the address holds everything.");
  }
}

begin().catch((error) => say(error.message, true));
