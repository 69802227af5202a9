// The queue: the pill in the header, and the drawer behind it.

import { file, get, patch, post, remove } from "./api.js";
import { $, h } from "./draw.js";
import { on } from "./events.js";
import { words } from "./words.js";

const GROUPS = [
  ["Running", ["running"]],
  ["Waiting", ["queued"]],
  ["Elsewhere", ["elsewhere"]],
  ["Paused", ["paused"]],
  ["Ended", ["done", "failed", "stopped"]],
];

export function makeQueue(said, openRun) {
  const jobs = new Map();
  const few = new Map(); // run → its last pictures
  let paused = false;
  let free = 0;
  const drawer = h("dialog", { class: "drawer", "aria-labelledby": "queue-title" });
  document.body.append(drawer);
  $("job-pill").addEventListener("click", open);

  const trouble = (problem) => said(problem.message, true);
  const link = (text, act, label) => h("button", { type: "button", "aria-label": label ?? null, onclick: () => Promise.resolve(act()).catch(trouble) }, text);
  const sorted = () => [...jobs.values()].sort((a, b) => a.position - b.position);

  function part(element, done, wanted) {
    element.style.setProperty("--part", `${wanted ? (100 * done) / wanted : 0}%`);
    return element;
  }

  function pill() {
    const running = sorted().find((j) => j.state === "running") ?? sorted().find((j) => ["queued", "elsewhere"].includes(j.state));
    const last = sorted().filter((j) => !["done", "stopped"].includes(j.state));
    $("job-pill").hidden = jobs.size === 0;
    const ring = part(h("i", { class: "ring-p", "aria-hidden": "true" }), running?.done ?? 0, running?.wanted ?? 1);
    const text = running ? words.progress(running.done, running.wanted) : paused && last.length ? "Paused" : last.length ? `${last.length} waiting` : "Queue";
    $("job-pill").replaceChildren(ring, text);
    $("job-pill").setAttribute("aria-label", `Queue: ${text}`);
  }

  function card(job, list) {
    const { id, run } = job;
    const at = list.indexOf(job);
    const behind = (i) => (i < 0 ? 0 : list[i].id);
    const facts = [words.progress(job.done, job.wanted), words.flagged(job.flagged), job.state === "running" && job.eta_s ? words.left(job.eta_s) : "", job.state === "failed" ? "failed" : job.state === "stopped" ? "stopped" : ""].filter(Boolean).join(" · ");
    const acts = [];
    const change = (body) => patch(`/api/jobs/${id}`, body);
    const stop = (when) => post(`/api/jobs/${id}/stop`, { when });
    if (job.state === "running") {
      acts.push(link("Pause", () => change({ action: "pause" }), `Pause ${run}`));
      acts.push(link("Stop now", () => stop("now"), `Stop ${run} now; the pictures in hand are dropped`));
      acts.push(link("Stop after these pictures", () => stop("tile"), `Stop ${run} after the pictures in hand`), link("Pause after this batch", () => stop("batch"), `Pause the queue after ${run}`));
    }
    if (job.state === "queued") {
      if (at > 0) acts.push(link("Up", () => change({ after: behind(at - 2) }), `${run} earlier`));
      if (at < list.length - 1) acts.push(link("Down", () => change({ after: behind(at + 1) }), `${run} later`));
      acts.push(link("Pause", () => change({ action: "pause" }), `Pause ${run}`));
    }
    if (job.state === "paused") acts.push(link("Resume", () => change({ action: "resume" }), `Resume ${run}`));
    if (job.state === "failed" || job.state === "stopped") acts.push(link("Try again", () => change({ action: "retry" }), `Try ${run} again`));
    if (job.done > 0) acts.push(link("Open", () => {
      drawer.close();
      openRun(run);
    }, `Open ${run} in the Gallery`));
    if (job.state !== "running") acts.push(link("Remove", () => remove(`/api/jobs/${id}`), `Take ${run} out of this list; its folder stays`));
    const images = (few.get(run) ?? []).map((p) => h("img", { src: file(p.id, p.sha8), alt: "", width: "26", height: "26" }));
    const element = h("div", { class: `job ${job.state}`, tabindex: "-1" }, h("p", {}, h("b", {}, run), h("span", { class: "hint" }, facts)), part(h("div", { class: "line" }, h("i")), job.done, job.wanted), job.reason ? h("span", { class: "bad" }, job.reason) : null, images.length ? h("div", { class: "few" }, ...images) : null, h("div", { class: "acts" }, ...acts));
    element.addEventListener("keydown", (event) => {
      const by = { ArrowUp: -2, ArrowDown: 1 }[event.key];
      if (!event.altKey || by === undefined || job.state !== "queued") return;
      event.preventDefault();
      change({ after: behind(at + by) }).catch(trouble);
    });
    return element;
  }

  function draw() {
    pill();
    if (!drawer.open) return;
    const focused = document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent;
    const all = sorted();
    const live = all.filter((j) => ["running", "queued", "elsewhere", "paused"].includes(j.state));
    const groups = GROUPS.flatMap(([title, states]) => {
      const found = all.filter((j) => states.includes(j.state));
      return found.length ? [h("h3", {}, title), ...found.map((j) => card(j, live.includes(j) ? live : all))] : [];
    });
    drawer.replaceChildren(
      h("h2", { id: "queue-title" }, "Queue"),
      h("button", { class: "icon close", type: "button", "aria-label": "Close", onclick: () => drawer.close() }, "×"),
      h("div", { class: "links" }, link(paused ? "Resume all" : "Pause all", () => post("/api/queue", { paused: !paused })), link("Free memory", () => post("/api/queue", { free_memory: true }), "Free the memory of the device")),
      ...(groups.length ? groups : [h("p", { class: "hint" }, words.nothingWaits)]),
      h("p", { class: "hint" }, words.goesOn(free)),
    );
    [...drawer.querySelectorAll("button")].find((b) => (b.getAttribute("aria-label") ?? b.textContent) === focused)?.focus();
  }

  async function lastOf(run) {
    const { items } = await get(`/api/pictures?run=${encodeURIComponent(run)}&sort=newest&limit=6`);
    few.set(run, items.filter((i) => i.sha8));
    draw();
  }

  async function open() {
    drawer.showModal();
    draw();
    free = (await get("/api/state").catch(() => ({ disk: { free } }))).disk.free;
    [...jobs.values()].filter((j) => j.done > 0).slice(-12).forEach((j) => lastOf(j.run).catch(() => {}));
    draw();
  }

  on("job", (job) => {
    jobs.set(job.id, job);
    draw();
  });
  on("run", ({ run, wanted, done, flagged }) => {
    for (const job of jobs.values()) {
      if (job.run !== run) continue;
      Object.assign(job, { wanted, done, flagged });
      if (drawer.open) lastOf(run).catch(() => {});
    }
    draw();
  });
  on("queue", (told) => {
    if ("gone" in told) jobs.delete(told.gone);
    if ("paused" in told) paused = told.paused;
    draw();
  });

  return {
    async begin(state) {
      paused = state.paused;
      free = state.disk.free;
      for (const job of await get("/api/jobs")) jobs.set(job.id, job);
      draw();
    },
  };
}
