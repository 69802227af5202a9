//! The two numbers of every picture of a set.

use crate::acts::study::dimension::Pictures;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::generator::Sampler;
use crate::progress::Progress;
use crate::steer::guard::{Measures, Pair};

/// Pictures that are measured together.
const TOGETHER: usize = 16;

/// Measures the pictures that were chosen: their numbers in the set, or seeds, and the pair of each.
///
/// # Errors
/// As for [`Measures::pairs`]; errors of the pictures; a stop.
pub fn over(
    measures: &Measures,
    (sampler, pictures): (&Sampler, &Pictures),
    label: &str,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<(Vec<u64>, Vec<Pair>)> {
    let chosen = pictures.chosen(sampler)?;
    let bar = progress.start(format!("measuring {label}"), chosen.seeds.len() as u64);
    let mut found = Vec::with_capacity(chosen.seeds.len());
    for part in chosen.seeds.chunks(TOGETHER) {
        cancel.check(|| "nothing was written".into())?;
        found.extend(measures.pairs(sampler, &chosen.states(part)?)?);
        bar.advance(part.len() as u64);
    }
    bar.finish();
    Ok((chosen.seeds, found))
}
