// One request for the faces, one for the walk; dragging the slider draws pictures that are already loaded.
const $ = (id) => document.getElementById(id);
const meta = JSON.parse(document.body.dataset.meta);
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const ENLARGE = 5; // canvas pixels per face pixel in a tile
const STEPS = 33;
// The most popular attributes; the others are collapsed.
const FIRST = ["Smiling", "Male", "Young", "Eyeglasses", "Blond_Hair", "Black_Hair", "Bangs", "Heavy_Makeup"];

const shown = { seed: "", n: 0, model: "", wishes: "", columns: 1, size: 1, faces: null, from: 0, to: 0, walk: null };
const latest = { faces: null, walk: null }; // pending requests, aborted when a newer one replaces them
const wishes = new Map(document.body.dataset.wishes.split(",").filter(Boolean).map((wish) => wish.split(":")));
let sharp = false;
let fading = 0;
let presses = 0;
let notice = $("status").textContent.trim(); // the server's notice about the URL, shown with the first faces

document.body.dataset.size = "m";

function address(fields) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== "") query.set(name, value);
  return `api/faces?${query}`; // relative: the page may be served below any path
}

async function picture(kind, url) {
  latest[kind]?.abort();
  const control = (latest[kind] = new AbortController());
  const answer = await fetch(url, { signal: control.signal }).catch((error) => {
    throw error.name === "AbortError" ? error : new Error("the server does not respond; is it still running?");
  });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
    throw Object.assign(new Error(problem.error), { parameter: problem.parameter });
  }
  const bitmap = await createImageBitmap(await answer.blob());
  if (control.signal.aborted) throw new DOMException("a newer request was made", "AbortError");
  return { bitmap, headers: answer.headers };
}

function busy(...ids) {
  for (const id of ids) $(id).setAttribute("aria-busy", "true");
}

function done(...ids) {
  for (const id of ids) $(id).removeAttribute("aria-busy");
}

function say(text, bad = "") {
  $("status").textContent = [text, bad].filter(Boolean).join(". ");
  $("status").classList.toggle("bad", Boolean(bad));
}

function complain(error) {
  if (error.name === "AbortError") return;
  const field = error.parameter ? $(error.parameter) : null;
  if (field) field.setAttribute("aria-invalid", "true");
  say("", error.parameter ? `${error.parameter}: ${error.message}` : error.message);
}

// An opaque picture replaces the old one, so that the same face always has the same pixels.
function draw(canvas, bitmap, share = 1) {
  const pen = canvas.getContext("2d");
  canvas.classList.remove("blank");
  pen.globalAlpha = share;
  pen.globalCompositeOperation = share < 1 ? "source-over" : "copy";
  pen.imageSmoothingEnabled = !sharp;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
}

// Cut out every face first: smoothing must not blend neighbours in the sprite.
async function cut(bitmap, count, columns, side) {
  const whole = [...Array(count).keys()];
  return Promise.all(whole.map((k) => createImageBitmap(bitmap, (k % columns) * side, Math.floor(k / columns) * side, side, side)));
}

// Parameters of a request apart from its seed. A face keeps its other attributes when one is changed.
function making(model, attributes) {
  const { digest } = meta.models.find((one) => one.name === model); // the digest pins the weights, so the answer can be cached
  return { model, attributes, unasked: attributes && document.body.dataset.unasked, digest };
}

async function generate({ keep = false } = {}) {
  const asked = wished();
  const seed = $("seed").value.trim() || (keep ? shown.seed : "");
  const fields = { n: $("n").value, seed, ...making($("model").value, asked) };
  for (const id of ["n", "seed"]) $(id).removeAttribute("aria-invalid");
  busy("generate", "grid");
  const mine = ++presses;
  try {
    const { bitmap, headers } = await picture("faces", address(fields));
    const columns = Number(headers.get("X-Faceaug-Grid").split("x")[0]);
    const size = bitmap.width / columns;
    const n = Number(fields.n);
    const faces = await cut(bitmap, n, columns, size);
    const before = { ...shown };
    Object.assign(shown, { seed: headers.get("X-Faceaug-Seed"), n, model: fields.model, wishes: asked, columns, size, faces });
    const others = ["seed", "n", "model"].some((name) => shown[name] !== before[name]);
    if (others) Object.assign(shown, { from: 0, to: n > 1 ? 1 : 0 });
    if (others) showTiles();
    showFaces(others ? null : before.faces);
    done("grid");
    say(`${n === 1 ? "1 face" : `${n} faces`}, seed ${shown.seed}`, notice);
    notice = "";
    await showWalk();
  } catch (error) {
    complain(error);
  } finally {
    if (mine === presses) done("generate", "grid", "way");
  }
}

