#!/usr/bin/env python3
"""Compares `toolbench score --rules bfcl` with the leaderboard's own checker, output by output.

A test tool. It makes hard outputs from the leaderboard's data (mutated answers, odd numbers, odd
texts), lets the original package judge them, lets toolbench judge the same file, and compares
verdict and error type of every line. A second part makes cases of shapes that the data does not
have. A third writes outputs as text (Python, JSON, XML), decodes them with the original, and makes
a suite whose only accepted answer is what the original read, so that any difference in reading
shows.

    python scripts/bfcl_oracle.py --package DIR [--toolbench BIN] [--count N] [--seed N]

DIR is the folder `bfcl_eval` of the Python package `bfcl-eval` 2026.3.23. Only the package itself
is needed; what it imports besides is replaced by stand-ins. Exit code 0 when nothing differs.
`--speed` measures verdicts a second of both on one file instead. Where the original raises, which
ends its whole run, toolbench must say that the output is invalid.
"""

import argparse
import ast
import collections
import json
import math
import os
import random
import re
import string
import subprocess
import sys
import tempfile
import time
import types
import warnings

warnings.simplefilter("ignore", SyntaxWarning)
warnings.simplefilter("ignore", DeprecationWarning)

CATEGORIES = [
    "simple_python", "multiple", "parallel", "parallel_multiple", "irrelevance",
    "live_simple", "live_multiple", "live_parallel", "live_parallel_multiple",
    "live_irrelevance", "live_relevance",
]


# --- the original -------------------------------------------------------------------------------


def load_original(package):
    """Imports checker and decoders, with stand-ins for what judging does not use."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(package)))

    class Model:
        underscore_to_dot = False

    class Models(dict):
        def __missing__(self, name):
            return Model

    config = types.ModuleType("bfcl_eval.constants.model_config")
    config.MODEL_CONFIG_MAPPING = Models()
    sys.modules["bfcl_eval.constants.model_config"] = config
    for name, attributes in {
        "tenacity": ["retry", "retry_if_exception_message", "retry_if_exception_type",
                     "wait_random_exponential"],
        "filelock": ["FileLock"],
        "bfcl_eval.model_handler.parser.java_parser": ["parse_java_function_call"],
        "bfcl_eval.model_handler.parser.js_parser": ["parse_javascript_function_call"],
    }.items():
        if name not in sys.modules:
            module = types.ModuleType(name)
            for attribute in attributes:
                setattr(module, attribute, None)
            sys.modules[name] = module
    from bfcl_eval.constants.enums import Language, ReturnFormat
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker
    from bfcl_eval.model_handler.utils import default_decode_ast_prompting
    from bfcl_eval.utils import is_empty_output, is_function_calling_format_output

    return types.SimpleNamespace(
        checker=ast_checker, language=Language.PYTHON, formats=ReturnFormat,
        decode=default_decode_ast_prompting, is_empty=is_empty_output,
        is_calls=is_function_calling_format_output,
    )


class Undecodable(Exception):
    pass


def calls_of(entry):
    """What a line of a calls file stands for, in the original's terms."""
    calls = entry.get("calls")
    decoded = []
    if not isinstance(calls, list):
        return None
    malformed = False
    for call in calls:
        if not isinstance(call, dict) or not isinstance(call.get("name"), str) or "arguments" not in call:
            malformed = True
            continue
        arguments = call["arguments"]
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except Exception as error:
                raise Undecodable from error
        decoded.append({call["name"]: arguments})
    return None if malformed else decoded


def original_verdict(original, case, decode):
    """(valid, error type); the error type is RAISED where the original stops."""
    category = case["category"]
    try:
        decoded, failed = decode(), False
    except Exception:
        decoded, failed = None, True
    if "relevance" in category:
        has_call = not failed and not original.is_empty(decoded)
        if "irrelevance" in category:
            return (not has_call, "irrelevance_error:decoder_success" if has_call else None)
        return (has_call, None if has_call else "relevance_error:decoder_failed")
    if failed:
        return (False, "ast_decoder:decoder_failed")
    if not original.is_calls(decoded):
        return (False, "ast_decoder:decoder_wrong_output_format")
    try:
        result = original.checker(case["function"], decoded, case["answer"], original.language, category, "any")
    except Exception:
        return (False, "RAISED")
    return (result["valid"], None if result["valid"] else result["error_type"])


