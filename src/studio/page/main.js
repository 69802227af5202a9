// Where the page begins.

import { get, patch, post, read } from "./api.js";
import { $, h } from "./draw.js";
import { connect, on } from "./events.js";
import { makeGallery } from "./gallery.js";
import { help } from "./help.js";
import { makeInspector } from "./inspector.js";
import { keys, listen, remap } from "./keys.js";
import { makeMany } from "./many.js";
import { models } from "./models.js";
import { makeQueue } from "./queue.js";
import { makeStudio } from "./studio.js";
import { makeTaste } from "./taste.js";
import { makeVariations } from "./vary.js";
import { words } from "./words.js";

const view = crypto.randomUUID?.() ?? `v${Math.random().toString(36).slice(2)}`;
const look = {
  pixels: "sharp",
  set(pixels) {
    this.pixels = pixels;
    document.body.classList.toggle("pixels", pixels === "sharp" && small);
  },
};
let small = true;
let worker = null;
let connection = "";

// Said aloud, and shown if it is a trouble.
function said(text, trouble = false) {
  // Behind an open dialog nothing is read aloud, so the place where it is said moves into it.
  (document.querySelector("dialog[open]") ?? document.body).append($("live"));
  $("live").classList.toggle("vh", !document.querySelector("dialog[open]"));
  if (trouble) notice(text);
  else $("live").textContent = text;
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = text === "";
}

const studio = makeStudio(view, said);
const many = makeMany(studio.now, said);
const taste = makeTaste(studio.now, said, () => studio.tasted(taste.candidates()));
const gallery = makeGallery(studio.now, said, (id) => go(`#screen=picture&id=${id}`));
const inspector = makeInspector(studio.now, said, async (picture) => {
  home();
  await restore(picture);
});
const variations = makeVariations(view, studio.now, said, (id) => go(`#screen=picture&id=${id}`));
const queue = makeQueue(said, (run) => go(`#screen=gallery&run=${encodeURIComponent(run)}`));

const go = (hash) => {
  location.hash = hash;
};

// Back to the studio, whose address is put in place without being read: what it is to show is said by whoever calls.
function home() {
  history.pushState(null, "", studio.now.hash ?? "#");
  show();
}

// Which screen the address names.
function show() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const screen = parts.get("screen");
  $("main").hidden = Boolean(screen);
  $("gallery").hidden = screen !== "gallery";
  $("inspector").hidden = screen !== "picture";
  $("taste").hidden = screen !== "taste";
  const current = (link, is) => (is ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current"));
  current($("to-studio"), !screen);
  current($("to-gallery"), screen === "gallery");
  current($("to-taste"), screen === "taste");
  if (screen === "gallery") gallery.open(parts.get("run"));
  else gallery.close();
  if (screen === "taste") taste.open();
  else taste.close();
  if (screen === "picture") inspector.open(parts.get("id"));
  if (!screen) studio.address();
  if (screen) document.title = `${screen} · isoline studio`;
}

// Opens a picture's model, seed and level in the studio.
async function restore({ model, reward, seed, asked }) {
  if (model !== studio.now.model || (reward ?? null) !== studio.now.reward) {
    Object.assign(studio.now, { seed, asked });
    await choose(model, reward ?? null);
  } else {
    studio.go(seed);
    studio.ask(asked, true);
  }
}

// A picture that is dropped on the page says what it is.
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", async (event) => {
  event.preventDefault();
  const dropped = event.dataTransfer?.files?.[0];
  if (!dropped) return;
  try {
    const found = await read(dropped);
    if (found.model_here === "absent") return notice(found.problems.join(" "));
    home();
    await restore(found);
    said(words.dropped(found.seed, found.asked, found.model));
    if (found.problems.length) notice(found.problems.join(" "));
  } catch (problem) {
    notice(problem.message);
  }
});

