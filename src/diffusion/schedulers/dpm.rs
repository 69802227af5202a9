//! DPM-Solver and DPM-Solver++ with several steps (arXiv 2206.00927, 2211.01095), of order 1 to 3, and the stochastic form of the second.
//!
//! With h the rise of λ over the step and D₀ the newest answer, D₁ and D₂ its first two differences:
//!
//! ```text
//! ++        x' = (s'/s)·x − α'(e^(−h) − 1)·D₀ + …      of x₀
//! without   x' = (α'/α)·x − s'(e^h − 1)·D₀ + …         of ε
//! SDE ++    x' = (s'/s)·e^(−h)·x + α'(1 − e^(−2h))·D₀ + … + s'·√(1 − e^(−2h))·noise
//! ```

use super::keys::Keys;
use super::multistep::Path;
use super::prediction::Prediction;
use super::{Memory, Noise, Scheduler, SchedulerRow};
use crate::diffusion::State;
use crate::error::{Error, Result};

pub const ROW: SchedulerRow =
    SchedulerRow { class: "DPMSolverMultistepScheduler", about: "DPM-Solver and DPM-Solver++, order 1 to 3", make };

/// Paths of fewer steps than this end with steps of lower order.
const FEW: usize = 15;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Plain,
    PlusPlus,
    Sde,
}

struct Dpm {
    path: Path,
    prediction: Prediction,
    algorithm: Algorithm,
    order: usize,
    /// Whether the second difference is weighed as by Heun's rule and not by the midpoint's.
    heun: bool,
    lower_at_end: bool,
    euler_at_end: bool,
}

fn make(keys: &Keys, steps: usize, _: f64) -> Result<Box<dyn Scheduler>> {
    let names =
        [("dpmsolver", Algorithm::Plain), ("dpmsolver++", Algorithm::PlusPlus), ("sde-dpmsolver++", Algorithm::Sde)];
    let solver = Dpm {
        path: Path::read(keys, steps)?,
        prediction: Prediction::read(keys)?,
        algorithm: keys.one_of("algorithm_type", Algorithm::PlusPlus, &names)?,
        order: keys.count("solver_order", 2, [1, 3])?,
        heun: keys.one_of("solver_type", false, &[("midpoint", false), ("heun", true)])?,
        lower_at_end: keys.flag("lower_order_final", true)?,
        euler_at_end: keys.flag("euler_at_final", false)?,
    };
    solver.prediction.check_zero_snr(keys)?;
    keys.one_of("variance_type", (), &[("fixed_small", ()), ("fixed_large", ())])?;
    if keys.number("lambda_min_clipped", f64::NEG_INFINITY)? > f64::NEG_INFINITY {
        return Err(Error::key("lambda_min_clipped", "expected -Infinity; a path that is cut short is not supported"));
    }
    if solver.algorithm == Algorithm::Plain && solver.path.ends_clean() {
        return Err(Error::key(
            "final_sigmas_type",
            "expected sigma_min with dpmsolver, whose last step to no noise has no end",
        ));
    }
    if solver.algorithm == Algorithm::Sde && solver.order == 3 {
        return Err(Error::key("solver_order", "expected 1 or 2 with sde-dpmsolver++, found 3"));
    }
    Ok(Box::new(solver))
}

impl Dpm {
    /// The order of step `i`, with `known` answers, the newest included.
    fn order_of(&self, i: usize, known: usize) -> usize {
        let n = self.path.steps();
        let lower = self.lower_at_end && n < FEW;
        match () {
            () if i + 1 == n && (self.euler_at_end || lower || self.path.ends_clean()) => 1,
            () if i + 2 == n && lower => self.order.min(known).min(2),
            () => self.order.min(known),
        }
    }
}

impl Scheduler for Dpm {
    fn times(&self) -> &[f64] {
        &self.path.times
    }

    fn sigmas(&self) -> &[f64] {
        &self.path.sigmas
    }

    fn is_stochastic(&self) -> bool {
        self.algorithm == Algorithm::Sde
    }

    fn step(&self, call: usize, x: State, answer: State, memory: &mut Memory, noise: &mut Noise) -> State {
        let a = self.path.alpha_bar(call);
        let answer = match self.algorithm {
            Algorithm::Plain => self.prediction.noise(&x, answer, a),
            _ => self.prediction.clean(&x, answer, a),
        };
        memory.push(answer, 3);
        let old = |i: usize| memory.last(i).clone();
        let (from, to) = (self.path.level(call), self.path.level(call + 1));
        let h = self.path.rise(call, call + 1);
        // φ₁ to φ₃ in the sign of the algorithm; the weights of x, D₀, D₁ by the midpoint's rule and by Heun's, and D₂.
        let z = if self.algorithm == Algorithm::Plain { h } else { -h };
        let grown = z.exp_m1();
        let [keep, first, heun, second] = match self.algorithm {
            Algorithm::Plain => [
                to.alpha / from.alpha,
                -to.rest * grown,
                -to.rest * (grown / h - 1.0),
                -to.rest * ((grown - h) / (h * h) - 0.5),
            ],
            Algorithm::PlusPlus => [
                to.rest / from.rest,
                -to.alpha * grown,
                to.alpha * (grown / h + 1.0),
                -to.alpha * ((grown + h) / (h * h) - 0.5),
            ],
            Algorithm::Sde => {
                let twice = -(-2.0 * h).exp_m1();
                let keep = if to.rest == 0.0 { 0.0 } else { to.rest / from.rest * (-h).exp() };
                [keep, to.alpha * twice, to.alpha * (1.0 - twice / (2.0 * h)), 0.0]
            }
        };
        let order = self.order_of(call, memory.len());
        let mut moved = x.blend(keep, old(0), first);
        if order >= 2 {
            let ratio = self.path.rise(call - 1, call) / h;
            let slope = old(0).minus(old(1)).times(1.0 / ratio);
            if order == 2 {
                moved = moved.plus(slope.times(if self.heun { heun } else { 0.5 * first }));
            } else {
                let before = self.path.rise(call - 2, call - 1) / h;
                let older = old(1).minus(old(2)).times(1.0 / before);
                let bend = slope.clone().minus(older);
                let d1 = slope.blend(1.0, bend.clone(), ratio / (ratio + before));
                moved = moved.blend(1.0, d1, heun).blend(1.0, bend, second / (ratio + before));
            }
        }
        match self.algorithm {
            Algorithm::Sde => moved.shifted(noise(), to.rest * (-(-2.0 * h).exp_m1()).sqrt()),
            _ => moved,
        }
    }
}
