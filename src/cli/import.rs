//! `isoline import`: turns a model of others into a model folder: an ONNX file as it is, or weights and a draft card.

use super::{CommandRow, Context, output, parsed};
use crate::acts::import::{
    Array, EncoderOptions, Noise, OnnxImported, OnnxOptions, arrays, import_encoder, import_onnx,
};
use crate::error::{Error, Result, shown};
use crate::generator::{ImportOptions, Imported, import, prefix_told};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The row of `isoline import`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "import",
    "Turn an ONNX file, or weights and a draft card, into a model folder",
    |typed, context| run(&parsed(typed)?, context),
);

/// Arguments of `isoline import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A generator as .onnx; or weights: .pth, .pt, .ckpt or .bin of PyTorch, .safetensors, or the .index.json of several.
    /// No code in it is run
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Folder of the model, made if it is not there
    #[arg(short, long, value_name = "DIR")]
    outdir: PathBuf,
    /// Replace card and weights of a model that is in the folder; rewards and other files stay
    #[arg(long)]
    force: bool,
    /// For weights: a card without file name and hash, which are filled in
    #[arg(long, value_name = "FILE", help_heading = "Weights")]
    card: Option<PathBuf>,
    /// Prefix of the tensors' names, as in state_dict.generator or g_ema [default: the only one where all fit]
    #[arg(long, value_name = "NAME", help_heading = "Weights")]
    key: Option<String>,
    #[command(flatten)]
    onnx: OnnxArgs,
    #[command(flatten)]
    encoder: EncoderArgs,
}

/// What an ONNX file is taken as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Noise to pictures
    Generator,
    /// Pictures to features, for isoline evaluate --features
    Encoder,
    /// Pictures to scores of classes
    Classifier,
}

/// How pictures are made to fit a network that reads them. It stands in the card, where it can be changed later.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "ONNX encoders and classifiers")]
struct EncoderArgs {
    /// How pictures are resized: torch-bilinear, torch-bicubic, torch-area, torch-bilinear-antialias, torch-bicubic-antialias,
    /// pil-bilinear, pil-bicubic or clean-fid [default: torch-bilinear]
    #[arg(long, value_name = "NAME")]
    interpolation: Option<String>,
    /// Bring the shorter side of a picture to this length and cut the middle [default: resize the whole picture]
    #[arg(long, value_name = "N")]
    short_side: Option<usize>,
    /// What is taken off each channel, as in 0.485,0.456,0.406, after black and white are at --range
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true)]
    mean: Option<String>,
    /// What each channel is divided by then
    #[arg(long, value_name = "NUMBERS")]
    std: Option<String>,
}

impl EncoderArgs {
    fn options(&self, kind: Kind) -> Result<EncoderOptions> {
        let each = |flag: &str, text: &Option<String>| -> Result<Option<Vec<f32>>> {
            let all = text.as_ref().map(|text| numbers(flag, text)).transpose()?;
            Ok(all.map(|all| all.into_iter().map(|v| v as f32).collect()))
        };
        Ok(EncoderOptions {
            classes: kind == Kind::Classifier,
            interpolation: self.interpolation.clone(),
            short_side: self.short_side,
            mean: each("--mean", &self.mean)?,
            std: each("--std", &self.std)?,
        })
    }

    /// The first of these flags that was given.
    fn given(&self) -> Option<&'static str> {
        let flags = [
            (self.interpolation.is_some(), "--interpolation"),
            (self.short_side.is_some(), "--short-side"),
            (self.mean.is_some(), "--mean"),
            (self.std.is_some(), "--std"),
        ];
        flags.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
    }
}

