// The page "Now": connects, draws, marks, and says in words what it shows.

import { Card } from "./card.js";
import { Connection } from "./connection.js";
import { BANDS } from "./picture.js";
import { aloud, element, score, span } from "./words.js";

const NEWEST = 12;
const FRAME_MS = 33;

const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const root = document.querySelector('meta[name="root"]').content;
const place = document.getElementById("sources");
const dark = matchMedia("(prefers-color-scheme: dark)");
const colours = () => JSON.parse(dark.matches ? place.dataset.night : place.dataset.paper);
const title = document.title;
let zoneSeconds = 0;
let runId = null;
let live = false;

const cards = new Map(
  [...place.querySelectorAll(".source")].map((one) => [one.dataset.source, new Card(one, colours(), still)]),
);
const byNumber = new Map();
const goingOn = new Map();

// The list of what was heard last.

const list = document.getElementById("newest");

const describe = (one, item = element("li")) => {
  item.dataset.id = one.id;
  item.dataset.state = one.state;
  const time = element("time", "", one.start.slice(11, 19));
  time.dateTime = one.start;
  const link = element("a");
  link.href = `${root}/detection/${encodeURIComponent(one.id)}`;
  link.append(element("b", "", one.common_name));
  const about = element("span", "about");
  about.append(element("i", "scientific", one.scientific_name), " ", element("span", "quiet", one.source));
  item.replaceChildren(
    time,
    link,
    about,
    element("span", "number score", score(one.score)),
    element("span", "quiet number length", one.state === "started" ? "goes on" : span(one.seconds)),
  );
  return item;
};

const tellHearing = () => {
  for (const card of cards.values()) {
    card.hears([...goingOn.values()].filter((one) => one.source === card.name));
  }
};

const take = (one) => {
  if (one.state === "started") goingOn.set(one.id, one);
  else goingOn.delete(one.id);
  cards.get(one.source)?.mark(one);
};

const told = {
  hello({ newest }) {
    goingOn.clear();
    newest.forEach(take);
    list.replaceChildren(...newest.map((one) => describe(one)));
    document.getElementById("nothing").hidden = newest.length > 0;
    tellHearing();
  },

  detection(one) {
    take(one);
    const there = [...list.children].find((item) => item.dataset.id === one.id);
    if (there) describe(one, there);
    else list.prepend(describe(one));
    while (list.children.length > NEWEST) list.lastElementChild.remove();
    document.getElementById("nothing").hidden = true;
    if (one.state === "started") aloud.say(`${one.common_name}, ${one.source}`);
    tellHearing();
  },

  state(state) {
    const names = state.sources.map((source) => source.name);
    if (names.length !== cards.size || names.some((name) => !cards.has(name)) || state.version !== place.dataset.version) {
      beginAnew();
      return;
    }
    if (runId !== null && runId !== state.run_id) {
      words.textContent = "Live: birdwatchd was started again";
      for (const card of cards.values()) card.picture.forget();
    }
    runId = state.run_id;
    const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(state.at) ?? [null, "+", 0, 0];
    zoneSeconds = (sign === "-" ? -1 : 1) * (hours * 3600 + minutes * 60);
    for (const source of state.sources) {
      byNumber.set(source.number, cards.get(source.name));
      cards.get(source.name).describe(source);
    }
    tellFaults(state.faults);
    tellTitle();
  },
};

// What is wrong with a source stands at the source; here is only said which.
const tellFaults = (faults) => {
  const deaf = [...cards.values()].filter((card) => card.section.dataset.state === "wrong");
  const others = faults.filter((fault) => ![...cards.keys()].some((name) => fault.startsWith(`${name} `)));
  const said = JSON.stringify([deaf.map((card) => card.name), others]);
  const faultsPlace = document.getElementById("faults");
  if (faultsPlace.dataset.said === said) return;
  faultsPlace.dataset.said = said;
  const lines = others.map((fault) => element("p", "told wrong", fault));
  for (const card of deaf) {
    const line = element("p", "told wrong");
    const link = element("a", "", card.name);
    link.href = `#${card.section.id}`;
    const sentence = element("span");
    sentence.append(link, " is deaf");
    line.append(sentence);
    lines.push(line);
  }
  faultsPlace.replaceChildren(...lines);
};

const tellTitle = () => {
  const deaf = [...cards.values()].filter((card) => card.section.dataset.state === "wrong");
  let before = "";
  if (!live) before = "No connection \u00b7 ";
  else if (deaf.length) before = `Deaf: ${deaf.map((card) => card.name).join(", ")} \u00b7 `;
  if (document.title !== before + title) document.title = before + title;
};

