//! A diffusion model, with its sampler as a map noise → picture.

use super::codec::{Codec, CodecParts};
use super::host_sampler::{Plan, host_sampler};
use super::{Card, Generator, LazyHost, Output, Spec, read_model};
use crate::device::Device;
use crate::diffusion::{
    Classes, Denoiser, NetworkDenoiser, Parts, SamplerConfig, Sampling, State, check_class, check_levels,
    sampling_noise, to_noise,
};
use crate::error::{Error, Result};
use crate::evaluate::calorimeter::Scores;
use crate::host::HostGraph;
use crate::nn::{Parameters, Rows, Tangents};
use crate::store::Weights;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Number of noise levels on the way back from a state to the latent that it would come from: enough that its own error is
/// small beside what guidance does.
pub const BACK: usize = 24;

/// A loaded diffusion model. As a [`Generator`] it is the deterministic sampler of its card: it starts from σ_max·z
/// with latent z ~ N(0, I), ends at the picture, and carries tangents through every step (theory, 23). A model of two
/// stages samples a code, which its decoder turns into the picture: one map from noise to picture all the same.
pub struct Sampler {
    spec: Spec,
    denoiser: NetworkDenoiser,
    codec: Option<Codec>,
    config: SamplerConfig,
    sampling: Sampling,
    distilled: bool,
    class: Option<usize>,
    device: Device,
    model_sha256: String,
    host: LazyHost,
    /// The denoiser on host memory at the noise level that was asked for last: a reward reads it at one level again and again.
    at_level: Mutex<Option<(f64, Arc<LazyHost>)>>,
}

