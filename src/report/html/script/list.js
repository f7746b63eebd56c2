// Filters -----------------------------------------------------------------------------------------
const groups = new Map([
  ["right", ["passed", "recovered"]],
  ["wrong", ["failed", "limit"]],
  ["excluded", ["infra", "void", "tool", "harness"]],
]);
const kinds = [
  "model",
  "dialect",
  "constraint",
  "variant",
  "tier",
  "suite",
  "category",
  "difficulty",
  "outcome",
  "code",
  "tool",
];
const hidden = ["case", "first"];
const wanted = new Map();
let query = "";
let heard = { query: "", hits: new Set() };
let haystacks;
const selects = new Map();

function haystack(at) {
  haystacks ??= [];
  haystacks[at] ??= [
    ...["suite", "case", "category", "model", "dialect", "code", "outcome"].map((name) => label(name, at)),
    ...index.trials.tools[at].map((tool) => index.names.tool[tool]),
    index.trials.id[at],
  ]
    .join("\n")
    .toLowerCase();
  return haystacks[at];
}
function tests() {
  return [...wanted].map(([name, value]) => {
    if (name === "tool") {
      const number = index.names.tool.indexOf(value);
      return (at) => index.trials.tools[at].includes(number);
    }
    const column = index.trials.label[labels.indexOf(name)];
    const values = groups.has(value) && name === "outcome" ? groups.get(value) : [value];
    const numbers = values.map((one) => index.names[name].indexOf(one)).filter((number) => number >= 0);
    return (at) => numbers.includes(column[at]);
  });
}
/** Options with how many trials each would leave, the other filters as they are. */
function fillSelects() {
  for (const [name, select] of selects) {
    const own = wanted.get(name);
    wanted.delete(name);
    const others = tests();
    if (own !== undefined) wanted.set(name, own);
    const counts = new Map();
    const add = (value) => counts.set(value, (counts.get(value) ?? 0) + 1);
    for (let at = 0; at < count; at += 1) {
      if (!others.every((test) => test(at))) continue;
      if (name === "tool") for (const tool of index.trials.tools[at]) add(index.names.tool[tool]);
      else add(label(name, at));
    }
    const names = [...index.names[name]]
      .filter((one) => one !== "")
      .sort((one, two) => one.localeCompare(two, "en", { numeric: true }));
    const options = [el("option", { value: "" }, "any")];
    if (name === "outcome")
      for (const [group, parts] of groups) {
        const sum = parts.reduce((total, part) => total + (counts.get(part) ?? 0), 0);
        options.push(el("option", { value: group }, `${group} (${sum})`));
      }
    options.push(...names.map((one) => el("option", { value: one }, `${one} (${counts.get(one) ?? 0})`)));
    select.replaceChildren(...options);
    select.value = own ?? "";
  }
}
function buildFilters() {
  const form = byId("filters");
  const search = el("input", {
    type: "search",
    id: "search",
    placeholder: "search (/)",
    autocomplete: "off",
    spellcheck: "false",
  });
  let waiting;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      query = search.value.trim().toLowerCase();
      apply(true);
    }, 120);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      move(0);
    }
  });
  form.append(el("label", {}, "search", search));
  for (const name of kinds) {
    if (index.names[name].filter((one) => one !== "").length < 2) continue;
    const select = el("select", { id: `filter-${name}` });
    select.addEventListener("change", () => {
      if (select.value === "") wanted.delete(name);
      else wanted.set(name, select.value);
      apply(true);
    });
    selects.set(name, select);
    form.append(el("label", {}, name === "tool" ? "tool called" : name, select));
  }
  form.append(
    button(
      "Clear",
      () => {
        wanted.clear();
        query = "";
        search.value = "";
        apply(true);
      },
      { id: "clear" },
    ),
  );
  form.addEventListener("submit", (event) => event.preventDefault());
}
function stateHash() {
  const parts = new URLSearchParams([...wanted]);
  if (query) parts.set("q", query);
  const text = parts.toString();
  return text ? `#trials?${text}` : "#trials";
}
const setHash = (hash) => {
  try {
    history.replaceState(null, "", hash);
  } catch {
    /* not where the address may not change */
  }
};
function apply(remember) {
  const checks = tests();
  const found = (at) => query === "" || haystack(at).includes(query) || (heard.query === query && heard.hits.has(at));
  const passing = [];
  for (let at = 0; at < count; at += 1) if (checks.every((check) => check(at)) && found(at)) passing.push(at);
  order = sorted(passing);
  here = Math.min(here, Math.max(order.length - 1, 0));
  fillSelects();
  tell();
  byId("list").scrollTop = 0;
  draw(true);
  if (remember) setHash(stateHash());
  if (query.length >= 3 && heard.query !== query) searchSaid(query);
}
function tell(more = "") {
  const unseen = hidden
    .filter((name) => wanted.has(name))
    .map((name) => `${name === "first" ? "first finding" : name} ${wanted.get(name) || "none"}`);
  const parts = [`${order.length.toLocaleString("en")} of ${plural(count, "trial")}`, ...unseen];
  byId("active").textContent = parts.join(" · ") + more;
}
/** Looks for words in what was sent, said and answered, block by block. */
async function searchSaid(words) {
  const hits = new Set();
  const marks = [];
  const holds = (value) => (typeof value === "string" ? value : JSON.stringify(value)).toLowerCase().includes(words);
  for (let which = 0; which < packs.length; which += 1) {
    if (query !== words) return;
    tell(` · searching in what was said: ${which} of ${packs.length}`);
    const { trials, content: values } = await block(which);
    values.forEach((value, at) => {
      marks[index.starts[which] + at] = holds(value);
    });
    trials.forEach((trial, at) => {
      const numbers = [
        ...trial.attempts.flatMap((it) => [it.prompt, it.reply, it.served, it.correction]),
        ...(trial.calls ?? []).map((it) => it.result),
      ];
      if (numbers.some((number) => marks[number]) || holds([trial.violations ?? [], trial.answer ?? ""]))
        hits.add(firsts[which] + at);
    });
  }
  if (query !== words) return;
  heard = { query: words, hits };
  apply(false);
}

