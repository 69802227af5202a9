//! Import of a generator from an ONNX file: read, lowered to a graph, measured, and written as a model folder.

mod card;
mod checks;
mod convert;
mod encoder;
mod picture;
mod reference;

pub use checks::Parity;
pub use convert::{Converted, converted};
pub use encoder::{EncoderOptions, import_encoder};
pub use reference::{Array, arrays};

use crate::device::{self, Device};
use crate::error::{Error, Result, shown};
use crate::generator::{Card, Generator, OneShot, check_import_folder, other_rewards, put_model};
use crate::nn::{Network, Parameters};
use crate::noise::{Stream, normals, uniforms};
use crate::onnx::{self, Choices, Fixed, Law, Lowered, Model, Reads};
use crate::store::{self, WeightTensor};
use crate::tensors::{host, rows};
use reference::Reference;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Latents on which the range of pictures is measured.
const RANGE_ON: usize = 64;
/// Samples of a tile, for the estimate of memory.
const TILE: usize = 16;

/// What random nodes of a file become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// One draw, kept in the model.
    Fixed,
    /// Their mean.
    Zero,
}

/// What an import may be told. Where the file leaves no choice, nothing has to be said.
#[derive(Clone, Debug, Default)]
pub struct OnnxOptions {
    /// The input that is the latent.
    pub latent: Option<String>,
    /// The latent's shape, without the batch, where the file leaves it open.
    pub shape: Option<Vec<usize>>,
    /// What the other inputs are held at.
    pub fixed: BTreeMap<String, Array>,
    /// The output that is the picture.
    pub output: Option<String>,
    /// The picture's shape, where the output is flat.
    pub picture: Option<[usize; 3]>,
    /// The values of black and of white.
    pub range: Option<[f32; 2]>,
    /// What random nodes become.
    pub noise: Option<Noise>,
    /// Fusions to leave out.
    pub unfused: Vec<String>,
    /// A file of results to compare with; without it, the one beside the model is taken, if there is one.
    pub reference: Option<PathBuf>,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Whether a model that lies in the folder is replaced.
    pub force: bool,
}

/// What an import found and did.
pub struct OnnxImported {
    /// The model's folder.
    pub folder: PathBuf,
    /// Name and text of each finding, in order.
    pub findings: Vec<(&'static str, String)>,
    /// Remarks that the user should look at.
    pub warnings: Vec<String>,
    /// How the model compares with its reference, if there is one.
    pub parity: Option<Parity>,
    /// Rewards in the folder that were taught on another model.
    pub other_rewards: Vec<String>,
}

/// Reads the ONNX file `source` and writes `folder/{card.toml, graph.json, weights.safetensors}`, all at once.
///
/// # Errors
/// [`Error::Key`] if something must be chosen, or for a folder that holds a model; [`Error::Input`] for a file that is no
/// generator, or differs from its reference; [`Error::Io`] for the folder.
pub fn import_onnx(source: &Path, folder: &Path, options: &OnnxOptions) -> Result<OnnxImported> {
    if !options.dry_run {
        check_import_folder(folder, source, source, options.force)?;
    }
    let (_, device) = device::open("cpu")?;
    let reference = Reference::find(source, options.reference.as_deref())?;
    let model = onnx::read(source)?;
    let choices = choices(&model, options, reference.as_ref());
    let lowered = onnx::lower(&model, &choices, 1)?;
    let mut found =
        Findings { findings: read_told(&model, &lowered, &choices), warnings: lowered.report.warnings.clone() };
    let samples = checks::samples(&model, &choices, &lowered.inputs[0], &device)?;
    let ready = Ready::of(source, folder, &model, &lowered, options, &device, &mut found)?;
    found.say("samples", samples);
    let parity = reference.as_ref().map(|reference| checks::parity(&ready.generator, reference)).transpose()?;
    if let (Some(parity), Some(reference)) = (&parity, &reference) {
        if parity.is_suspect() {
            found.warnings.push(format!("{}: {}", reference.told(), parity.told()));
        }
        found.say("reference", parity.told());
    }
    let figures: Vec<(String, f64)> = parity.iter().map(|p| ("outputs_off".to_owned(), p.outputs)).collect();
    let mut done = OnnxImported {
        folder: folder.to_owned(),
        findings: found.findings,
        warnings: found.warnings,
        parity,
        other_rewards: Vec::new(),
    };
    if !options.dry_run {
        let text = card::with_figures(&ready.text, &figures);
        let files = [
            ("weights.safetensors", ready.weights.as_slice()),
            ("graph.json", ready.graph.as_slice()),
            ("card.toml", text.as_bytes()),
        ];
        put_model(folder, &files)?;
        done.other_rewards = other_rewards(folder)?;
    }
    Ok(done)
}

/// What is found on the way, in words.
struct Findings {
    findings: Vec<(&'static str, String)>,
    warnings: Vec<String>,
}

impl Findings {
    fn say(&mut self, what: &'static str, text: String) {
        self.findings.push((what, text));
    }