impl Sampler {
    /// Refuses a noise level that the model does not cover.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check_level(&self, sigma: f64) -> Result<()> {
        check_levels(self.denoiser.range(), [sigma; 2], sigma).map_err(|message| Error::key("sigma", message))
    }

    /// Loads the model in `folder`.
    ///
    /// # Errors
    /// [`Error::Config`] for the card, also when its sampler is stochastic: the noise such a sampler adds on the way
    /// would not be part of the latent. [`Error::Input`] for the weights.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        Self::of_card(&Card::read(&folder.join("card.toml"))?, folder, device)
    }

    /// Like [`load`](Self::load), for a card that has been read already.
    pub(super) fn of_card(card: &Card, folder: &Path, device: &Device) -> Result<Self> {
        let Some(showers) = &card.raw.showers else { return Ok(Self::unconditioned(card, folder, device)?.0) };
        let Some(energy) = showers.energy else {
            let place = format!("{}: showers.energy", crate::error::shown(&card.path));
            let message = "missing; the model makes showers of any incident energy, and this needs one of a single \
                           energy, which isoline fix-energy makes of it";
            return Err(Error::config(place, message));
        };
        let (sampler, scores) = Self::of_showers(card, folder, device)?;
        sampler.at_energy(scores, energy).map_err(|e| card.at(e.inside("showers")))
    }

    /// A model of showers, before it is given an energy, and its tables.
    pub(super) fn of_showers(card: &Card, folder: &Path, device: &Device) -> Result<(Self, Scores)> {
        let (sampler, weights) = Self::unconditioned(card, folder, device)?;
        let scores = super::showers::scores(card, &weights)?;
        Ok((sampler, scores))
    }

    fn unconditioned(card: &Card, folder: &Path, device: &Device) -> Result<(Self, Weights)> {
        let parts = card.denoiser_parts()?;
        let weights = read_model(card, parts.parameters(), folder)?;
        let parameters = Parameters::upload(&super::card_parameters(card)?, &weights, device);
        Ok((Self::from_parts(card, parts, parameters, device)?, weights))
    }

    /// The same model for showers of one incident energy.
    fn at_energy(mut self, scores: Scores, energy: f64) -> Result<Self> {
        scores.check(energy)?;
        self.give(vec![scores.place(energy)])?;
        self.spec.domain = super::Domain::Showers { scores: Arc::new(scores), energy };
        Ok(self)
    }

    /// Tells the model what it is given; see [`NetworkDenoiser::give`].
    ///
    /// # Errors
    /// Those of [`NetworkDenoiser::give`].
    pub(super) fn give(&mut self, given: Vec<f32>) -> Result<()> {
        (self.host, self.at_level) = Default::default();
        self.denoiser.give(given)
    }

    /// Builds a sampler from the card's networks and parameters that are already on the device.
    ///
    /// # Errors
    /// [`Error::Config`] for the card.
    pub fn from_parts(card: &Card, parts: Parts, parameters: Parameters, device: &Device) -> Result<Self> {
        let config = card.denoiser()?;
        let codec = CodecParts::of(card)?.map(|c| Codec::new(c, parameters.clone(), device));
        let [wide, decoded] = codec.as_ref().map_or([0; 2], Codec::footprint);
        let (widest, activations) = (parts.network.widest().max(wide), parts.network.activations() + decoded);
        let clip = config.clip.then_some(card.raw.sample.range);
        let denoiser = NetworkDenoiser::new(parts, parameters, config.classes, clip, device);
        // A student learns its teacher's answers without a class.
        let denoiser = if config.distilled { denoiser.without_classes() } else { denoiser };
        let spec = Spec {
            usual: &super::DIFFUSION,
            domain: super::Domain::Pictures,
            id: card.raw.id.clone(),
            latent_width: card.latent_width,
            sample_shape: card.sample_shape,
            state_shape: card.state_shape(),
            range: card.raw.sample.range,
            output: Output::Image,
            piecewise_linear: false,
            widest,
            activations,
        };
        let (sampler, distilled) = (config.sampler.clone(), config.distilled);
        let place = format!("{}: denoiser.sampler", crate::error::shown(&card.path));
        let sampling = build(&sampler, &denoiser, &place)?;
        Ok(Self {
            spec,
            denoiser,
            codec,
            config: sampler,
            sampling,
            distilled,
            class: None,
            device: device.clone(),
            model_sha256: card.model_sha256()?,
            host: LazyHost::default(),
            at_level: Mutex::default(),
        })
    }

    /// The same model, with every sample conditioned on one class; `None` for no class.
    ///
    /// # Errors
    /// [`Error::Config`] when the model has no such class.
    pub fn with_class(mut self, class: Option<usize>) -> Result<Self> {
        class.map_or(Ok(()), |class| check_class(class, self.denoiser.classes()))?;
        (self.class, self.host, self.at_level) = (class, LazyHost::default(), Mutex::default());
        Ok(self)
    }

    /// The model's denoiser.
    pub fn denoiser(&self) -> &NetworkDenoiser {
        &self.denoiser
    }

    /// The denoiser as the mean of what a noised state may have been, which likelihood and FLIPD need; `key` names the model in
    /// messages.
    ///
    /// # Errors
    /// [`Error::Key`] for a distilled model, whose network gives the end of a path instead.
    pub fn posterior_mean(&self, key: &str) -> Result<&NetworkDenoiser> {
        if !self.distilled {
            return Ok(&self.denoiser);
        }
        let message = format!(
            "\"{}\" is distilled: its network jumps to the end of a path and gives no mean, from which likelihood and FLIPD come; \
             take its teacher",
            self.spec.id
        );
        Err(Error::key(key, message))
    }

    /// The settings of the card's sampler.
    pub fn config(&self) -> &SamplerConfig {
        &self.config
    }

    /// The card's sampler.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The pictures of states, tangents included: decoded by a model of two stages, else the same.
    pub fn decode(&self, state: State) -> State {
        match &self.codec {
            Some(codec) => codec.decode(state),
            None => state,
        }
    }

    /// The latents that the model's own sampling would carry to `states`, `[n, d]`: the probability flow run backwards
    /// through [`BACK`] levels, from the card's least noise to its greatest.
    ///
    /// # Errors
    /// Those of the denoiser.
    pub fn noise_of(&self, states: Rows) -> Result<Rows> {
        let [low, high] = self.config.sigma;
        let part = |i: usize| i as f64 / (BACK - 1) as f64;
        let levels: Vec<f64> = (0..BACK).map(|i| (low.ln() + (high / low).ln() * part(i)).exp()).collect();
        Ok(to_noise(&self.denoiser, states, &levels)? * (1.0 / high))
    }

    /// Whether it samples codes of pictures.
    pub fn has_codes(&self) -> bool {
        self.codec.is_some()
    }

    /// Carries latents `z` (`[n, d]`, and their tangents if any) to states by any `sampling`. If its solver is
    /// stochastic, row i draws the noise of `samples[i]`. `before` is called ahead of every step.
    ///
    /// # Errors
    /// Those of the denoiser and of `before`.
    pub fn sample(
        &self,
        z: State,
        samples: &[u64],
        sampling: &Sampling,
        before: &mut dyn FnMut(usize, &State) -> Result<()>,
    ) -> Result<State> {
        let width = self.spec.latent_width;
        let classes = self.class.map(|c| vec![c; z.value.dims()[0]]);
        let mut noise = |step, draw| sampling_noise(samples, step, draw, width, &self.device);
        let mut denoise = |x: &State, sigma: f64| {
            self.denoiser.denoise(x, sigma, classes.as_deref() as Classes).map(|out| spoilt(out, samples))
        };
        sampling.run(z.times(sampling.sigmas[0]), &mut denoise, &mut noise, before)
    }

    fn through(&self, z: State) -> State {
        // This cannot fail: the class was checked when it was set, and a deterministic sampler asks for no noise.
        let samples = vec![0; z.value.dims()[0]];
        #[allow(clippy::expect_used)]
        self.sample(z, &samples, &self.sampling, &mut |_, _| Ok(())).expect("a checked class and a plain denoiser")
    }
}

