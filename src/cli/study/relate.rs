//! `isoline study relate`.

use super::{Common, Geometry, Opened, inverter, number, seeds};
use crate::acts::describe::spread;
use crate::acts::describe::{Description, Inverter};
use crate::acts::study::PICTURE_MEASURES;
use crate::acts::study::relate::{Relation, bootstrap, explained, relate};
use crate::cli::{Context, output};
use crate::error::{Error, Result};
use crate::generator::pictures;
use crate::render::Picture;
use crate::render::figure::{Interval, intervals};
use crate::render::page::Page;
use crate::table::{Column, Table, Values};
use serde_json::json;

/// Arguments of `isoline study relate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Seeds of the samples, as in 0-255 [default: 0-255; 0-63 for a diffusion model]
    #[arg(long, value_name = "LIST")]
    seeds: Option<String>,
    #[command(flatten)]
    geometry: Geometry,
}

/// What is related, beside the measures: (descriptor, held fixed).
const PLAIN: [&str; 6] = ["psi_k", "nu", "delta", "z_norm", "ln_frobenius", "sigma_1"];
const PARTIAL: [(&str, &[&str]); 3] = [("psi_k", &["nu", "delta"]), ("nu", &["psi_k"]), ("delta", &["psi_k"])];

/// Every measure of every picture, by name.
type Measured = Vec<(&'static str, Vec<Option<f64>>)>;

/// Columns without a gap, by name.
struct Columns(Vec<(String, Vec<f64>)>);

impl Columns {
    fn get(&self, name: &str) -> Option<(&str, &[f64])> {
        self.0.iter().find(|(n, _)| n == name).map(|(n, v)| (n.as_str(), v.as_slice()))
    }
}

/// How much ν and δ explain beyond ψ.
struct Gain {
    measure: String,
    by_psi: [Option<f64>; 3],
    by_all: [Option<f64>; 3],
    gain: [Option<f64>; 3],
}

pub fn run(args: &Args, context: &Context) -> Result<()> {
    let asked = args.seeds.as_ref().map(|text| seeds(text, "--seeds")).transpose()?;
    if let Some(few) = asked.as_ref().filter(|s| s.len() < 16) {
        return Err(Error::config("--seeds", format!("expected at least 16 seeds, found {}", few.len())));
    }
    let opened = args.common.open("relate", context)?;
    let seeds = asked.unwrap_or_else(|| (0..opened.usual().relate_seeds).collect::<Vec<u64>>());
    let inverter = inverter(&opened.generator, &opened.folder)?;
    let session = opened.session(&args.geometry, context)?;
    let latents = session.latents(&seeds);
    let found = session.describe(&latents)?;
    let shown = pictures(&*opened.generator, &latents)?;
    let measured = measure(&shown, &inverter)?;
    let (columns, kept) = whole(&found, &measured);
    if kept < 16 {
        let message = format!("only {kept} of {} samples have all of psi_k, nu, delta and a picture", seeds.len());
        return Err(Error::input(&opened.folder, message));
    }
    let names: Vec<&str> = measured.iter().map(|m| m.0).collect();
    let bar = context.progress.start("bootstrap", (names.len() * (PLAIN.len() + PARTIAL.len() + 1)) as u64);
    let (mut relations, mut gains) = (Vec::new(), Vec::new());
    for name in &names {
        let Some(measure) = columns.get(name) else { continue };
        for (descriptor, given) in PLAIN.map(|d| (d, &[][..])).into_iter().chain(PARTIAL) {
            context.cancel.check(|| "the measured tiles are kept".into())?;
            let given: Vec<_> = given.iter().filter_map(|g| columns.get(g)).collect();
            if let Some(d) = columns.get(descriptor) {
                relations.push(relate(d, measure, &given));
            }
            bar.advance(1);
        }
        gains.extend(gain(&columns, measure));
        bar.advance(1);
    }
    bar.finish();
    write(
        args,
        context,
        &Found {
            opened: &opened,
            seeds: &seeds,
            found: &found,
            shown: &shown,
            measured: &measured,
            relations,
            gains,
            kept,
        },
    )
}

/// Everything that is written.
struct Found<'a> {
    opened: &'a Opened,
    seeds: &'a [u64],
    found: &'a Description,
    shown: &'a [Option<Picture>],
    measured: &'a Measured,
    relations: Vec<Relation>,
    gains: Vec<Gain>,
    kept: usize,
}

/// Every measure of every picture; the reconstruction error where the model has an encoder.
fn measure(shown: &[Option<Picture>], inverter: &Inverter) -> Result<Measured> {
    let mut found = Vec::new();
    for row in PICTURE_MEASURES {
        let each = shown.iter().map(|p| p.as_ref().map(row.measure).transpose());
        found.push((row.name, each.collect::<Result<Vec<_>>>()?));
    }
    if inverter.has_encoder() {
        let spec = inverter.spec();
        let mut errors = Vec::new();
        for part in shown.chunks(16) {
            let mut values = Vec::new();
            for picture in part {
                let blank = Picture::blank(spec.sample_shape[1], spec.sample_shape[2], [0; 3]);
                values.extend(picture.as_ref().unwrap_or(&blank).to_values(spec.sample_shape, spec.range)?);
            }
            let inverted = inverter.invert(&values, &vec![0; part.len()])?;
            errors.extend(part.iter().zip(inverted).map(|(p, i)| p.as_ref().map(|_| i.residual)));
        }
        found.push(("reconstruction_error", errors));
    }
    Ok(found)
}

