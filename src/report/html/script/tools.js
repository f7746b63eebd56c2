// Tools: counts, wrong arguments, and which tool was called in place of which. ----------------------
// Calls are pooled over the settings chosen; equal names in two suites are two tools.

const nothing = "(nothing)";
const chosen = { setting: "", suite: "" };

/** Sums over the chosen settings and suites. */
function toolSums() {
  const rows = index.tools.filter((_, at) => chosen.setting === "" || String(at) === chosen.setting);
  const inSuite = (suite) => chosen.suite === "" || suite === chosen.suite;
  const tools = new Map();
  const faults = new Map();
  const pairs = new Map();
  for (const row of rows) {
    for (const [suite, tool, ...counts] of row.tools) {
      if (!inSuite(suite)) continue;
      const key = JSON.stringify([suite, tool]);
      const sum = tools.get(key) ?? { suite, tool, counts: counts.map(() => null) };
      // What no row knows stays unknown.
      counts.forEach((value, at) => {
        if (value !== null) sum.counts[at] = (sum.counts[at] ?? 0) + value;
      });
      tools.set(key, sum);
    }
    for (const [suite, tool, pointer, code, value] of row.faults) {
      if (!inSuite(suite)) continue;
      const key = JSON.stringify([suite, tool, pointer, code]);
      const sum = faults.get(key) ?? { suite, tool, pointer, code, value: 0 };
      sum.value += value;
      faults.set(key, sum);
    }
    for (const [suite, expected, called, value] of row.confusions) {
      if (!inSuite(suite)) continue;
      const key = JSON.stringify([suite, expected, called]);
      const sum = pairs.get(key) ?? { suite, expected, called, value: 0 };
      sum.value += value;
      pairs.set(key, sum);
    }
  }
  return { tools: [...tools.values()], faults: [...faults.values()], pairs: [...pairs.values()] };
}

/** The filters that show the trials of what is chosen. */
function toolLink(filters) {
  const row = chosen.setting === "" ? null : index.tools[Number(chosen.setting)];
  const own = row ? ["model", "dialect", "constraint", "variant", "tier"].map((name) => [name, row[name]]) : [];
  return `#trials?${new URLSearchParams([...own, ...filters])}`;
}

const numberCell = (value) =>
  value === null
    ? el("td", { class: "r" }, "–")
    : el("td", { class: "r", "data-v": value }, value.toLocaleString("en"));

/** What became of the expected calls of a tool: right, wrong arguments, another tool or none. */
function share(expected, rightTool, right) {
  const bar = el("div", {
    class: "share",
    title: `${right} right, ${rightTool - right} with wrong arguments, ${expected - rightTool} another tool, none, or none that counts`,
  });
  for (const [name, value] of [
    ["right", right],
    ["recovered", rightTool - right],
    ["lost", expected - rightTool],
  ]) {
    if (value === 0) continue;
    const part = el("i", { class: `swatch ${name}` });
    part.style.width = `${(100 * value) / expected}%`;
    bar.append(part);
  }
  return expected ? bar : null;
}

function toolTable({ tools, faults }) {
  const bySuite = new Set(tools.map((it) => it.suite)).size > 1;
  const heads = [
    ["tool"],
    ...(bySuite ? [["suite"]] : []),
    ["offered", "Scored trials that offered it"],
    ["executed", "Calls of it that went to the tool host, whether they count or not"],
    ["expected", "Calls of it that cases expect"],
    [
      "called",
      "Calls of it that count; one to a free tool, or one that ended in a scripted error or was put right later, counts only where it answers an expected one",
    ],
    ["right tool", "Expected calls in whose place the same tool was called"],
    ["right", "Of these, those with accepted arguments"],
  ];
  const numbers = new Set(["offered", "executed", "expected", "called", "right tool", "right"]);
  const rows = tools
    .sort(
      (one, two) =>
        two.counts[2] - one.counts[2] || two.counts[1] - one.counts[1] || one.tool.localeCompare(two.tool),
    )
    .map(({ suite, tool, counts }) => {
      const wrong = faults
        .filter((it) => it.suite === suite && it.tool === tool)
        .sort((one, two) => two.value - one.value);
      const shown = wrong.slice(0, 3).map((it) => `${it.pointer || "(whole)"} ${it.code} ×${it.value}`);
      const more = wrong.length > 3 ? `, ${wrong.length - 3} more` : "";
      const link = el(
        "a",
        {
          href: toolLink([
            ["suite", suite],
            ["tool", tool],
          ]),
        },
        tool,
      );
      const [offered, executed, expected, called, rightTool, right] = counts;
      // Where nothing was paired nobody knows whether a tool was expected.
      const idle = expected !== null && expected + called + executed + wrong.length === 0;
      return el(
        "tr",
        { class: idle ? "idle" : null },
        el("th", { scope: "row" }, link),
        bySuite ? el("td", {}, suite) : null,
        offered ? numberCell(offered) : el("td", { class: "r" }, "–"),
        numberCell(executed),
        numberCell(expected),
        numberCell(called),
        numberCell(rightTool),
        numberCell(right),
        el("td", { class: "chart" }, share(expected, rightTool, right)),
        el(
          "td",
          {
            class: "faults",
            title: wrong.map((it) => `${it.pointer || "(whole)"}: ${it.code} ×${it.value}`).join("\n"),
          },
          shown.join(", ") + more,
        ),
      );
    });
  const row = heads.map(([name, meaning]) =>
    el("th", { scope: "col", class: numbers.has(name) ? "r" : null, title: meaning }, name),
  );
  row.push(
    el(
      "th",
      {
        scope: "col",
        "data-still": 1,
        title:
          "Expected calls: right, right tool with wrong arguments, another tool or none (a call that is not counted is none)",
      },
      "of expected",
    ),
    el("th", { scope: "col", "data-still": 1 }, "wrong arguments"),
  );
  const table = el(
    "table",
    { class: "sortable", id: "tool-table" },
    el("thead", {}, el("tr", {}, row)),
    el("tbody", {}, rows),
  );
  sortable(table);
  const idle = rows.filter((it) => it.className === "idle").length;
  const more = button(
    `show ${plural(idle, "tool")} neither expected nor called`,
    () => {
      table.classList.add("all");
      more.remove();
    },
    { class: "more" },
  );
  return [
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Tools" }, table),
    idle ? more : null,
  ];
}

