//! Errors as the page gets them: `application/problem+json` (RFC 9457), each with a short code that does not change.

use crate::error::Error;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::path::Path;

/// The codes, with the status and the title of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The body is no JSON of the shape that the route takes.
    BadJson,
    /// The query is not of the shape that the route takes.
    BadQuery,
    /// The request itself is malformed.
    BadRequest,
    /// No token, or another one.
    Token,
    /// The request comes from another page.
    Origin,
    /// There is no such thing.
    Unknown,
    /// The route does not take this method.
    Method,
    /// Not now: what is there does not allow it.
    State,
    /// Something else works on it.
    Busy,
    /// It was here and has been dropped to make room.
    Evicted,
    /// The body is longer than the route takes.
    TooLarge,
    /// The body is of another kind than the route takes.
    Media,
    /// The request is addressed to another server.
    Host,
    /// A value is outside its range.
    Value,
    /// Too many at once.
    SlowDown,
    /// A fault of isoline.
    Bug,
    /// Whatever makes pictures is not there.
    Worker,
    /// The disk is full.
    Disk,
}

impl Code {
    /// Status, name and title.
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadJson => (StatusCode::BAD_REQUEST, "bad_json", "The body could not be read"),
            Self::BadQuery => (StatusCode::BAD_REQUEST, "bad_query", "The query could not be read"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad_request", "The request could not be read"),
            Self::Token => (StatusCode::UNAUTHORIZED, "token", "A token is needed"),
            Self::Origin => (StatusCode::FORBIDDEN, "origin", "Another page may not do this"),
            Self::Unknown => (StatusCode::NOT_FOUND, "unknown", "There is nothing here"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method", "This cannot be done here"),
            Self::State => (StatusCode::CONFLICT, "state", "Not possible as things are"),
            Self::Busy => (StatusCode::CONFLICT, "busy", "Something else is at work here"),
            Self::Evicted => (StatusCode::GONE, "evicted", "It was dropped to make room"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too long"),
            Self::Media => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media", "The body is of another kind"),
            Self::Host => (StatusCode::MISDIRECTED_REQUEST, "host", "The request is for another server"),
            Self::Value => (StatusCode::UNPROCESSABLE_ENTITY, "value", "A value cannot be used"),
            Self::SlowDown => (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many at once"),
            Self::Bug => (StatusCode::INTERNAL_SERVER_ERROR, "bug", "A fault of isoline"),
            Self::Worker => (StatusCode::SERVICE_UNAVAILABLE, "worker", "Nothing can be made right now"),
            Self::Disk => (StatusCode::INSUFFICIENT_STORAGE, "disk", "The disk is full"),
        }
    }
}

/// An error of the studio's interface.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What kind of error.
    pub code: Code,
    /// What was expected and what was found.
    pub detail: String,
    /// The field that it is about.
    pub at: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// The body of a problem.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ProblemBody {
    /// HTTP status.
    status: u16,
    /// Short name of the kind of error; it does not change between versions.
    code: String,
    /// The kind of error in words.
    title: String,
    /// What was expected and what was found.
    detail: String,
    /// The field that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Problem {
    /// A problem that is about no single field.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), at: None, hint: None }
    }

    /// A field outside its range.
    pub fn value(at: &str, detail: impl Into<String>) -> Self {
        Self { at: Some(at.into()), ..Self::new(Code::Value, detail) }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// An error of the library. Paths are shown below `root`, since nothing outside it is the page's business.
    pub fn of(error: &Error, root: &Path) -> Self {
        let code = match error {
            Error::Config { .. } | Error::Key { .. } | Error::Input { .. } | Error::NoReward { .. } => Code::Value,
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Code::Disk,
            Error::Busy { .. } => Code::Busy,
            Error::Device { .. } | Error::Memory { .. } | Error::Stopped(_) | Error::Interrupted(_) => Code::Worker,
            Error::Io { .. } | Error::Bug(_) | Error::SamplesNotFinite { .. } => Code::Bug,
        };
        let at = if let Error::Key { key, .. } = error { Some(key.clone()) } else { None };
        Self { at, ..Self::new(code, below(&error.to_string(), root)) }
    }
}

/// `text` with the paths of `root` cut off.
pub fn below(text: &str, root: &Path) -> String {
    let root = root.to_string_lossy();
    match root.is_empty() {
        true => text.to_owned(),
        false => text.replace(&format!("{root}/"), "").replace(&*root, "the studio's folder"),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.code.parts();
        let body = ProblemBody {
            status: status.as_u16(),
            code: code.into(),
            title: title.into(),
            detail: self.detail,
            at: self.at,
            hint: self.hint,
        };
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_below_the_root() {
        let root = Path::new("/home/ana/runs");
        assert_eq!(below("/home/ana/runs/x/plan.toml: no plan", root), "x/plan.toml: no plan");
        assert_eq!(below("/home/ana/runs: full", root), "the studio's folder: full");
        let full = Error::io("/home/ana/runs/a.png", "write", std::io::ErrorKind::StorageFull.into());
        let problem = Problem::of(&full, root);
        assert_eq!(problem.code, Code::Disk);
        assert!(problem.detail.starts_with("a.png: "), "{}", problem.detail);
    }
}