// Other sources, or another birdwatchd: the page itself has to be another. Not again and again, though.
const beginAnew = () => {
  const before = Number(sessionStorage.getItem("begun-anew") ?? 0);
  if (Date.now() - before < 10000) return;
  sessionStorage.setItem("begun-anew", Date.now());
  location.reload();
};

// The connection.

const words = document.getElementById("connection-words");
const lost = document.getElementById("lost");
const lostNext = document.getElementById("lost-next");
let nextTry = 0;

const csrf = document.querySelector('meta[name="csrf-token"]').content;
const address = `${location.origin.replace(/^http/, "ws")}${root}/live?csrf=${encodeURIComponent(csrf)}`;
const connection = new Connection(address, {
  words(kind, content) {
    told[kind]?.(content);
  },

  sound(view) {
    const size = 32;
    for (let at = 0; at + size <= view.byteLength; ) {
      const count = view.getUint16(at + 2, true);
      byNumber.get(view.getUint16(at, true))?.add({
        values: new Uint8Array(view.buffer, at + size, count * BANDS),
        count,
        dbfs: view.getFloat32(at + 4, true),
        seconds: view.getFloat32(at + 8, true),
        rate: view.getFloat32(at + 12, true),
        sample: view.getFloat64(at + 16, true),
        at: view.getFloat64(at + 24, true),
      });
      at += size + count * BANDS;
    }
    if (still) for (const card of cards.values()) if (card.seen) card.draw(zoneSeconds);
  },

  found() {
    live = true;
    refusals = 0;
    document.body.dataset.live = "yes";
    lost.hidden = true;
    words.textContent = "Live";
    tellTitle();
    watch();
    animate();
  },

  lost(sinceMs, nextMs, refused) {
    if (live || lost.hidden) {
      const since = new Date(sinceMs + zoneSeconds * 1000).toISOString().slice(11, 19);
      document.getElementById("lost-words").textContent =
        `birdwatchd does not answer since ${since}: what you see here is old.`;
      goingOn.clear();
      for (const card of cards.values()) card.lose();
    }
    live = false;
    document.body.dataset.live = "no";
    lost.hidden = false;
    words.textContent = "Not live";
    nextTry = nextMs;
    tellNext();
    tellTitle();
    if (refused) askToEnter();
  },
});

// Refused at the door: the login has run out, or this page is too old. The server only says so of pages.
let refusals = 0;
const askToEnter = async () => {
  try {
    const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" });
    if (answer.ok) refusals += 1; // once, it may just have begun to answer
    if (answer.type === "opaqueredirect" || refusals > 1) beginAnew();
  } catch {
    // Nobody is there: that is what the banner says.
  }
};

const tellNext = () => {
  const left = Math.max(0, Math.ceil((nextTry - Date.now()) / 1000));
  lostNext.textContent = left ? `It is tried again in ${left} s.` : "It is tried again now.";
};
document.getElementById("retry").addEventListener("click", () => connection.retry());

setInterval(() => {
  if (live) {
    for (const card of cards.values()) card.judge();
    tellTitle();
  } else if (!lost.hidden) tellNext();
}, 1000);

// Only what is on the screen is sent, and drawn.

const watch = () => {
  const names = document.hidden ? [] : [...cards.values()].filter((card) => card.seen).map((card) => card.name);
  connection.send({ watch: names });
};
const observer = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) cards.get(entry.target.dataset.source).seen = entry.isIntersecting;
    watch();
  },
  { rootMargin: "100px" },
);
for (const card of cards.values()) observer.observe(card.section);
document.addEventListener("visibilitychange", () => {
  watch();
  animate();
});
dark.addEventListener("change", () => {
  for (const card of cards.values()) card.picture.colour(colours());
});
addEventListener("resize", () => {
  for (const card of cards.values()) card.draw(zoneSeconds);
});

let drawnAt = 0;
let frame = null;
const animate = () => {
  if (still || frame !== null || !live || document.hidden) return;
  frame = requestAnimationFrame((now) => {
    frame = null;
    if (now - drawnAt >= FRAME_MS - 4) {
      drawnAt = now;
      for (const card of cards.values()) if (card.seen) card.draw(zoneSeconds);
    }
    animate();
  });
};
for (const card of cards.values()) {
  card.hears([]);
  card.draw(zoneSeconds);
}
