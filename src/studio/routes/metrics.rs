//! Figures of the studio as it runs, in the text format of Prometheus.

use crate::studio::app::App;
use crate::studio::bench::State as Worker;
use crate::studio::db::JobState;
use crate::studio::problem::Problem;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::fmt::Write as _;
use std::sync::Arc;

/// One figure: its name, its kind, what it says, and its values, each with its labels.
type Figure = (&'static str, &'static str, &'static str, Vec<(String, f64)>);

/// Every figure.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String)))]
pub async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    app.aside(|app| {
        let text = figures(app)?.into_iter().map(written).collect::<String>();
        Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
    })
    .await
}

fn figures(app: &App) -> Result<Vec<Figure>, Problem> {
    let fail = |e| app.problem(&e);
    let done = app.bench.done();
    let one = |value: f64| vec![(String::new(), value)];
    let jobs = app.db.jobs().map_err(fail)?;
    let in_state = |(state, name): (JobState, &str)| {
        let label = format!("{{state=\"{name}\"}}");
        (label, jobs.iter().filter(|j| j.state == state).count() as f64)
    };
    let calls = done.calls.iter().map(|(kind, n)| (format!("{{kind=\"{kind}\"}}"), *n as f64)).collect();
    let disk = rustix::fs::statvfs(&app.root).map_or(f64::NAN, |d| (d.f_bavail * d.f_frsize) as f64);
    let up = f64::from(u8::from(app.bench.worker().state == Worker::Ready));
    Ok(vec![
        ("isoline_worker_up", "gauge", "Whether the process that makes pictures is ready.", one(up)),
        ("isoline_worker_starts_total", "counter", "Times that it was started.", one(done.starts as f64)),
        ("isoline_worker_calls_total", "counter", "What it was asked to do, by kind.", calls),
        ("isoline_looks_total", "counter", "Pictures made to be looked at.", one(done.pictures as f64)),
        ("isoline_looks_dropped_total", "counter", "Calls dropped for a large picture.", one(done.dropped as f64)),
        ("isoline_shelf_bytes", "gauge", "Bytes of pictures that were looked at.", one(app.shelf.bytes() as f64)),
        ("isoline_pages", "gauge", "Pages that listen.", one(app.hub.readers() as f64)),
        ("isoline_jobs", "gauge", "Batches, by where they stand.", JobState::ALL.map(in_state).to_vec()),
        ("isoline_disk_free_bytes", "gauge", "Room on the disk of the studio's folder.", one(disk)),
    ])
}

fn written((name, kind, about, values): Figure) -> String {
    let mut text = format!("# HELP {name} {about}\n# TYPE {name} {kind}\n");
    for (labels, value) in values {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{name}{labels} {value}");
    }
    text
}
