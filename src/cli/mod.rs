//! The command line: global flags here, one file per subcommand.
//!
//! A subcommand is a file with `pub struct Args` and `pub fn run(args, context)`, a variant of [`Command`], and a
//! line in each of its two matches.

mod describe;
mod devices;
mod emit;
mod flags;
mod generate;
mod import;
mod inspect;
mod lid;
mod list;
mod merge;
pub mod output;
mod plan;
mod resume;
mod runs;
mod selfcheck;
mod status;
mod steer_report;
mod study;
mod train_generator;
mod train_reward;
mod trajectory;
mod verify;
mod work;

use crate::cancel::Cancel;
use crate::device::{self, Device, DeviceName};
use crate::error::{Error, Result};
use crate::progress::{Progress, ProgressMode};
use clap::Parser;
use std::ffi::OsString;

/// Choose between typical and novel pictures of one generator.
#[derive(Debug, clap::Parser)]
#[command(name = "isoline", version, max_term_width = 100)]
#[command(
    after_help = "Results go to stdout, all else to stderr. Exit codes: 0 done, 2 usage or config, 3 bad model or input, \
4 reading or writing, 5 device, 6 some samples not finite, 7 run folder busy, 70 our fault, 75 stopped, 130 interrupted."
)]
pub struct Cli {
    /// What computes: auto, cpu, wgpu, wgpu:N, cuda or cuda:N; see isoline devices
    #[arg(long, global = true, value_name = "DEVICE", default_value = "auto", env = "ISOLINE_DEVICE")]
    #[arg(hide_env_values = true, help_heading = "Global options")]
    pub device: String,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Say more on stderr
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub verbose: bool,
    /// How progress is shown on stderr
    #[arg(long, global = true, value_enum, default_value_t, value_name = "HOW", help_heading = "Global options")]
    pub progress: ProgressMode,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands, in the order of the help.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make pictures: typical, balanced or novel ones of the same seeds
    Generate(generate::Args),
    /// Measure the local geometry of unguided samples
    Describe(describe::Args),
    /// Study a model: convergence of estimators, maps, relations to pictures, paths
    Study(study::Args),
    /// Steer many seeds to many levels and measure what was reached, method by method
    SteerReport(steer_report::Args),
    /// Label latents, train the reward network, calibrate it
    TrainReward(train_reward::Args),
    /// Train a generator from pictures
    TrainGenerator(train_generator::Args),
    /// Go on with a run that was stopped
    Resume(resume::Args),
    /// Show how far a run is
    Status(status::Args),
    /// Compare every file of a run with its hash
    Verify(verify::Args),
    /// Fix what a run is to hold, for many processes to make
    Plan(plan::Args),
    /// Make one shard of a planned run
    Work(work::Args),
    /// Put the finished shards of a run together
    Merge(merge::Args),
    /// Print the script with which a cluster works on a planned run
    Emit(emit::Args),
    /// Local intrinsic dimension: estimate, curve, bench, doctor
    Lid(lid::Args),
    /// Local geometry of a diffusion model's denoiser along the way from noise to picture
    Trajectory(trajectory::Args),
    /// Turn PyTorch or safetensors weights and a draft card into a model folder
    Import(import::Args),
    /// Show a model's card, layers and weights, and what does not fit
    Inspect(inspect::Args),
    /// List the devices of this machine and check their numbers
    Devices(devices::Args),
    /// List what this build knows: layers, estimators, descriptors, families, models
    List(list::Args),
}