def load_cases(package):
    data = os.path.join(package, "data")
    cases = []
    for category in CATEGORIES:
        with open(os.path.join(data, f"BFCL_v4_{category}.json"), encoding="utf-8") as file:
            questions = [json.loads(line) for line in file]
        answers = [None] * len(questions)
        path = os.path.join(data, "possible_answer", f"BFCL_v4_{category}.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                answers = [json.loads(line)["ground_truth"] for line in file]
        for question, answer in zip(questions, answers):
            cases.append({"id": question["id"], "category": category,
                          "function": question["function"], "answer": answer})
    return cases


# --- hard outputs -------------------------------------------------------------------------------


class Raw:
    """A piece of JSON that no value of Python writes."""

    def __init__(self, text):
        self.text = text

    def __deepcopy__(self, memo):
        return self


def dump(value, rng):
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        space = rng.choice(["", " "])
        return "{" + ",".join(f"{json.dumps(key)}:{space}{dump(item, rng)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(dump(item, rng) for item in value) + "]"
    return json.dumps(value, ensure_ascii=rng.random() < 0.5)


ODD_NUMBERS = [
    "0", "-0", "-0.0", "0.0", "1e400", "-1e400", "NaN", "Infinity", "-Infinity", "1e-400", "5e-324",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616",
    "123456789012345678901234567890", "1" + "0" * 400, "9007199254740993", "9007199254740993.0",
    "1E5", "1e+5", "100000.0", "1.0e0", "0.1e1", "10e-1", "1.7976931348623157e308", "2.0", "1", "1.0",
]
ODD_TEXTS = [
    '""', '" "', '"-"', '"_"', '"."', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"',
    '"\\u0130"', '"\\u212a"', '"\\u00df"', '"\\u03a3"', '"A\\u03a3"', '"\\u200b"', '"\\u00a0"',
    '"None"', '"null"', '"true"', '"True"', '"dontcare"', '"[]"', '"{}"', '"0"',
]
ODD_VALUES = [
    "null", "true", "false", "[]", "{}", "[[]]", "[{}]", "[null]", '[""]', '{"":""}', '[1,"a",null,{"b":[]}]',
    '{"a":1,"a":2}', '{"\\ud800":1}', "[" * 60 + "]" * 60,
]


def odd(rng):
    return Raw(rng.choice(rng.choice([ODD_NUMBERS, ODD_TEXTS, ODD_VALUES])))


DROPPED = " ,./-_*^"
KEPT = "\t\n\u00a0;:!?()[]{}'\"`´’“”+=@#$%&|~<>\\"
SPECIAL = "İıſßẞΣςσKÅéＡ１①ﬁǅ\u0301\u200b\u2028"


def odd_text(text, rng):
    kind = rng.randrange(16)
    if kind == 0:
        return text.upper()
    if kind == 1:
        return text.lower()
    if kind == 2:
        return text.title()
    if kind == 3:
        return text.swapcase()
    if kind in (4, 5, 6):
        pool = [DROPPED, DROPPED, KEPT, SPECIAL][rng.randrange(4)]
        for _ in range(rng.randint(1, 4)):
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(pool) + text[at:]
        return text
    if kind == 7:
        return "".join(c for c in text if c not in DROPPED)
    if kind == 8:
        return text.replace("'", '"') if "'" in text else text.replace('"', "'")
    if kind == 9 and text:
        at = rng.randrange(len(text))
        return text[:at] + text[at + 1:]
    if kind == 10 and text:
        at = rng.randrange(len(text))
        return text[:at] + rng.choice(string.printable + SPECIAL) + text[at + 1:]
    if kind == 11:
        return " " + text + " "
    if kind == 12:
        return text + rng.choice(["s", ".", "\n", "İ", "Σ"])
    if kind == 13:
        return text.replace(" ", rng.choice(["_", "-", "\t", "\u00a0", ""]))
    if kind == 14:
        return text.encode("unicode_escape").decode()
    return text[::-1]


def change(value, rng, depth=0):
    """One change to a value."""
    if isinstance(value, Raw) or rng.random() < 0.12:
        return odd(rng)
    if isinstance(value, bool):
        return rng.choice([not value, int(value), float(value), str(value), str(value).lower(), None, [value]])
    if isinstance(value, int):
        return rng.choice([
            float(value), value + 1, value - 1, -value, str(value), bool(value), [value], None, value * 10,
            Raw(f"{value}.0"), Raw(f"{value}e0"), Raw(f"{value}.00000000000000001"), value + 0.5,
            value + 2**53, value << 70, f"{value}.0", {"value": value},
        ])
    if isinstance(value, float):
        whole = int(value) if math.isfinite(value) else 0
        return rng.choice([
            whole, -value, value + 1, math.nextafter(value, math.inf), math.nextafter(value, -math.inf),
            str(value), [value], None, value * 100, value / 100, Raw(repr(value) + "0"), bool(value), round(value, 2),
        ])
    if isinstance(value, str):
        if rng.random() < 0.65:
            return odd_text(value, rng)
        return rng.choice([[value], list(value), len(value), None, True, {"value": value}, "", value.split(" "),
                           value.split(","), 0, 0.0])
    if value is None:
        return rng.choice(["", "null", "None", 0, False, [], {}])
    if isinstance(value, list):
        value = list(value)
        kind = rng.randrange(13)
        if kind == 0:
            rng.shuffle(value)
        elif kind == 1 and value:
            value.pop(rng.randrange(len(value)))
        elif kind == 2 and value:
            value.append(rng.choice(value))
        elif kind == 3:
            value.append(rng.choice(["", 0, None, "x", 1.0, [], {}]))
        elif kind in (4, 5, 6) and value and depth < 4:
            at = rng.randrange(len(value))
            value[at] = change(value[at], rng, depth + 1)
        elif kind == 7:
            return [value]
        elif kind == 8:
            return []
        elif kind == 9:
            return rng.choice(["", None, {}, ", ".join(map(str, value)), json.dumps([str(item) for item in value])])
        elif kind == 10 and value:
            return value[0]
        elif kind == 11:
            value = [float(item) if type(item) is int else item for item in value]
        elif kind == 12:
            value = [str(item) for item in value]
        return value
    if isinstance(value, dict):
        value = dict(value)
        keys = list(value)
        kind = rng.randrange(11)
        if kind == 0 and keys:
            del value[rng.choice(keys)]
        elif kind == 1:
            value[rng.choice(["extra", "", "Name", "id", "type"])] = rng.choice([1, "", None, [], "x"])
        elif kind in (2, 3, 4, 5) and keys and depth < 4:
            key = rng.choice(keys)
            value[key] = change(value[key], rng, depth + 1)
        elif kind == 6 and keys:
            rng.shuffle(keys)
            value = {key: value[key] for key in keys}
        elif kind == 7 and keys:
            key = rng.choice(keys)
            value[odd_text(key, rng)] = value.pop(key)
        elif kind == 8:
            return rng.choice([[value], "", None, [], {}, json.dumps(str(value))])
        elif kind == 9 and keys:
            key = rng.choice(keys)
            value[key] = [value[key]]
        elif kind == 10:
            return {}
        return value
    return value


def pick(alternatives, rng):
    """One accepted value, with the alternatives inside objects picked too."""
    usable = [one for one in alternatives if one != ""] if rng.random() < 0.9 else alternatives
    if not usable:
        return ""
    return settle(rng.choice(usable), rng)


def settle(value, rng):
    if isinstance(value, dict):
        settled = {}
        for key, alternatives in value.items():
            if isinstance(alternatives, list):
                if "" in alternatives and rng.random() < 0.4:
                    continue
                settled[key] = pick(alternatives, rng)
            else:
                settled[key] = alternatives
        return settled
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [settle(item, rng) for item in value]
    return value


def right_calls(case, rng):
    """Calls that should pass, or some calls where nothing is expected."""
    if case["answer"] is None:
        made = []
        for function in case["function"][: rng.choice([0, 0, 1, 1, 2])]:
            properties = function["parameters"]["properties"]
            made.append([function["name"], {name: rng.choice([1, "x", True, None]) for name in properties}])
        return made
    made = []
    for call in case["answer"]:
        (name, parameters), = call.items()
        arguments = {}
        for parameter, alternatives in parameters.items():
            if "" in alternatives and rng.random() < 0.5:
                continue
            arguments[parameter] = pick(alternatives, rng)
        made.append([name, arguments])
    return made


def schema_of(case, name):
    for function in case["function"]:
        if function["name"] == name:
            return function["parameters"]
    return case["function"][0]["parameters"] if case["function"] else {"properties": {}, "required": []}


def change_calls(case, calls, rng):
    """One change to a list of [name, arguments]."""
    kind = rng.randrange(24)
    if not calls or kind == 0:
        calls.append([rng.choice([function["name"] for function in case["function"]] or ["f"]), {}])
        return
    at = rng.randrange(len(calls))
    name, arguments = calls[at]
    if not isinstance(arguments, dict):
        return
    if kind in (1, 2, 3, 4, 5, 6, 7, 8, 9) and arguments:
        key = rng.choice(list(arguments))
        arguments[key] = change(arguments[key], rng)
    elif kind == 10 and arguments:
        del arguments[rng.choice(list(arguments))]
    elif kind == 11:
        properties = schema_of(case, name)["properties"]
        absent = [key for key in properties if key not in arguments]
        if absent:
            key = rng.choice(absent)
            default = properties[key].get("default", "")
            arguments[key] = rng.choice([default, "", [], {}, None, "x", 1, 1.0, True])
    elif kind == 12:
        arguments[rng.choice(["unknown", "", "name", "Unit"])] = rng.choice([1, "x", None])
    elif kind == 13 and arguments:
        key = rng.choice(list(arguments))
        arguments[odd_text(key, rng)] = arguments.pop(key)
    elif kind == 14 and arguments:
        keys = list(arguments)
        rng.shuffle(keys)
        calls[at][1] = {key: arguments[key] for key in keys}
    elif kind == 15:
        names = [function["name"] for function in case["function"]]
        calls[at][0] = rng.choice(names + [name.replace(".", "_"), name.upper(), " " + name, name + " ", "", "x"])
    elif kind == 16:
        calls.pop(at)
    elif kind == 17:
        calls.append([name, dict(arguments)])
    elif kind == 18:
        rng.shuffle(calls)
    elif kind == 19:
        calls.reverse()
    elif kind == 20 and len(calls) > 1:
        other = rng.randrange(len(calls))
        calls[at][1], calls[other][1] = calls[other][1], calls[at][1]
    elif kind == 21 and arguments:
        # The same key twice: the last value counts.
        key = rng.choice(list(arguments))
        pieces = [f"{json.dumps(key)}: {dump(change(arguments[key], rng), rng)}"]
        pieces += [f"{json.dumps(one)}: {dump(value, rng)}" for one, value in arguments.items()]
        if rng.random() < 0.5:
            pieces.reverse()
        calls[at][1] = Raw("{" + ", ".join(pieces) + "}")
    elif kind == 22:
        properties = schema_of(case, name)["properties"]
        for key, details in properties.items():
            if key not in arguments:
                arguments[key] = rng.choice(["", [], details.get("default", "")])
    elif kind == 23:
        calls[at][1] = {}


def line_of(case, rng):
    calls = right_calls(case, rng)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3, 5])):
        change_calls(case, calls, rng)
    made = []
    for name, arguments in calls:
        text = dump(arguments, rng)
        shape = rng.random()
        if shape < 0.06:
            text = json.dumps(text)
        elif shape < 0.08:
            text = json.dumps(text[: rng.randint(0, len(text))])
        elif shape < 0.09:
            text = rng.choice(["null", "[]", "5", '"x"', '"[]"', '"null"', "true", f"[{text}]", json.dumps("NaN")])
        made.append('{"name": ' + json.dumps(name) + ', "arguments": ' + text + "}")
    body = "[" + ", ".join(made) + "]"
    if rng.random() < 0.01:
        body = rng.choice(["null", "{}", "[[]]", '["x"]', "[{}]", '[{"name": "f"}]', '[{"arguments": {}}]',
                           '"[]"', "0", '[{"name": 5, "arguments": {}}]', f"[{body}]"])
    return '{"id": ' + json.dumps(case["id"]) + ', "calls": ' + body + "}"


