// The screen with the picture and the slider.

import { file, get, post } from "./api.js";
import { makeDial } from "./dial.js";
import { $, h, sentence } from "./draw.js";
import { on } from "./events.js";
import { name, tenth, whole, words } from "./words.js";

const STRIP = ["strip-5", "strip-20", "strip-40", "balanced", "strip-60", "strip-80", "strip-95"];
const MODES = [["Typical", 10, "typical"], ["Balanced", null, "balanced"], ["Novel", 90, "novel"]];
const PLURAL = 12;
// Up to so many milliseconds a picture follows the slider; up to the second number it waits for the slider to rest.
const [LIVE, PACED] = [400, 3000];

export function makeStudio(view, said) {
  const now = { model: "", reward: null, taught: true, seed: "0", asked: null, others: PLURAL, ready: false, from: null, best: false };
  const frames = new Map(); // slot → what is known of it
  const arrived = new Map(); // pictures that came before the answer that announced them
  const times = [];
  const kept = new Set(); // ids that were kept since the page was opened
  let shown = null; // the frame in the large picture
  let held = false;
  let timer = 0;
  let asking = false;
  let again = null;
  let order = []; // seeds of the best, the first one liked most

  const dial = makeDial($("dial"), (percent, rests) => ask(percent, rests));
  const modes = MODES.map(([text, level]) => h("button", { type: "button", role: "radio", onclick: () => ask(level, true) }, text));
  $("modes").append(...modes);
  $("modes").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const place = (modes.indexOf(event.target) + step + modes.length) % modes.length;
    modes[place].focus();
    ask(MODES[place][1], true);
  });
  $("keep").addEventListener("click", keep);
  $("next").addEventListener("click", () => turn(1));
  $("more").addEventListener("click", () => more());
  $("best").addEventListener("click", () => {
    now.best = !now.best;
    draw();
    look(true);
  });
  $("hold").addEventListener("pointerdown", () => hold(true));
  for (const end of ["pointerup", "pointerleave", "blur"]) $("hold").addEventListener(end, () => hold(false));
  $("hold").addEventListener("keydown", (e) => e.key === " " && hold(true));
  $("hold").addEventListener("keyup", (e) => e.key === " " && hold(false));
  $("seed").addEventListener("change", () => {
    const typed = $("seed").value.trim();
    if (/^\d{1,20}$/.test(typed) && BigInt(typed) < 2n ** 64n) go(String(BigInt(typed)));
    else $("seed").value = now.seed;
  });
  $("copy").addEventListener("click", async () => {
    const text = command();
    try {
      await navigator.clipboard.writeText(text);
      said(words.copied);
    } catch {
      said(words.copyFailed + text, true);
    }
  });

  const strip = STRIP.map((slot) => {
    const image = h("img", { width: "88", height: "88", alt: "" });
    const [level, reached] = [h("b"), h("i")];
    const level0 = slot === "balanced" ? null : Number(slot.slice(6));
    const button = h("button", { type: "button", class: "frame empty", onclick: () => ask(level0, true) }, image, h("span", { class: "cap" }, level, reached));
    return { slot, level: level0, image, text: level, reached, button, item: h("li", {}, button) };
  });

  async function keep() {
    const id = frames.get("hero")?.picture?.sha8 ? frames.get("hero").id : null;
    if (!id || $("keep").disabled) return;
    $("keep").disabled = true;
    said(words.keeping);
    await post("/api/keep", { id }).catch((problem) => {
      said(words.keepFailed(problem.message), true);
      draw();
    });
  }

  on("kept", ({ id, error }) => {
    if (error) return said(words.keepFailed(error), true);
    kept.add(id);
    if (frames.get("hero")?.id === id) said(words.kept);
    draw();
  });

  function command() {
    const novelty = now.asked === null ? "--mode balanced" : `--novelty ${now.asked}`;
    const reward = now.reward ? ` --reward ${now.reward}` : "";
    return `isoline generate -m ${now.model}${reward} ${novelty} --seeds ${now.seed}`;
  }

  // What is wanted now. A slider that moves asks for the large picture alone.
  function ask(level, rests) {
    if (level !== now.asked) order = [];
    now.asked = now.taught ? level : null;
    place();
    const hero = frames.get("hero");
    if (hero && hero.asked !== now.asked) near();
    draw();
    const usual = times.length ? [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] : 1000;
    clearTimeout(timer);
    if (rests) return look(true);
    if (usual > PACED) return;
    if (usual > LIVE) timer = setTimeout(() => look(false), 150);
    else if (performance.now() - (ask.last ?? 0) > 60) {
      ask.last = performance.now();
      look(false);
    } else timer = setTimeout(() => look(false), 60);
  }

  // Shows the nearest frame of the strip until the true picture is there.
  function near() {
    const target = now.asked ?? frames.get("balanced")?.picture?.reached ?? 50;
    const at = (f) => f.picture?.reached ?? f.asked ?? 50;
    const there = STRIP.map((slot) => frames.get(slot)).filter((f) => f?.picture?.sha8);
    const best = there.sort((a, b) => Math.abs(at(a) - target) - Math.abs(at(b) - target))[0];
    frames.set("hero", { ...frames.get("hero"), asked: now.asked, id: null, picture: null });
    if (best) shown = { ...best, near: true };
  }

  async function look(whole) {
    if (!now.ready) return;
    if (asking) {
      again = (again ?? false) || whole;
      return;
    }
    asking = true;
    try {
      const body = { view, model: now.model, reward: now.reward, seed: now.seed, novelty: now.asked, strip: whole, seeds: whole ? (best() ? now.from : now.others) : 0 };
      const { frames: wanted } = await post("/api/looks", body);
      if (body.seed === now.seed && body.model === now.model && body.reward === now.reward) {
        if (whole) [...frames.keys()].filter((slot) => slot.startsWith("seed-")).forEach((slot) => frames.delete(slot));
        for (const frame of wanted) {
          if (frame.slot === "hero" && body.novelty !== now.asked) continue;
          frames.set(frame.slot, { ...frame, picture: frame.picture ?? arrived.get(frame.id) ?? null, error: null });
        }
        draw();
      }
    } catch (problem) {
      // A model that was dropped is loaded again.
      if (problem.code === "state") await load().catch((p) => said(p.message, true));
      else said(problem.message, true);
    } finally {
      asking = false;
      if (again !== null) {
        const next = again;
        again = null;
        look(next);
      }
    }
  }

  // The other seeds in the order of what is liked, as far as their pictures are there.
  function arrange() {
    clearTimeout(arrange.timer);
    arrange.timer = setTimeout(async () => {
      const there = new Map([...frames].filter(([slot, frame]) => slot.startsWith("seed-") && frame.picture?.sha8).map(([slot, frame]) => [frame.id, slot.slice(5)]));
      if (!best() || there.size === 0) return;
      const of = [now.model, now.reward, now.seed, now.asked].join(" ");
      try {
        const found = await post("/api/taste/order", { model: now.model, reward: now.reward, ids: [...there.keys()] });
        if (of !== [now.model, now.reward, now.seed, now.asked].join(" ")) return;
        order = found.ids.map((id) => there.get(id));
        // What was learnt no longer counts: the seeds come as they are.
        if (order.length === 0) now.best = false;
      } catch (problem) {
        now.best = false;
        said(problem.message, true);
      }
      drawOthers();
    }, 200);
  }

  const best = () => now.best && now.from !== null;

  // Whoever asked for it: a picture that two pages want is made once.
  on("frame", (frame) => {
    const waiting = [...frames].filter(([, known]) => known.id === frame.id);
    if (frame.error) waiting.forEach(([slot, known]) => frames.set(slot, { ...known, error: frame.error }));
    else {
      arrived.set(frame.id, frame);
      if (arrived.size > 300) arrived.delete(arrived.keys().next().value);
      waiting.forEach(([slot, known]) => frames.set(slot, { ...known, picture: frame }));
      if (frame.view === view && frame.slot === "hero") {
        times.push(frame.ms);
        if (times.length > 5) times.shift();
      }
    }
    if (waiting.length) draw();
  });

  function draw() {
    const hero = frames.get("hero");
    const plain = frames.get("balanced")?.picture ?? (now.asked === null ? hero?.picture : null) ?? null;
    const picture = hero?.picture ?? null;
    const done = picture !== null || Boolean(hero?.error);
    if (picture?.sha8) shown = hero;
    else if (done) shown = null;
    const image = held && plain?.sha8 ? frames.get("balanced") : shown;
    show($("hero"), image, held ? words.alt(now.seed, null, plain?.reached ?? null) : words.alt(now.seed, now.asked, picture?.reached ?? null));
    const figure = $("hero").parentElement;
    figure.classList.toggle("waiting", !done);
    figure.classList.toggle("near", Boolean(shown?.near));
    document.querySelector(".nums").classList.toggle("waiting-n", !done);

    number($("asked"), now.asked === null ? (now.taught ? "balanced" : "–") : whole(now.asked));
    number($("reached"), picture?.reached == null ? (done ? "–" : "…") : tenth(picture.reached));
    sentence($("say"), spoken(hero, picture));
    $("was").hidden = !now.taught;
    if (plain?.sha8) show($("plain"), frames.get("balanced") ?? hero, words.alt(now.seed, null, plain.reached));
    sentence($("plain-say"), now.asked === null ? words.plainHere : plain?.reached == null || !picture ? "" : words.plain(plain.reached, picture.angle));
    const odd = picture?.status === "off_manifold";
    $("flag").textContent = !picture || !now.taught || picture.status === "non_finite" ? "" : odd ? words.odd : words.known;
    $("flag").classList.toggle("look", odd);
    $("hold").disabled = now.asked === null || !plain?.sha8;
    const here = kept.has(hero?.id);
    $("keep").disabled = !picture?.sha8 || here;
    $("keep").firstChild.textContent = here ? "Kept " : "Keep ";
    $("inspect").disabled = $("vary").disabled = !picture?.sha8;
    const save = $("save");
    save.setAttribute("aria-disabled", String(!picture?.sha8));
    if (picture?.sha8) save.href = `/api/pictures/${hero.id}/file?save=true`;
    else save.removeAttribute("href");

    modes.forEach((mode, i) => {
      const checked = MODES[i][1] === now.asked;
      mode.setAttribute("aria-checked", String(checked));
      mode.tabIndex = checked || (i === 1 && !MODES.some((m) => m[1] === now.asked)) ? 0 : -1;
      mode.disabled = !now.taught && MODES[i][1] !== null;
    });
    const order = drawStrip(plain);
    dial.show({ asked: now.asked, reached: picture?.reached ?? null, value: picture?.value ?? null, plain: plain?.reached ?? null, frames: order });
    drawOthers();
    if (best()) arrange();
    if (picture && hero.id !== draw.told) {
      if (draw.told === undefined) said(words.shown(now.seed, picture.reached ?? null));
      draw.told = hero.id;
    }
  }

  function number(output, text) {
    output.textContent = text;
    output.classList.toggle("word", text.length > 5);
  }

  function spoken(hero, picture) {
    if (hero?.error) return hero.error;
    if (!picture) return "";
    if (picture.status === "non_finite") return words.notFinite;
    if (picture.reached === null) return now.taught ? "" : words.unmeasured;
    if (picture.beyond) return words.beyond(picture.beyond);
    if (now.asked !== null && Math.abs(picture.reached - now.asked) >= 3) return words.missed(picture.reached, now.asked);
    return words.rarer(picture.reached);
  }

  function show(image, frame, alt) {
    const source = frame?.picture?.sha8 ? file(frame.id, frame.picture.sha8) : null;
    if (source && image.getAttribute("src") !== source) image.src = source;
    // What could not be made is not shown as what was there before.
    if (!source && (frame === null || frame?.error || frame?.picture)) image.removeAttribute("src");
    image.alt = alt;
  }

  // The strip is in the order of what was reached, so that the picture without steering stands where it belongs.
  function drawStrip(plain) {
    const at = (one) => (one.level === null ? (plain?.reached ?? 50) : one.level);
    const order = [...strip].sort((a, b) => at(a) - at(b));
    const host = $("strip");
    host.hidden = !now.taught;
    if (order.some((one, i) => host.children[i] !== one.item)) host.replaceChildren(...order.map((one) => one.item));
    host.setAttribute("aria-label", `Seed ${now.seed} from typical to novel`);
    for (const one of order) {
      const frame = frames.get(one.slot);
      const picture = frame?.picture;
      const label = one.level === null ? "balanced" : String(one.level);
      one.text.textContent = label;
      one.reached.textContent = picture?.reached == null ? "" : tenth(picture.reached);
      one.reached.className = picture?.status === "off_manifold" || picture?.status === "unreached" ? "odd" : "";
      one.button.className = `frame${one.level === null ? " plain" : ""}${one.level === now.asked ? " here" : ""}${picture?.sha8 ? "" : " empty"}`;
      show(one.image, frame, "");
      one.button.setAttribute("aria-label", `${words.alt(now.seed, one.level, picture?.reached ?? null)}${picture?.status === "off_manifold" ? `; ${words.odd}` : ""}`);
    }
    return order.map((one) => ({ level: one.level ?? plain?.reached ?? null, steered: one.level !== null }));
  }

  function drawOthers() {
    const shown = order.slice(0, PLURAL);
    const sorted = best() && shown.length > 0;
    $("others-title").textContent = sorted ? words.best(now.asked, shown.length, order.length) : best() ? words.bestSoon(now.from) : words.others(now.asked);
    // Until the best are known the seeds stand as they come, so that the list keeps its length and the focus its place.
    const slots = Array.from({ length: best() ? PLURAL : now.others }, (_, i) => shown[i] ?? String((BigInt(now.seed) + BigInt(i + 1)) % 2n ** 64n));
    $("best").hidden = now.from === null;
    $("best").setAttribute("aria-pressed", String(best()));
    const host = $("others");
    if (host.children.length !== slots.length) {
      host.replaceChildren(...slots.map(() => h("li", {}, h("button", { type: "button", class: "thumb" }, h("img", { width: "60", height: "60", alt: "" })))));
      [...host.querySelectorAll("button")].forEach((button) => button.addEventListener("click", () => go(button.dataset.seed)));
    }
    slots.forEach((seed, i) => {
      const button = host.children[i].firstChild;
      const frame = frames.get(`seed-${seed}`);
      button.dataset.seed = seed;
      button.className = `thumb${frame?.picture?.status === "off_manifold" ? " odd" : ""}${frame?.picture?.sha8 ? "" : " empty"}`;
      button.title = `Seed ${seed}${frame?.picture?.reached == null ? "" : `, reached ${tenth(frame.picture.reached)}`}`;
      button.setAttribute("aria-label", words.alt(seed, now.asked, frame?.picture?.reached ?? null));
      show(button.firstChild, frame, "");
    });
    $("more").hidden = now.others >= 60 || best();
  }

  function place() {
    const parts = new URLSearchParams({ model: now.model, seed: now.seed });
    if (now.reward) parts.set("reward", now.reward);
    if (now.asked !== null) parts.set("novelty", String(now.asked));
    now.hash = `#${parts}`;
    $("to-studio").href = now.hash;
    $("seed").value = now.seed;
    // A browser takes only so many addresses in a while.
    clearTimeout(now.placing);
    now.placing = setTimeout(address, 300);
  }

  function address() {
    if ($("main").hidden) return;
    history.replaceState(null, "", now.hash);
    document.title = `${now.seed} · ${now.asked === null ? "balanced" : name(now.asked).toLowerCase()} · isoline studio`;
  }

  function go(seed) {
    if (seed === now.seed) return;
    now.seed = seed;
    const old = frames.get(`seed-${seed}`);
    frames.clear();
    order = [];
    if (old) frames.set("hero", { ...old, slot: "hero" });
    place();
    draw();
    look(true);
  }

  function turn(by) {
    go(String((BigInt(now.seed) + BigInt(by) + 2n ** 64n) % 2n ** 64n));
  }

  function more() {
    now.others = Math.min(60, now.others + PLURAL);
    draw();
    look(true);
  }

  function hold(down) {
    if (held === down || (down && $("hold").disabled)) return;
    held = down;
    draw();
  }

  async function load() {
    now.ready = false;
    await post(`/api/models/${encodeURIComponent(now.model)}/load`, { reward: now.reward });
  }

  // Opens a model; resolves once its distribution is known.
  async function open(model, reward) {
    Object.assign(now, { model, reward, ready: false });
    frames.clear();
    order = [];
    times.length = 0;
    shown = null;
    draw.told = undefined;
    arrived.clear();
    for (const image of document.querySelectorAll("#hero, #plain, #strip img, #others img")) image.removeAttribute("src");
    const query = reward ? `?reward=${encodeURIComponent(reward)}` : "";
    const spread = await get(`/api/models/${encodeURIComponent(model)}/spread${query}`).catch((problem) => {
      if (problem.code !== "unknown") throw problem;
      return null;
    });
    now.taught = spread !== null;
    if (!now.taught) now.asked = null;
    dial.spread(spread);
    place();
    draw();
    await load();
    return spread;
  }

  // The model is in the worker's memory.
  function begin() {
    if (now.ready) return;
    now.ready = true;
    look(true);
  }

  function restore(hash) {
    const parts = new URLSearchParams(hash.replace(/^#/, ""));
    const seed = parts.get("seed");
    if (seed && /^\d{1,20}$/.test(seed) && BigInt(seed) < 2n ** 64n) now.seed = seed;
    const novelty = Number(parts.get("novelty"));
    now.asked = parts.has("novelty") && novelty >= 0 && novelty <= 100 ? novelty : null;
    return { model: parts.get("model"), reward: parts.get("reward") };
  }

  // How many seeds the best are chosen from; null where no taste is known, or where it counts for nothing.
  function tasted(from) {
    if (from === now.from) return;
    now.from = from;
    order = [];
    draw();
    if (now.best && now.ready) look(true);
  }

  const acts = {
    typical: () => ask(10, true),
    balanced: () => ask(null, true),
    novel: () => ask(90, true),
    next: () => turn(1),
    previous: () => turn(-1),
    hold,
    more,
    keep,
  };
  const hero = () => (frames.get("hero")?.picture?.sha8 ? frames.get("hero").id : null);
  const frame = () => (hero() ? frames.get("hero") : null);
  return { tasted, frame, hero, load, address, go, ask, now, open, begin, restore, acts, look, usual: () => (times.length ? times[times.length - 1] : null) };
}