impl Command {
    fn run(&self, context: &Context) -> Result<()> {
        match self {
            Self::Generate(args) => generate::run(args, context),
            Self::Describe(args) => describe::run(args, context),
            Self::Study(args) => study::run(args, context),
            Self::SteerReport(args) => steer_report::run(args, context),
            Self::TrainReward(args) => train_reward::run(args, context),
            Self::TrainGenerator(args) => train_generator::run(args, context),
            Self::Resume(args) => resume::run(args, context),
            Self::Status(args) => status::run(args, context),
            Self::Verify(args) => verify::run(args, context),
            Self::Plan(args) => plan::run(args, context),
            Self::Work(args) => work::run(args, context),
            Self::Merge(args) => merge::run(args, context),
            Self::Emit(args) => emit::run(args, context),
            Self::Lid(args) => lid::run(args, context),
            Self::Trajectory(args) => trajectory::run(args, context),
            Self::Import(args) => import::run(args, context),
            Self::Inspect(args) => inspect::run(args, context),
            Self::Devices(args) => devices::run(args, context),
            Self::List(args) => list::run(args, context),
        }
    }

    /// Whether the command asks [`Context::cancel`] at its safe points. One that does not is ended by
    /// its first signal in the system's own way.
    fn stops_in_order(&self) -> bool {
        match self {
            Self::Generate(_)
            | Self::Describe(_)
            | Self::Study(_)
            | Self::SteerReport(_)
            | Self::TrainReward(_)
            | Self::TrainGenerator(_)
            | Self::Resume(_)
            | Self::Work(_)
            | Self::Lid(_)
            | Self::Trajectory(_) => true,
            Self::Status(_) | Self::Verify(_) | Self::Plan(_) | Self::Merge(_) | Self::Emit(_) => false,
            Self::Import(_) | Self::Inspect(_) | Self::Devices(_) | Self::List(_) => false,
        }
    }
}

/// What every subcommand gets beside its own arguments.
pub struct Context {
    /// As typed after `--device`; [`open_device`](Self::open_device) opens it.
    pub device: String,
    /// Bars on stderr.
    pub progress: Progress,
    /// To be asked where a stop loses nothing.
    pub cancel: Cancel,
    /// Whether only results and errors are wanted.
    pub quiet: bool,
    /// Whether details are wanted.
    pub verbose: bool,
}

impl Context {
    /// Opens the device the user asked for, and with `-v` says which it is.
    ///
    /// # Errors
    /// Those of [`device::open`].
    pub fn open_device(&self) -> Result<(DeviceName, Device)> {
        let (name, device) = device::open(&self.device)?;
        self.explain(&format!("device {name}"));
        Ok((name, device))
    }

    /// One line to stderr, unless `-q`.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            output::tell(text);
        }
    }

    /// One line to stderr, with `-v` only.
    pub fn explain(&self, text: &str) {
        if self.verbose {
            output::tell(text);
        }
    }
}

/// Parses `args`, the program's name first, and runs the command.
///
/// # Errors
/// Those of the command; [`Error::Config`] for a command line that does not parse.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Result<()> {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => return unparsed(&e),
    };
    let context = Context {
        progress: Progress::new(cli.progress, cli.quiet),
        cancel: if cli.command.stops_in_order() { Cancel::install()? } else { Cancel::never() },
        device: cli.device,
        quiet: cli.quiet,
        verbose: cli.verbose,
    };
    // What is left without a place was typed as a flag.
    let done = cli.command.run(&context).map_err(Error::at_flag);
    failpoint!("main.end").map_err(|e| Error::io("<the end>", "reach", e))?;
    done
}

/// Help and version are results; anything else is one line.
fn unparsed(error: &clap::Error) -> Result<()> {
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion, MissingSubcommand,
    };
    match error.kind() {
        DisplayHelp | DisplayVersion => match error.print() {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("<stdout>", "write", e)),
            _ => Ok(()),
        },
        DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand => {
            Err(Error::config("command line", "expected a command; see isoline --help"))
        }
        _ => Err(Error::config("command line", one_line(&error.render().to_string()))),
    }
}

/// Clap's paragraphs up to the usage, joined by semicolons.
fn one_line(rendered: &str) -> String {
    let text = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let paragraphs = text.split("\n\n").map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
    let wanted =
        paragraphs.filter(|p| !p.is_empty() && !p.starts_with("Usage:") && !p.starts_with("For more information"));
    wanted.chain(["add --help to see what is known".to_owned()]).collect::<Vec<_>>().join("; ")
}
