//! The closed loop (15b). The measurements of a sample's earlier attempts decide where the next attempt goes, and the
//! attempt nearest to the target is kept. What an attempt is depends on the [`Trial`]: a latent, or one pass through a
//! guided sampler.
//!
//! ```text
//! measured on both sides of the target? ── yes ─→ a place between the two nearest   (a bracket always closes)
//!            │ no
//! did the last attempt come nearer?     ── yes ─→ on from the nearest one, as far as the measured gain says
//!            │ no
//!                                         elsewhere: the best of a search, further out each time
//! ```
//!
//! Where the level jumps, as that of a network of relus does, a bracket may close on a jump over the target. Then places
//! beside the nearest one are tried, as far away as levels usually differ by what is missing.

use super::{Missed, open_loop::FAR};
use crate::error::{Error, Result};
use crate::units::Level;

/// What is done about an attempt that the guard has caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Avoid {
    /// Nothing: no attempt is looked at.
    Nothing,
    /// The sample makes no further attempt.
    Stop,
    /// The sample goes elsewhere.
    GoAround,
}

/// A way to try the samples of one tile.
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

    /// One more attempt at every sample that does not rest; `None` for one that does.
    ///
    /// # Errors
    /// When the device fails or the run is stopped.
    fn correct(&mut self, next: Vec<Next<Self::Place>>) -> Result<Vec<Option<Attempt<Self>>>>;

    /// What is done about an attempt that the guard has caught; such an attempt is kept only where there is no other.
    fn avoids(&self) -> Avoid {
        Avoid::Nothing
    }

    /// Whether a place between two others leads to a level between theirs.
    fn interpolates(&self) -> bool;

    /// Whether it can look for a place elsewhere, where the reward misleads a sample or a path is a dead end.
    fn searches(&self) -> bool {
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
    /// Whether the guard found it unusual; never where no guard looks.
    pub caught: bool,
    /// The result.
    pub outcome: T::Outcome,
}

/// Where the next attempt at a sample goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Next<P> {
    /// Nowhere: the sample is near enough, it has no measured level, or nothing else is left to try.
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
    },
    /// A place beside the nearest attempt so far.
    Beside {
        /// That attempt's place.
        from: P,
        /// The level to be promised there.
        aim: Level,
        /// How far away, in radians.
        angle: f64,
        /// How many such places were tried before this one.
        round: usize,
    },
    /// From the best of a search around the sample's start.
    Elsewhere {
        /// The level to be promised next, a little beyond the target.
        aim: Level,
        /// How many searches were made before this one. Each looks further out.
        round: usize,
    },
}

/// How the closed loop ended for one sample.
pub struct Closed<T: Trial> {
    /// The attempt that came nearest to the target, or the first one if none has a measured level.
    pub kept: Attempt<T>,
    /// How many attempts were made.
    pub attempts: usize,
    /// How many of them the guard caught.
    pub caught: usize,
    /// What stopped it, if that attempt is not near enough.
    pub why: Missed,
}

/// Tries the samples of one tile until each is near its target, with at most `corrections` attempts after the first
/// ones. Only a sample's own measurements decide where it goes and when it stops; its neighbours have no say.
///
/// # Errors
/// Those of the trial.
pub fn close<T: Trial>(trial: &mut T, targets: &[Level], corrections: usize) -> Result<Vec<Closed<T>>> {
    let mut samples: Vec<Sample<T>> = targets.iter().map(|target| Sample::new(*target)).collect();
    for tile in trial.begin()? {
        samples.iter_mut().zip(tile).for_each(|(sample, attempt)| sample.take(attempt));
    }
    samples.iter_mut().for_each(|s| s.stale = 0);
    for _ in 0..corrections {
        let next: Vec<Next<T::Place>> = samples.iter_mut().map(|s| s.next(trial)).collect();
        if next.iter().all(|n| matches!(n, Next::Rest)) {
            break;
        }
        let tile = trial.correct(next)?;
        samples.iter_mut().zip(tile).for_each(|(sample, attempt)| {
            if let Some(attempt) = attempt {
                sample.take(attempt);
            }
        });
    }
    samples.into_iter().map(|s| s.closed(corrections)).collect()
}

/// An attempt with a measured level, from which later attempts may follow.
struct Point<P> {
    place: P,
    promised: Level,
    level: Level,
    /// Its number among the sample's attempts.
    number: usize,
}

