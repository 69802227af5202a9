//! What the pages want to see and have not seen yet. Pure: it knows neither clock nor worker, so that the rules can be
//! tested line by line.
//!
//! A page is a *view*. It asks for its large picture, then for the strip, then for other seeds; these are three *lanes*, and
//! the lowest goes first. A newer wish of the same view and lane takes the place of an older one that has not been begun, so
//! that a slider may be dragged as fast as a hand can: one picture is being made, and one waits. What is being made of a slow
//! model is dropped if it is in the way of a large picture; then it is made again later, if its view still wants it.

use crate::acts::generate::Vary;
use crate::units::Percentile;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the same pictures, or a view's large pictures during a long drag, may be dropped again and again.
const DROPPING: Duration = Duration::from_millis(1500);

/// Views whose place is remembered though they wait for nothing.
const VIEWS: usize = 64;

/// The model and the reward that pictures are asked of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Name of the model.
    pub model: String,
    /// Name of the reward, where it is not the model's own.
    pub reward: Option<String>,
}

/// One picture that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Where the page puts it.
    pub slot: String,
    /// Its id, once it is made.
    pub id: String,
    /// Its seed.
    pub seed: u64,
    /// The novelty asked for; without one it is not steered.
    pub novelty: Option<Percentile>,
    /// What it is a variation of, if it is; then its seed is its number.
    pub vary: Option<Arc<Vary>>,
}

/// What a view wants of one lane.
#[derive(Clone, Debug)]
struct Order {
    view: String,
    lane: usize,
    look: u64,
    subject: Subject,
    seed: u64,
    wishes: VecDeque<Wish>,
    since: Option<Instant>,
}

/// What a view asked for last.
#[derive(Debug)]
struct Place {
    look: u64,
    subject: Subject,
    seed: u64,
    /// Since when its large pictures were dropped for newer ones, with none made in between.
    since: Option<Instant>,
}

/// Some wishes that are made in one go.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The look that they belong to.
    pub look: u64,
    /// Their view.
    pub view: String,
    /// Their lane: 0 the large picture, 1 the strip, 2 other seeds.
    pub lane: usize,
    /// Their model.
    pub subject: Subject,
    /// The seed that the view was at.
    pub seed: u64,
    /// The wishes: all of them steered, or none.
    pub wishes: Vec<Wish>,
    /// When some of them were dropped first, if they were.
    pub since: Option<Instant>,
}

/// Lanes of a view.
pub const LANES: usize = 3;

/// Every wish that waits.
#[derive(Debug, Default)]
pub struct Looks {
    orders: Vec<Order>,
    views: BTreeMap<String, Place>,
    last: u64,
}

impl Looks {
    /// A new look of `view` at `seed`, with what of it is still to be made. It replaces the large picture that waits, and what
    /// waits in the other lanes if it wants something there, or if it is about another model or seed.
    pub fn ask(&mut self, view: &str, subject: &Subject, seed: u64, lanes: [Vec<Wish>; LANES]) -> u64 {
        self.last += 1;
        let look = self.last;
        let stale = |o: &Order| (&o.subject, o.seed) != (subject, seed);
        self.orders.retain(|o| o.view != view || (o.lane > 0 && !stale(o) && lanes[o.lane].is_empty()));
        for (lane, wishes) in lanes.into_iter().enumerate().filter(|l| !l.1.is_empty()) {
            let (view, subject) = (view.to_owned(), subject.clone());
            self.orders.push(Order { view, lane, look, subject, seed, wishes: wishes.into(), since: None });
        }
        if self.views.len() >= VIEWS {
            self.views.retain(|view, _| self.orders.iter().any(|o| o.view == *view));
        }
        let since = self.views.get(view).and_then(|place| place.since);
        self.views.insert(view.to_owned(), Place { look, subject: subject.clone(), seed, since });
        look
    }

    /// The view wants nothing any more.
    pub fn leave(&mut self, view: &str) {
        self.orders.retain(|o| o.view != view);
        self.views.remove(view);
    }