/// For tests of failures: the denoiser's answer, made non-finite for the samples and calls that a failpoint names.
pub fn spoilt(answer: State, samples: &[u64]) -> State {
    let spoil: Vec<Option<f32>> = samples.iter().map(|s| failpoint!("denoiser", *s)).collect();
    if spoil.iter().all(Option::is_none) {
        return answer;
    }
    let column: Vec<f32> = spoil.iter().map(|v| v.unwrap_or(0.0)).collect();
    let device = answer.value.device();
    State { value: answer.value + crate::tensors::rows(column, 1, &device), ..answer }
}

fn build(config: &SamplerConfig, denoiser: &NetworkDenoiser, place: &str) -> Result<Sampling> {
    let sampling = config.build(denoiser.range()).map_err(|e| e.at(&format!("{place}.")))?;
    if sampling.solver.is_stochastic() {
        let message = format!(
            "\"{}\" with these settings draws noise beside the latent; a map noise → picture needs a deterministic solver",
            config.solver
        );
        return Err(Error::config(format!("{place}.solver"), message));
    }
    Ok(sampling)
}

impl Generator for Sampler {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn generate(&self, z: Rows) -> Rows {
        self.decode(self.through(State::plain(z))).value
    }

    fn states(&self, z: Rows) -> Rows {
        self.through(State::plain(z)).value
    }

    fn pictures_of(&self, states: Rows) -> Rows {
        self.decode(State::plain(states)).value
    }

    fn states_of(&self, samples: Rows) -> Rows {
        match &self.codec {
            Some(codec) => codec.encode(samples),
            None => samples,
        }
    }

    fn latents_of(&self, states: Rows) -> Result<Option<Rows>> {
        match self.distilled {
            true => Ok(None),
            false => self.noise_of(states).map(Some),
        }
    }

    fn tangents(&self, z: Rows, directions: Tangents) -> (Rows, Tangents) {
        let out = self.decode(self.through(State { value: z, tangents: Some(directions.clone()) }));
        (out.value, out.tangents.unwrap_or(directions))
    }

    fn measured(&self, z: Rows) -> Rows {
        self.generate(z)
    }

