//! The command line. Global flags are declared here; each subcommand has its own file.
//!
//! To add a subcommand, write a file with its arguments and a row, and add the row to [`COMMANDS`].

mod describe;
mod devices;
mod diagnose;
mod distill;
mod emit;
mod evaluate;
mod fix_energy;
mod flags;
mod generate;
mod generate_showers;
mod import;
mod inspect;
mod lid;
mod list;
mod memorisation;
mod merge;
mod ood;
pub mod output;
mod plan;
mod reports;
mod resume;
mod runs;
mod selfcheck;
mod simulate;
mod status;
mod steer_report;
#[cfg(feature = "studio")]
mod studio;
#[cfg(feature = "studio")]
mod studio_worker;
mod study;
mod train_classifier;
mod train_generator;
mod train_reward;
mod trajectory;
mod verify;
mod work;

use crate::cancel::Cancel;
use crate::data::Skipped;
use crate::device::{self, Device, DeviceName};
use crate::error::{Error, Result};
use crate::progress::{Progress, ProgressMode};
use crate::run::repeated;
use clap::{ArgMatches, Parser};
use std::ffi::OsString;

/// Choose between typical and novel pictures of one generator.
#[derive(Debug, clap::Parser)]
#[command(name = "isoline", version, max_term_width = 100)]
#[command(
    after_help = "Results go to stdout, all else to stderr. Exit codes: 0 done, 2 usage or config, 3 bad model or input, \
4 reading or writing, 5 device, 6 some samples not finite, 7 run folder busy, 70 a fault of isoline, 75 stopped, 130 interrupted."
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
    pub command: Typed,
}

/// One command: a file with its arguments, and this row in [`COMMANDS`].
#[derive(Debug)]
pub struct CommandRow {
    /// The name as typed.
    pub name: &'static str,
    /// Its line in the help.
    pub about: &'static str,
    /// Adds its arguments to a command.
    pub augment: fn(clap::Command) -> clap::Command,
    /// Runs it with the arguments that were typed.
    pub run: fn(&ArgMatches, &Context) -> Result<()>,
    /// Whether it checks [`Context::cancel`] at its safe points. Otherwise the first signal ends it the way the system
    /// does by default.
    pub stops_in_order: bool,
    /// Whether people call it: what a program calls is left out of the help.
    pub for_people: bool,
}

impl CommandRow {
    /// A command with arguments `A` that is ended by its first signal.
    const fn new<A: clap::Args>(
        name: &'static str,
        about: &'static str,
        run: fn(&ArgMatches, &Context) -> Result<()>,
    ) -> Self {
        Self { name, about, augment: A::augment_args, run, stops_in_order: false, for_people: true }
    }

    /// The same command, but one that checks for signals itself.
    const fn stopping_in_order(mut self) -> Self {
        self.stops_in_order = true;
        self
    }

    /// Leaves it out of the help.
    #[cfg(feature = "studio")]
    const fn hidden(mut self) -> Self {
        self.for_people = false;
        self
    }
}

/// Every command, in the order of the help.
pub static COMMANDS: &[CommandRow] = &[
    generate::ROW,
    describe::ROW,
    study::ROW,
    steer_report::ROW,
    evaluate::ROW,
    simulate::ROW,
    generate_showers::ROW,
    fix_energy::ROW,
    train_reward::ROW,
    train_generator::ROW,
    distill::ROW,
    train_classifier::ROW,
    resume::ROW,
    status::ROW,
    verify::ROW,
    plan::ROW,
    work::ROW,
    merge::ROW,
    emit::ROW,
    diagnose::ROW,
    lid::ROW,
    memorisation::ROW,
    ood::ROW,
    trajectory::ROW,
    import::ROW,
    inspect::ROW,
    devices::ROW,
    list::ROW,
    #[cfg(feature = "studio")]
    studio::ROW,
    #[cfg(feature = "studio")]
    studio_worker::ROW,
];

/// Adds the subcommands of `rows` to `command`.
fn with(command: clap::Command, rows: &[CommandRow]) -> clap::Command {
    let commands =
        rows.iter().map(|row| (row.augment)(clap::Command::new(row.name)).about(row.about).hide(!row.for_people));
    command.subcommands(commands).subcommand_required(true).arg_required_else_help(true)
}

/// Runs the row that was typed.
fn run_of(rows: &[CommandRow], matches: &ArgMatches, context: &Context) -> Result<()> {
    let (name, matches) = typed(matches)?;
    let row = rows.iter().find(|row| row.name == name).ok_or_else(|| Error::Bug(format!("no command {name}")))?;
    (row.run)(matches, context)
}

/// The subcommand that was typed, and its arguments.
fn typed(matches: &ArgMatches) -> Result<(&str, &ArgMatches)> {
    matches.subcommand().ok_or_else(|| Error::Bug("no subcommand".into()))
}

/// The arguments that were typed, which clap has already checked.
fn parsed<A: clap::Args>(matches: &ArgMatches) -> Result<A> {
    A::from_arg_matches(matches).map_err(|e| Error::Bug(e.to_string()))
}

