//! The name of a run folder that nobody has chosen.

use super::keys::JobKeys;
use super::scale::Scale;
use crate::error::{Error, Result};
use crate::run::Seeds;
use crate::store;
use std::path::{Path, PathBuf};

/// A name for the run of these jobs: model and rows, as in `digits-gan-novelty-3-97`. Jobs that ask for anything else
/// besides get six digits more, so that two runs of one name are two runs of one kind, which may share a folder.
///
/// # Errors
/// [`Error::Bug`].
pub fn run_name(jobs: &[&JobKeys]) -> Result<String> {
    let Some(first) = jobs.first() else { return Err(Error::Bug("a run without jobs".into())) };
    let model = Path::new(&first.model).file_name().map_or("model".into(), |n| n.to_string_lossy().into_owned());
    let (rows, complete) = rows(jobs);
    let mut name = format!("{model}-{rows}");
    // What the name does not tell. Seeds are not part of it: more of them can be added to a run.
    let said = |k: &JobKeys| k.model == first.model && (k.mode.as_deref() == Some(&k.name) || is_level(k));
    let told = complete && jobs.iter().all(|k| said(k));
    let plain = |k: &JobKeys| {
        let told = if told { (String::new(), None, None) } else { (k.name.clone(), k.mode.clone(), k.novelty) };
        let model = if told.0.is_empty() { String::new() } else { k.model.clone() };
        let keys = JobKeys { seeds: Seeds::default(), outdir: PathBuf::new(), sort: None, sweep: None, ..k.clone() };
        // How a sheet looks makes no other run.
        let scale = keys.scale.filter(|s| *s != Scale::Auto);
        JobKeys { name: told.0, mode: told.1, novelty: told.2, model, scale, ..keys }
    };
    let text = |k: &JobKeys| toml::to_string(k).map_err(|e| Error::Bug(e.to_string()));
    let usual = text(&JobKeys::default())?;
    let all: String = jobs.iter().map(|k| text(&plain(k))).collect::<Result<Vec<_>>>()?.concat();
    if all != usual.repeat(jobs.len()) {
        name.push_str(&format!("-{:.6}", store::sha256_hex(all.as_bytes())));
    }
    Ok(name)
}

/// The rows, and whether nothing about them was left out.
fn rows(jobs: &[&JobKeys]) -> (String, bool) {
    let levels: Vec<f64> = jobs.iter().filter(|k| is_level(k)).filter_map(|k| k.novelty).map(|n| n.percent()).collect();
    if levels.len() == jobs.len()
        && levels.len() > 3
        && sweep(levels[0], levels[levels.len() - 1], levels.len()) == levels
    {
        return (format!("sweep-{}-{}-{}", levels[0], levels[levels.len() - 1], levels.len()), true);
    }
    let names: Vec<String> = jobs
        .iter()
        .take(3)
        .enumerate()
        // The word stands once: novelty-3-97.
        .map(|(i, k)| match i > 0 && is_level(jobs[i - 1]) && is_level(k) {
            true => k.name.trim_start_matches("novelty-").to_owned(),
            false => k.name.clone(),
        })
        .collect();
    let more = jobs.len() - names.len();
    let more_text = if more > 0 { format!("-and-{more}-more") } else { String::new() };
    (format!("{}{more_text}", names.join("-")), more == 0)
}

/// Whether the row is named after the percentile that it asks for.
pub fn is_level(keys: &JobKeys) -> bool {
    keys.novelty.is_some_and(|n| keys.name == format!("novelty-{n}"))
}

/// `count` percentiles from `first` to `last` at equal distances, rounded to hundredths.
pub fn sweep(first: f64, last: f64, count: usize) -> Vec<f64> {
    let part = |i: usize| i as f64 / count.saturating_sub(1).max(1) as f64;
    (0..count).map(|i| ((first + (last - first) * part(i)) * 100.0).round() / 100.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Percentile;

    fn level(novelty: f64) -> JobKeys {
        let name = format!("novelty-{novelty}");
        JobKeys { name, model: "digits-gan".into(), novelty: Some(Percentile::clamped(novelty)), ..JobKeys::default() }
    }

    fn named(levels: &[f64]) -> String {
        let jobs: Vec<JobKeys> = levels.iter().map(|n| level(*n)).collect();
        run_name(&jobs.iter().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_name_says_what_is_asked_and_no_more() {
        assert_eq!(named(&[90.0]), "digits-gan-novelty-90");
        assert_eq!(named(&[3.0, 97.0]), "digits-gan-novelty-3-97");
        assert_eq!(named(&sweep(0.0, 100.0, 21)), "digits-gan-sweep-0-100-21");
        let mut uneven = sweep(0.0, 100.0, 21);
        uneven[1] = 6.0;
        assert!(named(&uneven).starts_with("digits-gan-novelty-0-6-10-and-18-more-"));
        let mode = |m: &str| JobKeys {
            name: m.into(),
            model: "digits-gan".into(),
            mode: Some(m.into()),
            ..JobKeys::default()
        };
        let (a, b) = (mode("typical"), level(90.0));
        assert_eq!(run_name(&[&a, &b]).unwrap(), "digits-gan-typical-novelty-90");
        let shown = JobKeys { scale: Some(Scale::Auto), sweep: Some(true), ..level(90.0) };
        assert_eq!(run_name(&[&shown]).unwrap(), "digits-gan-novelty-90");
        let larger = JobKeys { scale: Some(Scale::Times(4)), ..level(90.0) };
        assert_ne!(run_name(&[&larger]).unwrap(), "digits-gan-novelty-90");
    }

    #[test]
    fn a_sweep_has_both_ends_and_equal_distances() {
        assert_eq!(sweep(0.0, 100.0, 5), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(sweep(90.0, 10.0, 3), [90.0, 50.0, 10.0]);
        assert_eq!(sweep(0.0, 100.0, 4), [0.0, 33.33, 66.67, 100.0]);
        assert_eq!(sweep(7.0, 9.0, 1), [7.0]);
    }
}
