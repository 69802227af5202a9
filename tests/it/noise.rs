//! `docs/noise.md` tells another language how to draw a seed's latent; what it says is run and compared.

use isoline::noise::{Stream, normals};
use isoline::table::{Values, read_parquet};
use std::path::Path;
use std::process::Command;

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/noise.md")).unwrap()
}

/// The block of code of a language, the first behind `marker`.
fn block<'a>(text: &'a str, marker: &str, language: &str) -> &'a str {
    let rest = text.split_once(marker).unwrap().1.split_once(&format!("```{language}\n")).unwrap().1;
    rest.split_once("```").unwrap().0
}

#[test]
fn the_printed_values_are_those_of_the_program() {
    let text = document();
    let printed: Vec<f32> = serde_json::from_str(block(&text, "It prints", "text")).unwrap();
    assert_eq!(printed, normals(0, 3, Stream::Latent, 0, 8));
    let dir = tempfile::tempdir().unwrap();
    let args =
        ["generate", "-q", "-m", "digits-vae", "--mode", "balanced", "--seed", "3", "--save-latents", "-o", "run"];
    crate::runs::isoline(&args).cwd(dir.path()).succeeds();
    let (table, _) = read_parquet(&dir.path().join("run/samples.parquet")).unwrap();
    for (i, wanted) in printed.iter().enumerate() {
        let column = &table.column(&format!("z_{i}")).unwrap().values;
        assert_eq!(*column, Values::F64(vec![Some(f64::from(*wanted))]), "z_{i}");
    }
}

/// Runs the document's Python and compares whole sequences bit for bit: 20,000 normals meet every branch of the ziggurat,
/// since one in 84 is decided under the density and one in 3,700 comes from the tail. Without python3 only the
/// printed values are compared, above.
#[test]
fn the_python_of_the_document_draws_the_same_bits() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("no python3: the code in docs/noise.md is NOT CHECKED");
        return;
    }
    let text = document();
    // (sample, number, seed, stream, step)
    let addresses = [
        (3, 20_000, 0, Stream::Latent, 0),
        (u64::MAX, 500, 0, Stream::Latent, 0),
        (17, 500, u64::MAX - 6, Stream::Inversion, 5),
        (1 << 40, 500, 1, Stream::Probe, u32::MAX),
    ];
    let mut script = block(&text, "<!-- ci:noise -->", "python").to_owned();
    for (sample, n, seed, stream, step) in addresses {
        let call = format!("normals({sample}, {n}, {seed}, {}, {step})", stream as u32);
        script.push_str(&format!("print(struct.pack('<{n}f', *{call}).hex())\n"));
    }
    let done = Command::new("python3").args(["-c", &script]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let printed = String::from_utf8(done.stdout).unwrap();
    let mut lines = printed.lines();
    assert_eq!(lines.next().unwrap(), block(&text, "It prints", "text").trim_end());
    for (sample, n, seed, stream, step) in addresses {
        let found = lines.next().unwrap();
        let wanted: String = normals(seed, sample, stream, step, n)
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let at = found.as_bytes().chunks(8).zip(wanted.as_bytes().chunks(8)).position(|(a, b)| a != b);
        assert!(found == wanted, "sample {sample}: value {at:?} differs");
    }
}