# --- hard texts ---------------------------------------------------------------------------------

ODD_PYTHON = [
    "true", "false", "null", "None", "x", "x.y", "-x", "--5", "+5", "~5", "not True", "-True", "not x", "5+3", "2**10",
    "10/4", "10//3", "-7//2", "-7 % 3", "7 % -3", "1_000", "0x1F", "0o17", "0b101", "012", "00", "1e5", "1.", ".5", "5j",
    "1+2j", "'a'+'b'", "'ab'*3", "[1]*2", "(1,)", "(1, 2)", "()", "{1, 2}", "{}", "{'a': 1, **{'b': 2}}", "{1: 2, True: 3}",
    "{(1, 2): 3}", "{[1]: 2}", "f'x{1}'", "b'x'", "r'\\n'", "u'x'", "'''a\nb'''", '"a" "b"', "'a' b'c'", "...", "lambda: 1",
    "lambda x, *y, z=1, **k: x", "1 if True else 2", "1 < 2", "a and b", "g(1)", "g(1, x)", "g(x=1)", "g(h(x=1))",
    "g()", "a[0]", "a[1:2]", "a[1, 2]", "a['k']", "a[::2]", "data['x']['y']", "g(1)[0]", "[g(1)]", "[x for x in y]",
    "datetime(2020, 1, 1)", "datetime.now()", "(1)", "((1, 2))", "[1, 2, ]", "*a", "1 2", "'\\x41'", "'\\u0041'", "'\\101'",
    "'\\q'", "'\\ud800'", "'\\", "'a\nb'", "10**400", "1e400", "-1e400", "1/0", "99999999999999999999", "2**-1", "5.0//2",
    "0.1+0.2", "(5+3)*2", "-(5)", "-(5+3)", "True+1", "True|False", "6^3", "1<<70", "10@2", "'a'*-1", "1e3*2", "7.5%2", "-7.5%2",
    "100000000000000000000/3", "3*[1, 'a']", "(1,)+(2,)", "[1]+[2]", "{'a': [1, {'b': (2,)}]}", "é", "名前", "a.b.c(1)",
    "g(*a)", "g(**k)", "g(a, *b, c=1)", "print('x')", "await x", "(yield)", "x := 1", "(x := 1)", "g(x := 1)", "a if b else c",
    "g(a if b else c)", "g(lambda x: x + 1)", "g([i for i in range(3) if i])", "g({1: 2, **a})", "g(-1, not a, ~b)",
    "g(a < b < c)", "g(a and b or c)", "g('it\\'s')", 'g("a\'b\\"c")', "g(1.0, 1e16, 1e-5, 1e22, 5j)", "g(a ** -b)",
    "g((a, b), [c], {d})", "g(a[b](c).d)", "g(not (a or b))", "g((a + b) * c)", "g(a + (b * c))", "g(-(a ** b))", "g((-a) ** b)",
    "g((lambda: 1)())", "g(a is not b, a not in c)", "g(5 .real)", "g('\\x00\\n\\t\\xe9\\u200b')", "g(b'\\xff\\'')", "g(u'x')",
    "None + 1", "g(x for x in y)", "g((x for x in y), 1)", "1if True else 2", "0or 1", "0_0", "1__0", "1_", "0x_f", "1.5j*2",
]


