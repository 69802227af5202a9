//! What is asked of every request before a route sees it, in this order: is it addressed to this server, does it come from
//! this page, does it carry the token.
//!
//! A page on the internet can make a browser send requests to this machine, and, by letting a name of its own point here, even
//! read the answers. So nothing that a request says about itself is compared with another thing that it says: both are
//! compared with the address the server listens on.

use super::problem::{Code, Problem};
use super::token::Token;
use crate::limits;
use axum::http::{HeaderMap, HeaderName, Method, Uri, header};
use std::net::IpAddr;

/// The header that a write must carry. No form and no image can send it, and another page may not.
pub const WRITE_HEADER: &str = "x-isoline";

/// Whom requests may be addressed to, and from where they may come.
pub struct Guard {
    /// The port that the server listens on.
    pub port: u16,
    /// Further names that it may be called by, behind a proxy.
    pub names: Vec<String>,
    /// Whether it listens on more than this machine.
    pub open: bool,
    /// What a request must carry, if it listens on more than this machine.
    pub token: Option<Token>,
}

impl Guard {
    /// Refuses a request that a route must not see.
    ///
    /// # Errors
    /// 400, 401, 403, 415, 421 or 429, as the design of the studio tables them.
    pub fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        self.host(uri, headers)?;
        self.origin(method, uri, headers)?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            write(uri, headers)?;
        }
        match &self.token {
            Some(token) if !is_public(method, uri.path()) => token.judge(headers),
            _ => Ok(()),
        }
    }

    /// `Host` must be ours, once.
    fn host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let found = only(headers, &header::HOST).map_err(|()| {
            Problem::new(Code::BadRequest, "expected one Host header, found several or one that is no text")
        })?;
        let wrong = |found: &str| {
            let detail = format!("this is port {} of this machine, not \"{}\"", self.port, found.escape_debug());
            Problem::new(Code::Host, detail)
                .hint("a studio behind a proxy is told the name it is called by when it is started")
        };
        match found {
            Some(host) if self.is_ours(host) => {}
            found => return Err(wrong(found.unwrap_or_default())),
        }
        // A target in absolute form names a host of its own.
        match uri.authority() {
            Some(other) if !self.is_ours(other.as_str()) => Err(wrong(other.as_str())),
            _ => Ok(()),
        }
    }

    /// Whether `HOST[:PORT]` is this server.
    fn is_ours(&self, authority: &str) -> bool {
        let (host, port) = match authority.rsplit_once(':') {
            // The last colon of an address in brackets may be one of its own.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port = match port {
            None => Some(80),
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
            Some(_) => None,
        };
        let Some(port) = port else { return false };
        if self.names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
            return true;
        }
        let here = host == "127.0.0.1" || host == "[::1]" || host.eq_ignore_ascii_case("localhost");
        port == self.port && (here || (self.open && is_address(host)))
    }

    /// `Origin` must be absent or ours, and what the browser says of the request's page must not be another site.
    fn origin(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let foreign = |what: &str| {
            Problem::new(Code::Origin, format!("the request comes from {what}; only the studio's own page may send it"))
        };
        let found = only(headers, &header::ORIGIN).map_err(|()| foreign("several places"))?;
        if let Some(origin) = found {
            let host = origin.strip_prefix("http://");
            let named = origin.strip_prefix("https://").filter(|h| {
                let name = h.split(':').next().unwrap_or_default();
                self.names.iter().any(|n| n.eq_ignore_ascii_case(name))
            });
            if !host.or(named).is_some_and(|h| self.is_ours(h)) {
                return Err(foreign(&format!("\"{}\"", origin.escape_debug())));
            }
        }
        let site = only(headers, &HeaderName::from_static("sec-fetch-site")).map_err(|()| foreign("several places"))?;
        let says = |name: &'static str, value: &str| {
            only(headers, &HeaderName::from_static(name)).is_ok_and(|found| found == Some(value))
        };
        match site {
            None | Some("same-origin" | "none") => Ok(()),
            // A link on another page may open the studio.
            Some(_)
                if method == Method::GET
                    && uri.path() == "/"
                    && says("sec-fetch-mode", "navigate")
                    && says("sec-fetch-dest", "document") =>
            {
                Ok(())
            }
            Some(_) => Err(foreign("another site")),
        }
    }
}