    /// No view wants anything any more.
    pub fn clear(&mut self) {
        self.orders.clear();
        self.views.clear();
    }

    /// Whether anything waits.
    pub fn waits(&self) -> bool {
        !self.orders.is_empty()
    }

    /// The next wishes, at most `most(subject)` of one kind: the lowest lane first, within it the oldest look.
    pub fn next(&mut self, most: impl Fn(&Subject) -> usize) -> Option<Batch> {
        let first = self.orders.iter().enumerate().min_by_key(|(_, o)| (o.lane, o.look)).map(|(i, _)| i)?;
        let order = &mut self.orders[first];
        let front = order.wishes.front()?;
        let (steered, vary) = (front.novelty.is_some(), front.vary.clone());
        // The centre of variations is made anew in each call, so all of them go into one.
        let most = if vary.is_some() { order.wishes.len() } else { most(&order.subject).max(1) };
        let mut wishes = Vec::new();
        while wishes.len() < most
            && order.wishes.front().is_some_and(|w| w.novelty.is_some() == steered && w.vary == vary)
        {
            wishes.extend(order.wishes.pop_front());
        }
        let Order { view, lane, look, subject, seed, since, .. } = order.clone();
        if order.wishes.is_empty() {
            self.orders.remove(first);
        }
        Some(Batch { look, view, lane, subject, seed, wishes, since })
    }

    /// Whether a large picture waits that goes before `batch`, which is being made: that of any page if the batch is a strip or
    /// other seeds, that of the same page if it is a large picture itself. It goes on if somebody waits for it as a large
    /// picture, or if it was dropped for long enough.
    pub fn is_in_the_way(&self, batch: &Batch, now: Instant) -> bool {
        let long = |since: Option<Instant>| since.is_some_and(|since| now.duration_since(since) > DROPPING);
        let large = || self.orders.iter().filter(|o| o.lane == 0);
        let own = large().any(|o| o.view == batch.view);
        if large().flat_map(|o| &o.wishes).any(|w| batch.wishes.iter().any(|b| b.id == w.id)) {
            return false;
        }
        match batch.lane {
            0 => own && !long(self.views.get(&batch.view).and_then(|place| place.since)),
            _ => own || (large().next().is_some() && !long(batch.since)),
        }
    }

    /// The wishes of `batch` are fulfilled, or cannot be, whoever had them.
    pub fn done(&mut self, batch: &Batch) {
        for order in &mut self.orders {
            order.wishes.retain(|w| batch.wishes.iter().all(|b| b.id != w.id));
        }
        self.orders.retain(|o| !o.wishes.is_empty());
        if let Some(place) = self.views.get_mut(&batch.view).filter(|_| batch.lane == 0) {
            place.since = None;
        }
    }

