//! Progress of long tasks on stderr, in one of three forms: a bar for people at a terminal, plain lines for log files,
//! JSON lines for programs.

use indicatif::{ProgressBar, ProgressStyle};
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Least time between two JSON lines.
const JSON_EVERY: Duration = Duration::from_millis(100);
/// Least time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Least time over which a rate is taken; what ends sooner counts together with what follows.
const RATE_OVER: Duration = Duration::from_millis(500);
/// Number of recent rates whose median tells the time left.
const RECENT: usize = 15;

/// The choices of `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ProgressMode {
    /// A bar on a terminal, else a plain line at most every 10 seconds
    #[default]
    Auto,
    /// A bar with rate and time left; nothing where stderr is no terminal
    Bar,
    /// One JSON object per line, at most 10 a second
    Json,
    /// Nothing
    None,
}

/// The form that [`ProgressMode`] comes down to on this stderr; durations are the least time between two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Bar,
    Lines(Duration),
    Json(Duration),
    Nothing,
}

type Sink = Arc<Mutex<dyn Write + Send>>;

/// Starts the progress reports of a process, all in one form. Cheap to clone.
#[derive(Clone)]
pub struct Progress {
    style: Style,
    sink: Sink,
}

impl Progress {
    /// The form that `mode` asks for, on stderr. `quiet` silences `auto` and `bar`, which are for people, but not
    /// `json`.
    pub fn new(mode: ProgressMode, quiet: bool) -> Self {
        let style = match mode {
            ProgressMode::Json => Style::Json(JSON_EVERY),
            ProgressMode::None => Style::Nothing,
            _ if quiet => Style::Nothing,
            ProgressMode::Bar => Style::Bar,
            ProgressMode::Auto if std::io::stderr().is_terminal() => Style::Bar,
            ProgressMode::Auto => Style::Lines(LINE_EVERY),
        };
        Self { style, sink: Arc::new(Mutex::new(std::io::stderr())) }
    }

    /// A progress that reports nothing.
    pub fn none() -> Self {
        Self::new(ProgressMode::None, true)
    }

    /// Starts a task of `total` units (tiles, steps, whatever the caller counts); `label` stands before the numbers.
    pub fn start(&self, label: impl Into<String>, total: u64) -> Bar {
        let label = label.into();
        let drawn = (self.style == Style::Bar).then(|| draw(&label, total));
        let state = Tally::new();
        let bar =
            Bar { style: self.style, sink: Arc::clone(&self.sink), drawn, label, total, state: Mutex::new(state) };
        if let Style::Json(_) = bar.style {
            bar.say(&mut bar.state());
        }
        bar
    }
}

/// The bar on a terminal. The template is fixed; should indicatif ever fail to parse it, its default is used.
fn draw(label: &str, total: u64) -> ProgressBar {
    let template = "{prefix} {wide_bar} {pos}/{len}  {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_style(style).with_prefix(label.to_owned());
    bar.tick();
    bar
}

/// What a task has counted so far.
struct Tally {
    began: Instant,
    /// When the last line was written, and that line.
    said: Option<Instant>,
    last: String,
    done: u64,
    note: String,
    over: bool,
    /// When the last rate was taken, and the units counted by then.
    marked: (Instant, u64),
    /// Seconds per unit, the most recent last.
    rates: VecDeque<f64>,
    /// Whether the first rate is behind us. It holds what a device does once, such as compiling, and is not kept.
    warm: bool,
}

impl Tally {
    fn new() -> Self {
        let began = Instant::now();
        let [last, note] = [const { String::new() }; 2];
        let (marked, rates) = ((began, 0), VecDeque::new());
        Self { began, said: None, last, done: 0, note, over: false, marked, rates, warm: false }
    }

    /// Takes a rate, if enough time has passed since the last one.
    fn mark(&mut self, now: Instant) {
        let (since, units) = (now.duration_since(self.marked.0), self.done - self.marked.1);
        if units == 0 || since < RATE_OVER {
            return;
        }
        self.marked = (now, self.done);
        if std::mem::replace(&mut self.warm, true) {
            self.rates.push_back(since.as_secs_f64() / units as f64);
            if self.rates.len() > RECENT {
                self.rates.pop_front();
            }
        }
    }

    /// Seconds per unit: the median of the recent rates; `None` while there is none.
    fn seconds_each(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.rates.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len().checked_sub(1)? / 2;
        Some((sorted[middle] + sorted[sorted.len() / 2]) / 2.0)
    }
}

/// The progress of one task, shared by reference between threads. A bar that is dropped before [`finish`](Self::finish)
/// stays on the terminal as it was last drawn.
pub struct Bar {
    style: Style,
    sink: Sink,
    drawn: Option<ProgressBar>,
    label: String,
    total: u64,
    state: Mutex<Tally>,
}

