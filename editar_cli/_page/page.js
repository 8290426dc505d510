"use strict";
// Cards are empty boxes of known size until they come near the window and are emptied again once
// they are far away: thousands of pictures cost no more than those that can be seen.

const all = JSON.parse(document.getElementById("data").textContent).pictures;
const byId = (id) => document.getElementById(id);
const grid = byId("grid"), viewer = byId("viewer"), help = byId("help"), search = byId("search");

const MANY = 8;
const NARROWEST = 0.66, WIDEST = 2.6;
const STATUSES = { done: "Done", failed: "Failed", skipped: "Skipped", planned: "Planned" };

let shown = all;
let current = null;
let filter = "all";
let printing = false;

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

function button(className, label, act, ...children) {
  const element = make("button", className, ...children);
  element.type = "button";
  if (label) element.setAttribute("aria-label", label);
  element.addEventListener("click", act);
  return element;
}

function link(text, href) {
  const element = make("a", "", text);
  element.href = href;
  element.target = "_blank";
  element.rel = "noopener";
  return element;
}

function duration(seconds) {
  if (seconds < 99.5) return `${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  return `${Math.floor(Math.round(seconds) / 60)} min ${Math.round(seconds) % 60} s`;
}

function sizeText(picture) {
  return picture && picture.w ? `${picture.w} \u00d7 ${picture.h}` : "";
}

function nameOf(entry) {
  return entry.of > 1 ? `${entry.name}, ${entry.nth} of ${entry.of}` : entry.name;
}

const visible = (picture) => Boolean(picture && picture.src);
const before = (entry) => entry.befores[entry.chosen];
const two = (entry) => visible(before(entry)) && visible(entry.after);

// One picture, or two with a divider.

function place(entry, percent) {
  entry.x = Math.min(100, Math.max(0, percent));
  for (const pics of entry.views) {
    pics.style.setProperty("--x", `${entry.x}%`);
    pics.setAttribute("aria-valuenow", Math.round(entry.x));
    pics.setAttribute("aria-valuetext", `${Math.round(entry.x)} % ${before(entry).label.toLowerCase()}`);
  }
}

function image(picture, large, lazy) {
  const element = make("img");
  element.decoding = "async";
  element.loading = lazy ? "lazy" : "eager";
  element.draggable = false;
  element.alt = "";
  element.addEventListener("error", () => {
    const mat = element.closest(".mat");
    if (mat && !mat.querySelector(".said"))
      mat.append(make("div", "said", "A picture is not where it was when this page was made."));
    element.remove();
  });
  element.src = (large && picture.full) || picture.src;
  return element;
}

function comparison(entry, { large = false, open = null, after = entry.after } = {}) {
  const pics = make("div", "pics");
  const failed = entry.status === "failed";
  const one = visible(after) ? after : before(entry);
  if (two(entry)) {
    const first = image(before(entry), large, !large), second = image(after, large, !large);
    first.style.objectFit = entry.fit;
    pics.append(first, second, make("span", "divider"));
    pics.append(make("span", "label left", before(entry).label), make("span", "label right", after.label));
    pics.classList.add("two");
    pics.tabIndex = 0;
    pics.setAttribute("role", "slider");
    pics.setAttribute("aria-label", `${before(entry).label} and ${after.label.toLowerCase()}: ${nameOf(entry)}`);
    pics.setAttribute("aria-valuemin", 0);
    pics.setAttribute("aria-valuemax", 100);
    entry.views.push(pics);
    drag(pics, entry, large, open);
  } else if (visible(one)) {
    const only = image(one, large, !large);
    only.alt = `${one.label}: ${nameOf(entry)}`;
    pics.append(only);
    if (!failed) pics.append(make("span", "label left", one.label));
    if (open) {
      pics.tabIndex = 0;
      pics.setAttribute("role", "button");
      pics.setAttribute("aria-label", `Open ${nameOf(entry)} large`);
      pics.addEventListener("click", open);
    }
  } else if (open) {
    pics.tabIndex = 0;
    pics.setAttribute("role", "button");
    pics.setAttribute("aria-label", `Open ${nameOf(entry)}`);
    pics.addEventListener("click", open);
  }
  pics.classList.toggle("alpha", entry.alpha);
  pics.classList.toggle("dim", failed);
  return pics;
}

function drag(pics, entry, large, open) {
  let start = null, moved = false;
  const at = (event) => {
    const box = pics.getBoundingClientRect();
    place(entry, ((event.clientX - box.left) / box.width) * 100);
  };
  pics.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = event.clientX;
    moved = large;
    pics.setPointerCapture(event.pointerId);
    pics.classList.add("held");
    if (large) at(event);
  });
  pics.addEventListener("pointermove", (event) => {
    if (start === null) return;
    moved ||= Math.abs(event.clientX - start) > 4;
    if (moved) at(event);
  });
  const end = (event) => {
    const click = start !== null && !moved && event.type === "pointerup";
    start = null;
    pics.classList.remove("held");
    if (click && open) open();
  };
  pics.addEventListener("pointerup", end);
  pics.addEventListener("pointercancel", end);
}

function matOf(entry, options) {
  entry.views = entry.views.filter((view) => view.isConnected);
  const mat = make("div", "mat", comparison(entry, options));
  if (entry.ratio < NARROWEST && !options.large) mat.classList.add("tall");
  mat.style.setProperty("--ratio", entry.ratio);
  if (entry.befores.length > 1 && visible(entry.after)) {
    const chips = make("div", "chips");
    entry.befores.forEach((picture, number) => {
      const chip = button("", "", () => choose(entry, number), picture.label);
      chip.setAttribute("aria-pressed", number === entry.chosen);
      chips.append(chip);
    });
    mat.append(chips);
  }
  const said = spoken(entry, options.large);
  if (said) mat.append(said);
  if (two(entry)) place(entry, entry.x);
  return mat;
}

function spoken(entry, large) {
  if (entry.status === "failed") {
    const parts = [make("b", "", "Failed")];
    if (!large || !visible(before(entry))) parts.push(make("span", "", entry.error || "No reason is known."));
    return make("div", "said", ...parts);
  }
  if (visible(entry.after) || visible(before(entry))) return null;
  return make("div", "said", entry.why || "No picture can be shown.");
}

function choose(entry, number) {
  entry.chosen = number;
  if (viewer.open && current === entry) view(entry, entry.candidate);
  if (entry.filled) refill(entry);
}

// Cards.

function second(entry) {
  if (entry.status === "failed") return "";
  if (entry.text && entry.textVaries) return entry.text;
  if (entry.notes.length) return entry.notes.join("; ");
  if (entry.why) return entry.why;
  return sizeText(entry.after) || sizeText(before(entry));
}

function side(entry) {
  if (entry.status === "failed") return make("span", "bad", "failed");
  if (entry.status !== "done") return make("span", "", entry.status);
  return make("span", "", entry.seconds === null ? "" : duration(entry.seconds));
}

function refill(entry) {
  const card = entry.card;
  const held = card.contains(document.activeElement);
  const open = () => showLarge(entry);
  const mat = matOf(entry, { open });
  mat.append(button("open", `Open ${nameOf(entry)} large`, open));
  const name = make("span", "name", nameOf(entry));
  name.title = entry.path;
  const lines = [
    make("div", "", name, make("span", "side", side(entry))),
    make("div", "", make("span", "second", second(entry))),
  ];
  card.replaceChildren(mat, make("div", "caption", ...lines));
  entry.filled = true;
  if (held) focusCard(entry);
}

function empty(entry) {
  // What the keyboard stands on stays.
  if (entry.card.contains(document.activeElement)) return;
  entry.filled = false;
  entry.card.replaceChildren();
}

const near = new IntersectionObserver((changes) => {
  for (const change of changes) {
    const entry = change.target.entry;
    if (change.isIntersecting && !entry.filled) refill(entry);
    else if (!change.isIntersecting && entry.filled && !printing) empty(entry);
  }
}, { rootMargin: "900px 0px" });

function build() {
  const texts = new Set(all.map((entry) => entry.text));
  const part = document.createDocumentFragment();
  all.forEach((entry, number) => {
    const sized = [entry.after, ...entry.befores].find((picture) => picture && picture.w);
    entry.ratio = sized ? sized.w / sized.h : 1.5;
    Object.assign(entry, { number, chosen: 0, candidate: null, x: 50, views: [], filled: false, textVaries: texts.size > 1 });
    entry.words = [entry.path, entry.text, entry.error, ...entry.notes, entry.seed, entry.status].join("\n").toLowerCase();
    const card = (entry.card = make("article", `card ${entry.status}`));
    card.entry = entry;
    card.setAttribute("aria-label", `${nameOf(entry)}, ${entry.status}`);
    card.style.setProperty("--shown", Math.min(WIDEST, Math.max(NARROWEST, entry.ratio)).toFixed(4));
    card.addEventListener("focusin", () => { current = entry; });
    part.append(card);
  });
  grid.classList.toggle("few", all.length <= MANY);
  grid.append(part);
  for (const entry of all) near.observe(entry.card);
}

// Filters.

function buildFilters() {
  const counts = new Map();
  for (const entry of all) counts.set(entry.status, (counts.get(entry.status) || 0) + 1);
  if (counts.size > 1) {
    const names = [["all", "All", all.length]];
    for (const [status, label] of Object.entries(STATUSES))
      if (counts.has(status)) names.push([status, label, counts.get(status)]);
    for (const [status, label, count] of names) {
      const element = button(status, "", () => { filter = status; select(); }, label, make("span", "", String(count)));
      element.dataset.status = status;
      byId("filters").append(element);
    }
  }
  search.hidden = all.length <= MANY;
  byId("bar").hidden = search.hidden && counts.size < 2;
}

function select() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  shown = all.filter((entry) => {
    const wanted = (filter === "all" || entry.status === filter) && words.every((word) => entry.words.includes(word));
    entry.card.hidden = !wanted;
    return wanted;
  });
  for (const element of byId("filters").children)
    element.setAttribute("aria-pressed", element.dataset.status === filter);
  byId("empty").hidden = shown.length > 0 || all.length === 0;
  byId("count").textContent = `${shown.length} of ${all.length} pictures`;
}

// The viewer.

function view(entry, candidate = null) {
  current = entry;
  entry.candidate = candidate;
  const after = candidate === null ? entry.after : entry.candidates[candidate];
  byId("viewer-place").textContent = `${shown.indexOf(entry) + 1} / ${shown.length}`;
  byId("viewer-name").textContent = nameOf(entry);
  byId("viewer-name").title = entry.path;
  const links = [];
  for (const picture of [...entry.befores, entry.after, ...entry.more])
    if (picture && picture.href) links.push(link(picture.label, picture.href));
  byId("viewer-links").replaceChildren(...links);
  byId("viewer-room").style.setProperty("--ratio", entry.ratio);
  byId("viewer-room").replaceChildren(matOf(entry, { large: true, after }));
  const facts = [
    entry.status === "done" ? "" : entry.status,
    entry.seed && `seed ${entry.seed}`,
    entry.seconds === null ? "" : duration(entry.seconds),
    sizeText(after) || sizeText(before(entry)),
  ];
  const foot = [];
  if (entry.text) foot.push(make("p", "text", entry.text));
  foot.push(make("p", "", facts.filter(Boolean).join(" \u00b7 ")));
  if (entry.error) foot.push(make("p", "bad", entry.error));
  for (const note of [...entry.notes, entry.why]) if (note) foot.push(make("p", "", note));
  if (entry.of > 1) {
    const others = make("div", "others");
    for (const other of all.filter((one) => one.group === entry.group)) {
      const element = button("", "", () => view(other), `${other.nth} of ${other.of}`);
      if (other === entry) element.setAttribute("aria-current", "true");
      others.append(element);
    }
    foot.push(others);
  }
  if (entry.candidates.length) foot.push(candidates(entry));
  byId("viewer-foot").replaceChildren(...foot);
  const slider = viewer.querySelector(".pics.two");
  if (viewer.open && slider) slider.focus({ preventScroll: true });
}

function candidates(entry) {
  const strip = make("div", "candidates");
  entry.candidates.forEach((picture, number) => {
    const said = [picture.label.split(" ").pop()];
    if (typeof picture.score === "number") said.push(picture.score.toPrecision(3));
    if (picture.chosen) said.push("chosen");
    const words = said.join(" \u00b7 ");
    const label = [picture.label, ...said.slice(1)].join(", ");
    const act = () => view(entry, entry.candidate === number ? null : number);
    const element = button("", label, act, image(picture, false, true), make("span", "", words));
    const on = entry.candidate === null ? picture.chosen : entry.candidate === number;
    element.setAttribute("aria-pressed", Boolean(on));
    strip.append(element);
  });
  return strip;
}

function showLarge(entry) {
  view(entry);
  if (!viewer.open) viewer.showModal();
  const slider = viewer.querySelector(".pics.two");
  if (slider) slider.focus({ preventScroll: true });
}

function focusCard(entry) {
  if (!entry.filled) refill(entry);
  const target = entry.card.querySelector(".pics[tabindex]");
  if (target) target.focus({ preventScroll: true });
}

function closeLarge() {
  // Closing gives the focus back to where it was before, maybe many pictures ago.
  const entry = current;
  viewer.close();
  go(entry, "nearest");
}

viewer.addEventListener("cancel", (event) => { event.preventDefault(); closeLarge(); });
viewer.addEventListener("close", () => byId("viewer-room").replaceChildren());
byId("viewer-back").addEventListener("click", () => step(-1));
byId("viewer-on").addEventListener("click", () => step(1));
byId("viewer-close").addEventListener("click", closeLarge);

// Keys.

function go(entry, block) {
  current = entry;
  focusCard(entry);
  entry.card.scrollIntoView({ block, behavior: "instant" });
}

function step(by) {
  if (!shown.length) return;
  let at = shown.indexOf(current);
  if (at < 0) {
    // From where the reader is.
    at = shown.findIndex((entry) => entry.card.getBoundingClientRect().bottom > 80);
    at = Math.max(0, at) - (by > 0 ? 1 : 0);
  }
  const next = shown[Math.min(shown.length - 1, Math.max(0, at + by))];
  if (viewer.open) view(next);
  else go(next, "nearest");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const typing = event.target.closest("input");
  if (typing) {
    if (event.key === "Escape") { search.value = ""; select(); search.blur(); }
    return;
  }
  const onCard = viewer.open || Boolean(event.target.closest(".card"));
  const onPicture = viewer.open || Boolean(event.target.closest(".pics"));
  const by = event.shiftKey ? 10 : 2;
  const acts = {
    j: () => step(1), k: () => step(-1),
    ArrowDown: onCard && (() => step(1)), ArrowUp: onCard && (() => step(-1)),
    ArrowLeft: current && two(current) && (() => place(current, current.x - by)),
    ArrowRight: current && two(current) && (() => place(current, current.x + by)),
    Home: onPicture && current && two(current) && (() => place(current, 0)),
    End: onPicture && current && two(current) && (() => place(current, 100)),
    Enter: onPicture && !viewer.open && current && (() => showLarge(current)),
    m: current && current.befores.length > 1 && (() => choose(current, (current.chosen + 1) % current.befores.length)),
    c: viewer.open && current.candidates.length && (() => view(current, ((current.candidate ?? -1) + 1) % current.candidates.length)),
    "/": !viewer.open && !search.hidden && (() => search.focus()),
    "?": () => help.showModal(),
  };
  const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
byId("help-button").addEventListener("click", () => help.showModal());

let waiting = 0;
search.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(select, 120);
});
addEventListener("afterprint", () => { printing = false; });
addEventListener("beforeprint", () => {
  printing = true;
  for (const entry of shown) {
    if (!entry.filled) refill(entry);
    for (const element of entry.card.querySelectorAll("img")) element.loading = "eager";
  }
});

build();
buildFilters();
select();