/// What may be said about an ONNX file that leaves it open.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "ONNX")]
struct OnnxArgs {
    /// What the network is [default: generator]
    #[arg(long = "as", value_enum, value_name = "WHAT")]
    kind: Option<Kind>,
    /// The input that is the latent; of an encoder or a classifier, the picture
    #[arg(long, value_name = "NAME")]
    latent: Option<String>,
    /// Shape of one latent, as in 16 or 4x8x8, or of one picture that is read, if the file leaves it open
    #[arg(long, value_name = "SHAPE")]
    shape: Option<String>,
    /// What another input is held at, as in class=0,1,0 or class=FILE.safetensors; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    fix: Vec<String>,
    /// The output that is the picture; of an encoder, the features. It may be any value in the file
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Shape of the picture, as in 1x28x28, if the output is flat
    #[arg(long, value_name = "CxHxW")]
    picture: Option<String>,
    /// The values of black and of white, as in -1,1 [default: of the last activation, else measured; of an encoder 0,1]
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true)]
    range: Option<String>,
    /// What random nodes become: one draw that is kept (fixed), or their mean (zero)
    #[arg(long, value_name = "WHAT")]
    noise: Option<String>,
    /// Fusions to leave out, as in silu,group_norm, or all of them: all. They are for speed alone; see isoline list fusions
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    unfused: Vec<String>,
    /// Results to compare with [default: SOURCE with the ending .reference.safetensors, if it is there]
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Read and measure, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl OnnxArgs {
    fn options(&self, force: bool) -> Result<OnnxOptions> {
        let picture = match &self.picture {
            None => None,
            Some(text) => {
                let found = sizes("--picture", text)?;
                let shape = <[usize; 3]>::try_from(found.as_slice()).map_err(|_| wrong("--picture", text, "CxHxW"))?;
                Some(shape)
            }
        };
        let range = match &self.range {
            None => None,
            Some(text) => {
                let ends = numbers("--range", text)?;
                let &[low, high] = &ends[..] else { return Err(wrong("--range", text, "LOW,HIGH, as in -1,1")) };
                if low >= high {
                    return Err(wrong("--range", text, "a low end below the high one"));
                }
                Some([low as f32, high as f32])
            }
        };
        let noise = match self.noise.as_deref() {
            None => None,
            Some("fixed") => Some(Noise::Fixed),
            Some("zero") => Some(Noise::Zero),
            Some(other) => {
                return Err(wrong("--noise", other, "fixed or zero"));
            }
        };
        Ok(OnnxOptions {
            latent: self.latent.clone(),
            shape: self.shape.as_ref().map(|text| sizes("--shape", text)).transpose()?,
            fixed: self.fix.iter().map(|text| fixed(text)).collect::<Result<BTreeMap<_, _>>>()?,
            output: self.output.clone(),
            picture,
            range,
            noise,
            unfused: self.unfused.clone(),
            reference: self.reference.clone(),
            dry_run: self.dry_run,
            force,
        })
    }

    /// The first of these flags that was given.
    fn given(&self) -> Option<&'static str> {
        let flags = [
            (self.kind.is_some(), "--as"),
            (self.latent.is_some(), "--latent"),
            (self.shape.is_some(), "--shape"),
            (!self.fix.is_empty(), "--fix"),
            (self.output.is_some(), "--output"),
            (self.picture.is_some(), "--picture"),
            (self.range.is_some(), "--range"),
            (self.noise.is_some(), "--noise"),
            (!self.unfused.is_empty(), "--unfused"),
            (self.reference.is_some(), "--reference"),
            (self.dry_run, "--dry-run"),
        ];
        flags.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
    }
}

fn wrong(flag: &str, found: &str, expected: &str) -> Error {
    Error::config(flag, format!("expected {expected}, found \"{}\"", found.escape_debug()))
}

/// Sizes joined by x or commas.
fn sizes(flag: &str, text: &str) -> Result<Vec<usize>> {
    let one = |part: &str| part.trim().parse::<usize>().ok().filter(|n| *n > 0);
    text.split(['x', ',', '×'])
        .map(one)
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| wrong(flag, text, "sizes, as in 4x8x8"))
}

/// Numbers joined by commas.
fn numbers(flag: &str, text: &str) -> Result<Vec<f64>> {
    let one = |part: &str| part.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    text.split(',').map(one).collect::<Option<Vec<_>>>().ok_or_else(|| wrong(flag, text, "numbers, as in 0,1,0"))
}

/// An input and what it is held at.
fn fixed(text: &str) -> Result<(String, Array)> {
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err(wrong("--fix", text, "NAME=VALUE, as in class=0,1,0 or class=FILE.safetensors"));
    };
    if !value.ends_with(".safetensors") {
        return Ok((name.to_owned(), Array { shape: Vec::new(), values: numbers("--fix", value)? }));
    }
    let mut all = arrays(Path::new(value))?;
    let found = all.remove(name).or_else(|| all.remove(&format!("fixed.{name}")));
    let only = || if all.len() == 1 { all.pop_first().map(|(_, array)| array) } else { None };
    let missing = || Error::input(value, format!("no tensor \"{}\"", name.escape_debug()));
    found.or_else(only).map(|array| (name.to_owned(), array)).ok_or_else(missing)
}

/// Most names of tensors that were left out which are printed one by one.
const SHOWN: usize = 12;

