// The dialog behind the question mark: what the number means, the keys, and how the page looks.

import { patch } from "./api.js";
import { $, h } from "./draw.js";
import { ACTIONS, fixed, keys, remap } from "./keys.js";
import { words } from "./words.js";

export function open(title, ...children) {
  const dialog = $("dialog");
  const close = h("button", { class: "icon close", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "×");
  dialog.replaceChildren(h("h2", { id: "dialog-title" }, title), close, ...children);
  if (!dialog.open) dialog.showModal();
}

export function help(look) {
  const sent = (change) => patch("/api/settings", change).catch(() => {});
  const keyOf = ([name, , about]) => {
    const input = h("input", { maxlength: "1", "aria-label": `Key for: ${about}`, value: keys.map.get(name) });
    input.addEventListener("change", () => {
      if (input.value.trim() === "") input.value = ACTIONS.find((a) => a[0] === name)[1];
      const changes = Object.fromEntries(ACTIONS.map(([n, usual]) => [n, n === name ? input.value.toLowerCase() : (keys.map.get(n) ?? usual)]));
      remap(changes);
      sent({ remap: changes });
    });
    return h("div", {}, h("span", {}, about), input);
  };
  const box = (text, checked, act) => {
    const input = h("input", { type: "checkbox", checked });
    input.addEventListener("change", () => act(input.checked));
    return h("label", { class: "row" }, input, text);
  };
  open(
    "What the number means, and the keys",
    h("p", {}, words.help),
    h("h3", {}, "Keys"),
    h("div", { class: "keys" }, ...ACTIONS.map(keyOf), ...fixed.map(([key, about]) => h("div", {}, h("span", {}, about), h("kbd", {}, key)))),
    box("Single keys act", keys.on, (on) => {
      keys.on = on;
      sent({ keys: on });
    }),
    h("h3", {}, "Small pictures"),
    box("Show every pixel as a square", look.pixels !== "smooth", (sharp) => {
      look.set(sharp ? "sharp" : "smooth");
      sent({ pixels: sharp ? "sharp" : "smooth" });
    }),
  );
}
