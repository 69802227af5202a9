// How fast the studio is in a real browser: the table of docs/studio.md.
//
//   .ci/studio PROGRAM speed
//
// It asserts nothing: times on a busy machine say little. Every row is the median and the 95th percentile of what the page itself saw.
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

const PROGRAM = path.resolve(process.env.ISOLINE);
const MODELS = path.resolve(process.env.MODELS);
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const environment = { ...process.env, ISOLINE_MODELS: MODELS, ISOLINE_DEVICE: "cpu" };
const TIMES = Number(process.env.TIMES ?? 20);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });
const rows = [];

function at(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}

function row(what, target, values, unit = "ms") {
  rows.push(`| ${what} | ${target} | ${Math.round(at(values, 0.5))} | ${Math.round(at(values, 0.95))} | ${unit} | ${values.length} |`);
  console.log(rows.at(-1));
}

async function studio(model, prepare = () => {}) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "speed-"));
  prepare((...args) => execFileSync(PROGRAM, args, { cwd: root, env: environment, stdio: "ignore" }));
  const child = spawn(PROGRAM, ["studio", "-q", "-m", model, "--listen", "127.0.0.1:0", root], { env: environment, stdio: ["ignore", "pipe", "inherit"] });
  const address = await new Promise((resolve) => child.stdout.once("data", (line) => resolve(String(line).trim())));
  const tab = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await tab.newPage();
  page.setDefaultTimeout(300_000);
  const end = async () => {
    await tab.close();
    child.kill("SIGKILL");
    fs.rmSync(root, { recursive: true, force: true });
  };
  return { address, page, end };
}

const ready = (page) => page.waitForSelector("#main[data-ready=yes]", { state: "attached" });
const filled = () => [...document.querySelectorAll("#strip img")].every((i) => i.getAttribute("src") && i.complete) && [...document.querySelectorAll("#strip .cap i")].every((i) => i.textContent !== "");
const hero = (page) => page.waitForFunction(() => !document.querySelector(".hero").classList.contains("waiting"));
const rested = (page) => page.waitForFunction(() => !document.querySelector(".hero").classList.contains("waiting") && [...document.querySelectorAll("#others .thumb")].every((b) => !b.classList.contains("empty")));

// From the end of a drag to the true picture in the page, as the page sees it.
async function drags(page, times, rest = rested) {
  const found = [];
  for (let i = 0; i < times; i++) {
    const box = await page.locator("#dial input").boundingBox();
    const place = (percent) => [box.x + (box.width * percent) / 100, box.y + box.height / 2];
    await page.evaluate(() => {
      const slider = document.querySelector("#dial input");
      window.took = new Promise((done) => {
        slider.addEventListener("change", () => {
          const began = performance.now();
          const look = () => {
            const hero = document.querySelector("#hero");
            const there = document.querySelector("#asked").textContent === slider.value && !document.querySelector(".hero").classList.contains("waiting") && hero.complete;
            if (there) done(performance.now() - began);
            else requestAnimationFrame(look);
          };
          look();
        }, { once: true });
      });
    });
    const [from, to] = [20 + ((i * 37) % 60), 15 + ((i * 53) % 70)];
    await page.mouse.move(...place(from));
    await page.mouse.down();
    for (let s = 1; s <= 12; s++) await page.mouse.move(...place(from + ((to + 0.3 - from) * s) / 12));
    await page.mouse.up();
    found.push(await page.evaluate(() => window.took));
    await rest(page);
  }
  return found;
}

async function strips(page, times) {
  const found = [];
  for (let i = 0; i < times; i++) {
    await page.evaluate((text) => {
      const there = new Function(`return (${text})()`);
      const began = performance.now();
      window.took = new Promise((done) => {
        const look = () => (there() ? done(performance.now() - began) : requestAnimationFrame(look));
        document.querySelector("#next").click();
        requestAnimationFrame(() => requestAnimationFrame(look));
      });
    }, filled.toString());
    found.push(await page.evaluate(() => window.took));
    await rested(page);
  }
  return found;
}

