//! The word that was probably meant.

/// What is said about a word that is none of `names`.
pub(super) fn expected_one_of(word: &str, names: &[&str]) -> String {
    let list = names.join(", ");
    match nearest(word, names) {
        Some(name) => format!("did you mean '{name}'? Expected one of {list}"),
        None => format!("expected one of {list}"),
    }
}

/// The name that is nearest to a word, if any is near.
pub(super) fn nearest<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    const LONGEST: usize = 40;
    if word.len() > LONGEST {
        return None;
    }
    let distances = names.iter().map(|name| (distance(word, name), *name));
    let (distance, name) = distances.min()?;
    (distance <= name.len().min(word.len()).div_ceil(3).min(3)).then_some(name)
}

/// Letters to insert, remove, replace or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_far_ones_are_not() {
        let names = ["weight", "backup", "cookie", "id"];
        assert_eq!(nearest("wieght", &names), Some("weight"));
        assert_eq!(nearest("cokie", &names), Some("cookie"));
        assert_eq!(nearest("backups", &names), Some("backup"));
        assert_eq!(nearest("elephant", &names), None);
        assert_eq!(nearest("", &names), None);
        assert_eq!(nearest(&"w".repeat(1_000_000), &names), None);
    }
}
