//! Training on codes: the first stage of a model of two, an autoencoder that was trained before.
//!
//! Each picture of the data is encoded once, to the mean and the log-variance of its code. A step draws a code from them, or takes
//! the mean, and standardises it by the channel's mean and standard deviation over the data.

use super::start::{Start, alike};
use crate::cancel::Cancel;
use crate::data::Dataset;
use crate::device::Device;
use crate::error::{Error, Result, shown};
use crate::generator::card::{RawCard, RawEncoder};
use crate::generator::codec::{Codec, CodecParts, RawDecoder};
use crate::generator::{Card, card_parameters, card_weights, find_model};
use crate::nn::{Network, ParameterSpec, Parameters, Pass, Rows};
use crate::noise::{self, Stream};
use crate::progress::Progress;
use crate::store::{WeightTensor, Weights};
use crate::tensors::{host, rows};
use std::collections::BTreeSet;

/// Pictures of one call of the encoder.
const BATCH: usize = 64;
/// Part of a step's noise that draws the codes.
const DRAW: u32 = 92;

/// An autoencoder that pictures are encoded with: a model of its own, or the first stage of a model of two.
pub struct FirstStage {
    card: Card,
    /// The decoder's layers.
    layers: Vec<toml::Table>,
    encoder: Network,
    weights: Weights,
    parameters: Parameters,
}

/// Checks that the denoiser of a completed card and its other stage have no tensor in common, so that each keeps its own.
///
/// # Errors
/// [`Error::Config`] naming one.
pub fn check_names(card: &Card) -> Result<()> {
    let own: BTreeSet<String> = card.denoiser_parts()?.parameters().into_iter().map(|s| s.key).collect();
    let [of_decoder, of_encoder] = [
        CodecParts::of(card)?.map_or_else(Vec::new, |codec| codec.parameters()),
        card.encoder()?.map_or_else(Vec::new, |encoder| encoder.parameters()),
    ];
    match of_decoder.into_iter().chain(of_encoder).find(|spec| own.contains(&spec.key)) {
        None => Ok(()),
        Some(spec) => {
            let message =
                format!("expected other names than the autoencoder's, which has the tensor \"{}\" too", spec.key);
            Err(Error::config(format!("{}: layers", shown(&card.path)), message))
        }
    }
}

