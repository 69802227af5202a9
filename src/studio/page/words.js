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
  rarer: (n) => ["Rarer than ", { b: `${whole(n)} of 100` }, " of this model’s own pictures."],
  beyond: (sd) => [{ b: `${Math.abs(sd).toFixed(1)} standard deviations` }, sd > 0 ? " beyond every sample measured: rarer than all of them." : " below every sample measured: more typical than all of them."],
  missed: (reached, asked) => ["As near as this seed comes: ", { b: whole(reached) }, `, not ${whole(asked)}.`],
  unmeasured: ["This model has no reward, so nothing is known of novelty."],
  plain: (reached, angle) => ["Without steering this seed is at ", { b: whole(reached) }, ".", { br: "" }, `Same starting noise, turned by ${whole(angle)}°.`],
  plainHere: ["This is the picture without steering.", { br: "" }, "The slider starts from here."],
  known: "Within what the model knows",
  odd: "Outside what the reward was taught; look twice",
  notFinite: "This picture could not be made: a value was not finite. Others are unaffected.",
  lost: "Connection lost. The work goes on; trying again.",
  loading: (model) => `Loading ${model}…`,
  starting: "Starting what makes the pictures…",
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
  token: "This studio wants its token: open the address that it printed when it started.",
  copied: "Copied.",
  copyFailed: "The browser did not let the page copy. The command is: ",
  quantity: (name, samples) => `Novelty is a percentile of ${QUANTITIES[name] ?? name} among ${samples.toLocaleString("en")} of this model’s own pictures.`,
  pace: (ms) => `A steered picture takes about ${ms < 950 ? `${Math.round(ms / 10) * 10} ms` : `${tenth(ms / 1000)} s`} here.`,
  help: "The number is a percentile among this model’s own pictures. Novel means rare for it: not good, and not new to the world.",
};

// What a level is called.
export function name(level) {
  return level === null ? "Balanced" : level < 30 ? "Typical" : level > 70 ? "Novel" : "Between";
}
