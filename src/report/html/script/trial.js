// One trial: what was asked, every reply with both readings, findings, corrections, results. ---------

const quiet = (words) => el("p", { class: "quiet" }, words);
const cutRecord = () => index.retain !== null && index.retain !== "full";
const notKept = () => quiet(cutRecord() ? "not kept (see Notes)" : "not in the record");
const heading = (words) => el("h3", {}, words);

/** Text as it is; long text is cut until somebody wants all of it. */
function text(value, limit = 1500) {
  if (value === undefined || value === null) return notKept();
  const whole = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  if (whole === "") return quiet("empty");
  if (whole.length <= limit && whole.split("\n").length <= 40) return el("pre", { dir: "auto" }, whole);
  const pre = el("pre", { class: "cut", dir: "auto", tabindex: 0 }, whole.slice(0, 6000));
  const more = button(
    `show all ${whole.length.toLocaleString("en")} characters`,
    () => {
      pre.textContent = whole;
      pre.classList.remove("cut");
      more.remove();
    },
    { class: "more" },
  );
  return [pre, more];
}

const fold = (title, ...children) => el("details", {}, el("summary", {}, title), children);

/** Folded, and made only when opened. */
function lazily(title, make) {
  const part = fold(title);
  part.addEventListener("toggle", async () => {
    if (part.open && part.children.length === 1) part.append(...[await make()].flat(Infinity));
  });
  return part;
}

function pairs(list) {
  const shown = list.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el(
    "dl",
    { class: "pairs" },
    shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))),
  );
}

function finding(found) {
  const [meaning, help] = Object.hasOwn(index.codes, found.code) ? index.codes[found.code] : ["", ""];
  const where = [
    found.tool,
    found.pointer === undefined ? null : `at ${found.pointer || "the whole"}`,
    found.keyword,
    found.coercible ? "would pass if its type were converted" : null,
  ].filter(Boolean);
  return el(
    "div",
    { class: "finding" },
    el("code", { title: `${meaning}. What helps: ${help}` }, found.code),
    ` ${found.message}`,
    where.length ? el("span", { class: "quiet" }, ` (${where.join(", ")})`) : null,
    found.schema === undefined ? null : text(found.schema),
  );
}
const findings = (list) => (list ?? []).map(finding);

const said = (who, ...children) => el("div", { class: "message" }, el("div", { class: "who" }, who), children);

function message(it) {
  const who = [it.role, it.tool_name, it.tool_call_id].filter(Boolean).join(" · ");
  const calls = (it.tool_calls ?? []).map((call) => said(`calls ${call.name}`, text(call.arguments)));
  return said(who, it.content ? text(it.content) : null, calls);
}

/** A prompt: messages where the server applied the template, else text, less what the one before had. */
function prompt(value, before) {
  if (value === undefined) return notKept();
  if (Array.isArray(value.messages)) {
    const offered = value.tools?.length
      ? lazily(plural(value.tools.length, "tool offered"), () => value.tools.map((it) => text(it)))
      : null;
    return [value.messages.map(message), offered];
  }
  if (typeof before === "string" && typeof value === "string") {
    let same = 0;
    while (same < before.length && before[same] === value[same]) same += 1;
    const words = `The first ${same.toLocaleString("en")} characters are those of the prompt before; then:`;
    if (same > 400) return [quiet(words), text(value.slice(same)), lazily("The whole prompt", () => text(value))];
  }
  return text(value);
}

function reading(title, it) {
  const empty = !it.calls?.length && it.answer === undefined && it.thought === undefined;
  const answer = it.answer === "" && cutRecord() ? notKept() : text(it.answer ?? "");
  return el(
    "div",
    {},
    heading(title),
    it.thought ? said("thought", text(it.thought)) : null,
    (it.calls ?? []).map((call) => said(`calls ${call.name}`, text(call.arguments))),
    it.answer === undefined ? null : said("answer", answer),
    empty ? quiet("neither call nor answer") : null,
    it.repairs?.length ? quiet(`repaired: ${it.repairs.join(", ").replaceAll("_", " ")}`) : null,
    findings(it.violations),
  );
}
function readings({ strict, lenient }) {
  if (JSON.stringify(strict) === JSON.stringify(lenient)) return reading("Strict and lenient reading", strict);
  return el("div", { class: "two" }, reading("Strict reading", strict), reading("Lenient reading", lenient));
}

