//! What a request carries, read with errors that the page can show.

use crate::studio::problem::{Code, Problem};
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// A body of JSON.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let taken = axum::Json::<T>::from_request(request, state).await;
        taken.map(|json| Self(json.0)).map_err(|e| {
            let code = match &e {
                JsonRejection::MissingJsonContentType(_) => Code::Media,
                // Valid JSON, but a field is missing, unknown or out of range.
                JsonRejection::JsonDataError(_) => Code::Value,
                _ if e.status() == StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
                _ => Code::BadJson,
            };
            let (at, detail) = told_apart(&e.body_text());
            Problem { at, ..Problem::new(code, detail) }
        })
    }
}

/// The field and the sentence of a text such as "Failed to …: novelty: expected a percentile … at line 1 column 9".
fn told_apart(text: &str) -> (Option<String>, String) {
    let rest = text.split_once(": ").map_or(text, |t| t.1);
    let rest = rest.rsplit_once(" at line ").map_or(rest, |t| t.0);
    match rest.split_once(": ") {
        Some((field, detail)) if !field.contains(' ') => (Some(field.to_owned()), detail.to_owned()),
        _ => (None, rest.to_owned()),
    }
}

/// What stands after the question mark.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let taken = Query::<T>::from_request_parts(parts, state).await;
        taken.map(|query| Self(query.0)).map_err(|e| Problem::new(Code::BadQuery, told_apart(&e.body_text()).1))
    }
}
