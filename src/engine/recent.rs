//! A small store of the most recently used things.
//!
//! Data in: keys and values with a size. Data out: the value again. Invariants: at most `most`
//! entries and, but for the newest one, at most `most_bytes`; the least recently used goes first.

/// Most recently used entries, the newest last.
pub(super) struct Recent<Key, Value> {
    entries: Vec<(Key, Value, usize)>,
    most: usize,
    most_bytes: usize,
}

impl<Key: PartialEq, Value> Recent<Key, Value> {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            entries: Vec::new(),
            most,
            most_bytes,
        }
    }

    /// The value of `key`, which becomes the newest.
    pub(super) fn get<Query>(&mut self, key: &Query) -> Option<&Value>
    where
        Query: ?Sized,
        Key: std::borrow::Borrow<Query>,
        Query: PartialEq,
    {
        let index = self
            .entries
            .iter()
            .position(|(kept, _, _)| kept.borrow() == key)?;
        let entry = self.entries.remove(index);
        self.entries.push(entry);
        self.entries.last().map(|(_, value, _)| value)
    }

    /// Keeps a value as the newest and drops what no longer fits.
    pub(super) fn insert(&mut self, key: Key, value: Value, bytes: usize) {
        self.entries.retain(|(kept, _, _)| *kept != key);
        self.entries.push((key, value, bytes));
        while self.entries.len() > 1
            && (self.entries.len() > self.most || self.total_bytes() > self.most_bytes)
        {
            self.entries.remove(0);
        }
    }

    fn total_bytes(&self) -> usize {
        self.entries.iter().map(|(_, _, bytes)| bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut recent = Recent::<String, u32>::new(2, usize::MAX);
        recent.insert("a".to_owned(), 1, 1);
        recent.insert("b".to_owned(), 2, 1);
        assert_eq!(recent.get("a"), Some(&1));
        recent.insert("c".to_owned(), 3, 1);
        assert_eq!(recent.get("b"), None);
        assert_eq!(recent.get("a"), Some(&1));
        assert_eq!(recent.get("c"), Some(&3));
    }

    #[test]
    fn bytes_are_bounded_but_the_newest_stays() {
        let mut recent = Recent::<String, u32>::new(9, 10);
        recent.insert("a".to_owned(), 1, 6);
        recent.insert("b".to_owned(), 2, 6);
        assert_eq!(recent.get("a"), None);
        recent.insert("c".to_owned(), 3, 99);
        assert_eq!(recent.get("b"), None);
        assert_eq!(recent.get("c"), Some(&3));
    }
}
