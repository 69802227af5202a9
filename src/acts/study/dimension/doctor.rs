//! `lid doctor`: checks a denoiser by Stein's identity. At x + σ·noise the mean of FLIPD is the number of pixels,
//! whatever the data; a network that misses it at some noise level is miscalibrated there.

use super::{Pictures, check_sigma, diffusion};
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
    /// One entry per noise level.
    pub levels: Vec<DoctorLevel>,
}

/// The denoiser at one noise level.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DoctorLevel {
    /// The noise level σ.
    pub sigma: f64,
    /// Mean of FLIPD.
    pub mean: f64,
    /// Standard error of the mean; NaN if there is only one picture.
    pub stderr: f64,
    /// What the mean must be.
    pub pixels: usize,
    /// mean/pixels − 1
    pub deviation: f64,
    /// Whether the deviation passes.
    pub ok: bool,
}

impl DoctorLevel {
    fn of(sigma: f64, found: &[Flipd], pixels: usize) -> Self {
        let n = found.len() as f64;
        let mean = found.iter().map(|f| f.dimension().value).sum::<f64>() / n;
        let spread = found.iter().map(|f| (f.dimension().value - mean).powi(2)).sum::<f64>();
        let stderr = if n > 1.0 { (spread / (n - 1.0) / n).sqrt() } else { f64::NAN };
        let deviation = mean / pixels as f64 - 1.0;
        Self { sigma, mean, stderr, pixels, deviation, ok: deviation.abs() <= BAR }
    }
}

impl Doctor {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        match self.sigma.is_empty() {
            true => Err(Error::key("sigma", "expected at least one noise level")),
            false => Ok(()),
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
        let mut levels = Vec::new();
        for (level, sigma) in self.sigma.iter().enumerate() {
            check_sigma(&sampler, *sigma)?;
            cancel.check(|| "nothing was written".into())?;
            let noise = seeds.iter().flat_map(|s| normals(0, *s, Stream::Probe, 2 + level as u32, d));
            let noised = clean.iter().zip(noise).map(|(x, e)| x + (*sigma as f32) * e).collect();
            let found = flipd(sampler.denoiser(), &rows(noised, d, device), *sigma, self.pictures.trace())?;
            levels.push(DoctorLevel::of(*sigma, &found, d));
        }
        Ok(DoctorReport { model: self.model.clone(), bar: BAR, levels })
    }
}

impl DoctorReport {
    /// The printed table, header first.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let line = |l: &DoctorLevel| {
            row([
                &format!("{}", l.sigma),
                &format!("{:.2}", l.mean),
                &format!("{:.2}", l.stderr),
                &l.pixels.to_string(),
                &format!("{:+.2} %", 100.0 * l.deviation),
                if l.ok { "ok" } else { "off" },
            ])
        };
        let head = row(["sigma", "mean", "stderr", "pixels", "deviation", "verdict"]);
        [head].into_iter().chain(self.levels.iter().map(line)).collect()
    }
}