/// The samples that have every value.
fn whole(found: &Description, measured: &Measured) -> (Columns, usize) {
    let mut all: Vec<(String, Vec<Option<f64>>)> = PLAIN.iter().map(|n| ((*n).to_owned(), found.values(n))).collect();
    all.extend(measured.iter().map(|(n, v)| ((*n).to_owned(), v.clone())));
    let rows: Vec<usize> = (0..found.rows.len()).filter(|i| all.iter().all(|(_, v)| v[*i].is_some())).collect();
    let kept = rows.len();
    let dense = |v: Vec<Option<f64>>| rows.iter().filter_map(|i| v[*i]).collect();
    (Columns(all.into_iter().map(|(n, v)| (n, dense(v))).collect()), kept)
}

fn gain(columns: &Columns, measure: (&str, &[f64])) -> Option<Gain> {
    let of = |name| columns.get(name).map(|c| c.1);
    let all = [measure.1, of("psi_k")?, of("nu")?, of("delta")?];
    Some(Gain {
        measure: measure.0.to_owned(),
        by_psi: bootstrap(&all, 0, |c| explained(c[0], &c[1..2])),
        by_all: bootstrap(&all, 0, |c| explained(c[0], &c[1..])),
        gain: bootstrap(&all, 0, |c| Some(explained(c[0], &c[1..])? - explained(c[0], &c[1..2])?)),
    })
}

fn interval(v: [Option<f64>; 3]) -> String {
    match v {
        [Some(v), Some(a), Some(b)] => format!("{v:.3} [{a:.3}, {b:.3}]"),
        [Some(v), ..] => format!("{v:.3}"),
        _ => "-".into(),
    }
}

fn write(args: &Args, context: &Context, f: &Found) -> Result<()> {
    let id = &f.opened.generator.spec().id;
    let mut rows = vec![output::row(["measure", "descriptor", "given", "Spearman [95 %]"])];
    rows.extend(f.relations.iter().map(|r| {
        let given = if r.given.is_empty() { "-".to_owned() } else { r.given.join(", ") };
        output::row([&r.measure, &r.descriptor, &given, &interval([r.rho, r.low, r.high])])
    }));
    let mut gains = vec![output::row(["measure", "adjusted R² of psi_k", "with nu and delta", "gain [95 %]"])];
    gains.extend(
        f.gains.iter().map(|g| output::row([&g.measure, &interval(g.by_psi), &interval(g.by_all), &interval(g.gain)])),
    );

    let mut page = Page::new(&format!("Descriptors and pictures of {id}"));
    page.section(
        "What psi, nu and delta say of pictures",
        &format!(
            "{} of {} samples, by {}, model rank {}. Rank correlations with 95 % bootstrap intervals of 1,000 draws. \
             Partial ones hold other descriptors fixed: nu and delta given psi_k show what they say that psi_k does not.",
            f.kept, f.seeds.len(), f.found.estimator, f.found.model_rank
        ),
    );
    for (name, _) in f.measured {
        let of = |r: &&Relation| r.measure == *name;
        let line = |r: &Relation| -> Interval {
            let label = if r.given.is_empty() {
                r.descriptor.clone()
            } else {
                format!("{} given {}", r.descriptor, r.given.join(", "))
            };
            let nan = f64::NAN;
            (label, usize::from(!r.given.is_empty()), r.rho.unwrap_or(nan), r.low.unwrap_or(nan), r.high.unwrap_or(nan))
        };
        let lines: Vec<Interval> = f.relations.iter().filter(of).map(line).collect();
        let svg =
            intervals(&format!("{name} of {id}"), "Spearman's correlation", [-1.0, 1.0], &["plain", "partial"], &lines);
        f.opened.write(&format!("{name}.svg"), &svg)?;
        page.plot(&svg);
    }
    page.section("Beyond psi", "Share of the variance of a measure's ranks that psi_k explains, that psi_k, nu and delta explain together, and the difference (adjusted R²). Resampling repeats rows, which flatters larger models a little: where a gain is small, the partial correlations above decide.");
    page.table(&gains);
    page.section("All correlations", "");
    page.table(&rows);
    let psi = f.found.values("psi_k");
    let sheet: Vec<(Picture, String)> = spread(&psi, 60)
        .into_iter()
        .filter_map(|i| Some((f.shown[i].clone()?, format!("seed {}: {}", f.seeds[i], number(psi[i], 2)))))
        .collect();
    page.section("From typical to novel", "Pictures in the order of psi_k, lowest first.");
    page.pictures(&sheet)?;
    f.opened.write("report.html", &page.html())?;

    let mut columns = vec![Column::new("seed", Values::I64(f.seeds.iter().map(|s| i64::try_from(*s).ok()).collect()))];
    columns.extend(f.found.names.iter().map(|n| Column::new(n.clone(), Values::F64(f.found.values(n)))));
    columns.extend(f.measured.iter().map(|(n, v)| Column::new(*n, Values::F64(v.clone()))));
    f.opened.write_table("relate", &Table::new(columns)?)?;
    let json = json!({
        "model": id, "model_sha256": f.opened.generator.model_sha256(), "samples": f.kept, "estimator": f.found.estimator,
        "model_rank": f.found.model_rank, "relations": f.relations,
        "beyond_psi": f.gains.iter().map(|g| json!({"measure": g.measure, "r2_psi": g.by_psi, "r2_all": g.by_all, "gain": g.gain})).collect::<Vec<_>>(),
    });
    rows.push(Vec::new());
    rows.extend(gains);
    f.opened.finish(&args.common, context, &json, &rows)
}
