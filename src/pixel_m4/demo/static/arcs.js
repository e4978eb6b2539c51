// Arcs, brackets and tags over words, whatever the words are made of: text or patches.

const SVG = "http://www.w3.org/2000/svg";
const STEP = 22; // pixels between levels of arcs
const MARGIN = 16;

function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function sheet(width, height, label) {
  const attributes = { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label };
  return draw("svg", attributes);
}

// The levels of spans [first, last] of words: a span lies above all that it covers.
export function levelsOf(spans) {
  const levels = Array(spans.length).fill(0);
  const order = spans.map((_, number) => number).sort((one, other) => length(spans[one]) - length(spans[other]));
  const placed = [];
  for (const number of order) {
    const [first, last] = spans[number];
    const under = placed.filter((other) => spans[other][0] < last && spans[other][1] > first);
    levels[number] = 1 + Math.max(0, ...under.map((other) => levels[other]));
    placed.push(number);
  }
  return levels;
}

const length = ([first, last]) => last - first;

// A tree above words: from each head to its dependents.
//   boxes      [left, right] of each word in pixels
//   heads      of each word, from 1; 0 is the root
//   relations  of each word
export function drawTree(width, boxes, heads, relations, changed = new Set()) {
  const arcs = heads.map((head, word) => ({ word, head: head - 1, name: relations[word] })).filter(({ head }) => head >= 0);
  const levels = levelsOf(arcs.map(({ word, head }) => [Math.min(word, head), Math.max(word, head)]));
  const height = STEP * (1 + Math.max(1, ...levels)) + MARGIN;
  const svg = sheet(width, height, "dependency tree; the table below has the same in words");
  const centre = (word) => (boxes[word][0] + boxes[word][1]) / 2;
  const root = heads.indexOf(0);
  if (root >= 0) {
    svg.append(draw("path", { class: "arc root", d: `M ${centre(root)} ${STEP} V ${height - 5}` }), arrow(centre(root), height));
    svg.append(draw("text", { class: "relation", x: centre(root), y: STEP - 6 }, "root"));
  }
  const labels = arcs.map(({ word, head, name }, number) => {
    const top = height - STEP * levels[number] - MARGIN / 2;
    const side = Math.sign(centre(word) - centre(head)) || 1;
    const [from, to] = [centre(head) + 4 * side, centre(word) - 2 * side];
    const bend = 6 * side;
    const path = `M ${from} ${height} V ${top + 6} Q ${from} ${top} ${from + bend} ${top} H ${to - bend} Q ${to} ${top} ${to} ${top + 6} V ${height - 5}`;
    const mark = changed.has(word) ? " changed" : "";
    svg.append(draw("path", { class: `arc${mark}`, d: path }), arrow(to, height, mark));
    return draw("text", { class: `relation${mark}`, x: (from + to) / 2, y: top + 3 }, name);
  });
  svg.append(...labels); // above all arcs
  return svg;
}

const arrow = (x, y, mark = "") => draw("path", { class: `arrow${mark}`, d: `M ${x - 3.5} ${y - 7} h 7 l -3.5 7 z` });

// Brackets with labels above words, one an entity: { words: [start, end), label }.
export function drawBrackets(width, boxes, entities) {
  const height = STEP + MARGIN;
  const svg = sheet(width, height, "named entities; the table below has the same in words");
  for (const { words, label } of entities) {
    const own = boxes.slice(...words);
    const [left, right] = [Math.min(...own.map((box) => box[0])), Math.max(...own.map((box) => box[1]))];
    svg.append(draw("path", { class: "arc", d: `M ${left + 1} ${height} V ${STEP} H ${right - 1} V ${height}` }));
    svg.append(draw("text", { class: "relation", x: (left + right) / 2, y: STEP - 5 }, label));
  }
  return svg;
}

// A tag below each word.
export function drawTags(width, boxes, tags, changed = new Set()) {
  const svg = sheet(width, MARGIN + 2, "parts of speech; the table below has the same");
  tags.forEach((tag, word) => {
    const [left, right] = boxes[word];
    svg.append(draw("text", { class: `tag${changed.has(word) ? " changed" : ""}`, x: (left + right) / 2, y: MARGIN - 3 }, tag));
  });
  return svg;
}
