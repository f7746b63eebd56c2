//! Python arguments against what the leaderboard's own reader makes of them.

use super::read::{calls, literal};
use super::source::repr;
use crate::score::value::{Key, Value};

/// The value of `[f(x=TEXT)]`, as Python prints it.
fn argument(text: &str) -> Option<String> {
    let (name, arguments) = calls(&format!("[f(x={text})]")).ok()?.remove(0);
    assert_eq!(name, "f");
    let value = arguments.get("x").map(|value| repr(value, false));
    value.or_else(|| Some(repr(&Value::Object(arguments), false)))
}

#[test]
fn arguments_are_read_as_the_original_reads_them() {
    // Texts and results as Python 3.11 and bfcl-eval 2026.3.23 gave them.
    let table: &[(&str, Option<&str>)] = &[
        ("true", Some("'true'")),
        ("false", Some("'false'")),
        ("null", Some("'null'")),
        ("None", Some("None")),
        ("x", Some("'x'")),
        ("x.y", None),
        ("-x", None),
        ("--5", None),
        ("+5", Some("-5")),
        ("~5", Some("-5")),
        ("not True", Some("-1")),
        ("-True", Some("-1")),
        ("not x", None),
        ("5+3", Some("8")),
        ("2**10", Some("1024")),
        ("10/4", Some("2.5")),
        ("10//3", Some("3")),
        ("-7//2", Some("-4")),
        ("-7 % 3", Some("2")),
        ("7 % -3", Some("-2")),
        ("1_000", Some("1000")),
        ("0x1F", Some("31")),
        ("0o17", Some("15")),
        ("0b101", Some("5")),
        ("012", None),
        ("00", Some("0")),
        ("1e5", Some("100000.0")),
        ("1.", Some("1.0")),
        (".5", Some("0.5")),
        ("5j", Some("5j")),
        ("1+2j", Some("(1+2j)")),
        ("'a'+'b'", Some("'ab'")),
        ("'ab'*3", Some("'ababab'")),
        ("[1]*2", Some("[1, 1]")),
        ("(1,)", Some("(1,)")),
        ("(1, 2)", Some("(1, 2)")),
        ("()", Some("()")),
        ("{1, 2}", None),
        ("{}", Some("{}")),
        ("{'a': 1, **{'b': 2}}", None),
        ("{1: 2, True: 3}", Some("{1: 3}")),
        ("{(1, 2): 3}", Some("{(1, 2): 3}")),
        ("{[1]: 2}", None),
        ("f'x{1}'", None),
        ("b'x'", Some("b'x'")),
        ("r'\\n'", Some("'\\\\n'")),
        ("u'x'", Some("'x'")),
        ("'''a\nb'''", Some("'a\\nb'")),
        ("\"a\" \"b\"", Some("'ab'")),
        ("'a' b'c'", None),
        ("...", Some("'...'")),
        ("lambda: 1", None),
        ("lambda x, *y, z=1, **k: x", None),
        ("1 if True else 2", None),
        ("1 < 2", None),
        ("a and b", None),
        ("g(1)", Some("'g(1)'")),
        ("g(1, x)", Some("'g(1, x)'")),
        ("g(x=1)", Some("{'g': {'x': 1}}")),
        ("g(h(x=1))", Some("'g(h(x=1))'")),
        ("g()", Some("'g()'")),
        ("a[0]", Some("'a[0]'")),
        ("a[1:2]", Some("'a[1:2]'")),
        ("a[1, 2]", Some("'a[(1, 2)]'")),
        ("a['k']", Some("\"a['k']\"")),
        ("a[::2]", Some("'a[::2]'")),
        ("data['x']['y']", Some("\"data['x']['y']\"")),
        ("g(1)[0]", Some("'g(1)[0]'")),
        ("[g(1)]", Some("['g(1)']")),
        ("[x for x in y]", None),
        ("datetime(2020, 1, 1)", Some("'datetime(2020, 1, 1)'")),
        ("datetime.now()", Some("'datetime.now()'")),
        ("(1)", Some("1")),
        ("((1, 2))", Some("(1, 2)")),
        ("[1, 2, ]", Some("[1, 2]")),
        ("*a", None),
        ("1 2", None),
        ("'\\x41'", Some("'A'")),
        ("'\\u0041'", Some("'A'")),
        ("'\\101'", Some("'A'")),
        ("'\\q'", Some("'\\\\q'")),
        ("'\\", None),
        ("'a\nb'", None),
        ("1e400", Some("inf")),
        ("-1e400", Some("-inf")),
        ("1/0", None),
        ("99999999999999999999", Some("99999999999999999999")),
        ("2**-1", Some("0.5")),
        ("5.0//2", Some("2.0")),
        ("0.1+0.2", Some("0.30000000000000004")),
        ("(5+3)*2", Some("16")),
        ("-(5)", Some("-5")),
        ("-(5+3)", None),
        ("True+1", Some("2")),
        ("True|False", Some("True")),
        ("6^3", Some("5")),
        ("1<<70", Some("1180591620717411303424")),
        ("10@2", None),
        ("'a'*-1", Some("''")),
        ("1e3*2", Some("2000.0")),
        ("7.5%2", Some("1.5")),
        ("-7.5%2", Some("0.5")),
        ("100000000000000000000/3", Some("3.333333333333333e+19")),
        ("3*[1, 'a']", Some("[1, 'a', 1, 'a', 1, 'a']")),
        ("(1,)+(2,)", Some("(1, 2)")),
        ("[1]+[2]", Some("[1, 2]")),
        ("{'a': [1, {'b': (2,)}]}", Some("{'a': [1, {'b': (2,)}]}")),
        ("é", Some("'é'")),
        ("名前", Some("'名前'")),
        ("a.b.c(1)", Some("'a.b.c(1)'")),
        ("g(*a)", Some("'g(*a)'")),
        ("g(**k)", Some("{'g': {None: 'k'}}")),
        ("g(a, *b, c=1)", Some("{'g': {'c': 1}}")),
        ("print('x')", Some("\"print('x')\"")),
        ("await x", None),
        ("(yield)", None),
        ("x := 1", None),
        ("(x := 1)", None),
        ("g(x := 1)", Some("'g((x := 1))'")),
        ("a if b else c", None),
        ("g(a if b else c)", Some("'g(a if b else c)'")),
        ("g(lambda x: x + 1)", Some("'g(lambda x: x + 1)'")),
        (
            "g([i for i in range(3) if i])",
            Some("'g([i for i in range(3) if i])'"),
        ),
        ("g({1: 2, **a})", Some("'g({1: 2, **a})'")),
        ("g(-1, not a, ~b)", Some("'g(-1, not a, ~b)'")),
        ("g(a < b < c)", Some("'g(a < b < c)'")),
        ("g(a and b or c)", Some("'g(a and b or c)'")),
        ("g('it\\'s')", Some("'g(\"it\\'s\")'")),
        ("g(\"a'b\\\"c\")", Some("'g(\\'a\\\\\\'b\"c\\')'")),
        (
            "g(1.0, 1e16, 1e-5, 1e22, 5j)",
            Some("'g(1.0, 1e+16, 1e-05, 1e+22, 5j)'"),
        ),
        ("g(a ** -b)", Some("'g(a ** (-b))'")),
        ("g((a, b), [c], {d})", Some("'g((a, b), [c], {d})'")),
        ("g(a[b](c).d)", Some("'g(a[b](c).d)'")),
        ("g(not (a or b))", Some("'g(not (a or b))'")),
        ("g((a + b) * c)", Some("'g((a + b) * c)'")),
        ("g(a + (b * c))", Some("'g(a + b * c)'")),
        ("g(-(a ** b))", Some("'g(-a ** b)'")),
        ("g((-a) ** b)", Some("'g((-a) ** b)'")),
        ("g((lambda: 1)())", Some("'g((lambda: 1)())'")),
        (
            "g(a is not b, a not in c)",
            Some("'g(a is not b, a not in c)'"),
        ),
        ("g(5 .real)", Some("'g(5 .real)'")),
        (
            "g('\\x00\\n\\t\\xe9\\u200b')",
            Some("\"g('\\\\x00\\\\n\\\\té\\\\u200b')\""),
        ),
        ("g(b'\\xff\\'')", Some("'g(b\"\\\\xff\\'\")'")),
        ("g(u'x')", Some("\"g(u'x')\"")),
        ("None + 1", None),
        ("g(x for x in y)", Some("'g((x for x in y))'")),
        ("g((x for x in y), 1)", Some("'g((x for x in y), 1)'")),
        ("1if True else 2", None),
        ("0or 1", None),
        ("0_0", Some("0")),
        ("1__0", None),
        ("1_", None),
        ("0x_f", Some("15")),
        ("1.5j*2", Some("3j")),
    ];
    for (text, expected) in table {
        assert_eq!(argument(text).as_deref(), *expected, "{text}");
    }
}