/** The calls that went to a tool host after a reply, with what came back. */
async function results(trial, attempt) {
  const own = (trial.calls ?? []).filter((it) => it.round === attempt.round && it.turn === attempt.turn);
  return Promise.all(
    own.map(async (it) => {
      const notes = [
        it.is_error ? "the tool says that it failed" : null,
        it.scripted_error ? "scripted" : null,
        it.code,
        it.by_server ? "run by the model's server" : null,
        time(it.tool_ms),
      ].filter(Boolean);
      const result = it.result === undefined ? quiet("the tool gave none") : text(await content(it.result));
      return said(`${it.call.name} was called (${notes.join(", ")})`, text(it.call.arguments), said("result", result));
    }),
  );
}

function measured({ usage, timing, wall_ms: wall, stop_reason: ended }) {
  const unlessNone = (value, shown) => (value ? shown(value) : null);
  return pairs([
    ["request", time(wall)],
    ["prefill", time(timing.prefill_ms)],
    ["first token", time(timing.first_token_ms)],
    ["decode", time(timing.decode_ms)],
    ["grammar", unlessNone(timing.grammar_ms, time)],
    ["masks", unlessNone(timing.mask_ms, time)],
    ["prompt tokens", `${usage.prompt_tokens} (${usage.cached_tokens} kept, ${usage.computed_tokens} computed)`],
    ["generated tokens", usage.output_tokens],
    ["of these forced", unlessNone(usage.forced_tokens, String)],
    ["of these thought", unlessNone(usage.reasoning_tokens, String)],
    ["ended", ended],
    ["requests repeated", unlessNone(timing.retries, String)],
  ]);
}

async function attemptPart(trial, attempt, which) {
  const before = trial.attempts[which - 1];
  const next = trial.attempts[which + 1];
  const last = !next || next.round !== attempt.round || next.turn !== attempt.turn;
  const numbers = [attempt.prompt, before?.prompt, attempt.reply, attempt.correction];
  const [asked, askedBefore, reply, correction] = await Promise.all(numbers.map(content));
  const name = [
    `Round ${attempt.round + 1}, turn ${attempt.turn + 1}, attempt ${attempt.attempt}`,
    attempt.leg === "main" ? null : attempt.leg,
    attempt.passed_over ? `passed over: ${attempt.passed_over}` : null,
  ].filter(Boolean);
  const kept = (title, number) =>
    number === undefined ? null : lazily(title, async () => text(await content(number)));
  return el(
    "article",
    { class: "attempt" },
    heading(name.join(" · ")),
    fold("Prompt", prompt(asked, askedBefore)),
    heading("Raw reply"),
    attempt.reply === undefined ? quiet("there was none") : text(reply),
    readings(attempt),
    attempt.violations?.length ? [heading("Findings"), findings(attempt.violations)] : null,
    attempt.correction === undefined ? null : [heading("Correction sent"), text(correction)],
    last ? await results(trial, attempt) : null,
    attempt.folds?.length ? quiet(`template: ${attempt.folds.join(", ")}`) : null,
    measured(attempt),
    kept("Grammar", attempt.grammar),
    kept("Tools offered", attempt.tools),
    kept("What the server gave beside the text", attempt.served),
  );
}

async function casePart(trial) {
  casesPromise ??= unpack(byId("data-cases").textContent);
  const suites = await casesPromise;
  const suite = Object.hasOwn(suites, trial.cell.suite) ? suites[trial.cell.suite] : {};
  const found = Object.hasOwn(suite, trial.case) ? suite[trial.case] : null;
  const short = found?.user !== undefined || found?.expect !== undefined ? [found] : [];
  const rounds = found?.rounds?.length ? found.rounds : short;
  if (!rounds.length) return [heading("What was asked and expected"), notKept()];
  return [
    heading("What was asked and expected"),
    found.why ? quiet(found.why) : null,
    found.history?.length ? fold(plural(found.history.length, "message before"), found.history.map(message)) : null,
    rounds.map((round) =>
      el("div", { class: "two" }, el("div", {}, text(round.user ?? "")), el("div", {}, text(round.expect ?? ""))),
    ),
  ];
}

