// Addresses and keys ------------------------------------------------------------------------------
function route() {
  const hash = location.hash;
  if (hash.startsWith("#trial=")) {
    let id = hash.slice(7);
    try {
      id = decodeURIComponent(id);
    } catch {
      /* as it stands */
    }
    const at = places.get(id);
    if (at === undefined) {
      byId("active").textContent = `No trial ${id} is in this record.`;
      byId("trials").scrollIntoView();
      return;
    }
    if (order.includes(at)) here = order.indexOf(at);
    openTrial(at);
  } else if (hash.startsWith("#trials?")) {
    if (byId("trial").open) byId("trial").close();
    const parts = new URLSearchParams(hash.slice(8));
    wanted.clear();
    for (const name of [...kinds, ...hidden])
      if (
        parts.has(name) &&
        (name === "first" ||
          name === "tool" ||
          index.names[name].length > 1 ||
          name === "outcome" ||
          name === "code" ||
          !index.names[name].includes(parts.get(name)))
      )
        wanted.set(name, parts.get(name));
    query = (parts.get("q") ?? "").toLowerCase();
    byId("search").value = query;
    here = 0;
    apply(false);
    setHash(hash);
    byId("trials").scrollIntoView();
  }
}
byId("save").addEventListener("click", async () => {
  const summary = await unpackText(byId("data-summary").textContent);
  const address = URL.createObjectURL(new Blob([summary], { type: "application/json" }));
  el("a", { href: address, download: `${index.run}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
});
byId("help").addEventListener("click", () => byId("keys").showModal());
byId("keys-close").addEventListener("click", () => byId("keys").close());
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input, select, textarea") || !index)
    return;
  if (byId("trial").open) {
    const step = { ArrowLeft: "previous", k: "previous", ArrowRight: "next", j: "next" }[event.key];
    if (step) {
      event.preventDefault();
      byId(step)?.click();
    }
    return;
  }
  if (byId("keys").open) return;
  const act = {
    "/": () => {
      byId("search").focus();
      byId("search").select();
      byId("trials").scrollIntoView();
    },
    "?": () => byId("keys").showModal(),
    t: nextTheme,
    j: () => move(1),
    k: () => move(-1),
  }[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

async function start() {
  if (typeof DecompressionStream === "undefined")
    throw new Error("this browser cannot unpack the page's data; a current one can");
  index = await unpack(byId("data-index").textContent);
  labels = Object.keys(index.names).filter((name) => name !== "tool");
  count = index.trials.id.length;
  places = new Map(index.trials.id.map((id, at) => [id, at]));
  firsts = [];
  index.trials.block.forEach((which, at) => {
    firsts[which] ??= at;
  });
  defineColumns();
  buildFilters();
  buildList();
  buildTools();
  apply(false);
  addEventListener("hashchange", route);
  // The same address a second time is no change of it, and still leads there.
  addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#trial"]');
    if (!link || link.getAttribute("href") === "#trials" || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    setHash(link.getAttribute("href"));
    route();
  });
  route();
  root.dataset.ready = String(Math.round(performance.now()));
}
start().catch((error) => {
  byId("list").textContent = `The trials cannot be shown: ${error.message}`;
  root.dataset.failed = error.message;
});
