// How a page says things: as words.py does, and aloud.

export const element = (name, className, words) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (words !== undefined) made.textContent = words;
  return made;
};

export const span = (seconds) => {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
};
export const score = (value) => (value < 1 ? Math.min(value, 0.99) : value).toFixed(2);
export const level = (dbfs) => (dbfs <= -200 ? "silent" : `${dbfs.toFixed(0)} dBFS`.replace("-", "\u2212"));
export const seconds = (iso) => Date.parse(iso) / 1000;
// Without disturbing whoever reads it when nothing has changed.
export const show = (node, words) => {
  if (node.textContent !== words) node.textContent = words;
};

const ALOUD_MS = 3000;

// What is read aloud: calmly, and all that came meanwhile at once.
export const aloud = {
  waiting: [],
  say(words) {
    this.waiting.push(words);
    this.timer ??= setTimeout(() => {
      this.timer = null;
      document.getElementById("aloud").textContent = this.waiting.splice(0).join(". ");
    }, ALOUD_MS);
  },
};