// The list ----------------------------------------------------------------------------------------
let order = [];
let here = 0;
let sortKey = null;
let sortDown = false;
let rowHeight = 27;
let columns = [];
const mark = (kind) =>
  ({ passed: "✓ passed", recovered: "✓ recovered", failed: "✗ failed", limit: "✗ limit" })[kind] ?? `– ${kind}`;
const tone = (kind) => (groups.get("right").includes(kind) ? "ok" : groups.get("wrong").includes(kind) ? "no" : "");
function defineColumns() {
  const named = (name, width, text = (at) => label(name, at)) => ({ name, width, text, key: (at) => label(name, at) });
  const number = (name, column, width, text) => ({
    name,
    width,
    right: true,
    text,
    key: (at) => index.trials[column][at],
  });
  const varied = (name) => index.names[name].length > 1;
  columns = [
    {
      name: "case",
      width: 24,
      text: (at) => `${label("suite", at)} / ${label("case", at)}`,
      key: (at) => `${label("suite", at)} / ${label("case", at)}`,
    },
    named("model", 17),
    { ...named("outcome", 11), tag: true },
    named("code", 15, (at) => label("code", at) || "–"),
    named("dialect", 8),
    named("constraint", 9),
    ...(varied("variant") ? [named("variant", 9)] : []),
    ...(varied("tier") ? [named("tier", 9)] : []),
    number("task", "task_ms", 8, (at) => time(index.trials.task_ms[at])),
    ...(index.trials.trial.some((it) => it > 0)
      ? [number("trial", "trial", 5, (at) => String(index.trials.trial[at]))]
      : []),
    number("corrections", "corrections", 6, (at) => String(index.trials.corrections[at])),
    {
      name: "tools",
      width: 14,
      text: (at) => index.trials.tools[at].map((tool) => index.names.tool[tool]).join(", ") || "–",
      key: (at) => index.trials.tools[at].map((tool) => index.names.tool[tool]).join(),
    },
  ];
}
function sorted(list) {
  const column = columns.find((it) => it.name === sortKey);
  if (!column) return list;
  const keyed = list.map((at) => [column.key(at), at]);
  keyed.sort(([one, first], [two, second]) => {
    if (one === null || two === null) return (one === null) - (two === null) || first - second;
    const by = typeof one === "number" ? one - two : one < two ? -1 : one > two ? 1 : 0;
    return (sortDown ? -by : by) || first - second;
  });
  return keyed.map(([, at]) => at);
}
function buildList() {
  const list = byId("list");
  const total = columns.reduce((sum, it) => sum + it.width, 0);
  const heads = columns.map((column) => {
    const head = el(
      "th",
      { scope: "col", tabindex: 0, class: column.right ? "r" : null, title: column.name },
      column.name,
    );
    head.style.width = `${(100 * column.width) / total}%`;
    const act = () => {
      if (sortKey !== column.name) {
        sortKey = column.name;
        sortDown = Boolean(column.right);
      } else if (sortDown === Boolean(column.right)) sortDown = !sortDown;
      else sortKey = null;
      for (const other of heads) other.removeAttribute("aria-sort");
      if (sortKey) head.setAttribute("aria-sort", sortDown ? "descending" : "ascending");
      apply(false);
    };
    head.addEventListener("click", act);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        event.stopPropagation();
        act();
      }
    });
    return head;
  });
  list.append(
    el(
      "table",
      { id: "trial-list", role: "grid", "aria-label": "Trials" },
      el("thead", {}, el("tr", {}, heads)),
      el("tbody"),
    ),
  );
  list.addEventListener("scroll", () => requestAnimationFrame(() => draw(false)), { passive: true });
  addEventListener("resize", () => draw(true));
  list.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-at]");
    if (row) {
      here = Number(row.dataset.place);
      openTrial(Number(row.dataset.at));
    }
  });
  list.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / rowHeight) - 2);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[
      event.key
    ];
    if (step !== undefined) {
      event.preventDefault();
      move(step);
    }
    if (event.key === "Enter" && order.length && event.target.matches("tr")) {
      event.preventDefault();
      openTrial(order[here]);
    }
  });
}
let drawn = "";
/** Only the rows in sight, and some beside them, are in the page. */
function draw(force, again = false) {
  const list = byId("list");
  const body = byId("trial-list").tBodies[0];
  // Few rows need no window of their own.
  list.classList.toggle("short", order.length < 15);
  const seen = Math.ceil(list.clientHeight / rowHeight);
  const from = Math.max(0, Math.min(Math.floor(list.scrollTop / rowHeight), order.length - seen) - 12);
  const to = Math.min(order.length, from + seen + 24);
  if (!force && drawn === `${from}-${to}`) return;
  drawn = `${from}-${to}`;
  const gap = (rows) => {
    const cell = el("td", { colspan: columns.length });
    cell.style.height = `${rows * rowHeight}px`;
    return el("tr", { class: "gap", "aria-hidden": "true" }, cell);
  };
  const focused = body.contains(document.activeElement);
  const rows = order.slice(from, to).map((at, offset) => {
    const place = from + offset;
    const cells = columns.map((column, which) => {
      const text = column.text(at);
      const inner = column.tag ? el("span", { class: `tag ${tone(label("outcome", at))}` }, mark(text)) : text;
      return el(
        which === 0 ? "th" : "td",
        { class: column.right ? "r" : null, scope: which === 0 ? "row" : null, title: column.tag ? null : text },
        inner,
      );
    });
    return el(
      "tr",
      {
        "data-at": at,
        "data-place": place,
        "aria-rowindex": place + 2,
        tabindex: place === here ? 0 : -1,
        class: place === here ? "here" : null,
      },
      cells,
    );
  });
  if (!rows.length)
    rows.push(
      el(
        "tr",
        {},
        el("td", { colspan: columns.length }, count ? "No trial passes these filters." : "No trial is on record."),
      ),
    );
  body.replaceChildren(gap(from), ...rows, gap(order.length - to));
  byId("trial-list").setAttribute("aria-rowcount", order.length + 1);
  const first = body.rows[1].getBoundingClientRect();
  const height = (body.rows[rows.length].getBoundingClientRect().bottom - first.top) / rows.length;
  if (height > 0 && Math.abs(height - rowHeight) > 0.05) {
    // Fonts decide how tall rows are; the gaps above and below must be made of rows as tall.
    rowHeight = height;
    if (!again) draw(true, true);
  }
  if (focused) body.querySelector("tr.here")?.focus({ preventScroll: true });
}
function move(step) {
  if (!order.length) return;
  here = Math.min(Math.max(here + step, 0), order.length - 1);
  const list = byId("list");
  const top = here * rowHeight;
  const head = byId("trial-list").tHead.offsetHeight;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + rowHeight + head > list.scrollTop + list.clientHeight)
    list.scrollTop = top + rowHeight + head - list.clientHeight;
  draw(true);
  byId("trial-list").querySelector("tr.here")?.focus({ preventScroll: true });
}
