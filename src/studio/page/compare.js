// Two to nine pictures side by side; two of them blink in one place while the space bar is held.

import { file, get } from "./api.js";
import { h } from "./draw.js";
import { open } from "./help.js";
import { whole, words } from "./words.js";

export async function compare(ids) {
  const all = await Promise.all(ids.map((id) => get(`/api/pictures/${id}`)));
  const seed = (k) => k.id.split("-")[1];
  const reached = (k) => k.row.novelty_reached;
  const figures = all.map((k) => {
    const title = `Seed ${seed(k)}${k.row.novelty_asked === null ? "" : `, asked ${whole(k.row.novelty_asked)}`}`;
    const image = k.row.sha256 ? h("img", { src: file(k.id, k.row.sha256.slice(0, 8)), alt: k.alt || words.alt(seed(k), k.row.novelty_asked, reached(k)), width: "240", height: "240" }) : h("p", {}, words.notFinite);
    return h("figure", {}, image, h("figcaption", { class: "hint" }, title, h("br"), reached(k) === null ? "" : `reached ${whole(reached(k))} · turned by ${whole(k.row.angle)}°`));
  });
  open("Compare", h("div", { class: all.length === 2 ? "versus two" : "versus", tabindex: "-1", autofocus: true }, ...figures), h("p", {}, words.between(all.map((k) => ({ seed: seed(k), reached: reached(k), asked: k.row.novelty_asked })))), all.length === 2 ? h("p", { class: "hint" }, words.blink) : null);
  if (all.length !== 2) return;
  const [a, b] = figures.map((f) => f.querySelector("img"));
  if (!a || !b) return;
  const [first, second] = [a.src, b.src];
  const swap = (down) => (event) => {
    if (event.key !== " " || event.target.tagName === "BUTTON") return;
    event.preventDefault();
    a.src = down ? second : first;
  };
  const dialog = document.getElementById("dialog");
  const [press, release] = [swap(true), swap(false)];
  dialog.addEventListener("keydown", press);
  dialog.addEventListener("keyup", release);
  dialog.addEventListener("close", () => {
    dialog.removeEventListener("keydown", press);
    dialog.removeEventListener("keyup", release);
  }, { once: true });
}
