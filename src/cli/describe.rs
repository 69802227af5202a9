//! `isoline describe`: the descriptors of many latents: of seeds, of a file, or of pictures.

use super::geometry_args::GeometryArgs;
use super::{Context, output};
use crate::error::{Error, Result, shown};
use crate::generator::{self, Generator, find_model};
use crate::geometry::estimator_with;
use crate::noise;
use crate::render::plot;
use crate::reward::Reward;
use crate::run::{parse_seeds, run_id};
use crate::store;
use crate::study::{
    DescribeRecipe, Described, Description, Inverter, Measurer, Page, Source, claim, pack, pictures, spread, tile,
    unpack,
};
use crate::table::{Table, write_csv, write_parquet};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Arguments of `isoline describe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    model: String,
    /// Seeds, as in 0-63,99 [default: 0-15]
    #[arg(long, value_name = "LIST", group = "source")]
    seeds: Option<String>,
    /// Latents of an .npz, .safetensors or .parquet file, [n, d]
    #[arg(long, value_name = "FILE", group = "source")]
    latents: Option<PathBuf>,
    /// Pictures of a folder, by the model's encoder, else by gradient descent on ‖G(z) − x‖²
    #[arg(long, value_name = "DIR", group = "source")]
    images: Option<PathBuf>,
    /// Spectra that --npz has written: their descriptors again, without the network
    #[arg(long, value_name = "FILE", group = "source")]
    spectra: Option<PathBuf>,
    /// Array or tensor of --latents, or prefix of its columns KEY_0, KEY_1, …
    #[arg(long, value_name = "KEY", requires = "latents")]
    key: Option<String>,
    /// Steps of descent for --images [default: 0 after an encoder, else 300]
    #[arg(long, value_name = "N", requires = "images")]
    invert_steps: Option<usize>,
    #[command(flatten)]
    geometry: GeometryArgs,
    /// Leave out local complexity
    #[arg(long, help_heading = "Geometry")]
    no_complexity: bool,
    /// Samples whose exact spectrum is measured too, to tell the bias of an estimator that is not exact [default: 64;
    /// 8 for a diffusion model]
    #[arg(long, value_name = "N", help_heading = "Geometry")]
    calibrate_on: Option<usize>,
    /// Run folder: tiles, descriptors.parquet, settings; the same command goes on where it was stopped
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Write descriptors.csv too
    #[arg(long, requires = "outdir")]
    csv: bool,
    /// Write spectra.npz too: whole spectra, latents, counts
    #[arg(long, requires = "outdir")]
    npz: bool,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    fn calibrate_on(&self, generator: &dyn Generator) -> usize {
        self.calibrate_on.unwrap_or(if generator.as_sampler().is_some() { 8 } else { 64 })
    }
}

/// Measures; prints the table, or with --outdir writes it and prints a summary.
///
/// # Errors
/// Those of the model, the latents, the estimator and the disk; [`Error::SamplesNotFinite`] at the end
/// where some were not.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let settings = args.geometry.settings()?;
    let (name, device) = context.open_device()?;
    let folder = find_model(&args.model)?;
    let generator = generator::load(&folder, &device)?;
    let estimator = estimator_with(args.geometry.estimator_for(&*generator), &settings)?;
    let spec = generator.spec();
    let reward = match folder.join("reward/card.toml").exists() {
        true => Some(Reward::load(&folder, &generator, &device)?),
        false => None,
    };
    let rank = args.geometry.model_rank.or(reward.as_ref().map(|r| r.card.model_rank));
    if let Some(k) = rank.filter(|k| *k > spec.latent_width) {
        let message = format!("expected 1 to {}, the latent's width, found {k}", spec.latent_width);
        return Err(Error::config("--model-rank", message));
    }
    let found = match &args.spectra {
        Some(path) => {
            let (about, samples) = unpack(path)?;
            check_model(path, &about.model_sha256, &about.model, &*generator)?;
            Finished {
                description: Description::new(samples, &[], rank, &args.geometry.scales, &about.column),
                files: Vec::new(),
                run_id: about.run_id,
            }
        }
        None => {
            let directions = estimator.directions(spec)?;
            let source = source(args, &*generator)?;
            let inverter = Inverter::new(&*generator, &folder, args.invert_steps)?;
            let complexity = if args.no_complexity { None } else { Some(args.geometry.complexity(spec.latent_width)?) };
            let recipe = DescribeRecipe {
                format: 1,
                version: env!("CARGO_PKG_VERSION").into(),
                noise_scheme: noise::SCHEME,
                model: spec.id.clone(),
                model_sha256: generator.model_sha256().to_owned(),
                source: source.about(),
                inversion: if args.images.is_some() { inverter.about() } else { "none".into() },
                estimator: estimator.name().into(),
                directions,
                radius: settings.radius,
                frame_seed: settings.seed,
                complexity: complexity.is_some(),
                complexity_radius: args.geometry.complexity_radius,
                complexity_directions: args.geometry.complexity_directions.unwrap_or(16.min(spec.latent_width)),
                tile: tile(&*generator),
                device: name.class().into(),
            };
            let measurer = Measurer {
                generator: &*generator,
                inverter: &inverter,
                source: &source,
                estimator,
                complexity,
                recipe: &recipe,
            };
            measure(args, context, &measurer, rank)?
        }
    };
    let calibrated = reward.as_ref().filter(|r| {
        r.card.estimator == found.description.estimator && r.card.model_rank == found.description.model_rank
    });
    let table = found.description.table(calibrated.map(|r| &r.calibration), &found.files)?;
    report(args, context, &*generator, &found, &table)?;
    match (found.description.not_finite(), found.description.rows.len()) {
        (0, _) => Ok(()),
        (count, total) => Err(Error::SamplesNotFinite { count, total }),
    }
}

/// What is left to write and print.
struct Finished {
    description: Description,
    files: Vec<Option<String>>,
    run_id: String,
}

fn source(args: &Args, generator: &dyn Generator) -> Result<Source> {
    let spec = generator.spec();
    if let Some(path) = &args.latents {
        return Source::from_file(path, args.key.as_deref(), spec.latent_width);
    }
    if let Some(folder) = &args.images {
        return Source::from_images(folder, spec.sample_shape);
    }
    let seeds = parse_seeds(args.seeds.as_deref().unwrap_or("0-15")).map_err(|m| Error::config("--seeds", m))?;
    Ok(Source::Seeds(seeds))
}

fn check_model(path: &Path, found: &str, id: &str, generator: &dyn Generator) -> Result<()> {
    if found == generator.model_sha256() {
        return Ok(());
    }
    let message = format!(
        "spectra of model {} (SHA-256 {:.12}), expected those of {} ({:.12}); give the model that they were made with",
        id.escape_debug(),
        found.escape_debug().to_string(),
        generator.spec().id,
        generator.model_sha256()
    );
    Err(Error::input(path, message))
}

fn measure(args: &Args, context: &Context, measurer: &Measurer, rank: Option<usize>) -> Result<Finished> {
    let text = measurer.recipe.text()?;
    let lock = args.outdir.as_ref().map(|folder| claim(folder, &text)).transpose()?;
    let tiles = args.outdir.as_ref().map(|o| o.join("tiles"));
    let samples = measurer.source.samples(measurer.generator.spec().latent_width);
    let found = measurer.run(&samples, tiles.as_deref(), &context.progress, &context.cancel)?;
    let calibrate_on = args.calibrate_on(measurer.generator);
    let exact: Vec<Described> = if measurer.estimator.is_exact() || calibrate_on == 0 {
        Vec::new()
    } else {
        let some = &samples[..samples.len().min(calibrate_on)];
        measurer.exact(&args.geometry.settings()?)?.run(some, tiles.as_deref(), &context.progress, &context.cancel)?
    };
    let run_id = run_id(&text);
    if let Some(outdir) = args.outdir.as_ref().filter(|_| args.npz) {
        let about = measurer.about(&run_id, None, &found);
        store::write_atomic(&outdir.join("spectra.npz"), &pack(&about, &found)?)?;
    }
    drop(lock);
    let files = samples.iter().map(|s| measurer.source.file(*s)).collect();
    let description = Description::new(found, &exact, rank, &args.geometry.scales, measurer.source.column());
    Ok(Finished { description, files, run_id })
}

fn report(args: &Args, context: &Context, generator: &dyn Generator, found: &Finished, table: &Table) -> Result<()> {
    let d = &found.description;
    let biases: serde_json::Map<String, serde_json::Value> =
        d.biases.iter().map(|(name, bias)| (name.clone(), json!(bias))).collect();
    let about = json!({
        "model": generator.spec().id, "model_sha256": generator.model_sha256(), "estimator": d.estimator,
        "model_rank": d.model_rank, "samples": d.rows.len(), "not_finite": d.not_finite(), "run_id": found.run_id,
        "scales": args.geometry.scales, "bias": biases,
    });
    if let Some(outdir) = &args.outdir {
        let mut metadata: Vec<(String, String)> = about
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
            .collect();
        let settings = settings_text(args, args.calibrate_on(generator), d.model_rank, &about);
        metadata.push(("settings".into(), settings.clone()));
        store::write_atomic(&outdir.join("settings.toml"), settings.as_bytes())?;
        if args.csv {
            store::write_atomic(&outdir.join("descriptors.csv"), write_csv(table).as_bytes())?;
        }
        store::write_atomic(&outdir.join("report.html"), page(d, generator)?.as_bytes())?;
        store::write_atomic(&outdir.join("descriptors.parquet"), &write_parquet(table, &metadata)?)?;
    }
    for (name, b) in &d.biases {
        let rho = b.spearman.map_or("undefined".to_owned(), |r| format!("{r:.3}"));
        context.say(&format!(
            "{name} by {} against exact on {} samples: Spearman {rho}, bias {:.4} ± {:.4}, deviation {:.4} without it",
            d.estimator, b.n, b.bias, b.bias_stderr, b.sd
        ));
    }
    if args.json {
        return output::print_json(&about);
    }
    match &args.outdir {
        None => output::print(&write_csv(table)),
        Some(outdir) => {
            output::print(&output::columns(&summary(d))).map(|()| context.say(&format!("written: {}", shown(outdir))))
        }
    }
}

/// Every setting with its default spelt out, as TOML.
fn settings_text(args: &Args, calibrate_on: usize, model_rank: usize, about: &serde_json::Value) -> String {
    let g = &args.geometry;
    let mut table = toml::Table::new();
    let path = |p: &Option<PathBuf>| p.as_ref().map(|p| p.to_string_lossy().into_owned());
    let mut set = |key: &str, value: toml::Value| drop(table.insert(key.to_owned(), value));
    set("model", args.model.clone().into());
    set("model_sha256", about["model_sha256"].as_str().unwrap_or("").into());
    match (path(&args.latents), path(&args.images), path(&args.spectra)) {
        (Some(p), _, _) => set("latents", p.into()),
        (_, Some(p), _) => set("images", p.into()),
        (_, _, Some(p)) => set("spectra", p.into()),
        _ => set("seeds", args.seeds.clone().unwrap_or("0-15".into()).into()),
    }
    set("estimator", about["estimator"].as_str().unwrap_or("").into());
    if let Some(p) = g.directions {
        set("directions", (p as i64).into());
    }
    set("radius", g.radius.into());
    set("frame_seed", (g.frame_seed as i64).into());
    set("complexity", (!args.no_complexity).into());
    set("complexity_radius", g.complexity_radius.into());
    set("memory_mib", (g.memory as i64).into());
    set("scales", g.scales.clone().into());
    set("model_rank", (model_rank as i64).into());
    set("calibrate_on", (calibrate_on as i64).into());
    table.to_string()
}

/// Mean, least and greatest of each descriptor.
fn summary(d: &Description) -> Vec<Vec<String>> {
    let mut rows = vec![output::row(["descriptor", "defined", "mean", "least", "greatest"])];
    for name in &d.names {
        let values: Vec<f64> = d.values(name).into_iter().flatten().collect();
        let n = values.len();
        let number = |v: f64| match v.abs() {
            _ if n == 0 => "-".to_owned(),
            a if a == 0.0 || (1e-3..1e6).contains(&a) => format!("{v:.4}"),
            _ => format!("{v:.4e}"),
        };
        let mean = values.iter().sum::<f64>() / n.max(1) as f64;
        let (least, greatest) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        rows.push(output::row([name, &n.to_string(), &number(mean), &number(least), &number(greatest)]));
    }
    rows
}

/// The page of a description: its numbers, ψ_k as a histogram, pictures from typical to novel.
fn page(d: &Description, generator: &dyn Generator) -> Result<String> {
    let id = &generator.spec().id;
    let mut page = Page::new(&format!("Local geometry of {id}"));
    let text = format!("{} samples, estimator {}, model rank {}.", d.rows.len(), d.estimator, d.model_rank);
    page.section("Descriptors", &text);
    page.table(&summary(d));
    for (name, b) in &d.biases {
        let text = format!(
            "{name} differs from the exact value by {:.4} ± {:.4} on average over {} samples, and by {:.4} (standard deviation) \
             without that; Spearman {}.",
            b.bias,
            1.96 * b.bias_stderr,
            b.n,
            b.sd,
            b.spearman.map_or("undefined".into(), |r| format!("{r:.3}"))
        );
        page.section(&format!("Bias of {name}"), &text);
    }
    let psi = d.values("psi_k");
    let defined: Vec<f64> = psi.iter().flatten().copied().collect();
    page.plot(&plot::histogram("Local scaling of the samples", "psi_k", &defined, 40, &[])?);
    page.section("From typical to novel", "Pictures in the order of psi_k, lowest first.");
    let mut shown = Vec::new();
    for i in spread(&psi, 60) {
        let row = &d.rows[i].described;
        if let (Some(Some(picture)), Some(psi)) = (pictures(generator, &row.latent)?.pop(), psi[i]) {
            shown.push((picture, format!("{} {}: {psi:.2}", d.column, row.sample)));
        }
    }
    page.pictures(&shown)?;
    Ok(page.html())
}
