//! The leaderboard's categories, and which of them can be imported.
//!
//! Data in: names of categories and groups as people give them. Data out: categories in a fixed
//! order. Invariants: every category that the data has is listed here, with a reason where it is
//! not imported.

/// A category that is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Category {
    /// Its name, as in the files' names.
    pub name: &'static str,
    /// Whether it comes with accepted answers.
    pub has_answers: bool,
}

/// Everything that is imported, in the leaderboard's order.
pub const CATEGORIES: [Category; 11] = [
    answered("simple_python"),
    answered("multiple"),
    answered("parallel"),
    answered("parallel_multiple"),
    unanswered("irrelevance"),
    answered("live_simple"),
    answered("live_multiple"),
    answered("live_parallel"),
    answered("live_parallel_multiple"),
    unanswered("live_irrelevance"),
    unanswered("live_relevance"),
];

const fn answered(name: &'static str) -> Category {
    Category {
        name,
        has_answers: true,
    }
}

const fn unanswered(name: &'static str) -> Category {
    Category {
        name,
        has_answers: false,
    }
}

const JAVA: &str = "answers are Java source: its literals are converted by rules of their own, which are not implemented";
const JAVASCRIPT: &str = "answers are JavaScript source: its literals are converted by rules of their own, which are not implemented";
const TURNS: &str =
    "judged by the state of BFCL's simulated Python APIs, which only its own package can run";
const MEMORY: &str =
    "judged by the text of a final answer after a conversation with a memory backend of BFCL's own";
const WEB: &str = "judged by the text of a final answer after searching the real web";
const FORMATS: &str = "the same cases asked in 26 prompt forms, which a toolbench run has dialects for; BFCL does not count it either";

/// What is not imported, and why.
pub const NOT_IMPORTABLE: [(&str, &str); 12] = [
    ("simple_java", JAVA),
    ("simple_javascript", JAVASCRIPT),
    ("multi_turn_base", TURNS),
    ("multi_turn_miss_func", TURNS),
    ("multi_turn_miss_param", TURNS),
    ("multi_turn_long_context", TURNS),
    ("memory_kv", MEMORY),
    ("memory_vector", MEMORY),
    ("memory_rec_sum", MEMORY),
    ("web_search_base", WEB),
    ("web_search_no_snippet", WEB),
    ("format_sensitivity", FORMATS),
];

const MULTI_TURN: &[&str] = &[
    "multi_turn_base",
    "multi_turn_miss_func",
    "multi_turn_miss_param",
    "multi_turn_long_context",
];
const MEMORY_NAMES: &[&str] = &["memory_kv", "memory_vector", "memory_rec_sum"];
const WEB_NAMES: &[&str] = &["web_search_base", "web_search_no_snippet"];
const NON_LIVE: &[&str] = &[
    "simple_python",
    "simple_java",
    "simple_javascript",
    "multiple",
    "parallel",
    "parallel_multiple",
    "irrelevance",
];
const LIVE: &[&str] = &[
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "live_irrelevance",
    "live_relevance",
];

/// Groups of categories under the leaderboard's own names.
pub const GROUPS: [(&str, &[&[&str]]); 11] = [
    (
        "all",
        &[
            NON_LIVE,
            LIVE,
            MULTI_TURN,
            MEMORY_NAMES,
            WEB_NAMES,
            &["format_sensitivity"],
        ],
    ),
    (
        "all_scoring",
        &[NON_LIVE, LIVE, MULTI_TURN, MEMORY_NAMES, WEB_NAMES],
    ),
    ("single_turn", &[NON_LIVE, LIVE]),
    ("live", &[LIVE]),
    ("non_live", &[NON_LIVE]),
    (
        "python",
        &[
            &[
                "simple_python",
                "irrelevance",
                "parallel",
                "multiple",
                "parallel_multiple",
            ],
            LIVE,
        ],
    ),
    ("non_python", &[&["simple_java", "simple_javascript"]]),
    ("multi_turn", &[MULTI_TURN]),
    ("memory", &[MEMORY_NAMES]),
    ("web_search", &[WEB_NAMES]),
    ("agentic", &[MEMORY_NAMES, WEB_NAMES]),
];

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Categories to import, in the leaderboard's order.
    pub chosen: Vec<Category>,
    /// Categories asked for that are not imported, with the reason.
    pub refused: Vec<(&'static str, &'static str)>,
}

/// All names that may be given.
pub fn category_names() -> impl Iterator<Item = &'static str> {
    let own = CATEGORIES.iter().map(|category| category.name);
    let other = NOT_IMPORTABLE.iter().map(|(name, _)| *name);
    own.chain(other).chain(GROUPS.iter().map(|(name, _)| *name))
}

/// The category of that name, if it is imported.
pub fn importable(name: &str) -> Option<Category> {
    CATEGORIES.into_iter().find(|known| known.name == name)
}

/// Categories for the names given: all that can be imported without any. The error is the first
/// unknown name.
pub fn select(names: &[String]) -> Result<Selection, String> {
    let mut wanted: Vec<&str> = Vec::new();
    for name in names {
        match GROUPS.iter().find(|(group, _)| group == name) {
            Some((_, parts)) => wanted.extend(parts.iter().copied().flatten().copied()),
            None if category_names().any(|known| known == name) => wanted.push(name),
            None => return Err(name.clone()),
        }
    }
    let is_wanted = |name: &str| names.is_empty() || wanted.contains(&name);
    Ok(Selection {
        chosen: CATEGORIES
            .into_iter()
            .filter(|category| is_wanted(category.name))
            .collect(),
        refused: NOT_IMPORTABLE
            .into_iter()
            .filter(|(name, _)| is_wanted(name))
            .collect(),
    })
}