impl FirstStage {
    /// Loads the autoencoder called `name`, or in that folder.
    ///
    /// # Errors
    /// Those of its card and weights; [`Error::Config`] if it has no encoder or is a model of several steps.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        let folder = find_model(name)?;
        let card = Card::read(&folder.join("card.toml"))?;
        let bad = |key: &str, message: &str| Error::config(format!("{}: {key}", shown(&card.path)), message);
        let layers = match (&card.raw.decoder, &card.raw.denoiser, &card.raw.graph) {
            (Some(decoder), ..) => decoder.layers.clone(),
            (None, None, None) => card.raw.layers.clone(),
            _ => {
                let message = "expected an autoencoder with layers, as the objective autoencoder makes one, or a model of two stages";
                return Err(bad("family", message));
            }
        };
        let Some(encoder) = card.encoder()? else {
            return Err(bad("encoder", "missing; pictures must be turned into codes"));
        };
        let weights = card_weights(&card, &folder)?;
        let parameters = Parameters::upload(&card_parameters(&card)?, &weights, device);
        Ok(Self { layers, encoder, weights, parameters, card })
    }

    /// SHA-256 of its weights.
    pub fn sha256(&self) -> &str {
        &self.card.raw.weights.sha256
    }

    /// Its tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&WeightTensor> {
        self.weights.get(name)
    }

    /// Whether the model that `start` is of has learnt the codes of this autoencoder.
    ///
    /// # Errors
    /// [`Error::Config`] if it has another encoder, or none.
    pub fn check_codes(&self, start: &Start) -> Result<()> {
        let own =
            |spec: &ParameterSpec| self.tensor(&spec.key).map(|tensor| tensor.values.as_slice()).unwrap_or_default();
        let same = |spec: &ParameterSpec| start.values(spec).is_some_and(|values| alike(&values, own(spec)));
        match self.encoder.parameters().iter().all(same) {
            true => Ok(()),
            false => {
                let message =
                    format!("its codes are not those of the autoencoder {}; train it on them", self.card.raw.id);
                Err(Error::config("start", message))
            }
        }
    }

    /// Completes a draft with the two networks, standardising codes by `[mean, std]` of each channel.
    pub fn complete(&self, draft: &mut RawCard, [mean, std]: [Vec<f32>; 2]) {
        draft.decoder = Some(RawDecoder { mean, std, layers: self.layers.clone() });
        draft.encoder = self.card.raw.encoder.clone();
    }

    /// Completes a draft in a preliminary way, so that it can be checked before the data is read.
    ///
    /// # Errors
    /// [`Error::Config`] where the draft's shapes or range are not the autoencoder's.
    pub fn try_on(&self, draft: &mut RawCard, place: &std::path::Path) -> Result<()> {
        let RawCard { latent, sample, .. } = &self.card.raw;
        let bad = |key: &str, expected: String| {
            let message = format!("expected {expected} as in the autoencoder {}", self.card.raw.id);
            Err(Error::config(format!("{}: {key}", shown(place)), message))
        };
        if draft.latent.shape != latent.shape {
            return bad("latent.shape", format!("{:?}", latent.shape));
        }
        if draft.sample.shape != sample.shape || draft.sample.range != sample.range {
            return bad("sample", format!("shape {:?} and range {:?}", sample.shape, sample.range));
        }
        if draft.decoder.is_some() || draft.encoder.is_some() {
            let message = "expected neither in a draft; both are taken from the autoencoder";
            return Err(Error::config(format!("{}: decoder, encoder", shown(place)), message));
        }
        let channels = latent.shape.first().copied().unwrap_or(1);
        self.complete(draft, [vec![0.0; channels], vec![1.0; channels]]);
        Ok(())
    }

    /// Encodes all pictures of the data. What is learnt of each is its code as it is `drawn`, or else the mean alone.
    ///
    /// # Errors
    /// [`Error::Input`] for a code that is not finite or a channel that does not vary; of the device, or a stop.
    pub fn encode(
        &self,
        data: &Dataset,
        drawn: bool,
        device: &Device,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<Codes> {
        let width = self.card.latent_width;
        let bar = progress.start("encoding pictures", data.count() as u64);
        let mut values = Vec::with_capacity(data.count() * 2 * width);
        let pixels: usize = self.card.sample_shape.iter().product();
        for first in (0..data.count()).step_by(BATCH) {
            cancel.check(|| "no step was taken yet".into())?;
            let part = first..(first + BATCH).min(data.count());
            let shown = part.clone().flat_map(|i| data.values(i, self.card.raw.sample.range)).collect();
            let codes = self.encoder.forward(rows(shown, pixels, device), &Pass::frozen(&self.parameters));
            values.extend(host(codes)?);
            bar.advance(part.len() as u64);
        }
        bar.finish();
        let channels = self.card.raw.latent.shape.first().copied().unwrap_or(1).max(1);
        let [mean, std] = moments(&values, width, channels);
        if let Some(channel) = (0..channels).find(|c| !(mean[*c].is_finite() && std[*c].is_finite() && std[*c] > 0.0)) {
            let message = format!("channel {channel} of the codes does not vary or is not finite");
            return Err(Error::input(&self.card.path, message));
        }
        // Means are standardised as drawn codes are: a channel that is nearly all noise would else be blown up.
        if !drawn {
            values.chunks_exact_mut(2 * width).for_each(|row| row[width..].fill(f32::NEG_INFINITY));
        }
        Ok(Codes { values, width, mean, std })
    }

    /// The second stage of a completed card.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn codec(&self, card: &Card, device: &Device) -> Result<Option<Codec>> {
        Ok(CodecParts::of(card)?.map(|parts| Codec::new(parts, self.parameters.clone(), device)))
    }

    /// The tables that a finished card gets below the draft.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn tables(card: &Card) -> Result<String> {
        #[derive(serde::Serialize)]
        struct Tables<'a> {
            decoder: &'a Option<RawDecoder>,
            encoder: &'a Option<RawEncoder>,
        }
        let tables = Tables { decoder: &card.raw.decoder, encoder: &card.raw.encoder };
        toml::to_string(&tables).map_err(|e| Error::Bug(format!("card: {e}")))
    }
}

