//! `isoline lid doctor`: Stein's identity as a check of a denoiser. At x + σ·noise the mean of FLIPD is the number of
//! pixels, whatever the data; a network that misses it at a noise level is miscalibrated there.

use super::{Context, Pictures, check_sigma, diffusion};
use crate::cli::output;
use crate::diffusion::flipd;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::noise::{Stream, normals};
use crate::tensors::rows;
use serde_json::json;

/// Arguments of `isoline lid doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Diffusion model, name or path
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    pictures: Pictures,
    /// Noise levels
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0.05,0.2,1,5")]
    sigma: Vec<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Largest deviation from the number of pixels, relative to it, that passes.
const BAR: f64 = 0.03;

/// Measures and prints one line per noise level.
///
/// # Errors
/// Those of the model and the device.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    if args.sigma.is_empty() {
        return Err(Error::config("--sigma", "expected at least one noise level"));
    }
    let (_, device) = context.open_device()?;
    let sampler = diffusion(&args.model, &device)?;
    let d = sampler.spec().latent_width;
    let seeds = args.pictures.seeds()?;
    let clean = args.pictures.values(&sampler)?;
    let mut lines = vec![output::row(["sigma", "mean", "stderr", "pixels", "deviation", "verdict"])];
    let mut report = Vec::new();
    for (level, sigma) in args.sigma.iter().enumerate() {
        check_sigma(&sampler, *sigma)?;
        context.cancel.check(|| "nothing was written".into())?;
        let noise = seeds.iter().flat_map(|s| normals(0, *s, Stream::Probe, 2 + level as u32, d));
        let noised = clean.iter().zip(noise).map(|(x, e)| x + (*sigma as f32) * e).collect();
        let found = flipd(sampler.denoiser(), &rows(noised, d, &device), *sigma, args.pictures.trace())?;
        let n = found.len() as f64;
        let mean = found.iter().map(|f| f.dimension().value).sum::<f64>() / n;
        let spread = found.iter().map(|f| (f.dimension().value - mean).powi(2)).sum::<f64>();
        let stderr = if n > 1.0 { (spread / (n - 1.0) / n).sqrt() } else { f64::NAN };
        let deviation = mean / d as f64 - 1.0;
        let verdict = if deviation.abs() <= BAR { "ok" } else { "off" };
        lines.push(output::row([
            &format!("{sigma}"),
            &format!("{mean:.2}"),
            &format!("{stderr:.2}"),
            &d.to_string(),
            &format!("{:+.2} %", 100.0 * deviation),
            verdict,
        ]));
        report.push(json!({"sigma": sigma, "mean": mean, "stderr": stderr.is_finite().then_some(stderr), "pixels": d,
            "deviation": deviation, "ok": verdict == "ok"}));
    }
    if args.json {
        return output::print_json(&json!({"model": args.model, "bar": BAR, "levels": report}));
    }
    output::print(&output::columns(&lines))
}
