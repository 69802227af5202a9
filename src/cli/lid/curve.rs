//! `isoline lid curve`

use super::{Context, Pictures, check_sigma, diffusion};
use crate::cli::output;
use crate::diffusion::flipd;
use crate::diffusion::lid::knee;
use crate::error::{Error, Result, shown};
use crate::generator::Generator;
use crate::render::plot;
use crate::store;
use crate::table::{Column, Table, Values, write_csv};
use crate::tensors::rows;
use std::path::PathBuf;

/// Arguments of `isoline lid curve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Diffusion model, name or path
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    pictures: Pictures,
    /// Least and greatest noise level [default: 0.02,10, or what the model knows]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    sigma: Vec<f64>,
    /// Noise levels between them
    #[arg(long, value_name = "N", default_value_t = 16)]
    points: usize,
    /// Write curve.csv and curve.svg here
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
}

/// `points` noise levels, even in ln σ.
pub fn grid(low: f64, high: f64, points: usize) -> Vec<f64> {
    let part = |i: usize| i as f64 / (points - 1) as f64;
    (0..points).map(|i| (low.ln() + (high / low).ln() * part(i)).exp()).collect()
}

/// Measures and prints one line per picture and noise level.
///
/// # Errors
/// Those of the model, the pictures, the device.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    if !(3..=512).contains(&args.points) {
        return Err(Error::config("--points", format!("expected 3 to 512, found {}", args.points)));
    }
    let (_, device) = context.open_device()?;
    let sampler = diffusion(&args.model, &device)?;
    let [low, high] = sampler.denoiser().range();
    let (from, to) = match args.sigma[..] {
        [] => (low.max(0.02), high.min(10.0)),
        [a, b] if a > 0.0 && a < b => (a, b),
        _ => return Err(Error::config("--sigma", format!("expected A,B with 0 < A < B, found {:?}", args.sigma))),
    };
    check_sigma(&sampler, from)?;
    check_sigma(&sampler, to)?;
    let seeds = args.pictures.seeds()?;
    let x = rows(args.pictures.values(&sampler)?, sampler.spec().latent_width, &device);
    let grid = grid(from, to, args.points);
    let bar = context.progress.start("measuring", grid.len() as u64);
    let mut levels = Vec::new();
    for sigma in &grid {
        context.cancel.check(|| "nothing was written".into())?;
        levels.push(flipd(sampler.denoiser(), &x, *sigma, args.pictures.trace())?);
        bar.advance(1);
    }
    bar.finish();
    let each = || (0..seeds.len()).flat_map(|i| (0..grid.len()).map(move |j| (i, j)));
    let column = |name: &str, f: &dyn Fn(usize, usize) -> f64| {
        Column::new(name, Values::F64(each().map(|(i, j)| Some(f(i, j)).filter(|v| v.is_finite())).collect()))
    };
    let table = Table::new(vec![
        Column::new("seed", Values::I64(each().map(|(i, _)| i64::try_from(seeds[i]).ok()).collect())),
        column("sigma", &|_, j| grid[j]),
        column("dimension", &|i, j| levels[j][i].dimension().value),
        column("stderr", &|i, j| levels[j][i].dimension().stderr),
        column("trace", &|i, j| levels[j][i].trace.value),
        column("residual", &|i, j| levels[j][i].residual),
    ])?;
    output::print(&write_csv(&table))?;
    let logs: Vec<f64> = grid.iter().map(|s| s.log10()).collect();
    for (i, seed) in seeds.iter().enumerate() {
        let curve: Vec<f64> = levels.iter().map(|l| l[i].dimension().value).collect();
        let at = knee(&logs, &curve).map_or("no knee".to_owned(), |k| format!("knee at sigma {:.4}", 10f64.powf(k)));
        context.say(&format!("seed {seed}: {at}"));
    }
    if let Some(outdir) = &args.outdir {
        let names: Vec<String> = seeds.iter().take(8).map(|seed| format!("seed {seed}")).collect();
        let curve = |i: usize| grid.iter().zip(&levels).map(|(s, l)| (*s, l[i].dimension().value)).collect();
        let series: Vec<(&str, Vec<(f64, f64)>)> =
            names.iter().enumerate().map(|(i, name)| (name.as_str(), curve(i))).collect();
        let svg = plot::lines("local intrinsic dimension", "sigma", "dimension", &series, true)?;
        store::write_atomic(&outdir.join("curve.csv"), write_csv(&table).as_bytes())?;
        store::write_atomic(&outdir.join("curve.svg"), svg.as_bytes())?;
        context.say(&format!("written: {}", shown(outdir)));
    }
    Ok(())
}