/// Writes the folder and prints what was written, converted and left out.
///
/// # Errors
/// Those of [`import`].
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let is_onnx = args.source.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"));
    if is_onnx {
        return run_onnx(args, context);
    }
    if let Some(flag) = args.onnx.given().or(args.encoder.given()) {
        let message = format!("is for ONNX files, whose names end in .onnx; {} is none", shown(&args.source));
        return Err(Error::config(flag, message));
    }
    let Some(card) = &args.card else {
        let message = "missing; weights need a draft card, and a file that needs none ends in .onnx";
        return Err(Error::config("--card", message));
    };
    let options = ImportOptions { key: args.key.as_deref(), force: args.force };
    let done = import(&args.source, card, &args.outdir, options)?;
    if context.quiet {
        return Ok(());
    }
    output::print(&output::wrapped(&rows(&done)))?;
    context.say(&format!("next: isoline inspect {}", shown(&done.folder)));
    Ok(())
}

fn run_onnx(args: &Args, context: &Context) -> Result<()> {
    for (given, flag) in [(args.card.is_some(), "--card"), (args.key.is_some(), "--key")] {
        if given {
            return Err(Error::config(flag, "is for weights; an ONNX file holds its own network"));
        }
    }
    let (kind, options) = (args.onnx.kind.unwrap_or(Kind::Generator), args.onnx.options(args.force)?);
    let reads_pictures = kind != Kind::Generator;
    if let Some(flag) = args.encoder.given().filter(|_| !reads_pictures) {
        return Err(Error::config(flag, "is for a network that reads pictures; say --as encoder or --as classifier"));
    }
    if reads_pictures && options.picture.is_some() {
        return Err(Error::config("--picture", "is for a generator; --shape is the shape of a picture that is read"));
    }
    let done = match reads_pictures {
        false => import_onnx(&args.source, &args.outdir, &options)?,
        true => import_encoder(&args.source, &args.outdir, &options, &args.encoder.options(kind)?)?,
    };
    for warning in &done.warnings {
        context.say(&format!("note: {warning}"));
    }
    if context.quiet {
        return Ok(());
    }
    output::print(&output::wrapped(&onnx_rows(&done, args.onnx.dry_run)))?;
    context.say(&match args.onnx.dry_run {
        true => "nothing was written".to_owned(),
        false if reads_pictures => format!("next: isoline evaluate REAL GENERATED --features {}", shown(&done.folder)),
        false => format!("next: isoline generate --model {} --mode balanced", shown(&done.folder)),
    });
    Ok(())
}

fn onnx_rows(done: &OnnxImported, dry_run: bool) -> Vec<Vec<String>> {
    let row = |what: &str, text: String| output::row([what, &text]);
    let mut rows: Vec<_> = done.findings.iter().map(|(what, text)| row(what, text.clone())).collect();
    if !dry_run {
        let folder = shown(&done.folder);
        rows.extend(
            ["card.toml", "graph.json", "weights.safetensors"].map(|f| row("written", format!("{folder}/{f}"))),
        );
        rows.extend(done.other_rewards.iter().map(|name| not_fitting(&folder, name)));
    }
    rows
}

/// The row of a reward that was taught on another model.
fn not_fitting(folder: &str, name: &str) -> Vec<String> {
    let text = format!("{folder}/{name}, taught on another model; isoline train-reward teaches a new one");
    output::row(["not fitting", &text])
}

fn rows(done: &Imported) -> Vec<Vec<String>> {
    let folder = shown(&done.folder);
    let row = |what: &str, text: String| output::row([what, &text]);
    let mut rows = vec![
        row("written", format!("{folder}/card.toml")),
        row("written", format!("{folder}/weights.safetensors, {} tensors", done.tensors)),
    ];
    if done.found {
        rows.push(row("taken from", format!("{}, the only place where all tensors fit", prefix_told(&done.prefix))));
    }
    rows.extend(
        done.also.iter().map(|p| row("not taken", format!("{}, where they fit too; see --key", prefix_told(p)))),
    );
    rows.extend(done.cast.iter().map(|name| row("cast to f32", name.clone())));
    rows.extend(done.left_out.iter().take(SHOWN).map(|name| row("left out", format!("{name}, read by no layer"))));
    if let Some(more) = done.left_out.len().checked_sub(SHOWN).filter(|n| *n > 0) {
        rows.push(row("left out", format!("{more} more, read by no layer")));
    }
    if done.outside > 0 {
        let place = prefix_told(&done.prefix);
        rows.push(row("left out", format!("{} tensors outside of {place}", done.outside)));
    }
    rows.extend(done.other_rewards.iter().map(|name| not_fitting(&folder, name)));
    rows
}
