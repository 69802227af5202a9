//! The listener: where the studio is reached, how many at once, and how long a request may take.

use super::app::App;
use super::problem::{Code, Problem};
use super::routes;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::limits;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The port that is tried first. Where it is taken, the next nine are.
const PORT: u16 = 4765;
/// What the page may do: show its own files and pictures and talk to this server, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// A socket that listens at `ADDR[:PORT]`. Without a port, the first free one of ten.
///
/// # Errors
/// [`Error::Key`] for an address that cannot be read or listened at.
pub fn bind(address: Option<&str>) -> Result<TcpListener> {
    let bad = |message: String| Error::key_found("listen", address.unwrap_or_default(), message);
    let (ip, port) = match address {
        None => (IpAddr::V4(Ipv4Addr::LOCALHOST), None),
        Some(text) => match text.parse::<SocketAddr>() {
            Ok(both) => (both.ip(), Some(both.port())),
            Err(_) => {
                let ip = text
                    .parse()
                    .map_err(|_| bad("expected an address, or one with a port, as in 127.0.0.1:4765".into()))?;
                (ip, None)
            }
        },
    };
    let ports = port.map_or(PORT..=PORT + 9, |p| p..=p);
    let mut last = None;
    for port in ports.clone() {
        match TcpListener::bind((ip, port)) {
            Ok(listener) => return Ok(listener),
            Err(e) => last = Some(e),
        }
    }
    let why = last.map_or(String::new(), |e| e.to_string());
    let tried = if ports.start() == ports.end() {
        format!("port {}", ports.start())
    } else {
        format!("ports {} to {}", ports.start(), ports.end())
    };
    Err(bad(format!("nothing can listen at {tried} of {ip} ({why}); give another, or port 0 for any that is free")))
}

/// Answers requests until it is stopped.
///
/// # Errors
/// [`Error::Io`] for a listener that cannot be used.
pub async fn serve(app: Arc<App>, listener: TcpListener, cancel: &Cancel) -> Result<()> {
    let fail = |e| Error::io("<network>", "listen to", e);
    listener.set_nonblocking(true).map_err(fail)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(fail)?;
    let router = router(app);
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS));
    let mut look = tokio::time::interval(Duration::from_millis(50));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = look.tick() => match cancel.requested() {
                true => return Ok(()),
                false => continue,
            },
        };
        // One that is gone already, or too many open files: the next may do better.
        let Ok((stream, _)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        // Beyond the bound a connection is closed at once, so that a browser sees it and tries again.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::HEADER_TIME)
                .max_buf_size(limits::HEADERS_BYTES)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}

/// Every route behind the guard.
fn router(app: Arc<App>) -> Router {
    let (routes, description) = routes::all().split_for_parts();
    let description = serde_json::to_string(&description).unwrap_or_default();
    let description = move || async move { ([(header::CONTENT_TYPE, "application/json")], description) };
    routes
        .route("/api/openapi.json", axum::routing::get(description))
        .fallback(|| async { Problem::new(Code::Unknown, "there is nothing at this address") })
        .method_not_allowed_fallback(|method: Method| async move {
            Problem::new(Code::Method, format!("{method} is not taken here"))
        })
        .layer(axum::extract::DefaultBodyLimit::max(limits::BODY_BYTES))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), guarded))
        .with_state(app)
}

/// Asks the guard, bounds the time, and says what a browser may do with the answer.
async fn guarded(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let judged = app.guard.judge(request.method(), request.uri(), request.headers());
    let stays_open = request.uri().path() == "/api/events";
    let mut response = match judged {
        Err(problem) => problem.into_response(),
        Ok(()) if stays_open => next.run(request).await,
        Ok(()) => match tokio::time::timeout(limits::REQUEST_TIME, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(Code::Worker, "the request took too long").into_response(),
        },
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_or_refused() {
        for bad in ["localhost", "127.0.0.1:99999", "127.0.0.1:", "evil.com:80", ""] {
            assert!(bind(Some(bad)).is_err_and(|e| e.exit_code() == 2), "{bad}");
        }
        let first = bind(Some("127.0.0.1:0")).and_then(|l| l.local_addr().map_err(|e| Error::io("x", "ask", e)));
        let Ok(first) = first else { unreachable!("{first:?}") };
        assert!(first.port() > 0);
    }
}
