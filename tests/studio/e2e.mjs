// The studio in a real browser: Chromium, driven by Playwright, on the real program.
//
//   ISOLINE=target/release/isoline npm test
//
// Each test has a studio and a folder of its own. Nothing sleeps for a fixed time: everything waits for what it is about.
import AxeBuilder from "@axe-core/playwright";
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const PROGRAM = path.resolve(process.env.ISOLINE ?? "../../target/release/isoline");
const MODELS = path.resolve(process.env.MODELS ?? path.join(import.meta.dirname, "../../models"));
const SHOTS = process.env.SHOTS;
const STRACE = process.env.STRACE;
const LONG = 120_000;
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
let browser;
// What closes the tabs of a test.
const openTabs = new Map();

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });
});
after(() => browser?.close());

const environment = { ...process.env, ISOLINE_MODELS: MODELS, ISOLINE_DEVICE: "cpu" };
const isoline = (root, ...args) => execFileSync(PROGRAM, args, { cwd: root, env: environment, stdio: ["ignore", "pipe", "pipe"] });

// A studio over an empty folder, and what it printed.
async function studio(context, { prepare = () => {}, model = "digits-gan", strace = false } = {}) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "studio-"));
  prepare(root);
  const began = performance.now();
  const log = `${root}.strace`;
  const command = [PROGRAM, "studio", "-q", "-m", model, "--listen", "127.0.0.1:0", root];
  if (strace) command.unshift(STRACE, "-f", "-e", "trace=network", "-o", log);
  const child = spawn(command[0], command.slice(1), { env: environment, stdio: ["ignore", "pipe", "inherit"], detached: true });
  const address = await new Promise((resolve, reject) => {
    child.stdout.once("data", (line) => resolve(String(line).trim()));
    child.once("exit", (code) => reject(new Error(`the studio ended with ${code}`)));
  });
  const printed = performance.now() - began;
  // Pages are closed before their studio ends: what they ask of one that is gone would count as trouble.
  const tabs = [];
  context.after(async () => {
    const ended = await Promise.allSettled(tabs.map((close) => close()));
    // The whole group: a tracer that is killed leaves what it traced.
    process.kill(-child.pid, "SIGKILL");
    fs.rmSync(root, { recursive: true, force: true });
    fs.rmSync(log, { force: true });
    const failed = ended.find((e) => e.status === "rejected");
    if (failed) throw failed.reason;
  });
  openTabs.set(context, tabs);
  return { root, address, printed, child, log };
}

// A page whose console and requests are watched: any error, any report of the policy, any request elsewhere fails the test.
async function open(context, address, options = {}) {
  const tab = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await tab.newPage();
  page.setDefaultTimeout(LONG);
  const troubles = [];
  page.on("pageerror", (e) => troubles.push(`error: ${e.message}`));
  page.on("console", (m) => m.type() === "error" && !/Failed to load resource/.test(m.text()) && troubles.push(`console: ${m.text()}`));
  page.on("dialog", (d) => troubles.push(`dialog: ${d.message()}`) && d.dismiss());
  page.on("request", (r) => !r.url().startsWith(new URL(address).origin) && !r.url().startsWith("blob:") && troubles.push(`asked ${r.url()}`));
  openTabs.get(context).push(async () => {
    await tab.close();
    assert.deepEqual(troubles, []);
  });
  await page.goto(address);
  return page;
}

const ready = (page) => page.waitForSelector("#main[data-ready=yes]", { state: "attached" });
const reached = (page) => page.waitForFunction(() => /^\d/.test(document.querySelector("#reached").textContent));
async function asks(page, value) {
  const there = (v) => document.querySelector("#asked").textContent === v && /^\d/.test(document.querySelector("#reached").textContent) && !document.querySelector(".hero").classList.contains("waiting");
  await page.waitForFunction(there, value).catch(async (error) => {
    const text = (id) => page.textContent(id);
    const state = [page.url(), await text("#asked"), await text("#reached"), await text("#notice"), await page.getAttribute(".hero", "class"), await page.inputValue("#seed")];
    throw new Error(`asked ${value}, and the page is at ${state.join(" | ")}: ${error.message}`);
  });
}
const strip = (page) => page.waitForFunction(() => [...document.querySelectorAll("#strip .cap i")].every((i) => i.textContent !== ""));
const shot = (page, name) => SHOTS && page.screenshot({ path: path.join(SHOTS, `${name}.png`) });

