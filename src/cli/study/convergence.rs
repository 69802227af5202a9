//! `isoline study convergence`.

use super::{Common, Opened, number, seeds};
use crate::acts::describe::spread;
use crate::acts::study::{Convergence, Trial, Trials};
use crate::cli::{Context, output};
use crate::error::{Error, Result};
use crate::generator::{Card, OneShot, Output, build, pictures};
use crate::geometry::EstimatorSettings;
use crate::noise::{self, Stream};
use crate::render::page::Page;
use crate::render::plot;
use crate::reward::Reward;
use crate::store::Weights;
use crate::table::{Column, Table, Values};
use serde_json::json;

/// Arguments of `isoline study convergence`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Seeds of the latents, as in 0-63 [default: 0-63; 0-15 for a diffusion model]
    #[arg(long, value_name = "LIST")]
    seeds: Option<String>,
    /// Directions to try, and all of them but for a diffusion model; those that do not fit an estimator are left out
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "4,8,16,32,64,128")]
    directions: Vec<usize>,
    /// Radii of the stencil to try, in units of ‖z‖/√d [default: 0.003,0.01,0.03,0.1,0.3; 0.01,0.1 for a diffusion model]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    radius: Option<Vec<f64>>,
    /// Model rank k of psi_k [default: the reward's, else from the exact spectra]
    #[arg(long, value_name = "K")]
    model_rank: Option<usize>,
    /// Key of the directions
    #[arg(long, value_name = "N", default_value_t = 0)]
    frame_seed: u64,
    /// Memory of one pass through the network, roughly
    #[arg(long, value_name = "MIB", default_value_t = 192)]
    memory: usize,
    /// The card's map only, not also the other one of image and pre-activation
    #[arg(long)]
    one_map: bool,
}

pub fn run(args: &Args, context: &Context) -> Result<()> {
    let asked = args.seeds.as_ref().map(|text| seeds(text, "--seeds")).transpose()?;
    let settings = EstimatorSettings {
        seed: args.frame_seed,
        memory: args.memory.saturating_mul(1 << 20),
        ..EstimatorSettings::default()
    };
    for radius in args.radius.iter().flatten() {
        EstimatorSettings { radius: *radius, ..settings.clone() }.check()?;
    }
    if args.directions.iter().any(|p| *p < 2) {
        return Err(Error::config("--directions", "expected at least 2 each"));
    }
    let opened = args.common.open("convergence", context)?;
    let seeds = asked.unwrap_or_else(|| (0..opened.usual().convergence_seeds).collect::<Vec<u64>>());
    let radii = args.radius.clone().unwrap_or_else(|| opened.usual().convergence_radii.to_vec());
    let d = opened.generator.spec().latent_width;
    if let Some(k) = args.model_rank.filter(|k| !(1..=d).contains(k)) {
        return Err(Error::config("--model-rank", format!("expected 1 to {d}, the latent's width, found {k}")));
    }
    let latents: Vec<f32> = seeds.iter().flat_map(|s| noise::normals(0, *s, Stream::Latent, 0, d)).collect();
    // Of a reward by fewer directions than all, the rank is that of its subspace and not the map's.
    let own = match args.model_rank {
        Some(k) => Some(k),
        None => opened.reward()?.filter(|r| r.measures_as("exact", d)).as_ref().and_then(Reward::map_rank),
    };
    // All d directions too: there every estimator in latent space must meet the exact one.
    let mut directions = args.directions.clone();
    if opened.usual().all_directions {
        directions.push(d);
    }
    directions.sort_unstable();
    directions.dedup();
    let trials = Trials { latents: &latents, directions: &directions, radii: &radii, model_rank: own, settings };
    let mut found = vec![trials.run(&*opened.generator, &context.progress, &context.cancel)?];
    if let (false, Some(other)) = (args.one_map, other_map(&opened)?) {
        // The reward's model rank belongs to the card's map.
        found.push(Trials { model_rank: args.model_rank, ..trials }.run(&other, &context.progress, &context.cancel)?);
    }
    let all: Vec<&Trial> = found.iter().flat_map(|f| &f.trials).collect();
    opened.write_table("convergence", &table(&all)?)?;
    let rows = rows(&all);
    let json = json!({
        "model": opened.generator.spec().id, "model_sha256": opened.generator.model_sha256(), "latents": seeds.len(),
        "maps": found.iter().map(|f| json!({"output": f.trials[0].output, "model_rank": f.model_rank, "median_rank": f.rank})).collect::<Vec<_>>(),
        "trials": all,
    });
    page(&opened, &found, &rows, &seeds, &latents)?;
    opened.finish(&args.common, context, &json, &rows)
}

/// The map before or after the last activation, whichever the card does not measure; `None` where they are one.
fn other_map(opened: &Opened) -> Result<Option<OneShot>> {
    let mut card = Card::read(&opened.folder.join("card.toml"))?;
    if card.raw.denoiser.is_some() {
        return Ok(None);
    }
    let network = build(&card)?;
    if network.preactivation_depth() == network.layers().len() {
        return Ok(None);
    }
    card.raw.geometry.output = match card.raw.geometry.output {
        Output::Image => Output::Preactivation,
        Output::Preactivation => Output::Image,
    };
    let weights = Weights::read(&opened.folder.join(&card.raw.weights.file))?;
    OneShot::assemble(&card, network, &weights, &opened.device).map(Some)
}