/// The command that was typed.
#[derive(Debug)]
pub struct Typed {
    row: &'static CommandRow,
    arguments: ArgMatches,
}

impl clap::FromArgMatches for Typed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let found = matches.subcommand().and_then(|(name, m)| Some((COMMANDS.iter().find(|c| c.name == name)?, m)));
        let (row, arguments) = found.ok_or_else(|| clap::Error::new(clap::error::ErrorKind::MissingSubcommand))?;
        Ok(Self { row, arguments: arguments.clone() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Subcommand for Typed {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        with(command, COMMANDS)
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        COMMANDS.iter().any(|c| c.name == name)
    }
}

/// What every subcommand gets besides its own arguments.
pub struct Context {
    /// The text typed after `--device`; [`open_device`](Self::open_device) opens it.
    pub device: String,
    /// The command line as it was typed, quoted for a shell, without the path of the program.
    pub command: String,
    /// The progress bars on stderr.
    pub progress: Progress,
    /// To be checked wherever a stop loses nothing.
    pub cancel: Cancel,
    /// Whether only results and errors are wanted.
    pub quiet: bool,
    /// Whether details are wanted.
    pub verbose: bool,
}

impl Context {
    /// Opens the device the user asked for; with `-v` it says which one that is.
    ///
    /// # Errors
    /// Those of [`device::open`].
    pub fn open_device(&self) -> Result<(DeviceName, Device)> {
        let (name, device) = device::open(&self.device)?;
        self.explain(&format!("device {name}"));
        Ok((name, device))
    }

    /// Prints one line to stderr, unless `-q` was given.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            output::tell(text);
        }
    }

    /// Says what lies in a folder of pictures and is not read.
    pub fn say_skipped(&self, skipped: Option<Skipped>) {
        if let Some(skipped) = skipped.filter(|s| !s.is_empty()) {
            self.say(&skipped.to_string());
        }
    }

    /// Prints one line to stderr if `-v` was given.
    pub fn explain(&self, text: &str) {
        if self.verbose {
            output::tell(text);
        }
    }
}

/// Parses `args`, which start with the program's name, and runs the command.
///
/// # Errors
/// Those of the command; [`Error::Config`] for a command line that does not parse.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Result<()> {
    let args: Vec<OsString> = args.into_iter().collect();
    let command = command_line(&args);
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => return unparsed(&e),
    };
    let context = Context {
        command,
        progress: Progress::new(cli.progress, cli.quiet),
        cancel: if cli.command.row.stops_in_order { Cancel::install()? } else { Cancel::never() },
        device: cli.device,
        quiet: cli.quiet,
        verbose: cli.verbose,
    };
    bound_threads(&context);
    say_repeated(cli.command.row.name, &cli.command.arguments, &context);
    // An error that still names no place is about a flag.
    let done = (cli.command.row.run)(&cli.command.arguments, &context);
    let done = done.map_err(|e| train_reward::priced(e, &context)).map_err(Error::at_flag);
    failpoint!("main.end").map_err(|e| Error::io("<the end>", "reach", e))?;
    done
}

/// Says which of the seeds after `--seeds` were typed more than once. Batches say it themselves, since their seeds may also
/// stand in a config.
fn say_repeated(command: &str, arguments: &clap::ArgMatches, context: &Context) {
    let mut typed = arguments;
    while let Some((_, inner)) = typed.subcommand() {
        typed = inner;
    }
    if command != generate::ROW.name
        && let Ok(Some(seeds)) = typed.try_get_one::<String>("seeds")
        && let Ok(Some(sentence)) = repeated(seeds)
    {
        context.say(&sentence);
    }
}

/// The arguments as a line that a shell reads back, with `isoline` for the program.
fn command_line(args: &[OsString]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+%@".contains(c);
    let quoted = |arg: &OsString| {
        let text = arg.to_string_lossy();
        match !text.is_empty() && text.chars().all(plain) {
            true => text.into_owned(),
            false => format!("'{}'", text.replace('\'', "'\\''")),
        }
    };
    std::iter::once("isoline".to_owned()).chain(args.iter().skip(1).map(quoted)).collect::<Vec<_>>().join(" ")
}

/// Most threads that `RAYON_NUM_THREADS` may ask for on a machine of fewer cores.
const THREADS: usize = 16;

/// Bounds the number of threads that `RAYON_NUM_THREADS` asks for: more than there are cores only wait for one another,
/// and very many bring the machine down.
fn bound_threads(context: &Context) {
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    let most = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).max(THREADS);
    if asked > most && rayon::ThreadPoolBuilder::new().num_threads(most).build_global().is_ok() {
        context.say(&format!("RAYON_NUM_THREADS asks for {asked} threads; using {most}"));
    }
}

/// Help and version are printed as results; anything else becomes a one-line error.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_typed_again() {
        let args = ["/x/y/isoline", "study", "map", "a b", "--plane", "0,1,2", "it's", ""].map(OsString::from);
        assert_eq!(command_line(&args), r"isoline study map 'a b' --plane 0,1,2 'it'\''s' ''");
    }
}
