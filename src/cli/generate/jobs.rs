//! From what is typed to jobs: flags over `--set`, environment and config, or over the recipe of a picture.

use super::{Args, DEFAULT};
use crate::acts::generate::{BatchConfig, JobKeys, Jobs, PictureRecipe, keys_around, named_seed, sweep_levels};
use crate::cli::Context;
use crate::error::{Error, Result, shown};
use crate::run::{parse_seeds, repeated};
use crate::units::Percentile;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The variations that are made where no number is typed.
const VARIATIONS: &str = "1-8";

/// The jobs of a config file, as `isoline plan` uses them.
///
/// # Errors
/// [`Error::Config`].
pub fn planned(config: &Path, text: &str, set: &[String], outdir: &Path) -> Result<BatchConfig> {
    let mut over = overrides(set)?;
    over.insert("outdir".to_owned(), utf8("--outdir", outdir)?.into());
    BatchConfig::resolve(Some(config), text, &over, None).map_err(|e| at_set(e, set))
}

/// An error about a key that there is not, at the `--set` that it was typed after.
fn at_set(error: Error, set: &[String]) -> Error {
    match error {
        Error::Config { message, place } => {
            let unknown = message.strip_prefix("unknown key \"").and_then(|rest| rest.split('"').next());
            let typed = |pair: &&String| pair.split('=').next().map(str::trim) == unknown;
            match set.iter().find(typed) {
                Some(pair) => Error::config(format!("--set {}", pair.escape_debug()), message),
                None => Error::Config { message, place },
            }
        }
        other => other,
    }
}

/// A path that is going to stand in a plan or a config, as UTF-8.
fn utf8(flag: &str, path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::config(format!("{flag} {}", shown(path)), "expected a name in UTF-8"))
}

/// The keys set by the environment, overridden by those of `--set`.
fn overrides(set: &[String]) -> Result<toml::Table> {
    let mut over = environment()?;
    over.extend(set_keys(set)?);
    Ok(over)
}

fn set_keys(set: &[String]) -> Result<toml::Table> {
    let mut keys = toml::Table::new();
    for pair in set {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::config(format!("--set {}", pair.escape_debug()), "expected KEY=VALUE"))?;
        keys.insert(key.trim().to_owned(), literal(key.trim(), value.trim()));
    }
    Ok(keys)
}

/// What the keys of a command stand on.
enum Base {
    /// The config built in, or the one in this file, with the environment over it.
    Config(Option<PathBuf>),
    /// A picture that is made again. Nothing but the command line changes what it says.
    From(PictureRecipe),
    /// A picture that is varied.
    Around(PictureRecipe),
}

impl Base {
    fn of(args: &Args, typed: &toml::Table) -> Result<Self> {
        if let Some(picture) = &args.from {
            return Ok(Self::From(PictureRecipe::read(picture)?));
        }
        match typed.get("vary").and_then(toml::Value::as_str) {
            Some(text) if args.config.is_none() && named_seed(text)?.is_none() => {
                Ok(Self::Around(PictureRecipe::read(Path::new(text))?))
            }
            _ => Ok(Self::Config(args.config.clone())),
        }
    }

    /// The text of the keys, as of a config. With another `method` the keys that belong to the picture's own are dropped.
    fn text(&self, method: Option<&str>) -> Result<String> {
        let mut keys = match self {
            Self::Config(Some(path)) => return BatchConfig::text(path),
            Self::Config(None) => return Ok(DEFAULT.to_owned()),
            Self::From(own) => JobKeys { seeds: own.seed.to_string().try_into().map_err(Error::Bug)?, ..own.keys() },
            Self::Around(own) => keys_around(own),
        };
        if method.is_some_and(|m| m != keys.method) {
            keys = keys.without_method();
        }
        let mut table = toml::Table::try_from(&keys).map_err(|e| Error::Bug(e.to_string()))?;
        table.retain(|key, _| key != "name" && key != "outdir");
        toml::to_string(&table).map_err(|e| Error::Bug(e.to_string()))
    }

