// Two pictures, which does one prefer? And what was learnt from that.

import { file, get, patch, post, remove } from "./api.js";
import { $, h, s, sentence } from "./draw.js";
import { on } from "./events.js";
import { keys, typing } from "./keys.js";
import { tenth, whole, words } from "./words.js";

const SIDES = { left: "ArrowLeft", right: "ArrowRight" };

export function makeTaste(now, said, changed) {
  const state = { pair: null, learnt: null, weight: 0, last: null, described: false, waiting: null, error: "" };
  let visible = false;
  let busy = false;
  const whose = () => ({ model: now.model, reward: now.reward });
  const query = () => `?model=${encodeURIComponent(now.model)}${now.reward ? `&reward=${encodeURIComponent(now.reward)}` : ""}`;
  const fail = (problem) => said(problem.message, true);

  const parts = {
    title: h("h1", { id: "taste-title" }, words.prefer),
    number: h("p", { class: "hint" }),
    pair: h("div", { class: "duel" }),
    last: h("p", { class: "hint told", role: "status" }),
    learnt: h("section", {}),
    likes: h("section", {}),
    weight: h("section", {}),
  };
  const picture = Object.fromEntries(
    Object.keys(SIDES).map((side) => {
      const image = h("img", { width: "340", height: "340", alt: "" });
      const arrow = h("kbd", {}, side === "left" ? "←" : "→");
      const label = side === "left" ? [arrow, " This one"] : ["This one ", arrow];
      return [side, { image, button: h("button", { type: "button", class: "side-p", onclick: () => answer(side) }, image, h("span", {}, ...label)) }];
    }),
  );
  const act = (text, key, what) => h("button", { type: "button", class: "ghost", onclick: what }, `${text} `, h("kbd", {}, key));
  const undo = act("Undo", "U", takeBack);
  const describe = act("Describe", "D", () => {
    state.described = true;
    draw();
  });
  const middle = h("div", { class: "middle" }, act("Can’t say", "=", () => answer("tie")), act("Skip", "S", () => answer("skip")), undo, describe);
  const slider = h("input", { type: "range", min: "0", max: "100", step: "5", "aria-labelledby": "taste-weight", "aria-describedby": "taste-weight-hint" });
  const value = h("b", {});
  slider.addEventListener("input", () => {
    state.weight = Number(slider.value);
    drawWeight();
  });
  slider.addEventListener("change", () => {
    patch("/api/settings", { weight: state.weight }).catch(fail);
    changed();
  });
  const forget = h("button", { type: "button", class: "ghost sm", onclick: forgetAll }, "Forget all");
  const save = h("a", { class: "button ghost sm", download: true }, "Export choices");
  const weightHint = h("p", { class: "hint", id: "taste-weight-hint" });
  parts.weight.append(h("h2", { id: "taste-weight" }, "How much your taste counts"), slider, h("p", { class: "ends" }, h("span", {}, "not at all"), value, h("span", {}, "the most")), weightHint, h("p", { class: "links" }, save, forget));
  parts.pair.append(picture.left.button, middle, picture.right.button);
  $("taste").append(parts.title, parts.number, parts.pair, parts.last, h("div", { class: "three" }, parts.learnt, parts.likes, parts.weight));

  async function ask() {
    try {
      const next = await post("/api/taste/pairs", whose());
      state.error = "";
      state.pair = next.left ? next : null;
      state.waiting = next.left ? null : next;
      state.described = false;
    } catch (problem) {
      Object.assign(state, { pair: null, waiting: null, error: problem.message });
    }
    draw();
  }

  async function learn() {
    state.learnt = await get(`/api/taste${query()}`).catch(() => null);
    changed();
    draw();
  }

  async function answer(given) {
    const pair = state.pair;
    if (!pair || busy) return;
    busy = true;
    try {
      await post("/api/taste/choices", { ...whose(), left: pair.left.id, right: pair.right.id, answer: given });
      state.last = { pair, given };
    } catch (problem) {
      if (problem.code !== "state") fail(problem);
    }
    busy = false;
    await Promise.all([ask(), learn()]);
  }

  async function takeBack() {
    if (busy) return;
    busy = true;
    await remove(`/api/taste/choices/last${query()}`).catch(fail);
    state.last = null;
    busy = false;
    await Promise.all([ask(), learn()]);
  }

  async function forgetAll() {
    // The first click asks, the second does it.
    if (!forget.dataset.sure) {
      forget.dataset.sure = "yes";
      forget.textContent = words.forgetSure(state.learnt?.choices ?? 0);
      setTimeout(calm, 6000);
      return;
    }
    calm();
    await remove(`/api/taste${query()}`).then(() => said(words.forgotten)).catch(fail);
    state.last = null;
    await Promise.all([ask(), learn()]);
  }

  function calm() {
    delete forget.dataset.sure;
    forget.textContent = "Forget all";
  }

  function draw() {
    if (!visible) return;
    const { pair, learnt, last, waiting } = state;
    parts.number.textContent = pair ? words.choice(pair.number + 1) : (waiting ? words.pool(waiting.made, waiting.needed) : state.error);
    parts.pair.hidden = !pair;
    if (pair) {
      for (const side of Object.keys(SIDES)) {
        const { image, button } = picture[side];
        const source = file(pair[side].id, pair[side].sha8);
        if (image.getAttribute("src") !== source) image.src = source;
        button.setAttribute("aria-label", `${side === "left" ? "The left one" : "The right one"}, seed ${pair[side].id.split("-")[1]}`);
      }
    }
    undo.disabled = !learnt || (learnt.choices === 0 && !last);
    parts.last.textContent = state.described && pair ? words.differ(pair) : last ? words.took(last.pair, last.given) : "";
    if (!learnt) return;
    drawLearnt(learnt);
    drawLikes(learnt);
    drawWeight();
    save.href = `/api/taste/choices${query()}`;
    save.setAttribute("aria-disabled", String(learnt.choices === 0));
    forget.disabled = learnt.choices + learnt.other === 0;
  }

  function drawLearnt({ choices, accuracy, unlocked, side, other }) {
    const text = [h("h2", {}, "What it has learnt")];
    if (accuracy) text.push(scale(accuracy), h("p", { class: "hint" }, words.accuracy(accuracy)));
    if (choices < 30) text.push(h("p", { class: "hint" }, words.notYet(choices)));
    else if (!unlocked) text.push(h("p", { class: "hint" }, words.noBetter));
    if (choices >= 30 && Math.abs(side) > 1) text.push(h("p", { class: "hint" }, words.leans(side)));
    if (other) text.push(h("p", { class: "hint" }, words.otherVersion(other)));
    parts.learnt.replaceChildren(...text);
  }

  // The share that was foretold, on a line from 0 to 100 % with chance in its middle.
  function scale({ value, low, high }) {
    const x = (v) => 8 + 304 * v;
    return s("svg", { class: "share", viewBox: "0 0 320 52", role: "img", "aria-label": words.share(value, low, high) },
      s("path", { class: "base", d: `M${x(0)} 30H${x(1)}M${x(0)} 25v10M${x(0.5)} 25v10M${x(1)} 25v10` }),
      s("path", { class: "between", d: `M${x(low)} 30H${x(high)}` }),
      s("circle", { cx: x(value), cy: 30, r: 5 }),
      s("text", { class: "t-ink mid", x: x(value), y: 14 }, `${whole(100 * value)} %`),
      s("text", { x: x(0), y: 48 }, "0"),
      s("text", { class: "mid", x: x(0.5), y: 48 }, "chance 50"),
      s("text", { class: "end", x: x(1), y: 48 }, "100 %"));
  }

  function drawLikes({ likes, dislikes, unlocked }) {
    const row = (list) => h("ul", { class: "six" }, ...list.map((p) => h("li", {}, h("img", { src: file(p.id, p.sha8), width: "52", height: "52", alt: `Seed ${p.id.split("-")[1]}${p.reached === undefined ? "" : `, reached ${tenth(p.reached)}`}` }))));
    const text = unlocked ? [row(likes), h("h2", {}, "and care less for"), row(dislikes)] : [h("p", { class: "hint" }, words.likesLater)];
    parts.likes.replaceChildren(h("h2", {}, "It thinks you like"), ...text);
  }

  function drawWeight() {
    const locked = !state.learnt?.unlocked;
    slider.disabled = locked;
    const weight = locked ? 0 : state.weight;
    slider.value = String(weight);
    value.textContent = String(weight);
    weightHint.textContent = locked ? words.weightLocked : words.weight(weight, candidates(weight));
  }

  addEventListener("keydown", (event) => {
    if (!visible || !keys.on || event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || event.target === slider) return;
    if (document.querySelector("dialog[open]")) return;
    const side = Object.keys(SIDES).find((name) => SIDES[name] === event.key);
    const what = side ? () => answer(side) : { "=": () => answer("tie"), s: () => answer("skip"), u: takeBack, d: () => describe.click() }[event.key.toLowerCase()];
    if (!what || event.repeat) return;
    event.preventDefault();
    what();
  });

  on("pool", ({ model, made }) => {
    if (!visible || model !== now.model || state.pair) return;
    if (state.waiting && made < state.waiting.needed) state.waiting.made = made;
    else if (state.waiting) return ask();
    draw();
  });
  // Another tab has chosen.
  on("taste", ({ model }) => {
    if (model !== now.model || busy) return;
    learn();
    if (visible) ask();
  });

  return {
    open() {
      visible = true;
      draw();
      ask();
      learn();
    },
    close() {
      visible = false;
    },
    // Another model is loaded, or this one again.
    suit() {
      Object.assign(state, { pair: null, learnt: null, last: null });
      learn();
      if (visible) ask();
    },
    weight(weight) {
      state.weight = weight;
    },
    // Seeds that the best are to be chosen from; null where taste does not count.
    candidates: () => (state.learnt?.unlocked && state.weight > 0 ? candidates(state.weight) : null),
  };
}

// How many seeds the best twelve are chosen from.
const candidates = (weight) => 12 + Math.round((51 * weight) / 100);
