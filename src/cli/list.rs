//! `isoline list`: the static tables of this build, and the models at hand.

use super::{CommandRow, output, parsed};
use crate::acts::columns::TABLES;
use crate::acts::evaluate::DOMAINS;
use crate::diffusion::{lid, predictions::PREDICTIONS, schedules::SCHEDULES, solvers::SOLVERS};
use crate::error::{Result, shown};
use crate::evaluate::{Better, METRICS, MetricRow};
use crate::generator::train::OBJECTIVES;
use crate::generator::{CLASSIFIER, Card, FAMILIES, KnownModel, known_models, places};
use crate::geometry::{DESCRIPTORS, ESTIMATORS};
use crate::nn::layers::KINDS;
use crate::nn::operators::OPERATORS as NODES;
use crate::reward::{QUANTITIES, RewardCard};
use crate::steer::{GUIDES, METHODS, denoiser};
use crate::store;
use crate::table::Note;
use serde_json::json;

/// The row of `isoline list`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "list",
    "List what there is: layers, estimators, descriptors, families, models, columns, …",
    |typed, _| run(&parsed(typed)?),
);

/// Arguments of `isoline list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which table
    #[arg(value_enum, value_name = "WHAT")]
    what: What,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    /// Layers a card may name, with their keys
    Layers,
    /// Operators that an ONNX file may hold, what they become, and the attributes that are read
    Operators,
    /// Kinds of nodes of a graph file, with their keys
    Nodes,
    /// Patterns of nodes that cheaper ones stand for when an ONNX file is imported
    Fusions,
    /// Ways to find the spectrum of the Jacobian
    Estimators,
    /// Numbers read off a spectrum
    Descriptors,
    /// Kinds of models
    Families,
    /// Steering methods
    Steering,
    /// Training objectives
    Objectives,
    /// What a denoiser's network predicts
    Predictions,
    /// Noise levels of a sampler's steps
    Schedules,
    /// Ways from noise to picture
    Solvers,
    /// Corrections of a denoiser
    Guidance,
    /// Estimators of dimension that need no network
    LidMethods,
    /// Synthetic manifolds of known dimension
    Manifolds,
    /// Models that can be asked for by name, and where they are looked for
    Models,
    /// Rewards of those models
    Rewards,
    /// What a reward may learn
    Quantities,
    /// Metrics of generated samples
    Metrics,
    /// Kinds of samples that can be evaluated
    Domains,
    /// Every column of every table that is written: unit, range, meaning, when it is empty
    Columns,
}

/// Prints the table, one row per line: the name, then what it is.
///
/// # Errors
/// When stdout cannot be written to.
pub fn run(args: &Args) -> Result<()> {
    let own = |name: &str, about: &str| (name.to_owned(), about.to_owned());
    let rows: Vec<(String, String)> = match args.what {
        What::Layers => KINDS.iter().map(|k| own(k.name, k.about)).collect(),
        What::Operators => {
            let all = crate::onnx::OPERATORS.iter();
            all.map(|o| own(o.name, &format!("{}{}", o.becomes, attributes(o.attributes)))).collect()
        }
        What::Nodes => NODES.iter().map(|k| own(k.name, k.about)).collect(),
        What::Fusions => crate::onnx::FUSIONS.iter().map(|f| own(f.name, f.about)).collect(),
        What::Estimators => {
            ESTIMATORS.iter().map(|e| own(e.name, &format!("{}; estimates {}", e.about, e.estimates))).collect()
        }
        What::Descriptors => DESCRIPTORS.iter().map(|d| own(d.name, d.about)).collect(),
        What::Families => FAMILIES.iter().map(|f| own(f.0, f.1)).collect(),
        What::Steering => {
            let guides = GUIDES.iter().map(|g| own(g.name, g.about));
            METHODS.iter().map(|m| own(m.name, m.about)).chain(guides).collect()
        }
        What::Objectives => OBJECTIVES.iter().map(|o| own(o.0, o.1)).collect(),
        What::Predictions => PREDICTIONS.iter().map(|p| own(p.name, p.about)).collect(),
        What::Schedules => SCHEDULES.iter().map(|s| own(s.name, s.about)).collect(),
        What::Solvers => SOLVERS.iter().map(|s| own(s.name, s.about)).collect(),
        What::Guidance => denoiser::formulas().map(|(name, formula)| own(name, formula)).collect(),
        What::LidMethods => lid::METHODS.iter().map(|m| own(m.name, m.about)).collect(),
        What::Manifolds => lid::MANIFOLDS.iter().map(|m| own(m.name, m.about)).collect(),
        What::Models => return models(args.json),
        What::Columns => return columns(args.json),
        What::Rewards => rewards(),
        What::Metrics => METRICS.iter().map(|m| own(m.name, &metric(m))).collect(),
        What::Domains => DOMAINS.iter().map(|(name, about)| own(name, about)).collect(),
        What::Quantities => QUANTITIES.iter().map(|q| own(q.name, q.about)).collect(),
    };
    if args.json {
        let rows: Vec<_> = rows.iter().map(|(name, about)| json!({"name": name, "about": about})).collect();
        return output::print_json(&rows.into());
    }
    let rows: Vec<Vec<String>> =
        rows.iter().map(|(name, about)| output::row([name, &about.replace('\n', " ")])).collect();
    output::print(&output::columns(&rows))
}

