// The dial: a track in percent, below it how the model's own pictures spread, and the isolines that join each tenth of the
// one to its place in the other.

import { h, s } from "./draw.js";
import { name, tenth, whole, words } from "./words.js";

const [LEFT, RIGHT, TRACK, TOP, BASE] = [14, 986, 36, 108, 194];
const BANDS = ["#3d7782", "#5b868a", "#799592", "#97a49a", "#b5b3a2", "#c4af9a", "#c39881", "#c38169", "#c36a51", "#c25338"];
const at = (percent) => LEFT + ((RIGHT - LEFT) * percent) / 100;
const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
const bend = (x0, y0, x1, y1) => `M${x0.toFixed(1)} ${y0}C${x0.toFixed(1)} ${(y0 + 26).toFixed(1)} ${x1.toFixed(1)} ${(y1 - 34).toFixed(1)} ${x1.toFixed(1)} ${y1.toFixed(1)}`;

// The value at a percentile, and the other way round.
export function quantile(spread, percent) {
  const i = Math.min(99, Math.max(0, Math.floor(percent)));
  const [a, b] = [spread.quantiles[i], spread.quantiles[i + 1]];
  return a + (b - a) * (percent - i);
}

function curve(spread) {
  const q = spread.quantiles;
  const low = Math.max(q[0], q[1] - 0.4 * (q[50] - q[1]));
  const high = Math.min(q[100], q[99] + 0.4 * (q[99] - q[50]));
  const x = (value) => LEFT + ((RIGHT - LEFT) * Math.min(1, Math.max(0, (value - low) / (high - low))));
  // The histogram, smoothed by a bell as wide as the middle half of the values divided by eight.
  const width = Math.max((q[75] - q[25]) / 8, (high - low) / 60);
  const density = (value) => spread.bins.reduce((sum, b) => sum + b.count * Math.exp(-0.5 * (((b.from + b.to) / 2 - value) / width) ** 2), 0);
  const steps = Array.from({ length: 161 }, (_, i) => low + ((high - low) * i) / 160);
  const heights = steps.map(density);
  const most = Math.max(...heights);
  const y = (value) => BASE - ((BASE - TOP) * density(value)) / most;
  return { low, high, x, y, points: steps.map((v, i) => [x(v), BASE - ((BASE - TOP) * heights[i]) / most]) };
}

