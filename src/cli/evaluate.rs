//! `isoline evaluate`: how far generated samples are from real ones, by the field's metrics.

use super::{CommandRow, Context, output, parsed};
use crate::acts::evaluate::{ClassifierKind, DOMAINS, Evaluation, ShowerEvaluation};
use crate::acts::study::{Origin, described};
use crate::error::{Error, Result, shown};
use std::path::{Path, PathBuf};

/// The row of `isoline evaluate`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "evaluate",
    "Compare generated samples with real ones: Fréchet distance, precision, recall, copies, …",
    |typed, context| run(&parsed(typed)?, context),
);

/// What samples are, in the order of [`DOMAINS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Domain {
    Images,
    Calo,
}

impl clap::ValueEnum for Domain {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Images, Self::Calo]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let (name, about) = DOMAINS[*self as usize];
        Some(clap::builder::PossibleValue::new(name).help(about))
    }
}

/// Arguments of `isoline evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    evaluation: Evaluation,
    /// What the samples are
    #[arg(long, value_enum, value_name = "WHAT", default_value = "images")]
    domain: Domain,
    /// Of showers, the detector: photons, pions, electrons, electrons-fine, or the challenge's binning as an .xml file
    #[arg(long, value_name = "NAME|FILE", default_value = "photons")]
    geometry: String,
    /// Of showers, the classifier that tells the two sets apart
    #[arg(long, value_enum, value_name = "WHICH", default_value = "quick")]
    classifier: ClassifierKind,
    /// Folder of the table and report.html [default: runs/evaluation]
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn run(args: &Args, context: &Context) -> Result<()> {
    args.evaluation.check()?;
    let origin = Origin::new(&context.command);
    let outdir = args.outdir.clone().unwrap_or_else(|| "runs/evaluation".into());
    match args.domain {
        Domain::Images => images(args, context, &origin, &outdir),
        Domain::Calo => showers(args, context, &origin, &outdir),
    }
}

fn images(args: &Args, context: &Context, origin: &Origin, outdir: &Path) -> Result<()> {
    let (name, device) = context.open_device()?;
    let report = args.evaluation.run(&device, &context.progress, &context.cancel)?;
    let provenance = report.write(outdir, origin, &args.evaluation, &name.to_string())?;
    if args.json {
        output::print_json(&described(&report, &provenance)?)?;
    } else {
        let tables = [report.rows(), report.constraints()].map(|rows| output::columns(&rows));
        output::print(&tables.join("\n"))?;
    }
    for remark in report.remarks.iter().chain(&report.cache_remarks) {
        context.say(&format!("note: {remark}"));
    }
    context.say(&format!(
        "compared by {} ({} values of each sample); written: {}; open report.html there",
        report.features,
        report.width,
        shown(outdir)
    ));
    Ok(())
}

fn showers(args: &Args, context: &Context, origin: &Origin, outdir: &Path) -> Result<()> {
    let asked = &args.evaluation;
    let foreign = [
        (asked.test.is_some(), "--test"),
        (asked.features.is_some(), "--features"),
        (!asked.columns.is_empty(), "--columns"),
        (!asked.metrics.is_empty(), "--metrics"),
        (asked.limit.is_some(), "--limit"),
        (asked.no_cache, "--no-cache"),
    ];
    if let Some((_, flag)) = foreign.iter().find(|(given, _)| *given) {
        return Err(Error::config(
            *flag,
            "is for pictures and rows of numbers; showers have the challenge's own features",
        ));
    }
    let [generated] = &asked.generated[..] else {
        return Err(Error::config("GENERATED", "expected one file of showers; compare several one after another"));
    };
    let asked = ShowerEvaluation {
        reference: asked.real.clone(),
        generated: generated.clone(),
        geometry: args.geometry.clone(),
        classifier: args.classifier,
        seed: asked.seed,
    };
    let (name, device) = context.open_device()?;
    let report = asked.run(&device, &context.progress, &context.cancel)?;
    let provenance = report.write(outdir, origin, &asked, &name.to_string())?;
    if args.json {
        output::print_json(&described(&report, &provenance)?)?;
    } else {
        let rows = report.rows();
        let tables: Vec<String> = rows.split(Vec::is_empty).map(output::columns).collect();
        output::print(&tables.join("\n"))?;
    }
    context.say(&format!("the rows of others are published figures, not measured here; written: {}", shown(outdir)));
    Ok(())
}
