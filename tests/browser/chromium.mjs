// Chromium over its own protocol, through two pipes: no package, no port, no network.
//
// `launch(program)` starts one; `browser.open(path, options)` opens a file in a page of its own and
// records what it must not do: errors, warnings, requests.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export async function launch(program) {
  const profile = mkdtempSync(join(tmpdir(), "page-test-"));
  const child = spawn(
    program,
    [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--hide-scrollbars",
      "--font-render-hinting=none",
      "--force-color-profile=srgb",
      "--disable-background-networking",
      "--remote-debugging-pipe",
      `--user-data-dir=${profile}`,
      "about:blank",
    ],
    { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] },
  );
  let words = "";
  child.stderr.on("data", (data) => {
    words = (words + data).slice(-2000);
  });
  const [to, from] = [child.stdio[3], child.stdio[4]];
  const waiting = new Map();
  const listeners = [];
  let next = 0;
  let rest = "";
  from.on("data", (data) => {
    rest += data;
    for (let end = rest.indexOf("\0"); end >= 0; end = rest.indexOf("\0")) {
      const message = JSON.parse(rest.slice(0, end));
      rest = rest.slice(end + 1);
      if (message.id === undefined) {
        for (const listener of listeners) listener(message);
        continue;
      }
      const { resolve, reject } = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) reject(new Error(message.error.message));
      else resolve(message.result);
    }
  });
  child.on("exit", () => {
    for (const { reject } of waiting.values()) reject(new Error(`Chromium ended: ${words}`));
  });
  to.on("error", () => {});
  const send = (method, params = {}, sessionId = undefined) =>
    new Promise((resolve, reject) => {
      next += 1;
      waiting.set(next, { resolve, reject });
      to.write(`${JSON.stringify({ id: next, method, params, sessionId })}\0`);
    });
  const { product } = await send("Browser.getVersion");
  return {
    product,
    open: (path, options) => open(send, listeners, path, options),
    async close() {
      const ended = new Promise((resolve) => {
        child.on("close", resolve);
      });
      await send("Browser.close").catch(() => {});
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
}

async function open(send, listeners, path, { width = 1320, height = 900, dark = false, hash = "" } = {}) {
  // A context of its own: nothing is remembered from one page to the next.
  const { browserContextId } = await send("Target.createBrowserContext");
  const { targetId } = await send("Target.createTarget", { url: "about:blank", browserContextId });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const call = (method, params) => send(method, params, sessionId);
  const troubles = [];
  const address = pathToFileURL(path).href;
  listeners.push(({ sessionId: from, method, params }) => {
    if (from !== sessionId) return;
    if (method === "Runtime.exceptionThrown")
      troubles.push(`exception: ${params.exceptionDetails.exception?.description ?? params.exceptionDetails.text}`);
    if (method === "Runtime.consoleAPICalled")
      troubles.push(`console.${params.type}: ${params.args.map((it) => it.value ?? it.description).join(" ")}`);
    if (method === "Log.entryAdded") troubles.push(`log: ${params.entry.text}`);
    if (method === "Network.requestWillBeSent" && !params.request.url.startsWith(address))
      troubles.push(`request: ${params.request.url}`);
    if (method === "Page.javascriptDialogOpening") troubles.push(`dialog: ${params.message}`);
  });
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await call(`${domain}.enable`);
  // Processor time of the page's own thread: what the machine does besides is not in it.
  await call("Performance.enable", { timeDomain: "threadTicks" });
  await call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
  const media = (kind, isDark) =>
    call("Emulation.setEmulatedMedia", {
      media: kind,
      features: [{ name: "prefers-color-scheme", value: isDark ? "dark" : "light" }],
    });
  await media("", dark);
  await call("Page.navigate", { url: address + hash });
  const page = {
    troubles,
    call,
    media,
    /** The value of an expression or a function's result, promises waited for. */
    async value(code, ...values) {
      const expression = typeof code === "function" ? `(${code})(...${JSON.stringify(values)})` : code;
      const { result, exceptionDetails } = await call("Runtime.evaluate", {
        expression,
        awaitPromise: true,
        returnByValue: true,
      });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    /** Waits until an expression is true. */
    async until(code, what = String(code), patience = 30_000) {
      const end = Date.now() + patience;
      for (;;) {
        const found = await page.value(code).catch(() => false);
        if (found) return found;
        if (Date.now() > end) throw new Error(`waited in vain: ${what}; ${troubles.join("; ")}`);
        await new Promise((resolve) => {
          setTimeout(resolve, 30);
        });
      }
    },
    /** Processor time of the page's own thread so far, in milliseconds. */
    async work() {
      const { metrics } = await call("Performance.getMetrics");
      return 1000 * metrics.find((it) => it.name === "TaskDuration").value;
    },
    async press(key, modifiers = 0) {
      const text = key.length === 1 ? key : key === "Enter" ? "\r" : undefined;
      const code =
        {
          Enter: 13,
          Escape: 27,
          Tab: 9,
          ArrowUp: 38,
          ArrowDown: 40,
          ArrowLeft: 37,
          ArrowRight: 39,
          Home: 36,
          End: 35,
          PageDown: 34,
          PageUp: 33,
        }[key] ?? key.toUpperCase().charCodeAt(0);
      const event = { key, windowsVirtualKeyCode: code, code: key.length > 1 ? key : undefined, modifiers };
      await call("Input.dispatchKeyEvent", { type: text ? "keyDown" : "rawKeyDown", text, ...event });
      await call("Input.dispatchKeyEvent", { type: "keyUp", ...event });
    },
    async type(text) {
      for (const letter of text) await page.press(letter);
    },
    async screenshot(file, { whole = false, height: tall } = {}) {
      const size = await page.value("({ width: innerWidth, height: document.documentElement.scrollHeight })");
      const clip = whole
        ? { x: 0, y: 0, width: size.width, height: Math.min(size.height, tall ?? 12_000), scale: 1 }
        : undefined;
      const { data } = await call("Page.captureScreenshot", { format: "png", captureBeyondViewport: whole, clip });
      writeFileSync(file, Buffer.from(data, "base64"));
    },
    async pdf(file) {
      const { data } = await call("Page.printToPDF", {
        printBackground: true,
        preferCSSPageSize: true,
        paperWidth: 8.27,
        paperHeight: 11.69,
      });
      writeFileSync(file, Buffer.from(data, "base64"));
    },
    close: () => send("Target.disposeBrowserContext", { browserContextId }),
  };
  await page.until(
    "document.readyState === 'complete' && (document.documentElement.dataset.ready || document.documentElement.dataset.failed)",
    "the page to be ready",
    60_000,
  );
  return page;
}
