//! What a person likes, learnt from choices between two pictures of a model.
//!
//! The pictures come from a *pool*: the model's first seeds without steering, made when the worker has nothing better to do. `features`
//! says what a picture is, `fit` what the choices say, `pairs` what to ask next. Nothing here changes a picture: a taste only puts
//! pictures in order.
//!
//! Whether anything was learnt is measured, not assumed. Every third pair is chosen blindly, and each choice about one is predicted by a
//! fit to the choices before it. Until that went better than chance, taste counts for nothing.

mod features;
mod fit;
mod pairs;

pub use features::{NAMED, Traits};

use super::app::App;
use super::looks::{Batch, Subject, Wish};
use super::worker::talk::Loaded;
use crate::error::Result;
use crate::evaluate::wilson;
use features::{Basis, bytes};
use fit::Fit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Pictures that must be there before anything is asked.
pub const FIRST: usize = 32;
/// Pictures of a pool at most.
const POOL: usize = 2_048;
/// Milliseconds that making a pool may take, by what a picture usually takes.
const POOL_MS: f64 = 600_000.0;
/// Bytes of the shelf that a pool may take.
const POOL_BYTES: usize = 64 << 20;
/// Choices before a taste may count.
pub const ENOUGH: usize = 30;
/// Blind choices that the accuracy is measured on at most: the last ones.
const MEASURED: usize = 200;
/// Pictures that are shown as liked, and as many as liked less.
const SHOWN: usize = 6;
/// By how many standard deviations two pictures differ in what is told of a choice.
const TOLD: f64 = 0.5;

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The left one.
    Left,
    /// The right one.
    Right,
    /// Neither more than the other.
    Tie,
    /// No answer.
    Skip,
}

impl Answer {
    /// How much of the choice went to the left.
    const fn left(self) -> Option<f64> {
        match self {
            Self::Left => Some(1.0),
            Self::Right => Some(0.0),
            Self::Tie => Some(0.5),
            Self::Skip => None,
        }
    }
}

/// A choice, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Name of the model.
    pub model: String,
    /// Id of the left picture.
    pub left: String,
    /// Id of the right picture.
    pub right: String,
    /// What was answered.
    pub answer: Answer,
    /// Whether the pair was chosen blindly.
    pub check: bool,
    /// When, seconds since 1970.
    pub at: f64,
}

/// A pair that is being asked about.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its number: how many were answered before.
    pub number: u64,
    /// The left picture.
    pub left: Shown,
    /// The right one.
    pub right: Shown,
    /// How they differ, the largest difference first.
    pub differences: Vec<Difference>,
    /// Whether the pair was chosen blindly.
    pub check: bool,
}

/// How well blind choices were predicted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Accuracy {
    /// The share that was predicted rightly.
    value: f64,
    /// The lower end of its 95 % interval (Wilson's).
    low: f64,
    /// The upper end.
    high: f64,
    /// Of how many.
    n: usize,
}

/// What was learnt of a person's taste in the pictures of a model.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Learnt {
    /// Pictures in the pool.
    pool: usize,
    /// Choices that count; skipped pairs are not among them.
    choices: usize,
    /// Every choice about this model, skipped pairs and those about other versions among them.
    all: usize,
    /// Choices about pictures of another version of this model, or of another reward. They are kept and count for nothing.
    other: usize,
    /// How well it predicts; `None` before there is anything to measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<Accuracy>,
    /// Whether it may count: enough choices, and predicted better than chance.
    unlocked: bool,
    /// How much the left side is liked whatever is on it: the log-odds of taking it between equal pictures.
    side: f64,
    /// Pictures of the pool that it thinks are liked most; none while it is locked.
    likes: Vec<Shown>,
    /// Those liked least.
    dislikes: Vec<Shown>,
}

/// A picture of the pool.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Shown {
    /// Its id.
    pub id: String,
    /// The first digits of its file's SHA-256.
    sha8: String,
    /// Where it lies in the model's distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    reached: Option<f64>,
}

/// How two pictures differ, in words that have a number: by half a standard deviation of the model's own pictures or more.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// level, local_rank, light, contrast, colour, edges, symmetry or detail.
    name: String,
    /// Whether the left picture has more of it.
    left_more: bool,
}

/// Everybody's taste, one for each model.
#[derive(Default)]
pub struct Taste(Mutex<BTreeMap<Subject, Learner>>);

/// A picture of the pool: its measurements, and what lists say of it. `None` where the model made no finite picture.
type Pooled = Option<(Traits, Shown)>;

