// Everything that is known of one picture.

import { get, patch, post } from "./api.js";
import { $, h, s } from "./draw.js";
import { on } from "./events.js";
import { tenth, whole, words } from "./words.js";

const number = (v, digits = 2) => (v === null || v === undefined ? "–" : v.toFixed(digits));
// Singular values that are drawn as stems; more of them are thinned out evenly.
const STEMS = 64;

export function makeInspector(now, said, openInStudio) {
  let known = null;
  let parts = null; // what is changed in place
  const measured = new Map(); // what was measured since the page was opened

  function facts(row) {
    const lines = [
      ["Novelty reached", number(row.novelty_reached, 1), row.novelty_reached === null ? "" : `rarer than ${whole(row.novelty_reached)} of 100 of this model’s own pictures`],
      ["Novelty asked", row.novelty_asked === null ? "–" : number(row.novelty_asked, 1), row.novelty_asked === null ? "it was not steered" : ""],
      ["Reward’s guess", number(row.novelty_predicted, 1), "what the small network believed before measuring"],
      ["What was measured", number(row.psi_k ?? row.measured), "the quantity that the reward has learnt"],
      ["Turned by", `${number(row.angle, 1)}°`, "from the seed’s own noise"],
      ["Measured", String(row.attempts ?? 1), "times on its way"],
      ["Status", row.status.replace("_", " "), row.missed ? `why: ${row.missed}` : row.status === "off_manifold" ? words.odd : ""],
    ];
    return lines.filter(([, value]) => value !== "–" && value !== "–°").map(([name, value, what]) => fact(name, value, null, what));
  }

  const fact = (name, value, error, what) => h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "v" }, value, error === null ? null : h("small", {}, ` ± ${error}`)), h("td", { class: "w" }, what));

  // The geometry at the picture, once it is measured.
  function geometry(found) {
    if (!found) return [h("p", { class: "hint" }, words.measuring)];
    if (found.error) return [h("p", { class: "hint" }, found.error), h("button", { type: "button", class: "ghost sm", onclick: () => measure() }, "Try again")];
    const value = (name) => found.values.find((v) => v.name === name) ?? {};
    const rows = words.descriptors
      .map(([name, label, digits, what]) => [label, value(name), digits, what])
      .filter(([, v]) => v.value !== null && v.value !== undefined)
      .map(([label, v, digits, what]) => fact(label, number(v.value, digits), v.stderr === null || Number(number(v.stderr, digits)) === 0 ? null : number(v.stderr, digits), what));
    return [h("table", { class: "desc" }, h("tbody", {}, ...rows)), stems(found.singular_values, value("nu").value ?? 0), h("p", { class: "hint" }, words.spectrum(found)), found.directions < found.of ? h("button", { type: "button", class: "ghost sm", onclick: () => measure(true) }, words.measureAll(found.of)) : null].filter(Boolean);
  }

  // Singular values as stems; those beyond the local rank are pale.
  function stems(values, rank) {
    const count = Math.min(STEMS, values.length);
    const [width, tall] = [640, 150];
    const top = values[0] || 1;
    const each = Array.from({ length: count }, (_, i) => Math.round((i * (values.length - 1)) / Math.max(1, count - 1)));
    const stem = (at, i) => {
      const x = 6 + (i * (width - 12)) / Math.max(1, count - 1);
      const y = tall - (tall - 12) * (values[at] / top);
      return [s("path", { class: at < rank ? "stem" : "stem pale", d: `M${x} ${tall}V${y}` }), s("circle", { class: at < rank ? "dot" : "dot pale", cx: x, cy: y, r: 3 })];
    };
    return s("svg", { class: "stems", viewBox: `0 0 ${width} ${tall + 22}`, role: "img", "aria-label": words.stems(values) },
      s("path", { class: "base", d: `M0 ${tall}H${width}` }),
      ...each.flatMap(stem),
      s("text", { x: 6, y: tall + 18 }, "strongest direction"),
      s("text", { class: "end", x: width - 6, y: tall + 18 }, "weakest"));
  }

  function drawGeometry(id) {
    if (known?.id !== id || !parts) return;
    const focused = parts.geometry.contains(document.activeElement);
    const title = h("h2", { tabindex: "-1" }, "Geometry at this picture");
    parts.geometry.replaceChildren(title, ...geometry(measured.get(id)));
    // A button that is gone leaves the focus where it was.
    if (focused) title.focus();
  }

  function measure(exact = false) {
    const { id } = known;
    said(words.measuring);
    // An estimate stays until all directions are measured.
    if (!exact) {
      measured.delete(id);
      drawGeometry(id);
    }
    post(`/api/pictures/${id}/measure${exact ? "?exact=true" : ""}`, {}).catch((problem) => {
      if (exact) return said(problem.message, true);
      measured.set(id, { error: problem.message });
      drawGeometry(id);
    });
  }

  // What was typed stays where it is: only what a change is about is drawn again.
  async function change(what) {
    const { id } = known;
    try {
      await patch("/api/pictures", { ids: [id], ...what });
      const after = await get(`/api/pictures/${id}`);
      if (known?.id === id) {
        known = after;
        refresh();
      }
    } catch (problem) {
      said(problem.message, true);
    }
  }

  function refresh() {
    parts.star.textContent = known.star ? "Unstar" : "Star";
    parts.keep.textContent = known.kept ? "Kept" : "Keep";
    parts.keep.disabled = known.kept;
    parts.places.textContent = known.places.length ? `In ${known.places.map((p) => p[0]).join(", ")}` : "Only looked at so far.";
    if (parts.image.tagName === "IMG") parts.image.alt = known.alt || parts.usual;
  }

  async function open(id) {
    try {
      known = await get(`/api/pictures/${id}`);
    } catch (problem) {
      known = null;
      return $("inspector").replaceChildren(h("h1", { id: "ins-title" }, problem.hint ? `${problem.message}: ${problem.hint}` : words.gone));
    }
    const { row } = known;
    const asked = row.novelty_asked;
    const number = id.split("-")[1];
    const seed = known.varied ?? number;
    const title = known.varied ? `Variation ${number} of seed ${seed}` : `Seed ${seed}, ${asked === null ? "without steering" : `asked ${whole(asked)}`}`;
    const usual = words.alt(seed, asked, row.novelty_reached ?? null);
    const image = row.sha256 ? h("img", { class: "big", src: `/api/pictures/${id}/file?v=${row.sha256.slice(0, 8)}`, width: "384", height: "384" }) : h("p", {}, words.notFinite);
    const button = (text, act, attributes = {}) => h("button", { type: "button", onclick: act, ...attributes }, text);
    const alt = h("input", { id: "ins-alt", value: known.alt, maxlength: "500", placeholder: usual });
    alt.addEventListener("change", () => change({ alt: alt.value }));
    const tags = h("input", { id: "ins-tags", value: known.tags.join(", ") });
    tags.addEventListener("change", () => {
      const wanted = tags.value.split(",").map((t) => t.trim()).filter(Boolean);
      change({ add: wanted.filter((t) => !known.tags.includes(t)), remove: known.tags.filter((t) => !wanted.includes(t)) });
    });
    const copy = async () => {
      try {
        await navigator.clipboard.writeText(known.command);
        said(words.copied);
      } catch {
        said(words.copyFailed + known.command, true);
      }
    };
    parts = {
      image,
      usual,
      star: button("", () => change({ star: !known.star })),
      keep: button("", () => post("/api/keep", { id }).then(() => said(words.kept)).catch((p) => said(words.keepFailed(p.message), true))),
      places: h("p", { class: "hint" }),
      geometry: h("section", { id: "ins-geometry" }),
    };
    $("inspector").replaceChildren(
      h("div", {},
        h("figure", {}, image),
        h("div", { class: "acts" },
          button("Open in Studio", () => openInStudio({ model: known.model, reward: known.reward ?? null, seed, asked }), { class: "primary", disabled: !known.model }),
          parts.star,
          parts.keep,
          h("a", { class: "button", href: `/api/pictures/${id}/file?save=true`, download: true }, "Save picture"),
        ),
        button("Make it again and compare", () => {
          $("verdict").textContent = words.making;
          post(`/api/pictures/${id}/check`, {}).catch((p) => ($("verdict").textContent = p.message));
        }),
        h("p", { id: "verdict", class: "flag verdict", role: "status" }),
        parts.places,
      ),
      h("div", {},
        h("h1", { id: "ins-title" }, title),
        h("table", { class: "desc" }, h("tbody", {}, ...facts(row))),
        parts.geometry,
        h("section", {}, h("label", { for: "ins-alt" }, "What it shows, for those who cannot see it"), alt, h("label", { for: "ins-tags" }, "Tags, with commas between them"), tags),
        h("section", {}, h("h2", {}, "Recipe"), h("pre", {}, known.command), button("Copy command", copy), known.recipe ? h("details", {}, h("summary", {}, "Everything that its bytes depend on"), h("pre", {}, known.recipe)) : null),
      ),
    );
    refresh();
    if (measured.has(id) && !measured.get(id).error) drawGeometry(id);
    // A model that is in memory is measured at once, another one when that is asked for.
    else if (known.model === now.model) measure();
    else parts.geometry.replaceChildren(h("h2", {}, "Geometry at this picture"), button("Measure", () => measure()));
    said(`${title}${row.novelty_reached === null ? "" : `, reached ${tenth(row.novelty_reached)}`}`);
  }

  on("measured", (found) => {
    if (found.error && measured.get(found.id)?.values) return said(found.error, true);
    measured.set(found.id, found);
    drawGeometry(found.id);
    if (known?.id === found.id) said(found.error ?? words.measured(found));
  });
  on("kept", async ({ id, error }) => {
    if (known?.id !== id || error) return;
    const after = await get(`/api/pictures/${id}`).catch(() => null);
    if (after && known?.id === id) {
      known = after;
      refresh();
    }
  });
  on("checked", ({ id, bytes, largest, error }) => {
    const verdict = $("verdict");
    if (!verdict || known?.id !== id) return;
    verdict.textContent = error ?? (largest === null ? words.same(bytes) : words.differs(largest));
    verdict.classList.toggle("look", Boolean(error) || largest !== null);
  });

  return { open, star: () => known && change({ star: !known.star }) };
}
