//! `lid doctor`: checks a denoiser, at noised pictures and at clean ones.
//!
//! *Noised*, by Stein's identity: at x + σ·noise the mean of FLIPD is the number of pixels, whatever the data; a network
//! that misses it at some noise level is miscalibrated there. *Clean*, as `lid estimate` uses it: for every distribution of
//! data the trace of the denoiser's Jacobian is that of a covariance over σ² and not below 0, and a dimension lies between
//! 0 and the number of pixels. A network that has never seen pictures without noise may pass the first and fail the second.

use super::{Pictures, diffusion};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::{Flipd, flipd};
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::noise::{Stream, normals};
use crate::render::page::row;
use crate::tensors::rows;
use serde::Serialize;

/// A check that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Doctor {
    /// Diffusion model, name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The pictures.
    #[command(flatten)]
    pub pictures: Pictures,
    /// Noise levels
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0.05,0.2,1,5")]
    pub sigma: Vec<f64>,
    /// Noise levels at which clean pictures are checked; isoline lid estimate uses 0.1
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0.05,0.1,0.2")]
    pub clean_sigma: Vec<f64>,
}

/// Largest relative deviation from the number of pixels that still passes.
const BAR: f64 = 0.03;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct DoctorReport {
    /// The model as the user named it.
    pub model: String,
    /// Largest deviation that passes.
    pub bar: f64,
    /// One entry per noise level of noised pictures.
    pub levels: Vec<DoctorLevel>,
    /// One entry per noise level of clean pictures.
    pub clean: Vec<CleanLevel>,
}

/// The denoiser at one noise level, at pictures with that much noise.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DoctorLevel {
    /// The noise level σ.
    pub sigma: f64,
    /// Mean of FLIPD.
    pub mean: f64,
    /// Standard error of the mean; unknown if there is only one picture.
    pub stderr: Option<f64>,
    /// What the mean must be.
    pub pixels: usize,
    /// mean/pixels − 1
    pub deviation: f64,
    /// Whether the deviation passes.
    pub ok: bool,
}

/// The denoiser at one noise level, at clean pictures.
#[derive(Clone, Debug, Serialize)]
pub struct CleanLevel {
    /// The noise level σ.
    pub sigma: f64,
    /// Mean of FLIPD.
    pub mean: f64,
    /// Standard error of the mean; unknown if there is only one picture.
    pub stderr: Option<f64>,
    /// The least trace of the Jacobian.
    pub least_trace: f64,
    /// Pictures whose value is no dimension.
    pub faults: usize,
    /// What is wrong with the first of them.
    pub fault: Option<String>,
    /// Whether there is none.
    pub ok: bool,
}

/// Mean and its standard error.
fn mean(found: &[Flipd]) -> (f64, Option<f64>) {
    let n = found.len() as f64;
    let mean = found.iter().map(|f| f.dimension().value).sum::<f64>() / n;
    let spread = found.iter().map(|f| (f.dimension().value - mean).powi(2)).sum::<f64>();
    (mean, (n > 1.0).then(|| (spread / (n - 1.0) / n).sqrt()))
}

impl DoctorLevel {
    fn of(sigma: f64, found: &[Flipd], pixels: usize) -> Self {
        let (mean, stderr) = mean(found);
        let deviation = mean / pixels as f64 - 1.0;
        Self { sigma, mean, stderr, pixels, deviation, ok: deviation.abs() <= BAR }
    }
}

impl CleanLevel {
    fn of(sigma: f64, found: &[Flipd], pixels: usize) -> Self {
        let (mean, stderr) = mean(found);
        let least_trace = found.iter().map(|f| f.trace.value).fold(f64::INFINITY, f64::min);
        let faults: Vec<_> = found.iter().filter_map(|f| f.fault(pixels)).collect();
        let fault = faults.first().map(ToString::to_string);
        Self { sigma, mean, stderr, least_trace, faults: faults.len(), fault, ok: faults.is_empty() }
    }
}

