// Everything that is known of one picture.

import { get, patch, post } from "./api.js";
import { $, h } from "./draw.js";
import { on } from "./events.js";
import { tenth, whole, words } from "./words.js";

const number = (v, digits = 2) => (v === null || v === undefined ? "–" : v.toFixed(digits));

export function makeInspector(said, openInStudio) {
  let known = null;

  function facts(row) {
    const lines = [
      ["Novelty reached", number(row.novelty_reached, 1), row.novelty_reached === null ? "" : `rarer than ${whole(row.novelty_reached)} of 100 of this model’s own pictures`],
      ["Novelty asked", row.novelty_asked === null ? "–" : number(row.novelty_asked, 1), row.novelty_asked === null ? "it was not steered" : ""],
      ["Reward’s guess", number(row.novelty_predicted, 1), "what the small network believed before measuring"],
      ["What was measured", number(row.psi_k ?? row.measured), "the quantity that the reward has learnt"],
      ["Local scaling ψ", number(row.psi), "how far the generator stretches volume here"],
      ["Local rank ν", number(row.nu), "how many directions change the picture"],
      ["Turned by", `${number(row.angle, 1)}°`, "from the seed’s own noise"],
      ["Measured", String(row.attempts ?? 1), "times on its way"],
      ["Status", row.status.replace("_", " "), row.missed ? `why: ${row.missed}` : row.status === "off_manifold" ? words.odd : ""],
    ];
    return lines.filter(([, value]) => value !== "–" && value !== "–°").map(([name, value, what]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "v" }, value), h("td", { class: "w" }, what)));
  }

  async function change(what) {
    try {
      await patch("/api/pictures", { ids: [known.id], ...what });
      await open(known.id);
    } catch (problem) {
      said(problem.message, true);
    }
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
    const what = known.alt || words.alt(seed, asked, row.novelty_reached ?? null);
    const image = row.sha256 ? h("img", { class: "big", src: `/api/pictures/${id}/file?v=${row.sha256.slice(0, 8)}`, alt: what, width: "384", height: "384" }) : h("p", {}, words.notFinite);
    const button = (text, act, attributes = {}) => h("button", { type: "button", onclick: act, ...attributes }, text);
    const alt = h("input", { id: "ins-alt", value: known.alt, maxlength: "500", placeholder: words.alt(seed, asked, row.novelty_reached ?? null) });
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
    $("inspector").replaceChildren(
      h("div", {},
        h("figure", {}, image),
        h("div", { class: "acts" },
          button("Open in Studio", () => openInStudio({ model: known.model, reward: known.reward ?? null, seed, asked }), { class: "primary", disabled: !known.model }),
          button(known.star ? "Unstar" : "Star", () => change({ star: !known.star })),
          button(known.kept ? "Kept" : "Keep", () => post("/api/keep", { id }).then(() => said(words.kept)).catch((p) => said(words.keepFailed(p.message), true)), { disabled: known.kept }),
          h("a", { class: "button", href: `/api/pictures/${id}/file?save=true`, download: true }, "Save picture"),
        ),
        button("Make it again and compare", () => {
          $("verdict").textContent = words.making;
          post(`/api/pictures/${id}/check`, {}).catch((p) => ($("verdict").textContent = p.message));
        }),
        h("p", { id: "verdict", class: "flag verdict", role: "status" }),
        h("p", { class: "hint" }, known.places.length ? `In ${known.places.map((p) => p[0]).join(", ")}` : "Only looked at so far."),
      ),
      h("div", {},
        h("h1", { id: "ins-title" }, title),
        h("table", { class: "desc" }, h("tbody", {}, ...facts(row))),
        h("section", {}, h("label", { for: "ins-alt" }, "What it shows, for those who cannot see it"), alt, h("label", { for: "ins-tags" }, "Tags, with commas between them"), tags),
        h("section", {}, h("h2", {}, "Recipe"), h("pre", {}, known.command), button("Copy command", copy), known.recipe ? h("details", {}, h("summary", {}, "Everything that its bytes depend on"), h("pre", {}, known.recipe)) : null),
      ),
    );
    said(`${title}${row.novelty_reached === null ? "" : `, reached ${tenth(row.novelty_reached)}`}`);
  }

  on("checked", ({ id, bytes, largest, error }) => {
    const verdict = $("verdict");
    if (!verdict || known?.id !== id) return;
    verdict.textContent = error ?? (largest === null ? words.same(bytes) : words.differs(largest));
    verdict.classList.toggle("look", Boolean(error) || largest !== null);
  });

  return { open, star: () => known && change({ star: !known.star }) };
}