fn table(all: &[&Trial]) -> Result<Table> {
    let real = |f: &dyn Fn(&Trial) -> Option<f64>| Values::F64(all.iter().map(|t| f(t)).collect());
    let text = |f: &dyn Fn(&Trial) -> &str| Values::Text(all.iter().map(|t| Some(f(t).to_owned())).collect());
    Table::new(vec![
        Column::new("output", text(&|t| &t.output)),
        Column::new("estimator", text(&|t| &t.estimator)),
        Column::new("statistic", text(&|t| &t.statistic)),
        Column::new("directions", Values::I64(all.iter().map(|t| i64::try_from(t.directions).ok()).collect())),
        Column::new("radius", real(&|t| t.radius)),
        Column::new("spearman", real(&|t| t.spearman)),
        Column::new("bias", real(&|t| t.bias)),
        Column::new("sd", real(&|t| t.sd)),
        Column::new("stderr", real(&|t| t.stderr)),
        Column::new("seconds", real(&|t| Some(t.seconds))),
        Column::new("undefined", Values::I64(all.iter().map(|t| i64::try_from(t.undefined).ok()).collect())),
    ])
}

fn rows(all: &[&Trial]) -> Vec<Vec<String>> {
    let mut rows =
        vec![output::row(["map", "estimator", "P", "radius", "spearman", "bias", "sd", "stderr", "ms/latent"])];
    rows.extend(all.iter().map(|t| {
        let name = if t.statistic == "psi_k" { t.estimator.clone() } else { format!("{} of exact", t.statistic) };
        let radius = t.radius.map_or("-".to_owned(), |r| r.to_string());
        output::row([
            &t.output,
            &name,
            &t.directions.to_string(),
            &radius,
            &number(t.spearman, 4),
            &number(t.bias, 4),
            &number(t.sd, 4),
            &number(t.stderr, 4),
            &format!("{:.3}", 1e3 * t.seconds),
        ])
    }));
    rows
}

fn page(opened: &Opened, found: &[Convergence], rows: &[Vec<String>], seeds: &[u64], latents: &[f32]) -> Result<()> {
    let id = &opened.generator.spec().id;
    let mut page = Page::new(&format!("Estimators on {id}"));
    for map in found {
        let output = map.trials[0].output.clone();
        page.section(
            &format!("Map to the {output}"),
            &format!(
                "Each estimate of psi_k against the exact one on {} latents; model rank k = {}, median numerical rank {} of {}.",
                seeds.len(), map.model_rank, map.rank, opened.generator.spec().latent_width
            ),
        );
        for (name, svg) in plots(map, &output)? {
            opened.write(&format!("{name}-{output}.svg"), &svg)?;
            page.plot(&svg);
        }
    }
    page.section("Table", "Spearman and bias against the exact psi_k; sd is what is left without the bias; stderr is what the estimator says of itself. With fewer directions than k the estimate is psi over all of them.");
    page.table(rows);
    let exact = &found[0].exact;
    let d = opened.generator.spec().latent_width;
    let mut shown = Vec::new();
    for i in spread(exact, 48) {
        if let Some(Some(picture)) = pictures(&*opened.generator, &latents[i * d..(i + 1) * d])?.pop() {
            shown.push((picture, format!("seed {}: {}", seeds[i], number(exact[i], 2))));
        }
    }
    page.section("From typical to novel", "Pictures in the order of the exact psi_k, lowest first.");
    page.pictures(&shown)?;
    opened.write("report.html", &page.html())
}

type Line<'a> = (&'a str, Vec<(f64, f64)>);

fn plots(map: &Convergence, output: &str) -> Result<Vec<(&'static str, String)>> {
    let of = |estimator: &str, x: fn(&Trial) -> f64| -> Vec<(f64, f64)> {
        let own = map.trials.iter().filter(|t| t.estimator == estimator && t.statistic == "psi_k");
        // One line per estimator: the stencil at the radius where it does best.
        let best = if estimator == "stencil" { best_radius(map) } else { None };
        own.filter(|t| t.radius == best).filter_map(|t| Some((x(t), t.spearman?))).collect()
    };
    let names = ["input-subspace", "output-projection", "stencil", "exact"];
    let mut found = Vec::new();
    for (name, label, x) in [
        ("spearman-directions", "directions P", (|t: &Trial| t.directions as f64) as fn(&Trial) -> f64),
        ("spearman-seconds", "milliseconds per latent", |t: &Trial| 1e3 * t.seconds),
    ] {
        let lines: Vec<Line> = names.iter().map(|n| (*n, of(n, x))).collect();
        let title = format!("Order of latents by psi_k of the {output}, over {label}");
        found.push((name, plot::lines(&title, label, "Spearman with the exact psi_k", &lines, true)?));
    }
    let mut sizes: Vec<usize> = map.trials.iter().filter(|t| t.estimator == "stencil").map(|t| t.directions).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let labels: Vec<String> = sizes.iter().map(|p| format!("P = {p}")).collect();
    let lines: Vec<Line> = sizes
        .iter()
        .zip(&labels)
        .map(|(p, label)| {
            let own = map.trials.iter().filter(|t| t.estimator == "stencil" && t.directions == *p);
            (label.as_str(), own.filter_map(|t| Some((t.radius?, t.spearman?))).collect())
        })
        .collect();
    if !lines.is_empty() {
        let title = format!("Stencil on the {output}");
        found.push(("stencil-radius", plot::lines(&title, "radius c", "Spearman with the exact psi_k", &lines, true)?));
    }
    Ok(found)
}

fn best_radius(map: &Convergence) -> Option<f64> {
    let stencils = map.trials.iter().filter(|t| t.estimator == "stencil");
    stencils
        .filter(|t| t.spearman.is_some())
        .max_by(|a, b| a.spearman.partial_cmp(&b.spearman).unwrap_or(std::cmp::Ordering::Equal))
        .and_then(|t| t.radius)
}
