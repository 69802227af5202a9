#![allow(clippy::disallowed_methods)] // fixtures, and pictures to look at, may be cut short by a crash

use super::*;
use crate::limits;
use crate::render::png::{PngText, encode};

const SIDE: usize = 4 * limits::IMAGE_SIDE_OUT;

/// Smooth noise that looks like a sample of a generator: a sum of waves from a small hash.
fn noise(seed: u32, channels: usize, side: usize) -> Picture {
    let wave = |k: u32| {
        let h = (seed.wrapping_mul(2_654_435_761) ^ k.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
        ((h >> 8) % 1000) as f32 / 1000.0
    };
    let mut values = Vec::new();
    for channel in 0..channels as u32 {
        for at in 0..side * side {
            let (x, y) = ((at % side) as f32 / side as f32, (at / side) as f32 / side as f32);
            let level: f32 = (0..5)
                .map(|k| {
                    let k = k + 7 * channel;
                    (6.3 * ((wave(k) * 4.0 - 2.0) * x + (wave(k + 40) * 4.0 - 2.0) * y + wave(k + 90))).sin()
                })
                .sum();
            values.push(level / 3.0);
        }
    }
    Picture::from_values(&values, [channels, side, side], [-1.0, 1.0]).unwrap()
}

fn example(channels: usize, side: usize, columns: usize) -> Sheet {
    let row = |label: &str, sublabel: &str, colour, base: u32| SheetRow {
        label: label.to_owned(),
        sublabel: sublabel.to_owned(),
        colour,
        cells: (0..columns as u32)
            .map(|c| Cell {
                picture: (base + c != 9).then(|| noise(base + c, channels, side)),
                caption: if base + c == 9 {
                    "none".to_owned()
                } else {
                    format!("{:.1}", 7.3 + f64::from(base * 3 + c) / 1.7)
                },
                mark: match base + c {
                    2 => Some(Mark::Missed),
                    22 => Some(Mark::Odd),
                    _ => None,
                },
            })
            .collect(),
    };
    Sheet {
        title: Some("mnist-vae: one start, three levels of novelty".to_owned()),
        rows: vec![
            row("typical", "asked 5, reached 6.1 ± 0.4", TYPICAL, 0),
            row("balanced", "plain sampling", BALANCED, 8),
            row("novel", "asked 95, reached 93.8 ± 1.2 of 100 by local scaling", NOVEL, 20),
        ],
        column_labels: (0..columns).map(|c| format!("{}", c * 111)).collect(),
        ..Sheet::default()
    }
}

#[test]
fn sheets_are_drawn_and_repeat_bit_for_bit() {
    let folder = std::env::var_os("ISOLINE_SHOW").map(std::path::PathBuf::from);
    for (name, sheet) in [
        ("grey28", example(1, 28, 8)),
        ("rgb32", example(3, 32, 6)),
        ("rgb256", example(3, 256, 3)),
        ("one", example(1, 28, 1)),
        ("wrapped", Sheet { wrap: 5, subtitle: Some("three rows, begun anew below".to_owned()), ..example(1, 28, 14) }),
    ] {
        let picture = sheet.draw();
        assert_eq!(picture, sheet.draw());
        assert_eq!(picture.pixels.len(), picture.height * picture.width * 3);
        if let Some(folder) = &folder {
            let file = encode(&picture, &PngText::default()).unwrap();
            std::fs::write(folder.join(format!("{name}.png")), file).unwrap();
        }
    }
}

#[test]
fn cells_reach_the_least_size_by_whole_factors() {
    assert_eq!(Layout::of(&example(1, 28, 2)).factor, 3);
    assert_eq!(Layout::of(&example(1, 8, 2)).factor, 9);
    assert_eq!(Layout::of(&example(1, 256, 2)).factor, 1);
}

#[test]
fn large_sheets_are_cut_and_say_so() {
    let cell = Cell { picture: Some(noise(1, 1, 28)), caption: "1".to_owned(), mark: None };
    let row = SheetRow { label: "a".to_owned(), sublabel: String::new(), colour: NOVEL, cells: vec![cell; 300] };
    let sheet = Sheet { rows: vec![row; 200], column_labels: vec!["0".to_owned(); 300], ..Sheet::default() };
    let layout = Layout::of(&sheet);
    assert!(layout.width <= SIDE && layout.height <= SIDE);
    assert!(layout.columns < 300 && layout.rows < 200);
    let expected = format!("... +{} more columns, +{} more rows", 300 - layout.columns, 200 - layout.rows);
    assert_eq!(layout.footer.cut.as_deref(), Some(expected.as_str()));
    sheet.draw();
}

#[test]
fn odd_sheets_do_not_panic() {
    let cell = |picture| Cell {
        picture,
        caption: "a caption that is far too long for any cell".to_owned(),
        mark: Some(Mark::Odd),
    };
    let row = |cells| SheetRow { label: "x".repeat(99), sublabel: "y ".repeat(99), colour: [0; 3], cells };
    let shapes = [[1, 1, 1], [3, 1, 300], [1, 300, 1], [3, 9, 30]];
    let mixed = shapes.map(|s| cell(Some(Picture::from_pixels(vec![7; s.iter().product()], s).unwrap())));
    for rows in [vec![], vec![row(vec![])], vec![row(vec![cell(None)])], vec![row(mixed.to_vec()), row(vec![])]] {
        for title in [None, Some("t".repeat(2000))] {
            let column_labels = vec!["l".repeat(99)];
            let subtitle = title.clone();
            let sheet =
                Sheet { title, subtitle, rows: rows.clone(), column_labels, more_columns: 7, ..Sheet::default() };
            for wrap in [0, 1, 3] {
                let picture = Sheet { wrap, ..sheet.clone() }.draw();
                assert!(picture.width <= SIDE && picture.height <= SIDE);
            }
        }
    }
    let huge = Picture::blank(1, 20_000, [0; 3]);
    let sheet = Sheet { rows: vec![row(vec![cell(Some(huge))])], ..Sheet::default() };
    assert!(sheet.draw().width <= SIDE);
}
