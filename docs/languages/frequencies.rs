// The words of /notes/in.txt, the most frequent first.
use std::collections::BTreeMap;

fn main() {
    let text = std::fs::read_to_string("/notes/in.txt").expect("/notes/in.txt");
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_insert(0) += 1;
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    for (word, count) in sorted {
        println!("{count:3} {word}");
    }
}