export function makeDial(host, asks) {
  const slider = h("input", { type: "range", min: "0", max: "100", step: "1", "aria-label": "Novelty" });
  const picture = s("svg", { class: "iso", viewBox: "0 0 1000 218", role: "img" });
  host.replaceChildren(picture, slider);
  slider.addEventListener("input", () => asks(Number(slider.value), false));
  slider.addEventListener("change", () => asks(Number(slider.value), true));
  slider.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 10, ArrowUp: 10, ArrowLeft: -10, ArrowDown: -10 }[event.key];
    if (!event.shiftKey || step === undefined) return;
    event.preventDefault();
    slider.value = String(Math.min(100, Math.max(0, Number(slider.value) + step)));
    asks(Number(slider.value), true);
  });
  let spread = null;
  let shape = null;
  let spoken = 0;

  function fixed() {
    const parts = [];
    const q = (p) => shape.x(quantile(spread, p));
    for (let band = 0; band < 10; band++) {
      const [from, to] = [q(10 * band), q(10 * band + 10)];
      const inside = shape.points.filter(([x]) => x > from && x < to);
      const edge = (p) => [q(p), shape.y(quantile(spread, p))];
      const d = `${line([[from, BASE], edge(10 * band), ...inside, edge(10 * band + 10), [to, BASE]])}Z`;
      parts.push(s("path", { d, fill: BANDS[band], "fill-opacity": ".3" }));
    }
    for (const share of [1, 0.72, 0.45, 0.2]) {
      parts.push(s("path", { class: "ring", d: line(shape.points.map(([x, y]) => [x, BASE - (BASE - y) * share])), opacity: share === 1 ? ".9" : ".35" }));
    }
    for (let tenth = 1; tenth < 10; tenth++) {
      const [x, y] = [q(10 * tenth), shape.y(quantile(spread, 10 * tenth))];
      const strong = tenth === 1 || tenth === 9;
      parts.push(s("path", { class: strong ? "fan strong" : "fan", stroke: BANDS[tenth], d: `${bend(at(10 * tenth), TRACK + 16, x, y - 2)}V${BASE}` }));
      parts.push(s("path", { class: "tick", d: `M${at(10 * tenth).toFixed(1)} ${TRACK + 7}v5` }));
    }
    parts.push(s("path", { class: "base", d: `M${LEFT} ${BASE}H${RIGHT}` }));
    parts.push(s("text", { x: LEFT, y: 212 }, "typical"), s("text", { class: "mid", x: 500, y: 212 }, words.band), s("text", { class: "end", x: RIGHT, y: 212 }, "novel"));
    return s("g", {}, ...parts);
  }

  const ends = [["0", "var(--typical)"], ["0.5", "#c9c0ae"], ["1", "var(--novel)"]];
  const gradient = s("linearGradient", { id: "track", gradientUnits: "userSpaceOnUse", x1: LEFT, x2: RIGHT, y1: 0, y2: 0 }, ...ends.map(([offset, color]) => s("stop", { offset, "stop-color": color })));

  function moving({ asked, reached, value, plain, frames }) {
    const parts = [];
    const middle = (i) => 14 + (972 * (i + 0.5)) / 7;
    frames.forEach(({ level, steered }, i) => {
      if (level !== null) parts.push(s("path", { class: steered ? "con" : "con plain", d: `M${middle(i).toFixed(1)} 0C${middle(i).toFixed(1)} 18 ${at(level).toFixed(1)} 8 ${at(level).toFixed(1)} ${TRACK - 7}` }));
    });
    parts.push(s("path", { class: "track", stroke: "url(#track)", d: `M${LEFT} ${TRACK}H${RIGHT}` }));
    if (plain !== null) parts.push(s("circle", { class: "plainmark", cx: at(plain), cy: TRACK, r: 5 }));
    if (shape && value !== null) {
      const [x, y] = [shape.x(value), shape.y(value)];
      parts.push(s("path", { class: "reached", d: `M${x.toFixed(1)} ${BASE}V${y.toFixed(1)}` }), s("circle", { class: "dot", cx: x, cy: y, r: 5 }));
      if (reached !== null) parts.push(s("text", { class: x > 830 ? "t-novel end" : "t-novel", x: x + (x > 830 ? -12 : 12), y: y - 8 }, `reached ${tenth(reached)}`));
    }
    if (asked !== null) {
      const target = shape ? shape.x(quantile(spread, asked)) : at(asked);
      if (shape) parts.push(s("path", { class: "asked", d: `${bend(at(asked), TRACK + 12, target, shape.y(quantile(spread, asked)))}V${BASE}` }));
      parts.push(s("circle", { class: "handle", cx: at(asked), cy: TRACK, r: 11 }));
      parts.push(s("text", { class: asked > 88 ? "t-ink end" : "t-ink", x: at(asked) + (asked > 88 ? -18 : 18), y: 24 }, `asked ${whole(asked)}`));
    } else if (plain !== null) {
      parts.push(s("circle", { class: "handle", cx: at(plain), cy: TRACK, r: 8 }));
    }
    return s("g", {}, ...parts);
  }

  let still = null;
  return {
    spread(found) {
      spread = found;
      shape = found && curve(found);
      still = found && fixed();
    },
    show(now) {
      host.hidden = spread === null;
      if (spread === null) return;
      picture.replaceChildren(s("title", {}, words.dial(now.asked, now.reached, now.plain)), s("defs", {}, gradient), still, moving(now));
      const place = now.asked ?? now.plain ?? 50;
      slider.value = String(Math.round(place));
      clearTimeout(spoken);
      const text = now.asked === null ? `${name(null)}${now.plain === null ? "" : `, at ${whole(now.plain)}`}` : words.value(now.asked, now.reached);
      spoken = setTimeout(() => slider.setAttribute("aria-valuetext", text), 400);
    },
    slider,
  };
}
