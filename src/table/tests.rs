#![allow(clippy::disallowed_methods)] // fixtures, and pictures to look at, may be cut short by a crash

use super::*;
use std::path::PathBuf;

fn example(rows: usize) -> Table {
    let at = |k: usize| (0..rows).map(move |i| (i % k != k - 1).then_some(i));
    let real = |i: usize| [0.1 + 0.2, -0.0, f64::INFINITY, 5e-324, f64::MAX, i as f64 / 7.0][i % 6];
    Table::new(vec![
        Column::new("sample", Values::I64((0..rows).map(|i| Some(i as i64 - 2)).collect())),
        Column::new("local_scaling", Values::F64(at(4).map(|v| v.map(real)).collect())),
        Column::new(
            "status",
            Values::Text(at(3).map(|v| v.map(|i| ["", "kept", "a, \"b\"\nψ"][i % 3].to_owned())).collect()),
        ),
        Column::new("flagged", Values::Bool(at(5).map(|v| v.map(|i| i % 2 == 0)).collect())),
        Column::new("nothing", Values::F64(vec![None; rows])),
        Column::new("seed", Values::U64(at(6).map(|v| v.map(|i| u64::MAX - i as u64)).collect())),
    ])
    .unwrap()
}

fn pairs() -> Vec<(String, String)> {
    vec![("isoline".to_owned(), "{\"schema\":1}".to_owned()), ("note".to_owned(), "ψ".to_owned())]
}

fn saved(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn parquet_round_trip_and_equal_bytes() {
    for rows in [0, 1, 7, 300_000] {
        let table = example(rows);
        let bytes = write_parquet(&table, &pairs()).unwrap();
        assert_eq!(bytes, write_parquet(&table, &pairs()).unwrap());
        if let Some(folder) = std::env::var_os("ISOLINE_SHOW").filter(|_| rows == 7) {
            std::fs::write(PathBuf::from(folder).join("seven.parquet"), &bytes).unwrap();
        }
        let (_folder, path) = saved(&bytes);
        let (read, metadata) = read_parquet(&path).unwrap();
        assert!(read == table, "{rows} rows");
        assert_eq!(metadata, pairs());
    }
    let empty = write_parquet(&Table::default(), &[]).unwrap();
    let (_folder, path) = saved(&empty);
    assert_eq!(read_parquet(&path).unwrap(), (Table::default(), Vec::new()));
}

#[test]
fn nan_is_kept_apart_from_missing() {
    let table = Table::new(vec![Column::new("x", Values::F64(vec![Some(f64::NAN), None, Some(1.0)]))]).unwrap();
    let (_folder, path) = saved(&write_parquet(&table, &[]).unwrap());
    let (read, metadata) = read_parquet(&path).unwrap();
    let Values::F64(values) = &read.column("x").unwrap().values else { panic!("type") };
    assert!(values[0].is_some_and(f64::is_nan) && values[1].is_none() && values[2] == Some(1.0));
    assert!(metadata.is_empty());
    assert_eq!(write_csv(&table), "x\r\nNaN\r\n\r\n1.0\r\n");
}

#[test]
fn damaged_files_are_input_errors() {
    let bytes = write_parquet(&example(50), &pairs()).unwrap();
    for cut in (0..bytes.len()).step_by(11) {
        let (_folder, path) = saved(&bytes[..cut]);
        assert!(matches!(read_parquet(&path), Err(Error::Input { .. })));
    }
    let (_folder, path) = saved(&bytes);
    for flip in [0x01, 0x55, 0x80, 0xff] {
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= flip;
            std::fs::write(&path, &broken).unwrap();
            // A flipped value may still be a table; what matters is that reading returns at all.
            let _ = read_parquet(&path);
        }
    }
    assert!(matches!(read_parquet(&path.with_extension("none")), Err(Error::Io { .. })));
    assert!(matches!(read_parquet(path.parent().unwrap()), Err(Error::Input { .. })));
}

#[test]
fn csv_quotes_and_numbers_read_back() {
    let csv = write_csv(&example(4));
    let expected = "sample,local_scaling,status,flagged,nothing,seed\r\n\
        -2,0.30000000000000004,\"\",true,,18446744073709551615\r\n-1,-0.0,kept,false,,18446744073709551614\r\n\
        0,inf,,true,,18446744073709551613\r\n1,,\"\",false,,18446744073709551612\r\n";
    assert_eq!(csv, expected);
    assert_eq!(quoted("a, \"b\"\n"), "\"a, \"\"b\"\"\n\"");
    assert_eq!(Values::F64(vec![Some(1e300)]).field(0), "1e300");
    assert_eq!(write_csv(&Table::default()), "\r\n");
}

#[test]
fn uneven_tables_are_refused() {
    let column = |name: &str, rows| Column::new(name, Values::Bool(vec![None; rows]));
    assert!(Table::new(vec![column("a", 2), column("b", 3)]).is_err());
    assert!(Table::new(vec![column("a", 2), column("a", 2)]).is_err());
    assert!(Table::new(vec![column("", 2)]).is_err());
    assert_eq!(Table::new(vec![column("a", 2)]).unwrap().rows(), 2);
}

#[test]
fn files_say_which_program_made_them() {
    use ::parquet::file::reader::FileReader;
    let table = Table::new(vec![Column::new("a", Values::I64(vec![Some(1)]))]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    std::fs::write(&path, write_parquet(&table, &[]).unwrap()).unwrap();
    let reader = ::parquet::file::reader::SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let by = reader.metadata().file_metadata().created_by().unwrap().to_owned();
    assert_eq!(by, format!("isoline version {}", env!("CARGO_PKG_VERSION")));
}
