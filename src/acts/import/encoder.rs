//! Import of a network that reads pictures from an ONNX file: an encoder, whose output is features, or a classifier, whose
//! output is a score for each class.

use super::reference::Reference;
use super::{Findings, OnnxImported, OnnxOptions, card, checks, choices, convert, own, read_told, tensors};
use crate::device::{self, Device};
use crate::error::{Error, Result};
use crate::generator::{ENCODER, Input, check_import_folder, put_model};
use crate::limits;
use crate::nn::{GraphFile, Network, Parameters, Pass};
use crate::noise::{Stream, uniforms};
use crate::onnx::{self, Lowered, Reads};
use crate::render::Picture;
use crate::store;
use crate::tensors::{host, rows};
use std::path::Path;

/// Pictures of noise that are tried.
const TRIED: u64 = 4;
/// How far a sum of probabilities may be from 1.
const OFF: f32 = 1e-3;

/// What an import of an encoder may be told beside [`OnnxOptions`], which give its input (`latent`), features (`output`) and the
/// values of black and white (`range`).
#[derive(Clone, Debug, Default)]
pub struct EncoderOptions {
    /// Whether the output is scores of classes, and the features are what the last matrix of weights reads.
    pub classes: bool,
    /// How pictures are resized.
    pub interpolation: Option<String>,
    /// Length that the shorter side is brought to before the middle is cut.
    pub short_side: Option<usize>,
    /// What is taken off each channel.
    pub mean: Option<Vec<f32>>,
    /// What each channel is divided by then.
    pub std: Option<Vec<f32>>,
}

/// Reads the ONNX file `source` and writes `folder/{card.toml, graph.json, weights.safetensors}`, all at once.
///
/// # Errors
/// [`Error::Key`] if something must be chosen or is wrong, or for a folder that holds a model; [`Error::Input`] for a file that
/// does not read pictures, or differs from its reference; [`Error::Io`] for the folder.
pub fn import_encoder(
    source: &Path,
    folder: &Path,
    options: &OnnxOptions,
    asked: &EncoderOptions,
) -> Result<OnnxImported> {
    if !options.dry_run {
        check_import_folder(folder, source, source, options.force)?;
    }
    let (_, device) = device::open("cpu")?;
    let reference = Reference::find(source, options.reference.as_deref())?;
    let model = onnx::read(source)?;
    let choices = onnx::Choices { reads: Reads::Picture, ..choices(&model, options, reference.as_ref()) };
    let lowered = onnx::lower(&model, &choices, 1)?;
    let mut found =
        Findings { findings: read_told(&model, &lowered, &choices), warnings: lowered.report.warnings.clone() };
    let shape = picture_shape(source, own(&lowered.inputs[0].shape))?;
    let input = Input {
        interpolation: asked.interpolation.clone(),
        short_side: asked.short_side,
        mean: asked.mean.clone(),
        std: asked.std.clone(),
        ..Input::plain(shape, options.range.unwrap_or([0.0, 1.0]))
    };
    input.check()?;
    let samples = checks::samples(&model, &choices, &lowered.inputs[0], &device)?;
    let ready = Ready::of(source, &lowered, &device)?;
    let features = ready.check(source, &input, asked.classes, &lowered, &device)?;
    found.say(if asked.classes { "classes" } else { "features" }, features);
    if options.range.is_none() {
        found.warnings.push(
            "black and white were taken as 0 and 1 before mean and std; give range if they are other values".to_owned(),
        );
    }
    found.graph(&ready.network, &lowered);
    found.say("samples", samples);
    let mut figures = Vec::new();
    if let Some(reference) = &reference {
        let size = input.shape.iter().product();
        let seen = reference.latents(size)?;
        let made = ready.outputs(&seen, size, &device)?;
        let (off, _) = checks::outputs_off(&made, reference, 0.0)?;
        found.say("reference", format!("{} outputs within {off:.1e} of the largest", seen.len() / size));
        figures.push(("outputs_off".to_owned(), off));
    }
    let done = OnnxImported {
        folder: folder.to_owned(),
        findings: found.findings,
        warnings: found.warnings,
        parity: None,
        other_rewards: Vec::new(),
    };
    if options.dry_run {
        return Ok(done);
    }
    let graph = serde_json::to_vec(&ready.file).map_err(|e| Error::Bug(format!("graph: {e}")))?;
    let weights = store::write_safetensors(&tensors(&lowered))?;
    let text = card::encoder_text(&card::EncoderFacts {
        id: card::id(folder)?,
        family: if asked.classes { "classifier" } else { ENCODER },
        source,
        model: &model,
        options,
        input: &input,
        graph_sha256: &store::sha256_hex(&graph),
        weights_sha256: &store::sha256_hex(&weights),
    })?;
    let text = card::with_figures(&text, &figures);
    let files =
        [("weights.safetensors", weights.as_slice()), ("graph.json", graph.as_slice()), ("card.toml", text.as_bytes())];
    put_model(folder, &files)?;
    Ok(done)
}