    /// The single row where no levels are typed; `None` for the rows of the config.
    fn row(&self, over: &toml::Table) -> Result<Option<String>> {
        let number = match over.get("vary").and_then(toml::Value::as_str) {
            Some(text) => named_seed(text)?,
            None => None,
        };
        Ok(match (self, number) {
            (Self::Config(None), Some(seed)) => Some(format!("vary-{seed}")),
            (Self::Around(own), _) => Some(format!("vary-{}", own.seed)),
            (Self::From(own), _) => Some(match own.recipe.novelty {
                Some(n) => format!("novelty-{n}"),
                None if !own.recipe.is_steered() => "balanced".to_owned(),
                None => own.recipe.method.clone(),
            }),
            _ => None,
        })
    }
}

/// The jobs, and the picture whose recipe they began with.
///
/// # Errors
/// [`Error::Config`] or [`Error::Key`] for what cannot be; those of reading a config or a picture.
pub fn batch(args: &Args, context: &Context) -> Result<(BatchConfig, Option<PictureRecipe>)> {
    args.job.typed("outdir", |k| k.outdir.as_path()).map_or(Ok(()), |p| utf8("--outdir", p).map(drop))?;
    let mut typed = set_keys(&args.set)?;
    typed.extend(args.job.table()?);
    let base = Base::of(args, &typed)?;
    let mut over = if matches!(base, Base::Config(_)) { environment()? } else { toml::Table::new() };
    over.extend(typed);
    let varies = over.contains_key("vary");
    match seeds(args, varies, context)? {
        Some(text) => drop(over.insert("seeds".to_owned(), text.into())),
        None if varies && args.config.is_none() && !over.contains_key("seeds") => {
            over.insert("seeds".to_owned(), VARIATIONS.into());
        }
        None => {}
    }
    let levels = levels(args)?;
    if args.mode.len() + levels.len() > 0 {
        over.remove("mode");
        over.remove("novelty");
    }
    let rows = if args.config.is_some() {
        if args.mode.len() + levels.len() > 1 {
            return Err(Error::config(
                "--mode",
                "several rows and a config are two ways to say the same; give one value or no --config",
            ));
        }
        let mut put = |key: &str, value: Option<toml::Value>| value.and_then(|v| over.insert(key.to_owned(), v));
        put("mode", args.mode.first().cloned().map(Into::into));
        put("novelty", levels.first().copied().map(Into::into));
        Vec::new()
    } else {
        rows(args, &base, &levels, &over)?
    };
    let method = over.get("method").and_then(toml::Value::as_str);
    let text = base.text(method)?;
    let rows = (!rows.is_empty()).then_some(rows);
    let batch = BatchConfig::resolve(args.config.as_deref(), &text, &over, rows).map_err(|e| at_set(e, &args.set))?;
    Ok((batch, if let Base::From(own) = base { Some(own) } else { None }))
}

/// The percentiles asked for, all of them checked here, where the flag can be named.
fn levels(args: &Args) -> Result<Vec<f64>> {
    let check = |flag: &str, n: &f64| Percentile::new(*n).map(drop).map_err(|m| Error::config(flag, m));
    args.novelty.iter().try_for_each(|n| check("--novelty", n))?;
    let Some(text) = &args.sweep else { return Ok(args.novelty.clone()) };
    let parts = text.split_once(':').and_then(|(span, n)| Some((span.split_once('-')?, n)));
    let numbers = parts.and_then(|((a, b), n)| {
        Some((a.trim().parse::<f64>().ok()?, b.trim().parse::<f64>().ok()?, n.trim().parse::<usize>().ok()?))
    });
    let Some((first, last, count)) = numbers.filter(|n| (2..=64).contains(&n.2)) else {
        let message = format!(
            "expected two percentiles and from 2 to 64 levels, as in 0-100:21, found \"{}\"",
            text.escape_debug()
        );
        return Err(Error::config("--sweep", message));
    };
    [first, last].iter().try_for_each(|n| check("--sweep", n))?;
    Ok(sweep_levels(first, last, count))
}

