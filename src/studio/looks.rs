//! What the pages want to see and have not seen yet. Pure: it knows neither clock nor worker, so that the rules can be
//! tested line by line.
//!
//! A page is a *view*. It asks for its large picture, then for the strip, then for other seeds; these are three *lanes*, and
//! the lowest goes first. A newer wish of the same view and lane takes the place of an older one that has not been begun, so
//! that a slider may be dragged as fast as a hand can: one picture is being made, and one waits.

use crate::acts::generate::Vary;
use crate::units::Percentile;
use std::collections::VecDeque;
use std::sync::Arc;

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
}

/// Lanes of a view.
pub const LANES: usize = 3;

/// Every wish that waits.
#[derive(Debug, Default)]
pub struct Looks {
    orders: Vec<Order>,
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
            self.orders.push(Order { view, lane, look, subject, seed, wishes: wishes.into() });
        }
        look
    }

    /// The view wants nothing any more.
    pub fn leave(&mut self, view: &str) {
        self.orders.retain(|o| o.view != view);
    }

    /// No view wants anything any more.
    pub fn clear(&mut self) {
        self.orders.clear();
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
        let Order { view, lane, look, subject, seed, .. } = order.clone();
        if order.wishes.is_empty() {
            self.orders.remove(first);
        }
        Some(Batch { look, view, lane, subject, seed, wishes })
    }

    /// Whether `batch`, which is being made, keeps something from being made that its page would rather see: a large picture that
    /// the same view waits for, or any if these are of other seeds or the strip.
    pub fn is_in_the_way(&self, batch: &Batch) -> bool {
        self.orders.iter().any(|o| o.lane == 0 && (batch.lane > 0 || o.view == batch.view))
    }

    /// Puts wishes back whose making was dropped, before what else waits of their look, unless their view has moved on since.
    pub fn back(&mut self, batch: Batch) {
        let Batch { look, view, lane, subject, seed, wishes } = batch;
        let newer = |o: &Order| {
            o.view == view && ((&o.subject, o.seed) != (&subject, seed) || (o.lane == lane && o.look != look))
        };
        if self.orders.iter().any(newer) {
            return;
        }
        match self.orders.iter_mut().find(|o| o.view == view && o.lane == lane) {
            Some(order) => wishes.into_iter().rev().for_each(|w| order.wishes.push_front(w)),
            None => self.orders.push(Order { view, lane, look, subject, seed, wishes: wishes.into() }),
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
        let mut looks = Looks::default();
        let strip = || [Some(5.0), Some(50.0), Some(95.0)].map(|n| wish(1, n)).to_vec();
        looks.ask("a", &subject("m"), 1, [vec![], strip(), vec![]]);
        let begun = looks.next(|_| 2).unwrap();
        assert!(!looks.is_in_the_way(&begun));
        looks.ask("a", &subject("m"), 1, hero(1, 83.0));
        assert!(looks.is_in_the_way(&begun));
        looks.back(begun);
        assert_eq!(slots(&mut looks, 3), [vec!["83"], vec!["5", "50", "95"]]);
        // All of an order had been begun.
        looks.ask("a", &subject("m"), 1, [vec![], strip(), vec![]]);
        let begun = looks.next(|_| 3).unwrap();
        looks.ask("b", &subject("m"), 2, hero(2, 83.0));
        assert!(looks.is_in_the_way(&begun));
        looks.back(begun);
        assert_eq!(slots(&mut looks, 3), [vec!["83"], vec!["5", "50", "95"]]);
        // Another seed, another strip, or a newer large picture: the old one is not wanted.
        for (lane, next) in [(1, hero(2, 83.0)), (0, hero(1, 83.0))] {
            let mut lanes: [Vec<Wish>; LANES] = [vec![], vec![], vec![]];
            lanes[lane] = strip();
            looks.ask("a", &subject("m"), 1, lanes);
            let begun = looks.next(|_| 3).unwrap();
            looks.ask("a", &subject("m"), next[0][0].seed, next);
            looks.back(begun);
            assert_eq!(slots(&mut looks, 3), [["83"]]);
        }
        // The large picture of another page waits for its turn.
        looks.ask("a", &subject("m"), 1, hero(1, 82.0));
        let begun = looks.next(|_| 1).unwrap();
        looks.ask("b", &subject("m"), 2, hero(2, 83.0));
        assert!(!looks.is_in_the_way(&begun));
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
