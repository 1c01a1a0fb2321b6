//! Columns that line up.

use super::{Ink, Paint, clean};

/// A table for people. Every cell is cleaned.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Cell {
    text: String,
    ink: Option<Ink>,
}

impl Table {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as the header has.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        let cell = |text: &T| Cell { text: clean(text.as_ref()), ink: None };
        self.rows.push(cells.iter().map(cell).collect());
    }

    /// Sets off a cell of the last row.
    pub(crate) fn ink(&mut self, column: usize, ink: Ink) {
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.get_mut(column)) {
            cell.ink = Some(ink);
        }
    }

    /// Returns the lines, with two spaces between columns and none at the end.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| console::measure_text_width(&row[column].text));
            cells.chain([self.header[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let header = self.header.iter().map(|text| ((*text).to_owned(), Some(Ink::Dim)));
        let mut out = line(header, &widths, paint);
        for row in &self.rows {
            let cells = row.iter().map(|cell| (cell.text.clone(), cell.ink));
            out += &line(cells, &widths, paint);
        }
        out
    }
}

fn line(
    cells: impl ExactSizeIterator<Item = (String, Option<Ink>)>,
    widths: &[usize],
    paint: Paint,
) -> String {
    let last = cells.len().saturating_sub(1);
    let mut out = String::new();
    for (column, (text, ink)) in cells.enumerate() {
        let gap = widths[column].saturating_sub(console::measure_text_width(&text)) + 2;
        out += &ink.map_or(text.clone(), |ink| paint.ink(ink, &text));
        if column < last {
            out += &" ".repeat(gap);
        }
    }
    format!("{}\n", out.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_is_in_them() {
        let mut table = Table::new(&["NAME", "SIZE"]);
        table.row(&["né", "1 kB"]);
        table.row(&["\x1b[31mlonger\n", ""]);
        assert_eq!(table.render(Paint::PLAIN), "NAME     SIZE\nné       1 kB\nlonger\n");
    }
}