/// Attempts between the ends of a bracket after which its path is given up: seven halvings, and a jump is left.
const PATH: usize = 8;
/// The same for a sample that is still far: the level jumps over its target on this path, and another may lead there.
const JUMP: usize = 4;
/// The distance that is far: three percentiles at the median.
const WIDE: f64 = 0.075;
/// Places beside the nearest attempt that are tried in a row without one that is nearer.
const BESIDE: usize = 6;
/// How far away the first of them is, in radians, and the least and greatest factor by which that changes as levels there
/// differ by too much or too little.
const ANGLE: f64 = 0.05;
const CHANGE: [f64; 2] = [0.25, 2.0];
/// Searches in vain after which nothing is left to try.
const SEARCHES: usize = 6;
/// Attempts in a row that came no nearer, after which a sample that cannot search rests.
const PATIENCE: usize = 3;
/// Searches after which one that looks for a free place aims at the median; later ones aim beyond it.
const AWAY: f64 = 3.0;
/// The part of the way to a caught target below which no more is tried.
const LEAST_PART: f64 = 0.2;
/// How much further beyond the target each search aims, in levels: it is after a point on the far side.
const BEYOND: f64 = 0.1;

/// A sample on its way through the loop.
struct Sample<T: Trial> {
    target: Level,
    /// Those that are not given up, in the order of the attempts.
    points: Vec<Point<T::Place>>,
    /// The nearest attempt, or the first if none has a level.
    kept: Option<Attempt<T>>,
    attempts: usize,
    /// Attempts that the guard caught, and whether the last one was.
    caught: usize,
    just_caught: bool,
    /// Whether the last attempt was made between two others.
    between: bool,
    /// The part of the way to a caught target that is tried next.
    part: f64,
    /// Attempts in a row that came no nearer.
    stale: usize,
    /// Searches made.
    searches: usize,
    /// Whether the last attempt went on from another, so that the two tell how the level follows the promise.
    went_on: bool,
    /// Whether there ever were measurements on both sides of the target.
    bracketed: bool,
    /// Ends of the last bracket, by number, how often in a row each has stayed, and the attempts on this path.
    ends: [usize; 2],
    stayed: [usize; 2],
    on_path: usize,
    /// Whether a path was given up because the level jumps over the target on it.
    jumped: bool,
    /// Places tried beside the nearest attempt: in all, in a row without one that is nearer, and how far away the next is.
    beside: usize,
    in_vain: usize,
    angle: f64,
    /// The level beside which the last attempt was made.
    level_beside: Option<Level>,
}

impl<T: Trial> Sample<T> {
    fn new(target: Level) -> Self {
        Self {
            target,
            points: Vec::new(),
            kept: None,
            attempts: 0,
            caught: 0,
            just_caught: false,
            between: false,
            part: 1.0,
            stale: 0,
            searches: 0,
            went_on: true,
            bracketed: false,
            ends: [usize::MAX; 2],
            stayed: [0; 2],
            on_path: 0,
            jumped: false,
            beside: 0,
            in_vain: 0,
            angle: ANGLE,
            level_beside: None,
        }
    }

    fn take(&mut self, attempt: Attempt<T>) {
        let distance = |a: &Attempt<T>| a.level.map_or(f64::INFINITY, |level| level.distance(self.target));
        let better = |a: &Attempt<T>, b: &Attempt<T>| match (a.caught, b.caught) {
            (false, true) => true,
            (true, false) => false,
            _ => distance(a) < distance(b),
        };
        let helped = self.kept.as_ref().is_none_or(|kept| better(&attempt, kept));
        self.just_caught = attempt.caught;
        self.caught += usize::from(attempt.caught);
        self.stale = if helped { 0 } else { self.stale + 1 };
        self.in_vain = if helped { 0 } else { self.in_vain };
        if let (Some(before), Some(level)) = (self.level_beside.take(), attempt.level) {
            let (moved, missing) = (level.distance(before), before.distance(self.target));
            let factor = missing / moved.max(f64::MIN_POSITIVE);
            if !(0.5..2.0).contains(&factor) {
                self.angle = (self.angle * factor.clamp(CHANGE[0], CHANGE[1])).clamp(1e-4, 0.6);
            }
        }
        // A path does not lead through a caught place: a bracket that has led there is given up.
        if attempt.caught && self.between {
            self.on_path = PATH;
        }
        if let Some(level) = attempt.level.filter(|_| !attempt.caught) {
            let (place, promised, number) = (attempt.place.clone(), attempt.promised, self.attempts);
            self.points.push(Point { place, promised, level, number });
        }
        self.attempts += 1;
        if helped {
            self.kept = Some(attempt);
        }
    }

