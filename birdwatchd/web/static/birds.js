// Sounds that play in their place, and the day of today kept up to date.

const AGAIN_MS = 60_000;
const sound = new Audio();
let playing = null;

const symbols = { play: "M8 5v14l11-7Z", pause: "M8 5v14M16 5v14" };

function show(button, name) {
  button.setAttribute("aria-pressed", String(name === "pause"));
  button.querySelector("path").setAttribute("d", symbols[name]);
}

function stop() {
  if (playing) show(playing, "play");
  playing = null;
}

function dress(root) {
  for (const link of root.querySelectorAll("a[data-play]")) {
    link.setAttribute("role", "button");
    show(link, "play");
  }
  for (const form of root.querySelectorAll("form[data-day]")) {
    form.querySelector("input").addEventListener("change", (event) => {
      if (event.target.value && event.target.checkValidity()) form.requestSubmit();
    });
    form.querySelector("button").classList.add("visually-hidden");
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-play]");
  if (!link) return;
  event.preventDefault();
  const isSame = link === playing;
  sound.pause();
  stop();
  if (isSame) return;
  playing = link;
  show(link, "pause");
  sound.src = link.href;
  sound.play().catch(() => {
    // It has given way since, or this browser does not know its format.
    link.setAttribute("aria-disabled", "true");
    link.title = "The sound cannot be played.";
    stop();
  });
});
document.addEventListener("keydown", (event) => {
  const link = event.target.closest?.("a[data-play]");
  if (link && event.key === " ") {
    event.preventDefault();
    link.click();
  }
});
sound.addEventListener("ended", stop);

async function again() {
  const place = document.querySelector("[data-again]");
  if (!place || document.hidden || playing) return;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-again]");
    if (!fresh || place.contains(document.activeElement)) return;
    place.replaceWith(fresh);
    dress(fresh);
  } catch {
    // The daemon is away: what is shown stays until it is back.
  }
}

dress(document);
if (document.querySelector("[data-again]")) setInterval(again, AGAIN_MS);