async function accessible(page, where) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const bad = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  assert.deepEqual(bad.map((v) => `${where}: ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(" | ")}`), []);
}

test("the first picture comes, and the slider leads", async (t) => {
  const { address, printed } = await studio(t);
  const page = await open(t, `${address}#model=digits-gan&seed=23`);
  await ready(page);
  await reached(page);
  t.diagnostic(`address after ${Math.round(printed)} ms`);
  await strip(page);
  assert.equal(await page.textContent("#asked"), "balanced");
  // By keyboard alone: modes, arrows, ends.
  await page.keyboard.press("3");
  await asks(page, "90");
  const slider = page.getByRole("slider", { name: "Novelty" });
  await slider.focus();
  await page.keyboard.press("ArrowLeft");
  await asks(page, "89");
  for (let i = 0; i < 7; i++) await page.keyboard.press("ArrowLeft");
  await asks(page, "82");
  const asked = Number(await page.textContent("#asked"));
  const found = Number(await page.textContent("#reached"));
  assert.ok(Math.abs(found - asked) < 3, `${found}`);
  assert.match(await page.textContent("#say"), /Rarer than 8\d of 100/);
  await page.waitForFunction(() => /^Novel, asked 82, reached 8/.test(document.querySelector("#dial input").getAttribute("aria-valuetext") ?? ""));
  assert.match(await page.textContent("#plain-say"), /Without steering this seed is at \d+/);
  // Holding B shows the picture without steering, and releasing it the steered one.
  const source = () => page.getAttribute("#hero", "src");
  const steered = await source();
  await page.keyboard.down("b");
  await page.waitForFunction((s) => document.querySelector("#hero").getAttribute("src") !== s, steered);
  await page.keyboard.up("b");
  await page.waitForFunction((s) => document.querySelector("#hero").getAttribute("src") === s, steered);
  await page.keyboard.press("n");
  await page.waitForFunction(() => document.querySelector("#seed").value === "24");
  await asks(page, "82");
  await shot(page, "studio");
});

test("a dragged slider follows the hand and ends at the last value", async (t) => {
  const { address } = await studio(t);
  const page = await open(t, `${address}#model=digits-gan&seed=5`);
  await ready(page);
  await strip(page);
  let looks = 0;
  page.on("request", (r) => r.url().endsWith("/api/looks") && looks++);
  const box = await page.locator("#dial input").boundingBox();
  const at = (percent) => [box.x + (box.width * percent) / 100, box.y + box.height / 2];
  await page.mouse.move(...at(50));
  await page.mouse.down();
  for (let i = 0; i <= 200; i++) await page.mouse.move(...at(10 + 0.4 * i));
  // Before it is released the large picture is the nearest of the strip, never an empty place.
  assert.notEqual(await page.getAttribute("#hero", "src"), null);
  await page.mouse.up();
  const last = await page.inputValue("#dial input");
  await asks(page, last);
  t.diagnostic(`200 events, ${looks} looks`);
  assert.ok(looks < 150, `${looks} looks`);
});