/// One model's.
#[derive(Default)]
struct Learner {
    /// Id of the recipe of the pool's pictures.
    run: String,
    /// By seed.
    pool: Vec<Pooled>,
    /// Whether more of the pool is to be made.
    growing: bool,
    /// Pictures of the pool when the basis was made, and the basis.
    basis: Option<(usize, Basis)>,
    /// φ of the pictures of the pool.
    values: Vec<Option<Vec<f64>>>,
    /// Whether the blind choices with these numbers were predicted rightly; `None` where nothing was predicted.
    predicted: BTreeMap<i64, Option<bool>>,
    choices: Vec<(i64, Chosen)>,
    fit: Option<Fit>,
    /// The pair that was asked about last: it stays until it is answered, whatever is learnt meanwhile.
    asked: Option<Asked>,
}

impl Taste {
    fn learners(&self) -> MutexGuard<'_, BTreeMap<Subject, Learner>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pictures of pools that are still to be made: those that somebody waits for (`urgent`), or any. While somebody else works with
    /// what was learnt, there are none: whoever gives the worker something to do does not wait for that.
    ///
    /// # Errors
    /// Those of reading what was measured.
    pub fn wants(&self, app: &App, urgent: bool, most: impl Fn(&Subject) -> usize) -> Result<Option<Batch>> {
        let Ok(mut learners) = self.0.try_lock() else { return Ok(None) };
        for (subject, learner) in learners.iter_mut().filter(|l| l.1.growing) {
            let Some(loaded) = app.models.loaded(subject) else { continue };
            learner.absorb(app, &loaded)?;
            let enough = learner.shown(app).len() >= FIRST;
            if urgent && enough {
                continue;
            }
            // What was dropped from the shelf is made again where too little is left to choose from.
            let again = if enough { 0 } else { learner.pool.len().min(2 * FIRST) };
            let limit = learner.limit(app, subject, &loaded).max(again);
            let missing = |seed: &u64| match *seed < again as u64 {
                true => learner.has(*seed) && app.shelf.row(&learner.id(*seed)).is_none(),
                false => *seed >= learner.pool.len() as u64,
            };
            let wish = |seed: u64| {
                let (slot, id) = ("pool".to_owned(), learner.id(seed));
                Wish { slot, id, seed, novelty: None, vary: None }
            };
            let wishes: Vec<Wish> = (0..limit as u64).filter(missing).take(most(subject)).map(wish).collect();
            if !wishes.is_empty() {
                return Ok(Some(Batch {
                    look: 0,
                    view: "taste".into(),
                    lane: 2,
                    subject: subject.clone(),
                    seed: 0,
                    since: None,
                    wishes,
                }));
            }
        }
        Ok(None)
    }

    /// Pictures of this model's pool cannot be made: no more are tried until somebody asks again.
    pub fn rest(&self, subject: &Subject) {
        if let Some(learner) = self.learners().get_mut(subject) {
            learner.growing = false;
        }
    }

    /// No more pictures of any pool are made until somebody asks again.
    pub fn rest_all(&self) {
        self.learners().values_mut().for_each(|learner| learner.growing = false);
    }

    /// What was learnt of this model's pictures.
    ///
    /// # Errors
    /// Those of reading choices and pictures.
    pub fn learnt(&self, app: &App, subject: &Subject, loaded: &Loaded) -> Result<Learnt> {
        self.with(app, subject, loaded, |learner| Ok(learner.learnt(app)))
    }

    /// The next pair to ask about; where there are not enough pictures yet, how many there are. Asking lets the pool grow.
    ///
    /// # Errors
    /// Those of reading choices and pictures.
    pub fn pair(&self, app: &App, subject: &Subject, loaded: &Loaded) -> Result<std::result::Result<Asked, usize>> {
        self.with(app, subject, loaded, |learner| {
            learner.growing = true;
            let shown = learner.shown(app);
            learner.ask(&subject.model, &shown);
            Ok(learner.asked.clone().ok_or(shown.len()))
        })
    }

    /// How much each of these pictures is liked; `None` for one that is not there, and for all while nothing is learnt.
    ///
    /// # Errors
    /// Those of reading choices and pictures.
    pub fn worths(
        &self,
        app: &App,
        subject: &Subject,
        loaded: &Loaded,
        pictures: &[Option<Traits>],
    ) -> Result<Vec<Option<f64>>> {
        self.with(app, subject, loaded, |learner| {
            let known = learner.is_unlocked();
            let Some(((_, basis), fit)) = learner.basis.as_ref().zip(learner.fit.as_ref()).filter(|_| known) else {
                return Ok(pictures.iter().map(|_| None).collect());
            };
            Ok(pictures.iter().map(|p| p.as_ref().map(|p| fit.worth(&basis.values(p)))).collect())
        })
    }

