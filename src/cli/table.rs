//! Rows under headings, as wide as what is in them.

/// Between two columns.
const GAP: &str = "  ";

/// A line for the headings and one for each row; cells are made safe for a terminal, the last of a row is not padded.
#[must_use]
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let head = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let rows: Vec<Vec<String>> =
        std::iter::once(head).chain(rows.iter().map(|row| row.iter().map(|cell| safe(cell)).collect())).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// What a peer wrote without what a terminal would obey; nothing at all is shown as a dash.
#[must_use]
pub(super) fn safe(text: &str) -> String {
    let is_obeyed = |sign: char| {
        sign.is_control() || matches!(sign, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown: String = text.chars().map(|sign| if is_obeyed(sign) { ' ' } else { sign }).collect();
    let shown = shown.trim();
    if shown.is_empty() { "-".to_owned() } else { shown.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["a".to_owned(), String::new(), "x\x1b[2Jy\n".to_owned()],
            vec!["größer".to_owned(), "7".to_owned(), "z".to_owned()],
        ];
        insta::assert_snapshot!(table(&["name", "n", "why"], &rows), @r"
        name    n  why
        a       -  x [2Jy
        größer  7  z
        ");
    }
}
