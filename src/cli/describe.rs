//! `isoline describe`: the descriptors of unguided samples, without pictures.

use super::{Context, output};
use crate::error::{Error, Result, shown};
use crate::generator::{self, find_model};
use crate::geometry::{DESCRIPTORS, LocalGeometry, Measured, estimator, model_rank};
use crate::noise::{self, Stream};
use crate::reward::Reward;
use crate::run::parse_seeds;
use crate::store;
use crate::table::{Column, Table, Values, write_csv, write_parquet};
use crate::tile::Tiling;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `isoline describe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    model: String,
    /// Seeds, as in 0-63,99
    #[arg(long, value_name = "LIST", default_value = "0-15")]
    seeds: String,
    /// Way to the spectrum; see isoline list estimators
    #[arg(long, value_name = "NAME", default_value = "exact")]
    estimator: String,
    /// Write descriptors.parquet and descriptors.csv here
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
}

/// Samples per estimator call.
const TILE: usize = 16;

/// Measures and prints one line per seed.
///
/// # Errors
/// Those of the model, the estimator and the disk.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let seeds = parse_seeds(&args.seeds).map_err(|m| Error::config("--seeds", m))?;
    let estimator = estimator(&args.estimator)?;
    let (_, device) = context.open_device()?;
    let folder = find_model(&args.model)?;
    let generator = generator::load(&folder, &device)?;
    let d = generator.spec().latent_width;
    let bar = context.progress.start("measuring", seeds.len() as u64);
    let mut found = BTreeMap::new();
    for (tile, wanted) in Tiling::new(TILE).cover(&seeds) {
        context.cancel.check(|| "nothing was written".into())?;
        let samples: Vec<u64> = Tiling::new(TILE).samples(tile).collect();
        let latents: Vec<f32> = samples.iter().flat_map(|s| noise::normals(0, *s, Stream::Latent, 0, d)).collect();
        let spectra = estimator.spectra(&*generator, &latents)?;
        let each = samples.into_iter().zip(spectra).zip(latents.chunks_exact(d));
        found.extend(
            each.filter(|((s, _), _)| wanted.contains(s)).map(|((s, spectrum), z)| (s, (spectrum, z.to_vec()))),
        );
        bar.advance(wanted.len() as u64);
    }
    bar.finish();
    let has_reward = folder.join("reward/card.toml").exists();
    let reward = if has_reward { Some(Reward::load(&folder, &generator, &device)?) } else { None };
    let own: Vec<Vec<f64>> = found.values().filter_map(|f| f.0.as_ref().map(|s| s.singular_values.clone())).collect();
    let k = reward.as_ref().map_or_else(|| model_rank(&own), |r| r.card.model_rank);
    let measure = |seed: &u64, m: fn(&LocalGeometry) -> Measured| {
        let (spectrum, latent) = found.get(seed)?;
        m(&LocalGeometry::new(spectrum.as_ref()?, latent, k)).value()
    };
    let mut columns = vec![Column::new("seed", Values::I64(seeds.iter().map(|s| i64::try_from(*s).ok()).collect()))];
    for descriptor in DESCRIPTORS {
        columns.push(Column::new(
            descriptor.name,
            Values::F64(seeds.iter().map(|s| measure(s, descriptor.measure)).collect()),
        ));
    }
    if let Some(reward) = &reward {
        let place = |s: &u64| measure(s, DESCRIPTORS[1].measure).map(|p| reward.calibration.novelty_of(p).percentile);
        columns.push(Column::new("novelty", Values::F64(seeds.iter().map(place).collect())));
        let beyond = |s: &u64| measure(s, DESCRIPTORS[1].measure).map(|p| reward.calibration.novelty_of(p).beyond);
        columns.push(Column::new("beyond", Values::F64(seeds.iter().map(beyond).collect())));
    }
    let table = Table::new(columns)?;
    output::print(&write_csv(&table))?;
    if let Some(outdir) = &args.outdir {
        let metadata = [
            ("model", generator.spec().id.as_str()),
            ("model_sha256", generator.model_sha256()),
            ("estimator", estimator.name()),
            ("model_rank", &k.to_string()),
        ];
        let metadata: Vec<(String, String)> =
            metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        store::write_atomic(&outdir.join("descriptors.parquet"), &write_parquet(&table, &metadata)?)?;
        store::write_atomic(&outdir.join("descriptors.csv"), write_csv(&table).as_bytes())?;
        context.say(&format!("written: {}", shown(outdir)));
    }
    Ok(())
}