test("a reload, and a second tab, show the same", async (t) => {
  const { address } = await studio(t);
  const page = await open(t, `${address}#model=digits-gan&seed=7&novelty=65`);
  await ready(page);
  await asks(page, "65");
  const before = await page.getAttribute("#hero", "src");
  await page.reload();
  await ready(page);
  await asks(page, "65");
  assert.equal(await page.getAttribute("#hero", "src"), before);
  assert.equal(await page.inputValue("#seed"), "7");
  const second = await page.context().newPage();
  second.setDefaultTimeout(LONG);
  await second.goto(address);
  await ready(second);
  // What is queued in one is seen in the other.
  await page.fill("#many-seeds", "0-31");
  await page.fill("#many-name", "shared");
  await page.click("#many button[type=submit]");
  for (const one of [page, second]) {
    await one.waitForFunction(() => !document.querySelector("#job-pill").hidden);
    await one.click("#job-pill");
    await one.waitForFunction(() => /96 of 96/.test(document.querySelector(".drawer").textContent));
    await accessible(one, "queue");
  }
  await shot(page, "queue");
});

test("keep, gallery, star, inspect, make it again", async (t) => {
  const { address, root } = await studio(t, { prepare: (root) => isoline(root, "generate", "-q", "-m", "digits-gan", "--novelty", "5,50,95", "--seeds", "0-23", "-o", "night") });
  const page = await open(t, `${address}#model=digits-gan&seed=23&novelty=82`);
  await ready(page);
  await asks(page, "82");
  await page.keyboard.press("k");
  await page.waitForFunction(() => document.querySelector("#keep").textContent.startsWith("Kept"));
  await page.keyboard.press("g");
  await page.waitForFunction(() => document.querySelector("#gal-title").textContent === "73 pictures");
  await page.waitForSelector(".tile img");
  await accessible(page, "gallery");
  await shot(page, "gallery");
  await page.click("#gal-marks >> text=Kept");
  await page.waitForFunction(() => document.querySelector("#gal-title").textContent === "1 picture");
  await page.click(".tile");
  await page.keyboard.press("s");
  await page.click("#gal-marks >> text=Starred");
  await page.waitForFunction(() => document.querySelector("#gal-title").textContent === "1 picture");
  await page.dblclick(".tile");
  await page.waitForSelector("#ins-title");
  await page.waitForSelector(".stems");
  assert.match(await page.textContent("#ins-geometry"), /Local rank ν\d+\.\d.*Exact, along all 32 directions/s);
  // What is being typed stays while something else changes.
  await page.fill("#ins-tags", "half a wo");
  await page.click("#inspector >> text=Unstar");
  await page.waitForFunction(() => [...document.querySelectorAll("#inspector button")].some((b) => b.textContent === "Star"));
  assert.equal(await page.inputValue("#ins-tags"), "half a wo");
  await page.click("text=Make it again and compare");
  await page.waitForFunction(() => /^Identical: all [\d,]+ bytes/.test(document.querySelector("#verdict").textContent));
  await accessible(page, "inspector");
  await shot(page, "inspector");
  const kept = fs.readdirSync(root).find((name) => name.startsWith("kept-"));
  isoline(root, "verify", "-q", kept);
  await page.click("text=Open in Studio");
  await asks(page, "82");
});

test("variations, and pictures side by side", async (t) => {
  const { address } = await studio(t, { prepare: (root) => isoline(root, "generate", "-q", "-m", "digits-gan", "--novelty", "5,95", "--seeds", "0-5", "-o", "night") });
  const page = await open(t, `${address}#model=digits-gan&seed=23&novelty=82`);
  await ready(page);
  await asks(page, "82");
  await page.keyboard.press("v");
  const whole = () => page.waitForFunction(() => document.querySelectorAll(".ring button:not(.empty)").length === 8);
  await whole();
  await accessible(page, "variations");
  await shot(page, "variations");
  const middle = () => page.getAttribute(".ring div img", "src");
  const first = await middle();
  await page.click(".ring button >> nth=2");
  await page.waitForFunction((s) => document.querySelector(".ring div img").getAttribute("src") !== s, first);
  await whole();
  await page.click("text=Farther");
  await whole();
  await page.click("text=Keep the middle");
  await page.click("dialog >> text=Back");
  await page.waitForFunction((s) => document.querySelector(".ring div img").getAttribute("src") === s, first);
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.waitForFunction(() => document.querySelector("#gal-title").textContent === "13 pictures");
  await page.click(".tile >> nth=0");
  await page.click(".tile >> nth=9");
  await page.keyboard.press("c");
  await page.waitForSelector(".versus.two img");
  assert.match(await page.textContent("dialog"), /points apart/);
  await accessible(page, "compare");
  await shot(page, "compare");
  const left = () => page.getAttribute(".versus img", "src");
  const before = await left();
  await page.locator("dialog h2").click();
  await page.keyboard.down(" ");
  await page.waitForFunction((s) => document.querySelector(".versus img").src !== new URL(s, location).href, before);
  await page.keyboard.up(" ");
  await page.waitForFunction((s) => document.querySelector(".versus img").src === new URL(s, location).href, before);
});