/// The shape of a picture, channels first.
fn picture_shape(source: &Path, shape: &[usize]) -> Result<[usize; 3]> {
    match *shape {
        [c @ (1 | 3), h, w] => Ok([c, h, w]),
        [h, w, c @ (1 | 3)] => Err(Error::input(
            source,
            format!("reads pictures [{h}, {w}, {c}], expected channels first; export it for [{c}, {h}, {w}]"),
        )),
        _ => Err(Error::input(
            source,
            format!(
                "reads {shape:?}, expected a picture [1 or 3, height, width]; without the key as it would be a generator"
            ),
        )),
    }
}

/// A network that is ready to be written.
struct Ready {
    file: GraphFile,
    network: Network,
    parameters: Parameters,
}

impl Ready {
    fn of(source: &Path, lowered: &Lowered, device: &Device) -> Result<Self> {
        let file = convert::converted(lowered)?.file;
        let network = file.network_within(limits::PICTURE_VALUES).map_err(|e| Error::input(source, e.to_string()))?;
        let each = lowered.tensors.iter().map(|(name, (_, values))| (name.clone(), values.clone()));
        Ok(Self { file, network, parameters: Parameters::from_values(each, device) })
    }

    fn outputs(&self, seen: &[f32], size: usize, device: &Device) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for one in seen.chunks(size) {
            let x = rows(one.to_vec(), size, device);
            all.extend(host(self.network.forward(x, &Pass::frozen(&self.parameters)))?);
        }
        Ok(all)
    }

    /// Tries the network on pictures of noise, and says what it makes.
    fn check(&self, source: &Path, input: &Input, classes: bool, lowered: &Lowered, device: &Device) -> Result<String> {
        let size: usize = input.shape.iter().product();
        let mut seen = Vec::with_capacity(TRIED as usize * size);
        for i in 0..TRIED {
            let bytes = uniforms(0, i, Stream::Sampling, 0, size).into_iter().map(|u| (255.0 * u) as u8).collect();
            seen.extend(input.values(&Picture::from_pixels(bytes, input.shape)?)?);
        }
        let made = self.outputs(&seen, size, device)?;
        if let Some(bad) = made.iter().find(|v| !v.is_finite()) {
            let message = format!("of a picture of noise it makes {bad}, expected finite numbers");
            return Err(Error::input(source, message));
        }
        let each: Vec<&[f32]> = made.chunks_exact(made.len() / TRIED as usize).collect();
        if each.iter().all(|row| *row == each[0]) {
            return Err(Error::input(source, "its output is the same for every picture; there is nothing to compare"));
        }
        let shape = own(self.network.output_shape());
        let told = format!("{shape:?}, {} values of each picture", each[0].len());
        if !classes {
            return Ok(told);
        }
        if each[0].len() < 2 {
            let message = format!("expected a score for each of at least 2 classes, found {}", each[0].len());
            return Err(Error::input(source, message));
        }
        let sums = |row: &&[f32]| row.iter().all(|v| *v >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() < OFF;
        if each.iter().all(sums) {
            let last = lowered.nodes.last().map_or("", |n| n.name.as_str()).escape_debug().to_string();
            let message =
                format!("is probabilities (node \"{last}\"), expected scores; name the value before its softmax");
            return Err(Error::key("output", message));
        }
        Ok(told)
    }
}