/// What a request that changes something must carry.
fn write(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    if only(headers, &HeaderName::from_static(WRITE_HEADER)) != Ok(Some("1")) {
        return Err(Problem::new(Code::Origin, "a request that changes something carries the header X-Isoline: 1"));
    }
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    let kind = only(headers, &header::CONTENT_TYPE).unwrap_or(Some("several"));
    let kind = kind.map(|k| k.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let length = headers.get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse::<u64>().ok());
    let most = limits::body_bytes(uri.path());
    if let Some(length) = length.filter(|l| *l > most as u64) {
        return Err(Problem::new(Code::TooLarge, format!("expected a body of at most {most} bytes, found {length}")));
    }
    let wanted = if uri.path() == "/api/recipes" { "image/png" } else { "application/json" };
    match kind {
        None if !has_body => Ok(()),
        Some(kind) if kind == wanted => Ok(()),
        found => {
            let found = found.map_or("nothing".to_owned(), |k| format!("\"{}\"", k.escape_debug()));
            Err(Problem::new(Code::Media, format!("expected a body of type {wanted}, found {found}")))
        }
    }
}

/// What works without a token: the page that reads it from the address, its parts, and handing it in.
fn is_public(method: &Method, path: &str) -> bool {
    match *method {
        Method::GET | Method::HEAD => path == "/" || path.starts_with("/page/"),
        Method::POST => path == "/api/session",
        _ => false,
    }
}

/// Whether `host` is an address rather than a name. A name can be made to point here by whoever owns it, an address cannot.
fn is_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match bare {
        Some(v6) => v6.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6() && ip.to_string() == v6),
        None => host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()),
    }
}