    /// Puts the wishes of `batch`, whose making was dropped, before what else waits of their look, unless their view has moved on.
    pub fn back(&mut self, batch: Batch, now: Instant) {
        let Batch { look, view, lane, subject, seed, wishes, since } = batch;
        let since = Some(since.unwrap_or(now));
        let Some(place) = self.views.get_mut(&view) else { return };
        if lane == 0 {
            place.since = place.since.or(since);
        }
        if (&place.subject, place.seed) != (&subject, seed) || (lane == 0 && place.look != look) {
            return;
        }
        match self.orders.iter_mut().find(|o| o.view == view && o.lane == lane) {
            Some(order) if order.look == look => {
                wishes.into_iter().rev().for_each(|w| order.wishes.push_front(w));
                order.since = since;
            }
            // What was asked for since has them too.
            Some(_) => {}
            None => self.orders.push(Order { view, lane, look, subject, seed, wishes: wishes.into(), since }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(model: &str) -> Subject {
        Subject { model: model.into(), reward: None }
    }

    fn wish(seed: u64, novelty: Option<f64>) -> Wish {
        let slot = novelty.map_or("balanced".into(), |n| n.to_string());
        Wish { id: format!("{slot}-{seed}"), slot, seed, novelty: novelty.map(Percentile::clamped), vary: None }
    }

    fn hero(seed: u64, novelty: f64) -> [Vec<Wish>; LANES] {
        [vec![wish(seed, Some(novelty))], vec![], vec![]]
    }

    fn slots(looks: &mut Looks, most: usize) -> Vec<Vec<String>> {
        std::iter::from_fn(|| looks.next(|_| most)).map(|b| b.wishes.into_iter().map(|w| w.slot).collect()).collect()
    }

    #[test]
    fn a_dragged_slider_leaves_one_picture_waiting() {
        let mut looks = Looks::default();
        (0..200).for_each(|i| {
            looks.ask("a", &subject("m"), 1, hero(1, f64::from(i) / 2.0));
        });
        assert_eq!(slots(&mut looks, 16), [["99.5"]]);
    }

    #[test]
    fn the_large_picture_goes_before_the_strip_and_the_strip_before_other_seeds() {
        let mut looks = Looks::default();
        let strip = || [None, Some(5.0), Some(95.0)].map(|n| wish(1, n)).to_vec();
        let others = || (2..5).map(|s| wish(s, Some(82.0))).collect::<Vec<_>>();
        looks.ask("a", &subject("m"), 1, [vec![wish(1, Some(82.0))], strip(), others()]);
        // Plain samples and steered ones are never made in one go.
        assert_eq!(slots(&mut looks, 2), [vec!["82"], vec!["balanced"], vec!["5", "95"], vec!["82", "82"], vec!["82"]]);
        // Dragging on replaces the large picture and leaves the strip, which is of the same seed.
        looks.ask("a", &subject("m"), 1, [vec![wish(1, Some(82.0))], strip(), others()]);
        looks.ask("a", &subject("m"), 1, hero(1, 83.0));
        assert_eq!(slots(&mut looks, 16), [vec!["83"], vec!["balanced"], vec!["5", "95"], vec!["82", "82", "82"]]);
        // Another seed makes all of that stale, and so does another model.
        for (model, seed) in [("m", 9), ("n", 1)] {
            looks.ask("a", &subject("m"), 1, [vec![wish(1, Some(82.0))], strip(), others()]);
            looks.ask("a", &subject(model), seed, hero(seed, 82.0));
            assert_eq!(slots(&mut looks, 16), [["82"]]);
        }
    }

    #[test]
    fn what_was_dropped_comes_back_unless_the_view_has_moved_on() {
        let (mut looks, now) = (Looks::default(), Instant::now());
        let strip = || [Some(5.0), Some(50.0), Some(95.0)].map(|n| wish(1, n)).to_vec();
        let begun = |looks: &mut Looks, lanes: [Vec<Wish>; LANES], most: usize| {
            looks.clear();
            looks.ask("a", &subject("m"), 1, lanes);
            looks.next(|_| most).unwrap()
        };
        let batch = begun(&mut looks, [vec![], strip(), vec![]], 2);
        assert!(!looks.is_in_the_way(&batch, now));
        looks.ask("a", &subject("m"), 1, hero(1, 83.0));
        assert!(looks.is_in_the_way(&batch, now));
        looks.back(batch, now);
        assert_eq!(slots(&mut looks, 3), [vec!["83"], vec!["5", "50", "95"]]);
        // All of an order had been begun, and another page wants a large picture.
        let batch = begun(&mut looks, [vec![], strip(), vec![]], 3);
        looks.ask("b", &subject("m"), 2, hero(2, 83.0));
        looks.back(batch, now);
        assert_eq!(slots(&mut looks, 3), [vec!["83"], vec!["5", "50", "95"]]);
        // The same strip is asked for again while a part of it is made: that has all of it.
        let batch = begun(&mut looks, [vec![], strip(), vec![]], 2);
        looks.ask("a", &subject("m"), 1, [vec![wish(1, Some(83.0))], strip(), vec![]]);
        looks.back(batch.clone(), now);
        assert_eq!(slots(&mut looks, 3), [vec!["83"], vec!["5", "50", "95"]]);
        looks.ask("a", &subject("m"), 1, [vec![wish(1, Some(83.0))], strip(), vec![]]);
        looks.done(&batch);
        assert_eq!(slots(&mut looks, 3), [["83"], ["95"]]);
        // Another seed, or a newer large picture: the old one is not wanted, even where all that is wanted now is there.
        for (lanes, next) in [([vec![], strip(), vec![]], 2), (hero(1, 50.0), 1)] {
            let batch = begun(&mut looks, lanes, 3);
            looks.ask("a", &subject("m"), next, Default::default());
            looks.back(batch, now);
            assert_eq!(looks.next(|_| 3), None);
        }
        // Nor what a view has left.
        let batch = begun(&mut looks, [vec![], strip(), vec![]], 3);
        looks.leave("a");
        looks.back(batch, now);
        assert_eq!(looks.next(|_| 3), None);
    }

    #[test]
    fn pictures_that_somebody_waits_for_are_not_dropped_and_none_for_ever() {
        let (mut looks, now) = (Looks::default(), Instant::now());
        let later = now + DROPPING + Duration::from_millis(1);
        // The large picture of another page waits for its turn.
        looks.ask("a", &subject("m"), 1, hero(1, 82.0));
        let batch = looks.next(|_| 1).unwrap();
        looks.ask("b", &subject("m"), 2, hero(2, 83.0));
        assert!(!looks.is_in_the_way(&batch, now));
        // That page asks for the very picture that is being made: it gets it, though the first page has moved on.
        looks.ask("b", &subject("m"), 1, hero(1, 82.0));
        looks.ask("a", &subject("m"), 1, hero(1, 90.0));
        assert!(!looks.is_in_the_way(&batch, now));
        looks.done(&batch);
        assert_eq!(slots(&mut looks, 1), [["90"]]);
        // During a long drag a picture is made now and then.
        looks.ask("a", &subject("m"), 1, hero(1, 10.0));
        let batch = looks.next(|_| 1).unwrap();
        looks.ask("a", &subject("m"), 1, hero(1, 20.0));
        looks.back(batch, now);
        let batch = looks.next(|_| 1).unwrap();
        looks.ask("a", &subject("m"), 1, hero(1, 30.0));
        assert!(looks.is_in_the_way(&batch, now) && !looks.is_in_the_way(&batch, later));
        looks.done(&batch);
        assert!(looks.is_in_the_way(&batch, later));
        // Other pages do not keep a strip from being made for ever.
        looks.clear();
        looks.ask("a", &subject("m"), 1, [vec![], vec![wish(1, Some(5.0))], vec![]]);
        let batch = looks.next(|_| 1).unwrap();
        looks.ask("b", &subject("m"), 2, hero(2, 83.0));
        looks.back(batch, now);
        assert_eq!(looks.next(|_| 1).unwrap().view, "b");
        let batch = looks.next(|_| 1).unwrap();
        looks.ask("b", &subject("m"), 2, hero(2, 84.0));
        assert!(looks.is_in_the_way(&batch, now) && !looks.is_in_the_way(&batch, later));
    }

    #[test]
    fn views_do_not_disturb_each_other() {
        let mut looks = Looks::default();
        looks.ask("a", &subject("m"), 1, [vec![], vec![wish(1, Some(5.0))], vec![]]);
        looks.ask("b", &subject("m"), 2, hero(2, 82.0));
        looks.ask("c", &subject("m"), 3, hero(3, 83.0));
        looks.leave("c");
        assert_eq!(slots(&mut looks, 16), [["82"], ["5"]]);
        looks.ask("a", &subject("m"), 2, hero(2, 82.0));
        looks.clear();
        assert_eq!(looks.next(|_| 1), None);
    }
}
