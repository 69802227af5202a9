//! The closed loop (15b). The measurements of a sample's earlier attempts decide where the next attempt goes, and the
//! attempt nearest to the target is kept. What an attempt is depends on the [`Trial`]: a latent, or one pass through a
//! guided sampler.

use super::open_loop::FAR;
use crate::error::{Error, Result};
use crate::units::Level;

/// A way to try the samples of one tile. Every call tries all of them.
pub trait Trial {
    /// Where an attempt starts from: a latent, or the level that a guide was aimed at.
    type Place: Clone;
    /// The result of an attempt.
    type Outcome;

    /// Distance of levels below which no correction is made.
    const NEAR: f64;

    /// The attempts made before any correction, at least one for each sample; each element of the outer vector is a
    /// whole tile. If no attempt of a sample ever gets a measured level, its first one is kept.
    ///
    /// # Errors
    /// When the device fails or the run is stopped.
    fn begin(&mut self) -> Result<Vec<Vec<Attempt<Self>>>>;

    /// One more attempt at every sample. The attempt of a sample at rest is ignored.
    ///
    /// # Errors
    /// When the device fails or the run is stopped.
    fn correct(&mut self, next: Vec<Next<Self::Place>>) -> Result<Vec<Attempt<Self>>>;

    /// Whether a place between two others leads to a level between theirs.
    fn interpolates(&self) -> bool;

    /// Whether a sample that the reward misleads may start over elsewhere.
    fn begins_anew(&self) -> bool {
        false
    }
}

/// One attempt at a sample.
pub struct Attempt<T: Trial + ?Sized> {
    /// Where it was made.
    pub place: T::Place,
    /// The level that was promised: what the reward predicted, or what a guide was aimed at.
    pub promised: Level,
    /// The measured level, if there is one.
    pub level: Option<Level>,
    /// The result.
    pub outcome: T::Outcome,
}

/// Where the next attempt at a sample goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Next<P> {
    /// Nowhere: the sample is near enough, or it has no measured level.
    Rest,
    /// Between two places whose levels bracket the target, at fraction `part` of the way from `below` to `above`.
    Between {
        /// Place of the nearest level below the target.
        below: P,
        /// Place of the nearest level above the target.
        above: P,
        /// A fraction from 0 to 1.
        part: f64,
    },
    /// Onwards from the nearest attempt so far.
    On {
        /// That attempt's place.
        from: P,
        /// The level to be promised next.
        aim: Level,
        /// True when the last correction came no nearer and the sample is still far away: the reward cannot be trusted
        /// here, so the sample should start over elsewhere.
        anew: bool,
    },
}

/// Tries the samples of one tile until each is near its target, with at most `corrections` attempts after the first
/// ones. Returns for each sample the attempt that came nearest, or the first if none has a level. Only a sample's own
/// measurements decide where it goes and when it stops; its neighbours have no say.
///
/// # Errors
/// Those of the trial.
pub fn close<T: Trial>(trial: &mut T, targets: &[Level], corrections: usize) -> Result<Vec<Attempt<T>>> {
    let mut samples: Vec<Sample<T>> = targets.iter().map(|target| Sample::new(*target)).collect();
    for tile in trial.begin()? {
        samples.iter_mut().zip(tile).for_each(|(sample, attempt)| sample.take(attempt));
    }
    samples.iter_mut().for_each(|s| s.helped = true);
    for _ in 0..corrections {
        let next: Vec<Next<T::Place>> = samples.iter().map(|s| s.next(trial)).collect();
        let open: Vec<bool> = next.iter().map(|n| !matches!(n, Next::Rest)).collect();
        if !open.contains(&true) {
            break;
        }
        let tile = trial.correct(next)?;
        samples.iter_mut().zip(tile).zip(open).filter(|(_, open)| *open).for_each(|((s, attempt), _)| s.take(attempt));
    }
    let kept = samples.into_iter().map(|s| s.kept.ok_or_else(|| Error::Bug("a sample was never tried".into())));
    kept.collect()
}

/// An attempt with a measured level, from which later attempts may follow.
struct Point<P> {
    place: P,
    promised: Level,
    level: Level,
}

/// A sample on its way through the loop.
struct Sample<T: Trial> {
    target: Level,
    /// In the order of the attempts.
    points: Vec<Point<T::Place>>,
    /// The nearest attempt, or the first if none has a level.
    kept: Option<Attempt<T>>,
    /// Whether the last attempt came nearer than all before.
    helped: bool,
}

impl<T: Trial> Sample<T> {
    fn new(target: Level) -> Self {
        Self { target, points: Vec::new(), kept: None, helped: true }
    }

    fn take(&mut self, attempt: Attempt<T>) {
        let distance = |a: &Attempt<T>| a.level.map_or(f64::INFINITY, |level| level.distance(self.target));
        self.helped = self.kept.as_ref().is_none_or(|kept| distance(&attempt) < distance(kept));
        if let Some(level) = attempt.level {
            self.points.push(Point { place: attempt.place.clone(), promised: attempt.promised, level });
        }
        if self.helped {
            self.kept = Some(attempt);
        }
    }

