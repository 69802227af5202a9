//! The keys of a scheduler's config, as `diffusers` writes them.

use crate::error::{Error, Result, did_you_mean};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Keys that some class of the library knows. Published configs carry those of other classes along, and a class passes over what it does
/// not know.
const OF_OTHERS: &[&str] = &[
    "algorithm_type",
    "clip_sample",
    "clip_sample_range",
    "disable_corrector",
    "dynamic_thresholding_ratio",
    "euler_at_final",
    "final_sigmas_type",
    "flow_shift",
    "interpolation_type",
    "lambda_min_clipped",
    "lower_order_final",
    "original_inference_steps",
    "predict_x0",
    "sample_max_value",
    "set_alpha_to_one",
    "skip_prk_steps",
    "solver_order",
    "solver_type",
    "steps_offset",
    "thresholding",
    "timestep_scaling",
    "timestep_type",
    "use_exponential_sigmas",
    "use_karras_sigmas",
    "variance_type",
];

/// The keys of one config. What was asked for is remembered, so that a key which no scheduler knows is refused and not passed over.
pub struct Keys<'a> {
    map: &'a Map<String, Value>,
    read: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Keys<'a> {
    /// The keys of a JSON object.
    ///
    /// # Errors
    /// [`Error::Key`] if it is none.
    pub fn of(config: &'a Value) -> Result<Self> {
        let map = config.as_object().ok_or_else(|| Error::key("", "expected a JSON object of keys"))?;
        Ok(Self { map, read: RefCell::default() })
    }

    fn get(&self, key: &'static str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(key);
        self.map.get(key).filter(|v| !v.is_null())
    }

    /// A number, or `usual` where the key is absent.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn number(&self, key: &'static str, usual: f64) -> Result<f64> {
        match self.get(key) {
            None => Ok(usual),
            Some(v) => v.as_f64().ok_or_else(|| Error::key(key, format!("expected a number, found {v}"))),
        }
    }

    /// A count within bounds, or `usual`.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn count(&self, key: &'static str, usual: usize, [least, most]: [usize; 2]) -> Result<usize> {
        let Some(v) = self.get(key) else { return Ok(usual) };
        let found = v.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| (least..=most).contains(n));
        found.ok_or_else(|| Error::key(key, format!("expected {least} to {most}, found {v}")))
    }

    /// Yes or no.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn flag(&self, key: &'static str, usual: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(usual),
            Some(v) => v.as_bool().ok_or_else(|| Error::key(key, format!("expected true or false, found {v}"))),
        }
    }

    /// One of some names, each with what it stands for.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn one_of<T: Copy>(&self, key: &'static str, usual: T, names: &[(&str, T)]) -> Result<T> {
        let Some(v) = self.get(key) else { return Ok(usual) };
        let known = || names.iter().map(|n| n.0);
        let found = v.as_str().unwrap_or_default();
        names.iter().find(|n| n.0 == found).map(|n| n.1).ok_or_else(|| {
            let near = did_you_mean(found, known().collect::<Vec<_>>());
            Error::key(key, format!("expected one of {}, found {v}{near}", known().collect::<Vec<_>>().join(", ")))
        })
    }

    /// Numbers, if there are any.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn numbers(&self, key: &'static str) -> Result<Option<Vec<f64>>> {
        let Some(v) = self.get(key) else { return Ok(None) };
        let found = v.as_array().and_then(|all| all.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>());
        found.map(Some).ok_or_else(|| Error::key(key, "expected a list of numbers"))
    }

    /// Keys that say something only together with one that is off here.
    pub fn passes_over(&self, keys: &[&'static str]) {
        self.read.borrow_mut().extend(keys);
    }

    /// Refuses a key that nothing has read and no class knows, since it may change the pictures. One that is off says nothing, and names
    /// with a leading underscore are notes of the library's.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check_all_read(&self) -> Result<()> {
        let read = self.read.borrow();
        let says_nothing =
            |v: &Value| v.is_null() || v == &Value::Bool(false) || v.as_array().is_some_and(Vec::is_empty);
        let is_known = |k: &str| k.starts_with('_') || read.contains(k) || OF_OTHERS.contains(&k);
        match self.map.iter().find(|(k, v)| !is_known(k) && !says_nothing(v)) {
            None => Ok(()),
            Some((key, value)) => {
                let message = format!("{value} is not supported by this scheduler, or not known to isoline");
                Err(Error::key(key.escape_debug().to_string(), message))
            }
        }
    }
}

/// JSON as Python writes it: `-Infinity`, `Infinity` and `NaN` stand for values that are not set.
///
/// # Errors
/// [`Error::Key`] for what is no JSON otherwise.
pub fn python_json(text: &str) -> Result<Value> {
    let (mut plain, mut bare) = (String::with_capacity(text.len()), String::new());
    let (mut quoted, mut escaped) = (false, false);
    let put = |bare: &mut String, plain: &mut String| {
        plain.push_str(&bare.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null"));
        bare.clear();
    };
    for c in text.chars() {
        let ends = c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        if !quoted && !ends {
            bare.push(c);
            continue;
        }
        put(&mut bare, &mut plain);
        plain.push(c);
        quoted ^= ends;
    }
    put(&mut bare, &mut plain);
    serde_json::from_str(&plain).map_err(|e| Error::key("", format!("expected JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_writes_numbers_that_json_has_not() {
        let found =
            python_json(r#"{"a": -Infinity, "b\"Infinity": "NaN \\", "c": [Infinity, NaN, 1]}"#).unwrap_or_default();
        assert_eq!(found, serde_json::json!({"a": null, "b\"Infinity": "NaN \\", "c": [null, null, 1]}));
        assert!(python_json("{\"a\": }").is_err());
    }

    #[test]
    fn a_key_that_nothing_reads_is_refused() {
        let config =
            serde_json::json!({"_version": "1", "known": 3, "off": false, "none": null, "other": 2, "say": "b"});
        let keys = Keys::of(&config).unwrap_or_else(|e| unreachable!("{e}"));
        assert_eq!((keys.count("known", 1, [1, 9]).ok(), keys.number("absent", 0.5).ok()), (Some(3), Some(0.5)));
        assert_eq!(keys.one_of("say", 0, &[("a", 1), ("b", 2)]).ok(), Some(2));
        assert!(keys.check_all_read().is_err_and(|e| e.to_string().starts_with("other: 2 is not supported")));
        keys.passes_over(&["other"]);
        assert!(keys.check_all_read().is_ok());
        assert!(keys.count("known", 1, [4, 9]).is_err() && keys.flag("known", true).is_err());
        assert!(keys.one_of("say", 0, &[("bb", 1)]).is_err_and(|e| e.to_string().contains("did you mean \"bb\"")));
    }
}
