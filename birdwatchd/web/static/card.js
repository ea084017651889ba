// One source on the page: its picture, its gauges, and what is said of it.

import { Picture } from "./picture.js";
import { aloud, element, level, score, seconds, show, span } from "./words.js";

const DEAF_SECONDS = 3;
const SILENT_SECONDS = 60;
const BEHIND_SECONDS = 30;
const LANES = 4;

export class Card {
  constructor(section, colours, still) {
    this.section = section;
    this.name = section.dataset.source;
    this.picture = new Picture(section.querySelector("canvas"), colours, still);
    this.marks = section.querySelector(".marks");
    this.badge = section.querySelector(".state");
    this.deaf = section.querySelector(".deaf");
    this.meter = section.querySelector(".meter");
    this.level = section.querySelector(".level");
    this.age = section.querySelector(".age");
    this.goingOn = section.querySelector(".going-on");
    this.heard = new Map(); // detections on the picture, by id
    this.seen = false;
    this.leveledAt = 0;
  }

  describe(status) {
    this.status = status;
    this.describedAt = performance.now();
    this.judge();
  }

  // Nothing is known any more.
  lose() {
    this.status = null;
    this.words = undefined;
    delete this.section.dataset.state;
    this.badge.className = "badge state quiet";
    show(this.badge, "not known");
    this.deaf.hidden = true;
    show(this.age, "\u2013");
    show(this.level, "\u2013");
    this.meter.firstElementChild.style.transform = "scaleX(0)";
    this.goingOn.replaceChildren(element("li", "quiet", "not known"));
  }

  // Whether it hears, as far as this page knows by now.
  judge() {
    if (!this.status) return;
    const { state, fault, until } = this.status;
    const age = this.status.age_seconds + (performance.now() - this.describedAt) / 1000;
    let [kind, words, why] = ["well", "listening", ""];
    if (state === "away") [kind, words, why] = ["wrong", "deaf", fault];
    else if (state === "finished") [kind, words] = ["quiet", "at its end"];
    else if (age > DEAF_SECONDS) [kind, words, why] = ["wrong", "deaf", `no sound for ${span(age)}`];
    else if (this.status.silent_seconds >= SILENT_SECONDS) {
      const silent = span(this.status.silent_seconds);
      [kind, words, why] = ["wrong", "deaf", `nothing but digital silence for ${silent}: dead or muted?`];
    } else if (state === "resting") [kind, words] = ["quiet", until ? `rests until ${until.slice(11, 16)}` : "rests"];
    else if (this.status.behind_seconds > BEHIND_SECONDS) {
      [kind, words] = ["note", `${span(this.status.behind_seconds)} behind`];
    }
    if (this.words !== words && this.words !== undefined) aloud.say(`${this.name}: ${words} ${why}`);
    this.words = words;
    this.section.dataset.state = kind;
    this.picture.deaf = kind === "wrong";
    if (state === "away") {
      show(this.level, "\u2013");
      this.meter.firstElementChild.style.transform = "scaleX(0)";
    }
    this.badge.className = `badge state ${kind}`;
    show(this.badge, words);
    this.deaf.hidden = kind !== "wrong";
    show(this.deaf, why ? `Deaf: ${why}` : "");
    show(this.age, state === "finished" ? "\u2013" : `${span(age)} ago`);
  }

  add(columns) {
    this.picture.add(columns);
    const { dbfs } = columns;
    this.meter.firstElementChild.style.transform = `scaleX(${Math.max(0, Math.min(1, 1 + dbfs / 80))})`;
    this.meter.classList.toggle("loud", dbfs > -3);
    const now = performance.now();
    if (now - this.leveledAt > 500) {
      this.leveledAt = now;
      this.meter.setAttribute("aria-valuenow", Math.round(Math.max(-80, dbfs)));
      show(this.level, level(dbfs));
    }
  }

  // A detection that started, or ended.
  mark(one) {
    let mark = this.heard.get(one.id);
    if (!mark) {
      const node = element("span", "mark");
      node.dataset.id = one.id;
      node.append(element("span", "", one.common_name));
      const start = seconds(one.start);
      const taken = [...this.heard.values()].filter((other) => !other.isOver || Math.max(other.end, other.named) > start);
      let lane = [...Array(LANES).keys()].find((free) => !taken.some((other) => other.lane === free));
      lane ??= this.heard.size % LANES;
      node.style.top = `${lane * 1.625}rem`;
      this.marks.append(node);
      const wide = node.firstElementChild.scrollWidth + 12;
      node.hidden = true; // until it is known where
      mark = { node, lane, named: start + wide / this.picture.scale };
      this.heard.set(one.id, mark);
    }
    mark.start = seconds(one.start);
    mark.end = seconds(one.end);
    mark.isOver = one.state === "ended";
    mark.node.dataset.state = one.state;
  }

  hears(detections) {
    const items = detections.map((one) => {
      const item = element("li");
      item.dataset.id = one.id;
      item.append(element("b", "", one.common_name), " ", element("span", "number quiet", score(one.score)));
      return item;
    });
    this.goingOn.replaceChildren(...(items.length ? items : [element("li", "quiet", "no bird that it knows")]));
  }

  draw(zoneSeconds) {
    if (this.status?.state === "finished" && this.picture.edge !== null) return; // its last sound stays
    this.picture.draw(zoneSeconds);
    const edge = this.picture.edge;
    if (edge === null || !this.picture.span) return;
    for (const [id, mark] of this.heard) {
      if (mark.isOver && mark.end < edge - this.picture.span - 5) {
        mark.node.remove();
        this.heard.delete(id);
        continue;
      }
      const where = this.picture.place(mark.start, mark.isOver ? mark.end : edge, edge);
      mark.node.hidden = where === null;
      if (where !== null) {
        mark.node.style.transform = `translateX(${where[0].toFixed(1)}px)`;
        mark.node.style.width = `${where[1].toFixed(1)}px`;
      }
    }
  }
}
