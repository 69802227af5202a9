//! `isoline study trajectory`.

use super::{Common, Geometry, number, seeds};
use crate::acts::study::path;
use crate::cli::{Context, output};
use crate::error::{Error, Result};
use crate::generator::pictures;
use crate::render::page::Page;
use crate::render::plot;
use crate::table::{Column, Table, Values};
use serde_json::json;

/// Arguments of `isoline study trajectory`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Seeds to go through, as in 3,14,15
    #[arg(long, value_name = "SEEDS", default_value = "0,1,2")]
    seeds: String,
    /// Steps from a seed to the next [default: 32; 8 for a diffusion model]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Straight lines instead of great circles
    #[arg(long)]
    straight: bool,
    #[command(flatten)]
    geometry: Geometry,
}

/// Descriptors drawn.
const DRAWN: [(&str, &str); 4] =
    [("psi_k", "local scaling ψ_k"), ("nu", "local rank ν"), ("delta", "local complexity δ"), ("z_norm", "‖z‖")];

pub fn run(args: &Args, context: &Context) -> Result<()> {
    let stations = seeds(&args.seeds, "--seeds")?;
    if !(2..=64).contains(&stations.len()) {
        return Err(Error::config("--seeds", format!("expected 2 to 64 different seeds, found {}", stations.len())));
    }
    if let Some(steps) = args.steps.filter(|n| !(1..=1024).contains(n)) {
        return Err(Error::config("--steps", format!("expected 1 to 1024, found {steps}")));
    }
    let opened = args.common.open("trajectory", context)?;
    let steps = args.steps.unwrap_or(opened.usual().path_steps);
    let session = opened.session(&args.geometry, context)?;
    let points: Vec<Vec<f32>> = stations.iter().map(|s| session.latents(&[*s])).collect();
    let latents = path(&points.iter().map(Vec::as_slice).collect::<Vec<_>>(), steps, args.straight);
    let found = session.describe(&latents)?;

    let d = opened.generator.spec().latent_width;
    let n = latents.len() / d;
    let position = |i: usize| i as f64 / steps as f64;
    let id = &opened.generator.spec().id;
    let mut page = Page::new(&format!("A path through {id}'s latent space"));
    let way = if args.straight { "straight lines" } else { "great circles, the norm changing evenly" };
    let list = stations.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    page.section(
        "From seed to seed",
        &format!("Seeds {list}, by {way}; {steps} steps each. Whole numbers on the axis are the seeds."),
    );
    let stride = n.div_ceil(33);
    let mut strip = Vec::new();
    for i in (0..n).step_by(stride) {
        if let Some(Some(picture)) = pictures(&*opened.generator, &latents[i * d..(i + 1) * d])?.pop() {
            strip.push((picture, format!("{:.2}", position(i))));
        }
    }
    page.pictures(&strip)?;
    let mut rows = vec![output::row(["descriptor", "at the start", "least", "greatest", "at the end"])];
    let mut columns = vec![Column::new("position", Values::F64((0..n).map(|i| Some(position(i))).collect()))];
    for (name, title) in DRAWN {
        let values = found.values(name);
        let line = values.iter().enumerate().filter_map(|(i, v)| Some((position(i), (*v)?))).collect();
        let svg = plot::lines(&format!("{title} along the path"), "position", title, &[(name, line)], false)?;
        opened.write(&format!("{name}.svg"), &svg)?;
        page.plot(&svg);
        let defined = || values.iter().flatten().copied();
        rows.push(output::row([
            name,
            &number(values.first().copied().flatten(), 4),
            &number(defined().reduce(f64::min), 4),
            &number(defined().reduce(f64::max), 4),
            &number(values.last().copied().flatten(), 4),
        ]));
    }
    for name in &found.names {
        columns.push(Column::new(name.clone(), Values::F64(found.values(name))));
    }
    opened.write_table("trajectory", &Table::new(columns)?)?;
    page.table(&rows);
    opened.write("report.html", &page.html())?;
    let along: serde_json::Map<String, serde_json::Value> =
        found.names.iter().map(|name| (name.clone(), json!(found.values(name)))).collect();
    let json = json!({
        "model": id, "model_sha256": opened.generator.model_sha256(), "seeds": stations, "steps": steps,
        "straight": args.straight, "estimator": found.estimator, "model_rank": found.model_rank,
        "position": (0..n).map(position).collect::<Vec<_>>(), "descriptors": along,
    });
    opened.finish(&args.common, context, &json, &rows)
}
