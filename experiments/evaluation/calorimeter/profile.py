"""scipy's incomplete gamma function for the test of profile.rs."""
from scipy.special import gammainc
print("/// references/profile.py: P(a, x) by scipy.special.gammainc.\n#[rustfmt::skip]\npub const GAMMA_P: &[(f64, f64, f64)] = &[")
for a in (.3, 1., 2.87, 7.7, 25., 300.):
    for f in (.01, .3, .9, 1., 1.2, 3.):
        print(f"    ({a}, {a * f!r}, {float(gammainc(a, a * f))!r}),")
print("];")