    /// Works with what is known of a model, brought up to date.
    fn with<T>(
        &self,
        app: &App,
        subject: &Subject,
        loaded: &Loaded,
        work: impl FnOnce(&mut Learner) -> Result<T>,
    ) -> Result<T> {
        let mut learners = self.learners();
        let learner = learners.entry(subject.clone()).or_default();
        learner.absorb(app, loaded)?;
        learner.learn(app.db.choices(&subject.model)?);
        work(learner)
    }
}

impl Learner {
    fn id(&self, seed: u64) -> String {
        format!("{}-{seed}", self.run)
    }

    /// The place of a picture in the pool.
    fn place(&self, id: &str) -> Option<usize> {
        let seed: usize = id.strip_prefix(&self.run)?.strip_prefix('-')?.parse().ok()?;
        self.pool.get(seed)?.as_ref().map(|_| seed)
    }

    /// Whether the model has made a picture of this seed.
    fn has(&self, seed: u64) -> bool {
        self.pool.get(seed as usize).is_some_and(Option::is_some)
    }

    /// Seeds whose pictures can be shown.
    fn shown(&self, app: &App) -> Vec<usize> {
        let here = |seed: &usize| self.has(*seed as u64) && app.shelf.row(&self.id(*seed as u64)).is_some();
        (0..self.pool.len()).filter(here).collect()
    }

    /// How many pictures the pool is to have, beside those that are none.
    fn limit(&self, app: &App, subject: &Subject, loaded: &Loaded) -> usize {
        // A device that sees whole tiles makes a tile in the time that is the usual one.
        let together = if loaded.one_by_one { 1.0 } else { loaded.templates.plain.tile as f64 };
        let usual = app.bench.usual_ms(subject).map_or(1.0, |ms| (ms / together).max(1.0));
        let largest = self.pool.iter().flatten().map(|p| bytes(&p.0)).max().unwrap_or(1);
        let most = POOL.min((POOL_MS / usual) as usize).min(POOL_BYTES / largest.max(1)).max(FIRST);
        (most + self.pool.iter().filter(|p| p.is_none()).count()).min(2 * POOL)
    }

    /// Takes in what has been made of the pool since.
    fn absorb(&mut self, app: &App, loaded: &Loaded) -> Result<()> {
        let run = loaded.templates.plain.run_id()?;
        if run != self.run {
            // Another version of the model: nothing of the one before is its.
            *self = Self { run, growing: self.growing, ..Self::default() };
        }
        while let Some((id, sha8, measured)) = app.db.traits(&self.id(self.pool.len() as u64))? {
            let reached = measured.as_ref().map(|m| m.named[0]).filter(|v| v.is_finite());
            self.pool.push(measured.map(|m| (m, Shown { id, sha8, reached })));
        }
        Ok(())
    }

    /// Brings basis, values and fit up to date with the pool and these choices.
    fn learn(&mut self, choices: Vec<(i64, Chosen)>) {
        let there: Vec<&Traits> = self.pool.iter().flatten().map(|p| &p.0).collect();
        // The basis is made anew each time that the pool has doubled.
        let due = if there.len() < FIRST { 0 } else { 1 << there.len().ilog2() };
        let mut anew = false;
        if due > self.basis.as_ref().map_or(0, |b| b.0) {
            self.basis = Some((due, Basis::of(&there[..due])));
            anew = true;
        }
        let Some((_, basis)) = &self.basis else {
            self.choices = choices;
            return;
        };
        if anew {
            self.values.clear();
            self.predicted.clear();
            self.fit = None;
        }
        let grown = self.pool.len() > self.values.len();
        for pooled in &self.pool[self.values.len()..] {
            self.values.push(pooled.as_ref().map(|(measured, _)| basis.values(measured)));
        }
        // A picture that has come may be one that was chosen before.
        if !grown && choices == self.choices && self.fit.is_some() {
            return;
        }
        self.choices = choices;
        let width = self.values.iter().flatten().next().map_or(0, Vec::len);
        let judged: Vec<(i64, bool, fit::Choice)> = self.judged();
        let all: Vec<fit::Choice> = judged.iter().map(|j| j.2.clone()).collect();
        let whole = Fit::of(&all, width, self.fit.as_ref());
        let known: BTreeMap<i64, Option<bool>> = std::mem::take(&mut self.predicted);
        let blind: Vec<usize> = (0..judged.len()).filter(|i| judged[*i].1).collect();
        for at in blind.into_iter().rev().take(MEASURED) {
            let (id, _, choice) = &judged[at];
            let verdict = known.get(id).copied().unwrap_or_else(|| {
                let before = Fit::of(&all[..at], width, Some(&whole));
                // What is on the picture counts, not the side that it is on: who always takes the left one has no taste to learn.
                let lean = before.worth(&choice.difference);
                (lean != 0.0 && choice.left != 0.5).then_some((lean > 0.0) == (choice.left > 0.5))
            });
            self.predicted.insert(*id, verdict);
        }
        self.fit = Some(whole);
    }

