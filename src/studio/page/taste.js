// Two pictures, which does one prefer? And what was learnt from that.

import { file, get, patch, post, remove } from "./api.js";
import { $, h, s } from "./draw.js";
import { on } from "./events.js";
import { keys, typing } from "./keys.js";
import { tenth, whole, words } from "./words.js";

const SIDES = { left: "ArrowLeft", right: "ArrowRight" };
const NOTHING = { of: null, pair: null, learnt: null, last: null, described: false, waiting: null, error: "" };

export function makeTaste(now, said, changed) {
  const state = { weight: 0, ...NOTHING };
  let visible = false;
  let busy = false;
  // Whose pictures the page is about. What comes of an older question is not drawn.
  const whose = () => ({ model: now.model, reward: now.reward });
  const same = (of) => of !== null && of.model === now.model && of.reward === now.reward;
  const query = ({ model, reward }) => `?model=${encodeURIComponent(model)}${reward ? `&reward=${encodeURIComponent(reward)}` : ""}`;
  const fail = (problem) => said(problem.message, true);

  const parts = {
    title: h("h1", { id: "taste-title" }, words.prefer),
    number: h("p", { class: "hint" }),
    pair: h("div", { class: "duel", role: "group", "aria-labelledby": "taste-title" }),
    last: h("p", { class: "hint told" }),
    learnt: h("section", {}),
    likes: h("section", {}),
    weight: h("section", {}),
  };
  const picture = Object.fromEntries(
    Object.keys(SIDES).map((side) => {
      const image = h("img", { width: "340", height: "340", alt: "" });
      const arrow = h("kbd", {}, side === "left" ? "←" : "→");
      const label = side === "left" ? [arrow, " This one"] : ["This one ", arrow];
      // The second click of a double one is about a pair that nobody has seen.
      const button = h("button", { type: "button", class: "side-p", onclick: (event) => event.detail < 2 && answer(side), onkeydown: (event) => event.repeat && event.preventDefault() }, image, h("span", {}, ...label));
      return [side, { image, button }];
    }),
  );
  const act = (text, key, what) => h("button", { type: "button", class: "ghost", onclick: what }, `${text} `, h("kbd", {}, key));
  const acts = {
    "=": act("Can’t say", "=", () => answer("tie")),
    s: act("Skip", "S", () => answer("skip")),
    u: act("Undo", "U", takeBack),
    d: act("Describe", "D", () => {
      state.described = true;
      draw();
      said(parts.last.textContent);
    }),
  };
  const middle = h("div", { class: "middle" }, ...Object.values(acts));
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
  const forget = h("button", { type: "button", class: "ghost sm", onclick: forgetAll }, words.forget);
  const save = h("a", { class: "button ghost sm", download: true }, "Export choices");
  const weightHint = h("p", { class: "hint", id: "taste-weight-hint" });
  parts.weight.append(h("h2", { id: "taste-weight" }, "How much your taste counts"), slider, h("p", { class: "ends" }, h("span", {}, "not at all"), value, h("span", {}, "the most")), weightHint, h("p", { class: "links" }, save, forget));
  parts.pair.append(picture.left.button, middle, picture.right.button);
  $("taste").append(parts.title, parts.number, parts.pair, parts.last, h("div", { class: "three" }, parts.learnt, parts.likes, parts.weight));

  // The next pair. It counts as asked once both pictures can be seen.
  async function ask() {
    const of = whose();
    if (!now.ready) return draw();
    try {
      const next = await post("/api/taste/pairs", of);
      if (!same(of)) return;
      Object.assign(state, { of, pair: next.left ? next : null, waiting: next.left ? null : next, described: false, error: "" });
    } catch (problem) {
      if (!same(of)) return;
      Object.assign(state, { pair: null, waiting: null, error: problem.message });
    }
    draw();
    if (!visible || !state.pair) return;
    await Promise.all(Object.values(picture).map(({ image }) => image.decode().catch(() => {})));
    if (same(of)) said(words.heard(state));
  }

  async function learn() {
    const of = whose();
    if (!now.ready) return draw();
    const learnt = await get(`/api/taste${query(of)}`).catch((problem) => (visible && fail(problem), null));
    if (!same(of)) return;
    state.learnt = learnt;
    changed();
    draw();
  }

  // One thing at a time: a key that is pressed meanwhile is about a pair that nobody has seen. What is not about a pair waits.
  async function alone(work, waits = false) {
    while (busy) {
      if (!waits) return;
      await new Promise((done) => setTimeout(done, 20));
    }
    busy = true;
    $("taste").dataset.ready = "no";
    try {
      await work();
      await Promise.all([ask(), learn()]);
    } finally {
      busy = false;
      $("taste").dataset.ready = "yes";
    }
  }

  const answer = (given) => alone(async () => {
    const { pair, of } = state;
    if (!pair || !same(of)) return;
    try {
      await post("/api/taste/choices", { ...of, left: pair.left.id, right: pair.right.id, answer: given });
      state.last = { pair, given };
    } catch (problem) {
      // Another tab has answered it: the next pair comes.
      if (problem.code !== "state") fail(problem);
    }
  });

  function takeBack() {
    return alone(async () => {
      if (!same(state.of)) return;
      await remove(`/api/taste/choices/last${query(state.of)}`).catch(fail);
      state.last = null;
    }, true);
  }

  // The first click asks, the second does it.
  function forgetAll() {
    if (!forget.dataset.sure) {
      forget.dataset.sure = "yes";
      forget.textContent = words.forgetSure(state.learnt?.all ?? 0);
      forgetAll.timer = setTimeout(calm, 6000);
      return;
    }
    calm();
    alone(async () => {
      if (!same(state.of)) return;
      await remove(`/api/taste${query(state.of)}`).then(() => said(words.forgotten)).catch(fail);
      state.last = null;
    }, true);
  }

  function calm() {
    clearTimeout(forgetAll.timer);
    delete forget.dataset.sure;
    forget.textContent = words.forget;
  }

  function draw() {
    if (!visible) return;
    const { pair, learnt, last, waiting } = state;
    parts.number.textContent = pair ? words.choice(pair.number + 1) : waiting ? words.pool(waiting.made, waiting.needed) : state.error || words.loading(now.model);
    parts.pair.hidden = !pair;
    if (pair) {
      for (const side of Object.keys(SIDES)) {
        const { image, button } = picture[side];
        const source = file(pair[side].id, pair[side].sha8);
        if (image.getAttribute("src") !== source) image.src = source;
        button.setAttribute("aria-label", words.thisOne(side, pair[side].id.split("-")[1]));
      }
    }
    acts.u.disabled = !learnt?.all;
    parts.last.textContent = state.described && pair ? words.differ(pair) : last ? words.took(last.pair, last.given) : "";
    drawLearnt(learnt);
    drawLikes(learnt);
    drawWeight();
    save.setAttribute("aria-disabled", String(!learnt?.all));
    if (learnt?.all) save.href = `/api/taste/choices${query(whose())}`;
    else save.removeAttribute("href");
    forget.disabled = !learnt?.all;
  }

  function drawLearnt(learnt) {
    const text = [h("h2", {}, "What it has learnt")];
    if (learnt) {
      const { choices, accuracy, unlocked, side, other } = learnt;
      if (accuracy) text.push(scale(accuracy), h("p", { class: "hint" }, words.accuracy(accuracy)));
      if (choices < 30) text.push(h("p", { class: "hint" }, words.notYet(choices)));
      else if (!unlocked) text.push(h("p", { class: "hint" }, words.noBetter));
      if (choices >= 30 && Math.abs(side) > 1) text.push(h("p", { class: "hint" }, words.leans(side)));
      if (other) text.push(h("p", { class: "hint" }, words.otherVersion(other)));
    }
    parts.learnt.replaceChildren(...text);
  }

  // The share that was predicted, on a line from 0 to 100 % with chance in its middle.
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

  function drawLikes(learnt) {
    const row = (list) => h("ul", { class: "six" }, ...list.map((p) => h("li", {}, h("img", { src: file(p.id, p.sha8), width: "52", height: "52", alt: `Seed ${p.id.split("-")[1]}${p.reached === undefined ? "" : `, reached ${tenth(p.reached)}`}` }))));
    const text = learnt?.unlocked ? [row(learnt.likes), h("h2", {}, "and care less for"), row(learnt.dislikes)] : [h("p", { class: "hint" }, words.likesLater)];
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

  // The screen's own keys go before those that may be given to others.
  addEventListener(
    "keydown",
    (event) => {
      if (!visible || !keys.on || event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || event.target === slider) return;
      if (document.querySelector("dialog[open]")) return;
      const side = Object.keys(SIDES).find((name) => SIDES[name] === event.key);
      const button = side ? picture[side].button : acts[event.key.toLowerCase()];
      if (!button) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!event.repeat) button.click();
    },
    { capture: true },
  );

  on("pool", ({ model, made, error }) => {
    if (!visible || model !== now.model || state.pair) return;
    if (error) Object.assign(state, { waiting: null, error });
    else if (state.waiting && made < state.waiting.needed) state.waiting.made = made;
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
      alone(() => {});
    },
    close() {
      visible = false;
      calm();
    },
    // Another model is being loaded.
    clear() {
      Object.assign(state, NOTHING);
      calm();
      changed();
      draw();
    },
    // The model is loaded, or what was told meanwhile was missed.
    suit() {
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