function theme(choice) {
  if (choice === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
}

function chip(model, shape, device) {
  const size = shape ? `${shape[2]} × ${shape[1]}` : "";
  $("model-chip").replaceChildren(h("b", {}, model), h("span", {}, [size, device?.toUpperCase()].filter(Boolean).join(" · ")));
}

async function choose(model, reward) {
  $("dialog").close();
  $("main").dataset.ready = "no";
  notice(words.loading(model));
  taste.clear();
  try {
    choose.spread = await studio.open(model, reward);
    await about();
  } catch (problem) {
    notice(problem.message);
  }
}

// What is said of the model, once it is loaded and whenever that changes.
async function about() {
  const { model, reward } = studio.now;
  const info = (await get("/api/models")).find((m) => m.id === model);
  if (!info || studio.now.model !== model) return;
  chip(model, info.shape, worker?.class);
  if (info.problem && reward === null) return notice(info.problem);
  small = Math.max(...(info.shape ?? [0, 0, 0]).slice(1)) < 128;
  look.set(look.pixels);
  const spread = choose.spread;
  const parts = [info.about, spread ? words.quantity(spread.quantity, spread.samples) : words.noReward(model)];
  if (info.ms) parts.push(words.pace(info.ms));
  if (info.exact === false) parts.push(words.sketch);
  $("about").replaceChildren(...parts.flatMap((part) => [h("span", {}, part), h("br"), h("br")]).slice(0, -2));
  many.suit();
  if (info.loaded && reward === null) begun();
}

// The model is in the memory of what makes pictures.
function begun() {
  notice("");
  $("main").dataset.ready = "yes";
  studio.begin();
  taste.suit();
}

function hear(state) {
  const was = connection;
  connection = state;
  if (state === "lost") return notice(words.lost);
  if (was === "open") return;
  // What was told while nobody listened is asked for.
  if (was === "lost") notice("");
  if (studio.now.ready) {
    studio.look(true);
    taste.suit();
  } else if (was === "lost") studio.load().catch((problem) => notice(problem.message));
}

async function begin() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    history.replaceState(null, "", "/");
    await post("/api/session", { token }).catch(() => {});
  }
  let state;
  try {
    state = await get("/api/state");
  } catch (problem) {
    return notice(problem.code === "token" ? words.token : problem.message);
  }
  const { settings } = state;
  worker = state.worker;
  theme(settings.theme ?? "system");
  look.set(settings.pixels ?? "sharp");
  keys.on = settings.keys ?? true;
  remap(settings.remap ?? {});
  taste.weight(settings.weight ?? 50);

  on("open", () => hear("open"));
  on("lost", () => hear("lost"));
  on("reset", () => location.reload());
  on("worker", (told) => {
    worker = told;
    if (told.state === "down" && told.why) notice(words.down(told.why));
    else if (told.state === "starting") notice(words.starting);
    else notice("");
    if (told.class) about();
  });
  on("models", (told) => {
    if (told.id !== studio.now.model || (told.reward ?? null) !== studio.now.reward) return;
    if (told.problem) return notice(told.problem);
    if (told.loaded) begun();
    about();
  });
  connect(state.last_event);

  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme === "dark" || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    theme(dark ? "light" : "dark");
    patch("/api/settings", { theme: dark ? "light" : "dark" }).catch(() => {});
  });
  $("help").addEventListener("click", () => help(look));
  $("model-chip").addEventListener("click", () => models(studio.now.model, choose).catch((p) => notice(p.message)));
  const inspect = () => studio.hero() && go(`#screen=picture&id=${studio.hero()}`);
  const vary = () => studio.frame() && variations.open(studio.frame());
  $("inspect").addEventListener("click", inspect);
  $("vary").addEventListener("click", vary);
  const here = () => !$("main").hidden;
  const onlyHere = Object.fromEntries(Object.entries({ ...studio.acts, inspect, vary }).map(([name, act]) => [name, (down) => here() && act(down)]));
  listen({
    ...onlyHere,
    gallery: () => ($("gallery").hidden ? go("#screen=gallery") : home()),
    taste: () => ($("taste").hidden ? go("#screen=taste") : home()),
    compare: () => !$("gallery").hidden && gallery.compare(),
    release: () => studio.acts.hold(false),
    star: () => (!$("gallery").hidden ? gallery.star() : !$("inspector").hidden && inspector.star()),
    help: () => help(look),
  });
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    const seen = ["main", "gallery", "inspector", "taste"].map($).find((part) => !part.hidden);
    seen.tabIndex = -1;
    seen.focus();
  });
  // An address that was pasted or gone back to.
  addEventListener("hashchange", () => {
    const { hash } = location;
    const parts = new URLSearchParams(hash.slice(1));
    // Showing the studio puts its own address back until it has what the new one asks for.
    show();
    if ($("main").hidden || hash === studio.now.hash || !parts.has("seed")) return;
    const level = parts.has("novelty") ? Number(parts.get("novelty")) : null;
    if (/^\d{1,20}$/.test(parts.get("seed")) && !(level < 0 || level > 100) && !Number.isNaN(level)) {
      restore({ model: parts.get("model") ?? studio.now.model, reward: parts.get("reward"), seed: parts.get("seed"), asked: level });
    }
  });
  queue.begin(state);
  show();

  const asked = studio.restore($("main").hidden ? "" : location.hash);
  await choose(asked.model ?? state.model, asked.reward);
}

begin();