    fn next(&mut self, trial: &T) -> Next<T::Place> {
        self.between = false;
        let measured = self
            .kept
            .as_ref()
            .filter(|kept| !kept.caught)
            .and_then(|kept| Some((kept.place.clone(), kept.promised, kept.level?)));
        let Some((from, promised, level)) = measured.filter(|(.., level)| level.distance(self.target) > T::NEAR) else {
            return self.freed(trial);
        };
        if self.caught > 0 && trial.avoids() == Avoid::Stop {
            return Next::Rest;
        }
        if trial.searches() && self.jumped && level.distance(self.target) > WIDE {
            if self.in_vain < BESIDE {
                let round = self.beside;
                (self.beside, self.in_vain, self.went_on) = (round + 1, self.in_vain + 1, false);
                self.level_beside = Some(level);
                return Next::Beside { from, aim: promised + (self.target - level), angle: self.angle, round };
            }
            (self.jumped, self.in_vain, self.angle) = (false, 0, ANGLE);
            self.points.clear();
            return self.elsewhere(level);
        }
        if trial.interpolates()
            && let Some(between) = self.between()
        {
            (self.went_on, self.between) = (false, true);
            return between;
        }
        let far = level.distance(self.target) > FAR;
        if self.caught > 0 && trial.avoids() == Avoid::GoAround {
            return self.nearer(from, promised, level);
        }
        if trial.searches() && self.stale > usize::from(!far) {
            return self.elsewhere(level);
        }
        if !trial.searches() && self.stale >= PATIENCE {
            return Next::Rest;
        }
        let gain = if self.went_on { self.gain() } else { 1.0 };
        self.went_on = true;
        Next::On { from, aim: promised + (self.target - level) * gain }
    }

    /// Away from where every attempt was caught; a sample that is near enough, or has no measured level, rests.
    fn freed(&mut self, trial: &T) -> Next<T::Place> {
        let Some(from) = self.kept.as_ref().filter(|kept| kept.caught).map(|kept| kept.place.clone()) else {
            return Next::Rest;
        };
        // Where the target is caught, what lies towards the other side of the median may be free.
        let away = (if trial.searches() { self.searches } else { self.stale } + 1) as f64 / AWAY;
        let aim = self.target + (Level(0.0) - self.target) * away;
        match trial.avoids() {
            Avoid::GoAround if trial.searches() && self.searches < SEARCHES => {
                let round = self.searches;
                (self.searches, self.went_on) = (round + 1, false);
                Next::Elsewhere { aim, round }
            }
            Avoid::GoAround if !trial.searches() && self.stale < PATIENCE => Next::On { from, aim },
            _ => Next::Rest,
        }
    }

    /// From a free place a part of the way to a target that was caught, and half as far after each time that that is caught too.
    fn nearer(&mut self, from: T::Place, promised: Level, level: Level) -> Next<T::Place> {
        self.part *= if self.just_caught { 0.5 } else { 1.0 };
        if self.part < LEAST_PART || self.stale >= PATIENCE {
            return Next::Rest;
        }
        self.went_on = true;
        Next::On { from, aim: promised + (self.target - level) * self.part }
    }

    /// A search, while one is left.
    fn elsewhere(&mut self, level: Level) -> Next<T::Place> {
        let round = self.searches;
        if round == SEARCHES {
            return Next::Rest;
        }
        (self.searches, self.went_on) = (round + 1, false);
        let beyond = BEYOND * (round + 1) as f64 * (self.target - level).signum();
        Next::Elsewhere { aim: self.target + beyond, round }
    }

    /// A place between the measured points nearest to the target on either side, if there are such. A path that does not
    /// lead to the target, because the level jumps on it, is given up for another.
    fn between(&mut self) -> Option<Next<T::Place>> {
        let [below, above] = loop {
            let ends = self.bracket()?;
            self.bracketed = true;
            let distance = |i: usize| self.points[i].level.distance(self.target);
            let far = distance(ends[0]).min(distance(ends[1])) > WIDE;
            if self.on_path < if far { JUMP } else { PATH } {
                break ends;
            }
            self.on_path = 0;
            self.jumped |= far;
            self.points.remove(if distance(ends[0]) > distance(ends[1]) { ends[0] } else { ends[1] });
        };
        self.on_path += 1;
        let ends = [self.points[below].number, self.points[above].number];
        for ((stayed, before), now) in self.stayed.iter_mut().zip(self.ends).zip(ends) {
            *stayed = if now == before { *stayed + 1 } else { 0 };
        }
        self.ends = ends;
        let [below, above] = [&self.points[below], &self.points[above]];
        // An end that stays again and again makes interpolation creep; halving does not.
        let part = match self.stayed {
            [a, b] if a.max(b) >= 2 => 0.5,
            _ => ((self.target - below.level) / (above.level - below.level)).clamp(0.05, 0.95),
        };
        Some(Next::Between { below: below.place.clone(), above: above.place.clone(), part })
    }

