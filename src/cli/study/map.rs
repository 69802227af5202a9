//! `isoline study map`.

use super::{Common, Geometry, number, seeds};
use crate::acts::study::{cell, plane};
use crate::cli::{Context, output};
use crate::error::{Error, Result};
use crate::generator::pictures;
use crate::render::Picture;
use crate::render::figure::heat_map;
use crate::render::page::Page;
use crate::table::{Column, Table, Values};
use serde_json::json;

/// Arguments of `isoline study map`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Three seeds that span the plane, as in 0,1,2
    #[arg(long, value_name = "SEEDS", default_value = "0,1,2")]
    plane: String,
    /// Latents along a side [default: 33; 9 for a diffusion model]
    #[arg(long, value_name = "N")]
    size: Option<usize>,
    #[command(flatten)]
    geometry: Geometry,
}

/// Descriptors drawn, with what they are called.
const DRAWN: [(&str, &str); 3] =
    [("psi_k", "local scaling ψ_k"), ("nu", "local rank ν"), ("delta", "local complexity δ")];

pub fn run(args: &Args, context: &Context) -> Result<()> {
    let corners = seeds(&args.plane, "--plane")?;
    let [a, b, c] = corners[..] else {
        return Err(Error::config(
            "--plane",
            format!("expected three different seeds, as in 0,1,2, found {}", corners.len()),
        ));
    };
    if let Some(size) = args.size.filter(|n| !(2..=128).contains(n)) {
        return Err(Error::config("--size", format!("expected 2 to 128, found {size}")));
    }
    let opened = args.common.open("map", context)?;
    let session = opened.session(&args.geometry, context)?;
    let n = args.size.unwrap_or(opened.usual().map_side);
    let points = [a, b, c].map(|s| session.latents(&[s]));
    let (latents, places) = plane([&points[0], &points[1], &points[2]], n);
    let found = session.describe(&latents)?;

    let d = opened.generator.spec().latent_width;
    let mut shown: Vec<Picture> = Vec::new();
    for i in [0, n - 1, n * (n - 1), n * n - 1] {
        let picture = pictures(&*opened.generator, &latents[i * d..(i + 1) * d])?.pop().flatten();
        shown.push(picture.unwrap_or_else(|| Picture::blank(8, 8, [240; 3])));
    }
    let shown: Option<[Picture; 4]> = shown.try_into().ok();
    let marks = [(a, 0.0, 0.0), (b, 1.0, 0.0), (c, 0.0, 1.0)]
        .map(|(seed, u, v)| (cell(u, n), cell(v, n), format!("seed {seed}")));
    let id = &opened.generator.spec().id;
    let mut page = Page::new(&format!("A plane of {id}'s latent space"));
    page.section(
        "Through three seeds",
        &format!(
            "z = z_{a} + u (z_{b} - z_{a}) + v (z_{c} - z_{a}), u and v from -0.25 to 1.25, {n} latents a side, by {}; model rank {}. \
             The pictures stand at the corners that they were made at.",
            found.estimator, found.model_rank
        ),
    );
    let mut rows = vec![output::row(["descriptor", "defined", "least", "mean", "greatest"])];
    let mut columns = vec![
        Column::new("u", Values::F64(places.iter().map(|p| Some(p.0)).collect())),
        Column::new("v", Values::F64(places.iter().map(|p| Some(p.1)).collect())),
    ];
    let mut figures = serde_json::Map::new();
    for (name, title) in DRAWN {
        let values = found.values(name);
        let grid: Vec<Vec<Option<f64>>> = values.chunks(n).map(<[_]>::to_vec).collect();
        let axes = [format!("u: seed {a} to seed {b}"), format!("v: seed {a} to seed {c}")];
        let svg = heat_map(&format!("{title} of {id}"), [&axes[0], &axes[1]], &grid, shown.as_ref(), &marks)?;
        opened.write(&format!("{name}.svg"), &svg)?;
        page.plot(&svg);
        let defined: Vec<f64> = values.iter().flatten().copied().collect();
        let least = defined.iter().copied().reduce(f64::min);
        let greatest = defined.iter().copied().reduce(f64::max);
        let mean = (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64);
        rows.push(output::row([
            name,
            &defined.len().to_string(),
            &number(least, 4),
            &number(mean, 4),
            &number(greatest, 4),
        ]));
        figures
            .insert(name.into(), json!({"defined": defined.len(), "least": least, "mean": mean, "greatest": greatest}));
    }
    for name in &found.names {
        columns.push(Column::new(name.clone(), Values::F64(found.values(name))));
    }
    opened.write_table("map", &Table::new(columns)?)?;
    page.table(&rows);
    opened.write("report.html", &page.html())?;
    let json = json!({
        "model": id, "model_sha256": opened.generator.model_sha256(), "plane": [a, b, c], "size": n,
        "estimator": found.estimator, "model_rank": found.model_rank, "descriptors": figures,
    });
    opened.finish(&args.common, context, &json, &rows)
}
