//! The token of a studio that listens on more than this machine: made once, kept in a file that only its owner may read,
//! carried by a cookie or as a bearer.

use super::problem::{Code, Problem};
use crate::error::{Error, Result};
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Name of the cookie.
pub const COOKIE: &str = "isoline";
/// Wrong tokens that are answered in a minute before the next one has to wait.
const MISSES: usize = 10;

/// What a request must carry. Only its digest is compared, so that the time it takes says nothing about the token.
pub struct Token {
    digest: [u8; 32],
    misses: Mutex<VecDeque<Instant>>,
}

impl Token {
    /// The token in `file`; a new one of 32 random bytes if there is none. Returns it beside what compares it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Input`] for a file that holds something else.
    pub fn in_file(file: &Path) -> Result<(String, Self)> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text.trim().to_owned(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
                write_private(file, &text).map_err(|e| Error::io(file, "write", e))?;
                text
            }
            Err(e) => return Err(Error::io(file, "read", e)),
        };
        if URL_SAFE_NO_PAD.decode(&text).map_or(0, |b| b.len()) != 32 {
            return Err(Error::input(
                file,
                "expected a token of 32 bytes in base64url; remove the file, and a new one is made",
            ));
        }
        let token = Self { digest: digest(&text), misses: Mutex::default() };
        Ok((text, token))
    }

    /// Refuses a request that does not carry the token.
    ///
    /// # Errors
    /// 401; 429 after ten wrong ones within a minute.
    pub fn judge(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
        let own = |pair: &str| pair.trim().strip_prefix(COOKIE)?.strip_prefix('=').map(str::to_owned);
        let cookie = cookies.flat_map(|c| c.split(';')).find_map(own);
        match bearer.map(str::to_owned).or(cookie) {
            Some(found) => self.compare(&found),
            None => {
                Err(Problem::new(Code::Token, "this studio can be reached from other machines, so it wants its token")
                    .hint("open the address that the studio printed when it started; it ends in #token=..."))
            }
        }
    }

    /// Refuses any text but the token.
    ///
    /// # Errors
    /// 401; 429 after ten wrong ones within a minute.
    pub fn compare(&self, found: &str) -> Result<(), Problem> {
        if digest(found) == self.digest {
            return Ok(());
        }
        let mut misses = self.misses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        while misses.front().is_some_and(|then| now.duration_since(*then) > Duration::from_secs(60)) {
            misses.pop_front();
        }
        if misses.len() >= MISSES {
            return Err(Problem::new(Code::SlowDown, "too many wrong tokens within a minute; wait a minute"));
        }
        misses.push_back(now);
        Err(Problem::new(Code::Token, "this is not the studio's token"))
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(unix)]
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut made = std::fs::File::options().write(true).create_new(true).mode(0o600).open(file)?;
    made.write_all(text.as_bytes())?;
    made.sync_all()
}

#[cfg(not(unix))]
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    crate::store::write_atomic(file, text.as_bytes()).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use axum::response::IntoResponse;

    #[test]
    fn a_token_is_made_once_and_compared() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("a folder", "make", e))?;
        let file = folder.path().join("token");
        let (text, token) = Token::in_file(&file)?;
        assert_eq!(Token::in_file(&file)?.0, text);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&file).map(|m| m.permissions().mode() & 0o777).ok();
            assert_eq!(mode, Some(0o600));
        }
        let status = |name: header::HeaderName, value: String| {
            let headers =
                HeaderMap::from_iter([(name, HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("")))]);
            token.judge(&headers).map_or_else(|p| p.into_response().status().as_u16(), |()| 200)
        };
        assert_eq!(status(header::AUTHORIZATION, format!("Bearer {text}")), 200);
        assert_eq!(status(header::COOKIE, format!("a=b; isoline={text}")), 200);
        assert_eq!(status(header::COOKIE, format!("isolines={text}")), 401);
        for _ in 0..MISSES {
            assert_eq!(status(header::AUTHORIZATION, format!("Bearer {text}x")), 401);
        }
        assert_eq!(status(header::AUTHORIZATION, format!("Bearer {text}x")), 429);
        // The right one is never made to wait for the wrong ones.
        assert_eq!(status(header::AUTHORIZATION, format!("Bearer {text}")), 200);
        crate::store::write_atomic(&file, b"short")?;
        assert!(Token::in_file(&file).is_err_and(|e| e.exit_code() == 3));
        Ok(())
    }
}