/// The one value of a header; an error where it stands there more than once or is no plain text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn guard(open: bool) -> Guard {
        Guard { port: 4765, names: vec!["studio.example".into()], open, token: None }
    }

    fn status(guard: &Guard, method: Method, target: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|e| unreachable!("{e}"));
            map.append(HeaderName::from_static(name), value);
        }
        let uri = target.parse().unwrap_or_else(|e| unreachable!("{target}: {e}"));
        use axum::response::IntoResponse;
        guard.judge(&method, &uri, &map).map_or_else(|p| p.into_response().status().as_u16(), |()| 200)
    }

    #[test]
    fn only_our_own_names_are_taken() {
        let shut = guard(false);
        let ask = |host: &str| status(&shut, Method::GET, "/api/state", &[("host", host)]);
        for ours in
            ["127.0.0.1:4765", "localhost:4765", "LOCALHOST:4765", "[::1]:4765", "studio.example", "studio.example:443"]
        {
            assert_eq!(ask(ours), 200, "{ours}");
        }
        for other in [
            "",
            "evil.com",
            "evil.com:4765",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.0.0.1:47650",
            "127.0.0.1:",
            "127.0.0.1:+4765",
            "127.0.0.1:4765:4765",
            "127.0.0.1.:4765",
            "localhost.:4765",
            "user@127.0.0.1:4765",
            "127.0.0.1:4765@evil.com",
            "127.1:4765",
            "0x7f000001:4765",
            "2130706433:4765",
            "0.0.0.0:4765",
            "192.168.0.2:4765",
            "[::]:4765",
            "[0:0:0:0:0:0:0:1]:4765",
            "[::ffff:127.0.0.1]:4765",
            "::1:4765",
            "[::1]",
            "[::1:4765",
            "127.0.0.1.nip.io:4765",
            "localhost.evil.com:4765",
            "studio.example.evil.com",
            "sub.studio.example",
            " 127.0.0.1:4765",
            "127.0.0.1:4765 ",
        ] {
            assert_eq!(ask(other), 421, "{other}");
        }
        assert_eq!(status(&shut, Method::GET, "/", &[]), 421);
        let twice = [("host", "127.0.0.1:4765"), ("host", "evil.com")];
        assert_eq!(status(&shut, Method::GET, "/", &twice), 400);
        assert_eq!(status(&shut, Method::GET, "http://evil.com/api/state", &twice[..1]), 421);
        let open = guard(true);
        for ours in ["192.168.0.2:4765", "[fe80::1]:4765"] {
            assert_eq!(status(&open, Method::GET, "/", &[("host", ours)]), 200, "{ours}");
        }
        for other in ["192.168.0.2:80", "[0:0::1]:4765", "evil.com:4765"] {
            assert_eq!(status(&open, Method::GET, "/", &[("host", other)]), 421, "{other}");
        }
    }

    #[test]
    fn only_our_own_page_is_answered() {
        let guard = guard(false);
        let host = ("host", "127.0.0.1:4765");
        let from = |method: Method, origin: &str| {
            let json = ("content-type", "application/json");
            status(&guard, method, "/api/looks", &[host, ("origin", origin), ("x-isoline", "1"), json])
        };
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            for ours in
                ["http://127.0.0.1:4765", "http://localhost:4765", "http://[::1]:4765", "https://studio.example"]
            {
                assert_eq!(from(method.clone(), ours), 200, "{ours}");
            }
            for other in [
                "null",
                "",
                "http://evil.com",
                "http://127.0.0.1:80",
                "https://127.0.0.1:4765",
                "http://127.0.0.1:4765.evil.com",
                "file://",
                "http://evil.com:4765",
            ] {
                assert_eq!(from(method.clone(), other), 403, "{other}");
            }
        }
        // The forged pair of a rebound name agrees with itself, and is refused all the same.
        let rebound = [("host", "evil.com:4765"), ("origin", "http://evil.com:4765")];
        assert_eq!(status(&guard, Method::POST, "/api/looks", &rebound), 421);
        for (target, site, mode, dest, wanted) in [
            ("/", "cross-site", "navigate", "document", 200),
            ("/", "cross-site", "navigate", "iframe", 403),
            ("/", "cross-site", "no-cors", "image", 403),
            ("/", "same-site", "cors", "empty", 403),
            ("/api/state", "cross-site", "navigate", "document", 403),
            ("/api/state", "same-origin", "cors", "empty", 200),
            ("/api/state", "none", "navigate", "document", 200),
            ("/api/pictures/0-1/file", "cross-site", "no-cors", "image", 403),
        ] {
            let headers = [host, ("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
            assert_eq!(status(&guard, Method::GET, target, &headers), wanted, "{target} {site} {mode} {dest}");
        }
    }

    #[test]
    fn a_write_is_no_form() {
        let guard = guard(false);
        let ask = |method: Method, target: &str, headers: &[(&'static str, &str)]| {
            let all: Vec<_> = [("host", "127.0.0.1:4765")].into_iter().chain(headers.iter().copied()).collect();
            status(&guard, method, target, &all)
        };
        let (ours, length) = (("x-isoline", "1"), ("content-length", "2"));
        for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(ask(method.clone(), "/api/looks", &[]), 403);
            assert_eq!(ask(method.clone(), "/api/looks", &[("x-isoline", "0")]), 403);
            assert_eq!(ask(method.clone(), "/api/looks", &[ours]), 200);
            assert_eq!(ask(method.clone(), "/api/looks", &[ours, length]), 415);
            for kind in [
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "application/jsonx",
                "image/png",
            ] {
                assert_eq!(ask(method.clone(), "/api/looks", &[ours, length, ("content-type", kind)]), 415, "{kind}");
            }
            for kind in ["application/json", "Application/JSON; charset=utf-8"] {
                assert_eq!(ask(method.clone(), "/api/looks", &[ours, length, ("content-type", kind)]), 200, "{kind}");
            }
        }
        assert_eq!(ask(Method::POST, "/api/recipes", &[ours, length, ("content-type", "image/png")]), 200);
        assert_eq!(ask(Method::POST, "/api/recipes", &[ours, length, ("content-type", "application/json")]), 415);
    }
}
