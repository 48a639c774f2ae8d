//! A table of texts, in columns as wide as they have to be.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

/// A table; columns whose head begins with `>` are aligned to the right.
pub(crate) struct Table {
    heads: Vec<String>,
    is_right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these heads.
    pub(crate) fn new<H: AsRef<str>>(heads: impl IntoIterator<Item = H>) -> Table {
        let heads = heads.into_iter();
        let (is_right, heads) = heads
            .map(|head| match head.as_ref().strip_prefix('>') {
                Some(head) => (true, head.to_owned()),
                None => (false, head.as_ref().to_owned()),
            })
            .unzip();
        Table { heads, is_right, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes it, each line after this many spaces.
    pub(crate) fn write(&self, indent: usize, text: &mut String) {
        let columns = self.heads.len();
        let width = |column: usize| {
            let all =
                self.rows.iter().filter_map(|row| row.get(column)).chain([&self.heads[column]]);
            all.map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let has_head = self.heads.iter().any(|head| !head.is_empty());
        for row in has_head.then_some(&self.heads).into_iter().chain(&self.rows) {
            let mut line = " ".repeat(indent);
            for (column, cell) in row.iter().enumerate().take(columns) {
                let space = " ".repeat(widths[column].saturating_sub(cell.width()));
                let between = if column == 0 { "" } else { "  " };
                // Writing to a `String` does not fail.
                let _ = if self.is_right[column] {
                    write!(line, "{between}{space}{cell}")
                } else {
                    write!(line, "{between}{cell}{space}")
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["name", ">count", "x"]);
        table.row(["a", "1", "y"].map(str::to_owned));
        table.row(["日本", "1,000", ""].map(str::to_owned));
        let mut text = String::new();
        table.write(2, &mut text);
        assert_eq!(text, "  name  count  x\n  a         1  y\n  日本  1,000\n");
    }
}