impl Doctor {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        match [("sigma", &self.sigma), ("clean_sigma", &self.clean_sigma)].iter().find(|(_, levels)| levels.is_empty())
        {
            Some((key, _)) => Err(Error::key(*key, "expected at least one noise level")),
            None => Ok(()),
        }
    }

    /// Checks the denoiser at each noise level.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the model and the device, or a stop.
    pub fn run(&self, device: &Device, cancel: &Cancel) -> Result<DoctorReport> {
        self.check()?;
        let sampler = diffusion(&self.model, device)?;
        let d = sampler.spec().latent_width;
        let seeds = self.pictures.seeds()?;
        let clean = self.pictures.values(&sampler)?;
        let at = |pictures: Vec<f32>, sigma: f64| -> Result<Vec<Flipd>> {
            sampler.check_level(sigma)?;
            cancel.check(|| "nothing was written".into())?;
            flipd(sampler.posterior_mean("model")?, &rows(pictures, d, device), sigma, self.pictures.trace())
        };
        let noised = |(level, sigma): (usize, &f64)| {
            let noise = seeds.iter().flat_map(|s| normals(0, *s, Stream::Probe, 2 + level as u32, d));
            let noised = clean.iter().zip(noise).map(|(x, e)| x + (*sigma as f32) * e).collect();
            Ok(DoctorLevel::of(*sigma, &at(noised, *sigma)?, d))
        };
        let levels = self.sigma.iter().enumerate().map(noised).collect::<Result<_>>()?;
        let clean = self.clean_sigma.iter().map(|sigma| Ok(CleanLevel::of(*sigma, &at(clean.clone(), *sigma)?, d)));
        Ok(DoctorReport { model: self.model.clone(), bar: BAR, levels, clean: clean.collect::<Result<_>>()? })
    }
}

impl DoctorReport {
    /// The printed table, header first.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let error = |e: Option<f64>| e.map_or("unknown: one picture".to_owned(), |e| format!("{e:.2}"));
        let verdict = |ok: bool| if ok { "ok" } else { "off" };
        let noised = |l: &DoctorLevel| {
            let off = format!("{:+.2} % of {} pixels", 100.0 * l.deviation, l.pixels);
            row(["noised", &l.sigma.to_string(), &format!("{:.2}", l.mean), &error(l.stderr), &off, verdict(l.ok)])
        };
        let clean = |l: &CleanLevel| {
            let fault = l.fault.as_ref().map(|f| format!("; {} of the pictures: {f}", l.faults)).unwrap_or_default();
            let found = format!("least trace {:.2}{fault}", l.least_trace);
            row(["clean", &l.sigma.to_string(), &format!("{:.2}", l.mean), &error(l.stderr), &found, verdict(l.ok)])
        };
        let head = row(["pictures", "sigma", "mean", "stderr", "found", "verdict"]);
        let lines = self.levels.iter().map(noised).chain(self.clean.iter().map(clean));
        [head].into_iter().chain(lines).collect()
    }

    /// What follows from the verdicts, in one line.
    pub fn conclusion(&self) -> String {
        let off = |levels: Vec<(f64, bool)>| {
            let off: Vec<String> = levels.iter().filter(|l| !l.1).map(|l| l.0.to_string()).collect();
            if off.is_empty() { "ok".to_owned() } else { format!("off at sigma {}", off.join(", ")) }
        };
        let noised = off(self.levels.iter().map(|l| (l.sigma, l.ok)).collect());
        let clean = off(self.clean.iter().map(|l| (l.sigma, l.ok)).collect());
        let so = if clean == "ok" { "" } else { ", so that isoline lid estimate and curve say nothing there" };
        format!("at noised pictures {noised}; at clean ones {clean}{so}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::Estimate;

    fn at(trace: f64, residual: f64, stderr: f64) -> Flipd {
        Flipd { trace: Estimate { value: trace, stderr }, residual }
    }

    #[test]
    fn clean_pictures_fail_where_a_value_is_no_dimension() {
        let good = [at(20.0, 5.0, 1.0), at(-2.0, 5.0, 1.0)];
        assert!(CleanLevel::of(0.1, &good, 784).ok);
        for (bad, why) in [
            (at(-51.0, 65.5, 0.7), "trace below 0"),
            (at(-80.0, 40.0, 0.8), "below 0, which"),
            (at(500.0, 300.0, 1.0), "above the number"),
            (at(f64::NAN, 1.0, 0.0), "not finite"),
        ] {
            let level = CleanLevel::of(0.1, &[good[0], bad], 784);
            assert!(
                !level.ok && level.faults == 1 && level.fault.as_ref().is_some_and(|f| f.starts_with(why)),
                "{level:?}"
            );
        }
    }

    #[test]
    fn one_picture_has_no_known_standard_error() {
        let one = DoctorLevel::of(1.0, &[at(790.0, 0.0, 1.0)], 784);
        assert_eq!(one.stderr, None);
        let report = DoctorReport { model: "m".into(), bar: BAR, levels: vec![one], clean: Vec::new() };
        assert_eq!(report.rows()[1][3], "unknown: one picture");
        assert_eq!(mean(&[at(1.0, 0.0, 0.0), at(3.0, 0.0, 0.0)]), (2.0, Some(1.0)));
    }
}
