// Small parts that the views share.

// An element with attributes, properties (as in `textContent`) and children.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element && name !== "role") element[name] = value;
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// The places of a panel that a view fills: those with data-out, by their names.
export function places(id) {
  const panel = document.getElementById(id);
  return Object.fromEntries([...panel.querySelectorAll("[data-out]")].map((each) => [each.dataset.out, each]));
}

export const percent = (share) => (share > 0 && share < 0.005 ? "< 1 %" : `${Math.round(100 * share)} %`);

// The code points of a text: what the server counts characters in.
export const codePoints = (text) => [...text];

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

// The letters of a text, each with its characters [start, end).
export function letters(text) {
  let start = 0;
  return [...segmenter.segment(text)].map(({ segment }) => {
    const end = start + codePoints(segment).length;
    const letter = { text: segment, start, end };
    start = end;
    return letter;
  });
}

// A region that scrolls sideways, and that the keyboard reaches for that.
export function scroller(label, ...children) {
  return make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: label }, ...children);
}