    fn next(&self, trial: &T) -> Next<T::Place> {
        let measured = self.kept.as_ref().and_then(|kept| Some((kept, kept.level?)));
        let Some((nearest, level)) = measured.filter(|(_, level)| level.distance(self.target) > T::NEAR) else {
            return Next::Rest;
        };
        if let Some([below, above]) = self.bracket().filter(|_| trial.interpolates()) {
            let part = (self.target - below.level) / (above.level - below.level);
            let (below, above) = (below.place.clone(), above.place.clone());
            return Next::Between { below, above, part: part.clamp(0.05, 0.95) };
        }
        let anew = trial.begins_anew() && !self.helped && level.distance(self.target) > FAR;
        let gain = if anew { 1.0 } else { self.gain() };
        let aim = nearest.promised + (self.target - level) * gain;
        Next::On { from: nearest.place.clone(), aim, anew }
    }

    /// The measured points nearest to the target on either side.
    fn bracket(&self) -> Option<[&Point<T::Place>; 2]> {
        let by_level = |a: &&Point<T::Place>, b: &&Point<T::Place>| a.level.0.total_cmp(&b.level.0);
        let below = self.points.iter().filter(|p| p.level < self.target).max_by(by_level)?;
        let above = self.points.iter().filter(|p| p.level > self.target).min_by(by_level)?;
        Some([below, above])
    }

    /// How far the promise must move to change the measured level by one, taken from the last two points and held
    /// within ⅓ … 3.
    fn gain(&self) -> f64 {
        match self.points.as_slice() {
            [.., a, b] if (b.level - a.level).abs() > 1e-9 => {
                ((b.promised - a.promised) / (b.level - a.level)).clamp(1.0 / 3.0, 3.0)
            }
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples whose level is a known function of the aim; `asked` records what the loop asked of each.
    struct Curves {
        level: Vec<fn(f64) -> f64>,
        aims: Vec<Level>,
        asked: Vec<Vec<Next<Level>>>,
    }

    impl Curves {
        fn run(level: Vec<fn(f64) -> f64>, target: f64, corrections: usize) -> (Vec<f64>, Vec<Vec<Next<Level>>>) {
            let targets = vec![Level(target); level.len()];
            let mut curves = Self { aims: targets.clone(), asked: vec![Vec::new(); level.len()], level };
            let kept = close(&mut curves, &targets, corrections).unwrap();
            (kept.iter().map(|a| a.outcome).collect(), curves.asked)
        }

        fn tile(&self) -> Vec<Attempt<Self>> {
            let one = |(level, aim): (&fn(f64) -> f64, &Level)| {
                let reached = level(aim.0);
                let level = Some(Level(reached)).filter(|l| l.0.is_finite());
                Attempt { place: *aim, promised: *aim, level, outcome: reached }
            };
            self.level.iter().zip(&self.aims).map(one).collect()
        }
    }

    impl Trial for Curves {
        type Place = Level;
        type Outcome = f64;
        const NEAR: f64 = 0.01;

        fn begin(&mut self) -> Result<Vec<Vec<Attempt<Self>>>> {
            Ok(vec![self.tile()])
        }

        fn correct(&mut self, next: Vec<Next<Level>>) -> Result<Vec<Attempt<Self>>> {
            for (i, next) in next.into_iter().enumerate() {
                match &next {
                    Next::Rest => {}
                    Next::Between { below, above, part } => self.aims[i] = *below + (*above - *below) * *part,
                    Next::On { aim, .. } => self.aims[i] = *aim,
                }
                self.asked[i].push(next);
            }
            Ok(self.tile())
        }

        fn interpolates(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_bracket_closes_on_the_target() {
        // Reaches half of what is asked for, and beyond 1.2 suddenly far more.
        let steep: fn(f64) -> f64 = |aim| if aim < 1.2 { 0.5 * aim } else { 0.5 * aim + 4.0 * (aim - 1.2) };
        let (reached, asked) = Curves::run(vec![steep], 1.0, 8);
        assert!((reached[0] - 1.0).abs() <= 0.01, "{reached:?} {asked:?}");
        // The first two attempts lie on either side.
        assert!(matches!(asked[0][..2], [Next::On { .. }, Next::Between { .. }]), "{asked:?}");
    }

    #[test]
    fn a_sample_goes_its_way_whatever_stands_beside_it() {
        let curves: [fn(f64) -> f64; 4] = [|_| f64::NAN, |aim| aim, |aim| 0.4 * aim, |aim| aim.powi(3) - 0.7];
        let (together, asked) = Curves::run(curves.to_vec(), 0.8, 4);
        for (i, curve) in curves.into_iter().enumerate() {
            let (alone, own) = Curves::run(vec![curve], 0.8, 4);
            assert_eq!(alone[0].to_bits(), together[i].to_bits());
            assert_eq!(own[0], asked[i][..own[0].len()]);
        }
        // A sample without a level and one that is already there both rest from the beginning.
        assert!(asked[..2].iter().flatten().all(|n| *n == Next::Rest), "{asked:?}");
    }
}