/// Mean and standard deviation, for each channel, of codes drawn from means and log-variances `[n, 2·width]`.
fn moments(values: &[f32], width: usize, channels: usize) -> [Vec<f32>; 2] {
    let area = width / channels;
    let count = (values.len() / (2 * width) * area).max(1) as f64;
    let (mut sum, mut square) = (vec![0.0f64; channels], vec![0.0f64; channels]);
    for row in values.chunks_exact(2 * width) {
        let (mean, log_variance) = row.split_at(width);
        for (i, (m, v)) in mean.iter().zip(log_variance).enumerate() {
            let (m, v) = (f64::from(*m), f64::from(clamped(*v)).exp());
            sum[i / area] += m;
            square[i / area] += m * m + v;
        }
    }
    let mean: Vec<f64> = sum.iter().map(|s| s / count).collect();
    let std = square.iter().zip(&mean).map(|(s, m)| (s / count - m * m).max(0.0).sqrt() as f32).collect();
    [mean.into_iter().map(|m| m as f32).collect(), std]
}

/// A log-variance within the bounds that the autoencoder was trained with.
fn clamped(log_variance: f32) -> f32 {
    log_variance.clamp(super::LOG_VARIANCE[0] as f32, super::LOG_VARIANCE[1] as f32)
}

/// The standard deviation of a code's value; 0 for one that is not drawn.
fn deviation(log_variance: f32) -> f32 {
    if log_variance == f32::NEG_INFINITY { 0.0 } else { (0.5 * clamped(log_variance)).exp() }
}

/// The codes of a data set.
pub struct Codes {
    /// Means and log-variances, `[n, 2·width]`; −∞ of what is not drawn.
    values: Vec<f32>,
    width: usize,
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Codes {
    /// Mean and standard deviation of each channel.
    pub fn moments(&self) -> [Vec<f32>; 2] {
        [self.mean.clone(), self.std.clone()]
    }

    /// Standardised codes of the pictures `picked`, drawn with the noise of this step.
    pub fn batch(&self, picked: &[usize], seed: u64, step: u64, device: &Device) -> Rows {
        let noise = noise::normals(seed, step, Stream::Training, DRAW, picked.len() * self.width);
        let area = self.width / self.mean.len();
        let mut values = Vec::with_capacity(picked.len() * self.width);
        for (i, noise) in picked.iter().zip(noise.chunks_exact(self.width)) {
            let (mean, log_variance) = self.values[2 * i * self.width..2 * (i + 1) * self.width].split_at(self.width);
            values.extend(mean.iter().zip(log_variance).zip(noise).enumerate().map(|(j, ((m, v), e))| {
                let drawn = m + deviation(*v) * e;
                (drawn - self.mean[j / area]) / self.std[j / area]
            }));
        }
        rows(values, self.width, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_codes_are_standardised() {
        // Two channels of two values; means ±1 and ±3 around 2 and −1, log-variances ln 0.25 and ln 4.
        let row = |sign: f32| -> Vec<f32> {
            let mean = [2.0 + sign, 2.0 + sign, -1.0 + 3.0 * sign, -1.0 + 3.0 * sign];
            let log_variance = [0.25f32.ln(), 0.25f32.ln(), 4.0f32.ln(), 4.0f32.ln()];
            [mean, log_variance].concat()
        };
        let values = [row(1.0), row(-1.0)].concat();
        let [mean, std] = moments(&values, 4, 2);
        assert!((mean[0] - 2.0).abs() < 1e-6 && (mean[1] + 1.0).abs() < 1e-6, "{mean:?}");
        // Variances: 1 + 0.25 and 9 + 4.
        assert!((std[0] - 1.25f32.sqrt()).abs() < 1e-6 && (std[1] - 13f32.sqrt()).abs() < 1e-6, "{std:?}");
        let codes = Codes { values, width: 4, mean, std };
        let picked: Vec<usize> = (0..4000).map(|i| i % 2).collect();
        let drawn = host(codes.batch(&picked, 3, 0, &crate::device::open("cpu").unwrap().1)).unwrap();
        let n = drawn.len() as f64;
        let mean = drawn.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let square = drawn.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n;
        // Of means alone nothing is drawn.
        let mut codes = codes;
        codes.values.chunks_exact_mut(8).for_each(|row| row[4..].fill(f32::NEG_INFINITY));
        let still = host(codes.batch(&[0, 0], 3, 0, &crate::device::open("cpu").unwrap().1)).unwrap();
        let by_hand = [1.0 / 1.25f32.sqrt(), 3.0 / 13f32.sqrt()];
        for (i, v) in still.iter().enumerate() {
            assert!((v - by_hand[i % 4 / 2]).abs() < 1e-6, "{still:?}");
        }
        // Standard errors are below 1/√16000 and √2/√16000.
        assert!(mean.abs() < 5.0 / n.sqrt() && (square - 1.0).abs() < 7.0 / n.sqrt(), "{mean} {square}");
    }
}
