//! Floats of eight bits, which f32 holds exactly.

use safetensors::Dtype;

/// How the eight bits of a kind of float are meant.
struct Layout {
    /// Bits of the fraction; of the other seven the rest are those of the exponent.
    fraction: u32,
    bias: i32,
    special: Special,
}

/// Which bit patterns are no finite numbers.
enum Special {
    /// As in IEEE 754: the highest exponent holds ∞ and NaN.
    Ieee,
    /// Only the two patterns of all ones are NaN, and there is no ∞.
    AllOnes,
    /// Only the pattern of −0 is NaN; there is neither ∞ nor −0.
    MinusZero,
}

/// The value of `byte` as a float of type `dtype`, exactly; `None` for a type that is not of this kind.
///
/// E4M3 and E5M2 are those of Micikevicius et al. 2022 (PyTorch's `float8_e4m3fn` and `float8_e5m2`), the FNUZ types
/// those of Noune et al. 2022.
pub fn value(dtype: Dtype, byte: u8) -> Option<f32> {
    let Layout { fraction, bias, special } = match dtype {
        Dtype::F8_E4M3 => Layout { fraction: 3, bias: 7, special: Special::AllOnes },
        Dtype::F8_E5M2 => Layout { fraction: 2, bias: 15, special: Special::Ieee },
        Dtype::F8_E4M3FNUZ => Layout { fraction: 3, bias: 8, special: Special::MinusZero },
        Dtype::F8_E5M2FNUZ => Layout { fraction: 2, bias: 16, special: Special::MinusZero },
        _ => return None,
    };
    let (size, whole) = (byte & 0x7f, 1u32 << fraction);
    let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
    let (exponent, f) = (i32::from(size) >> fraction, u32::from(size) % whole);
    let highest = 0x7f >> fraction;
    match special {
        Special::Ieee if exponent == highest => return Some(if f == 0 { sign * f32::INFINITY } else { f32::NAN }),
        Special::AllOnes if size == 0x7f => return Some(f32::NAN),
        Special::MinusZero if byte == 0x80 => return Some(f32::NAN),
        _ => {}
    }
    // The lowest exponent has no hidden one: its numbers are as far apart as those of the next.
    let parts = if exponent == 0 { f } else { f + whole };
    Some(sign * parts as f32 * f32::powi(2.0, exponent.max(1) - bias - fraction as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// By the definition, with its cases spelt out: ±2^(e − bias)·(1 + f/2^m) where e > 0, and ±2^(1 − bias)·f/2^m
    /// where e = 0.
    fn defined(byte: u8, exponent_bits: u32, bias: f64) -> f64 {
        let m = 7 - exponent_bits;
        let bits: Vec<u32> = (0..8).map(|i| u32::from(byte >> (7 - i)) & 1).collect();
        let number = |bits: &[u32]| f64::from(bits.iter().fold(0, |n, b| 2 * n + b));
        let (e, f) = (number(&bits[1..1 + exponent_bits as usize]), number(&bits[1 + exponent_bits as usize..]));
        let f = f / f64::from(1u32 << m);
        let size = if e > 0.0 { (e - bias).exp2() * (1.0 + f) } else { (1.0 - bias).exp2() * f };
        if bits[0] == 1 { -size } else { size }
    }

    #[test]
    fn all_values_are_those_of_the_definition() {
        // Type, exponent bits, bias, the bytes that are ∞ or NaN, the largest and the least value above 0.
        let special = |bytes: &[u8]| bytes.iter().copied().collect::<BTreeSet<u8>>();
        for (dtype, e, bias, not_finite, most, least) in [
            (Dtype::F8_E4M3, 4, 7.0, special(&[0x7f, 0xff]), 448.0, 2f64.powi(-9)),
            (
                Dtype::F8_E5M2,
                5,
                15.0,
                special(&[0x7c, 0x7d, 0x7e, 0x7f, 0xfc, 0xfd, 0xfe, 0xff]),
                57_344.0,
                2f64.powi(-16),
            ),
            (Dtype::F8_E4M3FNUZ, 4, 8.0, special(&[0x80]), 240.0, 2f64.powi(-10)),
            (Dtype::F8_E5M2FNUZ, 5, 16.0, special(&[0x80]), 57_344.0, 2f64.powi(-17)),
        ] {
            let mut finite = Vec::new();
            for byte in 0..=255u8 {
                let found = value(dtype, byte).unwrap();
                assert_eq!(!found.is_finite(), not_finite.contains(&byte), "{dtype:?} {byte:#04x}: {found}");
                if found.is_finite() {
                    assert_eq!(f64::from(found), defined(byte, e, bias), "{dtype:?} {byte:#04x}");
                    assert_eq!(found.is_sign_negative(), byte >= 0x80, "{dtype:?} {byte:#04x}");
                    finite.push(f64::from(found));
                }
            }
            assert_eq!(finite.iter().copied().fold(0.0, f64::max), most, "{dtype:?}");
            assert_eq!(finite.iter().copied().filter(|v| *v > 0.0).fold(f64::MAX, f64::min), least, "{dtype:?}");
        }
    }

    /// E5M2 is the upper half of an IEEE half, which another crate reads.
    #[test]
    fn e5m2_is_half_of_a_half() {
        for byte in 0..=255u8 {
            let (found, half) = (value(Dtype::F8_E5M2, byte).unwrap(), half::f16::from_bits(u16::from(byte) << 8));
            assert!(found == half.to_f32() || (found.is_nan() && half.is_nan()), "{byte:#04x}");
        }
        assert_eq!(value(Dtype::F16, 0), None);
    }
}