    /// The choices about pictures of the pool that say something: number, whether blind, and the choice.
    fn judged(&self) -> Vec<(i64, bool, fit::Choice)> {
        let values = |id: &str| self.place(id).and_then(|i| self.values.get(i)?.as_ref());
        let one = |(id, chosen): &(i64, Chosen)| {
            let (left, right) = (values(&chosen.left)?, values(&chosen.right)?);
            let difference = left.iter().zip(right).map(|(l, r)| l - r).collect();
            Some((*id, chosen.check, fit::Choice { difference, left: chosen.answer.left()? }))
        };
        self.choices.iter().filter_map(one).collect()
    }

    fn accuracy(&self) -> Option<Accuracy> {
        let told: Vec<bool> = self.predicted.values().flatten().copied().collect();
        let n = told.len();
        (n > 0).then(|| {
            let value = told.iter().filter(|t| **t).count() as f64 / n as f64;
            let [low, high] = wilson(value, n);
            Accuracy { value, low, high, n }
        })
    }

    fn is_unlocked(&self) -> bool {
        self.judged().len() >= ENOUGH && self.accuracy().is_some_and(|a| a.low > 0.5)
    }

    fn learnt(&self, app: &App) -> Learnt {
        let unlocked = self.is_unlocked();
        let liked: Vec<Shown> = match &self.fit {
            Some(fit) if unlocked => {
                let worth = |i: usize| self.values[i].as_ref().map_or(f64::NAN, |v| fit.worth(v));
                let mut order: Vec<usize> = (0..self.values.len()).filter(|i| self.values[*i].is_some()).collect();
                order.sort_by(|a, b| worth(*b).total_cmp(&worth(*a)));
                order.into_iter().filter_map(|i| self.pool[i].as_ref().map(|p| p.1.clone())).collect()
            }
            _ => Vec::new(),
        };
        let here = |liked: &&Shown| app.shelf.row(&liked.id).is_some();
        let own = |c: &&(i64, Chosen)| c.1.left.starts_with(&self.run);
        Learnt {
            pool: self.pool.len(),
            choices: self.judged().len(),
            all: self.choices.len(),
            other: self.choices.iter().filter(|c| !own(c)).count(),
            accuracy: self.accuracy(),
            unlocked,
            side: self.fit.as_ref().map_or(0.0, Fit::side),
            likes: liked.iter().filter(here).take(SHOWN).cloned().collect(),
            dislikes: liked.iter().rev().filter(here).take(SHOWN).cloned().collect(),
        }
    }

    /// Chooses the next pair of pictures that can be shown, unless the last one is still to be answered.
    fn ask(&mut self, model: &str, shown: &[usize]) {
        let number = self.choices.iter().filter(|c| c.1.left.starts_with(&self.run)).count() as u64;
        let there = |id: &str| self.place(id).is_some_and(|i| shown.binary_search(&i).is_ok());
        let stays = |a: &Asked| a.number == number && there(&a.left.id) && there(&a.right.id);
        if !self.asked.as_ref().is_some_and(stays) {
            self.asked = self.next(model, number, shown);
        }
    }

    fn next(&self, model: &str, number: u64, shown: &[usize]) -> Option<Asked> {
        let fit = self.fit.as_ref().filter(|_| shown.len() >= FIRST)?;
        let there: Vec<(usize, &[f64])> =
            shown.iter().filter_map(|i| Some((*i, self.values.get(*i)?.as_deref()?))).collect();
        let pair = pairs::next(&there, fit, model, number)?;
        let one = |i: usize| Some(self.pool.get(i)?.as_ref()?.1.clone());
        Some(Asked {
            number,
            left: one(pair.left)?,
            right: one(pair.right)?,
            differences: self.differences(pair.left, pair.right),
            check: pair.check,
        })
    }