// Answers pairs by a rule, with the arrow keys: the picture with more light.
async function chooses(page, times) {
  for (let i = 0; i < times; i++) {
    const title = await page.waitForFunction(() => document.querySelector("#taste").dataset.ready === "yes" && /^Choice \d/.test(document.querySelector("#taste .hint").textContent) && [...document.querySelectorAll(".side-p img")].every((image) => image.complete && image.naturalWidth > 0) && document.querySelector("#taste .hint").textContent);
    const lighter = await page.evaluate(() => {
      const light = [...document.querySelectorAll(".side-p img")].map((image) => {
        const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
        const draw = canvas.getContext("2d");
        draw.drawImage(image, 0, 0);
        return draw.getImageData(0, 0, canvas.width, canvas.height).data.reduce((sum, v) => sum + v, 0);
      });
      return light[0] > light[1] ? "ArrowLeft" : "ArrowRight";
    });
    await page.keyboard.press(lighter);
    await page.waitForFunction((before) => document.querySelector("#taste .hint").textContent !== before, await title.jsonValue());
  }
}

test("a taste is learnt, puts pictures in order, and is forgotten", async (t) => {
  const { address } = await studio(t, { prepare: (root) => isoline(root, "generate", "-q", "-m", "digits-gan", "--novelty", "5,95", "--seeds", "0-11", "-o", "night") });
  const page = await open(t, `${address}#model=digits-gan&seed=3&novelty=70`);
  await ready(page);
  await page.keyboard.press("t");
  await chooses(page, 2);
  assert.match(await page.textContent(".told"), /^Last time you took the (left|right) one\. (It (was|came) .+\.|In numbers the two hardly differed\.)$/);
  assert.equal(await page.getAttribute("#taste input[type=range]", "disabled"), "");
  assert.match(await page.textContent("#taste .three"), /Choose 30 times and it will say what it has learnt\. 2 so far\./);
  await page.waitForSelector("#taste[data-ready=yes]");
  await page.keyboard.press("u");
  await page.waitForFunction(() => /^Choice 2\./.test(document.querySelector("#taste .hint").textContent));
  await page.keyboard.press("d");
  await page.waitForFunction(() => /^(The left one (is|comes)|In numbers)/.test(document.querySelector(".told").textContent));
  await chooses(page, 44);
  await page.waitForSelector(".six img");
  await accessible(page, "taste");
  await shot(page, "taste");
  assert.match(await page.textContent("#taste .three"), /of \d+ pairs picked at random/);
  // How much it counts, and what it changes: the order of other seeds, and of the gallery.
  await page.locator("#taste input[type=range]").focus();
  await page.keyboard.press("End");
  await page.waitForFunction(() => /best 12 of 63/.test(document.querySelector("#taste-weight-hint").textContent));
  await page.keyboard.press("t");
  await page.click("#best");
  await page.waitForFunction(() => /^The best 12 of 63 seeds, asked 70/.test(document.querySelector("#others-title").textContent));
  await shot(page, "best");
  await page.click("#to-gallery");
  await page.selectOption("#gal-sort", "taste");
  await page.waitForFunction(() => document.querySelectorAll(".tile img").length === 24 && document.querySelector("#notice").hidden);
  await page.click("#to-taste");
  await page.click("text=Forget all");
  await page.click("text=/Forget \\d+ choices: sure/");
  await page.waitForFunction(() => /^Choice 1\./.test(document.querySelector("#taste .hint").textContent));
  assert.ok(await page.locator("#taste input[type=range]").isDisabled());
  await page.click("#to-studio");
  await page.waitForFunction(() => document.querySelector("#best").hidden);
});