    /// The measured points nearest to the target on either side, below and above.
    fn bracket(&self) -> Option<[usize; 2]> {
        let level = |i: &usize| self.points[*i].level;
        let by_level = |a: &usize, b: &usize| level(a).0.total_cmp(&level(b).0);
        let below = (0..self.points.len()).filter(|i| level(i) < self.target).max_by(by_level)?;
        let above = (0..self.points.len()).filter(|i| level(i) > self.target).min_by(by_level)?;
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

    fn closed(self, corrections: usize) -> Result<Closed<T>> {
        let kept = self.kept.ok_or_else(|| Error::Bug("a sample was never tried".into()))?;
        let why = match corrections {
            0 => Missed::Steps,
            _ if self.caught > 0 => Missed::Guard,
            _ if !self.bracketed && self.searches >= 2 => Missed::Range,
            _ => Missed::Corrections,
        };
        Ok(Closed { kept, attempts: self.attempts, caught: self.caught, why })
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
            (kept.iter().map(|a| a.kept.outcome).collect(), curves.asked)
        }

        fn tile(&self) -> Vec<Attempt<Self>> {
            let one = |(level, aim): (&fn(f64) -> f64, &Level)| {
                let reached = level(aim.0);
                let level = Some(Level(reached)).filter(|l| l.0.is_finite());
                Attempt { place: *aim, promised: *aim, level, caught: false, outcome: reached }
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

        fn correct(&mut self, next: Vec<Next<Level>>) -> Result<Vec<Option<Attempt<Self>>>> {
            let rests: Vec<bool> = next.iter().map(|n| *n == Next::Rest).collect();
            for (i, next) in next.into_iter().enumerate() {
                match &next {
                    Next::Rest => {}
                    Next::Between { below, above, part } => self.aims[i] = *below + (*above - *below) * *part,
                    Next::On { aim, .. } | Next::Beside { aim, .. } | Next::Elsewhere { aim, .. } => {
                        self.aims[i] = *aim
                    }
                }
                self.asked[i].push(next);
            }
            Ok(self.tile().into_iter().zip(rests).map(|(attempt, rests)| (!rests).then_some(attempt)).collect())
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

    /// A level that jumps by a quarter along the aim and is smooth across it, as that of a network of relus.
    struct Stairs {
        asked: Vec<Next<(f64, f64)>>,
    }

    impl Stairs {
        fn attempt((along, across): (f64, f64)) -> Attempt<Self> {
            let level = (along * 4.0).floor() / 4.0 + across;
            let (place, promised) = ((along, across), Level(along + across));
            Attempt { place, promised, level: Some(Level(level)), caught: false, outcome: level }
        }
    }

    impl Trial for Stairs {
        type Place = (f64, f64);
        type Outcome = f64;
        const NEAR: f64 = 0.01;

        fn begin(&mut self) -> Result<Vec<Vec<Attempt<Self>>>> {
            Ok(vec![vec![Self::attempt((1.9, 0.0))], vec![Self::attempt((0.0, 0.0))]])
        }

        fn correct(&mut self, next: Vec<Next<(f64, f64)>>) -> Result<Vec<Option<Attempt<Self>>>> {
            let one = |next: &Next<(f64, f64)>| match next {
                Next::Rest => None,
                Next::Between { below: a, above: b, part } => {
                    Some(Self::attempt((a.0 + (b.0 - a.0) * part, a.1 + (b.1 - a.1) * part)))
                }
                Next::Beside { from, angle, round, .. } => {
                    Some(Self::attempt((from.0, from.1 + if round % 2 == 0 { *angle } else { -angle })))
                }
                Next::On { aim, .. } | Next::Elsewhere { aim, .. } => Some(Self::attempt((aim.0, 0.0))),
            };
            let made = next.iter().map(one).collect();
            self.asked.extend(next);
            Ok(made)
        }

        fn interpolates(&self) -> bool {
            true
        }

        fn searches(&self) -> bool {
            true
        }
    }

    #[test]
    fn beside_a_jump_the_target_is_found() {
        let mut stairs = Stairs { asked: Vec::new() };
        // 0.62 lies between the stairs 0.5 and 0.75, each of them more than 0.075 away.
        let end = close(&mut stairs, &[Level(0.62)], 24).unwrap().remove(0);
        assert!((end.kept.outcome - 0.62).abs() <= WIDE, "{} {:?}", end.kept.outcome, stairs.asked);
        let beside = stairs.asked.iter().position(|n| matches!(n, Next::Beside { .. })).unwrap();
        assert!(beside <= JUMP + 1, "{:?}", stairs.asked);
        assert!(stairs.asked[..beside].iter().all(|n| matches!(n, Next::Between { .. })), "{:?}", stairs.asked);
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
    /// Two lanes of levels from 0 to 1. In lane 0 places from 0.6 on are unusual; a search leads to lane 1.
    struct Lanes {
        avoids: Avoid,
        start: f64,
    }

    impl Lanes {
        fn attempt(&self, lane: usize, at: f64) -> Attempt<Self> {
            let caught = self.avoids != Avoid::Nothing && lane == 0 && at >= 0.6;
            Attempt { place: (lane, at), promised: Level(at), level: Some(Level(at)), caught, outcome: lane }
        }
    }

    impl Trial for Lanes {
        type Place = (usize, f64);
        type Outcome = usize;
        const NEAR: f64 = 0.01;

        fn begin(&mut self) -> Result<Vec<Vec<Attempt<Self>>>> {
            Ok(vec![vec![self.attempt(0, 0.8)], vec![self.attempt(0, self.start)]])
        }

        fn correct(&mut self, next: Vec<Next<(usize, f64)>>) -> Result<Vec<Option<Attempt<Self>>>> {
            let one = |next: &Next<(usize, f64)>| match next {
                Next::Rest => None,
                Next::Between { below: a, above: b, part } => Some(self.attempt(a.0, a.1 + (b.1 - a.1) * part)),
                Next::On { from, aim } | Next::Beside { from, aim, .. } => Some(self.attempt(from.0, aim.0)),
                Next::Elsewhere { .. } => Some(self.attempt(1, 0.8)),
            };
            Ok(next.iter().map(one).collect())
        }

        fn avoids(&self) -> Avoid {
            self.avoids
        }

        fn interpolates(&self) -> bool {
            true
        }

        fn searches(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_caught_place_is_not_kept_where_there_is_another() {
        let end = |avoids, start| close(&mut Lanes { avoids, start }, &[Level(0.8)], 8).unwrap().remove(0);
        // Without a guard the first attempt is there.
        let free = end(Avoid::Nothing, 0.1);
        assert_eq!((free.kept.place, free.caught, free.attempts), ((0, 0.8), 0, 2));
        // A stop falls back to the start, and says why it is not there.
        let stopped = end(Avoid::Stop, 0.1);
        assert_eq!((stopped.kept.place, stopped.caught, stopped.attempts), ((0, 0.1), 1, 2));
        assert_eq!(stopped.why, Missed::Guard);
        // From a free place it goes as near as it may.
        let nearer = end(Avoid::GoAround, 0.1);
        assert!(nearer.kept.place.0 == 0 && (0.5..0.6).contains(&nearer.kept.place.1), "{:?}", nearer.kept.place);
        // Where every place was caught, a search finds the other lane.
        let around = end(Avoid::GoAround, 0.7);
        assert_eq!((around.kept.place, around.caught, around.attempts), ((1, 0.8), 2, 3));
    }

    /// A caught attempt that was not made between two others leaves a bracket as it is.
    #[test]
    fn a_bracket_of_free_places_is_used() {
        let lanes = Lanes { avoids: Avoid::GoAround, start: 0.1 };
        let mut sample = Sample::<Lanes>::new(Level(0.5));
        for at in [0.9, 0.1] {
            sample.take(lanes.attempt(0, at));
        }
        sample.take(lanes.attempt(1, 0.7));
        assert!(matches!(sample.next(&lanes), Next::Between { .. }));
        // One that led to a caught place is given up.
        sample.take(lanes.attempt(0, 0.6));
        assert!(!matches!(sample.next(&lanes), Next::Between { .. }));
    }
}
