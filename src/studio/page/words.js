// Every sentence of the page, in one place.

export const whole = (n) => String(Math.round(n));
export const tenth = (n) => n.toFixed(1);

// What a reward has learnt, by the symbol in its card.
const QUANTITIES = {
  psi_k: "how much the model stretches space (ψ_k)",
  denoiser_psi_k: "how much its network stretches space at the picture (ψ_k)",
  dimension: "the local dimension",
  rarity: "how rare a classifier finds what is shown",
  negative_log_likelihood: "minus the log-likelihood",
};

export const words = {
  rarer: (n) => ["Rarer than ", { b: `${Math.min(99, Math.round(n))} of 100` }, " of this model’s own pictures."],
  beyond: (sd) => (Math.abs(sd) < 0.05 ? [sd > 0 ? "Rarer than every sample measured." : "More typical than every sample measured."] : [{ b: `${Math.abs(sd).toFixed(1)} standard deviations` }, sd > 0 ? " beyond every sample measured: rarer than all of them." : " below every sample measured: more typical than all of them."]),
  missed: (reached, asked) => ["As near as this seed comes: ", { b: whole(reached) }, `, not ${whole(asked)}.`],
  unmeasured: ["This model has no reward, so nothing is known of novelty."],
  plain: (reached, angle) => ["Without steering this seed is at ", { b: whole(reached) }, ".", { br: "" }, `Same starting noise, turned by ${whole(angle)}°.`],
  plainHere: ["This is the picture without steering.", { br: "" }, "The slider starts from here."],
  known: "Within what the model knows",
  odd: "Outside what the reward was taught; look twice",
  notFinite: "This picture could not be made: a value was not finite. Others are unaffected.",
  lost: "Connection lost. The work goes on; trying again.",
  loading: (model) => `Loading ${model}…`,
  starting: "Starting the process that makes the pictures…",
  down: (why) => `What makes the pictures stopped (${why}). It starts again by itself.`,
  sketch: "Pictures of this model depend a little on what is made beside them: what you see is a sketch of the final one.",
  others: (asked) => (asked === null ? "Other seeds, without steering" : `Other seeds, asked ${whole(asked)}`),
  dial: (asked, reached, plain) => `How this model’s own pictures spread.${asked === null ? "" : ` Asked ${whole(asked)}.`}${reached === null ? "" : ` Reached ${tenth(reached)}.`}${plain === null ? "" : ` Without steering ${whole(plain)}.`}`,
  value: (asked, reached) => `${name(asked)}, asked ${whole(asked)}${reached === null ? "" : `, reached ${tenth(reached)}`}`,
  alt: (seed, asked, reached) => `Seed ${seed}, ${asked === null ? "without steering" : `asked ${whole(asked)}`}${reached === null ? "" : `, reached ${tenth(reached)}`}`,
  shown: (seed, reached) => `Seed ${seed} is shown${reached === null ? "" : `, reached ${tenth(reached)}`}.`,
  band: "each band holds a tenth of this model’s own pictures",
  noReward: (model) => `This model has no reward. isoline train-reward --model ${model} teaches one.`,
  noModels: "No model here yet. Put a model folder under models/ or run isoline import.",
  token: "This studio needs its token: open the address that it printed when it started.",
  copied: "Copied.",
  copyFailed: "The browser did not let the page copy. The command is: ",
  quantity: (name, samples) => `Novelty is a percentile of ${QUANTITIES[name] ?? name} among ${samples.toLocaleString("en")} of this model’s own pictures.`,
  pace: (ms) => `A steered picture takes about ${ms < 950 ? `${Math.round(ms / 10) * 10} ms` : `${tenth(ms / 1000)} s`} here.`,
  pictures: (n) => `${n.toLocaleString("en")} ${n === 1 ? "picture" : "pictures"}`,
  keeping: "Keeping…",
  kept: "Kept.",
  keepFailed: (why) => `It could not be kept: ${why}`,
  emptyGallery: "Nothing made yet. Press Make many in the Studio, or run isoline generate here.",
  emptyFilter: "No pictures match.",
  damaged: (n, run) => `${n} ${n === 1 ? "record is" : "records are"} damaged; isoline resume ${run} makes them again.`,
  cost: ({ pictures, seconds, bytes }) => [words.pictures(pictures), seconds === null ? "" : `about ${duration(seconds)}`, size(bytes)].filter(Boolean).join(" · "),
  noRoom: (bytes) => `The disk has no room for ${size(bytes)}.`,
  added: (name) => `${name} is in the queue.`,
  nothingWaits: "Nothing waits.",
  progress: (done, wanted) => `${done.toLocaleString("en")} of ${wanted.toLocaleString("en")}`,
  left: (s) => `${duration(s)} left`,
  flagged: (n) => (n ? `${n} flagged` : ""),
  goesOn: (free) => `${size(free)} free on the disk · the work goes on when this page is closed`,
  chosen: (n) => `${n} chosen`,
  changed: (n) => `${words.pictures(n)} changed.`,
  binned: (n) => `${words.pictures(n)} in the bin.`,
  making: "Making it again…",
  same: (bytes) => `Identical: all ${bytes.toLocaleString("en")} bytes.`,
  differs: (largest) => (largest === 0 ? "The same pixels; the text inside differs." : `It differs: by ${largest} of 255 at most.`),
  exported: (n, left) => `${words.pictures(n)} saved.${left ? ` ${left} left out: their files have changed.` : ""}`,
  centre: (label) => `In the middle: ${label}`,
  angle: (radians) => `Each is turned by ${whole((radians * 180) / Math.PI)}° from the one in the middle, in a direction of its own. Click one, and it becomes the middle.`,
  blink: "Hold the space bar to see the second in the place of the first.",
  between: (all) => {
    const known = all.filter((p) => p.reached !== null).sort((x, y) => x.reached - y.reached);
    if (known.length < 2) return "";
    const [least, most] = [known[0], known.at(-1)];
    const apart = most.reached - least.reached;
    const same = new Set(all.map((p) => p.seed)).size === 1 ? "All are of one seed. " : "";
    return `${same}From ${whole(least.reached)} (seed ${least.seed}) to ${whole(most.reached)} (seed ${most.seed}): ${whole(apart)} points apart.`;
  },
  compareHow: "Choose two to nine pictures.",
  gone: "This picture is not here.",
  dropped: (seed, asked, model) => `Seed ${seed}, ${asked === null ? "without steering" : `asked ${whole(asked)}`}, ${model}: opened.`,
  help: "The number is a percentile among this model’s own pictures. Novel means rare for it: not good, and not new to the world.",
};

// What a level is called.
export function name(level) {
  return level === null ? "Balanced" : level < 30 ? "Typical" : level > 70 ? "Novel" : "In between";
}

// A time in words.
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${tenth(seconds / 3600)} h`;
}

// A number of bytes in words.
export function size(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : bytes < 1e9 ? `${tenth(bytes / 1e6)} MB` : `${tenth(bytes / 1e9)} GB`;
}