function showTiles() {
  const tiles = shown.faces.map((face, k) => {
    const tile = document.createElement("button");
    const canvas = document.createElement("canvas");
    tile.type = "button";
    tile.className = "face";
    tile.tabIndex = k ? -1 : 0;
    tile.dataset.k = k;
    if (!calm) canvas.style.animationDelay = `${Math.min(k * 14, 500)}ms`;
    canvas.width = canvas.height = shown.size * ENLARGE;
    tile.append(canvas);
    return tile;
  });
  $("grid").replaceChildren(...tiles);
  arrange();
}

function showFaces(before) {
  cancelAnimationFrame(fading);
  redraw();
  if (before && !calm) fade(before);
  mark();
  const same = { n: shown.n, seed: shown.seed, ...making(shown.model, shown.wishes) };
  for (const format of ["png", "webp", "zip"]) link(`get-${format}`, address({ ...same, format }), `faces-${shown.seed}.${format}`);
  $("get-link").href = address(same).replace("api/faces", "./");
  $("facts").textContent = `seed ${shown.seed}`;
  $("keep").disabled = false;
}

// The same faces with other attributes: cross-fade.
function fade(before) {
  const began = performance.now();
  const frame = (now) => {
    const share = Math.min(1, Math.max(0, (now - began) / 300));
    for (const tile of $("grid").children) {
      draw(tile.firstChild, before[tile.dataset.k]);
      draw(tile.firstChild, shown.faces[tile.dataset.k], share);
    }
    if (share < 1) fading = requestAnimationFrame(frame);
  };
  frame(began);
}

// As many columns as fit, or fewer if that fills the last row.
function arrange() {
  const tile = Number.parseFloat(getComputedStyle($("grid")).getPropertyValue("--tile")) * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  const fit = Math.max(1, Math.floor($("grid").clientWidth / (tile * 1.1)));
  const n = $("grid").childElementCount; // faces or their placeholders
  const rows = Math.ceil(n / fit);
  $("grid").style.gridTemplateColumns = rows ? `repeat(${rows === 1 ? fit : Math.ceil(n / rows)}, minmax(0, 1fr))` : "";
}

function link(id, href, name) {
  $(id).href = href;
  $(id).download = name;
}

function face(k, seed = shown.seed) {
  return { n: 1, face: k, seed, ...making(shown.model, shown.wishes) };
}

function mark() {
  for (const tile of $("grid").children) {
    const k = Number(tile.dataset.k);
    const end = k === shown.to ? "B" : k === shown.from ? "A" : "";
    if (end) tile.dataset.end = end;
    else delete tile.dataset.end;
    tile.setAttribute("aria-pressed", String(Boolean(end)));
    tile.setAttribute("aria-label", `Face ${k + 1}${end === "A" ? ", where the walk begins" : end === "B" ? ", where it ends" : ""}`);
  }
  link("get-from", address(face(shown.from)), `face-${shown.seed}-${shown.from}.png`);
  link("get-to", address(face(shown.to)), `face-${shown.seed}-${shown.to}.png`);
}

function redraw() {
  if (!shown.faces) return;
  for (const tile of $("grid").children) draw(tile.firstChild, shown.faces[tile.dataset.k]);
  for (const [id, k] of [["from", shown.from], ["to", shown.to]]) {
    draw($(id), shown.faces[k]);
  }
  step();
}

async function showWalk() {
  busy("way");
  const fields = { seed: shown.seed, face: shown.from, to: shown.seed, to_face: shown.to, steps: STEPS };
  const { bitmap } = await picture("walk", address({ ...fields, ...making(shown.model, shown.wishes) }));
  shown.walk = await cut(bitmap, STEPS, STEPS, bitmap.height);
  step();
  done("way");
  document.body.dataset.walk = `${shown.wishes}${shown.seed}:${shown.from}-${shown.to}`;
}

function step() {
  if (!shown.walk) return;
  const at = (Number($("slider").value) / 1000) * (STEPS - 1);
  const first = Math.min(Math.floor(at), STEPS - 2);
  const canvas = $("walk");
  draw(canvas, shown.walk[first]);
  draw(canvas, shown.walk[first + 1], at - first); // blend two neighbouring pictures of the strip
  $("slider").setAttribute("aria-valuetext", `${Math.round(Number($("slider").value) / 10)} percent of the way`);
}

function choose(k) {
  if (k === shown.to) return;
  Object.assign(shown, { from: shown.to, to: k });
  mark();
  redraw();
  showWalk().catch(complain);
}

let playing = 0;
function play() {
  const began = performance.now() - (Number($("slider").value) / 1000) * 2500;
  const frame = (now) => {
    const phase = ((now - began) / 2500) % 2;
    $("slider").value = 1000 * (phase < 1 ? phase : 2 - phase);
    step();
    playing = requestAnimationFrame(frame);
  };
  playing = requestAnimationFrame(frame);
}

function stop() {
  cancelAnimationFrame(playing);
  playing = 0;
  $("play").setAttribute("aria-pressed", "false");
  $("play").textContent = "Play";
}

