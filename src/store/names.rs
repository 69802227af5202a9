//! Identifiers that become folder names.

/// Checks that an id matches `[a-z0-9][a-z0-9._-]{0,63}`, which makes it a plain folder name on every system.
///
/// # Errors
/// What is wrong with the id, as text for a message.
pub fn check_id(id: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let start = id.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if start && id.len() <= 64 && id.chars().all(good) {
        return Ok(());
    }
    Err(format!("expected 1 to 64 of a-z 0-9 . _ - with a letter or digit first, found \"{}\"", id.escape_debug()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids() {
        for good in ["digits-vae", "a", "0.x_y"] {
            assert!(super::check_id(good).is_ok(), "{good}");
        }
        for bad in ["", "../x", "A", ".hidden", "a/b", "a\u{202e}b", &"x".repeat(65)] {
            assert!(super::check_id(bad).is_err(), "{bad}");
        }
    }
}
