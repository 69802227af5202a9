//! `lid curve`: dimension over noise levels, and the knee of the curve.

use super::super::write_text;
use super::{Pictures, check_sigma, diffusion, grid};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::flipd;
use crate::diffusion::lid::knee;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::progress::Progress;
use crate::render::plot;
use crate::table::{Column, Table, Values, write_csv};
use crate::tensors::rows;
use serde::Serialize;
use std::path::Path;

/// Curves that are asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Curve {
    /// Diffusion model, name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The pictures.
    #[command(flatten)]
    pub pictures: Pictures,
    /// Least and greatest noise level [default: 0.02,10, or what the model knows]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub sigma: Vec<f64>,
    /// Noise levels between them
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub points: usize,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct CurveReport {
    /// For each picture, by seed or index in the set, the σ at the knee of its curve, if there is one.
    pub knees: Vec<(u64, Option<f64>)>,
    /// One point per picture and noise level: picture by picture, each from the lowest level.
    pub points: Vec<CurvePoint>,
}

/// The dimension at one picture and noise level.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CurvePoint {
    /// Seed, or index in the set.
    pub seed: u64,
    /// The noise level σ.
    pub sigma: f64,
    /// The estimated dimension.
    pub dimension: f64,
    /// Standard error of the dimension, from the probes.
    pub stderr: f64,
    /// Trace of the denoiser's Jacobian.
    pub trace: f64,
    /// ‖D(x) − x‖²/σ²
    pub residual: f64,
}

impl Curve {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        match (3..=512).contains(&self.points) {
            true => Ok(()),
            false => Err(Error::key("points", format!("expected 3 to 512, found {}", self.points))),
        }
    }

    /// Measures the curves.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the model, the pictures and the device, or a stop.
    pub fn run(&self, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<CurveReport> {
        self.check()?;
        let sampler = diffusion(&self.model, device)?;
        let [low, high] = sampler.denoiser().range();
        let (from, to) = match self.sigma[..] {
            [] => (low.max(0.02), high.min(10.0)),
            [a, b] if a > 0.0 && a < b => (a, b),
            _ => return Err(Error::key("sigma", format!("expected A,B with 0 < A < B, found {:?}", self.sigma))),
        };
        check_sigma(&sampler, from)?;
        check_sigma(&sampler, to)?;
        let seeds = self.pictures.seeds()?;
        let x = rows(self.pictures.values(&sampler)?, sampler.spec().latent_width, device);
        let grid = grid(from, to, self.points);
        let bar = progress.start("measuring", grid.len() as u64);
        let mut levels = Vec::new();
        for sigma in &grid {
            cancel.check(|| "nothing was written".into())?;
            levels.push(flipd(sampler.denoiser(), &x, *sigma, self.pictures.trace())?);
            bar.advance(1);
        }
        bar.finish();
        let point = |i: usize, j: usize| {
            let (found, dimension) = (&levels[j][i], levels[j][i].dimension());
            CurvePoint {
                seed: seeds[i],
                sigma: grid[j],
                dimension: dimension.value,
                stderr: dimension.stderr,
                trace: found.trace.value,
                residual: found.residual,
            }
        };
        let points: Vec<CurvePoint> =
            (0..seeds.len()).flat_map(|i| (0..grid.len()).map(move |j| (i, j))).map(|(i, j)| point(i, j)).collect();
        let logs: Vec<f64> = grid.iter().map(|s| s.log10()).collect();
        let knee_of = |curve: &[CurvePoint]| {
            let dimensions: Vec<f64> = curve.iter().map(|p| p.dimension).collect();
            (curve[0].seed, knee(&logs, &dimensions).map(|k| 10f64.powf(k)))
        };
        Ok(CurveReport { knees: points.chunks(grid.len()).map(knee_of).collect(), points })
    }
}

impl CurveReport {
    /// A table with one row per point.
    ///
    /// # Errors
    /// When the columns do not make a valid table.
    pub fn table(&self) -> Result<Table> {
        let column = |name: &str, f: fn(&CurvePoint) -> f64| {
            let finite = |p| Some(f(p)).filter(|v| v.is_finite());
            Column::new(name, Values::F64(self.points.iter().map(finite).collect()))
        };
        Table::new(vec![
            Column::new("seed", Values::U64(self.points.iter().map(|p| Some(p.seed)).collect())),
            column("sigma", |p| p.sigma),
            column("dimension", |p| p.dimension),
            column("stderr", |p| p.stderr),
            column("trace", |p| p.trace),
            column("residual", |p| p.residual),
        ])
    }

    /// Writes `curve.csv`, and `curve.svg` with the first eight pictures.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let levels = self.points.len() / self.knees.len().max(1);
        let curves: Vec<(String, Vec<(f64, f64)>)> = self
            .points
            .chunks(levels.max(1))
            .take(8)
            .map(|curve| (format!("seed {}", curve[0].seed), curve.iter().map(|p| (p.sigma, p.dimension)).collect()))
            .collect();
        let lines: Vec<(&str, Vec<(f64, f64)>)> = curves.iter().map(|(n, c)| (n.as_str(), c.clone())).collect();
        let svg = plot::lines("local intrinsic dimension", "sigma", "dimension", &lines, true)?;
        write_text(folder, "curve.csv", &write_csv(&self.table()?))?;
        write_text(folder, "curve.svg", &svg)
    }
}