#[test]
fn calls_stand_in_lists_tuples_sets_or_alone() {
    let names = |text: &str| -> Result<Vec<String>, String> {
        let found = calls(text).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|(name, _)| name).collect())
    };
    for text in [
        "[a.b(x=1), c()]",
        "a.b(x=1), c()",
        "(a.b(x=1), c(),)",
        "{a.b(), c()}",
        "[a.b(\n  x=1, # why\n), c()] # done",
        "'[a.b(), c()]'",
        "[a . b(), (c())]\n\n",
    ] {
        assert_eq!(
            names(text).as_deref(),
            Ok(&["a.b".into(), "c".into()][..]),
            "{text}"
        );
    }
    assert_eq!(names("[]"), Ok(Vec::new()));
    assert_eq!(names("a(x=1)").unwrap(), ["a"]);
    assert_eq!(names("[a()(x=1)]").unwrap(), [""]);
    for text in [
        "",
        "[a(), 5]",
        "[a()",
        "a() b()",
        " [a()]x",
        "'\n [a()]'",
        "[a()] [b()]",
        "[a(x=1, 2)]",
        "[a(**k, *b)]",
        "[a(x for x in y, 1)]",
        "[a(x=1 y=2)]",
        "[a(1=2)]",
        "[a(x=)]",
        "[a(None=1)]",
        "{'a': a()}",
        "[a() for x in y]",
        "[a(x=1)]]",
        "[a(x='b)]",
        "[a(x=1_)]",
        "[a(x=5x)]",
        "[a(x=$)]",
    ] {
        assert!(names(text).is_err(), "{text:?} was read");
    }
}