function trialFacts(trial) {
  const { cell, outcome, constraint_asked: asked, constraint_effective: held } = trial;
  const code = [outcome.code, outcome.underlying].filter(Boolean).join(", ");
  const spent = (ms) => (ms ? time(ms) : null);
  return pairs([
    ["model", cell.model],
    ["dialect", cell.dialect],
    ["constraint", asked === held ? asked : `${asked}, in force: ${held}`],
    ["variant", cell.variant],
    ["category", trial.category],
    ["difficulty", trial.difficulty],
    ["outcome", code ? `${outcome.kind}: ${code}` : outcome.kind],
    ["corrections", trial.corrections],
    ["task", trial.replayed ? "replayed, not measured" : time(trial.time.total_ms)],
    ["in the model", spent(trial.time.model_ms)],
    ["after corrections", spent(trial.time.correction_ms)],
    ["in tools", spent(trial.time.tool_ms)],
    ["to first valid call", spent(trial.time.to_valid_call_ms)],
    ["trial", trial.trial],
    ["seed", trial.seed],
    ["tier", cell.tier],
    ["started", trial.started_at],
    ["machine", trial.noisy ? "busy with something else meanwhile" : null],
  ]);
}

function trialHead(at, trial, dialog) {
  const place = order.indexOf(at);
  const step = (by) => () => {
    if (order[place + by] === undefined) return;
    here = place + by;
    openTrial(order[here]);
  };
  const { kind } = trial.outcome;
  const name = ` ${trial.cell.suite} / ${trial.case}`;
  const title = el(
    "h2",
    { id: "trial-title", tabindex: -1 },
    el("span", { class: `tag ${tone(kind)}` }, mark(kind)),
    name,
  );
  const position = `${(place + 1).toLocaleString("en")} of ${order.length.toLocaleString("en")}`;
  return el(
    "div",
    { class: "trial-head" },
    title,
    place >= 0 ? el("span", { class: "quiet" }, position) : null,
    button("←", step(-1), { id: "previous", "aria-label": "Previous trial", disabled: place <= 0 }),
    button("→", step(1), { id: "next", "aria-label": "Next trial", disabled: place < 0 || place + 1 >= order.length }),
    el("a", { href: `#trial=${encodeURIComponent(trial.id)}`, title: "The address of this trial" }, "link"),
    button("Close", () => dialog.close(), { id: "trial-close" }),
  );
}

let opened = null;
async function openTrial(at) {
  const dialog = byId("trial");
  opened = at;
  const trial = await trialAt(at);
  const attempts = [];
  for (const [which, attempt] of trial.attempts.entries()) attempts.push(await attemptPart(trial, attempt, which));
  const asked = await casePart(trial);
  if (opened !== at) return;
  const counts = Object.entries(trial.call_counts ?? {}).map(([name, value]) => [name.replaceAll("_", " "), value]);
  const parts = [
    trialHead(at, trial, dialog),
    trialFacts(trial),
    trial.constraint_refused ? el("p", {}, `The grammar was refused: ${trial.constraint_refused}`) : null,
    trial.violations?.length ? [heading("Findings of the trial"), findings(trial.violations)] : null,
    asked,
    attempts,
    trial.attempts.length ? null : quiet("No request was answered."),
    trial.answer === undefined
      ? null
      : [heading("Final answer"), trial.answer === "" && cutRecord() ? notKept() : text(trial.answer)],
    trial.host_notes?.length ? [heading("Notes of the tool host"), trial.host_notes.map((note) => text(note))] : null,
    counts.length ? fold("Calls against what was expected", pairs(counts)) : null,
    trial.end_state === undefined ? null : lazily("State at the end", async () => text(await content(trial.end_state))),
    trial.earlier
      ? fold(
          `${plural(trial.earlier.length, "earlier result")}, replaced by this one`,
          trial.earlier.map((line) => text(line.outcome)),
        )
      : null,
    el(
      "p",
      { class: "quiet" },
      "As recorded: ",
      el("code", {}, `toolbench report ${index.run} --format jsonl | grep ${trial.id}`),
    ),
  ];
  byId("trial-body").replaceChildren(...parts.flat(Infinity).filter((part) => part));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  byId("trial-title").focus({ preventScroll: true });
  setHash(`#trial=${encodeURIComponent(trial.id)}`);
}

byId("trial").addEventListener("close", () => {
  opened = null;
  setHash(stateHash());
  draw(true);
  byId("trial-list")?.querySelector("tr.here")?.focus({ preventScroll: true });
});
byId("trial").addEventListener("click", (event) => {
  if (event.target === byId("trial")) byId("trial").close();
});