    /// What became of the file's nodes.
    fn graph(&mut self, network: &Network, lowered: &Lowered) {
        let left: Vec<String> = lowered.report.left.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
        let (nodes, folded) = (network.nodes().len(), lowered.report.folded);
        self.say("graph", format!("{nodes} nodes: {}; {folded} of the file's folded", left.join(", ")));
        let fused: Vec<String> = lowered.report.fused.iter().map(|(name, n)| format!("{name} {n}")).collect();
        if !fused.is_empty() {
            self.say("fused", fused.join(", "));
        }
    }
}

/// The tensors of a lowered graph as they are written.
fn tensors(lowered: &Lowered) -> BTreeMap<String, WeightTensor> {
    let one = |(name, (shape, values)): (&String, &(Vec<usize>, Vec<f32>))| {
        (name.clone(), WeightTensor { shape: shape.clone(), values: values.clone() })
    };
    lowered.tensors.iter().map(one).collect()
}

/// What the reader is told: the options, and for inputs that they leave open what the reference was made with.
fn choices(model: &Model, options: &OnnxOptions, reference: Option<&Reference>) -> Choices {
    let tensor = |a: &Array| Fixed::Tensor { shape: a.shape.clone(), values: a.values.clone() };
    let known = |name: &str| model.inputs.iter().any(|i| i.name == name);
    let mut fixed: BTreeMap<String, Fixed> = reference
        .into_iter()
        .flat_map(Reference::fixed)
        .filter(|(name, _)| known(name))
        .map(|(name, a)| (name.to_owned(), tensor(a)))
        .collect();
    let given = options.fixed.iter().map(|(name, a)| {
        let value = if a.shape.is_empty() { Fixed::Numbers(a.values.clone()) } else { tensor(a) };
        (name.clone(), value)
    });
    fixed.extend(given);
    let noise = options.noise.map(|noise| match noise {
        Noise::Zero => onnx::Noise::Zero,
        Noise::Fixed => onnx::Noise::Fixed(Arc::new(|draw: onnx::Draw| match draw.law {
            Law::Normal => normals(0, draw.index as u64, Stream::Sampling, 0, draw.count),
            Law::Uniform => uniforms(0, draw.index as u64, Stream::Sampling, 0, draw.count),
        })),
    });
    Choices {
        latent: options.latent.clone(),
        shape: options.shape.clone(),
        output: options.output.clone(),
        fixed,
        noise,
        unfused: options.unfused.clone(),
        ..Choices::default()
    }
}

fn read_told(model: &Model, lowered: &Lowered, choices: &Choices) -> Vec<(&'static str, String)> {
    let name = model.file.file_name().unwrap_or_default();
    let input = &lowered.inputs[0];
    let width: usize = input.shape.iter().product();
    let mut told = vec![
        (
            "read",
            format!(
                "{}: opset {}, {}, {} nodes, {} parameters",
                shown(Path::new(name)),
                model.opset,
                model.producer,
                model.node_count,
                model.parameters
            ),
        ),
        match choices.reads {
            Reads::Latent => (
                "latent",
                format!("\"{}\" {:?}, {width} values, taken as N(0, I)", input.name.escape_debug(), own(&input.shape)),
            ),
            Reads::Picture => {
                ("picture", format!("\"{}\" {:?}, {width} values", input.name.escape_debug(), own(&input.shape)))
            }
        },
    ];
    for (name, value) in &choices.fixed {
        let text = match value {
            Fixed::Numbers(v) if v.len() <= 8 => format!("{v:?}"),
            Fixed::Numbers(v) => format!("{} numbers", v.len()),
            Fixed::Tensor { values, .. } if values.len() <= 8 => format!("{values:?}"),
            Fixed::Tensor { shape, .. } => format!("a tensor {shape:?}"),
        };
        told.push(("fixed", format!("\"{}\" = {text}", name.escape_debug())));
    }
    told
}

/// A shape without the batch of one before it.
fn own(shape: &[usize]) -> &[usize] {
    if shape.len() > 1 && shape[0] == 1 { &shape[1..] } else { shape }
}

/// A model that is ready to be written.
struct Ready {
    generator: OneShot,
    text: String,
    graph: Vec<u8>,
    weights: Vec<u8>,
}

impl Ready {
    fn of(
        source: &Path,
        folder: &Path,
        model: &Model,
        lowered: &Lowered,
        options: &OnnxOptions,
        device: &Device,
        found: &mut Findings,
    ) -> Result<Self> {
        let mut file = convert::converted(lowered)?.file;
        let shaped = picture::shape(&mut file, options.picture)?;
        let network = file.network().map_err(|e| Error::input(source, e.to_string()))?;
        let tensors = tensors(lowered);
        let parameters = Parameters::from_values(tensors.iter().map(|(n, t)| (n.clone(), t.values.clone())), device);
        let width: usize = network.input_shape().iter().product();
        let range = match options.range {
            Some(ends) => picture::Range { ends, from: "as given".to_owned(), guessed: false },
            None => picture::range_of(lowered, || {
                let latents: Vec<f32> = (0..RANGE_ON as u64).flat_map(|i| checks::latent(i, width)).collect();
                let pass = crate::nn::Pass::frozen(&parameters);
                let mut ends = [f32::INFINITY, f32::NEG_INFINITY];
                for part in latents.chunks(width * TILE) {
                    let values = host(network.forward(rows(part.to_vec(), width, device), &pass))?;
                    if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
                        return Err(Error::input(source, format!("pictures hold {bad}, expected finite numbers")));
                    }
                    ends = values.iter().fold(ends, |[a, b], v| [a.min(*v), b.max(*v)]);
                }
                if ends[0] == ends[1] {
                    let message =
                        format!("every value of every picture is {}; there is nothing to see or to measure", ends[0]);
                    return Err(Error::input(source, message));
                }
                Ok((ends, RANGE_ON))
            })?,
        };
        let name = model.outputs.iter().find(|o| options.output.as_ref().is_none_or(|n| *n == o.name));
        let name = name.map_or(String::new(), |o| format!("\"{}\" ", o.name.escape_debug()));
        found.say(
            "picture",
            format!("{name}{:?}, range [{}, {}] {}", shaped.shape, range.ends[0], range.ends[1], range.from),
        );
        found.warnings.extend(shaped.remark);
        if range.guessed {
            found.warnings.push(format!(
                "the range of the picture was {}; give range if black and white are other values",
                range.from
            ));
        }
        found.graph(&network, lowered);
        let smooth = network.nodes().iter().find(|n| !n.operator.character().is_piecewise_linear());
        let kind = match smooth {
            None => "piecewise linear".to_owned(),
            Some(n) => {
                format!("smooth (first: {}, node \"{}\")", n.operator.describe(), n.name.escape_debug())
            }
        };
        let graph = serde_json::to_vec(&file).map_err(|e| Error::Bug(format!("graph: {e}")))?;
        let weights = store::write_safetensors(&tensors)?;
        let (graph_sha, weights_sha) = (store::sha256_hex(&graph), store::sha256_hex(&weights));
        let text = card::text(&card::Facts {
            id: card::id(folder)?,
            source,
            model,
            options,
            latent: own(&lowered.inputs[0].shape),
            picture: shaped.shape,
            range: range.ends,
            graph_sha256: &graph_sha,
            weights_sha256: &weights_sha,
        });
        let path = folder.join("card.toml");
        let card = Card::check(store::parse_toml(&text, "card.toml")?, &path)?;
        let generator = OneShot::from_parts(&card, network, parameters, device)?;
        let rows = generator.host().map(|host| host.peak_rows());
        let memory = rows.map_or(String::new(), |rows| {
            let bytes = rows * crate::host::HostRows::lanes_for(width) * 4;
            format!(", {} MiB a latent", (bytes >> 20).max(1))
        });
        let place = if rows.is_some() { "" } else { ", on tensors" };
        found.say("geometry", format!("{kind}; exact by {width} tangents{memory}{place}"));
        Ok(Self { generator, text, graph, weights })
    }
}
