//! A deterministic sampler on host memory: value and tangents of the map noise → picture, one sample at a time.
//!
//! Every solver is linear in its start and in the denoiser's answers, so no solver has to be written a second time. It
//! is run once on unit vectors, which shows how every state is composed of z and the answers so far; here those weights
//! are used.

use super::codec::HostCodec;
use crate::device::Device;
use crate::diffusion::predictions::Coefficients;
use crate::diffusion::{NetworkDenoiser, Sampling, State, to_f64};
use crate::error::{Error, Result};
use crate::host::{HostGraph, HostLayer, HostRows, Linearisation};
use crate::nn::HostParameters;
use crate::nn::Rows;
use burn::tensor::{DType, Tensor, TensorData};

/// One call of the denoiser.
struct Evaluation {
    /// Weights of z and of all earlier answers in the state the denoiser is called at.
    mix: Vec<f64>,
    coefficients: Coefficients,
    network: HostGraph,
}

/// The whole sampler as one layer.
struct HostSampler {
    evaluations: Vec<Evaluation>,
    /// Weights of z and of all answers in the state at the end.
    end: Vec<f64>,
    /// What turns that state into the picture, for a model of two stages.
    codec: Option<HostCodec>,
    clip: Option<[f32; 2]>,
    width: usize,
}

/// The sampler that follows `plan`, asking `denoiser` for `class`, and then the `codec`; `None` if some layer has no host rule. With
/// [`Plan::denoiser`] it is the denoiser itself at one noise level.
///
/// # Errors
/// Those of the device.
pub fn host_sampler(
    denoiser: &NetworkDenoiser,
    parameters: &HostParameters,
    plan: Plan,
    class: Option<usize>,
    codec: Option<HostCodec>,
) -> Result<Option<HostGraph>> {
    let width = denoiser.parts().network.input_shape().iter().product();
    let mut evaluations = Vec::with_capacity(plan.calls.len());
    for (sigma, mix) in plan.calls {
        let coefficients = denoiser.parts().prediction.at(sigma);
        let Some(network) = denoiser.host(parameters, coefficients.time, class)? else { return Ok(None) };
        evaluations.push(Evaluation { mix, coefficients, network });
    }
    let layer = HostSampler { evaluations, end: plan.end, codec, clip: denoiser.clip(), width };
    Ok(Some(HostGraph::of(Box::new(layer), width)))
}

/// How a sampler's states are composed of z and the denoiser's answers.
pub struct Plan {
    /// For every call of the denoiser: σ, and the weights of z and of all earlier answers.
    calls: Vec<(f64, Vec<f64>)>,
    /// Weights of z and of all answers in the result.
    end: Vec<f64>,
}

impl Plan {
    /// A single call of the denoiser at σ.
    pub fn denoiser(sigma: f64) -> Self {
        Self { calls: vec![(sigma, vec![1.0])], end: vec![0.0, 1.0] }
    }

    /// What a deterministic sampler does with z.
    ///
    /// # Errors
    /// Those of the device.
    pub fn of(sampling: &Sampling, device: &Device) -> Result<Self> {
        let count = 1 + sampling.evaluations();
        let unit = |i: usize| -> Rows {
            let mut values = vec![0.0; count];
            values[i] = 1.0;
            Tensor::from_data(TensorData::new(values, [1, count]), (device, DType::F64))
        };
        let mut calls: Vec<(f64, Vec<f64>)> = Vec::new();
        let mut denoise = |x: &State, sigma: f64| {
            let mut mix = to_f64(x.value.clone())?;
            calls.push((sigma, mix.drain(..=calls.len()).collect()));
            match calls.len() < count {
                true => Ok(State::plain(unit(calls.len()))),
                false => Err(Error::Bug("a solver asks more often than it says".into())),
            }
        };
        let start = State::plain(unit(0) * sampling.sigmas[0]);
        let mut noise = |_, _| unit(0) * 0.0;
        let end = to_f64(sampling.run(start, &mut denoise, &mut noise, &mut |_, _| Ok(()))?.value)?;
        Ok(Self { calls, end })
    }
}

