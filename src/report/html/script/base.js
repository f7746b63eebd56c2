// The page's own script: sorting, filters, the list of trials, single trials, tools, keys, themes.
// Everything that comes from a model, a tool or a suite is put in as text, never as markup. Data is
// base64 of gzip of JSON; blocks of trials are unpacked when one of their trials is looked at.
const byId = (id) => document.getElementById(id);
const root = document.documentElement;

/** An element; attributes that are null, undefined or false are left out, children are text or nodes. */
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}
function button(text, action, attributes = {}) {
  const node = el("button", { type: "button", ...attributes }, text);
  node.addEventListener("click", action);
  return node;
}
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
function time(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 9.95) return `${+ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  return ms < 99950 ? `${+(ms / 1000).toFixed(1)} s` : `${(ms / 1000).toFixed(0)} s`;
}

async function unpackText(text) {
  const packed = atob(text);
  const bytes = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at += 1) bytes[at] = packed.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
const unpack = async (text) => JSON.parse(await unpackText(text));

// Themes ------------------------------------------------------------------------------------------
const themes = ["system", "dark", "light"];
function setTheme(name) {
  if (name === "system") delete root.dataset.theme;
  else root.dataset.theme = name;
  byId("theme").textContent = `Theme: ${name}`;
  try {
    localStorage.setItem("toolbench-theme", name);
  } catch {
    /* not where storage is forbidden */
  }
}
const nextTheme = () => setTheme(themes[(themes.indexOf(root.dataset.theme ?? "system") + 1) % themes.length]);
try {
  setTheme(themes.find((name) => name === localStorage.getItem("toolbench-theme")) ?? "system");
} catch {
  setTheme("system");
}
byId("theme").addEventListener("click", nextTheme);

// Tables that sort --------------------------------------------------------------------------------
function sortable(table) {
  const heads = [...(table.tHead?.rows[table.tHead.rows.length - 1]?.cells ?? [])];
  const sort = (head) => {
    const down =
      head.getAttribute("aria-sort") === "descending"
        ? false
        : head.getAttribute("aria-sort") === "ascending" ||
          head.classList.contains("r") ||
          head.classList.contains("leaf");
    const key = (row) => {
      const cell = row.cells[head.cellIndex];
      if (cell?.dataset.v !== undefined) return Number(cell.dataset.v);
      const number = parseFloat(cell?.textContent);
      const numeric = head.classList.contains("r") || head.classList.contains("leaf");
      return numeric ? (Number.isNaN(number) ? null : number) : (cell?.textContent ?? "");
    };
    const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
    rows.sort(([one], [two]) => {
      if (one === null || two === null) return (one === null) - (two === null);
      const order = typeof one === "number" ? one - two : one.localeCompare(two, "en", { numeric: true });
      return down ? -order : order;
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  for (const head of heads) {
    if (head.tagName !== "TH" || head.dataset.still) continue;
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        sort(head);
      }
    });
  }
}
for (const table of document.querySelectorAll("table.sortable")) sortable(table);

// Printing opens what is folded, but for what only a screen can use.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("main details:not([open]):not(.screen)")];
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of folded) part.open = false;
});

// Data --------------------------------------------------------------------------------------------
const packs = [...document.querySelectorAll("script.data-block")];
const unpacked = new Map();
const block = (number) => {
  if (!unpacked.has(number)) unpacked.set(number, unpack(packs[number].textContent));
  return unpacked.get(number);
};
let index, labels, count, firsts, places, casesPromise;
const label = (name, at) => index.names[name][index.trials.label[labels.indexOf(name)][at]];
/** What stands under a number of content; undefined where it is not kept. */
async function content(number) {
  if (number === undefined || number === null || number < 0) return undefined;
  let which = index.starts.length - 1;
  while (which > 0 && index.starts[which] > number) which -= 1;
  return (await block(which)).content[number - index.starts[which]];
}
const trialAt = async (at) => (await block(index.trials.block[at])).trials[at - firsts[index.trials.block[at]]];
