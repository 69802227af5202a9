//! UniPC (arXiv 2302.04867): a predictor of several steps, and a corrector that takes the last step again with the answer at its end, which
//! costs no further call.

use super::keys::Keys;
use super::multistep::Path;
use super::prediction::Prediction;
use super::{Memory, Noise, Scheduler, SchedulerRow};
use crate::diffusion::State;
use crate::error::{Error, Result};
use nalgebra::{DMatrix, DVector};

pub const ROW: SchedulerRow = SchedulerRow {
    class: "UniPCMultistepScheduler",
    about: "UniPC: a predictor and a corrector at one call a step",
    make,
};

struct UniPc {
    path: Path,
    prediction: Prediction,
    order: usize,
    /// Whether B(h) = e^(−h) − 1, and not −h.
    exponential: bool,
    lower_at_end: bool,
    uncorrected: Vec<f64>,
}

fn make(keys: &Keys, steps: usize, _: f64) -> Result<Box<dyn Scheduler>> {
    let solver = UniPc {
        path: Path::read(keys, steps)?,
        prediction: Prediction::read(keys)?,
        order: keys.count("solver_order", 2, [1, 6])?,
        exponential: keys.one_of("solver_type", true, &[("bh1", false), ("bh2", true)])?,
        lower_at_end: keys.flag("lower_order_final", true)?,
        uncorrected: keys.numbers("disable_corrector")?.unwrap_or_default(),
    };
    solver.prediction.check_zero_snr(keys)?;
    if !keys.flag("predict_x0", true)? {
        return Err(Error::key("predict_x0", "expected true; the form for the noise is not supported"));
    }
    if !solver.exponential && solver.path.ends_clean() {
        let message =
            "expected sigma_min with bh1: its last step to no noise has no end, and the library's own is not finite";
        return Err(Error::key("final_sigmas_type", message));
    }
    Ok(Box::new(solver))
}

impl UniPc {
    /// The order of the predictor at step `i`: no more than there are answers, or steps left.
    fn order_of(&self, i: usize) -> usize {
        let left = if self.lower_at_end { self.path.steps() - i } else { self.order };
        self.order.min(left).min(i + 1)
    }

    /// The step from `from` to `from + 1` of x, with `old` answers (the newest, at `from`, first) and, for the corrector, the answer at its
    /// end.
    fn moved(&self, from: usize, x: State, old: &[State], end: Option<State>) -> State {
        let (start, to) = (self.path.level(from), self.path.level(from + 1));
        let h = self.path.rise(from, from + 1);
        let phi = (-h).exp_m1();
        let base = x.blend(to.rest / start.rest, old[0].clone(), -to.alpha * phi);
        // Where the older answers lie, in units of the step, and 1 for the end of it.
        let mut places: Vec<f64> = (1..old.len()).map(|k| self.path.rise(from, from - k) / h).collect();
        let mut slopes: Vec<State> =
            old[1..].iter().zip(&places).map(|(d, r)| d.clone().minus(old[0].clone()).times(1.0 / r)).collect();
        if let Some(end) = end {
            places.push(1.0);
            slopes.push(end.minus(old[0].clone()));
        }
        if slopes.is_empty() {
            return base;
        }
        let scale = if self.exponential { phi } else { -h };
        let weights = weights(&places, h, phi, scale, slopes.len());
        let sum = slopes.into_iter().zip(weights).map(|(s, w)| s.times(w)).reduce(State::plus);
        sum.map_or_else(|| base.clone(), |sum| base.clone().blend(1.0, sum, -to.alpha * scale))
    }
}

/// The weights of the differences: those that make the step exact for polynomials in λ. With one difference the library takes ½.
fn weights(places: &[f64], h: f64, phi: f64, scale: f64, count: usize) -> Vec<f64> {
    if count == 1 {
        return vec![0.5];
    }
    let mut rest = phi / -h - 1.0;
    let mut factorial = 1.0;
    let mut right = DVector::zeros(count);
    for k in 0..count {
        right[k] = rest * factorial / scale;
        factorial *= (k + 2) as f64;
        rest = rest / -h - 1.0 / factorial;
    }
    let powers = DMatrix::from_fn(count, count, |k, i| places[i].powi(k as i32));
    let solved = powers.lu().solve(&right);
    solved.map_or_else(|| vec![f64::NAN; count], |w| w.iter().copied().collect())
}

impl Scheduler for UniPc {
    fn times(&self) -> &[f64] {
        &self.path.times
    }

    fn sigmas(&self) -> &[f64] {
        &self.path.sigmas
    }

    fn step(&self, call: usize, x: State, answer: State, memory: &mut Memory, _: &mut Noise) -> State {
        let clean = self.prediction.clean(&x, answer, self.path.alpha_bar(call));
        let old = |memory: &Memory, n: usize| (0..n).map(|i| memory.last(i).clone()).collect::<Vec<_>>();
        let corrects = call > 0 && !self.uncorrected.contains(&((call - 1) as f64));
        let x = match memory.kept.take() {
            Some(before) if corrects => {
                let order = self.order_of(call - 1);
                self.moved(call - 1, before, &old(memory, order), Some(clean.clone()))
            }
            _ => x,
        };
        memory.push(clean, self.order);
        memory.kept = Some(x.clone());
        self.moved(call, x, &old(memory, self.order_of(call)), None)
    }
}