function showModel() {
  const model = meta.models.find((one) => one.name === $("model").value);
  $("model-name").textContent = model.name;
  $("license").textContent = model.license;
  $("terms").textContent = model.terms;
  const none = model.attributes.length === 0;
  $("no-wishes").textContent = none ? `${model.name} was trained without attributes, so you cannot request a smile or glasses.` : "";
  $("no-wishes").hidden = !none;
  $("wishes").disabled = none;
  const first = FIRST.filter((name) => model.attributes.includes(name));
  const others = model.attributes.filter((name) => !first.includes(name));
  $("toggles").replaceChildren(...first.map(toggle));
  $("more-toggles").replaceChildren(...others.map(toggle));
  $("more-title").textContent = `${others.length} more`;
  $("more").hidden = !others.length;
  $("more").open ||= others.some((name) => wishes.has(name));
  wished();
}

function toggle(name) {
  const group = document.createElement("fieldset");
  const title = document.createElement("legend");
  const segments = document.createElement("div");
  group.className = "wish";
  segments.className = "segments";
  title.textContent = name.replaceAll("_", " ");
  for (const [value, text] of [["-1", "No"], ["", "Any"], ["1", "Yes"]]) {
    const label = document.createElement("label");
    const radio = document.createElement("input");
    const words = document.createElement("span");
    Object.assign(radio, { type: "radio", name: `wish-${name}`, value, checked: value === (wishes.get(name) ?? "") });
    radio.dataset.wish = name;
    radio.addEventListener("change", () => generate({ keep: true }));
    words.textContent = text;
    label.append(radio, words);
    segments.append(label);
  }
  group.append(title, segments);
  return group;
}

// Also remembered outside the switches, for switching to another model and back.
function wished() {
  for (const radio of document.querySelectorAll("[data-wish]:checked")) {
    if (radio.value) wishes.set(radio.dataset.wish, radio.value);
    else wishes.delete(radio.dataset.wish);
  }
  const model = meta.models.find((one) => one.name === $("model").value);
  const taken = [...wishes].filter(([name]) => model.attributes.includes(name));
  $("no-wish").hidden = !taken.length;
  return taken.map((wish) => wish.join(":")).sort().join(",");
}

function walkGrid(event) {
  const tiles = [...$("grid").children];
  const here = tiles.indexOf(document.activeElement);
  const across = tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
  const there = { Home: 0, End: tiles.length - 1 }[event.key] ?? here + (by ?? NaN);
  if (here < 0 || !(there >= 0 && there < tiles.length)) return;
  event.preventDefault();
  tiles[here].tabIndex = -1;
  tiles[there].tabIndex = 0;
  tiles[there].focus();
}

// Named here, not in the HTML: without JavaScript the form must not send these two groups.
for (const radio of document.querySelectorAll("[data-size], [data-pixels]")) {
  if (radio.type !== "radio") continue;
  radio.name = radio.dataset.size ? "shown-size" : "shown-pixels";
  radio.addEventListener("change", () => {
    if (radio.dataset.size) document.body.dataset.size = radio.value;
    else sharp = radio.value === "sharp";
    arrange();
    redraw();
  });
}
$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  generate();
  // On a small screen the faces are below the button.
  if ($("faces").getBoundingClientRect().top > innerHeight * 0.8) $("faces").scrollIntoView({ behavior: calm ? "auto" : "smooth" });
});
new ResizeObserver(arrange).observe($("grid"));
// On a phone the switches come after the faces, in the DOM too, so that the tab order matches the layout.
const narrow = matchMedia("(max-width: 53.99rem)");
function place() {
  $("look").classList.toggle("card", narrow.matches);
  if (narrow.matches) $("faces").after($("look"));
  else $("controls").append($("look"));
  arrange();
}
narrow.addEventListener("change", place);
$("n-range").addEventListener("input", () => ($("n").value = $("n-range").value));
$("n").addEventListener("input", () => ($("n-range").value = $("n").value));
$("keep").addEventListener("click", () => {
  $("seed").value = $("seed").value ? "" : shown.seed;
  $("seed").dispatchEvent(new Event("input"));
});
$("seed").addEventListener("input", () => ($("keep").textContent = $("seed").value ? "Clear" : "Keep"));
$("model").addEventListener("change", () => {
  showModel();
  generate();
});
$("no-wish").addEventListener("click", () => {
  for (const radio of document.querySelectorAll("[data-wish][value='']")) radio.checked = true;
  $("wishes").querySelector("input").focus();
  generate({ keep: true });
});
$("grid").addEventListener("click", (event) => {
  const tile = event.target.closest(".face");
  if (tile) choose(Number(tile.dataset.k));
});
$("grid").addEventListener("keydown", walkGrid);
$("slider").addEventListener("input", () => {
  stop();
  step();
});
$("play").addEventListener("click", () => {
  if (playing) return stop();
  $("play").setAttribute("aria-pressed", "true");
  $("play").textContent = "Stop";
  play();
});

showModel();
place();
$("seed").dispatchEvent(new Event("input"));
generate();