def python_text(value, rng):
    if isinstance(value, Raw) or rng.random() < 0.03:
        return rng.choice(ODD_PYTHON)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{python_text(key, rng)}: {python_text(item, rng)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        opened, closed = rng.choice([("[", "]")] * 6 + [("(", ")"), ("(", ",)")])
        return opened + ", ".join(python_text(item, rng) for item in value) + closed
    if isinstance(value, str):
        return rng.choice([repr(value), repr(value), json.dumps(value), '"""' + value + '"""', "'" + value + "'"])
    return repr(value)


def as_python(calls, rng):
    made = []
    for name, arguments in calls:
        items = list(arguments.items()) if isinstance(arguments, dict) else []
        pieces = [f"{key}={python_text(value, rng)}" for key, value in items]
        if rng.random() < 0.08:
            pieces.insert(rng.randint(0, len(pieces)), rng.choice(ODD_PYTHON))
        if rng.random() < 0.03:
            pieces.append(rng.choice(["**k", "*a", "a=1", "a=1, a=2", ",", "x"]))
        made.append(f"{name}({', '.join(pieces)})")
    text = ", ".join(made)
    shape = rng.random()
    if shape < 0.6:
        text = f"[{text}]"
    elif shape < 0.65:
        text = f"({text})"
    elif shape < 0.68:
        text = f"[{text},]"
    return text


def as_json(calls, rng):
    made = []
    for name, arguments in calls:
        keys = rng.choice([("function", "parameters")] * 12 + [("name", "arguments"), ("function", "arguments")])
        made.append(f"{{{json.dumps(keys[0])}: {json.dumps(name)}, {json.dumps(keys[1])}: {dump(arguments, rng)}}}")
    return rng.choice(["[%s]"] * 8 + ["%s", "```json\n[%s]\n```", "Here: [%s]", "[%s] [1]", "[[%s]]", "[1, %s]"]) % ", ".join(made)


def xml_type(value):
    if isinstance(value, bool):
        return "boolean"
    return {int: "integer", float: "float", str: "string", list: "array", dict: "object", type(None): "null"}.get(type(value), "string")


def escape(text, rng):
    if rng.random() < 0.03:
        return text
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def as_xml(calls, rng, verbose):
    made = []
    for name, arguments in calls:
        items = arguments.items() if isinstance(arguments, dict) else []
        parameters = []
        for key, value in items:
            kind = xml_type(value)
            if rng.random() < 0.06:
                kind = rng.choice(["string", "integer", "float", "boolean", "null", "array", "tuple", "object", "dict", "any"])
            text = value if isinstance(value, str) else python_text(value, rng)
            if rng.random() < 0.03:
                text = rng.choice([" 5 ", "1_000", "+5", "5.", ".5", "inf", "nan", "-Infinity", "1e5", "TRUE", "", "１", "[1", "(1, 2)",
                                   "{1}", "set()", "1+2j", "-5", "--5", "b'x'", "...", " [1]", "\n[1]", "x", "5 5", "_5", "5_", "0x1f"])
            typed = "" if kind == "string" and rng.random() < 0.5 else f' type="{kind}"'
            if verbose:
                parameters.append(f'<param name="{escape(key, rng)}" value="{escape(text, rng)}"{typed}/>')
            else:
                space = rng.choice(["", "", " ", "\n"])
                inner = rng.choice(["%s"] * 12 + ["<!-- c -->%s", "%s<!-- c --> z", "<![CDATA[%s]]>", "%s<b/>y", "&#65;%s"])
                parameters.append(f'<param name="{escape(key, rng)}"{typed}>{space}{inner % escape(text, rng)}{space}</param>')
        body = "".join(parameters)
        if verbose and rng.random() < 0.9:
            body = f"<params>{body}</params>"
        made.append(f'<function name="{escape(name, rng)}">{body}</function>')
    return rng.choice(["<functions>%s</functions>"] * 9 + ["```xml\n<functions>\n%s\n</functions>\n```", "<functions>%s</function>",
                                                            "Sure. <functions>%s</functions> done"]) % "".join(made)


def spoil(text, rng):
    """Small damage, as models do it."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randint(0, len(text))
        kind = rng.randrange(7)
        if kind == 0:
            text = text[:at] + text[at + 1:]
        elif kind == 1:
            text = text[:at] + rng.choice("()[]{}'\",=:.*-+#\\\n\t `<>&;!|~^%@0123456789abxXeEjJ_uUrRfFbBé\u00a0\x0c") + text[at:]
        elif kind == 2:
            text = text[:at]
        elif kind == 3:
            text = rng.choice(["```python\n", "```", "\n", " ", "Answer: ", "'", "`", "\t", "[", "\ufeff", "\x0c"]) + text
        elif kind == 4:
            text = text + rng.choice(["\n```", "```", "\n", " ", ".", "'", " # done", "\n# done", "]", "\t", "\nok", ";"])
        elif kind == 5:
            other = rng.randint(0, len(text))
            text = text[:at] + text[min(at, other):max(at, other)][:20] + text[at:]
        else:
            at = text.find(rng.choice("(,[:= "), at)
            if at >= 0:
                text = text[:at + 1] + rng.choice([" ", "\n", "\n  ", "\\\n", "# c\n", "\t", "  "]) + text[at + 1:]
    return text


# --- comparing ----------------------------------------------------------------------------------


def run_toolbench(binary, suite, lines, folder, extra=()):
    path = os.path.join(folder, "calls.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    command = [binary, "score", "--suite", suite, "--calls", path, "--rules", "bfcl", "--quiet", *extra]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    if done.returncode != 0:
        sys.exit(f"toolbench ended with {done.returncode}: {done.stderr}")
    verdicts = [json.loads(line) for line in done.stdout.split("\n") if line]
    if len(verdicts) != len(lines):
        sys.exit(f"toolbench gave {len(verdicts)} verdicts for {len(lines)} lines")
    return verdicts


class Tally:
    def __init__(self, shown):
        self.shown = shown
        self.total = self.valid = self.raised = self.different = 0
        self.kinds = collections.Counter()

    def add(self, what, line, expected, found):
        self.total += 1
        valid, error = expected
        self.valid += bool(valid)
        self.raised += error == "RAISED"
        self.kinds[error or "valid"] += 1
        if error == "RAISED":
            same = found["valid"] is False
        else:
            same = found["valid"] == valid and found["error_type"] == error
        if not same:
            self.different += 1
            if self.different <= self.shown:
                print(f"DIFFERENT ({what}): original {valid} {error}, toolbench {found['valid']} {found['error_type']}\n  {line[:1500]}")

    def report(self, what):
        print(f"{what}: {self.total} outputs, {self.valid} valid, {self.raised} on which the original raises, "
              f"{self.different} judged differently")
        for name, count in sorted(self.kinds.items(), key=lambda item: -item[1]):
            print(f"    {count:8} {name}")


def weighted(cases, rng):
    """Draws a case; those with lists and objects, where rules are hard, as often as all others."""
    def is_rich(case):
        return any(isinstance(one, (list, dict)) for call in case["answer"] or [] for parameters in call.values()
                   for alternatives in parameters.values() for one in alternatives)

    rich = [case for case in cases if is_rich(case)]
    answered = [case for case in cases if case["answer"] is not None]
    groups = [rich, rich, answered, [case for case in answered if "parallel" in case["category"]], cases]
    return lambda: rng.choice(rng.choice([group for group in groups if group]))


def compare_calls(original, cases, suite, binary, count, rng, folder, shown):
    tally = Tally(shown)
    draw = weighted(cases, rng)
    batch = 50_000
    while tally.total < count:
        chosen = []
        while len(chosen) < min(batch, count - tally.total):
            case = draw()
            chosen.append((case, line_of(case, rng)))
        found = run_toolbench(binary, suite, [line for _, line in chosen], folder)
        for (case, line), verdict in zip(chosen, found):
            expected = original_verdict(original, case, lambda: calls_of(json.loads(line)))
            tally.add("calls", line, expected, verdict)
    tally.report("calls")
    return tally.different


def literal_case(number, decoded):
    """A case that only this decoded output answers; None where JSON cannot state it. Parameters are
    declared with another type than their value has: then the original compares values literally."""
    functions, answers = [], []
    for call in decoded:
        (name, arguments), = call.items()
        properties = {}
        for key, value in arguments.items():
            if not isinstance(key, str) or not plain(key) or not plain(value) or value == "":
                return None
            properties[key] = {"type": "string" if not isinstance(value, str) else "integer"}
        functions.append({"name": name, "description": "", "parameters": {
            "type": "dict", "properties": properties, "required": sorted(properties)}})
        answers.append({name: {key: [value] for key, value in arguments.items()}})
    if len({function["name"] for function in functions}) < len(functions) or len(decoded) != 1:
        return None
    return {"id": f"t{number}", "category": "simple_python", "function": functions, "answer": answers}


PIECES = ["", "a", "A b", "x,y", "é", "'", 0, 1, 2, -1, 1.0, 0.5, 2.0, True, False, None, [], ["a"], ["A", "b c"], [1], [1, 2],
          [1.0, 2.0], [1, "a"], ["", 1], [[1]], [["a"]], [None], [True], {}, {"k": ["v"]}, {"k": ["v", ""]}, {"k": [1], "l": ["a", ""]},
          {"k": [{"m": 1}]}, {"k": [["a"]]}, {"k": []}, {"k": ["", None]}, {"k": "ab"}, {"k": 5}, {"k": None}, {"k": {}}, {"k": {"m": 1}},
          [{}], [{"k": ["v"]}], [{"k": ["v", ""]}, {"k": [1]}], [{"k": [1.0]}, {}], [{"k": ["v"]}, ""], ["ab"], "ab", 10**12]
TYPES = ["string", "integer", "float", "boolean", "array", "tuple", "dict", "any"]


KINDS = {"string": str, "any": str, "integer": int, "float": float, "boolean": bool, "array": list, "tuple": list, "dict": dict}


def fitting(details, rng):
    """Pieces for a parameter, mostly of its own type."""
    if rng.random() < 0.3:
        return PIECES
    kind = KINDS[details["type"]]
    own = [one for one in PIECES if type(one) is kind]
    if kind is list:
        inner = KINDS[details["items"]["type"]]
        own = [one for one in own if all(type(item) is inner for item in one)]
    return (own or PIECES) + ([""] if rng.random() < 0.3 else [])


def made_case(number, rng):
    """A case of shapes that the data does not have."""
    category = rng.choice(["simple_python", "multiple", "parallel"])
    functions, answers = [], []
    for index in range(1 if category == "simple_python" else rng.randint(1, 3)):
        properties, answer = {}, {}
        for name in rng.sample(["a", "b", "c", "d", "e"], rng.randint(1, 4)):
            kind = rng.choice(TYPES + ["array", "dict", "array"])
            details = {"type": kind, "description": ""}
            if kind in ("array", "tuple"):
                details["items"] = {"type": rng.choice(TYPES + ["dict"])}
            if rng.random() < 0.9:
                properties[name] = details
            if rng.random() < 0.92:
                pieces = fitting(details, rng)
                answer[name] = [rng.choice(pieces) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4]))]
        required = [name for name in properties if rng.random() < 0.3]
        name = rng.choice(["f", "g.h", "k"]) + str(index)
        functions.append({"name": name, "description": "", "parameters": {
            "type": "dict", "properties": properties, "required": required}})
        answers.append({name: answer})
    if category == "parallel":
        answers = [rng.choice(answers) for _ in range(rng.randint(1, 3))]
    else:
        answers = answers[:1]
    return {"id": f"m{number}", "category": category, "function": functions, "answer": answers}


def made_output(case, rng):
    calls = []
    for call in case["answer"]:
        (name, answer), = call.items()
        arguments = {}
        for parameter, alternatives in answer.items():
            if rng.random() < 0.25:
                continue
            value = rng.choice(alternatives) if alternatives and rng.random() < 0.7 else rng.choice(PIECES)
            if rng.random() < 0.5:
                value = settle(value, rng)
            if rng.random() < 0.3:
                value = change(value, rng)
            arguments[parameter] = value
        if rng.random() < 0.1:
            arguments[rng.choice(["a", "b", "z"])] = rng.choice(PIECES)
        calls.append([name, arguments])
    if rng.random() < 0.1:
        rng.shuffle(calls)
    made = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return '{"id": ' + json.dumps(case["id"]) + ', "calls": ' + dump(made, rng) + "}"


def compare_made(original, binary, count, rng, folder, shown):
    tally = Tally(shown)
    while tally.total < count:
        made = [made_case(number, rng) for number in range(500)]
        suite = write_suite(binary, made, folder)
        chosen = [(case, made_output(case, rng)) for case in made for _ in range(40)]
        found = run_toolbench(binary, suite, [line for _, line in chosen], folder)
        for (case, line), verdict in zip(chosen, found):
            expected = original_verdict(original, case, lambda: calls_of(json.loads(line)))
            tally.add("made cases", line + "\n  " + json.dumps({key: case[key] for key in ("category", "function", "answer")}), expected, verdict)
    tally.report("made cases")
    return tally.different


def plain(value):
    if isinstance(value, (list, tuple)):
        return isinstance(value, list) and all(plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(key) and plain(item) for key, item in value.items())
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return -2**63 <= value < 2**64
    if isinstance(value, str):
        return not any("\ud800" <= c <= "\udfff" for c in value)
    return value is None or isinstance(value, bool)


def native_of(original, entry):
    """The reader of native calls that most of the original's handlers share."""
    decoded = []
    for invoked in entry["result"]:
        name = list(invoked.keys())[0]
        decoded.append({name: json.loads(invoked[name])})
    return decoded


def compare_native(original, cases, suite, binary, count, rng, folder, shown):
    """Lines of result files: native calls with arguments as JSON, and prompted text."""
    tally = Tally(shown)
    draw = weighted(cases, rng)
    chosen = []
    for _ in range(count):
        case = draw()
        calls = right_calls(case, rng)
        for _ in range(rng.choice([0, 1, 1, 2])):
            change_calls(case, calls, rng)
        if rng.random() < 0.3:
            text = as_python(calls, rng)
            if not ENDLESS.search(text) and not any("\ud800" <= c <= "\udfff" for c in text):
                line = json.dumps({"id": case["id"], "result": text, "latency": 0.5})
                chosen.append((case, line, lambda text=text: original.decode(text, original.formats.PYTHON, False)))
            continue
        made = []
        for name, arguments in calls:
            text = dump(arguments, rng)
            if rng.random() < 0.05:
                text = rng.choice(["", "null", "[]", "5", '"x"', text + "}", text[1:], "NaN", " " + text + "\n"])
            made.append({name: text} if rng.random() < 0.97 else {name: text, "other": "{}"})
        if rng.random() < 0.03:
            made = rng.choice([[{}], [[]], ["x"], [None], "", {}, None, 5, made + [{"f": None}], made + [{"f": 5}], [made]])
        line = json.dumps({"id": case["id"], "result": made})
        entry = {"result": made}
        # A text where native calls are due is read as text by toolbench, which cannot know the model.
        if isinstance(made, str):
            continue
        chosen.append((case, line, lambda entry=entry: native_of(original, entry)))
    found = run_toolbench(binary, suite, [line for _, line, _ in chosen], folder)
    for (case, line, decode), verdict in zip(chosen, found):
        tally.add("result files", line, original_verdict(original, case, decode), verdict)
    tally.report("result files")
    return tally.different


# Arithmetic that would keep the original busy for hours.
ENDLESS = re.compile(r"\*\*\D{0,3}\d{5,}|\*\*.{0,15}\*\*|<<\D{0,3}\d{6,}|\*\D{0,3}\d{7,}", re.DOTALL)

ANY_CASE = {"category": "simple_python",
            "function": [{"name": "f", "description": "", "parameters": {"type": "dict", "properties": {}, "required": []}}],
            "answer": [{"f": {}}]}


def compare_texts(original, cases, binary, count, rng, folder, shown, form, tagged):
    """Texts in one form, each against a case made of what the original read in it."""
    formats = original.formats
    kind = {"python": formats.PYTHON, "json": formats.JSON, "verbose_xml": formats.VERBOSE_XML,
            "concise_xml": formats.CONCISE_XML}[form]
    made, lines, expected = [], [], []
    answered = [case for case in cases if case["answer"]]
    for number in range(count):
        case = rng.choice(answered)
        calls = right_calls(case, rng)
        if rng.random() < 0.7:
            calls = calls[:1]
        for _ in range(rng.choice([0, 0, 1, 2])):
            change_calls(case, calls, rng)
        if form == "python":
            text = as_python(calls, rng)
        elif form == "json":
            text = as_json(calls, rng)
        else:
            text = as_xml([(name, settle_raw(arguments)) for name, arguments in calls], rng, form == "verbose_xml")
        if rng.random() < 0.35:
            text = spoil(text, rng)
        if tagged:
            text = rng.choice(["<TOOLCALL>%s</TOOLCALL>", "ok <TOOLCALL> %s </TOOLCALL> <TOOLCALL>x</TOOLCALL>", "<TOOLCALL>%s", "%s",
                               "<TOOLCALL>\n'%s'</TOOLCALL>"]) % text.replace("%", "")
        if any("\ud800" <= c <= "\udfff" for c in text) or ENDLESS.search(text):
            continue
        decode = lambda: original.decode(text, kind, tagged)
        try:
            decoded = decode()
        except Exception:
            decoded = None
        stated = literal_case(number, decoded) if decoded and original.is_calls(decoded) else None
        stated = stated or {**ANY_CASE, "id": f"t{number}"}
        made.append(stated)
        lines.append(json.dumps({"id": stated["id"], "output": text}))
        expected.append(original_verdict(original, stated, decode))
    suite = write_suite(binary, made, folder)
    extra = ["--decode", form] + (["--tool-call-tag"] if tagged else [])
    found = run_toolbench(binary, suite, lines, folder, extra)
    what = form + (" in a tag" if tagged else "")
    tally = Tally(shown)
    for line, wanted, verdict in zip(lines, expected, found):
        tally.add(what, line, wanted, verdict)
    tally.report(what)
    return tally.different


def settle_raw(arguments):
    if isinstance(arguments, Raw):
        return {}
    return {key: ("?" if isinstance(value, Raw) else value) for key, value in arguments.items()}


def write_suite(binary, cases, folder):
    """Cases as a data folder of the leaderboard's shape, imported."""
    data = os.path.join(folder, "data")
    os.makedirs(os.path.join(data, "possible_answer"), exist_ok=True)
    by_category = collections.defaultdict(list)
    for case in cases:
        by_category[case["category"]].append(case)
    for category, group in by_category.items():
        name = f"BFCL_v4_{category}.json"
        with open(os.path.join(data, name), "w", encoding="utf-8") as file:
            for case in group:
                question = [[{"role": "user", "content": "?"}]]
                file.write(json.dumps({"id": case["id"], "question": question, "function": case["function"]}) + "\n")
        with open(os.path.join(data, "possible_answer", name), "w", encoding="utf-8") as file:
            for case in group:
                file.write(json.dumps({"id": case["id"], "ground_truth": case["answer"]}) + "\n")
    suite = os.path.join(folder, "made.json")
    import_suite(binary, data, suite, ["--category", ",".join(by_category)])
    return suite


def import_suite(binary, data, suite, extra=()):
    command = [binary, "import", "bfcl", "--from", data, "--out", suite, "--quiet", *extra]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"toolbench import ended with {done.returncode}: {done.stderr}")