#[test]
fn positional_arguments_are_dropped_and_the_last_of_equal_keywords_counts() {
    let (_, arguments) = calls("[f(1, *rest, x=2, y=3, x=4, **more)]")
        .unwrap()
        .remove(0);
    let keys: Vec<Option<&str>> = arguments.iter().map(|(key, _)| key.text()).collect();
    assert_eq!(keys, [Some("x"), Some("y"), None]);
    assert_eq!(
        arguments
            .get("x")
            .map(|value| repr(value, false))
            .as_deref(),
        Some("4")
    );
    assert!(
        matches!(arguments.iter().last(), Some((Key::Other(_), Value::Text(text))) if text == "more")
    );
}

#[test]
fn literals_are_those_of_literal_eval() {
    for (text, expected) in [
        (" [1, 'a', None, True]", Some("[1, 'a', None, True]")),
        ("{'a': (1, -2.5)}", Some("{'a': (1, -2.5)}")),
        ("set()", Some("set()")),
        ("{1, 2}", Some("{1, 2}")),
        ("-1+2j", Some("(-1+2j)")),
        ("...", Some("Ellipsis")),
        ("a", None),
        ("--1", None),
        ("1+1", None),
        ("-True", None),
        ("{[1]}", None),
        ("f()", None),
        ("\n 1", None),
    ] {
        let found = literal(text).ok().map(|value| repr(&value, false));
        assert_eq!(found.as_deref(), expected, "{text}");
    }
}

#[test]
fn what_would_exhaust_memory_or_stack_is_refused() {
    for text in [
        "9**9**9**9".to_owned(),
        "1<<99999999999".to_owned(),
        "'a'*999999999".to_owned(),
        format!("{}1{}", "(".repeat(300), ")".repeat(300)),
        format!("{}1", "-".repeat(5000)),
        vec!["1"; 5000].join("+"),
        vec!["1"; 5000].join("**"),
        format!("{}1", "lambda: ".repeat(5000)),
        format!("{}1", "not ".repeat(5000)),
        format!("a{}", "()".repeat(5000)),
        "9".repeat(5000),
    ] {
        assert_eq!(argument(&text), None, "{}", &text[..20.min(text.len())]);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
        let _ = calls(&text);
        let _ = literal(&text);
    }

    #[test]
    fn any_near_miss_of_a_call_is_read_or_refused(text in r#"\[?[fg]\(([a-z]=)?[\[\](){}'"\\,:.*+/0-9a-z \n#=-]{0,30}\)?\]?"#) {
        let _ = calls(&text);
        let _ = literal(&text);
    }
}