/// A metric in words.
fn metric(m: &MetricRow) -> String {
    let better = match m.better {
        Better::Lower => "lower is better".to_owned(),
        Better::Higher => "higher is better".to_owned(),
        Better::Near(v) => format!("best near {v}"),
    };
    format!("{}; {}, {better}; interval: {}; {}", m.about, m.range, m.interval, m.reference)
}

/// The attributes of an operator, in words.
fn attributes(names: &[&str]) -> String {
    if names.is_empty() { String::new() } else { format!("; attributes: {}", names.join(", ")) }
}

/// Prints the dictionary of columns.
fn columns(json: bool) -> Result<()> {
    let all = TABLES.iter().flat_map(|t| (t.notes)().into_iter().map(|note| (t.name, note)));
    if json {
        let row = |(table, note): (&str, Note)| {
            let empty = note.empty;
            json!({"table": table, "name": note.name, "unit": note.unit, "range": note.range, "meaning": note.meaning, "empty": empty})
        };
        return output::print_json(&all.map(row).collect());
    }
    let row = |(table, note): (&str, Note)| {
        output::row([table, &note.name, note.unit, note.range, &note.meaning, note.empty])
    };
    let head = output::row(["table", "column", "unit", "range", "meaning", "empty when"]);
    output::print(&output::columns(&std::iter::once(head).chain(all.map(row)).collect::<Vec<_>>()))
}

/// The card of a model, or why it is not usable.
fn about(model: &KnownModel) -> String {
    if let Err(rule) = store::check_id(&model.name) {
        return format!("not usable by this name: {rule}");
    }
    let path = model.path("card.toml");
    let text = model.text("card.toml");
    let table = text.as_ref().ok().and_then(|text| store::parse_toml::<toml::Table>(text, &shown(&path)).ok());
    if let Some(table) = table.filter(|t| t.get("family").and_then(toml::Value::as_str) == Some(CLASSIFIER)) {
        let about = table.get("about").and_then(toml::Value::as_str).unwrap_or_default();
        return format!("{CLASSIFIER}, makes no pictures: {about}");
    }
    let card = text.and_then(|text| Card::check(store::parse_toml(&text, &shown(&path))?, &path));
    match card {
        Ok(card) => format!("{}: {}", card.raw.family, card.raw.about),
        Err(e) => format!("not usable: {e}"),
    }
}

/// Lists every model with the folder that it is in, and then every place where models are looked for, in order.
fn models(json: bool) -> Result<()> {
    let known = known_models();
    if json {
        let row =
            |m: &KnownModel| json!({"name": m.name, "about": about(m), "place": m.place.about, "folder": m.folder});
        return output::print_json(&known.iter().map(row).collect());
    }
    let row = |m: &KnownModel| {
        let folder = m.folder.as_ref().map_or(m.place.about.to_owned(), |f| shown(f));
        output::row([&m.name, &about(m).replace('\n', " "), &folder])
    };
    let rows: Vec<_> = known.iter().map(row).collect();
    output::print(&output::columns(&rows))?;
    let places = places().into_iter().enumerate();
    let lines: String = places.map(|(i, place)| format!("{}. {place}\n", i + 1)).collect();
    output::print(&format!("\nwhere a name is looked for, in order:\n{lines}"))
}

/// Lists the rewards of every model with their main figures. The name of a reward other than the model's own follows
/// the model's name.
fn rewards() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for model in known_models() {
        let card = |folder: &String| -> Option<RewardCard> {
            let file = format!("{folder}/card.toml");
            store::parse_toml(&model.text(&file).ok()?, &shown(&model.path(&file))).ok()
        };
        all.extend(model.rewards().iter().filter_map(|folder| {
            let card = card(folder)?;
            let own = folder.strip_prefix("reward-").map_or(String::new(), |n| format!(" --reward {n}"));
            let rank = if card.model_rank > 0 { format!(" at model rank {}", card.model_rank) } else { String::new() };
            let about =
                format!("{}{rank}, {} labels by {} {}", card.target, card.labels, card.quantity, card.estimator);
            Some((format!("{}{own}", model.name), about))
        }));
    }
    all
}
