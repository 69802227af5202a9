// Variations: a picture in the middle, eight round it at one angle. One that is clicked becomes the middle.

import { file, post } from "./api.js";
import { $, h } from "./draw.js";
import { on } from "./events.js";
import { open as openDialog } from "./help.js";
import { tenth, words } from "./words.js";

const FIRST = 0.2;
const [LEAST, MOST] = [0.02, 1.5];

export function makeVariations(view, now, said, inspect) {
  const ring = new Map(); // id → { button, image, caption }
  let centre = null;
  let angle = FIRST;
  const way = []; // the centres before this one
  let grid = null;

  const name = (c) => `${c.label}${c.reached === null ? "" : `, ${tenth(c.reached)}`}`;

  async function ask() {
    const asked = (now.varying = {});
    const body = { view: `${view}-vary`, model: now.model, reward: now.reward, seed: now.seed, novelty: null, around: { id: centre.id, angle } };
    try {
      const { frames } = await post("/api/looks", body);
      // Another ring was asked for meanwhile.
      if (now.varying !== asked) return;
      const wanted = frames.filter((f) => f.slot.startsWith("vary-"));
      draw(wanted);
      wanted.forEach((f) => (f.picture ?? arrived.get(f.id)) && fill(f.id, f.picture ?? arrived.get(f.id)));
      arrived.clear();
    } catch (problem) {
      said(problem.message, true);
    }
  }

  function fill(id, picture) {
    const place = ring.get(id);
    if (!place || !picture.sha8) return;
    place.image.src = file(id, picture.sha8);
    place.button.classList.remove("empty");
    place.caption.textContent = picture.reached === null ? "" : tenth(picture.reached);
    place.picture = picture;
    place.button.setAttribute("aria-label", `Variation ${place.number}${picture.reached === null ? "" : `, at ${tenth(picture.reached)}`}`);
  }

  const arrived = new Map(); // pictures that came before the answer that announced them
  on("frame", (frame) => {
    if (!frame.error && frame.slot.startsWith("vary-")) arrived.set(frame.id, frame);
    if (frame.error && ring.has(frame.id)) said(frame.error, true);
    else fill(frame.id, frame);
  });

  function draw(wanted) {
    ring.clear();
    const tiles = wanted.map((frame, i) => {
      const image = h("img", { width: "150", height: "150", alt: "" });
      const caption = h("i");
      const button = h("button", { type: "button", class: "frame empty", "aria-label": `Variation ${i + 1}`, onclick: () => move(frame.id) }, image, h("span", { class: "cap" }, h("b", {}, String(i + 1)), caption));
      ring.set(frame.id, { button, image, caption, number: i + 1 });
      return button;
    });
    const middle = h("div", { class: "frame plain" }, h("img", { src: file(centre.id, centre.sha8), alt: words.centre(centre.label), width: "150", height: "150" }), h("span", { class: "cap" }, h("b", {}, centre.label), h("i", {}, centre.reached === null ? "" : tenth(centre.reached))));
    tiles.splice(4, 0, middle);
    grid.replaceChildren(...tiles);
    $("vary-angle").textContent = words.angle(angle);
    $("vary-back").disabled = way.length === 0;
  }

  function move(id) {
    const place = ring.get(id);
    if (!place?.picture) return;
    way.push({ centre, angle });
    const { number, picture } = place;
    centre = { id, sha8: picture.sha8, reached: picture.reached, label: `${centre.label}·${number}` };
    said(words.centre(name(centre)));
    ask();
  }

  function turn(by) {
    angle = Math.min(MOST, Math.max(LEAST, angle * by));
    ask();
  }

  return {
    open(frame) {
      centre = { id: frame.id, sha8: frame.picture.sha8, reached: frame.picture.reached, label: `seed ${now.seed}` };
      angle = FIRST;
      way.length = 0;
      grid = h("div", { class: "ring" });
      const button = (text, act, attributes = {}) => h("button", { type: "button", onclick: act, ...attributes }, text);
      openDialog(
        "Variations",
        h("p", { class: "hint", id: "vary-angle" }),
        grid,
        h("div", { class: "acts" },
          button("Closer", () => turn(1 / 1.6)),
          button("Farther", () => turn(1.6)),
          button("Keep the middle", () => post("/api/keep", { id: centre.id }).then(() => said(words.kept)).catch((p) => said(words.keepFailed(p.message), true)), { class: "primary" }),
          button("Inspect the middle", () => {
            $("dialog").close();
            inspect(centre.id);
          }),
          button("Back", () => {
            ({ centre, angle } = way.pop());
            ask();
          }, { id: "vary-back" }),
        ),
      );
      ask();
    },
  };
}