# --- speed --------------------------------------------------------------------------------------


def compare_speed(original, cases, suite, binary, count, rng, folder):
    """Verdicts a second of both on one file: reading lines, judging, writing verdicts."""
    known = {case["id"]: case for case in cases}
    path = os.path.join(folder, "speed.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(count):
            # What models give: mostly right, two in five with something wrong.
            case = rng.choice(cases)
            calls = right_calls(case, rng)
            if rng.random() < 0.4:
                change_calls(case, calls, rng)
            made = [f'{{"name": {json.dumps(name)}, "arguments": {dump(arguments, rng)}}}' for name, arguments in calls]
            file.write(f'{{"id": {json.dumps(case["id"])}, "calls": [{", ".join(made)}]}}\n')

    def by_original():
        out = open(os.path.join(folder, "original.jsonl"), "w", encoding="utf-8")
        started, busy = time.perf_counter(), time.process_time()
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                entry = json.loads(line)
                case = known[entry["id"]]
                valid, error = original_verdict(original, case, lambda: calls_of(entry))
                out.write(json.dumps({"line": number, "id": entry["id"], "valid": valid, "error_type": error}) + "\n")
        out.close()
        return time.perf_counter() - started, time.process_time() - busy

    def by_toolbench():
        target = os.path.join(folder, "ours.jsonl")
        before = os.times()
        started = time.perf_counter()
        done = subprocess.run([binary, "score", "--suite", suite, "--calls", path, "--rules", "bfcl", "--out", target],
                              stderr=subprocess.PIPE, text=True)
        elapsed = time.perf_counter() - started
        after = os.times()
        if done.returncode != 0:
            sys.exit(f"toolbench ended with {done.returncode}: {done.stderr}")
        busy = after.children_user + after.children_system - before.children_user - before.children_system
        return elapsed, busy, done.stderr.strip().splitlines()[-1]

    rounds = 3
    print(f"{count} outputs over {len(cases)} cases, {os.cpu_count()} cores, {rounds} rounds in turn")
    slow, quick, told = [], [], ""
    for _ in range(rounds):
        slow.append(by_original())
        elapsed, busy, told = by_toolbench()
        quick.append((elapsed, busy))
    for name, found in [("original, its data loaded before", slow), ("toolbench, the whole process", quick)]:
        elapsed, busy = min(found)
        times = ", ".join(f"{one:.3f}" for one, _ in found)
        print(f"{name:33} {elapsed:8.3f} s {count / elapsed:10.0f} verdicts/s   {busy:7.2f} s of CPU time   (rounds: {times})")
    print(f"  of this: {told}")
    judged = re.search(r"\((\d+) a second\)", told)
    if judged:
        alone = int(judged.group(1)) * min(slow)[0] / count
        print(f"judging alone, as the original is timed: ratio {alone:.1f}")
    ratio = min(slow)[0] / min(quick)[0]
    print(f"ratio {ratio:.1f}; in CPU time {min(busy for _, busy in slow) / min(busy for _, busy in quick):.1f}")
    return ratio


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--package", required=True, help="folder `bfcl_eval` of the package bfcl-eval")
    parser.add_argument("--toolbench", default="toolbench")
    parser.add_argument("--count", type=int, default=100_000, help="outputs as calls; texts are a tenth of it for each form")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shown", type=int, default=10, help="differences printed for each part")
    parser.add_argument("--speed", action="store_true", help="measure instead of comparing")
    parser.add_argument("--part", choices=["calls", "made", "results", "python", "json", "verbose_xml", "concise_xml"])
    arguments = parser.parse_args()
    original = load_original(arguments.package)
    cases = load_cases(arguments.package)
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        suite = os.path.join(folder, "bfcl.json")
        import_suite(arguments.toolbench, arguments.package, suite)
        if arguments.speed:
            sys.exit(0 if compare_speed(original, cases, suite, arguments.toolbench, arguments.count, rng, folder) >= 20 else 1)
        different = 0
        if arguments.part in (None, "calls"):
            different += compare_calls(original, cases, suite, arguments.toolbench, arguments.count, rng, folder, arguments.shown)
        if arguments.part in (None, "made"):
            different += compare_made(original, arguments.toolbench, arguments.count, rng, folder, arguments.shown)
        if arguments.part in (None, "results"):
            different += compare_native(original, cases, suite, arguments.toolbench, arguments.count // 2, rng, folder, arguments.shown)
        for form in ["python", "json", "verbose_xml", "concise_xml"]:
            if arguments.part in (None, form):
                for tagged in (False, True):
                    count = max(1, arguments.count // (40 if tagged else 10))
                    different += compare_texts(original, cases, arguments.toolbench, count, rng, folder, arguments.shown, form, tagged)
    print("no difference" if not different else f"{different} differences")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