/** Expected tools down, called ones across; shades are shares of a row. */
function confusion(suite, pairs) {
  const own = pairs.filter((it) => it.suite === suite);
  const name = (value) => value ?? nothing;
  const order = (side) => {
    const sums = new Map();
    for (const it of own) sums.set(name(it[side]), (sums.get(name(it[side])) ?? 0) + it.value);
    return [...sums]
      .sort(
        (one, two) => (one[0] === nothing) - (two[0] === nothing) || two[1] - one[1] || one[0].localeCompare(two[0]),
      )
      .map(([key]) => key);
  };
  const down = order("expected");
  const across = [
    ...down.filter((it) => it !== nothing),
    ...order("called").filter((it) => it !== nothing && !down.includes(it)),
    nothing,
  ];
  const value = (row, column) => own.find((it) => name(it.expected) === row && name(it.called) === column)?.value ?? 0;
  const rows = down.map((row) => {
    const sum = own.filter((it) => name(it.expected) === row).reduce((total, it) => total + it.value, 0);
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, row),
      el("td", { class: "r" }, sum),
      across.map((column) => {
        const found = value(row, column);
        const title = `${row} expected, ${column} called: ${found} of ${sum}`;
        const filters = [["suite", suite], ...(column === nothing ? [] : [["tool", column]])];
        return el(
          "td",
          {
            class: `${found ? `h${Math.round((10 * found) / sum)}` : "hx"}${row === column && row !== nothing ? " same" : ""}`,
          },
          found
            ? el("a", { href: toolLink(filters), title, "aria-label": title }, String(found))
            : el("span", { class: "none" }, "·"),
        );
      }),
    );
  });
  const heads = across.map((column) => el("th", { scope: "col", class: "leaf" }, el("span", {}, column)));
  const table = el(
    "table",
    { class: "heat confusion" },
    el(
      "thead",
      {},
      el(
        "tr",
        { class: "leaves" },
        el("th", { scope: "col" }, "expected ↓ called →"),
        el("th", { scope: "col", class: "r" }, "n"),
        heads,
      ),
    ),
    el("tbody", {}, rows),
  );
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": `Expected and called tools of ${suite}` },
    table,
  );
}

function drawTools() {
  const sums = toolSums();
  const suites = [...new Set(sums.pairs.map((it) => it.suite))].sort();
  const matrices = suites.map((suite) => {
    const own = sums.pairs.filter((it) => it.suite === suite);
    const total = own.filter((it) => it.expected !== null).reduce((sum, it) => sum + it.value, 0);
    const same = own
      .filter((it) => it.expected !== null && it.expected === it.called)
      .reduce((sum, it) => sum + it.value, 0);
    const part = el(
      "details",
      { class: suites.length > 1 ? "screen" : null },
      el(
        "summary",
        {},
        `${suite}: the expected tool was called in ${same.toLocaleString("en")} of ${plural(total, "expected call")}`,
      ),
      confusion(suite, sums.pairs),
    );
    part.open = suites.length === 1;
    return part;
  });
  const table = sums.tools.length ? toolTable(sums) : [quiet("No scored trial says anything of tools.")];
  const crossed = matrices.length
    ? [el("div", { class: suites.length > 1 ? "screen" : null }, heading("Expected × called"), matrices)]
    : [];
  byId("tool-tables").replaceChildren(...table.filter((part) => part), ...crossed);
}

function buildTools() {
  const choose = (name, options) => {
    const select = el(
      "select",
      { id: `tools-${name}` },
      el("option", { value: "" }, `all ${name}s`),
      options.map(([value, text]) => el("option", { value }, text)),
    );
    select.addEventListener("change", () => {
      chosen[name] = select.value;
      drawTools();
    });
    return el("label", {}, name, select);
  };
  const varied = (name) => new Set(index.tools.map((row) => row[name])).size > 1;
  const settings = index.tools.map((row, at) => [
    String(at),
    ["model", "dialect", "constraint", "variant", "tier"]
      .filter((name, place) => place < 3 || varied(name))
      .map((name) => row[name])
      .join(" · "),
  ]);
  const suites = [...new Set(index.tools.flatMap((row) => row.tools.map(([suite]) => suite)))].sort();
  if (settings.length > 1) byId("tool-controls").append(choose("setting", settings));
  if (suites.length > 1)
    byId("tool-controls").append(
      choose(
        "suite",
        suites.map((suite) => [suite, suite]),
      ),
    );
  drawTools();
}
