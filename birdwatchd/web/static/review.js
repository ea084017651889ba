// The keys of the review page, the search for another species, and playing at once.

const root = document.querySelector("meta[name=root]").content;
const sound = document.querySelector("#sound");
const heard = document.querySelector("#heard");
const list = document.querySelector("#species-list");

// One name for both forms.
const reviewer = document.querySelector("#reviewer");
reviewer?.addEventListener("input", () => {
  for (const field of document.querySelectorAll("input[type=hidden][name=reviewer]")) field.value = reviewer.value;
});

// What is judged twice by an impatient finger is judged once.
let isGone = false;
document.addEventListener("submit", (event) => {
  if (isGone) event.preventDefault();
  isGone = true;
});
addEventListener("pageshow", () => { isGone = false; });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input:not([type=checkbox]), select, textarea")) return;
  const key = event.key.toLowerCase();
  if (key === " " && sound && !event.target.closest("button, a, summary")) {
    event.preventDefault();
    play();
  } else if (key === "o" && heard) {
    event.preventDefault();
    heard.focus();
    heard.select();
  } else {
    const found = document.querySelector(`[data-key="${CSS.escape(key === "arrowright" ? "n" : key === "arrowleft" ? "p" : key)}"]`);
    if (found && !(key.startsWith("arrow") && event.target === sound)) {
      event.preventDefault();
      found.click();
    }
  }
});

function play() {
  if (sound.paused) sound.play().catch(() => {});
  else sound.pause();
}

const atOnce = document.querySelector("#at-once");
if (atOnce && sound) {
  atOnce.checked = localStorage.getItem("review-plays-at-once") === "yes";
  // A browser may refuse it until something was clicked.
  if (atOnce.checked) sound.play().catch(() => {});
  atOnce.addEventListener("change", () => localStorage.setItem("review-plays-at-once", atOnce.checked ? "yes" : "no"));
}

// The picture is followed while it sounds, and a click in it plays from there.
const picture = document.querySelector("#picture");
if (picture && sound) {
  const cursor = picture.querySelector("#cursor");
  const follow = () => {
    const at = sound.duration ? sound.currentTime / sound.duration : 0;
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    cursor.setAttribute("visibility", "visible");
    if (!sound.paused) requestAnimationFrame(follow);
  };
  sound.addEventListener("play", follow);
  sound.addEventListener("seeked", follow);
  picture.addEventListener("click", (event) => {
    if (!sound.duration) return;
    const box = picture.getBoundingClientRect();
    sound.currentTime = (event.clientX - box.left) / box.width * sound.duration;
    sound.play().catch(() => {});
  });
}

// The next picture is there when it is its turn.
const next = document.querySelector("[data-picture]");
if (next) {
  const colours = matchMedia("(prefers-color-scheme: dark)").matches ? "night" : "paper";
  addEventListener("load", () => { new Image().src = `${next.dataset.picture}&colours=${colours}`; });
}

// The select of the time needs no button.
const days = document.querySelector("#days");
if (days) {
  days.form.querySelector(".submit").hidden = true;
  days.addEventListener("change", () => days.form.requestSubmit());
}

// Another species: the model's labels that fit, as they are typed.
let choice = -1;
let asking = 0;

async function search() {
  const text = heard.value.trim();
  const mine = ++asking;
  if (!text) return show([]);
  const answer = await fetch(`${root}/api/v1/labels?q=${encodeURIComponent(text)}&limit=12`);
  if (mine !== asking || !answer.ok) return;
  show((await answer.json()).labels);
}

function show(labels) {
  list.replaceChildren(...labels.map((label, number) => {
    const item = document.createElement("li");
    item.id = `species-${number}`;
    item.role = "option";
    item.dataset.name = label.scientific_name;
    const scientific = document.createElement("i");
    scientific.className = "scientific";
    scientific.textContent = label.scientific_name;
    item.append(label.common_name, " ", scientific);
    item.addEventListener("mousedown", (event) => { event.preventDefault(); choose(item); });
    return item;
  }));
  list.hidden = !labels.length;
  heard.setAttribute("aria-expanded", String(!list.hidden));
  mark(labels.length ? 0 : -1);
}

function mark(number) {
  choice = number;
  [...list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === number)));
  const item = list.children[number];
  if (item) {
    heard.setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
  } else {
    heard.removeAttribute("aria-activedescendant");
  }
}

function choose(item) {
  heard.value = item.dataset.name;
  heard.form.requestSubmit();
}

heard?.addEventListener("input", search);
heard?.addEventListener("blur", () => show([]));
heard?.addEventListener("keydown", (event) => {
  const count = list.children.length;
  if (event.key === "ArrowDown" && count) mark((choice + 1) % count);
  else if (event.key === "ArrowUp" && count) mark((choice + count - 1) % count);
  else if (event.key === "Enter" && choice >= 0) choose(list.children[choice]);
  else if (event.key === "Escape") {
    if (list.hidden) heard.blur();
    show([]);
  } else return;
  event.preventDefault();
});