console.log("| what | target | median | 95 % | unit | times |\n|---|---|---|---|---|---|");
const models = [["digits-gan", 500, 900], ["peeps", 1500, 3000], ["digits-diffusion", 2000, null]];
// ONLY=NAME, that of a model, `gallery` or `reload`, leaves out the others.
const wanted = (name) => !process.env.ONLY || process.env.ONLY === name;
for (const [model, target, strip] of models.filter((m) => wanted(m[0]))) {
  // Other seeds of a slow model take minutes, and a drag replaces them.
  const slow = model === "digits-diffusion";
  const times = slow ? Math.ceil(TIMES / 4) : TIMES;
  const { address, page, end } = await studio(model);
  await page.goto(`${address}#model=${model}&seed=7&novelty=60`);
  await ready(page);
  await page.waitForFunction(filled);
  await (slow ? hero : rested)(page);
  await page.evaluate(() => {
    window.inputs = [];
    new PerformanceObserver((list) => list.getEntries().forEach((e) => /pointermove|input|mousemove/.test(e.name) && window.inputs.push(e.duration))).observe({ type: "event", durationThreshold: 16, buffered: false });
  });
  row(`${model}: end of a drag to the true picture`, target, await drags(page, times, slow ? hero : rested));
  const inputs = await page.evaluate(() => window.inputs);
  if (inputs.length) row(`${model}: a move of the slider to the next frame`, 50, inputs);
  if (!slow) {
    row(`${model}: a strip of seven of another seed`, strip, await strips(page, times));
    await page.fill("#many-seeds", "0-9999");
    await page.fill("#many-name", "night");
    await page.click("#many button[type=submit]");
    await page.waitForFunction(() => !document.querySelector("#job-pill").hidden);
    row(`${model}: the same during a batch`, `${target} + a tile`, await drags(page, times));
  }
  await end();
}

for (const count of wanted("gallery") ? [1_000, 20_000] : []) {
  const { address, page, end } = await studio("digits-gan", (isoline) => isoline("generate", "-q", "-m", "digits-gan", "--mode", "balanced", "--seeds", `0-${count - 1}`, "-o", "many"));
  await page.goto(`${address}#screen=gallery`);
  await page.waitForFunction((n) => document.querySelector("#gal-title").textContent === `${n} pictures`, count.toLocaleString("en"));
  await page.evaluate(() => {
    window.long = [0];
    new PerformanceObserver((list) => list.getEntries().forEach((e) => window.long.push(e.duration))).observe({ type: "longtask" });
  });
  let most = 0;
  for (let i = 0; i < 80; i++) {
    await page.mouse.wheel(0, 900);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    most = Math.max(most, await page.locator(".tile").count());
  }
  row(`gallery of ${count.toLocaleString("en")}, scrolled: most tiles in the page`, "200", [most], "tiles");
  row(`gallery of ${count.toLocaleString("en")}, scrolled: the longest task`, "100", [Math.max(...(await page.evaluate(() => window.long)))]);
  // Pictures that are still on their way would be waited for too.
  await page.waitForFunction(() => [...document.querySelectorAll(".tile img")].every((i) => i.complete || i.getBoundingClientRect().top > innerHeight));
  await page.waitForTimeout(2_000);
  const lists = await page.evaluate(async () => {
    const found = [];
    for (let i = 0; i < 20; i++) {
      const began = performance.now();
      await (await fetch("/api/pictures?limit=200")).json();
      found.push(performance.now() - began);
    }
    return found;
  });
  row(`gallery of ${count.toLocaleString("en")}: a list of 200`, "50", lists);
  await end();
}

if (wanted("reload")) {
  const { address, page, end } = await studio("peeps");
  await page.goto(`${address}#model=peeps&seed=7&novelty=60`);
  await ready(page);
  await rested(page);
  const found = [];
  // Requests that reach the studio: not those that the browser answers from what it has kept.
  const asked = new Set();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  devtools.on("Network.requestWillBeSent", (e) => asked.add(e.requestId));
  devtools.on("Network.requestServedFromCache", (e) => asked.delete(e.requestId));
  devtools.on("Network.responseReceived", (e) => e.response.fromDiskCache && asked.delete(e.requestId));
  const counts = [];
  for (let i = 0; i < 10; i++) {
    asked.clear();
    await page.reload();
    await page.waitForFunction(() => document.querySelector("#main").dataset.ready === "yes" && document.querySelector("#hero").complete && /^\d/.test(document.querySelector("#reached").textContent));
    found.push(await page.evaluate(() => performance.now()));
    counts.push(asked.size);
  }
  row("peeps: a reload to the picture with its number", "400", found);
  row("peeps: requests until then", "20", counts, "requests");
  await end();
}
await browser.close();
