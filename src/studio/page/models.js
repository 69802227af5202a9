// The dialog behind the model's name.

import { get } from "./api.js";
import { h } from "./draw.js";
import { open } from "./help.js";
import { words } from "./words.js";

const size = (shape) => (shape ? `${shape[2]} × ${shape[1]}` : "");

export async function models(now, choose) {
  const all = await get("/api/models");
  const card = (m) => {
    const rewards = m.rewards.length ? m.rewards : [null];
    const buttons = rewards.map((r) => {
      const label = rewards.length > 1 ? `Open with ${r === "" ? "its own reward" : r}` : "Open";
      return h("button", { type: "button", disabled: Boolean(m.problem), "aria-label": `${label}: ${m.id}`, onclick: () => choose(m.id, r || null) }, label);
    });
    const facts = [size(m.shape), m.ms ? words.pace(m.ms) : "", m.licence, m.sha256 ? `SHA-256 ${m.sha256.slice(0, 12)}` : ""].filter(Boolean).join(" · ");
    return h(
      "div",
      { class: m.id === now ? "card now" : "card" },
      h("p", {}, h("b", {}, m.id), ` ${m.family}`),
      h("p", { class: "hint" }, m.about),
      facts && h("p", { class: "hint" }, facts),
      m.problem ? h("p", { class: "bad" }, m.problem) : m.rewards.length ? null : h("p", { class: "hint" }, words.noReward(m.id)),
      h("span", {}, ...buttons),
    );
  };
  open("Models", all.length ? h("div", { class: "cards" }, ...all.map(card)) : h("p", {}, words.noModels));
  return all;
}