impl Bar {
    /// Counts `n` more units as done, which were worked on together and end here, and shows it, unless the last line is
    /// too recent.
    pub fn advance(&self, n: u64) {
        self.add(n);
        self.mark();
    }

    /// Counts `n` more units as done. Others that were worked on together with them may follow, so the time that they
    /// took is not known before [`mark`](Self::mark).
    pub fn count(&self, n: u64) {
        self.add(n);
        if let Style::Json(_) = self.style {
            self.say_if_due();
        }
    }

    fn add(&self, n: u64) {
        self.state().done += n;
        if let Some(drawn) = &self.drawn {
            drawn.inc(n);
        }
    }

    /// Says that everything that was begun is counted, so that a rate can be taken.
    pub fn mark(&self) {
        self.state().mark(Instant::now());
        match &self.drawn {
            Some(drawn) => drawn.set_message(self.message(&self.state())),
            None => self.say_if_due(),
        }
    }

    /// Counts `n` units that were done before the task began, as after a resume. They count as done but not towards the
    /// rate, so the time left is not too hopeful.
    pub fn skip(&self, n: u64) {
        let mut state = self.state();
        state.done += n;
        state.marked.1 += n;
        if let Some(drawn) = &self.drawn {
            drawn.inc(n);
        }
    }

    /// Sets a few words to stand after the numbers, such as the loss. Shown with the next update; control characters
    /// become blanks.
    pub fn note(&self, text: impl Into<String>) {
        let text = text.into().replace(char::is_control, " ");
        let mut state = self.state();
        state.note = text;
        if let Some(drawn) = &self.drawn {
            drawn.set_message(self.message(&state));
        }
    }

