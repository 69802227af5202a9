// Elements without markup: text is always text.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((c) => c !== null && c !== undefined));
  return element;
}

export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
export const $ = (id) => document.getElementById(id);

// Puts a sentence of words.js into an element: texts, { b: text } and { br }.
export function sentence(element, parts) {
  const nodes = (Array.isArray(parts) ? parts : [parts]).map((part) => (typeof part === "string" ? part : "b" in part ? h("b", {}, part.b) : h("br")));
  element.replaceChildren(...nodes);
}
