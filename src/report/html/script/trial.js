// One trial ---------------------------------------------------------------------------------------
const notKept = () => el("p", { class: "quiet" }, index.retain && index.retain !== "full" ? "not kept (see Notes)" : "not in the record");
const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
function text(value, limit = 1500) {
  if (value === undefined) return notKept();
  const whole = pretty(value);
  if (whole === "") return el("p", { class: "quiet" }, "empty");
  const long = whole.length > limit || whole.split("\n").length > 40;
  const pre = el("pre", { class: long ? "cut" : null, dir: "auto", tabindex: long ? 0 : null }, long ? whole.slice(0, 6000) : whole);
  if (!long) return pre;
  const more = button(`show all ${whole.length.toLocaleString("en")} characters`, () => { pre.textContent = whole; pre.classList.remove("cut"); more.remove(); }, { class: "more" });
  return [pre, more];
}
const fold = (title, ...children) => el("details", {}, el("summary", {}, title), children);
/** Folded, and made only when opened. */
function lazily(title, make) {
  const part = fold(title);
  part.addEventListener("toggle", async () => { if (part.open && part.children.length === 1) part.append(...[await make()].flat()); });
  return part;
}
const pairs = (list) => el("dl", { class: "pairs" }, list.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))));
function finding(found) {
  const known = Object.hasOwn(index.codes, found.code) ? index.codes[found.code] : ["", ""];
  const where = [found.tool, found.pointer !== undefined ? `at ${found.pointer || "the whole"}` : null, found.keyword, found.coercible ? "would pass if its type were converted" : null].filter(Boolean);
  return el("div", { class: "finding" }, el("code", { title: `${known[0]}. ${known[1]}` }, found.code), ` ${found.message}`,
    where.length ? el("span", { class: "quiet" }, ` (${where.join(", ")})`) : null, found.schema === undefined ? null : text(found.schema));
}
const findings = (list) => (list ?? []).map(finding);
function message(it) {
  const who = [it.role, it.tool_name, it.tool_call_id].filter(Boolean).join(" · ");
  return el("div", { class: "message" }, el("div", { class: "who" }, who), it.content ? text(it.content) : null, (it.tool_calls ?? []).map((call) => text(call)));
}
function prompt(value, before) {
  if (value === undefined) return notKept();
  let parsed = null;
  try { parsed = JSON.parse(value); } catch { /* raw text */ }
  if (Array.isArray(parsed?.messages)) return [parsed.messages.map(message), parsed.tools?.length ? lazily(plural(parsed.tools.length, "tool offered"), () => text(parsed.tools)) : null];
  if (typeof before === "string" && typeof value === "string") {
    let same = 0;
    while (same < before.length && before[same] === value[same]) same += 1;
    if (same > 400) return [el("p", { class: "quiet" }, `The first ${same.toLocaleString("en")} characters are those of the prompt before; then:`), text(value.slice(same)), lazily("whole prompt", () => text(value))];
  }
  return text(value);
}
function reading(title, it) {
  const empty = !it.calls?.length && it.answer === undefined && it.thought === undefined;
  return el("div", {}, el("h3", {}, title),
    it.thought ? el("div", { class: "message" }, el("div", { class: "who" }, "thought"), text(it.thought)) : null,
    (it.calls ?? []).map((call) => el("div", { class: "message" }, el("div", { class: "who" }, `calls ${call.name}`), text(call.arguments))),
    it.answer !== undefined ? el("div", { class: "message" }, el("div", { class: "who" }, "answer"), text(it.answer)) : null,
    empty ? el("p", { class: "quiet" }, "neither call nor answer") : null,
    it.repairs?.length ? el("p", { class: "quiet" }, `repaired: ${it.repairs.join(", ").replaceAll("_", " ")}`) : null, findings(it.violations));
}
async function calls(trial, attempt) {
  const own = (trial.calls ?? []).filter((it) => it.round === attempt.round && it.turn === attempt.turn);
  return Promise.all(own.map(async (it) => {
    const result = await content(it.result);
    const notes = [it.is_error ? "the tool says that it failed" : null, it.scripted_error ? "scripted" : null, it.code, it.by_server ? "run by the model's server" : null, time(it.tool_ms)].filter(Boolean);
    return el("div", { class: "message" }, el("div", { class: "who" }, `${it.call.name} was called (${notes.join(", ")})`), text(it.call.arguments), el("div", { class: "who" }, "result"), it.result === undefined ? el("p", { class: "quiet" }, "the tool gave none") : text(result?.content ?? result));
  }));
}
async function attemptPart(trial, attempt, which) {
  const { usage, timing } = attempt;
  const [asked, before, reply, correction] = await Promise.all([content(attempt.prompt), content(trial.attempts[which - 1]?.prompt), content(attempt.reply), content(attempt.correction)]);
  const next = trial.attempts[which + 1];
  const last = !next || next.round !== attempt.round || next.turn !== attempt.turn;
  const name = [`Round ${attempt.round + 1}, turn ${attempt.turn + 1}, attempt ${attempt.attempt}`, attempt.leg !== "main" ? attempt.leg : null, attempt.passed_over ? `passed over: ${attempt.passed_over}` : null].filter(Boolean);
  return el("article", { class: "attempt" }, el("h3", {}, name.join(" · ")),
    fold("Prompt", prompt(asked, before)),
    el("h3", {}, "Raw reply"), attempt.reply === undefined ? el("p", { class: "quiet" }, "there was none") : text(reply),
    el("div", { class: "two" }, reading("Strict reading", attempt.strict), reading("Lenient reading", attempt.lenient)),
    attempt.violations?.length ? [el("h3", {}, "Findings"), findings(attempt.violations)] : null,
    attempt.correction !== undefined ? [el("h3", {}, "Correction sent"), text(correction)] : null,
    last ? await calls(trial, attempt) : null,
    attempt.folds?.length ? el("p", { class: "quiet" }, `template: ${attempt.folds.join(", ")}`) : null,
    pairs([["request", time(attempt.wall_ms)], ["prefill", time(timing.prefill_ms)], ["first token", time(timing.first_token_ms)], ["decode", time(timing.decode_ms)], ["mask", timing.mask_ms ? time(timing.mask_ms) : null], ["grammar", timing.grammar_ms ? time(timing.grammar_ms) : null],
      ["prompt tokens", `${usage.prompt_tokens} (${usage.cached_tokens} kept, ${usage.computed_tokens} computed)`], ["generated tokens", `${usage.output_tokens}${usage.forced_tokens ? ` (${usage.forced_tokens} forced)` : ""}`], ["ended", attempt.stop_reason], ["retries", timing.retries || null]]),
    attempt.grammar !== undefined ? lazily("Grammar", async () => text(await content(attempt.grammar))) : null,
    lazily("Tools offered", async () => text(await content(attempt.tools))),
    attempt.served !== undefined ? lazily("What the server gave beside the text", async () => text(await content(attempt.served))) : null);
}
async function casePart(trial) {
  casesPromise ??= unpack(byId("data-cases").textContent);
  const suites = await casesPromise;
  const suite = Object.hasOwn(suites, trial.cell.suite) ? suites[trial.cell.suite] : {};
  const found = Object.hasOwn(suite, trial.case) ? suite[trial.case] : null;
  const rounds = found?.rounds?.length ? found.rounds : found?.user !== undefined || found?.expect !== undefined ? [found] : [];
  if (!rounds.length) return [el("h3", {}, "Case"), notKept()];
  return [el("h3", {}, "What was asked and expected"), found.why ? el("p", { class: "quiet" }, found.why) : null,
    found.history?.length ? fold(plural(found.history.length, "message before"), found.history.map(message)) : null,
    rounds.map((round) => el("div", { class: "two" }, el("div", {}, text(round.user ?? "")), el("div", {}, text(round.expect ?? {}))))];
}
let opened = null;
async function openTrial(at) {
  const dialog = byId("trial");
  opened = at;
  const id = index.trials.id[at];
  const place = order.indexOf(at);
  const trial = await trialAt(at);
  if (opened !== at) return;
  const step = (by) => () => { if (order[place + by] !== undefined) { here = place + by; openTrial(order[here]); } };
  const kind = trial.outcome.kind;
  const code = [trial.outcome.code, trial.outcome.underlying].filter(Boolean).join(", ");
  const title = el("h2", { id: "trial-title" }, el("span", { class: `tag ${tone(kind)}` }, mark(kind)), ` ${trial.cell.suite} / ${trial.case}`);
  const head = el("div", { class: "trial-head" }, title,
    place >= 0 ? el("span", { class: "quiet" }, `${(place + 1).toLocaleString("en")} of ${order.length.toLocaleString("en")}`) : null,
    button("←", step(-1), { id: "previous", "aria-label": "Previous trial", disabled: place <= 0 }), button("→", step(1), { id: "next", "aria-label": "Next trial", disabled: place < 0 || place + 1 >= order.length }),
    el("a", { href: `#trial=${encodeURIComponent(id)}`, title: "The address of this trial" }, "link"), button("Close", () => dialog.close(), { id: "trial-close" }));
  const asked = trial.constraint_asked, held = trial.constraint_effective;
  const facts = pairs([["model", trial.cell.model], ["dialect", trial.cell.dialect], ["constraint", asked === held ? asked : `${asked}, in force: ${held}`], ["variant", trial.cell.variant], ["category", trial.category], ["difficulty", trial.difficulty],
    ["outcome", code ? `${kind}: ${code}` : kind], ["corrections", trial.corrections], ["task", trial.replayed ? "replayed, not measured" : time(trial.time.total_ms)], ["in the model", time(trial.time.model_ms)], ["after corrections", trial.time.correction_ms ? time(trial.time.correction_ms) : null],
    ["in tools", trial.time.tool_ms ? time(trial.time.tool_ms) : null], ["to first valid call", trial.time.to_valid_call_ms === undefined ? null : time(trial.time.to_valid_call_ms)], ["trial", trial.trial], ["seed", trial.seed], ["tier", trial.cell.tier], ["started", trial.started_at], ["machine", trial.noisy ? "busy with something else meanwhile" : null]]);
  const attempts = [];
  for (const [which, attempt] of trial.attempts.entries()) attempts.push(await attemptPart(trial, attempt, which));
  const parts = [head, facts, trial.constraint_refused ? el("p", {}, `The grammar was refused: ${trial.constraint_refused}`) : null,
    trial.violations?.length ? [el("h3", {}, "Findings of the trial"), findings(trial.violations)] : null, await casePart(trial), attempts,
    trial.attempts.length ? null : el("p", { class: "quiet" }, "No request was answered."),
    trial.answer !== undefined ? [el("h3", {}, "Final answer"), trial.answer === "" && index.retain && index.retain !== "full" ? notKept() : text(trial.answer)] : null,
    trial.host_notes?.length ? [el("h3", {}, "Notes of the tool host"), trial.host_notes.map((note) => text(note))] : null,
    trial.call_counts ? fold("Calls against what was expected", pairs(Object.entries(trial.call_counts).map(([name, value]) => [name.replaceAll("_", " "), value]))) : null,
    trial.end_state !== undefined ? lazily("State at the end", async () => text(await content(trial.end_state))) : null,
    trial.earlier ? fold(plural(trial.earlier.length, "earlier result") + ", replaced by this one", trial.earlier.map((line) => text(line.outcome))) : null,
    lazily("The line of the record (numbers stand for addresses of content)", () => text(trial, 4000))];
  if (opened !== at) return;
  byId("trial-body").replaceChildren(...parts.flat(Infinity).filter((part) => part));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  setHash(`#trial=${encodeURIComponent(id)}`);
}
byId("trial").addEventListener("close", () => { opened = null; setHash(stateHash()); draw(true); byId("trial-list")?.querySelector("tr.here")?.focus({ preventScroll: true }); });
byId("trial").addEventListener("click", (event) => { if (event.target === byId("trial")) byId("trial").close(); });