/// One row for each mode or level that is typed. A method without a set-point gets a single row, because it cannot be
/// asked for a level, and so do variations and pictures that are made again.
fn rows(args: &Args, base: &Base, levels: &[f64], over: &toml::Table) -> Result<Vec<toml::Table>> {
    let named = |name: String| toml::Table::from_iter([("name".to_owned(), name.into())]);
    let modes = args.mode.iter().map(|m| {
        let mut row = named(m.clone());
        row.insert("mode".to_owned(), m.as_str().into());
        row
    });
    let levels = levels.iter().map(|n| {
        let mut row = named(format!("novelty-{n}"));
        row.insert("novelty".to_owned(), (*n).into());
        if args.sweep.is_some() {
            row.insert("sweep".to_owned(), true.into());
        }
        row
    });
    let typed: Vec<toml::Table> = modes.chain(levels).collect();
    if !typed.is_empty() {
        return Ok(typed);
    }
    let method = args.job.typed("method", |k| k.method.as_str());
    let push = method.filter(|m| args.job.keys().denoising.is_push(m)).map(str::to_owned);
    Ok(push.map_or_else(|| base.row(over), |method| Ok(Some(method)))?.map(named).into_iter().collect())
}

/// Says which seeds were typed more than once.
///
/// # Errors
/// [`Error::Bug`].
pub fn say_repeated(batch: &BatchConfig, context: &Context) -> Result<()> {
    let texts: BTreeSet<&str> = batch.jobs.iter().map(|j| j.keys.seeds.text()).collect();
    for text in texts {
        repeated(text).map_err(Error::Bug)?.iter().for_each(|sentence| context.say(sentence));
    }
    Ok(())
}

/// Records in the plan what differs from the picture that the jobs began with, and says it.
///
/// # Errors
/// Those of [`Jobs::begin_with`].
pub fn record_origin(jobs: &mut Jobs, own: &PictureRecipe, batch: &BatchConfig, context: &Context) -> Result<()> {
    jobs.begin_with(own, batch)?;
    for job in &jobs.jobs {
        if let Some(origin) = job.from.as_ref().filter(|o| !o.differs.is_empty()) {
            context.say(&format!("{}: not as in the picture: {}", job.name, origin.differs));
        }
    }
    Ok(())
}

/// The keys of a job that are set by the environment, as `ISOLINE_KEY=value`.
fn environment() -> Result<toml::Table> {
    let found = JobKeys::names()?.into_iter().filter(|k| k != "name").filter_map(|k| {
        let value = std::env::var(format!("ISOLINE_{}", k.to_uppercase())).ok()?;
        let value = literal(&k, &value);
        Some((k, value))
    });
    Ok(found.collect())
}

/// Parses the text as a TOML value. It stays a text if it is not TOML, or if the key takes texts.
fn literal(key: &str, text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("v = {text}")).ok().and_then(|mut t| t.remove("v"));
    parsed.filter(|v| v.is_str() || !JobKeys::takes_text(key)).unwrap_or_else(|| text.into())
}

/// The seeds that are typed, or with `varies` the numbers of variations.
fn seeds(args: &Args, varies: bool, context: &Context) -> Result<Option<String>> {
    if let Some(seeds) = &args.seeds {
        return parse_seeds(seeds).map(|_| Some(seeds.clone())).map_err(|m| Error::config("--seeds", m));
    }
    let Some(count) = args.count.or(args.seed.map(|_| 1)) else { return Ok(None) };
    if count == 0 {
        return Err(Error::config("--count", "expected at least 1, found 0"));
    }
    let first = match args.seed {
        Some(seed) => seed,
        None if varies => 1,
        None => {
            let seed = u64::from(rand::random::<u32>());
            context.say(&format!("random base: --seed {seed}"));
            seed
        }
    };
    let last = first.checked_add(count - 1).ok_or_else(|| {
        let message = format!("expected at most {} seeds from {first} on, found {count}", u64::MAX - first + 1);
        Error::config("--count", message)
    })?;
    let text = format!("{first}-{last}");
    parse_seeds(&text).map(|_| Some(text)).map_err(|m| Error::config("--count", m))
}
