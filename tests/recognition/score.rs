//! How far what was recognised is from what was said.

/// How words lie along others: pairs of places, either of which may be missing; and how many differ.
pub(crate) struct Alignment {
    /// Place in what was said and place in what was heard, in their order.
    pub(crate) pairs: Vec<(Option<usize>, Option<usize>)>,
    /// Words put in, left out or put in another's place.
    pub(crate) errors: usize,
}

/// The cheapest way to make one of the other.
pub(crate) fn align<T: PartialEq>(said: &[T], heard: &[T]) -> Alignment {
    let width = heard.len() + 1;
    let mut cost = vec![0; (said.len() + 1) * width];
    for row in 0..=said.len() {
        for column in 0..=heard.len() {
            cost[row * width + column] = match (row, column) {
                (0, count) | (count, 0) => count,
                _ => {
                    let differ = usize::from(said[row - 1] != heard[column - 1]);
                    let other = cost[(row - 1) * width + column - 1] + differ;
                    other.min(cost[(row - 1) * width + column] + 1).min(cost[row * width + column - 1] + 1)
                }
            };
        }
    }
    let (mut row, mut column, mut pairs) = (said.len(), heard.len(), Vec::new());
    while row > 0 || column > 0 {
        let here = cost[row * width + column];
        let is_pair = row > 0
            && column > 0
            && here == cost[(row - 1) * width + column - 1] + usize::from(said[row - 1] != heard[column - 1]);
        if is_pair {
            (row, column) = (row - 1, column - 1);
            pairs.push((Some(row), Some(column)));
        } else if row > 0 && here == cost[(row - 1) * width + column] + 1 {
            row -= 1;
            pairs.push((Some(row), None));
        } else {
            column -= 1;
            pairs.push((None, Some(column)));
        }
    }
    pairs.reverse();
    Alignment { pairs, errors: cost[said.len() * width + heard.len()] }
}

/// The value below which that share of all lies, in hundredths; zero of none.
pub(crate) fn percentile(values: &[u64], hundredths: usize) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}
