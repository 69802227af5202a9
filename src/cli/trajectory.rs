//! `isoline trajectory`: the local geometry of a diffusion model's denoiser along the way from noise to picture.

use super::{Context, output};
use crate::diffusion::{Sampling, State, solvers::solver};
use crate::error::{Error, Result, shown};
use crate::generator::{AtSigma, Generator, Sampler, find_model};
use crate::geometry::{DESCRIPTORS, LocalGeometry, Spectrum, estimator, model_rank};
use crate::noise::{self, Stream};
use crate::run::parse_seeds;
use crate::store;
use crate::table::{Column, Table, Values, write_csv, write_parquet};
use crate::tensors::{host, rows};
use std::path::PathBuf;

/// Arguments of `isoline trajectory`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Diffusion model, name or path
    #[arg(value_name = "MODEL")]
    model: String,
    /// Seeds, as in 0-63,99
    #[arg(long, value_name = "LIST", default_value = "0-3")]
    seeds: String,
    /// Noise levels [default: those of the model's sampler]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    sigma: Vec<f64>,
    /// Way to the spectrum; see isoline list estimators
    #[arg(long, value_name = "NAME", default_value = "exact")]
    estimator: String,
    /// Class of all samples, for a model that knows classes
    #[arg(long, value_name = "N")]
    class: Option<usize>,
    /// Write trajectory.parquet and trajectory.csv here
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
}

/// One level of all seeds: σ, the states there, their spectra.
struct Level {
    sigma: f64,
    states: Vec<f32>,
    spectra: Vec<Option<Spectrum>>,
}

/// Measures and prints one line per seed and level: descriptors of the map x_σ → x₀ at the sampler's own x_σ.
///
/// # Errors
/// Those of the model, the estimator and the disk.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let seeds = parse_seeds(&args.seeds).map_err(|m| Error::config("--seeds", m))?;
    let (_, device) = context.open_device()?;
    let sampler = Sampler::load(&find_model(&args.model)?, &device)?.with_class(args.class)?;
    let nodes = &sampler.sampling().sigmas;
    let mut wanted = if args.sigma.is_empty() { nodes[..nodes.len() - 1].to_vec() } else { args.sigma.clone() };
    wanted.sort_by(|a, b| b.total_cmp(a));
    if let Some(beyond) = wanted.iter().find(|s| !(**s > 0.0 && **s <= nodes[0])) {
        let message = format!("expected levels above 0 and up to the sampler's {}, found {beyond}", nodes[0]);
        return Err(Error::config("--sigma", message));
    }
    let d = sampler.spec().latent_width;
    let z: Vec<f32> = seeds.iter().flat_map(|s| noise::normals(0, *s, Stream::Latent, 0, d)).collect();
    let bar = context.progress.start("measuring", wanted.len() as u64);
    let estimator = estimator(&args.estimator)?;
    let mut levels = Vec::new();
    for sigma in wanted {
        context.cancel.check(|| "nothing was written".into())?;
        let states = state_at(&sampler, &z, sigma)?;
        let spectra = estimator.spectra(&AtSigma::new(&sampler, sigma)?, &states)?;
        levels.push(Level { sigma, states, spectra });
        bar.advance(1);
    }
    bar.finish();
    let table = table(&seeds, &levels, d)?;
    output::print(&write_csv(&table))?;
    if let Some(outdir) = &args.outdir {
        let metadata: Vec<(String, String)> = [
            ("model", sampler.spec().id.as_str()),
            ("model_sha256", sampler.model_sha256()),
            ("estimator", estimator.name()),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .to_vec();
        store::write_atomic(&outdir.join("trajectory.parquet"), &write_parquet(&table, &metadata)?)?;
        store::write_atomic(&outdir.join("trajectory.csv"), write_csv(&table).as_bytes())?;
        context.say(&format!("written: {}", shown(outdir)));
    }
    Ok(())
}

/// The states at σ on the sampler's own way: its levels above σ, then σ.
fn state_at(sampler: &Sampler, z: &[f32], sigma: f64) -> Result<Vec<f32>> {
    let config = sampler.config();
    let solver = solver(&config.solver, config.solver_settings.clone()).map_err(|e| Error::Bug(e.to_string()))?;
    // A level that is a node up to rounding is that node.
    let mut sigmas: Vec<f64> =
        sampler.sampling().sigmas.iter().copied().filter(|s| *s > sigma * (1.0 + 1e-9)).collect();
    sigmas.push(sigma);
    let d = sampler.spec().latent_width;
    let start = State::plain(rows(z.to_vec(), d, sampler.device()));
    let first = sampler.sampling().sigmas[0];
    if sigmas.len() == 1 {
        return host(start.value * first);
    }
    let way = Sampling::new(solver, sigmas);
    let samples = vec![0; z.len() / d];
    host(sampler.sample(start, &samples, &way, &mut |_, _| Ok(()))?.value)
}

fn table(seeds: &[u64], levels: &[Level], d: usize) -> Result<Table> {
    let each = || (0..seeds.len()).flat_map(|i| levels.iter().map(move |l| (i, l)));
    // ψ_k over the directions that are strong in all states of one level: levels have ranks of their own.
    let rank =
        |l: &Level| model_rank(&l.spectra.iter().flatten().map(|s| s.singular_values.clone()).collect::<Vec<_>>());
    let ranks: Vec<usize> = levels.iter().map(rank).collect();
    let k = |l: &Level| levels.iter().zip(&ranks).find(|(m, _)| m.sigma == l.sigma).map_or(0, |m| *m.1);
    let mut columns = vec![
        Column::new("seed", Values::I64(each().map(|(i, _)| i64::try_from(seeds[i]).ok()).collect())),
        Column::new("sigma", Values::F64(each().map(|(_, l)| Some(l.sigma)).collect())),
        Column::new("k", Values::I64(each().map(|(_, l)| i64::try_from(k(l)).ok()).collect())),
    ];
    // The likelihood of a prior draw means nothing at a noised picture.
    for descriptor in DESCRIPTORS.iter().filter(|d| d.name != "log_likelihood") {
        let measure = |(i, l): (usize, &Level)| {
            let latent = &l.states[i * d..(i + 1) * d];
            (descriptor.measure)(&LocalGeometry::new(l.spectra[i].as_ref()?, latent, k(l))).value()
        };
        columns.push(Column::new(descriptor.name, Values::F64(each().map(measure).collect())));
    }
    Table::new(columns)
}
