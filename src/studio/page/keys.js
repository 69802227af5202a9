// Keys of single letters. They can be given to others, or switched off, in the help.

export const ACTIONS = [
  ["typical", "1", "Typical: asks 10"],
  ["balanced", "2", "Balanced: no steering"],
  ["novel", "3", "Novel: asks 90"],
  ["next", "n", "Next seed"],
  ["previous", "p", "Previous seed"],
  ["keep", "k", "Keep the picture"],
  ["vary", "v", "Eight variations of the picture"],
  ["inspect", "i", "Inspect the picture"],
  ["gallery", "g", "Gallery, and back to the Studio"],
  ["taste", "t", "Taste, and back to the Studio"],
  ["compare", "c", "Compare what is chosen, in the Gallery"],
  ["star", "s", "Star, in the Gallery and the Inspector"],
  ["hold", "b", "Hold to compare with the picture without steering"],
  ["more", "m", "12 more seeds"],
  ["help", "?", "Keys and help"],
];

const FIXED = [
  ["← →", "one point, on the slider"],
  ["Shift + ← →", "ten points"],
  ["Home, End", "most typical, most novel"],
  ["← → = S U D", "in Taste: left, right, can’t say, skip, undo, describe"],
];

export const keys = { on: true, map: new Map(ACTIONS.map(([name, key]) => [name, key])) };
export const fixed = FIXED;

export function remap(changes) {
  for (const [name, key] of ACTIONS) keys.map.set(name, changes[name] ?? key);
}

export const typing = (element) => element instanceof HTMLElement && (element.isContentEditable || /^(textarea|select)$/i.test(element.tagName) || (element.tagName === "INPUT" && element.type !== "range"));

export function listen(acts) {
  const find = (event) => {
    if (!keys.on || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return null;
    if (document.querySelector("dialog[open]")) return null;
    return [...keys.map].find(([, key]) => key === event.key || key === event.key.toLowerCase())?.[0] ?? null;
  };
  addEventListener("keydown", (event) => {
    const name = find(event);
    if (name === null || (event.repeat && name === "hold")) return;
    event.preventDefault();
    acts[name]?.(true);
  });
  addEventListener("keyup", (event) => {
    if (event.key === keys.map.get("hold") || event.key.toLowerCase() === keys.map.get("hold")) acts.release();
  });
  addEventListener("blur", () => acts.release());
}