test("nothing outside this machine is asked", async (t) => {
  if (!STRACE) return t.skip("no strace here");
  const { address, log } = await studio(t, { strace: true });
  const page = await open(t, `${address}#model=digits-gan&seed=23`);
  await ready(page);
  await reached(page);
  const calls = fs.readFileSync(log, "utf8").split("\n").filter((line) => /\b(connect|sendto|sendmsg)\(/.test(line));
  assert.ok(fs.readFileSync(log, "utf8").includes("bind("), "strace saw nothing");
  assert.deepEqual(calls.filter((line) => /sa_family=AF_INET/.test(line)), []);
});

test("an odd picture is said to be one", async (t) => {
  const { address } = await studio(t);
  const page = await open(t, `${address}#model=digits-gan&seed=0`);
  await ready(page);
  const found = await page.evaluate(async () => {
    const body = JSON.stringify({ view: "x", model: "digits-gan", seed: "0", novelty: 100, seeds: 63 });
    for (;;) {
      const answer = await fetch("/api/looks", { method: "POST", headers: { "X-Isoline": "1", "Content-Type": "application/json" }, body });
      const { frames } = await answer.json();
      if (frames.every((f) => f.state === "ready")) return frames.map((f) => f.picture);
      await new Promise((done) => setTimeout(done, 100));
    }
  });
  const odd = found.find((p) => p.status === "off_manifold" && p.beyond !== 0);
  assert.ok(odd, "no odd picture among 64");
  await page.goto(`${address}#model=digits-gan&seed=${odd.seed}&novelty=100`);
  await asks(page, "100");
  assert.equal(await page.textContent("#flag"), "Outside what the reward was taught; look twice");
  assert.match(await page.textContent("#say"), /^(\d+\.\d standard deviations (beyond|below) every|(Rarer|More typical) than every) sample measured/);
  await page.waitForFunction((seed) => document.querySelector("#seed").value === seed, odd.seed);
});

test("a picture that is not as near as asked says so", async (t) => {
  const { address } = await studio(t);
  const page = await open(t, `${address}#model=digits-gan&seed=23&novelty=82`);
  await ready(page);
  await asks(page, "82");
  // The small models reach what is asked; so one number of the server's answer is changed on its way.
  await page.route("**/api/looks", async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    const hero = body.frames?.find((f) => f.slot === "hero");
    if (hero?.picture) hero.picture.reached = 69.2;
    await route.fulfill({ response: answer, json: body });
  });
  await page.reload();
  await page.waitForFunction(() => document.querySelector("#say").textContent === "As near as this seed comes: 69, not 82.");
  assert.equal(await page.textContent("#reached"), "69.2");
});

test("hostile words are words", async (t) => {
  const name = "<img src=x onerror=alert(1)>";
  const { address, root } = await studio(t, { prepare: (root) => isoline(root, "generate", "-q", "-m", "digits-gan", "--mode", "balanced", "--seeds", "1", "-o", `${name}`) });
  const page = await open(t, `${address}#screen=gallery`);
  await page.waitForSelector(".tile img");
  await page.click(".tile");
  await page.fill("#gal-chosen input", "\"><script>alert(2)</script>");
  await page.press("#gal-chosen input", "Enter");
  await page.fill("#gal-q", "<script>");
  await page.waitForFunction(() => document.querySelector("#gal-title").textContent === "1 picture");
  await page.dblclick(".tile");
  await page.fill("#ins-alt", "<b onmouseover=alert(3)>bold</b>");
  await page.press("#ins-alt", "Tab");
  await page.waitForFunction(() => document.querySelector("#inspector img").alt.startsWith("<b "));
  assert.ok((await page.textContent("#inspector")).includes(name));
  assert.equal(await page.locator("#inspector b, #inspector script, #inspector img[src=x]").count(), 0);
  assert.ok(fs.existsSync(path.join(root, name)));
});

