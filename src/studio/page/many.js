// Make many: seeds, levels, a name, and what it would cost.

import { post } from "./api.js";
import { $, h } from "./draw.js";
import { whole, words } from "./words.js";

export function makeMany(now, said) {
  const chosen = new Set([10, 50, 90]);
  let timer = 0;

  function wanted() {
    const levels = now.taught ? [...chosen].sort((a, b) => a - b) : [null];
    return { name: $("many-name").value.trim() || null, model: now.model, reward: now.reward, seeds: $("many-seeds").value.trim(), levels };
  }

  function draw() {
    $("many-novelty").hidden = !now.taught;
    const levels = new Set([10, 50, 90, ...chosen]);
    if (now.asked !== null) levels.add(Math.round(now.asked));
    const chip = (level) =>
      h("button", { type: "button", "aria-pressed": String(chosen.has(level)), onclick: ({ currentTarget }) => {
        // The chip stays, and with it the focus.
        if (!chosen.delete(level)) chosen.add(level);
        currentTarget.setAttribute("aria-pressed", String(chosen.has(level)));
        cost();
      } }, whole(level));
    const more = h("input", { inputmode: "numeric", placeholder: "+", "aria-label": "Another level", maxlength: "3" });
    const add = () => {
      const level = Number(more.value);
      if (more.value.trim() === "") return;
      if (level >= 0 && level <= 100) chosen.add(level);
      const inside = document.activeElement === more;
      draw();
      // Enter leaves the hand where it was; leaving the field does not call it back.
      if (inside) $("many-levels").lastChild.focus();
      cost();
    };
    more.addEventListener("change", add);
    more.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      add();
    });
    $("many-levels").replaceChildren(...[...levels].sort((a, b) => a - b).map(chip), more);
  }

  function cost() {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        const found = await post("/api/jobs?dry=true", wanted());
        $("many-cost").textContent = found.fits ? words.cost(found) : words.noRoom(found.bytes);
        $("many-name").placeholder = found.name;
      } catch (problem) {
        $("many-cost").textContent = problem.code === "state" ? "" : problem.message;
      }
    }, 250);
  }

  $("many-seeds").addEventListener("input", cost);
  $("many-name").addEventListener("input", cost);
  $("many").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const job = await post("/api/jobs", wanted());
      $("many-cost").textContent = words.added(job.run);
      $("many-name").value = "";
      said(words.added(job.run));
    } catch (problem) {
      $("many-cost").textContent = problem.message;
      said(problem.message);
    }
  });

  return {
    // The model is another one, or its pictures take another time.
    suit() {
      if ($("many-seeds").value === "") $("many-seeds").value = "0-63";
      draw();
      cost();
    },
  };
}
