//! What a student is told about the teacher's paths.
//!
//! With f(x, σ) the student's answer, which is x itself at σ = 0, and x_0, x_1, …, x_T = x(0) a path:
//!
//! - **direct**: f(x_n, σ_n) should be x_T, the end of the path;
//! - **consistency** (Song et al. 2023, arXiv 2303.01469): f(x_n, σ_n) should be f(x_{n+1}, σ_{n+1}), taken as given.
//!
//! Errors count by the pseudo-Huber loss √(‖e‖² + c²) − c with c = huber·√d, or squared for huber = 0.

use super::{Course, State};
use crate::device::Device;
use crate::diffusion::{Parts, condition_rows};
use crate::error::Result;
use crate::nn::{Parameters, Pass, Rows};
use crate::noise::{self, Stream};
use crate::tensors::rows;
use burn::tensor::Tensor;

/// Where a student's answers should lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// To the end of the teacher's path
    Direct,
    /// To what the student itself answers one step further on
    Consistency,
}

/// The answers f(x, σ) of a network with these `parameters`, each row at its own level. A row at σ = 0 is its own answer.
///
/// # Errors
/// Those of the device.
pub fn answers(parts: &Parts, parameters: &Parameters, x: Rows, sigmas: &[f64], device: &Device) -> Result<Rows> {
    let prediction = &parts.prediction;
    let least = prediction.range()[0].max(1e-6);
    let at: Vec<_> = sigmas.iter().map(|s| prediction.at(s.max(least))).collect();
    let column = |f: &dyn Fn(usize) -> f64| rows((0..sigmas.len()).map(|i| f(i) as f32).collect(), 1, device);
    let times: Vec<f64> = at.iter().map(|c| c.time).collect();
    let known = parts.embed.input_shape().iter().product::<usize>() - 1;
    let shown = condition_rows(&times, None, known, device)?;
    let condition = parts.embed.forward(shown, &Pass::frozen(parameters));
    let pass = Pass::frozen(parameters).under(condition);
    let moves = |i: usize| f64::from(u8::from(sigmas[i] > 0.0));
    let skip = column(&|i| if sigmas[i] > 0.0 { at[i].skip } else { 1.0 });
    let predicted = parts.network.forward(x.clone() * column(&|i| at[i].input), &pass);
    Ok(x * skip + predicted * column(&|i| at[i].output * moves(i)))
}

/// One batch: states, their levels, and what the answers should be.
pub struct Lesson {
    /// `[n, d]`
    pub x: Rows,
    /// σ of each row.
    pub sigmas: Vec<f64>,
    /// `[n, d]`, without gradients.
    pub target: Rows,
}

impl Lesson {
    /// The lesson of the next step: the paths `picked`, each at a level drawn for it. The share `start` of the rows is at the greatest
    /// level, where the student will be asked; the others are evenly drawn.
    ///
    /// # Errors
    /// Those of the device.
    pub fn draw(course: &Course, picked: &[usize], state: &State) -> Result<Self> {
        let Course { asked, parts, paths, device } = course;
        let draws = noise::uniforms(asked.seed, state.step, Stream::Training, 210, 2 * picked.len());
        let level = |i: usize| {
            let [first, second] = [draws[2 * i], draws[2 * i + 1]];
            match f64::from(first) < asked.start {
                true => 0,
                false => (second * paths.steps() as f32) as usize % paths.steps(),
            }
        };
        let levels: Vec<usize> = (0..picked.len()).map(level).collect();
        let width = paths.state(0, 0).len();
        let at = |of: &dyn Fn(usize) -> usize| -> Rows {
            let values = picked.iter().enumerate().flat_map(|(i, p)| paths.state(*p, of(i)));
            rows(values.copied().collect(), width, device)
        };
        let x = at(&|i| levels[i]);
        let sigmas = levels.iter().map(|l| paths.sigma(*l)).collect();
        let target = match asked.objective {
            Target::Direct => at(&|_| paths.steps()),
            Target::Consistency => {
                let next: Vec<f64> = levels.iter().map(|l| paths.sigma(l + 1)).collect();
                answers(parts, &state.parameters, at(&|i| levels[i] + 1), &next, device)?
            }
        };
        Ok(Self { x, sigmas, target })
    }
}

/// The loss of answers `[n, d]`, `[1]`: a mean over rows, in units of one value.
pub fn loss(answers: Rows, target: Rows, huber: f64) -> Tensor<1> {
    let width = answers.dims()[1] as f64;
    let error = answers - target;
    let squared = error.clone() * error;
    if huber == 0.0 {
        return squared.mean();
    }
    let c = huber * width.sqrt();
    ((squared.sum_dim(1) + c * c).sqrt() - c).mean() * (1.0 / width.sqrt())
}
