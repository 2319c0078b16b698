//! Text in columns: cells end with tabs, and the same cell of neighbouring lines is equally wide.

/// Blanks between columns.
const PADDING: usize = 2;

/// Aligns the cells of each run of lines that have them. The last cell of a line is as it is.
pub(crate) fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> =
        lines.iter().map(|cells| vec![0; cells.len().saturating_sub(1)]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut start = 0;
        while start < lines.len() {
            let has = |line: usize| column + 1 < lines[line].len();
            let end = (start..lines.len()).find(|line| !has(*line)).unwrap_or(lines.len());
            let width = (start..end).map(|line| lines[line][column].chars().count()).max().unwrap_or(0);
            for widths in &mut widths[start..end] {
                widths[column] = width + PADDING;
            }
            start = end + 1;
        }
    }
    let mut out = String::new();
    for (cells, widths) in lines.iter().zip(&widths) {
        for (column, cell) in cells.iter().enumerate() {
            match widths.get(column) {
                Some(&width) => out.push_str(&format!("{cell:<width$}")),
                None => out.push_str(cell),
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::align;

    #[test]
    fn neighbours_are_equally_wide() {
        let text = "Name:\ta\nNamespace:\tb\nList:\n  x:\t1\n  long:\t2\ty\nend";
        assert_eq!(align(text), "Name:       a\nNamespace:  b\nList:\n  x:     1\n  long:  2  y\nend\n");
        assert_eq!(align(""), "");
    }
}
