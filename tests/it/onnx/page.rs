//! The page of operators, which is made from the table of the program.

use isoline::onnx::{OPERATORS, OPSETS};
use std::path::Path;

fn page() -> String {
    let mut page = format!(
        "# Operators of ONNX\n\n\
        What an ONNX file may hold, of the standard domain in opsets {} to {}. This page is made from `src/onnx/operators/table.rs` by\n\
        `ISOLINE_GOLDEN=write cargo test --release --test it -- onnx::page`; a test compares the two. `isoline list operators` prints\n\
        the same. What does not depend on the latent is worked out at import, by the same functions. A node with an attribute\n\
        that is not listed is refused. The kinds in the second column are those of `isoline list nodes`.\n\n\
        | operator | since | becomes | attributes |\n|---|---|---|---|\n",
        OPSETS.start(),
        OPSETS.end()
    );
    for o in OPERATORS {
        let attributes: Vec<String> = o.attributes.iter().map(|a| format!("`{a}`")).collect();
        page += &format!("| `{}` | {} | {} | {} |\n", o.name, o.since, o.becomes, attributes.join(", "));
    }
    page
}

#[test]
fn the_page_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operators.md");
    if std::env::var_os("ISOLINE_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::write(&path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page(), "run it with ISOLINE_GOLDEN=write");
}

#[test]
fn operators_stand_in_order_and_are_read_once() {
    let names: Vec<&str> = OPERATORS.iter().map(|o| o.name).collect();
    assert!(names.is_sorted() && names.len() > 100, "{names:?}");
    assert!(names.windows(2).all(|w| w[0] != w[1]));
}
