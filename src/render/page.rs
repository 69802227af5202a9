//! An HTML page that opens offline: plots and pictures are part of it, and nothing is fetched.

use super::Picture;
use super::figure::{data_uri, escaped};
use crate::error::Result;
use std::fmt::Write;

/// Letters from which a cell of a table is a sentence.
const LONG: usize = 32;

const STYLE: &str = "body{font:15px/1.5 sans-serif;color:#1d2127;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;font-size:13.5px}\
td,th{padding:.2rem .8rem .2rem 0;text-align:right;border-bottom:1px solid #e3e5e8;white-space:nowrap}\
td:first-child,th:first-child{text-align:left}figure{margin:0;display:inline-block;text-align:center;font-size:12px;color:#5d646e}\
.sheet{display:flex;flex-wrap:wrap;gap:10px}.sheet img{width:84px;image-rendering:pixelated;border:1px solid #e3e5e8;display:block}\
svg{max-width:100%;height:auto}.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:10px}\
footer{margin-top:3rem;font-size:13px;color:#5d646e}footer td{text-align:left;white-space:normal;overflow-wrap:anywhere;vertical-align:top}.wide{overflow-x:auto}td.text,th.text{text-align:left;white-space:normal;min-width:14rem}p{max-width:46rem}";

/// A page under construction.
pub struct Page {
    title: String,
    body: String,
    foot: String,
}

impl Page {
    /// An empty page.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: String::new(), foot: String::new() }
    }

    /// Adds a heading with a paragraph below it.
    pub fn section(&mut self, heading: &str, text: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2><p>{}</p>", escaped(heading), escaped(text));
    }

    /// Adds a plot, given as SVG text.
    pub fn plot(&mut self, svg: &str) {
        let _ = writeln!(self.body, "<div>{svg}</div>");
    }

    /// Adds plots side by side, as many as there is room for.
    pub fn plots(&mut self, svgs: &[String]) {
        let each: String = svgs.iter().map(|svg| format!("<div>{svg}</div>")).collect();
        let _ = writeln!(self.body, "<div class=\"plots\">{each}</div>");
    }

    /// Sets the foot: items with their values, below everything else.
    pub fn foot(&mut self, heading: &str, rows: &[Vec<String>]) {
        let line = |row: &Vec<String>| {
            let cells: String = row.iter().map(|c| format!("<td>{}</td>", escaped(c))).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let rows: String = rows.iter().map(line).collect();
        self.foot = format!("<footer><h2>{}</h2><table>\n{rows}</table></footer>\n", escaped(heading));
    }

    /// Adds a table; its first row is the header.
    pub fn table(&mut self, rows: &[Vec<String>]) {
        self.body.push_str("<div class=\"wide\"><table>");
        // A column with sentences in it is set as text: on the left, over several lines.
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let texts: Vec<bool> = (0..columns)
            .map(|c| rows.iter().any(|r| r.get(c).is_some_and(|cell| cell.chars().count() > LONG)))
            .collect();
        for (i, row) in rows.iter().enumerate() {
            let tag = if i == 0 { "th" } else { "td" };
            let cell = |(cell, text): (&String, &bool)| {
                let class = if *text { " class=\"text\"" } else { "" };
                format!("<{tag}{class}>{}</{tag}>", escaped(cell))
            };
            let cells: String = row.iter().zip(&texts).map(cell).collect();
            let _ = write!(self.body, "<tr>{cells}</tr>");
        }
        self.body.push_str("</table></div>\n");
    }

    /// Adds pictures with captions, in order. The caption is also the alternative text.
    ///
    /// # Errors
    /// [`crate::error::Error::Bug`] for a malformed picture.
    pub fn pictures(&mut self, pictures: &[(Picture, String)]) -> Result<()> {
        self.body.push_str("<div class=\"sheet\">");
        for (picture, caption) in pictures {
            let caption = escaped(caption);
            let _ =
                write!(self.body, "<figure><img alt=\"{caption}\" src=\"{}\">{caption}</figure>", data_uri(picture)?);
        }
        self.body.push_str("</div>\n");
        Ok(())
    }

    /// The whole page.
    pub fn html(&self) -> String {
        let title = escaped(&self.title);
        format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>{STYLE}</style>\n<h1>{title}</h1>\n{}{}</html>\n",
            self.body, self.foot
        )
    }
}

/// One row of a table.
pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// A number in a table, or a dash if there is none.
pub fn number(v: Option<f64>, digits: usize) -> String {
    v.map_or("-".to_owned(), |v| format!("{v:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_fetch_nothing_and_escape() -> Result<()> {
        let mut page = Page::new("a <script>");
        page.section("b & c", "d");
        page.table(&[vec!["h".into()], vec!["<i>".into()]]);
        page.pictures(&[(Picture::blank(2, 2, [1, 2, 3]), "psi \"1\"".into())])?;
        page.foot("e", &[row(["command", "a <b>"])]);
        page.section("last", "");
        let html = page.html();
        assert!(html.ends_with("<td>command</td><td>a &lt;b&gt;</td></tr>\n</table></footer>\n</html>\n"), "{html}");
        assert!(!html.contains("<script>") && !html.contains("<i>") && !html.contains("http"));
        assert!(html.contains("data:image/png;base64,") && html.contains("alt=\"psi &quot;1&quot;\""));
        Ok(())
    }
}
