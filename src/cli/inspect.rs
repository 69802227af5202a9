//! `isoline inspect`: shows what a model is and whether its parts fit.

mod folder;

use super::{CommandRow, Context, output, parsed};
use crate::error::{Error, Result};
use crate::generator::{Card, CodecParts, FAMILIES, Inspection, OneShot, Output, find_model};
use crate::nn::{Mismatch, Network, Node, ParameterSpec};
use serde_json::{Value, json};
use std::path::Path;

/// The row of `isoline inspect`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "inspect",
    "Show a model's card, layers and weights, and what does not fit",
    |typed, context| run(&parsed(typed)?, context),
);

/// Arguments of `isoline inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of a model, see isoline list models, or the path of its folder; a folder of diffusers too
    #[arg(value_name = "MODEL")]
    model: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the report.
///
/// # Errors
/// [`Error::Input`], after the report, if card and weights do not fit.
pub fn run(args: &Args, _: &Context) -> Result<()> {
    let path = Path::new(&args.model);
    if folder::is_meant(path) {
        return folder::run(path, args.json);
    }
    let folder = find_model(&args.model)?;
    let found = OneShot::inspect(&folder)?;
    let others = other_sizes(&found.card)?;
    if args.json {
        output::print_json(&as_json(&found, &others))?;
    } else {
        output::print(&as_text(&found, &others))?;
    }
    let weights = folder.join(&found.card.raw.weights.file);
    match faults(&found) {
        faults if faults.is_empty() => Ok(()),
        faults => Err(Error::input(weights, faults.join("; "))),
    }
}

fn faults(found: &Inspection) -> Vec<String> {
    let hash = (!found.hash_matches)
        .then(|| "the SHA-256 is not the one in card.toml; the file was changed or damaged".to_owned());
    let tensors = (!found.mismatch.is_empty()).then(|| found.mismatch.message());
    hash.into_iter().chain(tensors).collect()
}

fn node_size(node: &Node) -> usize {
    let mut specs = Vec::new();
    node.operator.parameters(&mut specs);
    specs.iter().map(|s| s.shape.iter().product::<usize>()).sum()
}

fn size(network: &Network) -> usize {
    network.nodes().iter().map(node_size).sum()
}

/// Numbers of parameters of the networks beside the layers, by their tables' names.
fn other_sizes(card: &Card) -> Result<Vec<(&'static str, usize)>> {
    let values = |specs: Vec<ParameterSpec>| specs.iter().map(|s| s.shape.iter().product::<usize>()).sum::<usize>();
    let decoder = CodecParts::of(card)?.map(|parts| ("decoder", values(parts.parameters())));
    let encoder = card.encoder()?.map(|network| ("encoder", values(network.parameters())));
    Ok(encoder.into_iter().chain(decoder).collect())
}

/// Whether the map to the image is piecewise linear, and whether the map to the pre-activation is.
fn piecewise_linear(network: &Network) -> [bool; 2] {
    let measured = network.last_activation().map(|i| network.without(i));
    [network.is_piecewise_linear(), measured.as_ref().unwrap_or(network).is_piecewise_linear()]
}

fn output_name(output: Output) -> &'static str {
    match output {
        Output::Image => "image",
        Output::Preactivation => "preactivation",
    }
}

fn as_text(found: &Inspection, others: &[(&str, usize)]) -> String {
    let row = |node: &Node| {
        let shape = format!("{:?}", node.operator.output_shape());
        output::row([&node.name, &node.operator.describe(), &shape, &output::count(node_size(node))])
    };
    let mut layers = vec![output::row(["layer", "kind and settings", "output shape", "parameters"])];
    layers.extend(found.network.nodes().iter().map(row));
    layers.push(output::row(["total", "", "", &output::count(size(&found.network))]));
    layers.extend(others.iter().map(|(name, n)| output::row([*name, "", "", &output::count(*n)])));
    format!(
        "{}\n{}\n{}",
        output::wrapped(&card_rows(found)),
        output::wrapped(&layers),
        output::wrapped(&fit_rows(found))
    )
}