    fn differences(&self, left: usize, right: usize) -> Vec<Difference> {
        let values = |i: usize| self.values.get(i).and_then(Option::as_ref).into_iter().flatten();
        let apart = NAMED.iter().zip(values(left).zip(values(right))).map(|(name, (l, r))| (*name, l - r));
        let mut apart: Vec<(&str, f64)> = apart.filter(|(_, d)| d.abs() >= TOLD).collect();
        apart.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        apart.into_iter().map(|(name, d)| Difference { name: name.into(), left_more: d > 0.0 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acts::generate::SampleRow;
    use crate::render::Picture;
    use crate::render::png::{self, PngText};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// A learner over a pool of noise.
    fn learner(rng: &mut ChaCha8Rng) -> Result<Learner> {
        let row: SampleRow = serde_json::from_value(serde_json::json!({
            "seed": 0, "file": null, "sha256": "ab", "novelty_asked": null, "novelty_predicted": null, "psi_predicted": null,
            "novelty_reached": 50.0, "beyond": 0.0, "psi_k": 1.0, "distance": 0.0, "angle": 0.0, "steps": 0, "status": "ok",
        }))
        .unwrap_or_else(|e| unreachable!("{e}"));
        let mut learner = Learner { run: "r".into(), ..Learner::default() };
        for seed in 0..64 {
            let pixels = (0..256).map(|_| rng.random()).collect();
            let png = png::encode(&Picture::from_pixels(pixels, [1, 16, 16])?, &PngText::default())?;
            let shown = Shown { id: format!("r-{seed}"), sha8: "ab".into(), reached: Some(50.0) };
            learner.pool.push(Some((Traits::of(&png, &row)?, shown)));
        }
        learner.learn(Vec::new());
        Ok(learner)
    }

    /// A person who answers by `left`, 90 times: whether there was a taste at the end, and at any time.
    fn answers(learner: &mut Learner, mut left: impl FnMut(&Learner, &Asked) -> bool) -> (bool, bool) {
        let mut all: Vec<(i64, Chosen)> = Vec::new();
        let mut ever = false;
        for id in 0..90 {
            let there: Vec<usize> = (0..64).collect();
            learner.ask("m", &there);
            let Some(asked) = learner.asked.clone() else { unreachable!("no pair") };
            assert_eq!(asked.number, id as u64);
            let answer = if left(learner, &asked) { Answer::Left } else { Answer::Right };
            let (left, right) = (asked.left.id, asked.right.id);
            all.push((id, Chosen { model: "m".into(), left, right, answer, check: asked.check, at: 0.0 }));
            learner.learn(all.clone());
            ever |= learner.is_unlocked();
        }
        assert_eq!((learner.judged().len(), learner.predicted.len()), (90, 30));
        (learner.is_unlocked(), ever)
    }

    /// Who tosses a coin has a taste at the end no more often than the interval says: in 2.1 % (at least 21 of 30 right), which of
    /// 200 are 4.3, within four standard deviations. As the rule is looked at again and again, more have one on the way.
    #[test]
    fn a_coin_has_a_taste_as_seldom_as_the_interval_says() -> Result<()> {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let (mut end, mut ever) = (0, 0);
        for _ in 0..200 {
            let mut one = learner(&mut rng)?;
            let (at_end, at_any) = answers(&mut one, |_, _| rng.random());
            (end, ever) = (end + usize::from(at_end), ever + usize::from(at_any));
        }
        println!("of 200 people who toss a coin 90 times, {end} have a taste at the end, {ever} at some time");
        assert!(end <= 12 && ever >= end, "{end} {ever}");
        Ok(())
    }

    #[test]
    fn what_follows_a_rule_is_found_and_a_later_undo_is_followed() -> Result<()> {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        let mut one = learner(&mut rng)?;
        let light =
            |learner: &Learner, id: &str| learner.place(id).and_then(|i| Some(learner.pool[i].as_ref()?.0.named[2]));
        let (end, _) = answers(&mut one, |l, asked| light(l, &asked.left.id) > light(l, &asked.right.id));
        assert!(end, "{:?}", one.accuracy());
        let fewer: Vec<(i64, Chosen)> = one.choices[..40].to_vec();
        one.learn(fewer);
        assert_eq!((one.judged().len(), one.predicted.len()), (40, 13));
        // Choices about another version of the model count for nothing.
        let others: Vec<(i64, Chosen)> =
            one.choices.iter().cloned().map(|(i, c)| (i, Chosen { left: "q-1".into(), ..c })).collect();
        one.learn(others);
        assert_eq!((one.judged().len(), one.predicted.len(), one.is_unlocked()), (0, 0, false));
        Ok(())
    }
}