test("a dropped picture is opened", async (t) => {
  const { address, root } = await studio(t, { prepare: (root) => isoline(root, "generate", "-q", "-m", "digits-gan", "--novelty", "77", "--seeds", "41", "-o", "one") });
  const page = await open(t, address);
  await ready(page);
  const bytes = fs.readFileSync(path.join(root, "one/images/000041.png")).toString("base64");
  const drop = (base64) => page.evaluate((text) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], "x.png", { type: "image/png" }));
    window.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
  }, base64);
  await drop(bytes);
  await asks(page, "77");
  assert.equal(await page.inputValue("#seed"), "41");
  await drop(Buffer.from("no picture").toString("base64"));
  await page.waitForFunction(() => /expected a PNG/.test(document.querySelector("#notice").textContent));
});

test("five thousand pictures are scrolled through", async (t) => {
  const prepare = (root) => {
    isoline(root, "generate", "-q", "-m", "digits-gan", "--mode", "balanced", "--seeds", "0-4999", "-o", "many");
  };
  const { address } = await studio(t, { prepare });
  const page = await open(t, `${address}#screen=gallery`);
  await page.waitForFunction(() => document.querySelector("#gal-title").textContent === "5,000 pictures");
  let most = 0;
  for (let i = 0; i < 60; i++) {
    await page.mouse.wheel(0, 900);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    most = Math.max(most, await page.locator(".tile").count());
  }
  t.diagnostic(`at most ${most} tiles`);
  assert.ok(most < 200, `${most} tiles`);
  await page.click("#gal-rail >> text=90");
  await page.waitForFunction(() => [...document.querySelectorAll(".band span")].some((s) => s.textContent === "90"));
});

test("every screen in both themes, at 320 px, and with little motion", async (t) => {
  const { address } = await studio(t, { prepare: (root) => isoline(root, "generate", "-q", "-m", "digits-gan", "--novelty", "5,95", "--seeds", "0-11", "-o", "night") });
  for (const [colorScheme, width, height] of [["light", 1440, 900], ["dark", 1440, 900], ["light", 390, 844], ["dark", 320, 640]]) {
    const page = await open(t, `${address}#model=digits-gan&seed=3&novelty=70`, { colorScheme, viewport: { width, height }, reducedMotion: "reduce" });
    const name = `${colorScheme}-${width}`;
    await ready(page);
    await asks(page, "70");
    const sideways = async (where) => {
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(over <= 0, `${where} at ${width}: ${over} px too wide`);
    };
    await sideways("studio");
    await accessible(page, `studio ${name}`);
    await shot(page, `studio-${name}`);
    await page.keyboard.press("?");
    await page.waitForSelector("dialog[open]");
    await accessible(page, `help ${name}`);
    await page.keyboard.press("Escape");
    await page.click("#model-chip");
    await page.waitForSelector("dialog[open] .card");
    await accessible(page, `models ${name}`);
    await page.keyboard.press("Escape");
    await page.click("#to-gallery");
    await page.waitForSelector(".tile img");
    await sideways("gallery");
    await accessible(page, `gallery ${name}`);
    await shot(page, `gallery-${name}`);
    await page.dblclick(".tile");
    await page.waitForSelector("#ins-title");
    await sideways("inspector");
    await page.waitForSelector(".stems");
    await sideways("inspector");
    await accessible(page, `inspector ${name}`);
    await shot(page, `inspector-${name}`);
    await page.click("#to-taste");
    await page.waitForFunction(() => /^Choice \d/.test(document.querySelector("#taste .hint").textContent));
    await sideways("taste");
    await accessible(page, `taste ${name}`);
    await shot(page, `taste-${name}`);
    await page.context().close();
  }
});
