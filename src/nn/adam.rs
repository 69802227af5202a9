//! Adam with decoupled weight decay (AdamW). Its state is kept by tensor name, so a checkpoint is an ordinary
//! safetensors file, and a resumed training gives the same bits as an uninterrupted one.

use super::Parameters;
use burn::tensor::{Gradients, Tensor};

/// Settings of Adam; the learning rate is an argument of each [`step`](Self::step).
#[derive(Clone, Copy, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// β₁, the decay of the first moment.
    pub beta1: f64,
    /// β₂, the decay of the second moment.
    pub beta2: f64,
    /// ε, added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay: each step also subtracts learning rate × this × the weight.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// The state of Adam: first and second moments by tensor name, and the number of steps taken.
#[derive(Clone, Debug, Default)]
pub struct AdamState {
    /// First moments m, flat like the parameters.
    pub first: Parameters,
    /// Second moments v, flat like the parameters.
    pub second: Parameters,
    /// Number of steps taken; corrects the bias of m and v.
    pub steps: u32,
}

/// The gradients of the tracked tensors among `parameters`, each flat and with its name. Tensors that the loss does not
/// depend on are left out.
pub fn gradients(parameters: &Parameters, mut all: Gradients) -> Vec<(String, Tensor<1>)> {
    parameters
        .iter()
        .filter(|(_, t)| t.is_require_grad())
        .filter_map(|(name, t)| t.grad_remove(&mut all).map(|g| (name.to_owned(), g)))
        .collect()
}

/// The sum of all squared gradients, `[1]`. It is not finite if any gradient is not, or if the sum overflows. `None` if
/// there are no gradients.
pub fn squared_norm(gradients: &[(String, Tensor<1>)]) -> Option<Tensor<1>> {
    gradients.iter().map(|(_, g)| (g.clone() * g.clone()).sum()).reduce(|a, b| a + b)
}

impl AdamConfig {
    /// Takes one step with learning rate `lr` for the parameters named in `gradients`:
    ///
    /// m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,  p ← p − lr·(m̂/(√v̂ + ε) + decay·p)
    ///
    /// with m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ) at step t.
    pub fn step(
        &self,
        lr: f64,
        parameters: &mut Parameters,
        state: &mut AdamState,
        gradients: Vec<(String, Tensor<1>)>,
    ) {
        state.steps += 1;
        let correct = |beta: f64| 1.0 - beta.powi(state.steps.min(i32::MAX as u32) as i32);
        let (c1, c2) = (correct(self.beta1), correct(self.beta2));
        for (name, g) in gradients {
            let m = match state.first.find(&name) {
                Some(m) => m * self.beta1 + g.clone() * (1.0 - self.beta1),
                None => g.clone() * (1.0 - self.beta1),
            };
            let v = match state.second.find(&name) {
                Some(v) => v * self.beta2 + g.clone() * g * (1.0 - self.beta2),
                None => g.clone() * g * (1.0 - self.beta2),
            };
            let step = (m.clone() / c1) / ((v.clone() / c2).sqrt() + self.eps);
            let p = parameters.get(&name);
            let p = p.clone() - (step + p * self.weight_decay) * lr;
            parameters.set(&name, p);
            state.first.set(&name, m);
            state.second.set(&name, v);
        }
    }
}
