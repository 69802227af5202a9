// Where the page begins.

import { get, patch, post } from "./api.js";
import { $, h } from "./draw.js";
import { connect, on } from "./events.js";
import { help } from "./help.js";
import { keys, listen, remap } from "./keys.js";
import { models } from "./models.js";
import { makeStudio } from "./studio.js";
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
let connection = "open";

// Said aloud, and shown if it is a trouble.
function said(text, trouble = false) {
  $("live").textContent = text;
  if (trouble) notice(text);
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = text === "";
}

const studio = makeStudio(view, said);

function theme(choice) {
  if (choice === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
}

function chip(model, shape, device) {
  const size = shape ? `${shape[2]} × ${shape[1]}` : "";
  $("model-chip").replaceChildren(h("b", {}, model), [size, device?.toUpperCase()].filter(Boolean).join(" · "));
}

async function choose(model, reward) {
  $("dialog").close();
  $("main").dataset.ready = "no";
  notice(words.loading(model));
  const spread = await studio.open(model, reward);
  choose.spread = spread;
  await about();
}

// What is said of the model, once it is loaded and whenever that changes.
async function about() {
  const { model, reward } = studio.now;
  const info = (await get("/api/models")).find((m) => m.id === model);
  if (!info || studio.now.model !== model) return;
  chip(model, info.shape, worker?.class);
  if (info.problem) return notice(info.problem);
  small = Math.max(...(info.shape ?? [0, 0, 0]).slice(1)) < 128;
  look.set(look.pixels);
  const spread = choose.spread;
  const parts = [info.about, spread ? words.quantity(spread.quantity, spread.samples) : words.noReward(model)];
  if (info.ms) parts.push(words.pace(info.ms));
  if (info.exact === false) parts.push(words.sketch);
  $("about").replaceChildren(...parts.flatMap((part) => [h("span", {}, part), h("br"), h("br")]).slice(0, -2));
  if (info.loaded) {
    notice("");
    $("main").dataset.ready = "yes";
    studio.begin();
  }
}

function hear(state) {
  const was = connection;
  connection = state;
  if (state === "lost") notice(words.lost);
  else if (was === "lost") {
    notice("");
    studio.look(true);
  }
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
  on("models", (told) => told.id === studio.now.model && about());
  connect(state.last_event);

  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme === "dark" || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    theme(dark ? "light" : "dark");
    patch("/api/settings", { theme: dark ? "light" : "dark" }).catch(() => {});
  });
  $("help").addEventListener("click", () => help(look));
  $("model-chip").addEventListener("click", () => models(studio.now.model, choose).catch((p) => notice(p.message)));
  listen({ ...studio.acts, help: () => help(look) });

  const asked = studio.restore(location.hash);
  await choose(asked.model ?? state.model, asked.reward);
}

begin();
