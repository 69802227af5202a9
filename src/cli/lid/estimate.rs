//! `isoline lid estimate`

use super::{Context, Pictures, check_sigma, diffusion, pictures};
use crate::cli::output;
use crate::diffusion::lid::{Cloud, METHODS, knee};
use crate::diffusion::{Estimate, flipd};
use crate::error::{Error, Result, did_you_mean};
use crate::generator::{self, Generator, Sampler, find_model};
use crate::geometry::{estimator, spectral_dimension};
use crate::noise::{self, Stream};
use crate::tensors::rows;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `isoline lid estimate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    pictures: Pictures,
    /// flipd (diffusion models), jacobian (any generator: the dimension of its local linear map), or one of isoline list
    /// lid-methods
    #[arg(long, value_name = "NAME", default_value = "flipd")]
    method: String,
    /// Noise level of flipd and scale of jacobian, or auto: each picture's own knee over a grid
    #[arg(long, value_name = "S", default_value = "0.1")]
    sigma: String,
    /// Points for the methods without a model: an IDX file or a folder; the first --count of them
    #[arg(long, value_name = "PATH")]
    reference: Option<PathBuf>,
    /// Pictures of --reference that are used
    #[arg(long, value_name = "N", default_value_t = 2000)]
    count: usize,
    /// Setting of a method without a model: neighbours, or delta of cfdm
    #[arg(long, value_name = "X")]
    setting: Option<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// Those of the model, the pictures, the device.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let seeds = args.pictures.seeds()?;
    let (_, device) = context.open_device()?;
    let found: Vec<Estimate> = match args.method.as_str() {
        "flipd" => by_flipd(args, &diffusion(&args.model, &device)?)?,
        "jacobian" => by_jacobian(args, &*generator::load(&find_model(&args.model)?, &device)?)?,
        _ => by_points(args, &*generator::load(&find_model(&args.model)?, &device)?)?,
    };
    if args.json {
        let rows: Vec<_> = seeds
            .iter()
            .zip(&found)
            .map(|(seed, e)| json!({"seed": seed, "dimension": finite(e.value), "stderr": finite(e.stderr)}))
            .collect();
        return output::print_json(&json!({"model": args.model, "method": args.method, "samples": rows}));
    }
    let mut lines = vec![output::row(["seed", "dimension", "stderr"])];
    lines.extend(
        seeds
            .iter()
            .zip(&found)
            .map(|(seed, e)| output::row([&seed.to_string(), &format!("{:.3}", e.value), &format!("{:.3}", e.stderr)])),
    );
    output::print(&output::columns(&lines))
}

fn finite(v: f64) -> Option<f64> {
    v.is_finite().then_some(v)
}

fn sigma(args: &Args) -> Result<Option<f64>> {
    if args.sigma == "auto" {
        return Ok(None);
    }
    let bad =
        || Error::config("--sigma", format!("expected a number above 0 or auto, found {}", args.sigma.escape_debug()));
    args.sigma.parse().ok().filter(|s: &f64| *s > 0.0 && s.is_finite()).map(Some).ok_or_else(bad)
}

fn by_flipd(args: &Args, sampler: &Sampler) -> Result<Vec<Estimate>> {
    let d = sampler.spec().latent_width;
    let x = rows(args.pictures.values(sampler)?, d, sampler.device());
    let at = |sigma: f64| -> Result<Vec<Estimate>> {
        check_sigma(sampler, sigma)?;
        let found = flipd(sampler.denoiser(), &x, sigma, args.pictures.trace())?;
        Ok(found.into_iter().map(|f| f.dimension()).collect())
    };
    if let Some(sigma) = sigma(args)? {
        return at(sigma);
    }
    let [low, high] = sampler.config().sigma;
    let grid = super::curve::grid(low, high.min(10.0), 24);
    let curves = grid.iter().map(|s| at(*s)).collect::<Result<Vec<_>>>()?;
    let logs: Vec<f64> = grid.iter().map(|s| s.ln()).collect();
    let own = |i: usize| {
        let curve: Vec<f64> = curves.iter().map(|c| c[i].value).collect();
        // A curve without a knee is read at its least noise level; its dimension there is the ambient one or nonsense.
        let at = knee(&logs, &curve).and_then(|k| logs.iter().position(|l| *l == k)).unwrap_or(0);
        curves[at][i]
    };
    Ok((0..curves[0].len()).map(own).collect())
}

fn by_jacobian(args: &Args, generator: &dyn Generator) -> Result<Vec<Estimate>> {
    if args.pictures.pictures.is_some() {
        return Err(Error::config("--pictures", "jacobian is measured at latents; give --seeds"));
    }
    let Some(scale) = sigma(args)? else {
        return Err(Error::config("--sigma", "jacobian needs a number; its curve has no noise"));
    };
    let d = generator.spec().latent_width;
    let z: Vec<f32> = args.pictures.seeds()?.iter().flat_map(|s| noise::normals(0, *s, Stream::Latent, 0, d)).collect();
    let spectra = estimator("exact")?.spectra(generator, &z)?;
    let dimension = |s: &crate::geometry::Spectrum| spectral_dimension(&s.singular_values, &s.rotated_latent, scale);
    Ok(spectra.iter().map(|s| Estimate { value: s.as_ref().map_or(f64::NAN, dimension), stderr: 0.0 }).collect())
}

fn by_points(args: &Args, generator: &dyn Generator) -> Result<Vec<Estimate>> {
    let Some(row) = METHODS.iter().find(|m| m.name == args.method) else {
        let known: Vec<&str> = ["flipd", "jacobian"].into_iter().chain(METHODS.iter().map(|m| m.name)).collect();
        let near = did_you_mean(&args.method, known);
        return Err(Error::config("--method", format!("no such method \"{}\"{near}", args.method.escape_debug())));
    };
    let Some(path) = &args.reference else {
        return Err(Error::config("--reference", format!("missing; {} measures among other pictures", args.method)));
    };
    let spec = generator.spec();
    let set = pictures(path, spec.sample_shape)?;
    let width = spec.sample_shape.iter().product();
    let take = |i: usize| set.values(i, spec.range).map(f64::from).collect::<Vec<_>>();
    let points = Cloud { values: (0..set.count().min(args.count)).flat_map(take).collect(), width };
    let setting = args.setting.unwrap_or(row.setting.1[0]);
    if row.setting.0 == "k" && !(2.0..=points.len().saturating_sub(1) as f64).contains(&setting) {
        let message = format!("expected 2 to {} neighbours, found {setting}", points.len().saturating_sub(1));
        return Err(Error::config("--setting", message));
    }
    let queries = Cloud { values: args.pictures.values(generator)?.into_iter().map(f64::from).collect(), width };
    let found = (row.estimate)(&points, &queries, setting);
    Ok(found.into_iter().map(|value| Estimate { value, stderr: 0.0 }).collect())
}
