// Every picture below the studio's folder. Only what is in sight is in the page, however many there are.

import { file, get, patch, post } from "./api.js";
import { $, h, s } from "./draw.js";
import { compare } from "./compare.js";
import { on } from "./events.js";
import { whole, words } from "./words.js";

const MARKS = [["All", ""], ["Kept", "kept"], ["Starred", "starred"], ["Flagged", "flagged"], ["Bin", "binned"]];
const LEVELS = [0, 10, 25, 50, 75, 90];
const COLORS = ["#2a6978", "#5b868a", "#97a49a", "#b5a08a", "#c38169", "#b8432a"];
const GAP = 10;
const BAND = 26;

export function makeGallery(model, said, inspect) {
  const now = { q: "", mark: "", sort: "level", sorted: "level", of: "", run: null, size: 104 };
  const chosen = new Set();
  let items = [];
  let next = null;
  let total = 0;
  let loading = null;
  let visible = false;
  let rows = [];
  let height = 0;
  let last = null; // chosen last, for a range
  let undo = null;
  const host = $("gal-tiles");
  const tiles = new Map(); // id → element

  const marks = MARKS.map(([text, mark]) => h("button", { type: "button", onclick: () => change({ mark }) }, text));
  $("gal-marks").append(...marks);
  $("gal-q").addEventListener("input", () => {
    clearTimeout(now.timer);
    now.timer = setTimeout(() => change({ q: $("gal-q").value }), 200);
  });
  $("gal-sort").addEventListener("change", () => change({ sort: $("gal-sort").value }));
  $("gal-size").addEventListener("input", () => {
    now.size = Number($("gal-size").value);
    arrange();
  });
  $("gal-rail").append(...LEVELS.map((level) => h("button", { type: "button", "aria-label": `To level ${level}`, onclick: () => jump(level).catch((problem) => said(problem.message, true)) }, String(level))));
  addEventListener("scroll", () => visible && requestAnimationFrame(render), { passive: true });
  addEventListener("resize", () => visible && arrange());

  function change(what) {
    Object.assign(now, what);
    chosen.clear();
    last = null;
    bar();
    reload();
  }

  function query(cursor) {
    const parts = new URLSearchParams({ sort: now.sort, limit: "200" });
    for (const key of ["q", "mark", "run"]) if (now[key]) parts.set(key, now[key]);
    // A taste is about the pictures of one model.
    if (now.sort === "taste") {
      parts.set("model", model.model);
      if (model.reward) parts.set("reward", model.reward);
    }
    if (cursor) parts.set("cursor", cursor);
    return `/api/pictures?${parts}`;
  }

  async function reload() {
    const asked = (loading = get(query(null)));
    try {
      const list = await asked;
      if (loading !== asked) return;
      ({ total } = list);
      items = list.items;
      next = list.next ?? null;
      now.of = `${model.model} ${model.reward}`;
      now.sorted = now.sort;
    } catch (problem) {
      // The list that is there stays, and so does its order.
      now.sort = now.sorted;
      $("gal-sort").value = now.sort;
      return said(problem.message, true);
    } finally {
      if (loading === asked) loading = null;
    }
    const focused = [...tiles].find(([, tile]) => tile === document.activeElement)?.[0];
    tiles.forEach((tile) => tile.remove());
    tiles.clear();
    arrange();
    tiles.get(focused)?.focus({ preventScroll: true });
  }

  async function more() {
    if (next === null) return;
    if (loading) return void (await loading.catch(() => {}));
    const asked = (loading = get(query(next)));
    try {
      const list = await asked;
      if (loading !== asked) return;
      items = items.concat(list.items);
      next = list.next ?? null;
    } finally {
      if (loading === asked) loading = null;
    }
    arrange();
  }

  // Where every tile is: rows of tiles, and the lines between levels.
  function arrange() {
    const width = host.clientWidth;
    const columns = Math.max(2, Math.floor((width + GAP) / (now.size + GAP)));
    const side = (width - GAP * (columns - 1)) / columns;
    rows = [];
    let y = 0;
    let from = 0;
    let band = -1;
    const bandOf = (item) => (now.sort === "level" && item.reached !== null ? LEVELS.findLastIndex((level) => item.reached >= level) : -1);
    while (from < items.length) {
      const here = bandOf(items[from]);
      if (here !== band && here >= 0) {
        rows.push({ y, height: BAND, band: here });
        y += BAND;
      }
      band = here;
      let to = from;
      while (to < items.length && to - from < columns && bandOf(items[to]) === here) to++;
      rows.push({ y, height: side, from, to, side });
      y += side + GAP;
      from = to;
    }
    const left = total - items.length;
    height = y + Math.ceil(left / columns) * (side + GAP);
    host.style.setProperty("height", `${Math.max(height, 60)}px`);
    $("gal-title").textContent = words.pictures(total);
    marks.forEach((mark, i) => mark.setAttribute("aria-pressed", String(MARKS[i][1] === now.mark)));
    const note = total === 0 ? (now.q || now.mark || now.run ? words.emptyFilter : words.emptyGallery) : now.run ? `Run ${now.run}` : "";
    $("gal-note").textContent = note;
    $("gal-note").hidden = note === "";
    $("gal-rail").hidden = now.sort !== "level";
    render();
  }

  function line(band) {
    const points = Array.from({ length: 13 }, (_, i) => `${i ? "L" : "M"}${(i * 1000) / 12} ${9 + 2.4 * Math.sin(i * 1.7 + band * 2.1)}`).join("");
    return h("div", { class: "band" }, h("span", {}, String(LEVELS[band])), s("svg", { viewBox: "0 0 1000 18", preserveAspectRatio: "none", "aria-hidden": "true" }, s("path", { d: points, stroke: COLORS[band], "vector-effect": "non-scaling-stroke" })));
  }

  function tile(item, index) {
    const reached = item.reached === null ? "" : whole(item.reached);
    const odd = ["off_manifold", "unreached", "flagged"].includes(item.status);
    const button = h("button", { type: "button", class: `tile${odd ? " odd" : ""}${item.kept ? " kept" : ""}${item.star ? " star" : ""}${item.sha8 ? "" : " none"}`, "aria-pressed": "false" }, item.sha8 ? h("img", { src: file(item.id, item.sha8), alt: "", loading: "lazy" }) : null, h("span", {}, reached));
    const what = item.alt || `${words.alt(item.seed, item.asked, item.reached)}${item.sha8 ? "" : `; ${words.notFinite}`}`;
    button.setAttribute("aria-label", `${what}${item.star ? ", starred" : ""}${odd ? ", odd" : ""}`);
    button.addEventListener("click", (event) => choose(item.id, index, event.shiftKey));
    button.addEventListener("dblclick", () => inspect(item.id));
    button.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        inspect(item.id);
      }
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step && items[index + step]) {
        event.preventDefault();
        tiles.get(items[index + step].id)?.focus();
      }
    });
    return button;
  }

  function render() {
    if (!visible) return;
    const top = -host.getBoundingClientRect().top - 300;
    const bottom = top + innerHeight + 600;
    const seen = new Set();
    for (const row of rows) {
      if (row.y + row.height < top || row.y > bottom) continue;
      if (row.band !== undefined) {
        const key = `band-${row.band}`;
        if (!tiles.has(key)) {
          tiles.set(key, line(row.band));
          host.append(tiles.get(key));
        }
        tiles.get(key).style.setProperty("top", `${row.y}px`);
        seen.add(key);
        continue;
      }
      for (let i = row.from; i < row.to; i++) {
        const item = items[i];
        let element = tiles.get(item.id);
        if (!element) {
          tiles.set(item.id, (element = tile(item, i)));
          // In the order of the list, which is that of the Tab key.
          const behind = items.slice(i + 1, i + 40).find((other) => tiles.has(other.id));
          host.insertBefore(element, behind ? tiles.get(behind.id) : null);
        }
        const place = { left: `${(i - row.from) * (row.side + GAP)}px`, top: `${row.y}px`, width: `${row.side}px`, height: `${row.side}px` };
        for (const [name, value] of Object.entries(place)) element.style.setProperty(name, value);
        element.setAttribute("aria-pressed", String(chosen.has(item.id)));
        seen.add(item.id);
      }
    }
    for (const [key, element] of tiles) {
      if (seen.has(key) || element === document.activeElement) continue;
      element.remove();
      tiles.delete(key);
    }
    const end = rows.length ? rows[rows.length - 1] : null;
    if (next !== null && (!end || end.y < bottom + 800)) more().catch((problem) => said(problem.message, true));
  }

  async function jump(level) {
    while (next !== null && !(items.at(-1)?.reached >= level)) await more();
    const row = rows.find((r) => r.from !== undefined && items[r.from].reached >= level);
    if (row) scrollTo({ top: host.getBoundingClientRect().top + scrollY + row.y - 130 });
  }

  function choose(id, index, range) {
    if (range && last !== null) {
      const [from, to] = [Math.min(last, index), Math.max(last, index)];
      items.slice(from, to + 1).forEach((item) => chosen.add(item.id));
    } else if (!chosen.delete(id)) chosen.add(id);
    last = index;
    render();
    bar();
  }

  function bar() {
    const host = $("gal-chosen");
    host.hidden = chosen.size === 0 && undo === null;
    const button = (text, act) => h("button", { type: "button", onclick: act }, text);
    if (chosen.size === 0) {
      if (undo !== null) {
        host.replaceChildren(h("b", {}, undo.text), button("Undo", takeBack), button("×", clear));
        host.lastChild.setAttribute("aria-label", "Close");
      }
      return;
    }
    const tag = h("input", { placeholder: "tag", "aria-label": "Tag", maxlength: "64" });
    tag.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && tag.value.trim()) mark({ add: [tag.value.trim()] });
    });
    const binned = now.mark === "binned";
    host.replaceChildren(
      h("b", {}, words.chosen(chosen.size)),
      ...(chosen.size === 1 ? [button("Open", () => inspect([...chosen][0]))] : []),
      ...(chosen.size > 1 && chosen.size < 10 ? [button("Compare", side)] : []),
      button("Star", star),
      tag,
      button("Keep", () => Promise.all([...chosen].map((id) => post("/api/keep", { id }))).then(() => said(words.kept)).catch((p) => said(p.message, true))),
      button("Export", () => save("zip")),
      button("CSV", () => save("csv")),
      button(binned ? "Out of the bin" : "Bin", () => mark({ binned: !binned })),
      button("×", clear),
    );
    host.lastChild.setAttribute("aria-label", "Choose none");
  }

  function clear() {
    chosen.clear();
    undo = null;
    render();
    bar();
  }

  async function mark(what) {
    const ids = [...chosen];
    try {
      const { changed, undo: number } = await patch("/api/pictures", { ids, ...what });
      undo = { number, text: what.binned ? words.binned(changed) : words.changed(changed) };
      chosen.clear();
      await reload();
      bar();
    } catch (problem) {
      said(problem.message, true);
    }
  }

  function side() {
    if (chosen.size < 2 || chosen.size > 9) return said(words.compareHow);
    compare([...chosen]).catch((problem) => said(problem.message, true));
  }

  async function save(kind) {
    try {
      const made = await post("/api/exports", { ids: [...chosen], as: kind });
      const link = h("a", { href: `/api/exports/${made.export}`, download: true });
      link.click();
      said(words.exported(chosen.size - made.left_out, made.left_out));
    } catch (problem) {
      said(problem.message, true);
    }
  }

  function star() {
    const all = [...chosen].every((id) => items.find((i) => i.id === id)?.star);
    if (chosen.size) mark({ star: !all });
  }

  async function takeBack() {
    const { number } = undo;
    undo = null;
    await post(`/api/undo/${number}`, {}).catch((problem) => said(problem.message, true));
    await reload();
    bar();
  }

  // New pictures are shown at once where that moves nothing that is looked at.
  const renew = () => {
    if (!visible) {
      items = [];
      return;
    }
    clearTimeout(now.renew);
    now.renew = setTimeout(() => (scrollY < 40 && chosen.size === 0 ? reload() : null), 500);
  };
  on("run", renew);
  on("marks", renew);

  return {
    open(run) {
      visible = true;
      const other = now.sort === "taste" && now.of !== `${model.model} ${model.reward}`;
      if (run !== now.run || items.length === 0 || other) {
        now.run = run;
        reload();
      } else arrange();
      bar();
    },
    close() {
      visible = false;
    },
    star,
    compare: side,
  };
}