fn card_rows(found: &Inspection) -> Vec<Vec<String>> {
    let (card, p) = (&found.card.raw, &found.card.raw.provenance);
    let family = FAMILIES.iter().find(|f| f.0 == card.family).map(|f| format!("{}: {}", f.0, f.1));
    let figures: Vec<String> = p.figures.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let rows = [
        ("id", card.id.clone()),
        ("family", family.unwrap_or_else(|| card.family.clone())),
        ("about", card.about.clone()),
        ("latent", format!("{:?} values from N(0, I)", card.latent.shape)),
        ("sample", format!("{:?}, black {}, white {}", card.sample.shape, card.sample.range[0], card.sample.range[1])),
        ("geometry", format!("of the {}", output_name(card.geometry.output))),
        ("trained on", p.trained_on.clone()),
        ("licence", p.licence.clone()),
        ("how", p.how.clone()),
        ("source", p.source.clone()),
        ("figures", figures.join(", ")),
    ];
    let kept = rows.iter().filter(|(_, text)| !text.is_empty());
    kept.map(|(name, text)| output::row([name, &text.replace('\n', " ")])).collect()
}

fn fit_rows(found: &Inspection) -> Vec<Vec<String>> {
    let yes = |b: bool| if b { "yes" } else { "no" };
    let [image, preactivation] = piecewise_linear(&found.network);
    let hash = if found.hash_matches { "SHA-256 as in card.toml" } else { "SHA-256 is not the one in card.toml" };
    let linear = format!("image {}, pre-activation {}", yes(image), yes(preactivation));
    let mut rows = vec![
        output::row(["piecewise linear", &linear]),
        output::row(["weights", &format!("{}, {hash}", found.card.raw.weights.file)]),
    ];
    for (name, near) in &found.mismatch.missing {
        let near = near.as_ref().map(|n| format!(", nearest in the file: \"{n}\"")).unwrap_or_default();
        rows.push(output::row(["missing tensor", &format!("\"{name}\"{near}")]));
    }
    for (name, expected, found) in &found.mismatch.misshaped {
        rows.push(output::row(["misshaped tensor", &format!("\"{name}\": expected {expected:?}, found {found:?}")]));
    }
    for (name, found) in &found.mismatch.unread {
        rows.push(output::row(["tensor", &format!("\"{name}\": {}", Mismatch::unread_as(found))]));
    }
    rows.extend(found.mismatch.extra.iter().map(|name| output::row(["extra tensor", &format!("\"{name}\"")])));
    if found.mismatch.is_empty() {
        rows.push(output::row(["tensors", "all there, all read"]));
    }
    rows
}

fn as_json(found: &Inspection, others: &[(&str, usize)]) -> Value {
    let parameters = |name: &str| others.iter().find(|o| o.0 == name).map(|o| o.1);
    let (card, mismatch) = (&found.card.raw, &found.mismatch);
    let [image, preactivation] = piecewise_linear(&found.network);
    let row = |n: &Node| {
        let (about, shape) = (n.operator.describe(), n.operator.output_shape());
        json!({"name": n.name, "about": about, "output_shape": shape, "parameters": node_size(n)})
    };
    json!({
        "id": card.id, "family": card.family, "about": card.about, "latent": card.latent, "sample": card.sample,
        "geometry": card.geometry, "provenance": card.provenance,
        "layers": found.network.nodes().iter().map(row).collect::<Vec<_>>(),
        "parameters": size(&found.network), "encoder_parameters": parameters("encoder"),
        "decoder_parameters": parameters("decoder"),
        "piecewise_linear": {"image": image, "preactivation": preactivation},
        "weights": {"file": card.weights.file, "sha256": card.weights.sha256, "hash_matches": found.hash_matches},
        "missing": mismatch.missing.iter().map(|(name, near)| json!({"name": name, "nearest": near})).collect::<Vec<_>>(),
        "misshaped": mismatch.misshaped.iter().map(|(name, expected, found)| json!({"name": name, "expected": expected, "found": found})).collect::<Vec<_>>(),
        "unread": mismatch.unread.iter().map(|(name, found)| json!({"name": name, "found": found})).collect::<Vec<_>>(),
        "extra": mismatch.extra,
        "fits": found.hash_matches && mismatch.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_maps_are_those_of_the_card() {
        use super::Output;
        for output in [Output::Image, Output::Preactivation] {
            assert_eq!(serde_json::to_value(output).unwrap(), super::output_name(output));
        }
    }
}