    /// Ends the task and shows its final state, except in plain lines of a task too short to have shown any. Only the
    /// first call counts.
    pub fn finish(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.over, true) {
            return;
        }
        match (&self.drawn, self.style) {
            (Some(drawn), _) => {
                drawn.set_message(self.message(&state));
                drawn.abandon();
            }
            (None, Style::Lines(every)) if state.began.elapsed() < every => {}
            _ => self.say(&mut state),
        }
    }

    fn state(&self) -> MutexGuard<'_, Tally> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say_if_due(&self) {
        let mut state = self.state();
        let due = |every: Duration| state.said.unwrap_or(state.began).elapsed() >= every;
        if matches!(self.style, Style::Lines(every) | Style::Json(every) if due(every)) {
            self.say(&mut state);
        }
    }

    /// Writes one line. Failure is ignored: a closed stderr is no reason to stop working.
    fn say(&self, state: &mut Tally) {
        state.said = Some(Instant::now());
        let line = match self.style {
            Style::Json(_) => self.json(state),
            Style::Lines(_) => self.line(state),
            Style::Bar | Style::Nothing => return,
        };
        // The end says nothing that was just said.
        if state.over && matches!(self.style, Style::Lines(_)) && line == state.last {
            return;
        }
        let _ = writeln!(self.sink.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
        state.last = line;
    }

    fn json(&self, state: &Tally) -> String {
        let mut event = serde_json::json!({
            "event": "progress", "label": self.label, "done": state.done, "total": self.total,
            "eta_s": self.seconds_left(state).map(|s| (s * 10.0).round() / 10.0),
        });
        if !state.note.is_empty() {
            event["note"] = state.note.as_str().into();
        }
        event.to_string()
    }

    fn line(&self, state: &Tally) -> String {
        let (done, total) = (state.done, self.total);
        let left = self.seconds_left(state).filter(|_| done < total);
        let left = left.map(|s| format!(", {} left", duration(s))).unwrap_or_default();
        let note = if state.note.is_empty() { String::new() } else { format!("; {}", state.note) };
        format!("{}: {done} of {total} ({:.0} %){left}{note}", self.label, 100.0 * done as f64 / total.max(1) as f64)
    }

    /// What stands behind the numbers of a drawn bar: rate, time left, note.
    fn message(&self, state: &Tally) -> String {
        let rate =
            state.seconds_each().map(|s| if s < 1.0 { format!("{:.1}/s", 1.0 / s) } else { format!("{s:.1} s each") });
        let left = self.seconds_left(state).filter(|_| state.done < self.total);
        let left = left.map(|s| format!("{} left", duration(s)));
        let note = Some(state.note.clone()).filter(|n| !n.is_empty());
        [rate, left, note].into_iter().flatten().collect::<Vec<_>>().join("  ")
    }

    /// Seconds left by the median of the recent rates; `None` until there is one, unless nothing is left.
    fn seconds_left(&self, state: &Tally) -> Option<f64> {
        match self.total.saturating_sub(state.done) {
            0 => Some(0.0),
            rest => state.seconds_each().map(|s| s * rest as f64),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let (Some(drawn), false) = (&self.drawn, self.state().over) {
            drawn.abandon();
        }
    }
}

/// Seconds in words: `8 s`, `3 min 05 s`, `2 h 07 min`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(style: Style, work: impl FnOnce(&Bar)) -> Vec<String> {
        let sink = Arc::new(Mutex::new(Vec::<u8>::new()));
        let progress = Progress { style, sink: sink.clone() };
        work(&progress.start("labels", 1000));
        let text = String::from_utf8(sink.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn all_units(bar: &Bar) {
        bar.skip(100);
        (0..900).for_each(|_| bar.advance(1));
        bar.note("loss 0.1\n");
        bar.finish();
        bar.finish();
    }

    #[test]
    fn json_has_a_first_and_a_last_line_and_few_between() {
        let began = Instant::now();
        let lines = said(Style::Json(JSON_EVERY), all_units);
        assert!(lines.len() as u128 <= 2 + began.elapsed().as_millis() / JSON_EVERY.as_millis(), "{lines:?}");
        let first = r#"{"event":"progress","label":"labels","done":0,"total":1000,"eta_s":null}"#;
        let last = r#"{"event":"progress","label":"labels","done":1000,"total":1000,"eta_s":0.0,"note":"loss 0.1 "}"#;
        assert_eq!((lines[0].as_str(), lines[lines.len() - 1].as_str()), (first, last));
    }

    #[test]
    fn every_update_is_said_where_nothing_holds_it_back() {
        assert_eq!(said(Style::Json(Duration::ZERO), all_units).len(), 902);
        let lines = said(Style::Lines(Duration::ZERO), all_units);
        assert_eq!((lines.len(), lines[900].as_str()), (901, "labels: 1000 of 1000 (100 %); loss 0.1 "));
    }

    #[test]
    fn short_tasks_leave_no_plain_line() {
        assert!(said(Style::Lines(LINE_EVERY), all_units).is_empty());
        assert!(said(Style::Nothing, all_units).is_empty());
    }

    /// The time left after tiles of `units` units that took these seconds each.
    fn left_after(bar: &Bar, tiles: &[f64], units: u64) -> Vec<Option<f64>> {
        let mut now = bar.state().began;
        let each = |seconds: &f64| {
            now += Duration::from_secs_f64(*seconds);
            let mut state = bar.state();
            state.done += units;
            state.mark(now);
            bar.seconds_left(&state)
        };
        tiles.iter().map(each).collect()
    }

    #[test]
    fn the_time_left_is_that_of_recent_tiles_and_not_of_the_first() {
        let bar = Progress::none().start("tiles", 160);
        // The first tile compiles for an hour; then come four seconds a tile of 16, but for one that waits a minute.
        let left = left_after(&bar, &[3600.0, 4.0, 4.0, 60.0, 4.0], 16);
        assert_eq!(left, [None, Some(32.0), Some(28.0), Some(24.0), Some(20.0)]);
        // At the end nothing is left, and no line says so.
        let last = left_after(&bar, &[4.0; 5], 16);
        assert_eq!(last[4], Some(0.0));
        assert_eq!(bar.line(&bar.state()), "tiles: 160 of 160 (100 %)");
    }

    #[test]
    fn a_lone_tile_never_says_how_long_its_last_sample_takes() {
        let lines = said(Style::Lines(Duration::ZERO), |bar| {
            (0..999).for_each(|_| bar.count(1));
            bar.count(1);
            bar.mark();
            bar.finish();
        });
        assert_eq!(lines, ["labels: 1000 of 1000 (100 %)"]);
    }

    #[test]
    fn skipped_units_do_not_make_the_rate_look_better() {
        let bar = Progress::none().start("tiles", 100);
        bar.skip(90);
        assert_eq!(bar.seconds_left(&bar.state()), None);
        // Two units in eight seconds, twice; the first time does not count.
        assert_eq!(left_after(&bar, &[8.0, 8.0], 2), [None, Some(24.0)]);
    }

    #[test]
    fn what_is_short_counts_together_with_what_follows() {
        let bar = Progress::none().start("steps", 1000);
        // Steps of 10 ms: a rate each 50 of them; the first is left out.
        let left = left_after(&bar, &[0.01; 120], 1);
        assert!(left[..99].iter().all(Option::is_none) && left[119].is_some_and(|s| (s - 8.8).abs() < 0.2), "{left:?}");
    }

    #[test]
    fn durations() {
        assert_eq!([8.4, 185.0, 7620.0].map(duration), ["8 s", "3 min 05 s", "2 h 07 min"]);
    }
}
