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
  descriptors: [
    ["psi", "Local scaling ψ", 2, "how far the generator stretches volume here"],
    ["psi_k", "ψ_k", 2, "the same, along its leading directions alone"],
    ["nu", "Local rank ν", 1, "how many directions change the picture"],
    ["delta", "Local complexity δ", 1, "how many folds lie close by"],
  ],
  measuring: "Measuring…",
  measured: ({ values }) => `Measured: ${words.descriptors.map(([name, label, digits]) => [label, values.find((v) => v.name === name)?.value, digits]).filter(([, v]) => v !== null && v !== undefined).map(([label, v, digits]) => `${label} ${v.toFixed(digits)}`).join(", ")}.`,
  spectrum: ({ estimator, directions, of }) => (estimator === "exact" ? `Exact, along all ${of} directions of the noise.` : `Estimated by ${estimator}, along ${directions} of ${of} directions: numbers to compare pictures by, not those of all directions.`),
  measureAll: (of) => `Measure all ${of} directions, which takes longer`,
  stems: (values) => `${values.length} singular values, from ${tenth(values[0] ?? 0)} down to ${tenth(values.at(-1) ?? 0)}.`,
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
  prefer: "Which do you prefer?",
  choice: (n) => `Choice ${n.toLocaleString("en")}. Sides are shuffled. Choices stay on this computer.`,
  pool: (made, needed) => `A few pictures to choose from are made first: ${made} of ${needed}.`,
  differ: (pair) => (differences(pair, "left").length ? `The left one ${verb(differences(pair, "left"), "is", "comes")}.` : "In numbers the two hardly differ."),
  took: (pair, given) => {
    if (given === "skip") return "";
    if (given === "tie") return "Last time you could not say.";
    const parts = differences(pair, given);
    return `Last time you took the ${given} one. ${parts.length ? `It ${verb(parts, "was", "came")}.` : "In numbers the two hardly differed."}`;
  },
  notYet: (n) => `Choose 30 times and it will say what it has learnt. ${n === 0 ? "" : `${n} so far.`}`,
  noBetter: "It does no better than chance yet; its weight stays 0.",
  accuracy: ({ low, high, n }) => `of ${n} ${n === 1 ? "pair" : "pairs"} picked at random, each predicted before it was learnt from (${whole(100 * low)} to ${whole(100 * high)}, 95 % interval).`,
  share: (value, low, high) => `${whole(100 * value)} percent predicted, ${whole(100 * low)} to ${whole(100 * high)}; chance is 50.`,
  leans: (side) => `You take the ${side > 0 ? "left" : "right"} one more often, whatever is on it.`,
  otherVersion: (n) => `${n} more ${n === 1 ? "choice is" : "choices are"} about another version of this model and not counted.`,
  likesLater: "Shown once it predicts better than chance.",
  weightLocked: "It counts once it predicts better than chance. Pictures stay as they are.",
  weight: (weight, of) => (weight === 0 ? "0 leaves the other seeds as they come." : `Best first, in the Studio, shows the best 12 of ${of} other seeds.`) + " Pictures stay as they are.",
  forget: "Forget all",
  thisOne: (side, seed) => `This one, on the ${side}, seed ${seed}`,
  heard: ({ pair, last }) => `${last ? `${words.took(last.pair, last.given)} ` : ""}Choice ${pair.number + 1}: seed ${pair.left.id.split("-")[1]} on the left, seed ${pair.right.id.split("-")[1]} on the right.`,
  forgetSure: (n) => (n === 0 ? "Forget all: sure?" : `Forget ${n} ${n === 1 ? "choice" : "choices"}: sure?`),
  forgotten: "Forgotten.",
  bestSoon: (of) => `Looking for the best of ${of} seeds…`,
  best: (asked, n, of) => `The best ${n} of ${of} seeds, ${asked === null ? "without steering" : `asked ${whole(asked)}`}`,
  help: "The number is a percentile among this model’s own pictures. Novel means rare for it: not good, and not new to the world.",
};

// What one picture of a pair is beside the other, in words.
const MORE = {
  light: ["lighter", "darker"],
  contrast: ["with more contrast", "with less contrast"],
  colour: ["more colourful", "less colourful"],
  edges: ["with more edges", "with fewer edges"],
  symmetry: ["more symmetric", "less symmetric"],
  detail: ["with more detail", "with less detail"],
};

function differences(pair, side) {
  const other = side === "left" ? "right" : "left";
  const text = ({ name, left_more }) => {
    const more = left_more === (side === "left");
    if (name === "level" && pair[side].reached !== undefined) return `the ${more ? "rarer" : "more typical"} of the two (${whole(pair[side].reached)} against ${whole(pair[other].reached)})`;
    return MORE[name]?.[more ? 0 : 1] ?? null;
  };
  const told = pair.differences.map(text).filter(Boolean).slice(0, 3);
  // What it is before what it comes with.
  return [...told.filter((t) => !t.startsWith("with ")), ...told.filter((t) => t.startsWith("with "))];
}

const verb = (list, is, comes) => `${list[0].startsWith("with ") ? comes : is} ${list.join(", ")}`;

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