    // One set of taps per step: those of its evaluation at its first noise level, in the order of the steps; then those of
    // the decoder.
    fn taps(&self, z: Rows) -> Vec<Rows> {
        let n = z.dims()[0];
        let classes = self.class.map(|c| vec![c; n]);
        let mut taps = Vec::new();
        let mut before = |i: usize, x: &State| {
            taps.extend(self.denoiser.taps(x.value.clone(), self.sampling.sigmas[i], classes.as_deref())?);
            Ok(())
        };
        #[allow(clippy::expect_used)] // As in `through`.
        let end = self.sample(State::plain(z), &vec![0; n], &self.sampling, &mut before).expect("as in through");
        taps.extend(self.codec.iter().flat_map(|codec| codec.taps(end.value.clone())));
        taps
    }

    fn host(&self) -> Option<&HostGraph> {
        self.host.get(|| {
            let plan = Plan::of(&self.sampling, &self.device).ok()?;
            let codec = match &self.codec {
                Some(codec) => Some(codec.host()?),
                None => None,
            };
            host_sampler(&self.denoiser, &self.denoiser.host_parameters()?, plan, self.class, codec).ok()?
        })
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn as_sampler(&self) -> Option<&Sampler> {
        Some(self)
    }

    fn model_sha256(&self) -> &str {
        &self.model_sha256
    }
}

/// The denoiser at one noise level, as a map x_σ → x₀ of states. ψ, ν and δ of the denoiser are measured on it. Its latents
/// are noised states, not draws from the prior.
pub struct AtSigma<'a> {
    sampler: &'a Sampler,
    spec: Spec,
    sigma: f64,
    host: Arc<LazyHost>,
}

impl<'a> AtSigma<'a> {
    /// The denoiser of `sampler` at σ.
    ///
    /// # Errors
    /// [`Error::Config`] when the model does not cover that noise level.
    pub fn new(sampler: &'a Sampler, sigma: f64) -> Result<Self> {
        sampler.check_level(sigma)?;
        let activations = sampler.denoiser.parts().network.activations();
        let spec = Spec { activations, sample_shape: sampler.spec.state_shape, ..sampler.spec.clone() };
        let mut last = sampler.at_level.lock().unwrap_or_else(PoisonError::into_inner);
        let host = match &*last {
            Some((at, host)) if *at == sigma => Arc::clone(host),
            _ => Arc::clone(&last.insert((sigma, Arc::default())).1),
        };
        drop(last);
        Ok(Self { sampler, spec, sigma, host })
    }

    fn denoised(&self, x: State) -> State {
        let classes = self.sampler.class.map(|c| vec![c; x.value.dims()[0]]);
        #[allow(clippy::expect_used)] // The class was checked when it was set.
        self.sampler.denoiser.denoise(&x, self.sigma, classes.as_deref()).expect("a checked class")
    }
}

impl Generator for AtSigma<'_> {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn generate(&self, x: Rows) -> Rows {
        self.denoised(State::plain(x)).value
    }

    fn tangents(&self, x: Rows, directions: Tangents) -> (Rows, Tangents) {
        let out = self.denoised(State { value: x, tangents: Some(directions.clone()) });
        (out.value, out.tangents.unwrap_or(directions))
    }

    fn measured(&self, x: Rows) -> Rows {
        self.generate(x)
    }

    fn taps(&self, x: Rows) -> Vec<Rows> {
        let classes = self.sampler.class.map(|c| vec![c; x.dims()[0]]);
        #[allow(clippy::expect_used)] // As in `denoised`.
        self.sampler.denoiser.taps(x, self.sigma, classes.as_deref()).expect("a checked class")
    }

    fn host(&self) -> Option<&HostGraph> {
        let sampler = self.sampler;
        self.host.get(|| {
            let plan = Plan::denoiser(self.sigma);
            host_sampler(&sampler.denoiser, &sampler.denoiser.host_parameters()?, plan, sampler.class, None).ok()?
        })
    }

    fn device(&self) -> &Device {
        &self.sampler.device
    }

    fn model_sha256(&self) -> &str {
        &self.sampler.model_sha256
    }
}
