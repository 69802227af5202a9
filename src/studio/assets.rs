//! The page, which is part of the program: plain files, no build step, nothing fetched from elsewhere.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

/// One file of the page.
struct Asset {
    name: &'static str,
    bytes: &'static [u8],
}

/// How a browser keeps what never changes under its address.
pub const FOR_GOOD: &str = "private, max-age=31536000, immutable";

macro_rules! assets {
    ($($name:literal)*) => { &[$(Asset { name: $name, bytes: include_bytes!(concat!("page/", $name)) }),*] };
}

static ASSETS: &[Asset] = assets! {
    "index.html" "style.css" "mark.svg" "main.js" "words.js" "api.js" "events.js" "stream.js" "draw.js" "dial.js" "studio.js" "keys.js"
    "help.js" "models.js" "many.js" "queue.js" "gallery.js" "inspector.js" "vary.js" "compare.js" "taste.js"
};

/// What tells this page from that of another build: a hash of all its files.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let each = |a: &Asset| format!("{} {}\n", a.name, crate::store::sha256_hex(a.bytes));
    crate::store::sha256_hex(ASSETS.iter().map(each).collect::<String>().as_bytes())[..12].to_owned()
});

/// The page, which names its files by their version, so that a browser keeps them until they change.
pub fn page(headers: &HeaderMap) -> Option<Response> {
    let text = ASSETS.iter().find(|a| a.name == "index.html").and_then(|a| std::str::from_utf8(a.bytes).ok())?;
    let text = text.replace("=\"/page/", &format!("=\"/page/{}/", *VERSION));
    let whole = || ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response();
    Some(tagged(&format!("\"{}\"", *VERSION), "no-cache", headers, whole))
}

/// The file called `name`, or 304 if the browser has it already. Under the `version` of this build it is kept for good.
pub fn answer(version: Option<&str>, name: &str, headers: &HeaderMap) -> Option<Response> {
    let asset = ASSETS.iter().find(|a| a.name == name)?;
    let kind = match name.rsplit_once('.').map(|n| n.1) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let tag = format!("\"{:.16}\"", crate::store::sha256_hex(asset.bytes));
    let keep = if version == Some(&*VERSION) { FOR_GOOD } else { "no-cache" };
    Some(tagged(&tag, keep, headers, || ([(header::CONTENT_TYPE, kind)], asset.bytes).into_response()))
}

/// What `whole` answers, with its tag; only the tag if the browser says that it has what the tag stands for.
pub fn tagged(tag: &str, keep: &'static str, headers: &HeaderMap, whole: impl FnOnce() -> Response) -> Response {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    let fresh = known.flat_map(|v| v.split(',')).any(|v| v.trim() == tag);
    let mut response = if fresh { StatusCode::NOT_MODIFIED.into_response() } else { whole() };
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(asset: &Asset) -> &'static str {
        std::str::from_utf8(asset.bytes).unwrap_or_else(|e| unreachable!("{}: {e}", asset.name))
    }

    #[test]
    fn the_page_is_small_and_asks_nobody_else() {
        let bytes: usize = ASSETS.iter().map(|a| a.bytes.len()).sum();
        assert!(bytes <= 150 << 10, "{bytes} bytes");
        for asset in ASSETS {
            let text = text(asset);
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "style=",
                "onclick=",
                "//cdn",
            ] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", asset.name);
            }
            let named = text.split("http").skip(1).filter(|rest| rest.starts_with("://") || rest.starts_with("s://"));
            for rest in named {
                assert!(rest.starts_with("://www.w3.org/2000/svg"), "{}: http{rest:.40}", asset.name);
            }
        }
    }

    #[test]
    fn every_file_that_a_file_names_is_there() {
        for asset in ASSETS {
            for quoted in text(asset).split(['"', '\'', '`']) {
                let name = quoted.strip_prefix("/page/").or_else(|| quoted.strip_prefix("./"));
                if let Some(name) = name.filter(|n| n.contains('.')) {
                    assert!(ASSETS.iter().any(|a| a.name == name), "{} names {name}", asset.name);
                }
            }
        }
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        for of in [page, |headers: &HeaderMap| answer(None, "main.js", headers)] {
            let first = of(&HeaderMap::new()).map(|r| (r.status(), r.headers()[header::ETAG].clone()));
            let Some((StatusCode::OK, tag)) = first else { unreachable!("{first:?}") };
            let again = of(&HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]));
            assert_eq!(again.map(|r| r.status()), Some(StatusCode::NOT_MODIFIED));
        }
        let keep =
            |version| answer(version, "main.js", &HeaderMap::new()).map(|r| r.headers()[header::CACHE_CONTROL].clone());
        assert_eq!(keep(Some(&VERSION)).as_ref().map(|v| v.as_bytes()), Some(FOR_GOOD.as_bytes()));
        assert!([None, Some("0123")].map(keep).iter().flatten().all(|v| v == "no-cache"));
        for absent in ["", "../Cargo.toml", "index.html/", "INDEX.HTML", "..%2fassets.rs"] {
            assert!(answer(None, absent, &HeaderMap::new()).is_none(), "{absent}");
        }
    }
}
