//! `isoline list`: the static tables of this build, and the models at hand.

use super::{CommandRow, Context, output, parsed};
use crate::diffusion::{lid, predictions::PREDICTIONS, schedules::SCHEDULES, solvers::SOLVERS};
use crate::error::Result;
use crate::generator::train::OBJECTIVES;
use crate::generator::{Card, FAMILIES, known_models};
use crate::geometry::{DESCRIPTORS, ESTIMATORS};
use crate::nn::layers::KINDS;
use crate::reward::{QUANTITIES, RewardCard};
use crate::steer::{GUIDES, METHODS, denoiser};
use crate::store::check_id;
use serde_json::json;

/// The row of `isoline list`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "list",
    "List what this build knows: layers, estimators, descriptors, families, models",
    |typed, context| run(&parsed(typed)?, context),
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
    /// Ways to the spectrum of the Jacobian
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
    /// Dimension without a network
    LidMethods,
    /// Synthetic manifolds of known dimension
    Manifolds,
    /// Models in models/, or in ISOLINE_MODELS
    Models,
    /// Rewards of those models
    Rewards,
    /// What a reward may learn
    Quantities,
}

/// Prints the table, one row per line: the name, then what it is.
///
/// # Errors
/// When stdout cannot be written to.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let own = |name: &str, about: &str| (name.to_owned(), about.to_owned());
    let rows: Vec<(String, String)> = match args.what {
        What::Layers => KINDS.iter().map(|k| own(k.name, k.about)).collect(),
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
        What::Models => models(context),
        What::Rewards => rewards(),
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

/// Lists every model; one whose card cannot be read is listed with the reason.
fn models(context: &Context) -> Vec<(String, String)> {
    let (root, names) = known_models();
    if names.is_empty() {
        context.say(&format!("no models in {}; set ISOLINE_MODELS", crate::error::shown(&root)));
    }
    let about = |name: &String| match Card::read(&root.join(name).join("card.toml")) {
        Ok(_) if check_id(name).is_err() => {
            format!("not usable by this name: {}", check_id(name).err().unwrap_or_default())
        }
        Ok(card) => format!("{}: {}", card.raw.family, card.raw.about),
        Err(e) => format!("not usable: {e}"),
    };
    names.iter().map(|name| (name.clone(), about(name))).collect()
}

/// Lists the rewards of every model with their main figures. The name of a reward other than the model's own follows
/// the model's name.
fn rewards() -> Vec<(String, String)> {
    let (root, names) = known_models();
    let mut all = Vec::new();
    for model in &names {
        let folders = std::fs::read_dir(root.join(model)).into_iter().flatten().flatten();
        let mut found: Vec<(String, RewardCard)> = folders
            .filter_map(|f| {
                let name = f.file_name().into_string().ok().filter(|n| n == "reward" || n.starts_with("reward-"))?;
                Some((name, crate::store::read_toml(&f.path().join("card.toml")).ok()?.0))
            })
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        all.extend(found.into_iter().map(|(name, card)| {
            let own = name.strip_prefix("reward-").map_or(String::new(), |n| format!(" --reward {n}"));
            let rank = if card.model_rank > 0 { format!(" at model rank {}", card.model_rank) } else { String::new() };
            let about =
                format!("{}{rank}, {} labels by {} {}", card.target, card.labels, card.quantity, card.estimator);
            (format!("{model}{own}"), about)
        }));
    }
    all
}