/// The sum of the parts, each times its weight in `shares`, times `factor`.
fn mixed(parts: &[Vec<f32>], shares: &[f64], factor: f64) -> Vec<f32> {
    let mut sum = vec![0.0f64; parts[0].len()];
    for (part, share) in parts.iter().zip(shares).filter(|(_, s)| **s != 0.0) {
        sum.iter_mut().zip(part).for_each(|(sum, v)| *sum += share * f64::from(*v));
    }
    sum.into_iter().map(|v| (v * factor) as f32).collect()
}

fn mixed_tangents(parts: &[HostRows], shares: &[f64], factor: f64) -> HostRows {
    let shown: Vec<(f32, &HostRows)> =
        parts.iter().zip(shares).filter(|(_, s)| **s != 0.0).map(|(t, s)| ((s * factor) as f32, t)).collect();
    HostRows::combined(&shown)
}

impl HostLayer for HostSampler {
    // The linearisation holds that of each call. If answers are clamped, its values say which components stayed within
    // the range.
    fn value(&self, z: &[f32]) -> (Vec<f32>, Linearisation) {
        let mut parts = vec![z.to_vec()];
        let mut trace = Linearisation::default();
        for call in &self.evaluations {
            let c = call.coefficients;
            let asked = mixed(&parts, &call.mix, 1.0);
            let shown: Vec<f32> = asked.iter().map(|v| v * c.input as f32).collect();
            let (predicted, inner) = call.network.value(&shown);
            let answer = |(x, f): (&f32, &f32)| (c.skip * f64::from(*x) + c.output * f64::from(*f)) as f32;
            let mut answer: Vec<f32> = asked.iter().zip(&predicted).map(answer).collect();
            if let Some([low, high]) = self.clip {
                trace.values.extend(answer.iter().map(|v| f32::from(u8::from(*v > low && *v < high))));
                answer.iter_mut().for_each(|v| *v = v.clamp(low, high));
            }
            trace.inner.push(inner);
            parts.push(answer);
        }
        let end = mixed(&parts, &self.end, 1.0);
        let Some(codec) = &self.codec else { return (end, trace) };
        let (picture, inner) = codec.graph.value(&codec.code(&end));
        trace.inner.push(inner);
        (picture, trace)
    }

    fn tangent(&self, trace: &Linearisation, t: HostRows, _: Option<&[bool]>) -> HostRows {
        let mut parts = vec![t];
        for (i, call) in self.evaluations.iter().enumerate() {
            let c = call.coefficients;
            let shown = mixed_tangents(&parts, &call.mix, c.input);
            let predicted = call.network.tangent(&trace.inner[i], &call.network.entering(shown.clone()), None);
            let skip = (c.skip / c.input) as f32;
            let answer = HostRows::combined(&[(skip, &shown), (c.output as f32, &predicted)]);
            parts.push(match self.clip {
                None => answer,
                Some(_) => answer.scaled(&trace.values[i * self.width..(i + 1) * self.width], None),
            });
        }
        let end = mixed_tangents(&parts, &self.end, 1.0);
        let Some(codec) = &self.codec else { return end };
        let code = codec.graph.entering(end.scaled(&codec.std, None));
        codec.graph.tangent(&trace.inner[self.evaluations.len()], &code, None)
    }

    fn peak_rows(&self, before: usize) -> usize {
        let inside = self.evaluations.iter().map(|e| e.network.peak_rows()).max().unwrap_or(0);
        let decoding = self.codec.as_ref().map_or(0, |c| c.graph.peak_rows());
        (inside + (self.evaluations.len() + 3) * before).max(decoding + before)
    }

    fn features(&self, _: usize) -> usize {
        self.codec.as_ref().map_or(self.width, |c| c.graph.features())
    }
}
